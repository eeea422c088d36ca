use std::process::ExitCode;

use pikiosk::commands::cli::{Cli, Command};
use pikiosk::commands::{self, completions, config, man};

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let _log = cli.start_logging();
    commands::end(match cli.command {
        Command::Config(args) => config::run(args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    })
}
