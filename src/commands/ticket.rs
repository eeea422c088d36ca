//! `pikiosk ticket`: a one-time ticket, to try a WebSocket by hand.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cli::Json;
use super::client::{Client, Server, failed};
use super::failure::{Exit, Failure};
use super::output;

/// Makes a ticket that opens one WebSocket, once, within 20 seconds.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  websocat -H \"Authorization: Bearer $(pikiosk ticket anna)\" ws://127.0.0.1:8400/v1/ws")]
pub struct Args {
    /// The user that the socket is for: it receives what is published to user/NAME.
    #[arg(value_name = "USER")]
    user: String,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Serialize, Deserialize)]
struct Ticket {
    ticket: String,
    expires: String,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let failed = failed("make a ticket");
    let client = Client::new(&args.server).map_err(failed)?;
    let made: Ticket = super::block_on(client.post(&["tickets"], &json!({ "user": args.user })))?.map_err(failed)?;
    if args.json.json {
        output::json(&made)?;
    } else {
        // Nothing else on stdout: it goes into other commands.
        output::line(&made.ticket)?;
    }
    Ok(Exit::Done)
}
