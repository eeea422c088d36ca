use std::process::ExitCode;

use pikiosk::commands::cli::{Cli, Command};
#[cfg(all(feature = "display", feature = "server", feature = "tools"))]
use pikiosk::commands::demo;
use pikiosk::commands::{self, completions, config, doctor, man};
#[cfg(feature = "display")]
use pikiosk::commands::{browser, drill, helper, run, status};
#[cfg(feature = "tools")]
use pikiosk::commands::{displays, enroll, flash, image, push, ticket};

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    #[cfg_attr(not(feature = "display"), expect(unused_variables, reason = "only the supervisor reads its log again"))]
    let log = cli.start_logging();
    commands::end(match cli.command {
        #[cfg(all(feature = "display", feature = "server", feature = "tools"))]
        Command::Demo(args) => demo::run(args),
        #[cfg(feature = "tools")]
        Command::Flash(args) => flash::run(&args),
        #[cfg(any(feature = "display", feature = "tools"))]
        Command::Provision(args) => commands::provision::run(&args),
        #[cfg(feature = "tools")]
        Command::Image(args) => image::run(&args),
        #[cfg(feature = "tools")]
        Command::Push(args) => push::run(args),
        #[cfg(feature = "tools")]
        Command::Displays(args) => displays::run(args),
        #[cfg(feature = "tools")]
        Command::Enroll(args) => enroll::run(&args),
        #[cfg(feature = "tools")]
        Command::Ticket(args) => ticket::run(&args),
        #[cfg(feature = "tools")]
        Command::Keys(args) => commands::keys::run(args),
        #[cfg(feature = "tools")]
        Command::Audit(args) => commands::audit::run(args),
        #[cfg(feature = "server")]
        Command::Server(args) => commands::server::run(args),
        #[cfg(feature = "display")]
        Command::Run(args) => run::run(args, log),
        #[cfg(feature = "display")]
        Command::Browser(args) => browser::run(args),
        #[cfg(feature = "display")]
        Command::Status(args) => status::run(&args),
        #[cfg(feature = "display")]
        Command::Helper(args) => helper::run(&args),
        #[cfg(feature = "display")]
        Command::Drill(args) => drill::run(args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Config(args) => config::run(args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    })
}
