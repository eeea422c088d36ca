//! The loop's end of the supervisor's socket: one supervisor after the other, each with its orders and what it is told.

use std::{path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixStream, unix::OwnedReadHalf},
    sync::mpsc,
};

use super::{
    run::{Fact, WAITING},
    wire::LINE_MAX,
};

const RECONNECT_FIRST: Duration = Duration::from_millis(100);
const RECONNECT_LONGEST: Duration = Duration::from_secs(2);

/// Meets one supervisor after the other, for ever: connects, reads its orders, writes what it is to know.
pub async fn meet(socket: PathBuf, facts: mpsc::Sender<Fact>) {
    let mut pause = RECONNECT_FIRST;
    let mut told = false;
    loop {
        match UnixStream::connect(&socket).await {
            Ok(stream) => {
                (pause, told) = (RECONNECT_FIRST, false);
                let (reader, mut writer) = stream.into_split();
                let (lines, mut waiting) = mpsc::channel::<String>(WAITING);
                if facts.send(Fact::Supervisor(lines)).await.is_err() {
                    return;
                }
                let write = async {
                    while let Some(mut line) = waiting.recv().await {
                        line.push('\n');
                        if writer.write_all(line.as_bytes()).await.is_err() {
                            break;
                        }
                    }
                };
                tokio::select! {
                    () = write => {}
                    () = read_orders(reader, &facts) => {}
                }
                if facts.send(Fact::SupervisorGone).await.is_err() {
                    return;
                }
                tracing::info!("the supervisor is gone; what is on the glass stays");
            }
            Err(error) => {
                if !told {
                    tracing::info!(socket = %socket.display(), %error, "waiting for the supervisor (pikiosk run)");
                    told = true;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RECONNECT_LONGEST);
            }
        }
    }
}

async fn read_orders(reader: OwnedReadHalf, facts: &mpsc::Sender<Fact>) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_MAX as u64).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        match serde_json::from_slice(&line) {
            Ok(order) => {
                if facts.send(Fact::Ordered(order)).await.is_err() {
                    return;
                }
            }
            // A newer supervisor may know orders that we do not.
            Err(error) => tracing::warn!(%error, "an order cannot be read"),
        }
    }
}
