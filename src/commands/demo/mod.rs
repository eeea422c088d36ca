//! `pikiosk demo`: a server and a display on this machine, a tour of pushes, then it is yours until Ctrl-C.
//!
//! ```text
//!  demo ─┬─ site           a small web site on loopback, in this process
//!        ├─ pikiosk server ──┐
//!        ├─ Xvfb, matchbox   │ the same binary, the same sockets, the same files as on a Pi
//!        ├─ pikiosk run ─────┤
//!        └─ pikiosk browser ─┘── Firefox
//!  tour ─── POST /v1/events?wait ──> receipt ──> one line (and a picture, taken by the screenshot command)
//! ```
//!
//! Rejected: server and display as tasks of this process. It would start faster, and prove less: what is shown here is
//! what a Pi runs, down to the process groups.

mod show;
mod site;
mod stage;
mod tour;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::actors::ActorError;
use super::client::ClientError;
use super::failure::{Exit, Failure};
use show::Show;
use stage::{Glass, Stage};

/// Starts a server and a display here, shows what they do, and leaves them to you.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk demo
  pikiosk demo --headless
  pikiosk demo --headless --tour ./tour

Everything is in a temporary folder and on free ports of 127.0.0.1; nothing is left behind.
Without --headless, Firefox opens a window on this desktop.")]
pub struct Args {
    /// Show it on a screen in memory (Xvfb with matchbox), as there is on a Pi without glass.
    #[arg(long)]
    headless: bool,
    /// Take the tour once, write a picture of each step and receipts.jsonl here, and end.
    #[arg(long, value_name = "DIR")]
    tour: Option<PathBuf>,
    /// The size of the screen in memory, or of the window, in pixels.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1280x720")]
    size: Size,
}

/// Pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |side: &str| side.parse::<u32>().ok().filter(|pixels| (320..=7680).contains(pixels));
        match text.split_once('x').map(|(width, height)| (side(width), side(height))) {
            Some((Some(width), Some(height))) => Ok(Size { width, height }),
            _ => Err("write it as 1280x720, each side 320 to 7680".to_owned()),
        }
    }
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("{} cannot be written", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Actor(#[from] ActorError),
    #[error("the demo's server does not do as it is asked")]
    Server { source: ClientError },
    #[error("the tour needs {missing}, which is not on this machine")]
    NoGlass { missing: &'static str, packages: &'static str },
    #[error("{bad} of {all} steps did not go as they should")]
    Tour { bad: usize, all: usize },
    #[error("the tour was ended before its end")]
    Interrupted,
}

impl DemoError {
    /// What to do about it.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Folder { .. } => "name another folder; TMPDIR sets where the demo itself writes".to_owned(),
            Self::Actor(ActorError::Start { .. }) => "is the machine out of memory or of processes?".to_owned(),
            Self::NoGlass { packages, .. } => format!("sudo apt install {packages} (or make needs)"),
            Self::Tour { .. } => "the lines above say which, and why".to_owned(),
            Self::Interrupted => "let it run to its end for an answer".to_owned(),
            Self::Actor(_) | Self::Server { .. } => {
                "pikiosk doctor tells what this machine lacks; a machine with much else to do may be too slow"
                    .to_owned()
            }
        }
    }

    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::NoGlass { .. } => Exit::Pending,
            Self::Tour { .. } | Self::Interrupted => Exit::NotShown,
            Self::Folder { .. } | Self::Actor(_) | Self::Server { .. } => Exit::Bug,
        }
    }
}

pub fn run(args: Args) -> Result<Exit, Failure> {
    super::block_on(until_ended(args))?
}

/// Ctrl-C and SIGTERM end everything in order, at any moment: the stage is dropped, and takes down what it put up.
async fn until_ended(args: Args) -> Result<Exit, Failure> {
    let on = |kind| signal(kind).map_err(|source| Failure::Runtime { source });
    let (mut interrupt, mut terminate) = (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
    let mut hangup = on(SignalKind::hangup())?;
    let only_tour = args.tour.is_some();
    let show = Show::new();
    let ended = tokio::select! {
        ended = play(&args, &show) => ended,
        _ = interrupt.recv() => Err(DemoError::Interrupted.into()),
        _ = terminate.recv() => Err(DemoError::Interrupted.into()),
        _ = hangup.recv() => Err(DemoError::Interrupted.into()),
    };
    show.clear();
    match ended {
        // Without --tour there is nothing that had to be finished.
        Err(Failure::Demo { source: DemoError::Interrupted }) if !only_tour => Ok(Exit::Done),
        ended => ended,
    }
}

async fn play(args: &Args, show: &Show) -> Result<Exit, Failure> {
    let glass = Glass::choose(args.headless, args.size);
    if let (Some(_), Err(missing)) = (&args.tour, &glass) {
        return Err(DemoError::NoGlass { missing: missing.what, packages: missing.packages }.into());
    }
    if let Some(folder) = &args.tour {
        std::fs::create_dir_all(folder).map_err(|source| DemoError::Folder { path: folder.clone(), source })?;
    }
    show.opening()?;
    let mut stage = Stage::set(show).await?;
    match glass {
        Ok(glass) => {
            stage.light(glass, show).await?;
            let pause = if args.tour.is_none() && stage.is_watched() { tour::PACE } else { Duration::ZERO };
            let taken = tour::take(&mut stage, args.tour.as_deref(), pause, show).await?;
            show.tour_ended(&taken, args.tour.as_deref())?;
            if args.tour.is_some() {
                return taken.verdict();
            }
        }
        Err(missing) => show.no_glass(&missing)?,
    }
    show.yours(&stage)?;
    Err(stage.watch().await.into())
}

impl From<DemoError> for Failure {
    fn from(source: DemoError) -> Self {
        Failure::Demo { source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_written_as_people_write_it() {
        assert_eq!("1920x1080".parse(), Ok(Size { width: 1920, height: 1080 }));
        for wrong in ["", "1280", "x720", "1280x", "10x10", "1280x99999", "-1x720"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}
