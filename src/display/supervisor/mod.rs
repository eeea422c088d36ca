//! The supervisor's machine: what should be on the glass, what is to be done once, and what became of each. Pure.
//!
//! ```text
//!   Input (past tense) --> Supervisor::step --> Effects, in order
//!                            begin       settings, and what the journal holds of the supervisor before
//!                            heard       what the browser told, given to whom it is for
//!                            journal     what is remembered, and dedupe; intake, receipts: a command's way in and out
//!                            actions     which of these a command is for
//!                            content     the page: load.rs is one load of it; turns, scout, lookout: a playlist; allow, retry
//!                            early, held while there is no session with the browser; while a drill has the glass
//!                            overlays    message, identify, zoom
//!                            jobs        screenshot, health, logs, clear_data, ...
//!                            devices     power, schedule, rotation, brightness, volume: the screen as a device
//!                            second      the page of a second screen
//!                            sounds      sound, say: one after the other, behind the glass
//!                            pulse, look do page and browser answer, and is there anything in the page; ends: do they last
//!                            strays, disk  windows that nobody opened; a card that is full or failed
//!                            home        back to what should be there, once people have gone
//!                            camera      when a picture is taken
//!                            swap        the last picture, held while what is behind it changes; recycle: when a page
//!                                        that has grown is loaded anew
//!                            care        what is wrong (recovery/), and what is done about it
//!                            configure, leaving  settings on trial; reboot and shutdown
//!                            truth       what is on the glass, in one word
//! ```
//!
//! Every command that is taken ends in exactly one receipt: each machine that holds one has a deadline for it, and a
//! restart ends what was cut. An effect that keeps something in the journal stands before the effects that act on it.
//!
//! Rejected: an actor per command. Who repaints, who waits for whom and what a crash leaves behind would be spread over
//! tasks; here it is one value that a test can drop and build again from its journal.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::time::Instant;

use crate::{
    display::{
        journal::{EventKey, Journal, Record},
        screen,
    },
    event::{Event, Receipt, Status},
};

mod actions;
mod allow;
mod begin;
mod camera;
mod care;
mod configure;
mod content;
mod devices;
mod disk;
mod early;
mod ends;
mod heard;
mod held;
mod home;
mod intake;
mod jobs;
mod leaving;
mod load;
mod look;
mod lookout;
mod out;
mod overlay;
mod port;
mod pulse;
mod receipts;
pub mod recovery;
mod recycle;
mod retry;
mod scout;
mod second;
mod sounds;
mod strays;
mod swap;
mod truth;
mod turns;

pub use begin::Setting;
pub use content::{Content, Show, Trouble};
pub use devices::{PanelWanted, WallClock, Why};
pub use leaving::Machine;
pub use out::{Out, Outcome};
pub use port::{
    Answer, Ask, AskError, AskId, DiskFault, DiskTrouble, Effect, Gather, Input, Looked, Overgrown, Painted, Seen,
};
pub use truth::{Truth, times};

use begin::{to_command, to_show};
use care::Care;
use devices::Devices;
use jobs::Jobs;
use leaving::Leaving;
use out::earlier;
use overlay::Overlays;
use pulse::Pulse;
use second::Second;
use sounds::Sounds;
use swap::Swap;

/// A frame's hash comes at most so long after its receipt.
const HASH_WITHIN: std::time::Duration = std::time::Duration::from_millis(900);

/// The machine.
#[derive(Debug)]
pub struct Supervisor {
    setting: Setting,
    journal: Journal,
    content: Content,
    second: Option<Second>,
    overlays: Overlays,
    jobs: Jobs,
    leaving: Leaving,
    configure: configure::Configure,
    camera: camera::Camera,
    devices: Devices,
    sounds: Sounds,
    pulse: Pulse,
    care: Care,
    swap: Swap,
    /// The server's clock in ms since 1970, and when it showed that.
    server_clock: Option<(u64, Instant)>,
    linked: bool,
    attached: bool,
    /// The address of a drill's page that has the place of what should be there.
    held: Option<String>,
    detached_why: Option<String>,
    /// Why what must outlive a power cut cannot be written.
    disk: Option<DiskTrouble>,
    /// When commands of this run were first seen.
    arrived: HashMap<EventKey, Instant>,
    /// Events of the publishers' own types, for a page that is not there yet.
    for_page: VecDeque<Event>,
    /// Whose frame is being hashed.
    hashing: Vec<(AskId, Vec<EventKey>)>,
    /// Of the frame that followed what was shown last.
    frame_sha256: Option<String>,
    started: Instant,
    /// What the browser loop saw of the screen last.
    screen: screen::Facts,
    /// When somebody touched a key, a mouse or the glass last, as far as that is known.
    touched: Option<Instant>,
    next_ask: AskId,
}

impl Supervisor {
    /// One thing happened.
    pub fn step(&mut self, input: Input, now: Instant) -> Vec<Effect> {
        let mut out = Out::new(now, self.next_ask);
        let paints = self.content.paints();
        match input {
            Input::Linked { server_ms, heads } => {
                self.hear_the_clock(server_ms, &mut out);
                self.linked = true;
                // An address that was never read is read from where it stands now.
                let new = heads.into_iter().filter(|(address, _)| !self.journal.positions().contains_key(address));
                let new: BTreeMap<_, _> = new.collect();
                if !new.is_empty() {
                    self.keep(vec![Record::Read(new)], &mut out);
                }
                let untold: Vec<Receipt> = self.journal.untold().cloned().collect();
                untold.into_iter().for_each(|receipt| self.send(receipt, &mut out));
            }
            Input::Unlinked => self.linked = false,
            Input::Delivered(event) => self.delivered(*event, &mut out),
            Input::Attached => self.attached(&mut out),
            Input::Detached { why } => self.detached(why, now),
            Input::Seen(seen) => self.seen(seen, &mut out),
            Input::Answered { ask, answer } => self.answered(ask, &answer, &mut out),
            Input::Probed { ask, result } => {
                let _taken = self.content.probed(ask, result.clone(), &mut out)
                    || self.second.as_mut().is_some_and(|second| second.probed(ask, result, &mut out));
            }
            Input::Gathered { ask, result } => {
                let taken = self.content.gathered(ask, &result, &mut out)
                    || self.leaving.gathered(ask, &result, &mut out)
                    || self.configure.gathered(ask, &result, &mut out)
                    || self.rung_answered(ask, &result);
                if !taken {
                    self.jobs.gathered(ask, result, &mut out);
                }
            }
            Input::ScreenSeen(facts) => {
                let idle = facts.idle_ms.map(std::time::Duration::from_millis);
                self.touched = idle.and_then(|idle| now.checked_sub(idle));
                self.screen_seen(facts, &mut out);
            }
            Input::ClockRead(wall) => {
                self.clock_read(&wall, &mut out);
                self.devices.wall_clock(wall, &mut out);
            }
            Input::Held { url } => self.hold(url, &mut out),
            Input::Released => self.release(&mut out),
            Input::LoopCame => self.loop_changed(true, now),
            Input::LoopGone => self.loop_changed(false, now),
            Input::NoProfile { why } => self.no_profile(why, &mut out),
            Input::DiskFailed(trouble) => self.disk_failed(trouble, &mut out),
            Input::DiskWorked => self.disk_worked(),
            Input::ContentEnded => self.pulse.content_ended(now),
            Input::Overgrown(what) => self.overgrown(&what, &mut out),
            Input::Due => self.due(&mut out),
        }
        if self.content.paints() != paints {
            self.care.painted(self.content.url());
            self.overlays.painted(&mut out);
            self.jobs.painted(&mut out);
            // Between two items of a playlist nothing is to be seen.
            if self.is_showing() || self.content.trouble().is_some() {
                self.swap.painted(now);
            }
        }
        self.look_at_trial(&mut out);
        self.settle_second(&mut out);
        self.swap_item(&mut out);
        self.take_picture(&mut out);
        self.take_care(&mut out);
        self.start_waiting(&mut out);
        self.give_to_page(&mut out);
        self.finish(out)
    }

    /// The next moment at which [`Input::Due`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let machines = earlier(self.content.deadline(), self.jobs.deadline());
        let machines = earlier(machines, earlier(self.configure.deadline(), self.camera.deadline()));
        let machines = earlier(machines, earlier(self.leaving.deadline(), self.care.deadline()));
        let machines = earlier(earlier(machines, self.overlays.deadline()), self.devices.deadline());
        let machines = earlier(machines, earlier(self.sounds.deadline(), self.swap.deadline()));
        let machines = earlier(machines, self.second.as_ref().and_then(Second::deadline));
        earlier(earlier(machines, self.pulse.deadline()), self.expiry())
    }

    /// The server gave this display a name.
    pub fn is_called(&mut self, display: String) {
        self.setting.display = display;
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    pub fn content(&self) -> &Content {
        &self.content
    }

    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// Something of ours was painted since the supervisor started.
    pub fn has_painted(&self) -> bool {
        self.content.paints() > 0
    }

    /// One plain sentence: what the glass shows, or why not.
    pub fn sentence(&self, now: Instant) -> String {
        let mut sentence = self.truth(now).sentence();
        if let Some(passed_over) = self.content.passed_over() {
            sentence = format!("{sentence}; {passed_over}");
        }
        if let Some(second) = &self.second {
            sentence = format!("{sentence}; {}", second.sentence(&self.screen));
        }
        if let Some(disk) = &self.disk {
            sentence = format!("{sentence}; {}", disk.sentence());
        }
        if self.held.is_some() { format!("A drill is under way: {sentence}") } else { sentence }
    }

    /// Of the frame that followed what was shown last.
    pub fn frame_sha256(&self) -> Option<&str> {
        self.frame_sha256.as_deref()
    }

    /// True while what should be on the glass is painted.
    pub fn is_showing(&self) -> bool {
        self.attached && self.content.is_showing()
    }

    /// True while no deadline of any machine is overdue by more than this: the loop turns and its decisions are made.
    pub fn is_on_time(&self, now: Instant, late: std::time::Duration) -> bool {
        self.deadline().is_none_or(|deadline| now < deadline + late)
    }

    /// What the browser loop saw of the screen last.
    pub fn screen(&self) -> &screen::Facts {
        &self.screen
    }

    /// Whether light should come out of the screen, and why.
    pub fn panel(&self) -> PanelWanted {
        self.devices.panel()
    }

    pub fn is_attached(&self) -> bool {
        self.attached
    }

    /// The server's clock now, in ms since 1970, where a server told it.
    pub fn server_ms(&self, now: Instant) -> Option<u64> {
        let (at, seen) = self.server_clock?;
        Some(at + u64::try_from((now - seen).as_millis()).unwrap_or(u64::MAX))
    }

    /// A URL as people may read it: of our own pages, without the secret.
    fn plain(&self, url: &str) -> String {
        if self.setting.urls.owns(url) { "the start page".to_owned() } else { url.to_owned() }
    }

    fn due(&mut self, out: &mut Out) {
        self.content.due(out);
        if let Some(second) = &mut self.second {
            second.due(out);
        }
        self.overlays.due(out);
        self.devices.due(out);
        self.sounds.due(out);
        self.jobs.due(out);
        self.leaving.due(out);
        self.swap_due(out);
        if self.pulse.due(out) == pulse::Verdict::LoadAgain {
            self.content.crashed(out);
        }
        let now = out.now;
        let waiting = self.journal.actions().filter(|taken| !taken.started);
        let expired = waiting.filter(|taken| self.is_expired(taken.expires_ms, now));
        out.ended.extend(expired.map(|taken| (taken.key.clone(), Outcome::of(Status::Expired))));
    }
}

#[cfg(test)]
mod tests;
