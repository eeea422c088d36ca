//! How a server behaves, with every bound that is not the store's.

use std::time::Duration;

use super::{rate::PerSecond, webhooks::Webhook};
use crate::event::frame::FRAME_MAX;

/// See each field. The store's bounds are in `store::Limits`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Each socket is pinged this often, in ms; one that is silent for 2.5 times as long is closed with 4008.
    pub heartbeat_ms: u64,
    /// Every frame of a JWT's or user's socket carries a token.
    pub per_message: bool,
    /// Origins (`https://host[:port]`) of web pages that may open sockets; empty: only pages of this server's own host.
    pub origins: Vec<String>,
    /// The one origin that displays sign their ticket requests for; None: whatever they call the server by.
    pub name: Option<String>,
    /// How long a socket stays after the end of its token, in ms.
    pub grace_ms: u64,
    /// The largest frame a client may send, in bytes.
    pub frame_bytes: usize,
    /// The largest body of `POST /v1/events`, in bytes.
    pub publish_bytes: usize,
    /// A request's head, and with it a WebSocket's handshake, arrives within this.
    pub handshake: Duration,
    /// A client that takes nothing of what was written to it for so long is gone: longer than a WLAN that comes back, and no
    /// shorter than a silent socket is borne.
    pub unread: Duration,
    /// One line on stdout for each request and socket.
    pub access_log: bool,
    pub webhooks: Vec<Webhook>,
    /// Over how long sockets are let go when the server ends, at most.
    pub goodbye: Duration,
    /// Events that may wait for one socket. A client that is further behind is better served by a resume.
    pub socket_queue: usize,
    /// And their bytes. What a thousand slow sockets of one address hold they share; of their own addresses, each its own.
    pub socket_queue_bytes: usize,
    /// Sockets in all.
    pub sockets: usize,
    /// Sockets of one user: tabs and devices of one person.
    pub sockets_per_user: usize,
    /// Connections in all, sockets included; under the usual limit of 20,000 descriptors.
    pub connections: usize,
    /// Connections of one IP address, except loopback: a site with many displays behind one NAT.
    pub connections_per_ip: usize,
    /// How often one may do something.
    pub rates: PerSecond,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            heartbeat_ms: 25_000,
            per_message: false,
            origins: Vec::new(),
            name: None,
            grace_ms: 10_000,
            frame_bytes: FRAME_MAX,
            publish_bytes: 1024 * 1024,
            handshake: Duration::from_secs(10),
            unread: Duration::from_secs(70),
            access_log: false,
            webhooks: Vec::new(),
            goodbye: Duration::from_secs(10),
            socket_queue: 256,
            socket_queue_bytes: 1024 * 1024,
            sockets: 16_000,
            sockets_per_user: 64,
            connections: 18_000,
            connections_per_ip: 2_000,
            rates: PerSecond { connects: 100, publishes: 50, key_publishes: 0 },
        }
    }
}
