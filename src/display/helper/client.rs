//! The supervisor's side.

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::timeout,
};

use super::{Answer, Request, request::LINE_MAX};

/// In RUNTIME.
pub const SOCKET: &str = "helper.sock";
/// systemd starts a process, and that asks systemd: on a Pi that is going under, this takes a while.
const WITHIN: Duration = Duration::from_secs(20);

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum AskHelperError {
    #[error("nothing here may do it: pikiosk-helper.socket is not there (pikiosk provision lays it down)")]
    Absent,
    #[error("pikiosk-helper.socket cannot be asked: {0}")]
    Unreachable(#[from] io::Error),
    /// Somebody else has put his socket in this place.
    #[error("who listens at helper.sock is user {uid} and not root")]
    NotRoot { uid: u32 },
    #[error("the helper did not answer in {} s", WITHIN.as_secs())]
    Silent,
    /// As it happens when the machine goes down in the same moment.
    #[error("the helper was ended before it answered")]
    Gone,
    #[error("the helper's answer is of another version")]
    Strange,
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Failed(String),
}

/// Asks the helper whose socket is in this directory.
pub async fn ask(runtime: &Path, request: &Request) -> Result<(), AskHelperError> {
    match timeout(WITHIN, exchange(&runtime.join(SOCKET), request)).await {
        Ok(Ok(Answer::Done)) => Ok(()),
        Ok(Ok(Answer::Refused(why))) => Err(AskHelperError::Refused(why)),
        Ok(Ok(Answer::Failed(why))) => Err(AskHelperError::Failed(why)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(AskHelperError::Silent),
    }
}

async fn exchange(socket: &Path, request: &Request) -> Result<Answer, AskHelperError> {
    let mut connection = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => AskHelperError::Absent,
        _ => AskHelperError::Unreachable(error),
    })?;
    let uid = connection.peer_cred()?.uid();
    if uid != 0 {
        return Err(AskHelperError::NotRoot { uid });
    }
    let line = serde_json::to_string(request).map_err(|_| AskHelperError::Strange)? + "\n";
    connection.write_all(line.as_bytes()).await?;
    let mut said = String::new();
    BufReader::new(connection.take(LINE_MAX as u64)).read_line(&mut said).await?;
    if said.is_empty() {
        return Err(AskHelperError::Gone);
    }
    serde_json::from_str(&said).map_err(|_| AskHelperError::Strange)
}
