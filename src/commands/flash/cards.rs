//! Which card gets which identity, and the settings of each.

use serde_json::json;

use super::Args;
use crate::commands::client::{Client, failed};
use crate::commands::{block_on, failure::Failure};
use crate::config::{KioskSettings, Loaded, Sources};
use crate::flash::identity::{self, Identity};

/// One card to be made.
#[derive(Debug)]
pub struct Planned {
    /// What the card is to be; `None`: the image as it is.
    pub kiosk: Option<Box<Kiosk>>,
}

/// What one card is to be, and where that is said.
#[derive(Debug)]
pub struct Kiosk {
    pub loaded: Loaded<KioskSettings>,
    sources: Sources,
}

impl Planned {
    /// The display's id, if it is decided before it enrolls.
    pub fn id(&self) -> Option<String> {
        self.kiosk.as_ref()?.loaded.settings.display.id.as_ref().map(ToString::to_string)
    }
}

/// Gives each card its settings. Nothing is asked of the server here.
pub fn planned(args: &Args) -> Result<Vec<Planned>, Failure> {
    let identities = identities(args)?;
    let custom = args.config.is_some() || !args.set.is_empty() || !identities.is_empty();
    let mut cards = Vec::new();
    for index in 0..args.to.len() {
        let kiosk = custom.then(|| kiosk(sources(args, identities.get(index)))).transpose()?;
        cards.push(Planned { kiosk: kiosk.map(Box::new) });
    }
    Ok(cards)
}

/// Asks the server for a code for each card, once all else is settled: a code is good for a while only.
pub fn enroll(args: &Args, planned: &mut [Planned]) -> Result<(), Failure> {
    #[derive(serde::Deserialize)]
    struct Made {
        code: String,
    }
    let failed = failed("make an enrollment code");
    let client = Client::new(&args.server).map_err(failed)?;
    for card in planned {
        let body = card.id().map_or_else(|| json!({}), |id| json!({ "display": id }));
        let Some(before) = card.kiosk.take() else { continue };
        let made: Made = block_on(client.post(&["enrollments"], &body))?.map_err(failed)?;
        let sources = before.sources.with_flag("--enroll", "server.enrollment", Some(made.code));
        card.kiosk = Some(Box::new(kiosk(sources)?));
    }
    Ok(())
}

fn kiosk(sources: Sources) -> Result<Kiosk, Failure> {
    let loaded = KioskSettings::load(&sources).map_err(|source| Failure::Config { source })?;
    Ok(Kiosk { loaded, sources })
}

/// The settings of one card: the file, then what is said for all, then what is said for this one.
fn sources(args: &Args, identity: Option<&Identity>) -> Sources {
    // Neither this machine's own files nor its environment are meant for a card.
    let nothing = || Sources::under("/nonexistent");
    let mut sources = args.config.as_ref().map_or_else(nothing, Sources::only);
    for (key, value) in &args.set {
        sources = sources.with_flag("--set", key, Some(value.clone()));
    }
    for (key, value) in identity.iter().flat_map(|identity| &identity.values) {
        let origin = identity.map_or("", |identity| identity.origin.as_str());
        sources = sources.with_flag(origin, key, Some(value.clone()));
    }
    sources
}

/// One identity for each card, in the order of `--to`; none at all if none were given.
fn identities(args: &Args) -> Result<Vec<Identity>, Failure> {
    let cards = args.to.len();
    if let Some(pattern) = &args.id {
        return identity::from_pattern(pattern, args.first, cards).map_err(|error| {
            usage(error.to_string(), "write # where the number goes: --id 'lobby-#', or ### for three digits")
        });
    }
    let Some(path) = &args.csv else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(path)
        .map_err(|error| usage(format!("{}: {error}", path.display()), "is the name right, and is it text?"))?;
    let rows = identity::from_csv(path, &text)
        .map_err(|error| usage(error.to_string(), "the first line names the columns: id,url,code"))?;
    let chosen: Vec<Identity> =
        if args.row.is_empty() { rows } else { args.row.iter().map(|id| row(&rows, id)).collect::<Result<_, _>>()? };
    if chosen.len() != cards {
        let says = format!("{} has {} for {}", path.display(), counted(chosen.len(), "row"), counted(cards, "card"));
        return Err(usage(says, "name the rows of these cards, in the order of --to: --row ID --row ID"));
    }
    Ok(chosen)
}

fn row(rows: &[Identity], id: &str) -> Result<Identity, Failure> {
    let found = rows.iter().find(|row| row.id() == Some(id)).cloned();
    found.ok_or_else(|| {
        let known = rows.iter().filter_map(Identity::id).take(20).collect::<Vec<_>>().join(", ");
        usage(format!("no row is called {id}"), &format!("there are: {known}"))
    })
}

pub fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn usage(says: String, hint: &str) -> Failure {
    Failure::Usage { doing: "plan the cards", says, hint: hint.to_owned() }
}
