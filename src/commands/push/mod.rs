//! `pikiosk push`: one command to displays, and what became of it on each.
//!
//! ```text
//!  words --data: KEY=VALUE as the registry has it--> POST /v1/events?wait --receipts--> a line a display; result: --save
//!  completion: what the shell offers, from the same registry and the server's own list
//! ```
//!
//! Rejected: a subcommand for each command of a display. The registry has their names, data and help already, and a server
//! may be newer than the program that asks it.

mod completion;
mod data;
pub(super) mod result;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap_complete::ArgValueCompleter;
use jiff::SignedDuration;

use super::cli::Json;
use super::client::{Client, DisplayReceipt, Outcome, Server};
use super::failure::{Exit, Failure, first_few};
use super::output;
use crate::event::command::{self, REGISTRY, TTL_MAX};
use crate::event::time::UtcMillis;
use crate::event::{Address, Event};
use result::Sent;

/// Pushes a command to displays, and tells what became of it on each.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(), after_help = "pikiosk push --help lists every command, with examples.")]
pub struct Args {
    /// A display's id, display/ID, group/NAME, user/NAME, or all.
    #[arg(value_parser = target)]
    target: Address,
    /// What to do there, or an event type of your own, such as org.example.order, for the page.
    #[arg(add = ArgValueCompleter::new(completion::commands))]
    command: String,
    /// The command's data, each as key=value.
    #[arg(value_name = "KEY=VALUE", conflicts_with = "data", add = ArgValueCompleter::new(completion::data))]
    values: Vec<String>,
    /// The command's data as one JSON object, or @FILE to read it from there.
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// How long to wait for the displays; 0s: not at all. Without it 10s, and 60s for what takes its time: configure,
    /// drill, restart_browser, say, sound.
    #[arg(long, value_name = "TIME", value_parser = time)]
    wait: Option<Duration>,
    /// How long the command may wait for a display that is away, such as 5m or 2h.
    #[arg(long, value_name = "TIME", value_parser = time)]
    ttl: Option<Duration>,
    /// Publish under this id: the same id twice is one event, so that a script may try again.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Write what the display sends back, such as a screenshot, into this file.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    server: Server,
}

pub fn run(args: Args) -> Result<Exit, Failure> {
    let event = event(&args, now())?;
    // Before anything is asked of a display: what it sends back is there once.
    let folder = args.save.as_deref().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let says = format!("there is no folder {} to save it in", folder.display());
        return Err(Failure::Usage { doing: "push", says, hint: "make it first, or give another --save".to_owned() });
    }
    let client = Client::new(&args.server).map_err(unpushed)?;
    super::block_on(push(&client, &event, &args))?
}

/// Publishes, and waits until every display is through with it or the time is over.
async fn push(client: &Client, event: &Event, args: &Args) -> Result<Exit, Failure> {
    let (wait, json) = (args.wait.unwrap_or_else(|| usual_wait(event)), args.json.json);
    let mut outcome = client.publish(event).await.map_err(unpushed)?;
    if event.kiosk_name().is_some() && !wait.is_zero() {
        follow(client, &mut outcome, wait, args).await?;
    }
    if json {
        output::json(&outcome)?;
    }
    let bad = outcome.receipts.iter().filter(|receipt| !receipt.receipt.status.is_success()).count();
    if bad > 0 || (!outcome.pending.is_empty() && !wait.is_zero()) {
        return Err(Failure::NotShown { bad, pending: outcome.pending });
    }
    if let Some(summary) = summary(event, &outcome, wait).filter(|_| !json) {
        output::line(&summary)?;
    }
    Ok(Exit::Done)
}

/// Asks the server again and again: it has the receipts, and a person sees each as it comes.
async fn follow(client: &Client, outcome: &mut Outcome, wait: Duration, args: &Args) -> Result<(), Failure> {
    const SOONEST: Duration = Duration::from_millis(20);
    const LATEST: Duration = Duration::from_millis(250);
    /// Nobody looks longer at a terminal that says nothing.
    const SILENT: Duration = Duration::from_secs(2);
    let begun = Instant::now();
    let end = begun + wait;
    let (mut pause, mut told, mut remarked) = (SOONEST, HashSet::new(), args.json.json);
    loop {
        *outcome = client.outcome(&outcome.id).await.map_err(unpushed)?;
        for receipt in &outcome.receipts {
            if told.insert(receipt.display.clone()) {
                tell(client, &outcome.id, receipt, args).await?;
            }
        }
        let left = end.saturating_duration_since(Instant::now());
        if outcome.pending.is_empty() || left.is_zero() {
            return Ok(());
        }
        if !remarked && begun.elapsed() >= SILENT {
            remarked = true;
            output::remark(&format!("waiting for {}, up to {} s …", first_few(&outcome.pending), wait.as_secs()));
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 3 / 2).min(LATEST);
    }
}

/// What is done only when something is over: ten seconds of trial, a fault and its cure, a start of Firefox, a sound.
fn usual_wait(event: &Event) -> Duration {
    match event.kiosk_name() {
        Some("configure" | "drill" | "restart_browser" | "say" | "sound") => Duration::from_secs(60),
        _ => Duration::from_secs(10),
    }
}

/// One display's receipt, and below it what it sent.
async fn tell(client: &Client, event: &str, of: &DisplayReceipt, args: &Args) -> Result<(), Failure> {
    let sent = Sent::read(of.receipt.result.as_ref());
    let saved = match &args.save {
        None => None,
        Some(file) => {
            let many = !matches!(args.target, Address::Display(_));
            let content = sent.content(client, &of.display, event).await;
            let content = content.map_err(|source| Failure::Server { doing: "fetch the result", source })?;
            content.map(|content| result::save(file, &of.display, many, &content)).transpose()?
        }
    };
    if args.json.json {
        return Ok(());
    }
    output::line(&receipt_line(of))?;
    output::text(&sent.told(saved.as_deref()))
}

fn receipt_line(of: &DisplayReceipt) -> String {
    let DisplayReceipt { display, receipt } = of;
    let error = receipt.error.as_ref().map(|error| format!("  {error}")).unwrap_or_default();
    format!("{display:<20}  {:<10}  {:>6} ms{error}", receipt.status.as_str(), receipt.took_ms)
}

/// The last line of a push that went well; nothing where the receipt said it all.
fn summary(event: &Event, outcome: &Outcome, wait: Duration) -> Option<String> {
    let published = format!("published to {} as {}", outcome.address, outcome.id);
    match outcome.receipts.len() {
        _ if event.kiosk_name().is_none() || wait.is_zero() => Some(published),
        0 => Some(format!("{published}; no display is there")),
        1 => None,
        displays => Some(format!("all {displays} displays are through")),
    }
}

fn event(args: &Args, now: UtcMillis) -> Result<Event, Failure> {
    let name = args.command.strip_prefix("kiosk.").unwrap_or(&args.command);
    // A name with a dot in it is the publisher's own, as CloudEvents wants types to be.
    let own = name.contains('.');
    if !own && !args.target.reaches_displays() {
        return Err(Failure::Usage {
            doing: "push",
            says: format!("{name} is for displays, and {} is none", args.target),
            hint: "push it to a display, group/NAME or all; a user gets event types of your own, such as \
                   org.example.order"
                .to_owned(),
        });
    }
    let kind = if own { name.to_owned() } else { format!("kiosk.{name}") };
    let data = data::read(name, own, &args.values, args.data.as_deref())?;
    let id = args.id.clone().unwrap_or_else(|| format!("{:032x}", fastrand::u128(..)));
    let mut event = Event::new(id, source(), kind).to(args.target.clone()).with_data(&data);
    if let Some(ttl) = args.ttl {
        if ttl > TTL_MAX {
            let says = "the command may wait for 7 days at most".to_owned();
            return Err(Failure::Usage { doing: "push", says, hint: "give a shorter --ttl".to_owned() });
        }
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        event.expirytime = Some(UtcMillis(now.0.saturating_add(ttl)));
    }
    match command::meaning(&event) {
        Ok(_) => Ok(event),
        Err(error) => Err(data::refused(&error)),
    }
}

/// With the id it makes a publish one: the machine is part of it.
fn source() -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    format!("/pikiosk/push/{}", host.unwrap_or_default())
}

fn now() -> UtcMillis {
    UtcMillis(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default())
}

fn target(text: &str) -> Result<Address, String> {
    let full = if text == "all" || text.contains('/') { text.to_owned() } else { format!("display/{text}") };
    full.parse().map_err(|error: crate::event::address::AddressError| error.to_string())
}

pub(super) fn time(text: &str) -> Result<Duration, String> {
    let time = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    time.ok_or_else(|| "write a number and a unit, such as 500ms, 10s, 5m or 2h".to_owned())
}

fn unpushed(source: super::client::ClientError) -> Failure {
    Failure::Server { doing: "push", source }
}

fn after_help() -> String {
    let mut text = String::from("Commands and their data (* must be given):\n");
    for spec in REGISTRY {
        text.push_str(&data::wrapped(&format!("  {:<16} ", spec.name), 19, spec.summary));
        for field in data::fields(&spec.schema()) {
            text.push_str(&field.help());
        }
    }
    text.push_str("\nExamples:\n");
    for spec in REGISTRY {
        let target = match spec.name {
            "message" => "group/shops",
            "identify" => "all",
            _ => "lobby",
        };
        let line = format!("  pikiosk push {target} {} {}", spec.name, spec.example);
        if line.len() <= 98 {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text.push_str("  pikiosk push lobby screenshot --save lobby.png\n");
    text.push_str("  pikiosk push all org.example.order number=41      (an event of your own, for the page)\n");
    text
}
