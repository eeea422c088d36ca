//! The lines between the browser loop and the supervisor: who is let in, and what goes either way.
//!
//! The loop's user is the browser's, and a page that broke out of its browser can say here whatever it likes: how much
//! of it is read, how fast, and how much is held at a time has its bounds.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
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
            let mut limited = tokio::io::AsyncReadExt::take(&mut reading, LINE_MAX as u64);
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
