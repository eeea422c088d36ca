//! `pikiosk drill`: makes faults on a display on purpose, and measures how long it takes to be right again.
//!
//! ```text
//!  drill ─┬─ stage.rs   --headless: Xvfb, matchbox, `pikiosk run`, `pikiosk browser`, in a network of their own
//!         ├─ device.rs  else: the display that this machine is
//!         ├─ display/drill   the faults, the page, the measuring
//!         └─ table.rs   what was found, for people and for programs
//! ```
//!
//! Rejected: faults made by a script with `kill` and `sleep`. It measures the script; it does not know when the right
//! page is there; and what it stopped stays stopped when somebody presses Ctrl-C.

mod device;
mod stage;
mod table;

use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use super::{
    actors::ActorError,
    cli::Json,
    failure::{Exit, Failure},
};
use crate::{
    display::drill::{Around, Client, ControlError, Drill, DrillError, Eyes, EyesError, Outcome},
    event::command::Fault,
};
use device::Device;
use stage::Stage;
use table::Table;

/// Makes faults on purpose, and measures how long the display takes to be right again.
#[derive(Debug, clap::Args)]
#[command(after_help = faults_in_words())]
pub struct Args {
    /// The faults to make, in this order: names from the list below.
    #[arg(value_name = "FAULT", conflicts_with = "all")]
    faults: Vec<Fault>,
    /// Make every fault that can be made here.
    #[arg(long)]
    all: bool,
    /// Do it to a display in memory (Xvfb, matchbox, Firefox) that is made for it and gone afterwards.
    #[arg(long)]
    headless: bool,
    /// Do it all so often.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    #[command(flatten)]
    json: Json,
    /// Where the supervisor of this display keeps what is of this boot only.
    #[arg(long, value_name = "DIR", default_value = "/run/pikiosk", conflicts_with = "headless")]
    runtime: PathBuf,
    /// Set by the drill itself once it is in a network of its own.
    #[arg(long, hide = true, requires = "headless")]
    own_network: bool,
}

/// Why there is no drill, or why it was no good.
#[derive(Debug, thiserror::Error)]
pub enum DrillFailure {
    #[error("{} cannot be written", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Actor(#[from] ActorError),
    #[error("a display in memory needs {missing}, which is not on this machine")]
    NoGlass { missing: &'static str, packages: &'static str },
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("see the glass")]
    Eyes(#[from] EyesError),
    #[error("drill")]
    Drill(#[from] DrillError),
    #[error("{bad} of {run} faults were not recovered from in time")]
    Late { bad: usize, run: usize },
    #[error("none of these faults can be made here")]
    NothingRun,
    #[error("the drill was ended before its end; the display shows what it should")]
    Interrupted,
}

impl From<DrillFailure> for Failure {
    fn from(source: DrillFailure) -> Self {
        Failure::Drill { source }
    }
}

impl DrillFailure {
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Folder { .. } => "TMPDIR sets where the drill writes".to_owned(),
            Self::Actor(_) => {
                "pikiosk doctor tells what this machine lacks; a machine with much else to do may be too \
                               slow"
                    .to_owned()
            }
            Self::NoGlass { packages, .. } => format!("sudo apt install {packages} (or make needs)"),
            Self::Control(ControlError::Absent(_)) => {
                "on a display: sudo systemctl start pikiosk; anywhere else: pikiosk drill --all --headless".to_owned()
            }
            Self::Control(ControlError::NotAllowed | ControlError::Silent) => "try again with sudo".to_owned(),
            Self::Control(_) => "restart the supervisor after an update of pikiosk".to_owned(),
            Self::Eyes(_) => "is X up? sudo pikiosk drill sees the screen of whoever is logged in at it".to_owned(),
            Self::Drill(_) => "pikiosk status tells how the display is".to_owned(),
            Self::Late { .. } => "the lines above say which; pikiosk status and the log say why".to_owned(),
            Self::NothingRun => {
                "each line above says why; pikiosk drill --all --headless can do most of them".to_owned()
            }
            Self::Interrupted => "let it run to its end for an answer".to_owned(),
        }
    }

    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::NoGlass { .. } => Exit::Pending,
            Self::Late { .. } | Self::NothingRun => Exit::NotShown,
            Self::Interrupted => Exit::Interrupted,
            Self::Control(_) => Exit::Unreachable,
            Self::Folder { .. } | Self::Actor(_) | Self::Eyes(_) | Self::Drill(_) => Exit::Bug,
        }
    }
}

fn faults_in_words() -> String {
    let lines = Fault::ALL.map(|fault| {
        let limit = fault.limit().as_secs();
        format!("  {:<18} {:<62} {limit:>3} s\n", fault.name(), fault.words())
    });
    format!(
        "Faults, and how long a display may take:\n{}
Examples:
  sudo pikiosk drill browser-killed
  pikiosk drill --all --headless
  pikiosk drill --all --headless --json

The display shows a page of the drill's own meanwhile. When the drill ends, however it ends, the
display shows again what it should. What cannot be made here is told as such, and never as ok.
Exit code 0 only if the display was right again in time after every fault that was made.",
        lines.concat()
    )
}

pub fn run(args: Args) -> Result<Exit, Failure> {
    if args.faults.is_empty() && !args.all {
        return Err(Failure::Usage {
            doing: "drill",
            says: "no fault was named".to_owned(),
            hint: "name one, such as browser-killed, or give --all; pikiosk drill --help lists them".to_owned(),
        });
    }
    if args.headless && !args.own_network {
        // Does not return where this machine allows it.
        stage::enter_own_network();
    }
    super::block_on(until_ended(args))?
}

/// Ctrl-C and SIGTERM end it in order, at any moment: the connection that holds the display is dropped, and so is the
/// stage.
async fn until_ended(args: Args) -> Result<Exit, Failure> {
    let on = |kind| signal(kind).map_err(|source| Failure::Runtime { source });
    let (mut interrupt, mut terminate) = (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
    let mut hangup = on(SignalKind::hangup())?;
    tokio::select! {
        ended = drill(&args) => ended,
        _ = interrupt.recv() => Err(DrillFailure::Interrupted.into()),
        _ = terminate.recv() => Err(DrillFailure::Interrupted.into()),
        _ = hangup.recv() => Err(DrillFailure::Interrupted.into()),
    }
}

async fn drill(args: &Args) -> Result<Exit, Failure> {
    let faults = if args.all { Fault::ALL.to_vec() } else { args.faults.clone() };
    let mut table = Table::new(args.json.json);
    if args.headless {
        table.waits("Xvfb, matchbox, the supervisor and Firefox are being started");
        let stage = Stage::set(args.own_network).await?;
        let runtime = stage.runtime();
        let eyes = Some(Eyes::open(Some(stage.display())));
        let client = stage::connect(&runtime).await?;
        table.opening(&stage.what())?;
        let drill = Drill::begin(&runtime, client, eyes, stage, fastrand::Rng::new());
        make_all(drill.await.map_err(DrillFailure::from)?, &faults, args.times, &mut table).await
    } else {
        let mut client = Client::connect(&args.runtime).await.map_err(DrillFailure::from)?;
        let device = Device::of(&args.runtime, &mut client).await?;
        table.opening(&device.what())?;
        let drill = Drill::begin(&args.runtime, client, None, device, fastrand::Rng::new());
        make_all(drill.await.map_err(DrillFailure::from)?, &faults, args.times, &mut table).await
    }
}

async fn make_all<A: Around>(
    mut drill: Drill<A>,
    faults: &[Fault],
    times: u32,
    table: &mut Table,
) -> Result<Exit, Failure> {
    for _ in 0..times {
        for fault in faults {
            table.begins(*fault);
            let outcome: Outcome = drill.make(*fault).await;
            table.row(outcome)?;
        }
    }
    drill.end().await.map_err(DrillFailure::from)?;
    table.close()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_fault_in_lines_that_fit() {
        let help = faults_in_words();
        for fault in Fault::ALL {
            assert!(help.contains(fault.name()), "{}", fault.name());
        }
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}
