//! The servers that are measured, each started here on free ports of the loopback and ended with its value.

pub mod http;
pub mod mosquitto;
pub mod nats;
pub mod nchan;
pub mod pikiosk;
pub mod tornado;

use std::{io, path::Path};

use futures_util::future::LocalBoxFuture;

use crate::{crowd::Joined, options::Options, usage::Group};

/// What a message is for: every socket, or one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    All,
    One(usize),
}

/// A running server.
pub trait Peer {
    fn name(&self) -> &'static str;

    /// Its processes, and those of the stores and brokers that it cannot do without.
    fn processes(&self) -> Group;

    /// Those that hold the sockets: the memory of a broker that comes and goes by itself says nothing about them.
    fn holders(&self) -> Group {
        self.processes()
    }

    /// Makes what these sockets will need to open, so that opening is measured alone.
    fn admit(&self, _numbers: std::ops::Range<usize>) -> LocalBoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// Opens one socket, authenticated as this server can, subscribed to [`To::All`] and to its own number.
    fn join(&self, number: usize) -> LocalBoxFuture<'_, io::Result<Joined>>;

    fn publisher(&self) -> LocalBoxFuture<'_, Box<dyn Publisher>>;

    /// True where a publisher need not wait for answers: it is at its best when it writes all at once.
    fn open_loop(&self) -> bool;
}

/// One connection that publishes messages of 256 bytes.
pub trait Publisher {
    /// Sends these, in one request or write where the server can; returns when it may send more.
    fn send<'a>(&'a mut self, to: &'a [To]) -> LocalBoxFuture<'a, ()>;

    /// Returns when the server says that it has all of it. Nothing where [`Publisher::send`] has waited for that.
    fn flush(&mut self) -> LocalBoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Starts one by its name in `options`.
pub fn start(name: &str, folder: &Path, options: &Options) -> Option<Box<dyn Peer>> {
    if let Some(kind) = pikiosk::Kind::named(name) {
        return Some(Box::new(pikiosk::Pikiosk::start(folder, options, kind)));
    }
    Some(match name {
        "mosquitto" => Box::new(mosquitto::Mosquitto::start(folder)?),
        "nchan" => Box::new(nchan::Nchan::start(folder)?),
        "tornado" => Box::new(tornado::Tornado::start(folder, options)?),
        "nats" => Box::new(nats::Nats::start(folder)?),
        _ => return None,
    })
}

/// What every message carries.
pub fn payload() -> String {
    "0123456789abcdef".repeat(16)
}

/// A program of this machine; also where only root looks.
pub fn installed(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/usr/local/sbin", "/sbin"]);
    folders.map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}
