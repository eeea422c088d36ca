//! A client that keeps its positions, as a good one does: what it hears of an address has no gap and no repeat.

use std::{net::SocketAddr, time::Duration};

use pikiosk::event::frame::{Resume, Resumed};

use super::socket::{End, Socket};

pub struct Hearer {
    pub socket: Socket,
    /// The last of each address.
    pub positions: Resume,
    /// Events in all.
    pub heard: u64,
}

impl Hearer {
    pub async fn open(server: SocketAddr, bearer: &str) -> Hearer {
        let mut socket = Socket::open(server, bearer).await.expect("the socket opens");
        let hello = socket.hello().await.expect("a hello");
        let positions = Resume { positions: hello.positions.into_iter().collect() };
        socket.resume(&positions).await.expect("it is resumed");
        Hearer { socket, positions, heard: 0 }
    }

    /// Takes one event.
    pub async fn hear(&mut self) -> Result<(), End> {
        let event = self.socket.take().await?;
        let (Some(address), Some(position)) = (event.subject, event.position) else { return Ok(()) };
        let known = self.positions.positions.insert(address.clone(), position.clone());
        if let Some(known) = known {
            assert_eq!(position.offset, known.offset + 1, "{address}: in order, without a gap");
        }
        self.heard += 1;
        Ok(())
    }

    /// Reads until the socket ends, or nothing came for so long.
    pub async fn hear_all(&mut self, quiet: Duration) -> Option<End> {
        loop {
            match tokio::time::timeout(quiet, self.hear()).await {
                Ok(Ok(())) => {}
                Ok(Err(end)) => return Some(end),
                Err(_) => return None,
            }
        }
    }

    /// Opens a new socket where the old one ended.
    pub async fn come_back(&mut self, server: SocketAddr, bearer: &str) -> Resumed {
        self.socket = Socket::open(server, bearer).await.expect("it may come back");
        self.socket.hello().await.expect("a hello");
        self.socket.resume(&self.positions).await.expect("it is resumed")
    }
}
