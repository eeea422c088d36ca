//! Makes one fault after the other, and measures. Every wait in it has an end.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    client::{Client, ControlError},
    eyes::{Eyes, EyesError},
    site::{Misdeed, Site, turn_colour},
    wire::{Glass, Harm, Look},
};
use crate::event::command::Fault;

/// How often glass and supervisor are asked: the measure's own error.
pub(super) const EVERY: Duration = Duration::from_millis(50);
/// Before a fault the display must be well; a first start of Firefox on a Pi 3 takes most of this.
const CALM_WITHIN: Duration = Duration::from_secs(120);
/// A page that dies as soon as it is painted is another fault than one that dies while people look at it.
const REST: Duration = Duration::from_secs(2);
/// A supervisor that was killed listens again by then, or the drill says that it does not.
const SUPERVISOR_WITHIN: Duration = Duration::from_secs(30);
/// How long the site stays away before it comes back, and up to how much longer: whoever tries again does so at moments
/// that a drill should not know.
const AWAY: Duration = Duration::from_secs(8);
const AWAY_MORE_MS: u64 = 6000;
/// Most of the glass: a message may lie over the rest.
const FILLS: f64 = 0.8;
/// A picture of which less than this is as it was is another picture.
const SAME: f64 = 0.995;

/// Why a fault cannot be made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotHere(pub String);

/// What became of one fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The right page was on the glass again after so long; whether in time, [`Fault::limit`] says.
    Recovered(Duration),
    /// It was not, for as long as was waited.
    Never { waited: Duration, says: String },
    /// The fault could not be made here at all.
    NotHere(String),
    /// The drill itself could not go on.
    Broken(String),
}

/// A fault and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub fault: Fault,
    pub ended: Ended,
}

impl Outcome {
    /// True if the display was right again in time.
    pub fn is_ok(&self) -> bool {
        matches!(self.ended, Ended::Recovered(took) if took <= self.fault.limit())
    }

    /// True if the fault was made.
    pub fn was_run(&self) -> bool {
        !matches!(self.ended, Ended::NotHere(_))
    }
}

/// Why a drill ends before its end.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("look at the glass")]
    Eyes(#[from] EyesError),
    #[error("open a web site on loopback")]
    Site(#[from] std::io::Error),
    #[error("another page was pushed to this display meanwhile, and that comes first")]
    Pushed,
    #[error("the display was not well before the fault: {0}")]
    NotWell(String),
}

/// What only the surroundings of a display can do to it. Whatever is taken is given back, at the latest when they are
/// dropped.
pub trait Around {
    /// Kills the supervisor, and sees to it that it is started again, as systemd does.
    fn kill_supervisor(&mut self) -> Result<(), NotHere>;
    /// The browser loop was killed: sees to it that it is started again, as the X session is.
    fn session_killed(&mut self) -> Result<(), NotHere>;
    /// The address at which the site is reached over a network that can be taken away.
    fn network(&self) -> Result<Ipv4Addr, NotHere>;
    fn take_network(&mut self) -> Result<(), NotHere>;
    fn give_network(&mut self) -> Result<(), NotHere>;
    fn fill_disk(&mut self) -> Result<(), NotHere>;
    fn empty_disk(&mut self);
    /// Starts the supervisor again where it is 1970, as on a Pi that was without power and has no network.
    fn take_clock(&mut self) -> Result<(), NotHere>;
    /// Starts it again with the right clock, if it has a wrong one, and says whether it had.
    fn give_clock(&mut self) -> Result<bool, NotHere>;
    /// The plugs that have a screen now; or why no screen of this display has one that can be taken away.
    fn screens(&self) -> Result<Vec<String>, NotHere>;
    /// Takes the screens away at their plugs; they come back by themselves some seconds later.
    fn unplug(&mut self) -> impl Future<Output = Result<(), NotHere>>;
    /// The address that the site is to listen on.
    fn site_address(&self) -> Ipv4Addr;
}

/// A drill of one display.
#[derive(Debug)]
pub struct Drill<A> {
    runtime: PathBuf,
    pub(super) client: Client,
    /// Our own, where we may look ourselves; else the browser loop's.
    eyes: Option<Eyes>,
    site: Site,
    pub(super) around: A,
    round: u32,
    rng: fastrand::Rng,
}

impl<A: Around> Drill<A> {
    pub async fn begin(
        runtime: &Path,
        client: Client,
        eyes: Option<Eyes>,
        around: A,
        rng: fastrand::Rng,
    ) -> Result<Self, DrillError> {
        let site = Site::open(around.site_address().into()).await?;
        Ok(Drill { runtime: runtime.to_owned(), client, eyes, site, around, round: 0, rng })
    }

    /// Makes this fault and waits until the display is right again, or has not become so.
    pub async fn make(&mut self, fault: Fault) -> Outcome {
        let ended = match self.attempt(fault).await {
            Ok(ended) => ended,
            Err(DrillError::NotWell(says)) => Ended::Broken(format!("the display was not well before it: {says}")),
            Err(error) => Ended::Broken(in_full(&error)),
        };
        self.put_back().await;
        Outcome { fault, ended }
    }

    /// The display shows again what it should.
    pub async fn end(mut self) -> Result<A, DrillError> {
        match self.client.release().await {
            // It never had the glass.
            Ok(()) | Err(ControlError::Refused(_)) => Ok(self.around),
            Err(error) => Err(error.into()),
        }
    }

    async fn attempt(&mut self, fault: Fault) -> Result<Ended, DrillError> {
        let mut host = Ipv4Addr::LOCALHOST;
        if matches!(fault, Fault::NoNetwork | Fault::NetworkBack) {
            match self.around.network().and_then(|address| self.around.give_network().map(|()| address)) {
                Ok(address) => host = address,
                Err(NotHere(why)) => return Ok(Ended::NotHere(why)),
            }
        }
        if let (Fault::ScreenUnplugged, Err(NotHere(why))) = (fault, self.around.screens()) {
            return Ok(Ended::NotHere(why));
        }
        self.calm(host).await?;
        self.keep_for(REST).await?;
        let before = self.site.turns();
        let picture = self.look().await?;
        if fault.needs_reload() {
            self.site.order(Misdeed::Reload);
            // The order must be through before there is no way for it.
            sleep(EVERY * 2).await;
        }
        let began = Instant::now();
        let made = match fault {
            Fault::BrowserKilled => self.harm(Harm::KillBrowser).await?,
            Fault::BrowserStopped => self.harm(Harm::StopBrowser).await?,
            Fault::ContentKilled => self.harm(Harm::KillContent).await?,
            Fault::ContentStopped => self.harm(Harm::StopContent).await?,
            Fault::PageHung => self.order(Misdeed::Hang),
            Fault::PageWhite => self.order(Misdeed::White),
            Fault::MemoryHog => self.order(Misdeed::Hog),
            Fault::SiteAway | Fault::SiteBack => {
                self.site.go_away().await;
                Ok(())
            }
            Fault::NoNetwork | Fault::NetworkBack => self.around.take_network(),
            Fault::SupervisorKilled | Fault::BadClock => {
                let killed = match fault {
                    Fault::BadClock => self.around.take_clock(),
                    _ => self.around.kill_supervisor(),
                };
                if killed.is_ok() {
                    self.reconnect(host).await?;
                }
                killed
            }
            Fault::SessionKilled => {
                // A loop that is gone cannot say that it is.
                let _ = self.client.harm(Harm::KillSession).await;
                self.around.session_killed()
            }
            Fault::DiskFull => match self.around.fill_disk() {
                Ok(()) => self.harm(Harm::KillBrowser).await?,
                error => error,
            },
            Fault::ScreenUnplugged => return self.unplugged(before).await,
        };
        if let Err(NotHere(why)) = made {
            return Ok(Ended::NotHere(why));
        }
        match fault {
            Fault::SiteAway | Fault::NoNetwork => self.offline(fault, began, &picture).await,
            Fault::SiteBack | Fault::NetworkBack => self.back(fault, began, &picture).await,
            // The page outlives its supervisor: it need not be loaded again.
            Fault::SupervisorKilled | Fault::BadClock => self.painted(fault, began, before.saturating_sub(1)).await,
            _ => self.painted(fault, began, before).await,
        }
    }

    async fn look(&mut self) -> Result<Look, DrillError> {
        Ok(match &self.eyes {
            Some(eyes) => eyes.look().await?,
            None => self.client.look().await?,
        })
    }

    async fn harm(&mut self, harm: Harm) -> Result<Result<(), NotHere>, DrillError> {
        Ok(match self.client.harm(harm).await {
            Ok(_) => Ok(()),
            Err(ControlError::Refused(why)) => Err(NotHere(why)),
            Err(error) => return Err(error.into()),
        })
    }

    fn order(&self, misdeed: Misdeed) -> Result<(), NotHere> {
        self.site.order(misdeed);
        Ok(())
    }

    /// Puts a new page of the drill on the glass, and waits until it is there and alive: witnesses agree on what is
    /// right.
    async fn calm(&mut self, host: Ipv4Addr) -> Result<(), DrillError> {
        self.round += 1;
        let before = self.site.turns();
        self.client.hold(self.site.url(host, &format!("round-{}", self.round))).await?;
        let began = Instant::now();
        loop {
            let (glass, look) = (self.client.glass().await?, self.look().await?);
            if !glass.held {
                return Err(DrillError::Pushed);
            }
            if self.is_right(&glass, &look, before) && self.site.is_listening() {
                return Ok(());
            }
            if began.elapsed() > CALM_WITHIN {
                return Err(DrillError::NotWell(glass.sentence));
            }
            sleep(EVERY).await;
        }
    }

    /// Waits for a later load of the page than `before`.
    async fn painted(&mut self, fault: Fault, began: Instant, before: u32) -> Result<Ended, DrillError> {
        self.until(fault, began, move |drill, glass, look| drill.is_right(glass, look, before)).await
    }

    /// Waits for the offline page, which the supervisor calls painted, and for another picture than before.
    async fn offline(&mut self, fault: Fault, began: Instant, before: &Look) -> Result<Ended, DrillError> {
        let before = before.clone();
        self.until(fault, began, move |_, glass, look| {
            glass.offline && (look.colour != before.colour || look.share < before.share * SAME)
        })
        .await
    }

    /// What was taken away comes back after a while.
    async fn back(&mut self, fault: Fault, gone: Instant, picture: &Look) -> Result<Ended, DrillError> {
        if let never @ Ended::Never { .. } = self.offline(fault, gone, picture).await? {
            return Ok(never);
        }
        let away = AWAY + Duration::from_millis(self.rng.u64(..AWAY_MORE_MS));
        self.keep_for(away.saturating_sub(gone.elapsed())).await?;
        let (before, began) = (self.site.turns(), Instant::now());
        match fault {
            Fault::NetworkBack => {
                if let Err(NotHere(why)) = self.around.give_network() {
                    return Ok(Ended::Broken(why));
                }
            }
            _ => self.site.come_back(self.around.site_address().into()).await?,
        }
        self.painted(fault, began, before).await
    }

    /// Lets time pass, and keeps the lease.
    async fn keep_for(&mut self, time: Duration) -> Result<(), DrillError> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if !self.client.glass().await?.held {
                return Err(DrillError::Pushed);
            }
            sleep(EVERY).await;
        }
        Ok(())
    }

    pub(super) async fn until(
        &mut self,
        fault: Fault,
        began: Instant,
        is_there: impl Fn(&Self, &Glass, &Look) -> bool,
    ) -> Result<Ended, DrillError> {
        loop {
            // A screen that was unplugged, or a session that is only coming up, shows nothing for now.
            let look = self.look().await;
            let glass = self.client.glass().await?;
            if !glass.held {
                return Err(DrillError::Pushed);
            }
            if let Ok(look) = look
                && is_there(self, &glass, &look)
            {
                return Ok(Ended::Recovered(began.elapsed()));
            }
            if began.elapsed() > fault.gives_up() {
                return Ok(Ended::Never { waited: began.elapsed(), says: glass.sentence });
            }
            sleep(EVERY).await;
        }
    }

    /// The supervisor says that the page is painted, and the glass has the colour of a load after `before`.
    pub(super) fn is_right(&self, glass: &Glass, look: &Look, before: u32) -> bool {
        let turns = self.site.turns();
        // Whoever only asks whether the site is there counts as a load: the last one need not be the one that is shown.
        let mut later = (before + 1).max(turns.saturating_sub(32))..=turns;
        glass.showing && look.share > FILLS && later.any(|turn| turn_colour(turn) == look.colour)
    }

    /// A new supervisor knows of no drill: it is asked again to show the drill's page.
    async fn reconnect(&mut self, host: Ipv4Addr) -> Result<(), DrillError> {
        let began = Instant::now();
        loop {
            if let Ok(mut client) = Client::connect(&self.runtime).await
                && client.hold(self.site.url(host, &format!("round-{}", self.round))).await.is_ok()
            {
                self.client = client;
                return Ok(());
            }
            if began.elapsed() > SUPERVISOR_WITHIN {
                return Err(ControlError::Absent(self.runtime.clone()).into());
            }
            sleep(EVERY).await;
        }
    }

    /// Whatever was taken is given back; what was never taken stays.
    async fn put_back(&mut self) {
        // Where there is no network of ours, none was taken.
        let _ = self.around.give_network();
        self.around.empty_disk();
        match self.around.give_clock() {
            Ok(false) => {}
            Ok(true) => {
                if let Err(error) = self.reconnect(Ipv4Addr::LOCALHOST).await {
                    tracing::warn!(%error, "the supervisor does not come back");
                }
            }
            Err(NotHere(why)) => tracing::warn!(why, "the supervisor keeps the drill's clock"),
        }
        if let Err(error) = self.site.come_back(self.around.site_address().into()).await {
            tracing::warn!(%error, "the drill's site does not come back");
        }
    }
}

/// An error with its causes, in one line.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
