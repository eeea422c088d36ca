//! What is on the glass, in one word and one sentence. Pure; `status`, health, receipts and the server's list say this and
//! nothing of their own.

use tokio::time::Instant;

use super::{
    Show, Supervisor,
    recovery::{Cause, Rung},
};
use crate::{
    display::{
        page::{SiteFault, fault::Blame},
        screen::Panel,
    },
    event::health,
};

/// The one truth. `what` is what should be on the glass, in words.
#[derive(Debug, Clone, PartialEq)]
pub enum Truth {
    /// It is painted, it answers, and as far as anybody can tell the panel shows it.
    Showing {
        what: String,
    },
    Loading {
        what: String,
    },
    /// There is no session with Firefox.
    NoBrowser {
        why: Option<String>,
    },
    /// A page of ours is there instead, and says why.
    Away {
        what: String,
        fault: SiteFault,
        tries: u32,
        /// What this display's clock says, where that may be why.
        clock: Option<String>,
    },
    /// Something is wrong on this display, and this was done about it last.
    Recovering {
        what: String,
        cause: Cause,
        /// Where the cause itself leaves that open.
        why: Option<String>,
        rung: Rung,
    },
    /// It is painted, and there is nothing in it to see.
    Empty {
        what: String,
    },
    /// It is painted, and the glass shows something else.
    Frozen {
        what: String,
    },
    /// It is painted and it answers, and the screen does not show it in the size or the turn that is wanted.
    WrongPicture {
        what: String,
        how: String,
    },
    PanelOff {
        what: String,
        on_purpose: bool,
    },
    /// No screen is plugged in.
    Unplugged {
        what: String,
    },
}

impl Truth {
    /// What should be seen can be seen.
    pub fn is_right(&self) -> bool {
        matches!(self, Truth::Showing { .. })
    }

    /// Somebody has to do something, or recovery is doing it.
    pub fn is_trouble(&self) -> bool {
        !matches!(self, Truth::Showing { .. } | Truth::Loading { .. } | Truth::PanelOff { on_purpose: true, .. })
    }

    /// For programs.
    pub fn name(&self) -> &'static str {
        match self {
            Truth::Showing { .. } => "showing",
            Truth::Loading { .. } => "loading",
            Truth::NoBrowser { .. } => "no-browser",
            Truth::Away { .. } => "away",
            Truth::Recovering { .. } => "recovering",
            Truth::Empty { .. } => "empty",
            Truth::Frozen { .. } => "frozen",
            Truth::WrongPicture { .. } => "wrong-picture",
            Truth::PanelOff { on_purpose: true, .. } => "off-on-purpose",
            Truth::PanelOff { on_purpose: false, .. } => "panel-off",
            Truth::Unplugged { .. } => "unplugged",
        }
    }

    /// One plain sentence without its full stop.
    pub fn sentence(&self) -> String {
        match self {
            Truth::Showing { what } => format!("Showing {what}"),
            Truth::Loading { what } => format!("Loading {what}"),
            Truth::NoBrowser { why: Some(why) } => format!("Waiting for the browser: {why}"),
            Truth::NoBrowser { why: None } => "Waiting for the browser".to_owned(),
            Truth::Away { what, fault, tries, clock } => {
                let clock = clock.as_ref().map(|date| format!(": the clock of this display says {date}"));
                let clock = clock.unwrap_or_default();
                format!("{what} is not on the glass{clock} ({}), tried {}", fault.code(), times((*tries).into()))
            }
            Truth::Recovering { what, cause, why, rung } => {
                let why = why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
                format!("{what} is not on the glass: {}{why}; {}", cause.words(), rung.words())
            }
            Truth::Empty { what } => format!("{what} is empty: it answers, and there is nothing in it to see"),
            Truth::Frozen { what } => format!("{what} answers, and the picture on the glass stands still"),
            Truth::WrongPicture { what, how } => format!("Showing {what} {how}"),
            Truth::PanelOff { on_purpose: true, .. } => "The screen is off on purpose".to_owned(),
            Truth::PanelOff { what, .. } => format!("The screen is off though it should show {what}"),
            Truth::Unplugged { what } => format!("No screen is plugged in; it would show {what}"),
        }
    }

    /// Why nobody can see what was painted, as an error's words; none where they can, or nobody knows better.
    pub fn unseen(&self) -> Option<String> {
        match self {
            Truth::PanelOff { .. } | Truth::Unplugged { .. } | Truth::Frozen { .. } => {
                Some(lower_first(&self.sentence()))
            }
            _ => None,
        }
    }
}

/// How often, in words.
pub fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// A sentence as an error: errors are lower-case fragments.
pub(super) fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

impl Supervisor {
    /// What is on the glass now, as far as this display can tell.
    pub fn truth(&self, now: Instant) -> Truth {
        let what = self.intended();
        let outputs = &self.screen.outputs;
        if !outputs.is_empty() && outputs.iter().all(|output| !output.connected) {
            return Truth::Unplugged { what };
        }
        if self.screen.panel == Panel::Off {
            return Truth::PanelOff { what, on_purpose: !self.panel_is_wanted() };
        }
        let incident = self.recovery().incident().filter(|incident| !incident.is_passing());
        let recovering = incident.map(|it| {
            let why = match it.cause {
                Cause::Profile => self.care.no_profile.as_ref().map(|(why, _)| why.clone()),
                Cause::BrowserLost | Cause::BrowserEnds => self.detached_why.clone(),
                _ => None,
            };
            Truth::Recovering { what: what.clone(), cause: it.cause, why, rung: it.rung }
        });
        if !self.attached {
            return recovering.unwrap_or_else(|| Truth::NoBrowser { why: self.detached_why.clone() });
        }
        if let Some(trouble) = self.content.trouble() {
            let (fault, tries) = (trouble.fault.clone(), trouble.tries);
            return Truth::Away { what, fault, tries, clock: self.wrong_clock() };
        }
        match (self.content.is_showing(), recovering) {
            (true, _) if self.glass_is_frozen(now) => Truth::Frozen { what },
            (true, _) if self.empty_since().is_some() => Truth::Empty { what },
            (true, None) => match self.devices.picture_differs(&self.screen) {
                Some(how) => Truth::WrongPicture { what, how },
                None => Truth::Showing { what },
            },
            (_, Some(recovering)) => recovering,
            (false, None) => Truth::Loading { what },
        }
    }

    /// What is wrong and what was done about it, for health; none while all is well.
    pub fn trouble(&self, now: Instant) -> Option<health::Trouble> {
        let truth = self.truth(now);
        let incident = self.recovery().incident();
        let told = |cause: Cause, rung: Rung, since: Instant| health::Trouble {
            cause: cause.name().to_owned(),
            rung: rung.name().to_owned(),
            since_s: now.saturating_duration_since(since).as_secs(),
            sentence: truth.sentence(),
        };
        match (&truth, self.content.trouble(), incident) {
            // What recovery gave up on is told with its own cause, and not as the site's.
            (Truth::Away { fault, .. }, Some(trouble), incident) => {
                let own = incident.filter(|_| fault.blame() == Blame::Page);
                let (cause, rung) = own.map_or((fault.cause(), Rung::Navigate), |it| (it.cause, it.rung));
                Some(told(cause, rung, trouble.since))
            }
            (truth, _, Some(incident)) if truth.is_trouble() => {
                Some(told(incident.cause, incident.rung, incident.since))
            }
            _ => self.disk_health(now),
        }
    }

    /// What is known of the screen, for health.
    pub fn screen_health(&self, now: Instant) -> Option<health::Screen> {
        let facts = self.screen();
        let output = facts.outputs.iter().find(|output| output.connected);
        if output.is_none() && facts.frame.is_none() && facts.panel == Panel::Unknown {
            return None;
        }
        let lit = match facts.panel {
            Panel::On => Some(true),
            Panel::Off => Some(false),
            Panel::Unknown => None,
        };
        let picture = output.and_then(|output| output.picture);
        let hertz = |millihertz: u32| (millihertz + 500) / 1000;
        Some(health::Screen {
            lit,
            off_on_purpose: lit == Some(false) && !self.panel_is_wanted(),
            name: output.and_then(|output| output.screen.clone()),
            picture: picture.map(|it| match hertz(it.millihertz) {
                // A screen in memory has none.
                0 => format!("{}x{}", it.width, it.height),
                hertz => format!("{}x{} {hertz} Hz", it.width, it.height),
            }),
            frozen: self.glass_is_frozen(now),
            one_colour: facts.frame.and_then(|frame| frame.uniform).map(|[r, g, b]| format!("#{r:02x}{g:02x}{b:02x}")),
        })
    }

    /// What should be on the glass, in words.
    fn intended(&self) -> String {
        match self.content.show() {
            Show::Splash => "the start page".to_owned(),
            Show::Url(url) => self.plain(url),
            Show::Playlist(_) => match self.content.item() {
                // What is on its way is not what is away.
                Some((_, url))
                    if self.content.trouble().is_some_and(|trouble| trouble.in_turn && trouble.url != url) =>
                {
                    "the playlist".to_owned()
                }
                Some((item, url)) => format!("item {} of the playlist, {url}", item + 1),
                None => "the playlist".to_owned(),
            },
        }
    }
}
