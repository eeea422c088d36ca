//! The listening socket: who may connect at all, and for how long without saying anything.
//!
//! ```text
//!  accept -> under the caps? -> connection: first head (10 s) --GET /v1/ws, /wsb--> judged, 101 --> socket::run
//!                                                |--POST /v1/events, small--> http::publish, and the next head
//!                                                |--any other request--> hyper, with the bytes already read
//!                                                '--no HTTP--> problem+json, closed
//! ```
//!
//! A WebSocket that hyper hands over costs 4 to 5 KB for as long as it lives, and four times the processor time of its
//! handshake; hyper still upgrades one that comes as a later request of a kept connection.
//!
//! Rejected: a listener of its own for WebSockets. Every proxy before it would need a second rule.

mod answer;
mod connection;
pub mod head;
mod publish;
mod rewind;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use self::connection::{Host, serve};
pub use self::rewind::Rewind;
use super::App;

/// What the kernel may hold for a peer that reads slowly, in bytes (it doubles this). By default it is 4 MB, which a
/// thousand slow readers would turn into 4 GB.
const SEND_BUFFER: usize = 128 * 1024;
/// After a failed accept (no descriptors left) the loop rests, so that it does not spin.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Bounds on connections.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    pub connections: usize,
    /// Of one address. Loopback is exempt: that is a proxy, or this machine.
    pub per_ip: usize,
    /// A request's head, and with it a WebSocket's handshake, arrives within this, and so does the next on a kept
    /// connection.
    pub head_wait: Duration,
    /// A client that takes nothing of what was written to it for so long is gone.
    pub unread_wait: Duration,
}

/// Accepts until `stop`. Returns once no new connection is taken; those open are in `tasks`.
pub async fn run(listener: TcpListener, app: Arc<App>, router: axum::Router, caps: Caps, stop: CancellationToken) {
    let host = Host { app, router, head_wait: caps.head_wait, stop };
    let open = Arc::new(Open::default());
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            () = host.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Said once: it may fail ten times a second for hours.
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "connections cannot be accepted: tried again ten times a second");
                }
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        is_failing = false;
        // Over a cap the connection is dropped unanswered: an answer would cost what the cap saves.
        let Some(seat) = Seat::take(&open, peer.ip(), caps) else {
            tracing::info!(%peer, "too many connections");
            continue;
        };
        bound(&stream, caps.unread_wait);
        let peer = Peer { address: peer, _seat: Arc::new(seat) };
        host.app.tasks.spawn(serve(host.clone(), stream, peer));
    }
}

/// Of each connection, and not of the listening socket that it would have them from: whoever came before the server did (it
/// starts anew, and systemd holds the socket) would have none. Best effort: without them it works, and costs more.
fn bound(stream: &TcpStream, unread_wait: Duration) {
    let _ = stream.set_nodelay(true);
    let _ = setsockopt(stream, sockopt::SndBuf, &SEND_BUFFER);
    // Whoever asks and never reads would keep its place for ever: hyper waits for it without end.
    let unread_ms = u32::try_from(unread_wait.as_millis()).unwrap_or(u32::MAX);
    let _ = setsockopt(stream, sockopt::TcpUserTimeout, &unread_ms);
}

/// The peer of a request.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: SocketAddr,
    /// Held for as long as the connection lives, also as a WebSocket.
    _seat: Arc<Seat>,
}

#[derive(Debug, Default)]
struct Open {
    by_ip: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// One connection's place under the caps; dropping it gives it back.
#[derive(Debug)]
struct Seat {
    open: Arc<Open>,
    ip: IpAddr,
}

impl Seat {
    fn take(open: &Arc<Open>, ip: IpAddr, caps: Caps) -> Option<Seat> {
        let ip = ip.to_canonical();
        let mut counts = open.by_ip.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, by_ip) = &mut *counts;
        let mine = by_ip.get(&ip).copied().unwrap_or_default();
        if *total >= caps.connections || (mine >= caps.per_ip && !ip.is_loopback()) {
            return None;
        }
        *total += 1;
        *by_ip.entry(ip).or_default() += 1;
        Some(Seat { open: open.clone(), ip })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.open.by_ip.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, by_ip) = &mut *counts;
        *total -= 1;
        if let Some(mine) = by_ip.get_mut(&self.ip) {
            *mine -= 1;
            if *mine == 0 {
                by_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_the_whole_server_have_their_caps_and_loopback_only_the_latter() {
        let open = Arc::new(Open::default());
        let caps = Caps { connections: 4, per_ip: 2, head_wait: Duration::ZERO, unread_wait: Duration::ZERO };
        let (other, loopback): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "127.0.0.1".parse().unwrap());
        let first = Seat::take(&open, other, caps).unwrap();
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        let _second = Seat::take(&open, mapped, caps).unwrap();
        assert!(Seat::take(&open, other, caps).is_none(), "written as IPv6 or not, it is one address");
        let _third = (Seat::take(&open, loopback, caps).unwrap(), Seat::take(&open, loopback, caps).unwrap());
        assert!(Seat::take(&open, loopback, caps).is_none());
        drop(first);
        assert!(Seat::take(&open, other, caps).is_some());
    }
}
