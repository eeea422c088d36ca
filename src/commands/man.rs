//! `pikiosk man`: the manual, from the same tree as the help.

use std::path::PathBuf;

use super::cli::{Cli, print};
use super::failure::{Exit, Failure};
use super::output;

/// Prints the manual page, or writes the pages of all commands into a folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk man | man -l -
  pikiosk man --to /usr/local/share/man/man1")]
pub struct Args {
    /// Write one page for each command into this folder.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    // The manual has a list of its own in the place of the groups.
    let tree = Cli::tree().after_help(None);
    match &args.to {
        Some(folder) => {
            let unwritten = |source| Failure::File { path: folder.clone(), source };
            std::fs::create_dir_all(folder).map_err(unwritten)?;
            clap_mangen::generate_to(tree, folder).map_err(unwritten)?;
            Ok(Exit::Done)
        }
        None => {
            let mut page = Vec::new();
            let exits = format!(".SH EXIT STATUS\n.nf\n{}.fi\n", Exit::table());
            clap_mangen::Man::new(tree).render(&mut page).map_err(|source| Failure::Unwritable { source })?;
            output::bytes(&page)?;
            print(&exits)
        }
    }
}
