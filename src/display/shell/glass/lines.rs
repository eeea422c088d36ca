//! The lines between the browser loop and the supervisor: who is let in, and what goes either way.
//!
//! The loop's user is the browser's, and a page that broke out of its browser can say here whatever it likes: how much
//! of it is read, how fast, and how much is held at a time has its bounds.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep, sleep_until},
};

use crate::display::browser::wire::{FromLoop, LINE_MAX};

/// Orders that wait for the loop: as many as are ever under way. A loop that reads none is as good as gone.
const ORDERS_WAITING: usize = 256;

/// Only what Firefox says may be longer, for its pictures.
const OWN_LINE_MAX: usize = 64 * 1024;
/// So many lines are read in a window: a page that leaves as often as Firefox lets it makes a tenth of that.
const LINES_MAX: u32 = 100;
const WINDOW: Duration = Duration::from_millis(100);
/// What is not understood is passed over, for the sake of a newer loop; one that says nothing else is none.
const NONSENSE_MAX: u32 = 100;
/// A loop that is gone comes again after a second; who comes faster waits.
const NEXT_AFTER: Duration = Duration::from_millis(100);

/// One line, and which connection it came from.
#[derive(Debug)]
pub enum Arrived {
    Connected {
        orders: mpsc::Sender<String>,
    },
    /// What was said, and its share of what may be held.
    Line(FromLoop, OwnedSemaphorePermit),
    Gone,
}

/// Takes one loop at a time; a newer one replaces the older.
pub async fn accept(listener: UnixListener, arrived: mpsc::Sender<Arrived>) {
    let mut current: Option<tokio::task::JoinHandle<()>> = None;
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the browser loop could not be let in");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = arrived.closed() => return,
        };
        if let Some(older) = current.take() {
            older.abort();
        }
        let (orders, waiting) = mpsc::channel(ORDERS_WAITING);
        if arrived.send(Arrived::Connected { orders }).await.is_err() {
            return;
        }
        current = Some(tokio::spawn(converse(stream, waiting, arrived.clone())));
        sleep(NEXT_AFTER).await;
    }
}

async fn converse(stream: UnixStream, mut orders: mpsc::Receiver<String>, arrived: mpsc::Sender<Arrived>) {
    let (reading, mut writing) = stream.into_split();
    let write = async move {
        while let Some(line) = orders.recv().await {
            if writing.write_all(line.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    let hand_on = arrived.clone();
    let read = async move {
        let mut reading = BufReader::new(reading);
        let mut line = Vec::new();
        // In all at most as much as one of the longest lines has.
        let room = Arc::new(Semaphore::new(LINE_MAX));
        let (mut nonsense, mut lines, mut began) = (0, 0, Instant::now());
        loop {
            if began.elapsed() >= WINDOW {
                (lines, began) = (0, Instant::now());
            } else if lines == LINES_MAX {
                sleep_until(began + WINDOW).await;
            }
            lines += 1;
            line.clear();
            let mut limited = (&mut reading).take(LINE_MAX as u64);
            match limited.read_until(b'\n', &mut line).await {
                Ok(n) if n > 0 && line.ends_with(b"\n") => {}
                _ => return,
            }
            let size = u32::try_from(line.len()).unwrap_or(u32::MAX);
            let Ok(held) = Arc::clone(&room).acquire_many_owned(size).await else { return };
            match serde_json::from_slice(&line) {
                Ok(said) if line.len() > OWN_LINE_MAX && !matches!(said, FromLoop::Bidi(_)) => {
                    return tracing::warn!(bytes = line.len(), "the browser loop says too much: it is sent away");
                }
                Ok(said) => {
                    if hand_on.send(Arrived::Line(said, held)).await.is_err() {
                        return;
                    }
                }
                Err(_) if nonsense == NONSENSE_MAX => {
                    return tracing::warn!("the browser loop says nothing that is known here: it is sent away");
                }
                Err(error) => {
                    nonsense += 1;
                    let error: String = error.to_string().chars().take(200).collect();
                    tracing::warn!(error, "the browser loop said what is not known here");
                }
            }
            // A picture's megabytes are not kept for the next short line.
            line.shrink_to(64 * 1024);
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    // The supervisor may be ending, and then nobody listens.
    let _ = arrived.send(Arrived::Gone).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// A supervisor that listens, and one that says this to it.
    async fn hearing(said: Vec<u8>) -> (mpsc::Receiver<Arrived>, mpsc::Sender<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("browser.sock");
        let (sender, mut arrived) = mpsc::channel(64);
        tokio::spawn(accept(UnixListener::bind(&path).unwrap(), sender));
        let mut stream = UnixStream::connect(&path).await.unwrap();
        tokio::spawn(async move {
            // Whoever is sent away cannot say the rest.
            let _ = stream.write_all(&said).await;
            let _open = stream.read_u8().await;
        });
        let Some(Arrived::Connected { orders }) = arrived.recv().await else { panic!("it is let in") };
        (arrived, orders)
    }

    #[tokio::test]
    async fn long_lines_wait_at_the_door_until_those_before_are_done_with() {
        let picture = format!("{{\"bidi\":{{\"data\":\"{}\"}}}}\n", "A".repeat(LINE_MAX / 5 * 2));
        let (mut arrived, _orders) = hearing(picture.repeat(3).into_bytes()).await;
        let mut held = Vec::new();
        while held.len() < 2 {
            let next = timeout(SOON, arrived.recv()).await.unwrap().unwrap();
            assert!(matches!(next, Arrived::Line(FromLoop::Bidi(_), _)), "{:.200}", format!("{next:?}"));
            held.push(next);
        }
        assert!(timeout(Duration::from_millis(500), arrived.recv()).await.is_err(), "there is no room for a third");
        drop(held);
        assert!(matches!(timeout(SOON, arrived.recv()).await, Ok(Some(Arrived::Line(FromLoop::Bidi(_), _)))));
    }

    #[tokio::test]
    async fn who_says_too_much_or_nothing_but_nonsense_is_sent_away() {
        let version = "x".repeat(OWN_LINE_MAX);
        let hello = format!("{{\"hello\":{{\"version\":\"{version}\",\"pid\":1,\"display\":\":0\"}}}}\n");
        let nonsense = "{\"of a newer one\":{}}\n".repeat(NONSENSE_MAX as usize + 1);
        for said in [hello, nonsense] {
            let (mut arrived, _orders) = hearing(said.into_bytes()).await;
            assert!(matches!(timeout(SOON, arrived.recv()).await, Ok(Some(Arrived::Gone))));
        }
    }

    #[tokio::test]
    async fn some_lines_that_are_not_known_here_do_no_harm() {
        let said = "{\"of a newer one\":{}}\n".repeat(5) + "{\"attached\":{\"generation\":7}}\n";
        let (mut arrived, _orders) = hearing(said.into_bytes()).await;
        let line = timeout(SOON, arrived.recv()).await.unwrap().unwrap();
        assert!(matches!(line, Arrived::Line(FromLoop::Attached { generation: 7 }, _)));
    }
}
