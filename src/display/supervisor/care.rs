//! What is found wrong, and what is done about it: the supervisor's hands on [`recovery`](super::recovery).

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{
    Answer, AskError, AskId, Effect, Out, Supervisor, WallClock,
    look::Look,
    out::earlier,
    port::Overgrown,
    recovery::{Cause, Ledger, Recovery, Rung},
    recycle::Recycle,
    strays::Strays,
};
use crate::display::{helper::Request, page::SiteFault, screen::Panel};

/// The pixel that changes every eight seconds has stood still for so long: the glass is frozen, or something lies over it.
const BEAT_STILL: Duration = Duration::from_secs(15);
/// What was done about a frozen glass gets so long to show.
const GLASS_AGAIN: Duration = Duration::from_secs(25);
/// A page that answered within this time is alive: it is asked every three seconds.
const ALIVE: Duration = Duration::from_secs(10);
/// The screen is told of every ten seconds at least; the X server that is silent for so long, twice, is hung. (Twice: it
/// may have been this supervisor that stood still.)
const SCREEN_SILENT: Duration = Duration::from_secs(45);
/// Firefox is tried again every half minute at least; as often something more is done about its profile.
const PROFILE_AGAIN: Duration = Duration::from_secs(30);
/// A clock that goes so far from where it was has been set.
const CLOCK_SET_MS: u64 = 60_000;
/// At the top of a ladder Firefox itself is started again so often.
const BROWSER_AGAIN: Duration = Duration::from_secs(60);

/// What care remembers.
#[derive(Debug)]
pub struct Care {
    pub recovery: Recovery,
    look: Look,
    pub recycle: Recycle,
    pub strays: Strays,
    /// Where and why Firefox's profile cannot be written, and when that was last a fault.
    pub no_profile: Option<(String, Instant)>,
    /// The root helper was asked for a rung.
    asked: Option<(AskId, Rung)>,
    /// Why the last such request was not granted.
    refused: Option<String>,
    /// When Firefox was started again last at the top of a ladder.
    at_the_top: Option<Instant>,
    /// No other rung for a frozen glass before this.
    glass_again: Option<Instant>,
    /// When something was seen of the screen last, or was missed; and whether it was missed once.
    screen_seen: Option<(Instant, bool)>,
    wall: Option<(WallClock, Instant)>,
    /// The page's own count of its beats, and when it was last another one.
    beats: Option<(u64, Instant)>,
}

impl Care {
    pub fn new(now: Instant) -> Self {
        let recovery = Recovery::new(Ledger::default(), now);
        Care {
            recovery,
            look: Look::default(),
            recycle: Recycle::default(),
            strays: Strays::default(),
            no_profile: None,
            asked: None,
            refused: None,
            at_the_top: None,
            glass_again: None,
            screen_seen: None,
            wall: None,
            beats: None,
        }
    }

    /// A document of ours is on the glass.
    pub fn painted(&mut self, wanted: String) {
        self.look.painted(wanted);
        self.glass_again = None;
    }

    pub fn deadline(&self) -> Option<Instant> {
        let silent = self.screen_seen.map(|(at, _)| at + SCREEN_SILENT);
        earlier(self.recovery.deadline(), silent)
    }
}

impl Supervisor {
    /// Goes on with what the disk remembers of earlier rungs.
    pub fn recall(&mut self, ledger: Ledger, now: Instant) {
        self.care.recovery = Recovery::new(ledger, now);
        self.care.recovery.has_helper(self.setting.machine.helper);
    }

    /// Whether what recovery remembers could be written; if not, why.
    pub fn remembers(&mut self, trouble: Option<String>) {
        self.care.recovery.remembers(trouble);
    }

    pub fn recovery(&self) -> &Recovery {
        &self.care.recovery
    }

    /// Since when the page on the glass has nothing in it to see.
    pub fn empty_since(&self) -> Option<Instant> {
        self.care.look.empty_since().filter(|_| self.is_showing())
    }

    /// The panel is to be lit: neither a schedule nor `power` says otherwise.
    pub fn panel_is_wanted(&self) -> bool {
        self.panel().on
    }

    /// The page answers, and the glass does not change as it should.
    pub fn glass_is_frozen(&self, now: Instant) -> bool {
        let still = self.screen.frame.and_then(|frame| frame.beat_still_ms).map(Duration::from_millis);
        let lit = self.screen.panel != Panel::Off && self.panel_is_wanted();
        // A page may stop every timer in it, ours among them: then the pixel says nothing of the glass.
        let beats = self.care.beats.is_none_or(|(_, at)| now.saturating_duration_since(at) < ALIVE);
        lit && beats && self.attached && self.page_is_alive(now) && still.is_some_and(|still| still >= BEAT_STILL)
    }

    pub(super) fn page_is_alive(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.pulse.page_heard()) < ALIVE
    }

    pub(super) fn pulse_answered(&mut self, ask: AskId, answer: &Result<Answer, AskError>, out: &mut Out) -> bool {
        if !self.pulse.answered(ask, answer, out) {
            return false;
        }
        // Firefox does not always say that the page's process died.
        if *answer == Ok(Answer::Pageless) && self.content.has_document() {
            tracing::warn!("the page's process is gone, and Firefox said nothing of it");
            self.pulse.crashed(out.now);
            self.content.crashed(out);
        }
        if let Ok(Answer::Looked(looked)) = answer {
            let before = self.care.beats;
            let beats = looked.beats.map(|count| match before {
                Some((same, at)) if same == count => (same, at),
                _ => (count, out.now),
            });
            self.care.beats = beats;
        }
        let ours = self.setting.urls.owns(&self.content.url());
        if let (Ok(Answer::Looked(looked)), true, false) = (answer, self.content.is_showing(), ours)
            && self.care.look.looked(*looked, out.now)
        {
            out.fault(Cause::PageEmpty);
        }
        true
    }

    pub(super) fn screen_seen(&mut self, facts: crate::display::screen::Facts, out: &mut Out) {
        self.devices.seen(&facts, out);
        self.screen = facts;
        self.care.screen_seen = Some((out.now, false));
        self.go_home(out);
        self.recycle(out);
        let may = self.care.glass_again.is_none_or(|at| out.now >= at);
        if may && self.content.is_settled() && self.glass_is_frozen(out.now) {
            self.care.glass_again = Some(out.now + GLASS_AGAIN);
            // Our own page stands still as well: it is not the site's page that does it.
            out.fault(if self.content.is_showing() { Cause::GlassFrozen } else { Cause::NothingPaints });
        }
    }

    pub(super) fn overgrown(&mut self, what: &Overgrown, out: &mut Out) {
        let Overgrown { content, killed, megabytes, limit } = what;
        if *content && !killed {
            tracing::info!(megabytes, limit, "the page has grown large: it is loaded anew at a quiet moment");
            return self.care.recycle.large(out.now);
        }
        tracing::warn!(content, megabytes, limit, "Firefox took more memory than it may");
        out.fault(if *content { Cause::Memory } else { Cause::BrowserGrown });
    }

    /// The browser loop tries again by itself, and says so each time.
    pub(super) fn no_profile(&mut self, why: String, out: &mut Out) {
        let last = self.care.no_profile.as_ref().map(|(_, at)| *at).filter(|at| out.now < *at + PROFILE_AGAIN);
        if last.is_none() {
            out.fault(Cause::Profile);
        }
        self.care.no_profile = Some((why, last.unwrap_or(out.now)));
    }

    /// At the end of a step: what was found wrong in it is answered, and what is well is noted.
    pub(super) fn take_care(&mut self, out: &mut Out) {
        if let Some((at, missed)) = self.care.screen_seen.filter(|(at, _)| out.now >= *at + SCREEN_SILENT) {
            tracing::warn!(silent_s = (out.now - at).as_secs(), "nothing is seen of the screen");
            self.care.screen_seen = Some((out.now, !missed));
            if missed {
                out.fault(Cause::ScreenHung);
            }
        }
        for cause in std::mem::take(&mut out.faults) {
            self.fault(cause, out);
        }
        let well = self.is_showing() && self.page_is_alive(out.now) && !self.glass_is_frozen(out.now);
        self.care.recovery.is_well(well && self.empty_since().is_none(), out.now);
        self.care.recovery.due(out.now);
    }

    pub(super) fn loop_changed(&mut self, came: bool, now: Instant) {
        self.care.screen_seen = None;
        match came {
            true => self.pulse.loop_came(now),
            false => self.pulse.loop_gone(now),
        }
    }

    /// A clock that was set may be what a certificate waited for.
    pub(super) fn clock_read(&mut self, wall: &WallClock, out: &mut Out) {
        let before = self.care.wall.replace((*wall, out.now));
        let was_set = before.is_some_and(|(before, at)| {
            let passed = u64::try_from((out.now - at).as_millis()).unwrap_or(u64::MAX);
            before.trusted != wall.trusted || (before.unix_ms + passed).abs_diff(wall.unix_ms) > CLOCK_SET_MS
        });
        if was_set && self.content.trouble().is_some_and(|trouble| is_of_certificates(&trouble.fault)) {
            self.content.try_now(out);
        }
    }

    /// The date that this display's clock shows, where nobody has set it and a certificate is refused for it.
    pub fn wrong_clock(&self) -> Option<String> {
        let (wall, _) = self.care.wall.filter(|(wall, _)| !wall.trusted)?;
        let fault = &self.content.trouble()?.fault;
        let at = jiff::Timestamp::from_millisecond(i64::try_from(wall.unix_ms).ok()?).ok()?;
        is_of_certificates(fault).then(|| at.strftime("%Y-%m-%d").to_string())
    }

    /// Where a site sends those who have to sign in, and not what was wanted.
    pub(super) fn is_sign_in(&self, url: &str, wanted: &str) -> bool {
        let login = &self.setting.login;
        !login.is_open() && login.permits(url) && !login.permits(wanted)
    }

    /// The helper's answer to a rung; true if it was one.
    pub(super) fn rung_answered(&mut self, ask: AskId, result: &Result<Value, String>) -> bool {
        let Some((_, rung)) = self.care.asked.take_if(|(asked, _)| *asked == ask) else { return false };
        if let Err(why) = result {
            tracing::error!(why, "{} was not done", rung.words());
        }
        self.care.refused = result.as_ref().err().cloned();
        true
    }

    fn fault(&mut self, cause: Cause, out: &mut Out) {
        // The machine is on its way down: whatever is wrong ends with it.
        if self.leaving.is_under_way() {
            return self.pulse.took(Rung::SaySo, out.now);
        }
        let rung = self.care.recovery.fault(cause, out.now);
        tracing::warn!(cause = cause.name(), "{}: {}", cause.words(), rung.words());
        if !matches!(rung, Rung::Navigate | Rung::SaySo) {
            out.push(Effect::Remember(self.care.recovery.kept(out.now)));
        }
        let took = self.take(rung, cause, out);
        self.pulse.took(took, out.now);
    }

    /// Does what a rung says; returns what was really done.
    fn take(&mut self, rung: Rung, cause: Cause, out: &mut Out) -> Rung {
        let why = cause.words();
        match rung {
            Rung::Navigate => self.content.load_again(out),
            // Of the disk's ladder alone (disk.rs).
            Rung::MakeRoom => {}
            // The browser loop has killed what grew too large; what runs now is another one.
            Rung::ReplaceContent if cause == Cause::Memory => {}
            Rung::ReplaceContent if cause == Cause::TabLost => out.push(Effect::ReplaceTab { why }),
            Rung::ReplaceContent => out.push(Effect::KillContent { why }),
            // It goes on as it is, only too large: the page is still there to be seen.
            Rung::RestartBrowser if cause == Cause::BrowserGrown => self.swap_browser(why, out),
            Rung::RestartBrowser => out.push(Effect::RestartBrowser { why, plain: false }),
            Rung::PlainProfile => out.push(Effect::RestartBrowser { why, plain: true }),
            Rung::RestartSession => self.ask_for(Request::RestartSession, rung, out),
            Rung::Reboot => self.ask_for(Request::Reboot, rung, out),
            Rung::SaySo => return self.say_so(cause, out),
        }
        rung
    }

    /// Asks for what only root may do.
    pub(super) fn ask_for(&mut self, request: Request, rung: Rung, out: &mut Out) {
        self.care.asked = Some((out.system(request), rung));
    }

    /// All was done that may be done: a page of ours says what is wrong, and tries go on.
    fn say_so(&mut self, cause: Cause, out: &mut Out) -> Rung {
        let why = cause.words();
        match cause {
            Cause::PageHung => {
                out.push(Effect::KillContent { why });
                // Our own page may be the silent one: then the page that is wanted keeps its turn.
                match self.content.trouble() {
                    Some(_) => self.content.load_again(out),
                    None => self.content.give_up(SiteFault::Hung, out),
                }
            }
            Cause::PageCrashed => self.content.give_up(SiteFault::Crashed, out),
            Cause::PageStays => self.content.put_aside(out),
            Cause::Memory => self.content.give_up(SiteFault::TooLarge, out),
            Cause::GlassFrozen => self.content.give_up(SiteFault::GlassFrozen, out),
            // It may be white on purpose: it stays, and is loaded again less and less often.
            Cause::PageEmpty => self.content.load_again(out),
            _ if cause.is_of_the_browser() && self.care.at_the_top.is_none_or(|at| out.now >= at + BROWSER_AGAIN) => {
                self.care.at_the_top = Some(out.now);
                out.push(Effect::RestartBrowser { why, plain: false });
                return Rung::RestartBrowser;
            }
            // Content says so by itself, or there is nobody who could.
            _ => {}
        }
        Rung::SaySo
    }
}

/// A wrong clock makes good certificates bad.
fn is_of_certificates(fault: &SiteFault) -> bool {
    matches!(fault, SiteFault::Certificate | SiteFault::CertificateDates | SiteFault::Tls)
}
