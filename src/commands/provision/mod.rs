//! `pikiosk provision`: makes a Debian or Raspberry Pi OS system a kiosk, says beforehand what it would change, and
//! takes it back.
//!
//! ```text
//!   this Pi | --root | --image -> System -> facts -> desired -> plan -> (ask) -> apply      target.rs, bring.rs
//!   --host: ssh, the right binary copied over, and the same there                           host.rs
//! ```
//!
//! Rejected: a check that is the apply with a flag. `check` is given a system that it can only look at, by its type.

use std::path::PathBuf;

use super::cli::Json;
use super::failure::{Exit, Failure};

mod bring;
mod error;
mod first_boot;
#[cfg(feature = "tools")]
mod host;
mod program;
mod target;
mod undo;

pub use error::ProvisionError;

/// Makes a Debian or Raspberry Pi OS system a kiosk, or takes that back.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sudo pikiosk provision --config kiosk.toml --check
  sudo pikiosk provision --config kiosk.toml
  sudo pikiosk provision --root /mnt/card --config kiosk.toml
  pikiosk provision --host pi@lobby.local --config kiosk.toml
  sudo pikiosk provision --undo")]
pub struct Args {
    /// Provision the system below this directory (a mounted card), instead of this one.
    #[arg(long, value_name = "DIR", group = "where")]
    root: Option<PathBuf>,
    /// Provision the system in this image of a card; neither mounted nor needing root.
    #[cfg(feature = "tools")]
    #[arg(long, value_name = "FILE", group = "where")]
    image: Option<PathBuf>,
    /// Provision this Pi over ssh.
    #[cfg(feature = "tools")]
    #[arg(long, value_name = "USER@HOST", group = "where")]
    host: Option<String>,
    /// Use these settings. Without it, those that the system has in /etc/pikiosk.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Install this build of pikiosk. Without it, this one, if it fits the system's processor; else the one of `make
    /// aarch64`, or the one that is there.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Change nothing: show what would change. Exit code 3 if there is anything.
    #[arg(long, group = "what")]
    check: bool,
    /// Put everything back as it was before the first time.
    #[arg(long, group = "what")]
    undo: bool,
    /// With --undo: remove the packages that were installed, too.
    #[arg(long, requires = "undo")]
    packages: bool,
    /// Put right only what somebody changed since (at each start, where kiosk.toml asks for it).
    #[arg(long, group = "what")]
    repair: bool,
    /// Do what could not be done on the card (by pikiosk-first-boot.service).
    #[arg(long, group = "what", conflicts_with = "where")]
    first_boot: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    json: Json,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    #[cfg(feature = "tools")]
    if let Some(host) = &args.host {
        return host::provision(host, args);
    }
    if args.first_boot {
        return first_boot::run();
    }
    let mut target = target::open(args)?;
    if args.undo {
        return undo::run(&mut target, args);
    }
    let settings = target.settings(args)?;
    if args.check { bring::check(&target, &settings, args) } else { bring::bring(&mut target, &settings, args) }
}

/// Provisions the system in an image that was just made: nobody is asked.
#[cfg(feature = "tools")]
pub(super) fn onto_image(image: PathBuf, config: PathBuf, binary: Option<PathBuf>) -> Result<Exit, Failure> {
    run(&Args {
        root: None,
        image: Some(image),
        host: None,
        config: Some(config),
        binary,
        check: false,
        undo: false,
        packages: false,
        repair: false,
        first_boot: false,
        yes: true,
        json: Json { json: false },
    })
}
