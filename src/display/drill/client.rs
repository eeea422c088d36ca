//! The drill's end of the control socket.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use super::wire::{Answer, Glass, Harm, LINE_MAX, Look, Request, SOCKET};

/// The supervisor answers within milliseconds, an order to the browser loop within 5 s or not at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// Why the supervisor cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("no supervisor listens at {}", .0.display())]
    Absent(PathBuf),
    #[error("only root and the supervisor's own user may do this")]
    NotAllowed,
    #[error("{} is not the supervisor's", .0.display())]
    Forged(PathBuf),
    #[error("the supervisor's socket cannot be used")]
    Socket(#[from] io::Error),
    #[error("the supervisor did not answer")]
    Silent,
    #[error("the supervisor is of another version")]
    Strange,
    #[error("{0}")]
    Refused(String),
}

/// One connection: what it holds is released when it is dropped.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Client {
    pub async fn connect(runtime: &Path) -> Result<Self, ControlError> {
        let path = runtime.join(SOCKET);
        let stream = UnixStream::connect(&path).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::Absent(path.clone()),
            io::ErrorKind::PermissionDenied => ControlError::NotAllowed,
            _ => ControlError::Socket(error),
        })?;
        // Others may make files in that directory: whoever listens must be whose it is, root, or we ourselves.
        let listener = stream.peer_cred()?.uid();
        let trusted = [std::fs::metadata(runtime)?.uid(), 0, nix::unistd::getuid().as_raw()];
        if !trusted.contains(&listener) {
            return Err(ControlError::Forged(path));
        }
        let (reader, writer) = stream.into_split();
        Ok(Client { reader: BufReader::new(reader), writer })
    }

    pub async fn glass(&mut self) -> Result<Glass, ControlError> {
        match self.ask(&Request::Glass {}).await? {
            Answer::Glass(glass) => Ok(glass),
            _ => Err(ControlError::Strange),
        }
    }

    pub async fn hold(&mut self, url: String) -> Result<(), ControlError> {
        self.done(&Request::Hold { url }).await.map(drop)
    }

    pub async fn release(&mut self) -> Result<(), ControlError> {
        self.done(&Request::Release {}).await.map(drop)
    }

    /// The glass as the browser loop sees it.
    pub async fn look(&mut self) -> Result<Look, ControlError> {
        match self.ask(&Request::Look {}).await? {
            Answer::Look(look) => Ok(look),
            _ => Err(ControlError::Strange),
        }
    }

    /// Says what was done, in words.
    pub async fn harm(&mut self, harm: Harm) -> Result<String, ControlError> {
        self.done(&Request::Harm(harm)).await
    }

    async fn done(&mut self, request: &Request) -> Result<String, ControlError> {
        match self.ask(request).await? {
            Answer::Done(what) => Ok(what),
            _ => Err(ControlError::Strange),
        }
    }

    pub async fn ask(&mut self, request: &Request) -> Result<Answer, ControlError> {
        let mut line = serde_json::to_string(request).map_err(|_| ControlError::Strange)?;
        line.push('\n');
        let answered = async {
            self.writer.write_all(line.as_bytes()).await?;
            let mut answer = Vec::new();
            (&mut self.reader).take(LINE_MAX as u64).read_until(b'\n', &mut answer).await?;
            Ok::<_, io::Error>(answer)
        };
        let answer = timeout(ANSWER_WITHIN, answered).await.map_err(|_| ControlError::Silent)??;
        match serde_json::from_slice(&answer) {
            Ok(Answer::Refused(why)) => Err(ControlError::Refused(why)),
            Ok(answer) => Ok(answer),
            Err(_) if answer.is_empty() => Err(ControlError::Silent),
            Err(_) => Err(ControlError::Strange),
        }
    }
}
