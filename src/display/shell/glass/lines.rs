//! The lines between the browser loop and the supervisor: who is let in, and what goes either way.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::mpsc,
};

use crate::display::browser::wire::{FromLoop, LINE_MAX};

/// Orders that wait for the loop: as many as are ever under way. A loop that reads none is as good as gone.
const ORDERS_WAITING: usize = 256;

/// One line, and which connection it came from.
#[derive(Debug)]
pub enum Arrived {
    Connected { orders: mpsc::Sender<String> },
    Line(FromLoop),
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
        loop {
            line.clear();
            let mut limited = tokio::io::AsyncReadExt::take(&mut reading, LINE_MAX as u64);
            match limited.read_until(b'\n', &mut line).await {
                Ok(n) if n > 0 && line.ends_with(b"\n") => {}
                _ => return,
            }
            match serde_json::from_slice(&line) {
                Ok(said) => {
                    if hand_on.send(Arrived::Line(said)).await.is_err() {
                        return;
                    }
                }
                Err(error) => tracing::warn!(%error, "the browser loop said what is not known here"),
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
