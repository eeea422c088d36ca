//! Every fault of a drill there is, what it is in words, and within which time a display must be right again. Pure.

use std::{str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is done to the display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    BrowserKilled,
    BrowserStopped,
    ContentKilled,
    ContentStopped,
    PageHung,
    PageWhite,
    SiteAway,
    SiteBack,
    MemoryHog,
    SupervisorKilled,
    SessionKilled,
    NoNetwork,
    NetworkBack,
    DiskFull,
    BadClock,
    ScreenUnplugged,
}

/// There is no such fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no fault `{name}`: {}", nearest.map_or_else(every_name, |near| format!("did you mean `{near}`?")))]
pub struct UnknownFault {
    pub name: String,
    nearest: Option<&'static str>,
}

fn every_name() -> String {
    format!("there are {}", Fault::ALL.map(Fault::name).join(", "))
}

impl Fault {
    /// In the order in which `--all` makes them.
    pub const ALL: [Self; 16] = [
        Self::BrowserKilled,
        Self::BrowserStopped,
        Self::ContentKilled,
        Self::ContentStopped,
        Self::PageHung,
        Self::PageWhite,
        Self::SiteAway,
        Self::SiteBack,
        Self::MemoryHog,
        Self::SupervisorKilled,
        Self::SessionKilled,
        Self::NoNetwork,
        Self::NetworkBack,
        Self::DiskFull,
        Self::BadClock,
        Self::ScreenUnplugged,
    ];

    /// As it is typed and told.
    pub fn name(self) -> &'static str {
        match self {
            Self::BrowserKilled => "browser-killed",
            Self::BrowserStopped => "browser-stopped",
            Self::ContentKilled => "content-killed",
            Self::ContentStopped => "content-stopped",
            Self::PageHung => "page-hung",
            Self::PageWhite => "page-white",
            Self::SiteAway => "site-away",
            Self::SiteBack => "site-back",
            Self::MemoryHog => "memory-hog",
            Self::SupervisorKilled => "supervisor-killed",
            Self::SessionKilled => "session-killed",
            Self::NoNetwork => "no-network",
            Self::NetworkBack => "network-back",
            Self::DiskFull => "disk-full",
            Self::BadClock => "bad-clock",
            Self::ScreenUnplugged => "screen-unplugged",
        }
    }

    /// What is done, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::BrowserKilled => "Firefox is killed",
            Self::BrowserStopped => "Firefox stands still and answers nothing",
            Self::ContentKilled => "the page's process is killed",
            Self::ContentStopped => "the page's process stands still",
            Self::PageHung => "the page's script loops for ever",
            Self::PageWhite => "the page empties itself",
            Self::SiteAway => "the site is gone when the page is loaded again",
            Self::SiteBack => "the site is there again",
            Self::MemoryHog => "the page takes 5 GB of memory",
            Self::SupervisorKilled => "the supervisor is killed",
            Self::SessionKilled => "the X session's browser loop is killed",
            Self::NoNetwork => "the display has no network any more",
            Self::NetworkBack => "the network is there again",
            Self::DiskFull => "the disk is full, and Firefox is killed",
            Self::BadClock => "the supervisor starts again, in 1970",
            Self::ScreenUnplugged => "the screen is unplugged, and plugged in again",
        }
    }

    /// A display that needs longer has failed. For a Pi 3 these are the same: what they are made of (timeouts, waits)
    /// is not the machine's speed, but for the start of Firefox.
    pub fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::ContentKilled => 1,
            Self::SiteAway | Self::SiteBack | Self::NoNetwork | Self::NetworkBack => 5,
            Self::BrowserKilled | Self::SupervisorKilled | Self::DiskFull | Self::BadClock => 8,
            // From when it is plugged in again.
            Self::ScreenUnplugged => 10,
            Self::PageHung | Self::ContentStopped => 12,
            Self::PageWhite | Self::SessionKilled => 15,
            // Ten seconds of silence, then a start of Firefox.
            Self::BrowserStopped => 20,
            Self::MemoryHog => 30,
        })
    }

    /// True where a page that stands still would notice nothing: it loads itself again at that moment, as many do.
    pub fn needs_reload(self) -> bool {
        matches!(self, Self::NoNetwork | Self::NetworkBack)
    }

    /// What is right while the fault lasts, where that is not the page.
    pub fn right_is_offline_page(self) -> bool {
        matches!(self, Self::SiteAway | Self::NoNetwork)
    }

    /// After this a drill waits no longer: long enough to tell "late" from "never".
    pub fn gives_up(self) -> Duration {
        (self.limit() * 3).max(Duration::from_secs(60))
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        Self::ALL.into_iter().find(|fault| fault.name() == name).ok_or_else(|| {
            let scored = Self::ALL.iter().map(|fault| (strsim::damerau_levenshtein(fault.name(), name), fault.name()));
            let nearest = scored.min().filter(|(distance, best)| *distance <= best.len() / 2).map(|(_, best)| best);
            UnknownFault { name: name.chars().take(64).collect(), nearest }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name_and_a_mistyped_one_is_named() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.name(), "as it travels");
            assert!(fault.limit() < fault.gives_up());
        }
        let error = "browser-kiled".parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains("did you mean `browser-killed`?"), "{error}");
        let error = "xyz".parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains("there are browser-killed, browser-stopped, "), "{error}");
    }

    #[test]
    fn the_limits_are_those_of_the_promise() {
        let limits = [
            (Fault::BrowserKilled, 8),
            (Fault::ContentKilled, 1),
            (Fault::PageHung, 12),
            (Fault::PageWhite, 15),
            (Fault::SiteAway, 5),
            (Fault::SiteBack, 5),
            (Fault::MemoryHog, 30),
        ];
        for (fault, seconds) in limits {
            assert_eq!(fault.limit().as_secs(), seconds, "{}", fault.name());
        }
    }
}
