//! What can be wrong, what may be done about it, and how often.

use std::time::Duration;

use crate::display::page::{SiteFault, fault::Blame};

/// Why the right page is not on the glass, as far as this display can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The site: TCP, TLS, HTTP, a certificate, a status, an answer that cannot be read.
    Site,
    /// Between here and there: DNS, no address, no route, a proxy.
    Network,
    /// The wall clock of this display is not right yet, and so no certificate is.
    Clock,
    /// The site wants somebody to sign in.
    Login,
    /// What it was told to show cannot be shown by anybody.
    Setting,
    /// The page's process answers nothing.
    PageHung,
    /// The page's process died, soon after it began.
    PageCrashed,
    /// The page before puts aside each order for the next one.
    PageStays,
    /// The page answers, and there is nothing in it to see.
    PageEmpty,
    /// The page answers, and the glass shows another picture, or always the same.
    GlassFrozen,
    /// After its processes were killed the page does not come back.
    ContentLost,
    /// The page's tab has no document at all, and takes no order for one.
    TabLost,
    /// Firefox answers nothing.
    BrowserHung,
    /// Firefox gives no session, or none that can be used.
    BrowserLost,
    /// Firefox ends again and again, and nothing was painted.
    BrowserEnds,
    /// Not even the local page comes onto the glass.
    NothingPaints,
    /// The page took more memory than it may.
    Memory,
    /// Firefox itself did.
    BrowserGrown,
    /// Firefox's one window was closed.
    WindowClosed,
    /// Windows that nobody asked for open faster than they are closed.
    Strays,
    /// Firefox is not started: its profile cannot be written.
    Profile,
    /// Nothing is seen of the screen any more: the X server answers nothing.
    ScreenHung,
    /// Nobody is there to keep Firefox: the X session, or the X server, is gone.
    SessionLost,
    /// Browser loops come and end again, and nothing was painted.
    SessionEnds,
    /// What must outlive a power cut has no room on the disk. The page stays on the glass.
    DiskFull,
    /// The disk takes nothing more: the kernel has made it read-only, or met errors on it.
    DiskFailed,
}

/// What can be done, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Load the page again.
    Navigate,
    /// Take what pikiosk itself keeps for later from the disk.
    MakeRoom,
    /// Kill the processes that run the page, and load it again.
    ReplaceContent,
    /// Start Firefox again, with its fresh profile as ever.
    RestartBrowser,
    /// Start Firefox again without the preferences that kiosk.toml lays over the kiosk's own.
    PlainProfile,
    /// End the X session: a new one begins.
    RestartSession,
    Reboot,
    /// A page of ours says in words what is wrong, and tries go on.
    SaySo,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

impl Cause {
    pub const ALL: [Cause; 26] = [
        Cause::Site,
        Cause::Network,
        Cause::Clock,
        Cause::Login,
        Cause::Setting,
        Cause::PageHung,
        Cause::PageCrashed,
        Cause::PageStays,
        Cause::PageEmpty,
        Cause::GlassFrozen,
        Cause::ContentLost,
        Cause::TabLost,
        Cause::BrowserHung,
        Cause::BrowserLost,
        Cause::BrowserEnds,
        Cause::NothingPaints,
        Cause::Memory,
        Cause::BrowserGrown,
        Cause::WindowClosed,
        Cause::Strays,
        Cause::Profile,
        Cause::ScreenHung,
        Cause::SessionLost,
        Cause::SessionEnds,
        Cause::DiskFull,
        Cause::DiskFailed,
    ];

    /// What may be done, lowest first. The last is where it stays when all else was done.
    pub fn ladder(self) -> &'static [Rung] {
        use Rung::{MakeRoom, Navigate, PlainProfile, Reboot, ReplaceContent, RestartBrowser, RestartSession, SaySo};
        match self {
            // Nothing on this machine is at fault: it says so, and tries again at its own pace.
            Cause::Site | Cause::Network | Cause::Clock | Cause::Login | Cause::Setting => &[Navigate, SaySo],
            // The page may be at fault, for ever, and a machine that reboots for a page never shows another.
            Cause::PageHung => &[ReplaceContent, RestartBrowser, SaySo],
            Cause::PageCrashed => &[Navigate, RestartBrowser, SaySo],
            // Without its process it is gone; what is put aside then is a download, or no page.
            Cause::PageStays => &[ReplaceContent, SaySo],
            Cause::PageEmpty => &[Navigate, ReplaceContent, SaySo],
            Cause::Memory => &[ReplaceContent, RestartBrowser, SaySo],
            Cause::GlassFrozen => &[Navigate, ReplaceContent, RestartBrowser, SaySo],
            Cause::TabLost => &[ReplaceContent, RestartBrowser, PlainProfile, SaySo],
            Cause::ContentLost | Cause::BrowserGrown | Cause::WindowClosed | Cause::Strays => {
                &[RestartBrowser, PlainProfile, SaySo]
            }
            // The local page needs no network and no site: this machine is at fault.
            Cause::BrowserHung | Cause::BrowserLost | Cause::NothingPaints => {
                &[RestartBrowser, PlainProfile, RestartSession, Reboot, SaySo]
            }
            // It was started again each time as it is.
            Cause::BrowserEnds => &[PlainProfile, RestartSession, Reboot, SaySo],
            // Each start empties the profile: that is the room there is to be made. The session has it anew, and a boot
            // mounts it anew.
            Cause::Profile => &[RestartBrowser, RestartSession, Reboot, SaySo],
            Cause::ScreenHung | Cause::SessionLost | Cause::SessionEnds => &[RestartSession, Reboot, SaySo],
            Cause::DiskFull => &[MakeRoom, SaySo],
            // The next start checks the file system, and repairs it if it can.
            Cause::DiskFailed => &[Reboot, SaySo],
        }
    }

    /// Where it stays when all else was done.
    pub fn top(self) -> Rung {
        self.ladder().last().copied().unwrap_or(Rung::SaySo)
    }

    /// The short name, for status and health.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Site => "site",
            Cause::Network => "network",
            Cause::Clock => "clock",
            Cause::Login => "login",
            Cause::Setting => "setting",
            Cause::PageHung => "page-hung",
            Cause::PageCrashed => "page-crashed",
            Cause::PageStays => "page-stays",
            Cause::PageEmpty => "page-empty",
            Cause::GlassFrozen => "glass-frozen",
            Cause::ContentLost => "content-lost",
            Cause::TabLost => "tab-lost",
            Cause::BrowserHung => "browser-hung",
            Cause::BrowserLost => "browser-lost",
            Cause::BrowserEnds => "browser-ends",
            Cause::NothingPaints => "nothing-paints",
            Cause::Memory => "memory",
            Cause::BrowserGrown => "browser-grown",
            Cause::WindowClosed => "window-closed",
            Cause::Strays => "strays",
            Cause::Profile => "profile",
            Cause::ScreenHung => "screen-hung",
            Cause::SessionLost => "session-lost",
            Cause::SessionEnds => "session-ends",
            Cause::DiskFull => "disk-full",
            Cause::DiskFailed => "disk-failed",
        }
    }

    /// What is wrong, in words that go after "because" as well as into a log.
    pub fn words(self) -> &'static str {
        match self {
            Cause::Site => "the site does not give its page",
            Cause::Network => "the network does not lead to the site",
            Cause::Clock => "the clock of this display is not right yet",
            Cause::Login => "the site wants somebody to sign in",
            Cause::Setting => "nobody can show this address",
            Cause::PageHung => "the page does not answer",
            Cause::PageCrashed => "the page's process died soon after it began",
            Cause::PageStays => "the page before does not let go of the glass, or the site answers with no page",
            Cause::PageEmpty => "the page is empty: it answers, and there is nothing in it to see",
            Cause::GlassFrozen => "the page answers, and the picture on the glass stands still",
            Cause::ContentLost => "the page does not come back after its processes were killed",
            Cause::TabLost => "the page's process was killed before there was a page, and its tab takes none",
            Cause::BrowserHung => "Firefox does not answer",
            Cause::BrowserLost => "Firefox gives no session",
            Cause::BrowserEnds => "Firefox ends again and again before it has shown anything",
            Cause::NothingPaints => "not even the local page comes onto the glass",
            Cause::Memory => "the page took more memory than it may",
            Cause::BrowserGrown => "Firefox took more memory than it may",
            Cause::WindowClosed => "Firefox's window was closed",
            Cause::Strays => "windows that nobody asked for open without end",
            Cause::Profile => "Firefox's profile cannot be written",
            Cause::ScreenHung => "nothing is seen of the screen: the X server does not answer",
            Cause::SessionLost => "nothing keeps Firefox: the X session is gone",
            Cause::SessionEnds => "the X session ends again and again before it has shown anything",
            Cause::DiskFull => "the disk is full",
            Cause::DiskFailed => "the disk takes nothing more",
        }
    }

    /// Firefox, or what it stands on.
    pub fn is_of_this_machine(self) -> bool {
        self.is_of_the_browser() || matches!(self, Cause::ScreenHung | Cause::SessionLost | Cause::SessionEnds)
    }

    /// Firefox or what it stands on, and not the page in it.
    pub fn is_of_the_browser(self) -> bool {
        use Cause::{
            BrowserEnds, BrowserGrown, BrowserHung, BrowserLost, ContentLost, NothingPaints, Profile, Strays, TabLost,
            WindowClosed,
        };
        matches!(self, ContentLost | BrowserHung | BrowserLost | BrowserEnds | NothingPaints | BrowserGrown)
            || matches!(self, WindowClosed | Strays | Profile | TabLost)
    }

    /// Nothing is wrong with what is on the glass.
    pub fn is_of_the_disk(self) -> bool {
        matches!(self, Cause::DiskFull | Cause::DiskFailed)
    }
}

impl Rung {
    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Rung::Navigate => "navigate",
            Rung::MakeRoom => "make_room",
            Rung::ReplaceContent => "replace_content",
            Rung::RestartBrowser => "restart_browser",
            Rung::PlainProfile => "plain_profile",
            Rung::RestartSession => "restart_session",
            Rung::Reboot => "reboot",
            Rung::SaySo => "say_so",
        }
    }

    /// How often in how long, in time that the display was running; none: as often as it is asked for.
    pub fn budget(self) -> Option<(usize, Duration)> {
        match self {
            // What is asked for here is paced by whoever asks (a site's retries), except a page that dies as it begins.
            Rung::Navigate => Some((20, MINUTE)),
            Rung::MakeRoom => Some((2, 10 * MINUTE)),
            Rung::ReplaceContent => Some((10, 10 * MINUTE)),
            Rung::RestartBrowser => Some((10, 10 * MINUTE)),
            Rung::PlainProfile => Some((2, HOUR)),
            Rung::RestartSession | Rung::Reboot => Some((3, HOUR)),
            Rung::SaySo => None,
        }
    }

    /// How often it is taken in one incident before the next one is.
    pub fn in_a_row(self, cause: Cause) -> u32 {
        match self {
            // A reload that did not help twice will not.
            Rung::Navigate if matches!(cause, Cause::PageEmpty | Cause::GlassFrozen) => 2,
            // Killed from outside again and again, it is back each time within the second.
            Rung::Navigate => 20,
            Rung::ReplaceContent if cause == Cause::PageEmpty => 1,
            // Once for each page that is ordered, and for no more of them than this.
            Rung::ReplaceContent if cause == Cause::PageStays => 3,
            Rung::ReplaceContent | Rung::RestartBrowser => 2,
            Rung::MakeRoom | Rung::PlainProfile | Rung::RestartSession | Rung::Reboot => 1,
            Rung::SaySo => u32::MAX,
        }
    }

    /// What ends this supervisor, or the session, is never done where nobody could remember that it was.
    pub fn needs_memory(self) -> bool {
        matches!(self, Rung::RestartSession | Rung::Reboot)
    }

    pub fn words(self) -> &'static str {
        match self {
            Rung::Navigate => "loading the page again",
            Rung::MakeRoom => "taking away what is kept for when the network is away",
            Rung::ReplaceContent => "replacing the page's process",
            Rung::RestartBrowser => "starting Firefox again",
            Rung::PlainProfile => "starting Firefox again without the preferences of kiosk.toml",
            Rung::RestartSession => "beginning a new X session",
            Rung::Reboot => "starting the machine again",
            Rung::SaySo => "saying so, and trying again every few minutes",
        }
    }
}

impl SiteFault {
    /// Where the reason lies that a site is not on the glass.
    pub fn cause(&self) -> Cause {
        match (self, self.blame()) {
            (SiteFault::CertificateDates, _) => Cause::Clock,
            (SiteFault::Login, _) => Cause::Login,
            (SiteFault::Hung, _) => Cause::PageHung,
            (SiteFault::TooLarge, _) => Cause::Memory,
            (SiteFault::GlassFrozen, _) => Cause::GlassFrozen,
            (_, Blame::Page) => Cause::PageCrashed,
            (_, Blame::Setting) => Cause::Setting,
            (_, Blame::Network) => Cause::Network,
            (_, Blame::Site) => Cause::Site,
        }
    }
}
