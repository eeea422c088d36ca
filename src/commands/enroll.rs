//! `pikiosk enroll`: a one-time code with which a new display makes itself known.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::{Host, Url};

use super::cli::Json;
use super::client::{Client, Server, failed};
use super::failure::{Exit, Failure};
use super::output;
use super::reach::bare;
use crate::event::DisplayId;

/// Makes a one-time code for a new display, and prints what to write on its card.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk enroll --display lobby
  pikiosk enroll --count 50 --csv > codes.csv
  pikiosk enroll --count 12 --prefix shop- --csv
  pikiosk enroll --server https://push.example.org --json")]
pub struct Args {
    /// The id that the display gets. Without it, the display's own wish, or one that the server makes.
    #[arg(long, value_name = "ID")]
    display: Option<DisplayId>,
    /// Make so many codes, 1 to 1000.
    #[arg(long, value_name = "N", conflicts_with = "display", value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: Option<u32>,
    /// With --count: they are for displays called PREFIX01, PREFIX02, ...
    #[arg(long, requires = "count")]
    prefix: Option<String>,
    /// With --count: print a list with the columns id, server and code, as pikiosk flash takes it.
    #[arg(long, requires = "count", conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Serialize, Deserialize)]
struct Enrollment {
    code: String,
    expires: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display: Option<DisplayId>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Enrollments {
    enrollments: Vec<Enrollment>,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let failed = failed("make an enrollment code");
    let client = Client::new(&args.server).map_err(failed)?;
    if let Some(count) = args.count {
        let mut body = json!({ "count": count });
        if let Some(prefix) = &args.prefix {
            body["prefix"] = json!(prefix);
        }
        let made: Enrollments = super::block_on(client.post(&["enrollments"], &body))?.map_err(failed)?;
        return many(&made, args);
    }
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
    if let Some(display) = &args.display {
        let there: Result<Value, _> = super::block_on(client.get(&["displays", display.as_str()]))?;
        if there.is_ok() {
            output::remark(&format!("\nnote: there is a {display} already; whoever uses this code takes its place"));
        }
    }
    remark_on(&args.server.server);
    Ok(Exit::Done)
}

/// What a display cannot reach is no address for its card.
fn remark_on(server: &Url) {
    if is_this_machine(server) {
        let address = bare(server);
        output::remark(&format!(
            "\nnote: {address} is this machine; write the address at which the display reaches it"
        ));
    }
}

fn many(made: &Enrollments, args: &Args) -> Result<Exit, Failure> {
    if args.json.json {
        output::json(&made)?;
    } else if args.csv {
        output::text(&csv_of(made, &args.server.server))?;
        if let Some(first) = made.enrollments.first() {
            output::remark(&format!("note: each code works once, until {}", first.expires));
        }
        remark_on(&args.server.server);
    } else {
        for one in &made.enrollments {
            let display = one.display.as_ref().map(DisplayId::as_str).unwrap_or_default();
            output::line(format!("{}  {display}", one.code).trim_end())?;
        }
    }
    Ok(Exit::Done)
}

/// The columns are those of the list that `pikiosk flash` takes. Nothing in it needs quotes: ids and codes have none of
/// the characters, and a comma of the address is escaped.
fn csv_of(made: &Enrollments, server: &Url) -> String {
    let server = bare(server).replace(',', "%2C");
    let mut text = "id,server,code\n".to_owned();
    for Enrollment { code, display, .. } in &made.enrollments {
        let id = display.as_ref().map(DisplayId::as_str).unwrap_or_default();
        text.push_str(&format!("{id},{server},{code}\n"));
    }
    text
}

fn told(made: &Enrollment, display: Option<&DisplayId>, server: &Url) -> String {
    let id = display.map(|id| format!("[display]\nid = \"{id}\"\n\n")).unwrap_or_default();
    let server = bare(server);
    format!(
        "code     {code}\nexpires  {expires}\n\n\
         Write this into the display's kiosk.toml (pikiosk flash and provision take it as --config); the code works once:\n\n\
         {id}[server]\nurl = \"{server}\"\nenrollment = \"{code}\"\n",
        code = made.code,
        expires = made.expires,
    )
}

/// Loopback; and 0.0.0.0, at which a server listens and from which each machine comes back to itself.
fn is_this_machine(server: &Url) -> bool {
    match server.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KioskSettings;

    #[test]
    fn a_list_of_codes_is_one_that_flash_takes() {
        let one = |id: Option<&str>, code: &str| Enrollment {
            code: code.into(),
            expires: "2026-05-04T12:15:00.000Z".into(),
            display: id.map(|id| id.parse().unwrap()),
        };
        let made = Enrollments { enrollments: vec![one(Some("shop-01"), "ABCD-EFGH"), one(None, "JKMN-PQRS")] };
        let text = csv_of(&made, &Url::parse("https://push.example.org").unwrap());
        let cards = crate::flash::identity::from_csv(std::path::Path::new("codes.csv"), &text).unwrap();
        let values: Vec<_> = cards[0].values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let server = ("server.url", "https://push.example.org");
        assert_eq!(values, [("display.id", "shop-01"), server, ("server.enrollment", "ABCD-EFGH")]);
        assert_eq!(cards[1].id(), None);
    }

    #[test]
    fn an_address_that_leads_a_display_to_itself_is_known() {
        for (server, is_this_machine) in [
            ("http://127.0.0.1:8400", true),
            ("http://localhost:8400", true),
            ("http://0.0.0.0:8400", true),
            ("http://[::]:8400", true),
            ("http://192.168.1.20:8400", false),
            ("https://push.example.org", false),
        ] {
            assert_eq!(super::is_this_machine(&Url::parse(server).unwrap()), is_this_machine, "{server}");
        }
    }

    #[test]
    fn what_is_printed_can_be_pasted_as_it_is() {
        let made = Enrollment { code: "ABCD-EFGH".into(), expires: "2026-05-04T12:15:00.000Z".into(), display: None };
        let server = Url::parse("https://push.example.org").unwrap();
        let text = told(&made, Some(&"lobby".parse().unwrap()), &server);
        insta::assert_snapshot!(text, @r#"
    code     ABCD-EFGH
    expires  2026-05-04T12:15:00.000Z

    Write this into the display's kiosk.toml (pikiosk flash and provision take it as --config); the code works once:

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
