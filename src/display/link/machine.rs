//! When to connect, when to give up, how long to wait. Pure.
//!
//! ```text
//!              Enrolling --enrolled--> Connecting --opened--> AwaitingHello --hello--> Live
//!                  |                     ^   |                     |                     |
//!                  +------- failed ------|---+---------------------+------- closed ------+
//!                                        |                   v
//!                                        +---- time ---- BackingOff
//! ```

use std::time::Duration;

use tokio::time::Instant;

use crate::event::frame::{CloseCode, come_back_within};

const BACK_OFF_FIRST: Duration = Duration::from_millis(500);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// After "replaced by a newer socket": two that take the place from each other must not do so at speed.
const REPLACED_MIN: Duration = Duration::from_secs(60);
/// A server that says no is asked again soon, once: it may have been started anew between two questions, and have
/// forgotten the first. Then after a minute, four times as long, at most an hour.
const REFUSED_FIRST: Duration = Duration::from_secs(60);
const REFUSED_MAX: Duration = Duration::from_secs(3600);
/// Ticket and upgrade together: two or three round trips, each with a handshake of at most 10 s.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Whatever a server says of its heartbeat: a socket that is silent for longer is gone.
const HEARTBEAT_MAX: Duration = Duration::from_secs(600);
/// A socket that lived so long was a good one: the next back-off begins anew.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// Why there is no socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// Nobody gave this display an enrollment code.
    #[error("this display has no enrollment code: write [server] enrollment into kiosk.toml")]
    NoCode,
    /// There is one, and it cannot be read: nothing is tried.
    #[error("this display has no link: {0}")]
    NoKey(String),
    #[error("the server is busy")]
    Busy { retry_after: Option<Duration> },
    /// The code, the key or the ticket.
    #[error("the server refused this display: {0}")]
    Refused(String),
    #[error("the server does not speak our protocol: {0}")]
    Protocol(String),
    #[error("the server closed the connection: {reason} ({code})")]
    Closed { code: u16, reason: String },
    #[error("the server was silent for too long")]
    Silent,
}

#[derive(Debug)]
pub enum Input {
    Enrolled,
    Opened,
    /// Hello came; the server pings this often.
    Greeted {
        heartbeat: Duration,
    },
    /// Any frame.
    Heard,
    /// Enrolling or connecting failed, or the socket is gone.
    Failed(LinkError),
    Due,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Enroll,
    /// Fetch a ticket and open a socket with it.
    Connect,
    /// Drop what is open or under way.
    Drop,
}

#[derive(Debug, Clone, PartialEq)]
pub enum State {
    Enrolling { deadline: Instant },
    BackingOff { until: Instant, why: LinkError },
    Connecting { deadline: Instant },
    AwaitingHello { deadline: Instant },
    Live { since: Instant, heard: Instant, patience: Duration },
}

/// The machine.
#[derive(Debug)]
pub struct Link {
    state: State,
    enrolled: bool,
    attempts: u32,
    refusals: u32,
    rng: fastrand::Rng,
}

impl Link {
    /// `rng` spreads displays over time, so that they do not come back to a server all at once.
    pub fn new(enrolled: bool, rng: fastrand::Rng, now: Instant) -> (Self, Effect) {
        let mut link = Link { state: State::Connecting { deadline: now }, enrolled, attempts: 0, refusals: 0, rng };
        let effect = link.begin(now);
        (link, effect)
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn deadline(&self) -> Instant {
        match &self.state {
            State::Enrolling { deadline } | State::Connecting { deadline } | State::AwaitingHello { deadline } => {
                *deadline
            }
            State::BackingOff { until, .. } => *until,
            State::Live { heard, patience, .. } => *heard + *patience,
        }
    }

    pub fn step(&mut self, input: Input, now: Instant) -> Option<Effect> {
        let is_early = self.deadline() > now;
        match (input, &mut self.state) {
            (Input::Enrolled, State::Enrolling { .. }) => {
                self.enrolled = true;
                self.refusals = 0;
                Some(self.begin(now))
            }
            (Input::Opened, State::Connecting { .. }) => {
                self.state = State::AwaitingHello { deadline: now + HELLO_WITHIN };
                None
            }
            (Input::Greeted { heartbeat }, State::AwaitingHello { .. }) => {
                self.refusals = 0;
                let patience = heartbeat.min(HEARTBEAT_MAX).mul_f64(2.5).max(Duration::from_secs(1));
                self.state = State::Live { since: now, heard: now, patience };
                None
            }
            (Input::Heard, State::Live { heard, .. }) => {
                *heard = now;
                None
            }
            (Input::Failed(why), state) if !matches!(state, State::BackingOff { .. }) => {
                self.back_off(why, now);
                Some(Effect::Drop)
            }
            (Input::Due, _) if is_early => None,
            (Input::Due, State::BackingOff { .. }) => Some(self.begin(now)),
            (Input::Due, State::Live { .. } | State::AwaitingHello { .. }) => {
                self.back_off(LinkError::Silent, now);
                Some(Effect::Drop)
            }
            (Input::Due, State::Enrolling { .. } | State::Connecting { .. }) => {
                self.back_off(LinkError::Unreachable("it did not answer in time".into()), now);
                Some(Effect::Drop)
            }
            // What comes late from an attempt that was given up.
            (Input::Enrolled | Input::Opened | Input::Greeted { .. } | Input::Heard | Input::Failed(_), _) => None,
        }
    }

    fn begin(&mut self, now: Instant) -> Effect {
        let deadline = now + CONNECT_WITHIN;
        if self.enrolled {
            self.state = State::Connecting { deadline };
            Effect::Connect
        } else {
            self.state = State::Enrolling { deadline };
            Effect::Enroll
        }
    }

    fn back_off(&mut self, why: LinkError, now: Instant) {
        if let State::Live { since, .. } = self.state
            && now - since >= GOOD_AFTER
        {
            self.attempts = 0;
        }
        let jitter = |rng: &mut fastrand::Rng, most: Duration| most.mul_f64(rng.f64());
        let most = BACK_OFF_FIRST.saturating_mul(1 << self.attempts.min(16)).min(BACK_OFF_MAX);
        let full_jitter = jitter(&mut self.rng, most);
        self.attempts = self.attempts.saturating_add(1);
        let wait = match &why {
            LinkError::Closed { code, .. } if *code == CloseCode::Replaced.code() => {
                REPLACED_MIN + jitter(&mut self.rng, REPLACED_MIN / 2)
            }
            // A server that restarts lets go of many: they come back over the time that it names.
            LinkError::Closed { code, reason } if *code == CloseCode::GoingAway.code() => {
                let spread = come_back_within(reason).map(|within| jitter(&mut self.rng, within));
                spread.unwrap_or_default().max(full_jitter)
            }
            LinkError::Closed { code, .. } if *code == CloseCode::TokenExpired.code() => {
                jitter(&mut self.rng, BACK_OFF_FIRST)
            }
            LinkError::Closed { code, .. } if !CloseCode::comes_back(*code) => {
                REFUSED_MAX + jitter(&mut self.rng, REFUSED_MAX / 10)
            }
            LinkError::Refused(_) | LinkError::Protocol(_) | LinkError::NoCode | LinkError::NoKey(_) => {
                self.refusals = self.refusals.saturating_add(1);
                match self.refusals.checked_sub(2) {
                    None => full_jitter + BACK_OFF_FIRST,
                    Some(n) => {
                        let wait = REFUSED_FIRST.saturating_mul(1 << (2 * n.min(8))).min(REFUSED_MAX);
                        wait + jitter(&mut self.rng, wait / 10)
                    }
                }
            }
            // It may be a stranger who says so, a hotel's sign-in page say: the longest numbers are no times.
            LinkError::Busy { retry_after: Some(at_least) } => {
                let at_least = (*at_least).min(REFUSED_MAX);
                full_jitter.max(at_least + jitter(&mut self.rng, at_least / 10)).min(REFUSED_MAX)
            }
            LinkError::Busy { retry_after: None }
            | LinkError::Unreachable(_)
            | LinkError::Closed { .. }
            | LinkError::Silent => full_jitter,
        };
        self.state = State::BackingOff { until: now + wait, why };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn link(now: Instant) -> Link {
        Link::new(true, fastrand::Rng::with_seed(1), now).0
    }

    fn wait_after(link: &mut Link, why: LinkError, now: Instant) -> Duration {
        assert_eq!(link.step(Input::Failed(why), now), Some(Effect::Drop));
        let wait = link.deadline() - now;
        let later = link.deadline();
        assert_eq!(link.step(Input::Due, later), Some(Effect::Connect));
        wait
    }

    fn closed(code: u16) -> LinkError {
        LinkError::Closed { code, reason: "x".into() }
    }

    #[test]
    fn a_new_display_enrolls_first_and_then_connects() {
        let now = Instant::now();
        let (mut link, effect) = Link::new(false, fastrand::Rng::with_seed(1), now);
        assert_eq!(effect, Effect::Enroll);
        assert_eq!(link.step(Input::Failed(LinkError::Unreachable("no network".into())), now), Some(Effect::Drop));
        let again = link.deadline();
        assert_eq!(link.step(Input::Due, again), Some(Effect::Enroll));
        assert_eq!(link.step(Input::Enrolled, again), Some(Effect::Connect));
    }

    #[test]
    fn waits_grow_to_a_minute_and_are_spread_over_all_of_it() {
        let now = Instant::now();
        let mut link = link(now);
        let waits: Vec<Duration> =
            (0..400).map(|_| wait_after(&mut link, LinkError::Unreachable("x".into()), now)).collect();
        assert!(waits[0] <= BACK_OFF_FIRST && waits.iter().all(|wait| *wait <= BACK_OFF_MAX));
        let late = &waits[10..];
        for quarter in 0..4 {
            let range = BACK_OFF_MAX / 4 * quarter..BACK_OFF_MAX / 4 * (quarter + 1);
            assert!(late.iter().filter(|wait| range.contains(*wait)).count() > 40, "{range:?}");
        }
    }

    #[test]
    fn what_the_server_says_when_it_closes_is_honoured() {
        let now = Instant::now();
        for (why, least, most) in [
            (closed(4000), Duration::ZERO, S),
            (closed(1006), Duration::ZERO, S),
            (closed(4002), Duration::ZERO, S),
            (closed(4003), 60 * S, 90 * S),
            (closed(4500), 3600 * S, 3960 * S),
            (closed(4502), 3600 * S, 3960 * S),
            (LinkError::Refused("no".into()), S / 2, S),
            (LinkError::Busy { retry_after: Some(20 * S) }, 20 * S, 22 * S),
            (LinkError::Busy { retry_after: None }, Duration::ZERO, S),
        ] {
            let wait = wait_after(&mut link(now), why.clone(), now);
            assert!((least..=most).contains(&wait), "{why:?}: {wait:?}");
        }
    }

    #[test]
    fn displays_that_a_server_lets_go_together_come_back_over_the_time_it_names() {
        let now = Instant::now();
        let reason = "going away, come back within 10 s".to_owned();
        let mut waits: Vec<Duration> = (0..1_000)
            .map(|seed| {
                let mut link = Link::new(true, fastrand::Rng::with_seed(seed), now).0;
                wait_after(&mut link, LinkError::Closed { code: 4000, reason: reason.clone() }, now)
            })
            .collect();
        waits.sort();
        assert!(waits[999] <= 10 * S);
        for second in 0..10 {
            let within = waits.iter().filter(|wait| wait.as_secs() == second).count();
            assert!((60..=150).contains(&within), "{within} of 1,000 come in second {second}");
        }
    }

    #[test]
    fn a_server_that_keeps_refusing_is_asked_once_an_hour_in_the_end() {
        let now = Instant::now();
        let mut link = link(now);
        let waits: Vec<Duration> =
            (0..6).map(|_| wait_after(&mut link, LinkError::Refused("no".into()), now)).collect();
        assert!(waits[0] <= S && (60 * S..=66 * S).contains(&waits[1]), "{waits:?}");
        assert!((3600 * S..=3960 * S).contains(&waits[5]), "{waits:?}");
    }

    #[test]
    fn silence_of_two_and_a_half_heartbeats_ends_the_socket() {
        let now = Instant::now();
        let mut link = link(now);
        link.step(Input::Opened, now);
        link.step(Input::Greeted { heartbeat: 20 * S }, now);
        link.step(Input::Heard, now + 30 * S);
        assert_eq!(link.step(Input::Due, now + 79 * S), None);
        assert_eq!(link.step(Input::Due, now + 80 * S), Some(Effect::Drop));
        assert!(matches!(link.state(), State::BackingOff { why: LinkError::Silent, .. }));
    }

    #[test]
    fn times_that_no_server_means_end_no_link() {
        let now = Instant::now();
        let busy = LinkError::Busy { retry_after: Some(Duration::from_secs(u64::MAX)) };
        assert!(wait_after(&mut link(now), busy, now) <= REFUSED_MAX);
        let endless = format!("going away, come back within {} s", u64::MAX);
        let away = LinkError::Closed { code: CloseCode::GoingAway.code(), reason: endless };
        assert!(wait_after(&mut link(now), away, now) <= REFUSED_MAX);
        let mut link = link(now);
        link.step(Input::Opened, now);
        link.step(Input::Greeted { heartbeat: Duration::from_secs(u64::MAX) }, now);
        assert!(link.deadline() <= now + 3 * HEARTBEAT_MAX);
    }

    #[test]
    fn every_state_has_an_end() {
        let now = Instant::now();
        let mut link = link(now);
        for input in [None, Some(Input::Opened)] {
            input.into_iter().for_each(|input| assert_eq!(link.step(input, now), None));
            let late = link.deadline();
            assert_eq!(link.step(Input::Due, late), Some(Effect::Drop), "{:?}", link.state());
            let again = link.deadline();
            assert_eq!(link.step(Input::Due, again), Some(Effect::Connect));
        }
    }

    #[test]
    fn a_good_socket_makes_the_next_wait_short_again_and_a_bad_one_does_not() {
        let now = Instant::now();
        let mut link = link(now);
        for _ in 0..10 {
            wait_after(&mut link, LinkError::Silent, now);
        }
        for (lived, short) in [(S, false), (60 * S, true)] {
            link.step(Input::Opened, now);
            link.step(Input::Greeted { heartbeat: 20 * S }, now);
            let attempts = link.attempts;
            wait_after(&mut link, closed(4000), now + lived);
            assert_eq!(link.attempts == 1, short, "{attempts}");
        }
    }
}
