//! `pikiosk flash`: from an image and a kiosk.toml to cards that boot.

mod list;

use super::cli::Json;
use super::failure::{Exit, Failure};
use crate::flash::disks::{self, Rules};

/// Writes an image to one or many cards, each with its own identity, and reads back what it wrote.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk flash --list")]
pub struct Args {
    /// Lists the disks, and says why one is refused.
    #[arg(long)]
    list: bool,
    /// Takes cards of any size; otherwise they have 7 to 512 GB.
    #[arg(long)]
    allow_size: bool,
    /// Takes loop devices for cards.
    #[arg(long)]
    allow_loop: bool,
    #[command(flatten)]
    json: Json,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let rules = Rules { any_size: args.allow_size, loops: args.allow_loop, needed: 0 };
    let machine = disks::observe("/".as_ref(), &disks::node_of).map_err(|source| Failure::Disks { source })?;
    list::list(&machine, rules, args.json.json)
}
