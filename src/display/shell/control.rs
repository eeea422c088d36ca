//! The control socket: people and programs of this machine ask the supervisor, and a drill holds its glass.
//!
//! Only root and the supervisor's own user are let in, by what the kernel says of the peer (`SO_PEERCRED`). The group is
//! no way in: the browser's user is in it, and every page that breaks out of Firefox would be as well.

use std::{io, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::Shell;
use crate::display::{
    drill::wire::{Answer, Glass, LEASE, LINE_MAX, Request},
    supervisor::{Input, Truth},
};

/// A person, a drill, a status or two; whoever comes besides waits.
const CALLERS_MAX: usize = 4;
/// One for each caller: each waits for its answer before it asks again.
const WAITING: usize = CALLERS_MAX * 2;
/// The loop's answer to an order, for whoever waits for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What a caller says.
#[derive(Debug)]
pub struct Asked {
    /// Which caller.
    from: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Request(Request, oneshot::Sender<Answer>),
    /// The connection ended, or its lease ran out.
    Gone,
}

/// The socket, as the supervisor's loop sees it.
#[derive(Debug)]
pub struct Control {
    asked: mpsc::Receiver<Asked>,
    /// Whose drill has the glass.
    holder: Option<u64>,
}

impl Control {
    /// A supervisor does its work without the socket as well: what is wrong with it is only told.
    pub fn listen(path: &Path) -> Self {
        let (sender, asked) = mpsc::channel(WAITING);
        match bind(path) {
            Ok(listener) => drop(tokio::spawn(accept(listener, sender))),
            Err(error) => tracing::error!(%error, path = %path.display(), "there is no control socket"),
        }
        Control { asked, holder: None }
    }

    /// What is asked next. Safe to drop half-way.
    pub async fn next(&mut self) -> Asked {
        match self.asked.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

impl Shell {
    pub(super) fn controlled(&mut self, asked: Asked) -> Option<Input> {
        let Asked { from, what } = asked;
        let (request, answer) = match what {
            What::Request(request, answer) => (request, answer),
            What::Gone if self.control.holder == Some(from) => {
                tracing::warn!("a drill went away without an end: the display shows what it should");
                return self.release();
            }
            What::Gone => return None,
        };
        let mut input = None;
        let holds = self.control.holder == Some(from);
        let said = match request {
            Request::Status {} => {
                let health = self.health(tokio::time::Instant::now());
                Answer::Status(serde_json::to_value(health).unwrap_or_default())
            }
            Request::Glass {} => Answer::Glass(self.glass_now(holds)),
            Request::Hold { url } => match self.refuses(from) {
                Some(why) => Answer::Refused(why),
                None => {
                    tracing::info!(url, "a drill takes the glass");
                    self.control.holder = Some(from);
                    input = Some(Input::Held { url });
                    Answer::Done("the glass is yours".into())
                }
            },
            Request::Release {} if holds => {
                tracing::info!("a drill gives the glass back");
                input = self.release();
                Answer::Done("the display shows what it should".into())
            }
            Request::Harm(harm) if holds => {
                self.glass.harm(harm, answer);
                return None;
            }
            Request::Look {} => {
                self.glass.look(answer);
                return None;
            }
            Request::Release {} | Request::Harm(_) => Answer::Refused("no drill of yours holds this display".into()),
        };
        // A caller that went away needs no answer.
        let _ = answer.send(said);
        input
    }

    fn release(&mut self) -> Option<Input> {
        self.control.holder = None;
        Some(Input::Released)
    }

    fn refuses(&self, from: u64) -> Option<String> {
        if self.control.holder.is_some_and(|holder| holder != from) {
            return Some("another drill is under way".into());
        }
        self.supervisor.may_not_be_held().map(str::to_owned)
    }

    fn glass_now(&self, holds: bool) -> Glass {
        let content = self.supervisor.content();
        let now = tokio::time::Instant::now();
        let truth = self.supervisor.truth(now);
        Glass {
            showing: self.supervisor.is_showing() && !matches!(truth, Truth::Empty { .. } | Truth::Frozen { .. }),
            offline: self.supervisor.is_attached() && content.is_settled() && content.trouble().is_some(),
            held: holds && self.supervisor.is_held(),
            sentence: truth.sentence(),
            truth: truth.name().to_owned(),
            picture: self.supervisor.screen_health(now).and_then(|screen| screen.picture),
            display: self.glass.x11().to_owned(),
        }
    }
}

/// A socket file that an earlier supervisor left is removed; the directory is ours.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, asked: mpsc::Sender<Asked>) {
    let places = Arc::new(Semaphore::new(CALLERS_MAX));
    let mut from = 0;
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a caller could not be let in");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = asked.closed() => return,
        };
        if !is_allowed(&stream) {
            continue;
        }
        from += 1;
        let asked = asked.clone();
        tokio::spawn(async move {
            if let Err(error) = converse(stream, from, &asked).await {
                tracing::debug!(%error, "a caller broke off");
            }
            // The supervisor may be ending, and then nobody listens.
            let _ = asked.send(Asked { from, what: What::Gone }).await;
            drop(place);
        });
    }
}

fn is_allowed(stream: &UnixStream) -> bool {
    let uid = stream.peer_cred().map(|peer| peer.uid()).ok();
    let allowed = uid.is_some_and(|uid| may_control(uid, nix::unistd::getuid().as_raw()));
    if !allowed {
        tracing::warn!(uid, "somebody else wanted to control this display, and was refused");
    }
    allowed
}

/// Root, and whoever this supervisor is.
fn may_control(peer: u32, own: u32) -> bool {
    peer == 0 || peer == own
}

async fn converse(stream: UnixStream, from: u64, asked: &mpsc::Sender<Asked>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut reader).take(LINE_MAX as u64);
        let read = limited.read_until(b'\n', &mut line);
        // Silence as long as the lease is the end of it.
        let read = timeout(LEASE, read).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if read == 0 || !line.ends_with(b"\n") {
            return Ok(());
        }
        let answer = match serde_json::from_slice(&line) {
            Ok(request) => {
                let (sender, answer) = oneshot::channel();
                let what = What::Request(request, sender);
                asked.send(Asked { from, what }).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
                match timeout(ANSWER_WITHIN, answer).await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(_)) => Answer::Refused("the browser loop is gone".into()),
                    Err(_) => Answer::Refused("there was no answer in time".into()),
                }
            }
            Err(error) => Answer::Refused(format!("this is no request: {error}")),
        };
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        timeout(ANSWER_WITHIN, writer.write_all(&text)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browsers_user_may_not_control_the_display() {
        let (supervisor, browser) = (998, 997);
        assert!(may_control(supervisor, supervisor));
        assert!(may_control(0, supervisor));
        assert!(!may_control(browser, supervisor));
        assert!(!may_control(1000, supervisor), "nor a person without sudo");
    }

    /// A socket, and a supervisor that says yes to everything.
    fn listening() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let mut control = Control::listen(&path);
        tokio::spawn(async move {
            loop {
                if let What::Request(_, answer) = control.next().await.what {
                    let _ = answer.send(Answer::Done("yes".into()));
                }
            }
        });
        (folder, path)
    }

    #[tokio::test]
    async fn nonsense_is_answered_and_a_line_without_an_end_ends_the_conversation() {
        let (_folder, path) = listening();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "whoever else is in the group may not even knock");
        let mut stream = BufReader::new(UnixStream::connect(&path).await.unwrap());
        let mut line = String::new();
        for (said, heard) in [("nonsense", "no request"), ("{\"fly\":{}}", "no request"), ("{\"glass\":{}}", "yes")] {
            stream.write_all(format!("{said}\n").as_bytes()).await.unwrap();
            line.clear();
            stream.read_line(&mut line).await.unwrap();
            assert!(line.contains(heard), "{said}: {line}");
        }
        let _ = stream.write_all(&vec![b'a'; LINE_MAX + 1]).await;
        line.clear();
        assert_eq!(stream.read_line(&mut line).await.unwrap_or(0), 0, "{line}");
    }

    #[tokio::test]
    async fn a_drill_that_goes_away_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let mut control = Control::listen(&path);
        drop(UnixStream::connect(&path).await.unwrap());
        assert!(matches!(control.next().await.what, What::Gone));
    }
}
