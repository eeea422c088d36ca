//! `pikiosk enroll`: a one-time code with which a new display makes itself known.

use serde::{Deserialize, Serialize};
use serde_json::json;
use url::{Host, Url};

use super::cli::Json;
use super::client::{Client, ClientError, Server};
use super::failure::{Exit, Failure};
use super::output;
use super::reach::bare;
use crate::event::DisplayId;

/// Makes a one-time code for a new display, and prints what to write on its card.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk enroll --display lobby
  pikiosk enroll --server https://push.example.org --json")]
pub struct Args {
    /// The id that the display gets. Without it, the display's own wish, or one that the server makes.
    #[arg(long, value_name = "ID")]
    display: Option<DisplayId>,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Serialize, Deserialize)]
struct Enrollment {
    code: String,
    expires: String,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let failed = |source: ClientError| Failure::Server { doing: "make an enrollment code", source };
    let client = Client::new(&args.server).map_err(failed)?;
    let body = match &args.display {
        Some(display) => json!({ "display": display }),
        None => json!({}),
    };
    let made: Enrollment = super::block_on(client.post(&["enrollments"], &body))?.map_err(failed)?;
    if args.json.json {
        output::json(&made)?;
        return Ok(Exit::Done);
    }
    output::text(&told(&made, args.display.as_ref(), &args.server.server))?;
    if is_loopback(&args.server.server) {
        let address = bare(&args.server.server);
        output::remark(&format!(
            "\nnote: {address} is this machine; write the address at which the display reaches it"
        ));
    }
    Ok(Exit::Done)
}

fn told(made: &Enrollment, display: Option<&DisplayId>, server: &Url) -> String {
    let id = display.map(|id| format!("[display]\nid = \"{id}\"\n\n")).unwrap_or_default();
    let server = bare(server);
    format!(
        "code     {code}\nexpires  {expires}\n\n\
         Write this into /etc/pikiosk/kiosk.toml of the display; the code works once:\n\n\
         {id}[server]\nurl = \"{server}\"\nenrollment = \"{code}\"\n",
        code = made.code,
        expires = made.expires,
    )
}

fn is_loopback(server: &Url) -> bool {
    match server.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KioskSettings;

    #[test]
    fn what_is_printed_can_be_pasted_as_it_is() {
        let made = Enrollment { code: "ABCD-EFGH".into(), expires: "2026-05-04T12:15:00.000Z".into() };
        let server = Url::parse("https://push.example.org").unwrap();
        let text = told(&made, Some(&"lobby".parse().unwrap()), &server);
        insta::assert_snapshot!(text, @r#"
    code     ABCD-EFGH
    expires  2026-05-04T12:15:00.000Z

    Write this into /etc/pikiosk/kiosk.toml of the display; the code works once:

    [display]
    id = "lobby"

    [server]
    url = "https://push.example.org"
    enrollment = "ABCD-EFGH"
    "#);
        let (_, pasted) = text.split_once("[display]").unwrap();
        let settings = KioskSettings::from_text(&format!("[display]{pasted}")).unwrap();
        assert_eq!(settings.server.unwrap().enrollment.as_deref(), Some("ABCD-EFGH"));
    }
}
