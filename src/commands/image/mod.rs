//! `pikiosk image`: builds the image of a Pi 3 with the recipe, tells what an image is, and what travels beside it.
//!
//! ```text
//!  build      the recipe --> .img, .img.xz         customize  an image and a kiosk.toml --> a copy (opened: packed or not)
//!  describe   an image --> bmap, sbom, manifest    inspect    what is in it, and would a Pi 3 start from it
//!  fault      what can go wrong with any of it, and what to do then
//! ```
//!
//! Rejected: `customize` that changes the image in place. A second kiosk.toml would be laid over what is left of the first.

mod build;
mod customize;
mod describe;
mod fault;
mod inspect;
mod opened;

use std::path::PathBuf;

use super::cli::Json;
use super::failure::{Exit, Failure};

pub use fault::ImageFault;

/// Builds an image of a card, or tells what one is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk image build
  pikiosk image customize pikiosk-pi3-trixie-arm64.img.xz --config kiosk.toml -o lobby.img
  pikiosk image inspect lobby.img")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Build(BuildArgs),
    Customize(CustomizeArgs),
    Inspect(InspectArgs),
    Describe(DescribeArgs),
}

/// Builds the image of a Raspberry Pi 3 from Debian's packages: about 12 minutes, 4 the next time.
#[derive(Debug, clap::Args)]
#[command(after_help = "It needs Linux, root (it asks sudo), and packages that it names and installs with apt.

Examples:
  pikiosk image build
  pikiosk image build --recipe ~/pikiosk/image --out /srv/images --binary target/aarch64/pikiosk")]
struct BuildArgs {
    /// The folder of the recipe; without it, image/ of the project that this folder is in.
    #[arg(long, value_name = "DIR")]
    recipe: Option<PathBuf>,
    /// Where the image is written; without it, target/image of the project.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A kiosk.toml for all cards made from this image. `pikiosk flash --config` gives each card its own later.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The pikiosk for the Pi; without it, the one that `make aarch64` made.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Fetch the packages again, even if there is a tree of today.
    #[arg(long)]
    fresh: bool,
    /// Leave out the packed image (.img.xz), which takes minutes.
    #[arg(long)]
    no_xz: bool,
}

/// Copies an image and lays a kiosk.toml down in the copy, without mounting anything.
///
/// `pikiosk flash --config` does the same on a card, and needs no copy; this is for those who flash with other programs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk image customize pikiosk-pi3-trixie-arm64.img.xz --config kiosk.toml -o lobby.img")]
struct CustomizeArgs {
    /// The image: .img, or packed as .xz, .gz, .zst or .zip.
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// The settings of the display.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The pikiosk for the Pi; without it, the one that `make aarch64` made.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// The copy; without it, IMAGE-custom.img beside the image. It must not be there yet.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Tells what an image is: partitions, system, what pikiosk put there, and whether a Pi 3 would start from it.
///
/// Exit code 12: it is no image, or a Pi 3 would not start from it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk image inspect 2026-04-13-raspios-trixie-arm64-lite.img.xz
  pikiosk image inspect card.img --json")]
struct InspectArgs {
    /// The image: .img, or packed as .xz, .gz, .zst or .zip.
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    #[command(flatten)]
    json: Json,
}

/// Writes what travels beside an image: .bmap, .sha256, .sbom.json and .manifest.json. `image build` does it by itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk image describe lobby.img")]
struct DescribeArgs {
    /// The image: .img, not packed. An .img.xz beside it is told of, too.
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    #[command(flatten)]
    json: Json,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    match &args.what {
        What::Build(args) => build::run(args),
        What::Customize(args) => customize::run(args),
        What::Inspect(args) => inspect::run(args),
        What::Describe(args) => describe::run(args),
    }
}
