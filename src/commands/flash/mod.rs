//! `pikiosk flash`: from an image and a kiosk.toml to cards that boot.
//!
//! ```text
//!   args -> cards (whose card is which) -> image (found and looked at) -> disks (safe?) -> question
//!        -> opened, looked at again -> flash::run with customise -> outcome (receipts, labels, exit code)
//! ```
//!
//! Nothing is written before all of them are settled: a slip in line 7 of a list must not cost six cards.
//!
//! Rejected: one process for each card. Four of them would unpack the image four times.

mod cards;
mod customise;
mod image;
mod list;
mod outcome;
mod progress;
mod question;
mod targets;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::cli::Json;
use super::client::Server;
use super::failure::{Exit, Failure};
use super::output;
use crate::flash::disks::{self, Rules};
use crate::flash::job::{Cancel, Mode};
use crate::flash::source;

/// Writes an image to cards, each a display of its own, and reads it back.
#[derive(Debug, clap::Args)]
#[command(after_help = "IMAGE is a file (.img, .img.xz, .img.gz, .img.zst, .zip), an http(s) address,
or os:NAME for a name in the list of Raspberry Pi OS.

Examples:
  pikiosk flash --list
  pikiosk flash pikiosk.img.xz --to /dev/sdb --config kiosk.toml
  pikiosk flash pikiosk.img.xz --to /dev/sdb --to /dev/sdc --config kiosk.toml --id 'lobby-#' --first 7
  pikiosk flash pikiosk.img.xz --to /dev/sdb --config kiosk.toml --csv cards.csv --row lobby-7
  pikiosk flash pikiosk.img.xz --to /dev/sdb --verify-only")]
pub struct Args {
    /// The image to write.
    #[arg(required_unless_present = "list")]
    image: Option<String>,
    /// Where to write it: a disk, or a file that is a card as an image. Give it several times for several cards.
    #[arg(long, value_name = "DEVICE|FILE", required_unless_present = "list")]
    to: Vec<PathBuf>,
    /// List the disks, and say why one is refused.
    #[arg(long)]
    list: bool,
    /// Do not ask. No rule that protects a disk is skipped.
    #[arg(long, short)]
    yes: bool,
    /// Take cards of any size; otherwise they have 7 to 512 GB.
    #[arg(long)]
    allow_size: bool,
    /// Take loop devices for cards.
    #[arg(long)]
    allow_loop: bool,
    /// Write only what differs from the image: for a card that had it before.
    #[arg(long, conflicts_with = "verify_only")]
    again: bool,
    /// Write nothing: tell whether the card still holds the image.
    #[arg(long)]
    verify_only: bool,
    #[command(flatten)]
    json: Json,

    /// The settings that each card gets. Without any setting the image is written as it is.
    #[arg(long, value_name = "FILE", help_heading = "What the cards become")]
    config: Option<PathBuf>,
    /// One setting for all cards, over those of the file, such as system.timezone=Europe/Berlin
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, help_heading = "What the cards become")]
    set: Vec<(String, String)>,
    /// The display ids, counted: lobby-#, or lobby-### for lobby-007.
    #[arg(long, value_name = "PATTERN", conflicts_with = "csv", help_heading = "What the cards become")]
    id: Option<String>,
    /// The number of the first card.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "id", help_heading = "What the cards become")]
    first: u32,
    /// A list with one line for each card; its first line names the columns (id, hostname, code, url, ssid,
    /// wifi_password, server, or any key of kiosk.toml).
    #[arg(long, value_name = "FILE", help_heading = "What the cards become")]
    csv: Option<PathBuf>,
    /// The lines of the list that are meant, by id, in the order of --to.
    #[arg(long, value_name = "ID", requires = "csv", help_heading = "What the cards become")]
    row: Vec<String>,
    /// Ask the event server for an enrollment code for each card.
    #[arg(long, help_heading = "What the cards become")]
    enroll: bool,
    /// The pikiosk for the Pi (aarch64), for images that do not hold it yet.
    #[arg(long, value_name = "FILE", help_heading = "What the cards become")]
    binary: Option<PathBuf>,

    /// The SHA-256 that the image must have, packed or unpacked.
    #[arg(long, value_name = "HEX", help_heading = "The image")]
    sha256: Option<String>,
    /// The block map of the image, where it does not lie beside it.
    #[arg(long, value_name = "FILE", help_heading = "The image")]
    bmap: Option<PathBuf>,
    /// Another list of images than that of Raspberry Pi: an address or a file.
    #[arg(long, value_name = "URL|FILE", help_heading = "The image")]
    os_list: Option<String>,
    /// Neither read nor keep downloads.
    #[arg(long, help_heading = "The image")]
    no_cache: bool,

    /// Where receipts and labels are kept.
    #[arg(long, value_name = "DIR", default_value = "receipts", help_heading = "The record")]
    receipts: PathBuf,
    /// Write a label with a QR code for each card beside its receipt.
    #[arg(long, help_heading = "The record")]
    label: bool,
    /// How long a card that is a file becomes: image (as the image), pow2 (the next power of two, for QEMU).
    #[arg(long, value_name = "SIZE", default_value = "image", value_parser = ["image", "pow2"], help_heading = "The record")]
    file_size: String,

    #[command(flatten)]
    server: Server,
}

impl Args {
    fn mode(&self) -> Mode {
        match (self.again, self.verify_only) {
            (true, _) => Mode::Again,
            (_, true) => Mode::VerifyOnly,
            (false, false) => Mode::Write,
        }
    }
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let rules = Rules { any_size: args.allow_size, loops: args.allow_loop, needed: 0 };
    let machine = disks::observe("/".as_ref(), &disks::node_of).map_err(|source| Failure::Disks { source })?;
    if args.list {
        return list::list(&machine, rules, args.json.json);
    }
    let mut planned = cards::planned(args)?;
    let custom = planned.iter().any(|card| card.kiosk.is_some());
    let program = customise::program(args)?;
    let image_file = args.image.as_deref().map(Path::new);
    let targets = targets::settle(&args.to, image_file, &machine, rules)?;
    let (cancel, source_cancel) = cancel_on_interrupt()?;
    let found = image::found(args, targets::room(&targets), custom, &source_cancel)?;
    let rules = Rules { needed: found.needed(), ..rules };
    let targets = targets::settle(&args.to, image_file, &machine, rules)?;
    if args.mode() != Mode::VerifyOnly {
        let ids = planned.iter().map(cards::Planned::id);
        let disks: Vec<_> = targets.iter().zip(ids).filter_map(|(target, id)| Some((target.disk()?, id))).collect();
        if !question::agreed(&disks, args.yes)? {
            output::remark("Nothing was written.");
            return Ok(Exit::Done);
        }
    }
    if args.enroll {
        cards::enroll(args, &mut planned)?;
    }
    let cards = targets::open(&targets, args, rules)?;
    let jobs = planned.iter().zip(cards).map(|(planned, card)| customise::job(planned, card, args, program.as_ref()));
    let jobs = jobs.collect::<Vec<_>>();
    let names = args.to.iter().map(|to| to.display().to_string()).collect();
    let progress = Arc::new(progress::Progress::new(names, args.json.json));
    let outcomes = crate::flash::flash(jobs, found.into_image(args), outcome::options(args), progress, &cancel);
    outcome::tell(args, &outcomes, cancel.is_cancelled())
}

/// Ctrl-C stops the cards where they are; a second one is not needed.
fn cancel_on_interrupt() -> Result<(Cancel, source::Cancel), Failure> {
    let (cancel, source_cancel) = (Cancel::default(), source::Cancel::default());
    let told = (cancel.clone(), source_cancel.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|source| Failure::Runtime { source })?;
    // Before anything is written: from here on a signal no longer ends the process.
    let signals = {
        let _inside = runtime.enter();
        signal(SignalKind::interrupt()).and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)))
    };
    let (mut interrupt, mut terminate) = signals.map_err(|source| Failure::Runtime { source })?;
    let wait = move || {
        runtime.block_on(async {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        });
        told.0.cancel();
        told.1.cancel();
    };
    let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(wait);
    thread.map_err(|source| Failure::Runtime { source })?;
    Ok((cancel, source_cancel))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}
