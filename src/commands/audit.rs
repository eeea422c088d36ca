//! `pikiosk audit`: who did what at the server.

use serde_json::Value;

use super::cli::Json;
use super::client::{Client, ClientError, Server, failed};
use super::failure::{Exit, Failure};
use super::output;

/// Tells who did what at the server: keys, displays, codes, revocations.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk audit
  pikiosk audit --json
  pikiosk audit --after 001777896000000-000003-9f1c2e")]
pub struct Args {
    /// Only what came after the entry with this id (--json tells ids).
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    server: Server,
}

/// Entries asked for at once; the server's most.
const PAGE: usize = 1_000;

pub fn run(args: Args) -> Result<Exit, Failure> {
    let failed = failed("read the audit log");
    let client = Client::new(&args.server).map_err(failed)?;
    let entries = super::block_on(all(&client, args.after.unwrap_or_default()))?.map_err(failed)?;
    if args.json.json {
        output::json(&entries)?;
        return Ok(Exit::Done);
    }
    for entry in &entries {
        output::line(&told(entry))?;
    }
    Ok(Exit::Done)
}

async fn all(client: &Client, mut after: String) -> Result<Vec<Value>, ClientError> {
    let mut entries: Vec<Value> = Vec::new();
    loop {
        let query = [("after", after.as_str()), ("limit", "1000")];
        let page: Vec<Value> = client.get_with(&["audit"], &query).await?;
        let is_last = page.len() < PAGE;
        entries.extend(page);
        match entries.last() {
            Some(last) if !is_last => after = last["id"].as_str().unwrap_or_default().to_owned(),
            _ => return Ok(entries),
        }
    }
}

fn told(entry: &Value) -> String {
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    let time: String = text("time").chars().take(19).collect();
    let more = if entry["more"].is_null() { String::new() } else { entry["more"].to_string() };
    format!("{time}Z  {:<20} {:<20} {:<16} {more}", text("who"), text("what"), text("on")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_one_line() {
        let entry = json!({
            "id": "1", "time": "2026-05-04T12:00:00.000Z", "who": "key/operator", "what": "display.rename", "on": "lobby",
            "more": {"to": "foyer"},
        });
        let line = r#"2026-05-04T12:00:00Z  key/operator         display.rename       lobby            {"to":"foyer"}"#;
        assert_eq!(told(&entry), line);
    }
}
