//! `pikiosk displays`: which displays there are, how they are, and which groups they are in.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::client::{Common, failed};
use super::failure::{Exit, Failure};
use super::output;
use crate::event::{DisplayId, GroupName};

/// Lists the displays of the server, and changes their groups, labels and names.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  pikiosk displays
  pikiosk displays show lobby
  pikiosk displays group lobby shops ground-floor
  pikiosk displays ungroup lobby shops
  pikiosk displays label lobby 'Lobby, left of the lift'
  pikiosk displays rename lobby foyer
  pikiosk displays remove lobby"
)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Tells everything about one display.
    #[command(after_help = "Example:
  pikiosk displays show lobby")]
    Show {
        /// The display's id.
        id: DisplayId,
        #[command(flatten)]
        common: Common,
    },
    /// Puts a display into these groups, and out of all others.
    #[command(after_help = "Example:
  pikiosk displays group lobby shops ground-floor")]
    Group {
        /// The display's id.
        id: DisplayId,
        /// The groups. None: it is in no group.
        groups: Vec<GroupName>,
        #[command(flatten)]
        common: Common,
    },
    /// Takes a display out of these groups.
    #[command(after_help = "Example:
  pikiosk displays ungroup lobby shops")]
    Ungroup {
        /// The display's id.
        id: DisplayId,
        /// The groups.
        #[arg(required = true)]
        groups: Vec<GroupName>,
        #[command(flatten)]
        common: Common,
    },
    /// Gives a display another id. It keeps its key, label, groups and state, and learns its new name.
    #[command(after_help = "Example:
  pikiosk displays rename lobby foyer")]
    Rename {
        /// The id that it has.
        id: DisplayId,
        /// The id that it gets.
        to: DisplayId,
        #[command(flatten)]
        common: Common,
    },
    /// Says in words where a display is.
    #[command(after_help = "Example:
  pikiosk displays label lobby 'Lobby, left of the lift'")]
    Label {
        /// The display's id.
        id: DisplayId,
        /// The words.
        text: String,
        #[command(flatten)]
        common: Common,
    },
    /// Forgets a display: its key no longer opens anything, until it is enrolled again.
    #[command(after_help = "Example:
  pikiosk displays remove lobby")]
    Remove {
        /// The display's id.
        id: DisplayId,
        #[command(flatten)]
        common: Common,
    },
}

pub fn run(args: Args) -> Result<Exit, Failure> {
    super::block_on(async {
        match args.what {
            None => list(&args.common).await,
            Some(What::Show { id, common }) => {
                let answer = common.client()?.get(&["displays", id.as_str()]).await;
                one(answer.map_err(failed("show the display"))?, &common)
            }
            Some(What::Group { id, groups, common }) => {
                let groups: BTreeSet<_> = groups.into_iter().collect();
                let patch = json!({ "groups": groups });
                let answer = common.client()?.patch(&["displays", id.as_str()], &patch).await;
                changed(&answer.map_err(failed("change the display"))?, &common)
            }
            Some(What::Ungroup { id, groups, common }) => {
                let client = common.client()?;
                let failed = failed("change the display");
                let shown: Value = client.get(&["displays", id.as_str()]).await.map_err(&failed)?;
                let left: Vec<&str> = (shown["groups"].as_array().into_iter().flatten().filter_map(Value::as_str))
                    .filter(|name| !groups.iter().any(|group| group.as_str() == *name))
                    .collect();
                let answer = client.patch(&["displays", id.as_str()], &json!({ "groups": left })).await;
                changed(&answer.map_err(failed)?, &common)
            }
            Some(What::Rename { id, to, common }) => {
                let answer = common.client()?.post(&["displays", id.as_str(), "rename"], &json!({ "to": to })).await;
                changed(&answer.map_err(failed("rename the display"))?, &common)
            }
            Some(What::Label { id, text, common }) => {
                let patch = json!({ "label": text });
                let answer = common.client()?.patch(&["displays", id.as_str()], &patch).await;
                changed(&answer.map_err(failed("change the display"))?, &common)
            }
            Some(What::Remove { id, common }) => {
                common.client()?.delete(&["displays", id.as_str()]).await.map_err(failed("remove the display"))?;
                if common.json.json {
                    output::json(&json!({ "removed": id }))?;
                } else {
                    output::line(&format!("{id} is removed"))?;
                }
                Ok(Exit::Done)
            }
        }
    })?
}

async fn list(common: &Common) -> Result<Exit, Failure> {
    let answer: Value = common.client()?.get(&["displays"]).await.map_err(failed("list the displays"))?;
    if common.json.json {
        output::json(&answer)?;
        return Ok(Exit::Done);
    }
    let displays = answer.as_array().or(answer["displays"].as_array()).cloned().unwrap_or_default();
    if displays.is_empty() {
        output::remark("no display is enrolled; pikiosk enroll makes a code for one");
        return Ok(Exit::Done);
    }
    let rows = displays.iter().map(|display| row(display, jiff::Timestamp::now()));
    output::table(["DISPLAY", "IS", "LABEL", "GROUPS", "ON THE GLASS", "VERSION"], rows)?;
    Ok(Exit::Done)
}

fn row(display: &Value, now: jiff::Timestamp) -> [String; 6] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let groups: Vec<_> = display["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let health = &display["health"];
    [
        text(&display["id"]),
        presence(display, now),
        text(&display["label"]),
        groups.join(", "),
        on_the_glass(health),
        text(&health["version"]),
    ]
}

/// The page that is wanted; before it, in one word, what is there in its place.
fn on_the_glass(health: &Value) -> String {
    let url = health["url"].as_str().unwrap_or_default();
    match health["glass"].as_str() {
        None | Some("" | "showing") => url.to_owned(),
        Some(other) => format!("{other}: {url}"),
    }
}

/// `connected`, or for how long it has been away. `COPIED` goes before both: two of it are alive.
fn presence(display: &Value, now: jiff::Timestamp) -> String {
    if !display["copied"].is_null() {
        return "COPIED".to_owned();
    }
    if display["connected"] == true {
        return "connected".to_owned();
    }
    let seen = display["last_seen"].as_str().and_then(|seen| seen.parse::<jiff::Timestamp>().ok());
    match seen.map(|seen| u64::try_from(now.duration_since(seen).as_secs()).unwrap_or_default()) {
        None => "never seen".to_owned(),
        Some(seconds) => format!("away {}", super::roughly(seconds)),
    }
}

fn one(display: Value, common: &Common) -> Result<Exit, Failure> {
    if common.json.json {
        output::json(&display)?;
        return Ok(Exit::Done);
    }
    tell("", &display)?;
    Ok(Exit::Done)
}

/// What can be changed of it, in a sentence.
fn changed(display: &Value, common: &Common) -> Result<Exit, Failure> {
    if common.json.json {
        output::json(display)?;
        return Ok(Exit::Done);
    }
    let label = display["label"].as_str().filter(|label| !label.is_empty());
    let label = label.map(|label| format!(" ({label})")).unwrap_or_default();
    let groups: Vec<_> = display["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let groups = if groups.is_empty() { "no group".to_owned() } else { groups.join(", ") };
    output::line(&format!("{}{label} is in {groups}", display["id"].as_str().unwrap_or_default()))?;
    Ok(Exit::Done)
}

/// `key: value` lines, nested ones as `health.url`.
fn tell(path: &str, value: &Value) -> Result<(), Failure> {
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            tell(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, value)
        }),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            output::line(&format!("{path:<26} {}", items.join(", ")))
        }
        Value::String(text) => output::line(&format!("{path:<26} {text}")),
        Value::Null => Ok(()),
        other => output::line(&format!("{path:<26} {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_the_display_is_there_and_since_when_not() {
        let now: jiff::Timestamp = "2026-05-04T12:00:00Z".parse().unwrap();
        let display = json!({
            "id": "lobby", "label": "Lobby", "groups": ["a", "b"], "connected": true,
            "health": { "url": "https://example.org/", "version": "0.1.0" },
        });
        assert_eq!(row(&display, now), ["lobby", "connected", "Lobby", "a, b", "https://example.org/", "0.1.0"]);
        let not_shown = json!({ "health": { "url": "https://example.org/", "glass": "away" } });
        assert_eq!(row(&not_shown, now)[4], "away: https://example.org/");
        let away = json!({ "id": "lobby", "connected": false, "last_seen": "2026-05-04T09:00:00.000Z" });
        assert_eq!(row(&away, now)[1], "away 3 h");
        assert_eq!(row(&json!({ "id": "lobby" }), now)[1], "never seen");
        let copied = json!({ "id": "lobby", "connected": true, "copied": { "times": 3 } });
        assert_eq!(row(&copied, now)[1], "COPIED");
    }
}
