//! How a supervisor begins: with its settings, and with what the journal holds of the one before.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use super::{
    Effect, Machine, Out, Show, Supervisor, allow, camera::Camera, care::Care, configure::Configure, content::Content,
    devices::Devices, jobs::Jobs, leaving::Leaving, overlay::Overlays, pulse::Pulse, second::Second, sounds::Sounds,
    swap::Swap,
};
use crate::{
    config::{Allowed, ScreenSettings, SoundSettings},
    display::{
        journal::{Journal, Taken},
        page::Urls,
        screen,
    },
    event::command::{Command, Slot, Timetable},
};

/// What does not change while the supervisor runs.
#[derive(Debug, Clone)]
pub struct Setting {
    pub display: String,
    /// What is on the glass until a server says otherwise; none: the splash.
    pub url: Option<String>,
    pub urls: Urls,
    /// A page that answers nothing for this long is hung.
    pub hang: std::time::Duration,
    /// The sites that may come onto the glass.
    pub allow: Allowed,
    /// Where sites send those who have to sign in; without a pattern nothing is taken for it.
    pub login: Allowed,
    /// After a touch and so long without another, the page that should be there is loaded anew; `None`: never.
    pub home_after: Option<std::time::Duration>,
    /// What stands under the display's id when it identifies itself.
    pub identify_lines: Vec<String>,
    pub machine: Machine,
    /// Which picture the screen is to have, and what a second one shows.
    pub screen: ScreenSettings,
    /// Where the display is: a schedule is of its local time.
    pub zone: jiff::tz::TimeZone,
    /// When the screen is on, until a server says otherwise; none: always.
    pub schedule: Option<Timetable>,
    pub sound: SoundSettings,
}

impl Supervisor {
    /// Goes on from what the journal holds. The effects are to be done first of all.
    pub fn new(setting: Setting, journal: Journal, rng: fastrand::Rng, now: Instant) -> (Self, Vec<Effect>) {
        // A list of sites that has become shorter since holds for what was shown before it.
        let kept = journal.state(Slot::Content).and_then(to_show).filter(|show| allow::permits(&setting.allow, show));
        let was_kept = kept.is_some();
        let show = kept.unwrap_or_else(|| setting.url.clone().map_or(Show::Splash, Show::Url));
        let mut supervisor = Supervisor {
            second: setting.screen.second.as_ref().map(|url| Second::new(url.to_string(), &setting.urls, rng.clone())),
            content: Content::new(setting.urls.clone(), show.clone(), rng),
            overlays: Overlays::default(),
            jobs: Jobs::default(),
            leaving: Leaving::new(setting.machine.clone()),
            configure: Configure::default(),
            camera: Camera::default(),
            sounds: Sounds::new(setting.sound.voice.clone()),
            devices: Devices::new(&setting),
            pulse: Pulse::new(setting.hang, now),
            care: Care::new(now),
            swap: Swap::default(),
            setting,
            journal,
            server_clock: None,
            linked: false,
            attached: false,
            held: None,
            detached_why: None,
            disk: None,
            arrived: HashMap::new(),
            for_page: VecDeque::new(),
            hashing: Vec::new(),
            frame_sha256: None,
            started: now,
            screen: screen::Facts::default(),
            touched: None,
            next_ask: 0,
        };
        let mut out = Out::new(now, 0);
        let cut = supervisor.journal.after_restart();
        supervisor.keep(cut, &mut out);
        supervisor.leaving.resume(&supervisor.journal, &mut out);
        let configured = supervisor.setting.machine.configured.clone();
        supervisor.configure.resume(&supervisor.journal, |key| configured.fate(key), &mut out);
        let owed = |slot| {
            let taken = supervisor.journal.state(slot)?;
            supervisor.journal.receipt(&taken.key).is_none().then(|| taken.key.clone())
        };
        let (content_owed, zoom_owed) = (owed(Slot::Content).filter(|_| was_kept), owed(Slot::Zoom));
        supervisor.devices.restore(&supervisor.journal, owed, &mut out);
        supervisor.content.want(show, content_owed, &mut out);
        if let Some(Command::Zoom(zoom)) = supervisor.journal.state(Slot::Zoom).and_then(to_command) {
            supervisor.overlays.zoom(zoom.percent, zoom_owed, &mut out);
        }
        let effects = supervisor.finish(out);
        (supervisor, effects)
    }
}

pub(super) fn to_command(taken: &Taken) -> Option<Command> {
    Command::parse(&taken.name, &serde_json::value::to_raw_value(&taken.data).ok()?).ok()
}

pub(super) fn to_show(taken: &Taken) -> Option<Show> {
    match to_command(taken)? {
        Command::Navigate(navigate) => Some(Show::Url(navigate.url)),
        Command::Playlist(playlist) => Some(Show::Playlist(playlist)),
        _ => None,
    }
}
