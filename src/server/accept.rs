//! The listening socket: who may connect at all, and for how long without saying anything.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Buffer for a request's head; a larger one is answered 431.
const HEAD_MAX: usize = 32 * 1024;
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
}

/// Accepts until `stop`. Returns once no new connection is taken; those open are in `tasks`.
pub async fn run(listener: TcpListener, router: Router, caps: Caps, tasks: &TaskTracker, stop: CancellationToken) {
    let open = Arc::new(Open::default());
    // Every connection inherits it. Best effort: without it a slow reader costs the kernel more memory.
    let _ = setsockopt(&listener, sockopt::SndBuf, &SEND_BUFFER);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        // Over a cap the connection is dropped unanswered: an answer would cost what the cap saves.
        let Some(seat) = Seat::take(&open, peer.ip(), caps) else {
            tracing::info!(%peer, "too many connections");
            continue;
        };
        let _ = stream.set_nodelay(true);
        tasks.spawn(serve(stream, peer, router.clone(), caps.head_wait, seat, stop.clone()));
    }
}

/// The peer of a request.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: SocketAddr,
    /// Held for as long as the connection lives, also as a WebSocket.
    _seat: Arc<Seat>,
}

async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    head_wait: Duration,
    seat: Seat,
    stop: CancellationToken,
) {
    let peer = Peer { address, _seat: Arc::new(seat) };
    let service = tower::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let response = tower::ServiceExt::oneshot(router.clone(), request);
        async move { response.await.map_err(|never: Infallible| never) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_wait)
        .max_buf_size(HEAD_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%address, %error, "a connection ended");
                }
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
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
        let caps = Caps { connections: 4, per_ip: 2, head_wait: Duration::ZERO };
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
