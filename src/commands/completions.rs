//! `pikiosk completions`: what a shell needs to complete our command line.

use clap_complete::env::Shells;

use super::failure::{Exit, Failure};
use super::output;

/// Prints what your shell needs to complete pikiosk's commands and their data.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bash   echo 'source <(pikiosk completions bash)' >> ~/.bashrc
  zsh    echo 'source <(pikiosk completions zsh)' >> ~/.zshrc
  fish   pikiosk completions fish > ~/.config/fish/completions/pikiosk.fish")]
pub struct Args {
    /// Your shell.
    #[arg(value_parser = ["bash", "zsh", "fish", "elvish", "powershell"])]
    shell: String,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let shells = Shells::builtins();
    let shell = shells.completer(&args.shell).expect("the parser takes the names of built-in shells only");
    let mut script = Vec::new();
    // The shell asks this very program on each Tab, so that a newer one completes its newer commands.
    shell
        .write_registration("COMPLETE", "pikiosk", "pikiosk", "pikiosk", &mut script)
        .map_err(|source| Failure::Unwritable { source })?;
    output::bytes(&script)?;
    Ok(Exit::Done)
}
