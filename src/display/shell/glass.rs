//! The browser's side of the shell: the loop's socket, the session on it, and the questions under way.

mod lines;
mod said;
mod tab;

use std::{collections::HashMap, path::Path, time::Duration};

use serde_json::{Value, json, value::RawValue};
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot},
    time::Instant,
};

use self::{
    lines::Arrived,
    said::{Message, clipped},
};
use super::bidi::{self, Call};
use crate::{
    display::{
        browser::wire::{FromLoop, ToLoop},
        drill::wire as drill,
        screen,
        supervisor::{Answer, Ask, AskError, AskId, Overgrown, Seen},
    },
    event::command::PictureFormat,
};

/// Lines from the loop that wait for the supervisor: a page that talks without end slows its own browser down.
const LINES_WAITING: usize = 64;
/// Setting a session up takes milliseconds in a browser that is awake.
const SET_UP_WITHIN: Duration = Duration::from_secs(10);

/// Questions under way; each window that a page opens is one, until it is closed.
const PENDING_MAX: usize = 512;
/// What the screen answers to an order, in bytes.
const SCREEN_ANSWER_MAX: usize = 2048;
/// Why something was not done, in letters.
const WORDS_MAX: usize = 300;

/// What the glass told.
#[derive(Debug)]
pub enum Told {
    LoopCame,
    LoopGone,
    Overgrown(Overgrown),
    NoProfile {
        why: String,
    },
    ContentEnded,
    /// The session is set up.
    Attached,
    Detached {
        why: String,
    },
    Firefox {
        version: String,
    },
    Seen(Seen),
    Screen(screen::Facts),
    Answered {
        ask: AskId,
        answer: Result<Answer, AskError>,
    },
    /// The base64 of a picture, for whoever hashes or scales it.
    Picture {
        ask: AskId,
        what: Picture,
        base64: String,
    },
}

/// What is to become of a picture.
#[derive(Debug, Clone, PartialEq)]
pub enum Picture {
    /// `of`: also kept as this page's last good one, if that is still on the glass.
    Hash {
        of: Option<String>,
    },
    Screenshot {
        event: String,
        format: PictureFormat,
        width: Option<u32>,
    },
}

#[derive(Debug)]
enum Purpose {
    Ask {
        ask: AskId,
        what: Ask,
    },
    /// The n-th step of setting the session up.
    SetUp(usize),
    /// The answer holds the tab that is to have the page.
    NewTab,
    /// The answer holds a new preload script's id.
    ZoomPreload,
    /// Nobody waits for it.
    Aside,
}

#[derive(Debug)]
struct Pending {
    purpose: Purpose,
    deadline: Instant,
}

/// The glass, as the supervisor's loop sees it.
#[derive(Debug)]
pub struct Glass {
    arrived: mpsc::Receiver<Arrived>,
    orders: Option<mpsc::Sender<String>>,
    /// The origin of our own pages, and what Firefox is to be started with.
    pages: String,
    open: String,
    /// Fields of pages bring a keyboard along.
    keyboard: bool,
    next_id: u64,
    pending: HashMap<u64, Pending>,
    /// Orders to the screen that are under way, and until when they are waited for.
    screen_asks: HashMap<AskId, Instant>,
    /// A drill's faults under way: each waits for its answer for as long as it likes.
    harms: HashMap<u64, oneshot::Sender<drill::Answer>>,
    /// The X display of the loop.
    x11: String,
    context: Option<String>,
    attached: bool,
    zoom_preload: Option<String>,
    /// The cache is off until the page that asked for it has painted.
    bypasses_cache: bool,
    generation: Option<u64>,
    starts: u64,
    /// What is to be told before anything new is read.
    ready: std::collections::VecDeque<Told>,
}

impl Glass {
    /// Listens at `path`, which is replaced if it is there.
    pub fn listen(path: &Path, pages: String, open: String, keyboard: bool) -> std::io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        // The browser loop is another user; who may reach the socket is the directory's to say.
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o660))?;
        let (sender, arrived) = mpsc::channel(LINES_WAITING);
        tokio::spawn(lines::accept(listener, sender));
        Ok(Glass {
            arrived,
            orders: None,
            pages,
            open,
            keyboard,
            next_id: 0,
            pending: HashMap::new(),
            screen_asks: HashMap::new(),
            harms: HashMap::new(),
            x11: String::new(),
            context: None,
            attached: false,
            zoom_preload: None,
            bypasses_cache: false,
            generation: None,
            starts: 0,
            ready: std::collections::VecDeque::new(),
        })
    }

    /// How often Firefox was started since the supervisor was.
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// What comes next. Safe to drop half-way.
    pub async fn next(&mut self) -> Told {
        loop {
            if let Some(told) = self.ready.pop_front() {
                return told;
            }
            let deadlines = self.pending.values().map(|pending| &pending.deadline).chain(self.screen_asks.values());
            let deadline = deadlines.min().copied();
            let late = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                arrived = self.arrived.recv() => match arrived {
                    Some(arrived) => self.take(arrived),
                    None => std::future::pending().await,
                },
                () = late => self.time_out(),
            }
        }
    }

    /// Asks the browser; [`next`](Self::next) brings the answer, in any case.
    pub fn ask(&mut self, ask: AskId, what: Ask, within: Duration) {
        let may = self.attached && self.pending.len() < PENDING_MAX;
        let Some(context) = self.context.clone().filter(|_| may) else {
            self.ready.push_back(Told::Answered { ask, answer: Err(AskError::Gone) });
            return;
        };
        if let Ask::Zoom { percent } = &what {
            let aside = Instant::now() + within;
            if let Some(script) = self.zoom_preload.take() {
                self.call(bidi::remove_preload(&script), Purpose::Aside, aside);
            }
            self.call(bidi::zoom_preload(*percent), Purpose::ZoomPreload, aside);
        }
        if let Ask::Reload { ignore_cache: true } = &what {
            self.bypasses_cache = true;
            self.call(bidi::bypass_cache(true), Purpose::Aside, Instant::now() + within);
        }
        let call = bidi::to_call(&what, &context, self.keyboard);
        self.call(call, Purpose::Ask { ask, what }, Instant::now() + within);
    }

    /// Orders something of the screen; [`next`](Self::next) brings the answer, in any case. It needs the loop and no
    /// session with Firefox.
    pub fn screen(&mut self, ask: AskId, order: screen::Order, within: Duration) {
        if self.orders.is_none() {
            return self.ready.push_back(Told::Answered { ask, answer: Err(AskError::Gone) });
        }
        self.screen_asks.insert(ask, Instant::now() + within);
        self.order(&ToLoop::Screen { ask, order });
    }

    /// The X display of the browser loop.
    pub fn x11(&self) -> &str {
        &self.x11
    }

    /// Orders a drill's fault; a dropped sender says that the loop is gone.
    pub fn harm(&mut self, harm: drill::Harm, answer: oneshot::Sender<drill::Answer>) {
        self.for_drill(answer, |ask| ToLoop::Harm { ask, harm });
    }

    /// Asks what colour the glass has; the same of a loop that is gone.
    pub fn look(&mut self, answer: oneshot::Sender<drill::Answer>) {
        self.for_drill(answer, |ask| ToLoop::Look { ask });
    }

    fn for_drill(&mut self, answer: oneshot::Sender<drill::Answer>, order: impl Fn(u64) -> ToLoop) {
        self.harms.retain(|_, answer| !answer.is_closed());
        self.next_id += 1;
        if self.orders.is_some() {
            self.harms.insert(self.next_id, answer);
            self.order(&order(self.next_id));
        }
    }

    /// `plain`: without the preferences that kiosk.toml lays over the kiosk's own.
    pub fn restart(&mut self, why: &str, plain: bool) {
        self.order(&ToLoop::Restart { reason: why.to_owned(), plain });
    }

    pub fn kill_content(&mut self, why: &str) {
        self.order(&ToLoop::KillContent { reason: why.to_owned() });
    }

    fn take(&mut self, arrived: Arrived) {
        match arrived {
            Arrived::Connected { orders } => {
                self.detach("the browser loop is another one");
                self.orders = Some(orders);
                self.ready.push_back(Told::LoopCame);
                self.order(&ToLoop::Open { url: self.open.clone() });
                self.order(&ToLoop::Attach {});
            }
            Arrived::Gone => {
                self.orders = None;
                self.harms.clear();
                for (ask, _) in self.screen_asks.drain() {
                    self.ready.push_back(Told::Answered { ask, answer: Err(AskError::Gone) });
                }
                self.detach("the browser loop is gone");
                self.ready.push_back(Told::LoopGone);
            }
            Arrived::Line(line, _held) => self.heard(line),
        }
    }

    fn heard(&mut self, line: FromLoop) {
        match line {
            FromLoop::Hello { version, pid, display } => {
                let (version, x11) = (said::name(&version), said::name(&display));
                tracing::info!(version, pid, x11, "the browser loop is there");
                self.x11 = x11;
            }
            FromLoop::Started { pid, generation, firefox } => {
                // Told again once a session knows the version.
                if self.generation != Some(generation) {
                    tracing::info!(pid, generation, "Firefox started");
                    (self.generation, self.starts) = (Some(generation), self.starts + 1);
                }
                self.ready.push_back(Told::Firefox { version: said::name(&firefox) });
            }
            FromLoop::Attached { generation } => {
                self.detach("its session is a new one");
                tracing::info!(generation, "a session with Firefox is ready");
                self.set_up(0);
            }
            FromLoop::Exited { status, uptime_ms, next_start_ms, .. } => {
                let status = clipped(&status, WORDS_MAX);
                let why =
                    format!("Firefox ended ({status}) after {} s, next start in {next_start_ms} ms", uptime_ms / 1000);
                self.detach(&why);
                self.ready.push_back(Told::Detached { why });
            }
            FromLoop::NoProfile { why } => {
                self.ready.push_back(Told::NoProfile { why: clipped(&why, WORDS_MAX) });
            }
            FromLoop::Overgrown(what) => self.ready.push_back(Told::Overgrown(what)),
            FromLoop::ContentEnded {} => self.ready.push_back(Told::ContentEnded),
            FromLoop::Sees(facts) => self.ready.push_back(Told::Screen(said::of_screen(facts))),
            FromLoop::Harmed { ask, result } => {
                if let Some(answer) = self.harms.remove(&ask) {
                    // Whoever asked may have gone.
                    let _ = answer.send(result.map_or_else(drill::Answer::Refused, drill::Answer::Done));
                }
            }
            FromLoop::Looked { ask, result } => {
                if let Some(answer) = self.harms.remove(&ask) {
                    let _ = answer.send(result.map_or_else(drill::Answer::Refused, drill::Answer::Look));
                }
            }
            FromLoop::Screen { ask, result } => {
                // A late answer to what was given up is dropped.
                if self.screen_asks.remove(&ask).is_some() {
                    let answer = match result {
                        Ok(result) if result.to_string().len() <= SCREEN_ANSWER_MAX => Ok(Answer::Result(result)),
                        Ok(_) => Err(AskError::Refused("the screen answers too much".to_owned())),
                        Err(screen::Refusal::Lacking(why)) => Err(AskError::Lacking(clipped(&why, WORDS_MAX))),
                        Err(screen::Refusal::Failed(why)) => Err(AskError::Refused(clipped(&why, WORDS_MAX))),
                    };
                    self.ready.push_back(Told::Answered { ask, answer });
                }
            }
            FromLoop::Bidi(message) => {
                tracing::trace!(message = shortened(message.get()), "Firefox said");
                match serde_json::from_str::<Message<'_>>(message.get()) {
                    Ok(message) => self.message(&message),
                    Err(error) => tracing::warn!(%error, "Firefox said what is no JSON"),
                }
            }
        }
    }

    fn message(&mut self, message: &Message<'_>) {
        if let Some(id) = message.id {
            // A late answer to what was given up is dropped.
            if let Some(pending) = self.pending.remove(&id) {
                let result = match message.kind.as_deref() {
                    Some("success") => Ok(message.result()),
                    _ => Err(AskError::Refused(message.words())),
                };
                self.answered(pending.purpose, result);
            }
            return;
        }
        let (Some(method), Some(context)) = (message.method.as_deref(), &self.context) else { return };
        let seen = bidi::to_seen(method, &message.params(), context);
        if matches!(seen, Seen::Painted(_)) && std::mem::take(&mut self.bypasses_cache) {
            self.call(bidi::bypass_cache(false), Purpose::Aside, Instant::now() + SET_UP_WITHIN);
        }
        self.ready.push_back(Told::Seen(seen));
    }

    fn answered(&mut self, purpose: Purpose, result: Result<Value, AskError>) {
        match (purpose, result) {
            (Purpose::Aside, _) => {}
            (Purpose::ZoomPreload, Ok(result)) => self.zoom_preload = result["script"].as_str().map(str::to_owned),
            (Purpose::ZoomPreload, Err(error)) => tracing::warn!(%error, "pages to come will not be zoomed"),
            (Purpose::SetUp(step), Ok(result)) => {
                self.take_tabs(&result);
                self.set_up(step + 1);
            }
            (Purpose::SetUp(step), Err(error)) => {
                tracing::error!(step, %error, "the session with Firefox cannot be used");
                self.restart("its session cannot be used", false);
            }
            (Purpose::NewTab, result) => self.new_tab(result),
            (Purpose::Ask { ask, what }, Ok(mut result)) => {
                let picture = match &what {
                    Ask::FrameHash { of } => Some(Picture::Hash { of: of.clone() }),
                    Ask::Screenshot { event, format, width } => {
                        Some(Picture::Screenshot { event: event.clone(), format: *format, width: *width })
                    }
                    _ => None,
                };
                let told = match (picture, result["data"].take()) {
                    (Some(what), Value::String(base64)) => Told::Picture { ask, what, base64 },
                    _ => Told::Answered { ask, answer: bidi::to_answer(&what, &result) },
                };
                self.ready.push_back(told);
            }
            (Purpose::Ask { ask, what }, Err(error)) => {
                self.ready.push_back(Told::Answered { ask, answer: bidi::to_error(&what, error) });
            }
        }
    }

    fn set_up(&mut self, step: usize) {
        match bidi::set_up(&self.pages, self.keyboard).into_iter().nth(step) {
            Some(call) => self.call(call, Purpose::SetUp(step), Instant::now() + SET_UP_WITHIN),
            None if self.context.is_some() => {
                self.attached = true;
                self.ready.push_front(Told::Attached);
            }
            None => self.restart("it has no window", false),
        }
    }

    /// Ends what was under way in the session that is gone.
    fn detach(&mut self, why: &str) {
        let was_attached = std::mem::take(&mut self.attached);
        (self.context, self.zoom_preload, self.bypasses_cache) = (None, None, false);
        for (_, pending) in self.pending.drain() {
            if let Purpose::Ask { ask, .. } = pending.purpose {
                self.ready.push_back(Told::Answered { ask, answer: Err(AskError::Gone) });
            }
        }
        if was_attached {
            self.ready.push_back(Told::Detached { why: why.to_owned() });
        }
    }

    fn time_out(&mut self) {
        let now = Instant::now();
        for (ask, _) in self.screen_asks.extract_if(|_, deadline| *deadline <= now) {
            self.ready.push_back(Told::Answered { ask, answer: Err(AskError::TimedOut) });
        }
        let late: Vec<u64> =
            self.pending.iter().filter(|(_, pending)| pending.deadline <= now).map(|(id, _)| *id).collect();
        for id in late {
            if let Some(pending) = self.pending.remove(&id) {
                self.answered(pending.purpose, Err(AskError::TimedOut));
            }
        }
    }

    fn call(&mut self, call: Call, purpose: Purpose, deadline: Instant) {
        self.next_id += 1;
        tracing::trace!(id = self.next_id, method = call.method, params = shortened(&call.params.to_string()), "asked");
        let command = json!({ "id": self.next_id, "method": call.method, "params": call.params });
        self.pending.insert(self.next_id, Pending { purpose, deadline });
        if let Ok(raw) = RawValue::from_string(command.to_string()) {
            self.order(&ToLoop::Bidi(raw));
        }
    }

    fn order(&mut self, order: &ToLoop) {
        let Some(orders) = &self.orders else { return };
        let Ok(mut line) = serde_json::to_string(order) else { return };
        line.push('\n');
        if orders.try_send(line).is_err() {
            self.orders = None;
            self.detach("the browser loop takes no orders");
        }
    }
}

/// The beginning of what was said, for the log.
fn shortened(text: &str) -> &str {
    let end = (0..=text.len().min(300)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}
