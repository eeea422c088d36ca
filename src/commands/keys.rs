//! `pikiosk keys`: operators' keys, for people and programs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::client::{Common, failed};
use super::failure::{Exit, Failure};
use super::output;
use crate::event::Address;

/// Lists, makes and revokes operators' keys, for everything or for a part.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  pikiosk keys
  pikiosk keys create 'Anna at the desk' --operator
  pikiosk keys create 'cash desk' --to group/shops --command message --command navigate
  pikiosk keys revoke 3f2a9c01b7de"
)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Makes a key and prints it; the server keeps only its hash, so it is told once.
    #[command(after_help = "Examples:
  pikiosk keys create 'Anna at the desk' --operator
  pikiosk keys create 'cash desk' --to group/shops --command message --command navigate")]
    Create {
        /// Whose it is, or what for.
        name: String,
        /// It may do everything.
        #[arg(long, conflicts_with_all = ["to", "commands"])]
        operator: bool,
        /// It may publish to this address (display/ID, group/NAME, user/NAME, all); may be repeated.
        #[arg(long, value_name = "ADDRESS")]
        to: Vec<Address>,
        /// It may send this command there; may be repeated. Without one, only events of its own.
        #[arg(long = "command", value_name = "COMMAND", requires = "to")]
        commands: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Revokes a key, by its id: from then on it opens nothing.
    #[command(after_help = "Example:
  pikiosk keys revoke 3f2a9c01b7de")]
    Revoke {
        /// The key's id, as pikiosk keys lists it.
        id: String,
        #[command(flatten)]
        common: Common,
    },
}

pub fn run(args: Args) -> Result<Exit, Failure> {
    super::block_on(async {
        match args.what {
            None => list(&args.common).await,
            Some(What::Create { operator: false, to, .. }) if to.is_empty() => Err(Failure::Usage {
                doing: "make a key",
                says: "it is not said what it may do".to_owned(),
                hint: "give --operator (everything), or --to ADDRESS, mostly with --command COMMAND".to_owned(),
            }),
            Some(What::Create { name, operator, to, commands, common }) => {
                let wanted = wanted(&name, operator, to, commands);
                let answer: Result<Value, _> = common.client()?.post(&["keys"], &wanted).await;
                let made = answer.map_err(failed("make a key"))?;
                if common.json.json {
                    output::json(&made)?;
                } else {
                    // Nothing else on stdout: it goes into files and variables.
                    output::line(made["key"].as_str().unwrap_or_default())?;
                    output::remark("note: this is the only time that it is told; PIKIOSK_KEY takes it");
                }
                Ok(Exit::Done)
            }
            Some(What::Revoke { id, common }) => {
                common.client()?.delete(&["keys", &id]).await.map_err(failed("revoke the key"))?;
                if common.json.json {
                    output::json(&json!({ "revoked": id }))?;
                } else {
                    output::line(&format!("{id} is revoked"))?;
                }
                Ok(Exit::Done)
            }
        }
    })?
}

fn wanted(name: &str, operator: bool, to: Vec<Address>, commands: Vec<String>) -> Value {
    if operator {
        return json!({ "name": name, "operator": true });
    }
    let commands: BTreeSet<_> = commands.into_iter().map(|name| name.trim_start_matches("kiosk.").to_owned()).collect();
    json!({ "name": name, "pub": to, "cmd": commands })
}

async fn list(common: &Common) -> Result<Exit, Failure> {
    let keys: Vec<Value> = common.client()?.get(&["keys"]).await.map_err(failed("list the keys"))?;
    if common.json.json {
        output::json(&keys)?;
        return Ok(Exit::Done);
    }
    output::table(["KEY", "NAME", "MAY PUBLISH", "TO", "MADE"], keys.iter().map(row))?;
    Ok(Exit::Done)
}

fn row(key: &Value) -> [String; 5] {
    let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
    let list = |name: &str| {
        key[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let (what, to) = match (key["operator"] == true, list("cmd")) {
        (true, _) => ("everything".to_owned(), "everywhere".to_owned()),
        (false, commands) if commands.is_empty() => ("events of its own".to_owned(), list("pub")),
        (false, commands) => (commands, list("pub")),
    };
    [text("id"), text("name"), what, to, text("made").chars().take(10).collect()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_asked_for_as_it_was_typed() {
        assert_eq!(wanted("a", true, vec![], vec![]), json!({"name": "a", "operator": true}));
        let to = vec!["group/shops".parse().unwrap(), "all".parse().unwrap()];
        let commands = vec!["message".to_owned(), "kiosk.message".to_owned()];
        let some = wanted("b", false, to, commands);
        assert_eq!(some, json!({"name": "b", "pub": ["group/shops", "all"], "cmd": ["message"]}));
    }

    #[test]
    fn a_row_says_what_the_key_may_do() {
        let made = "2026-05-04T12:00:00.000Z";
        let all = json!({"id": "1", "name": "a", "operator": true, "made": made});
        assert_eq!(row(&all), ["1", "a", "everything", "everywhere", "2026-05-04"]);
        let some =
            json!({"id": "2", "name": "b", "operator": false, "pub": ["all"], "cmd": ["message", "say"], "made": made});
        assert_eq!(row(&some)[2..4], ["message, say", "all"]);
    }
}
