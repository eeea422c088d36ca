//! The side of root: one connection, one line, one deed, one line.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    process::Command,
    time::Duration,
};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::{
    Answer, Request,
    clock::{self, Clock},
    deed::{self, Deed},
    request::LINE_MAX,
};

/// The supervisor writes its line at once; who does not is not the supervisor.
const LINE_WITHIN: Duration = Duration::from_secs(5);

/// Why nothing was done, where nobody could be told.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("what was given is no connection of a unix socket: pikiosk-helper.socket starts this, and nobody by hand")]
    NoSocket(#[source] nix::Error),
    #[error("user {uid} asked, and only the supervisor may")]
    Stranger { uid: u32 },
    #[error("no request came")]
    NoLine(#[source] io::Error),
    #[error("the answer could not be given")]
    NoAnswer(#[source] io::Error),
}

/// Reads one request of one of these users, does it, and answers.
pub fn serve(connection: &UnixStream, users: &[u32]) -> Result<(), ServeError> {
    let peer = getsockopt(connection, PeerCredentials).map_err(ServeError::NoSocket)?;
    if !users.contains(&peer.uid()) {
        let refused = Answer::Refused("only the supervisor may ask".to_owned());
        // The stranger may be gone: the log is what counts.
        let _ = answer(connection, &refused);
        return Err(ServeError::Stranger { uid: peer.uid() });
    }
    let line = read_line(connection).map_err(ServeError::NoLine)?;
    let said = match serde_json::from_str::<Request>(&line) {
        Ok(request) => {
            tracing::info!(?request, uid = peer.uid(), "asked");
            done(&request)
        }
        Err(_) => Answer::Refused("this version knows no such request".to_owned()),
    };
    if said != Answer::Done {
        tracing::warn!(?said, "not done");
    }
    answer(connection, &said).map_err(ServeError::NoAnswer)
}

fn read_line(connection: &UnixStream) -> io::Result<String> {
    connection.set_read_timeout(Some(LINE_WITHIN))?;
    let mut line = String::new();
    BufReader::new(connection.take(LINE_MAX as u64)).read_line(&mut line)?;
    if line.ends_with('\n') { Ok(line) } else { Err(io::Error::new(io::ErrorKind::UnexpectedEof, "half a line")) }
}

fn answer(mut connection: &UnixStream, answer: &Answer) -> io::Result<()> {
    connection.set_write_timeout(Some(LINE_WITHIN))?;
    let line = serde_json::to_string(answer).unwrap_or_default() + "\n";
    connection.write_all(line.as_bytes())
}

fn done(request: &Request) -> Answer {
    match deed::of(request, Clock::read) {
        Err(why) => Answer::Refused(why),
        Ok(Deed::Nothing) => Answer::Done,
        Ok(Deed::Run(program, arguments)) => run(program, arguments),
        Ok(Deed::SetClock { unix_ms }) => match clock::set(unix_ms) {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Failed(format!("the clock could not be set: {error}")),
        },
    }
}

/// Its standard streams are not ours: our input is the connection.
fn run(program: &str, arguments: &[&str]) -> Answer {
    match Command::new(program).args(arguments).stdin(std::process::Stdio::null()).output() {
        Ok(output) if output.status.success() => Answer::Done,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let why: String = said.lines().next().unwrap_or("it says nothing").chars().take(200).collect();
            Answer::Failed(format!("{program} {}: {why}", arguments.join(" ")))
        }
        Err(error) => Answer::Failed(format!("{program} could not be run: {error}")),
    }
}
