//! The page that the supervisor serves on loopback: splash, offline, blank, and the items of a playlist.
//!
//! ```text
//!   supervisor ── update(PageState) ──> watch ──┐
//!                                               v
//!   Firefox ── GET /splash#k=SECRET ──> guard ─> assets          (no data in them)
//!           ── GET /state?since=N ────> guard ─> JSON, held until it changes, 25 s at most
//!              x-pikiosk-page: SECRET
//!           ── GET /kept/…?PERMIT ────> guard ─> what is on the card (display/offline)
//! ```
//!
//! Nothing can be changed over HTTP: the server only reads the value that the supervisor set. The page on the glass is
//! a stranger's and shares this machine; what it can do here is in [`guard`].
//!
//! Rejected: a frame around the site, with our own page outside it. A site may refuse to be framed, and its cookies
//! would be a third party's; overlays go in through the browser instead ([`overlay`]).

pub mod assets;
pub mod fault;
pub mod guard;
mod media;
pub mod overlay;
mod range;
pub mod secret;
pub mod serve;
pub mod state;
pub mod words;

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

pub use fault::SiteFault;
pub use secret::Secret;
pub use state::{Outage, PageState, Phase, Picture};

use super::offline::{LastPicture, Offline};

/// What the media page can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    Image,
    Video,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error("the page may listen on loopback only, not on {0}: set [page] listen to 127.0.0.1:PORT")]
    NotLoopback(SocketAddr),
    #[error("the page could not listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// The page's server. It ends when this value is dropped.
#[derive(Debug)]
pub struct Page {
    urls: Urls,
    state: watch::Sender<serve::Current>,
    server: JoinHandle<()>,
}

impl Page {
    /// Listens on a loopback address; port 0 takes a free one. `offline` is what it serves of the card.
    ///
    /// # Errors
    /// [`PageError`]: the address is not loopback, or is taken.
    pub async fn bind(address: SocketAddr, secret: Secret, offline: Offline) -> Result<Self, PageError> {
        if !address.ip().is_loopback() {
            return Err(PageError::NotLoopback(address));
        }
        let failed = |source| PageError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let urls = Urls::new(bound, &secret);
        let guard = guard::Guard::new(&host(bound), bound.port(), secret);
        let (state, watched) = watch::channel(serve::Current::default());
        let server = tokio::spawn(serve::serve(listener, guard, watched, offline));
        Ok(Self { urls, state, server })
    }

    /// Where to send the browser.
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// Changes what the pages say. A change that changes nothing wakes nobody.
    pub fn update(&self, change: impl FnOnce(&mut PageState)) {
        self.state.send_if_modified(|current| {
            let mut next = current.state.clone();
            change(&mut next);
            let differs = next != current.state;
            if differs {
                current.state = next;
                current.rev += 1;
            }
            differs
        });
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The path of [`Urls::start`].
const START: &str = "/start";
const PLAYER: &str = "/media";

/// The addresses of the local pages, with the secret in the fragment: for the browser, never for a log.
#[derive(Clone)]
pub struct Urls {
    address: SocketAddr,
    origin: String,
    secret: Secret,
    /// They stand on the second screen, and tell of its site.
    second: bool,
}

impl Urls {
    pub(crate) fn new(address: SocketAddr, secret: &Secret) -> Self {
        // As a browser writes it: without the port if it is http's own.
        let origin = match address.port() {
            80 => format!("http://{}", host(address)),
            port => format!("http://{}:{port}", host(address)),
        };
        Self { address, origin, secret: secret.clone(), second: false }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, as `location.origin` has it.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What a browser is started with: the splash, or straight on to the wanted site if that is there by then.
    pub fn start(&self) -> String {
        self.at(START)
    }

    pub fn splash(&self) -> String {
        self.at("/splash")
    }

    pub fn offline(&self) -> String {
        self.at("/offline")
    }

    /// The same pages for a second screen: its offline page tells of its own site.
    pub fn of_second(&self) -> Self {
        Self { second: true, ..self.clone() }
    }

    fn at(&self, path: &str) -> String {
        let screen = if self.second { "&screen=2" } else { "" };
        format!("{}{path}#k={}{screen}", self.origin, self.secret.to_hex())
    }

    pub fn blank(&self) -> String {
        self.at("/blank")
    }

    /// The player with one picture or film at `source` (http or https). `turn`: another one with each item, so that each
    /// address is another. `fade`: for so long does the item before fade into it.
    pub fn media(&self, kind: MediaKind, source: &str, turn: u64, fade: Duration) -> String {
        let kind = match kind {
            MediaKind::Image => "image",
            MediaKind::Video => "video",
        };
        let fade = fade.as_millis();
        let mut url = format!("{}&kind={kind}&n={turn}&fade={fade}&src=", self.at(PLAYER));
        url.extend(url::form_urlencoded::byte_serialize(source.as_bytes()));
        url
    }

    /// Whether this is the player with an item.
    pub fn is_media(&self, url: &str) -> bool {
        url.strip_prefix(&self.origin)
            .and_then(|rest| rest.strip_prefix(PLAYER))
            .is_some_and(|rest| rest.starts_with('#'))
    }

    /// How the pages get the last good picture of a site.
    pub fn picture(&self, kept: &LastPicture) -> Picture {
        let path = format!("{}picture/{}", guard::KEPT, kept.name);
        Picture { path: format!("{path}?{}", self.secret.permit(&path)), taken: kept.taken }
    }

    /// Whether a document's URL is one of these pages.
    pub fn owns(&self, url: &str) -> bool {
        url.strip_prefix(&self.origin).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '#', '?']))
    }
}

impl std::fmt::Debug for Urls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Urls({}, ..)", self.origin)
    }
}

/// The address as it stands in a URL.
fn host(address: SocketAddr) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = match address {
        SocketAddr::V4(v4) => write!(text, "{}", v4.ip()),
        SocketAddr::V6(v6) => write!(text, "[{}]", v6.ip()),
    };
    text
}

#[cfg(test)]
mod tests;
