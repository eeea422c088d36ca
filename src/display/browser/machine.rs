//! When Firefox is started, ended and started again; and when it has a session. Pure.
//!
//! ```text
//!            url known               listening               session opened
//!   Waiting ----------> Starting ---------------> Up{none} ----------------> Up{open}
//!                          |  too late               | refused, lost            |
//!                          v                         v                          |
//!   BackingOff <------- Ending <--------- exited, or a restart wanted ----------+
//!       |  (every process below us is gone)
//!       +--> Starting
//! ```
//!
//! Firefox is never started before everything of the last one is gone: two on one profile hang.

use std::time::Duration;

use tokio::time::Instant;

/// Firefox says where BiDi listens within 2 to 4 s on a PC; a Pi 3 with a cold card gets this long.
const LISTENING_WITHIN: Duration = Duration::from_secs(90);
/// A killed tree is gone within 2 s; after this we kill it again.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// So many failed starts in a row are tried again at once; then the pause doubles from a second. A start has failed that
/// ended before it gave a session: a Firefox that came up and is killed, however often, is back each time at once (and
/// has cost some seconds of starting, so that nothing spins).
const AT_ONCE: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    UrlKnown,
    SupervisorCame,
    SupervisorGone,
    RestartWanted {
        reason: String,
    },
    StartFailed {
        why: String,
    },
    Listening,
    SessionOpened,
    /// There is no session, and this Firefox will not give one.
    SessionFailed {
        why: String,
    },
    /// The session that was to be closed is closed.
    SessionClosed,
    Exited {
        how: String,
    },
    /// Nothing is left below us.
    TreeGone,
    StopWanted,
    Due,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Start { generation: u64 },
    OpenSession,
    CloseSession,
    KillTree,
    TellStarted { generation: u64 },
    TellAttached { generation: u64 },
    TellExited { generation: u64, why: String, uptime: Duration, pause: Duration },
    Quit,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    /// No supervisor has said what to open.
    Waiting,
    Starting {
        since: Instant,
    },
    Up {
        since: Instant,
        session: Session,
    },
    /// Everything is being killed.
    Ending {
        since: Instant,
        killed: Instant,
        why: String,
        quick: bool,
    },
    BackingOff {
        until: Instant,
    },
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Session {
    None,
    Opening,
    Open,
    Closing,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    state: State,
    generation: u64,
    /// Starts in a row that gave no session.
    failures: u32,
    supervised: bool,
    stopping: bool,
    rng: fastrand::Rng,
}

impl Machine {
    pub fn new(rng: fastrand::Rng) -> Self {
        Machine { state: State::Waiting, generation: 0, failures: 0, supervised: false, stopping: false, rng }
    }

    /// When [`Input::Due`] is to come, if nothing else does first.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting | State::Up { .. } | State::Stopped => None,
            State::Starting { since } => Some(*since + LISTENING_WITHIN),
            State::Ending { killed, .. } => Some(*killed + GONE_WITHIN),
            State::BackingOff { until } => Some(*until),
        }
    }

    /// Takes one input. An input that makes no sense in a state changes nothing.
    pub fn step(&mut self, input: Input, now: Instant) -> Vec<Effect> {
        match input {
            Input::UrlKnown if self.state == State::Waiting => self.start(now),
            Input::SupervisorCame => {
                self.supervised = true;
                self.match_session()
            }
            Input::SupervisorGone => {
                self.supervised = false;
                self.match_session()
            }
            Input::RestartWanted { reason } => self.end(reason, true, now),
            Input::StartFailed { why } => self.end(why, false, now),
            Input::Exited { how } => self.end(how, false, now),
            Input::SessionFailed { why } => self.end(why, false, now),
            Input::StopWanted => {
                self.stopping = true;
                match &self.state {
                    State::Waiting | State::BackingOff { .. } => {
                        self.state = State::Stopped;
                        vec![Effect::Quit]
                    }
                    _ => self.end("the session ends".to_owned(), true, now),
                }
            }
            Input::Listening => match self.state {
                State::Starting { since } => {
                    self.state = State::Up { since, session: Session::None };
                    let mut effects = vec![Effect::TellStarted { generation: self.generation }];
                    effects.extend(self.match_session());
                    effects
                }
                _ => Vec::new(),
            },
            Input::SessionOpened => self.session_is(Session::Open),
            Input::SessionClosed => self.session_is(Session::None),
            Input::TreeGone => self.tree_gone(now),
            Input::Due => self.due(now),
            Input::UrlKnown => Vec::new(),
        }
    }

    fn start(&mut self, now: Instant) -> Vec<Effect> {
        self.generation += 1;
        self.state = State::Starting { since: now };
        vec![Effect::Start { generation: self.generation }]
    }

    fn session_is(&mut self, is: Session) -> Vec<Effect> {
        let State::Up { session, .. } = &mut self.state else { return Vec::new() };
        *session = is;
        if is == Session::Open {
            self.failures = 0;
        }
        let mut effects = Vec::new();
        if is == Session::Open && self.supervised {
            effects.push(Effect::TellAttached { generation: self.generation });
        }
        effects.extend(self.match_session());
        effects
    }

    /// A session where there is a supervisor, and none where there is none.
    fn match_session(&mut self) -> Vec<Effect> {
        let State::Up { session, .. } = &mut self.state else { return Vec::new() };
        match (self.supervised, *session) {
            (true, Session::None) => {
                *session = Session::Opening;
                vec![Effect::OpenSession]
            }
            (false, Session::Open) => {
                *session = Session::Closing;
                vec![Effect::CloseSession]
            }
            // Opening and Closing end by themselves, and then we are asked again.
            _ => Vec::new(),
        }
    }

    fn end(&mut self, why: String, quick: bool, now: Instant) -> Vec<Effect> {
        let since = match &self.state {
            State::Starting { since } | State::Up { since, .. } => *since,
            State::Waiting | State::Ending { .. } | State::BackingOff { .. } | State::Stopped => return Vec::new(),
        };
        self.state = State::Ending { since, killed: now, why, quick };
        vec![Effect::CloseSession, Effect::KillTree]
    }

    fn tree_gone(&mut self, now: Instant) -> Vec<Effect> {
        let State::Ending { since, why, quick, .. } = &self.state else { return Vec::new() };
        let uptime = now.saturating_duration_since(*since);
        let (why, quick) = (why.clone(), *quick);
        if self.stopping {
            self.state = State::Stopped;
            return vec![Effect::Quit];
        }
        let pause = if quick { Duration::ZERO } else { self.pause() };
        self.state = State::BackingOff { until: now + pause };
        vec![Effect::TellExited { generation: self.generation, why, uptime, pause }]
    }

    fn pause(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if self.failures <= AT_ONCE {
            return FIRST_PAUSE;
        }
        let doublings = (self.failures - AT_ONCE - 1).min(16);
        let pause = Duration::from_secs(1 << doublings).min(LONGEST_PAUSE);
        // A fifth of jitter: displays that share a power strip do not all load their page in one moment.
        pause.mul_f64(0.8 + 0.2 * self.rng.f64())
    }

    fn due(&mut self, now: Instant) -> Vec<Effect> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        match &mut self.state {
            State::Starting { .. } => self.end("it did not open its remote control in time".to_owned(), false, now),
            State::Ending { killed, .. } => {
                *killed = now;
                vec![Effect::KillTree]
            }
            State::BackingOff { .. } => self.start(now),
            State::Waiting | State::Up { .. } | State::Stopped => Vec::new(),
        }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
