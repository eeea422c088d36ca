//! The tree of subcommands, and how help is laid out.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::CompleteEnv;

#[cfg(all(feature = "display", feature = "server", feature = "tools"))]
use super::demo;
use super::failure::Exit;
use super::logging::{self, Usual};
#[cfg(any(feature = "display", feature = "tools"))]
use super::provision;
#[cfg(feature = "server")]
use super::server;
#[cfg(feature = "tools")]
use super::{audit, displays, enroll, flash, image, keys, push, ticket};
#[cfg(feature = "display")]
use super::{browser, drill, helper, run, status};
use super::{completions, config, doctor, man, output};
use crate::io::log_ring::LogRing;

/// Shows web pages on walls, for years: the display, its event server, and the commands to push to it.
#[derive(Debug, Parser)]
#[command(name = "pikiosk", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// Say more on stderr; twice for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 900)]
    pub verbose: u8,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    #[cfg(all(feature = "display", feature = "server", feature = "tools"))]
    Demo(demo::Args),
    #[cfg(feature = "tools")]
    Flash(flash::Args),
    #[cfg(any(feature = "display", feature = "tools"))]
    Provision(provision::Args),
    #[cfg(feature = "tools")]
    Image(image::Args),
    #[cfg(feature = "tools")]
    Push(push::Args),
    #[cfg(feature = "tools")]
    Displays(displays::Args),
    #[cfg(feature = "tools")]
    Enroll(enroll::Args),
    #[cfg(feature = "tools")]
    Ticket(ticket::Args),
    #[cfg(feature = "tools")]
    Keys(keys::Args),
    #[cfg(feature = "tools")]
    Audit(audit::Args),
    #[cfg(feature = "server")]
    Server(server::Args),
    #[cfg(feature = "display")]
    Run(run::Args),
    #[cfg(feature = "display")]
    Browser(browser::Args),
    #[cfg(feature = "display")]
    Status(status::Args),
    /// Nobody types it: systemd does.
    #[cfg(feature = "display")]
    #[command(hide = true)]
    Helper(helper::Args),
    #[cfg(feature = "display")]
    Drill(drill::Args),
    Doctor(doctor::Args),
    Config(config::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// `--json`, on every command that prints a result.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Json {
    /// Print the result as JSON, for other programs.
    #[arg(long)]
    pub json: bool,
}

/// In which group of the top-level help each subcommand stands, in this order.
const GROUPS: &[(&str, &[&str])] = &[
    ("Try it", &["demo"]),
    ("Make displays", &["flash", "provision", "image"]),
    ("Push to displays", &["push", "displays", "enroll", "ticket", "keys", "audit"]),
    ("The event server", &["server"]),
    ("On a display", &["run", "browser", "status", "drill"]),
    ("This machine", &["doctor", "config", "completions", "man"]),
];

impl Cli {
    /// Reads the command line. Answers the shell's questions for completion, `--help` and mistakes by itself.
    pub fn read() -> Result<Self, ExitCode> {
        CompleteEnv::with_factory(Self::tree).complete();
        let parsed = Self::tree().try_get_matches().and_then(|matches| {
            use clap::FromArgMatches;
            Self::from_arg_matches(&matches)
        });
        parsed.map_err(|error| {
            // Written by clap itself, to stdout for help and to stderr for mistakes; nowhere to tell that it failed.
            let _ = error.print();
            if error.exit_code() == 0 { Exit::Done.into() } else { Exit::Usage.into() }
        })
    }

    /// The tree with its help, as it is shown.
    pub fn tree() -> clap::Command {
        let tree = Self::command();
        // Trimmed: clap sets a blank line before it.
        let overview = overview(&tree).trim_start().to_owned();
        tree.help_template("{about}\n\n{usage-heading} {usage}{after-help}\n\nOptions:\n{options}")
            .after_help(overview)
            .mut_subcommands(|sub| sub.disable_help_subcommand(true))
    }

    /// Starts logging as this command needs it.
    pub fn start_logging(&self) -> LogRing {
        logging::start(self.command.usual(), self.verbose)
    }
}

impl Command {
    fn usual(&self) -> Usual {
        match self {
            #[cfg(all(feature = "display", feature = "server", feature = "tools"))]
            Self::Demo(_) => Usual::Quiet,
            #[cfg(feature = "tools")]
            Self::Flash(_) | Self::Image(_) | Self::Push(_) | Self::Displays(_) | Self::Enroll(_) => Usual::Quiet,
            #[cfg(feature = "tools")]
            Self::Ticket(_) | Self::Keys(_) | Self::Audit(_) => Usual::Quiet,
            #[cfg(any(feature = "display", feature = "tools"))]
            Self::Provision(_) => Usual::Quiet,
            #[cfg(feature = "server")]
            Self::Server(_) => Usual::Service,
            #[cfg(feature = "display")]
            Self::Run(_) | Self::Browser(_) | Self::Helper(_) => Usual::Service,
            #[cfg(feature = "display")]
            Self::Status(_) | Self::Drill(_) => Usual::Quiet,
            Self::Doctor(_) | Self::Config(_) | Self::Completions(_) | Self::Man(_) => Usual::Quiet,
        }
    }
}

/// The subcommands in groups: clap itself knows one list only.
fn overview(tree: &clap::Command) -> String {
    let mut text = String::new();
    for (heading, names) in GROUPS {
        let subs = names.iter().filter_map(|name| tree.find_subcommand(name));
        let lines: Vec<_> = subs
            .map(|sub| {
                let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
                format!("  {:<12} {about}\n", sub.get_name())
            })
            .collect();
        if !lines.is_empty() {
            text.push_str(&format!("\n{heading}:\n{}", lines.concat()));
        }
    }
    text.push_str("\npikiosk COMMAND --help tells more about one command, with examples.");
    text
}

/// For commands whose result is a text that was asked for.
pub(super) fn print(text: &str) -> Result<Exit, super::Failure> {
    output::text(text)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests;
