//! What the supervisor is told, and what it asks for. Inputs are past tense, effects imperative.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::WallClock;
use crate::{
    display::{
        helper,
        journal::{EventKey, Record},
        page::SiteFault,
        screen,
    },
    event::{
        Address, Event, Position, Receipt,
        command::{Fault, PictureFormat},
    },
};

/// Names one question to the browser or the machine, so that its answer finds the one who asked.
pub type AskId = u64;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The server said hello and was told where to resume: receipts may be sent.
    Linked {
        /// What its clock shows now, in milliseconds since 1970.
        server_ms: u64,
        /// Where each address's history ends.
        heads: BTreeMap<Address, Position>,
    },
    Unlinked,
    /// The server sent an event.
    Delivered(Box<Event>),
    /// The browser loop is there, or is another one than before: it has no session yet.
    LoopCame,
    /// The browser loop is gone, and Firefox with it.
    LoopGone,
    /// The browser loop killed what had taken more memory than it may.
    Overgrown(Overgrown),
    /// Firefox was not started: its profile cannot be written, and where and why not.
    NoProfile {
        why: String,
    },
    /// What must outlive a power cut could not be written.
    DiskFailed(DiskTrouble),
    /// It could, after it could not.
    DiskWorked,
    /// A process that ran pages ended: the page's, or one that nothing needed any more.
    ContentEnded,
    /// A session with the browser is ready: subscribed, preloaded, its one context known.
    Attached,
    /// The browser or its session is gone.
    Detached {
        why: String,
    },
    /// The browser told something by itself.
    Seen(Seen),
    Answered {
        ask: AskId,
        answer: Result<Answer, AskError>,
    },
    /// The site that is not on the glass was asked from outside the browser.
    Probed {
        ask: AskId,
        result: Result<(), SiteFault>,
    },
    /// What was gathered from this machine.
    Gathered {
        ask: AskId,
        result: Result<Value, String>,
    },
    /// The browser loop told what it sees of the screen.
    ScreenSeen(screen::Facts),
    /// This machine's own clock was looked at.
    ClockRead(WallClock),
    /// A drill wants this page on the glass instead of what should be there.
    Held {
        url: String,
    },
    /// The drill is over.
    Released,
    /// The time that [`Supervisor::deadline`](super::Supervisor::deadline) named is here.
    Due,
}

/// A process of Firefox that took more memory than it may.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Overgrown {
    /// It runs pages; otherwise it is Firefox as a whole, which is to be started again.
    pub content: bool,
    /// It had more than it may, and was killed. Otherwise it has most of what it may have.
    pub killed: bool,
    pub megabytes: u64,
    pub limit: u64,
}

/// What the browser tells by itself, of its one top-level context unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// A new document is coming onto the glass.
    Committed {
        navigation: Option<String>,
        url: String,
    },
    /// A jump within the document: nothing is loaded.
    Jumped {
        navigation: Option<String>,
        url: String,
    },
    Painted(Painted),
    /// Another top-level context: nobody asked for it.
    Opened {
        context: String,
    },
    /// Another window that was there when the session began.
    Left {
        context: String,
    },
    /// A dialog stands in the way.
    Prompted {
        context: String,
    },
    /// The one context is gone.
    Closed,
    /// Any of these in a context that is not the one.
    Elsewhere {
        context: String,
        seen: Box<Seen>,
    },
    /// Anything else: the browser lives.
    Alive,
}

/// Why what must outlive a power cut cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// There is no room.
    Full,
    /// The kernel writes nothing to it any more.
    ReadOnly,
    /// Anything else: the card answers with errors, somebody changed whose it is.
    Failed,
}

/// The same in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskTrouble {
    pub fault: DiskFault,
    /// The system's own words, or how much room there is.
    pub why: String,
}

/// A document told that it has been painted.
#[derive(Debug, Clone, PartialEq)]
pub struct Painted {
    /// `document.documentURI`.
    pub uri: String,
    /// The HTTP status of its own answer, where it is known.
    pub status: Option<u16>,
    /// The document's own word that it failed (a picture that could not be read).
    pub failed: Option<String>,
}

/// A question to the browser.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    Navigate {
        url: String,
    },
    Reload {
        ignore_cache: bool,
    },
    /// What document is there? If it has been painted, it tells so, as one that is loaded would. `pages` is the origin of
    /// our own.
    Adopt {
        pages: String,
    },
    /// A function expression with one argument, run in our sandbox; its promise ends at paint.
    Overlay {
        script: &'static str,
        argument: Value,
    },
    /// For this document and those to come.
    Zoom {
        percent: u32,
    },
    /// A DOM event for the page.
    PageEvent {
        name: String,
        data: Value,
    },
    /// Does the page's process answer, and is there anything in the page?
    Pulse,
    /// Does the browser answer?
    BrowserPulse,
    /// The hash of what is on the glass. `of`: the picture may be kept as this page's last good one.
    FrameHash {
        of: Option<String>,
    },
    Screenshot {
        /// The event whose result it is.
        event: String,
        format: PictureFormat,
        width: Option<u32>,
    },
    /// Cookies of all sites.
    ClearCookies,
    /// What the page's own site stored: local storage, databases, caches, service workers.
    ClearStorage,
    /// A tab behind the glass, where a sound can be played; the page on the glass stays.
    OpenAside,
    /// A window beside the one context's, for a second screen.
    OpenBeside,
    /// A question to that window.
    Beside {
        context: String,
        what: Box<Ask>,
    },
    /// Plays a sound there to its end.
    Play {
        context: String,
        url: String,
    },
    CloseContext {
        context: String,
    },
    DismissPrompt {
        context: String,
    },
}

/// What the browser answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Done,
    /// A navigation is under way.
    Navigated {
        navigation: Option<String>,
    },
    /// The tab or window that was asked for.
    Opened {
        context: String,
    },
    /// `document.documentURI`.
    Document {
        uri: String,
    },
    /// What a look into the page found.
    Looked(Looked),
    /// There is no page to look into: Firefox shows something of its own.
    Pageless,
    /// SHA-256 of the PNG of the glass.
    FrameHash(String),
    /// The data of a receipt's `result`.
    Result(Value),
}

/// What there is in the page, as far as people could see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// Nothing at all, on white.
    pub empty: bool,
    /// Something in it may yet fill it: a script, or it is still loading.
    pub may_fill: bool,
    /// How often our own pixel in it was changed, where it is.
    pub beats: Option<u64>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error("the browser did not answer in time")]
    TimedOut,
    #[error("the browser is gone")]
    Gone,
    /// Between two documents, or after a process was killed before it had one.
    #[error("there is no document")]
    Frameless,
    #[error("{0}")]
    Refused(String),
    /// This display lacks the hardware or the program for it.
    #[error("{0}")]
    Lacking(String),
}

/// What is to be gathered from this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gather {
    Health,
    /// Whether the last good picture of this page is on the card. The answer is true or false.
    Picture {
        url: String,
    },
    /// Which version of this picture or film is on the card, whole. The answer is its file's name, or null.
    Copy {
        url: String,
    },
    /// What the site of a playlist's picture or film has now, onto the card. The answer is null.
    Media {
        url: String,
    },
    /// Checks these settings and writes them down for the next start. The answer is why not, in words, or null.
    Configure {
        key: EventKey,
        text: String,
    },
    /// `event` is whose result they are.
    Logs {
        event: String,
        lines: u32,
        unit: Option<String>,
    },
    /// What a drill measures.
    Drill {
        fault: Fault,
    },
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write to the journal; nothing after it is done before it is on disk.
    Keep(Vec<Record>),
    /// Write to the journal; it may reach the disk a little later.
    Note(Vec<Record>),
    Send(Receipt),
    Ask {
        ask: AskId,
        what: Ask,
        within: Duration,
    },
    /// An order to the screen, done by the browser loop. The answer is an [`Input::Answered`].
    Screen {
        ask: AskId,
        order: screen::Order,
        within: Duration,
    },
    /// Something that only root may do. The answer is an [`Input::Gathered`].
    System {
        ask: AskId,
        request: helper::Request,
    },
    /// Make a text a sound. The answer is an [`Input::Answered`] with a `data:` URL.
    Speak {
        ask: AskId,
        text: String,
        voice: String,
    },
    Probe {
        ask: AskId,
        url: String,
    },
    Gather {
        ask: AskId,
        what: Gather,
    },
    /// Kill the processes that run pages; the browser itself stays.
    KillContent {
        why: &'static str,
    },
    /// Open another tab for the page; it is as in a new session.
    ReplaceTab {
        why: &'static str,
    },
    RestartBrowser {
        why: &'static str,
        /// Without the preferences that kiosk.toml lays over the kiosk's own.
        plain: bool,
    },
    /// Take away the last good pictures of pages.
    ForgetPictures,
    /// Take from the disk what is kept there for when the network is away, as far as others need the room; then try to
    /// write again.
    MakeRoom,
    /// Keep what recovery remembers on disk. What ends a session or the machine in this batch is not done without.
    Remember(String),
    /// Settings on trial are kept or, with the reason, taken back at the next start.
    Configured {
        undo: Option<String>,
    },
    /// End the supervisor so that it is started again; by which command.
    Restart {
        by: &'static str,
    },
}
