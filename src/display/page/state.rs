//! What the pages are to say: the value that the supervisor sets, and the JSON that a page reads.

use std::{net::IpAddr, time::Duration};

use serde::Serialize;
use tokio::time::Instant;
use url::Url;

use super::{
    fault::SiteFault,
    words::{self, Tone},
};
use crate::event::time::UtcMillis;

/// Everything the local pages show. The supervisor owns it and changes it with [`Page::update`](super::Page::update).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageState {
    /// The display id; empty before it has one.
    pub display: String,
    /// The server's URL; empty if none is configured.
    pub server: String,
    /// Interface name and address, without loopback and link-local ones.
    pub addresses: Vec<(String, IpAddr)>,
    /// Whether the wall clock has been set since boot: a Pi without a clock of its own shows none rather than a wrong one.
    pub clock_trusted: bool,
    pub phase: Phase,
    /// The site that should be on the glass and is not.
    pub outage: Option<Outage>,
    /// The same of a second screen.
    pub second: Option<Outage>,
    /// Where a browser that has just started is led from `/start`. It is no part of what the pages read.
    pub leads_to: Option<String>,
}

/// What the display is doing before there is anything to show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Phase {
    #[default]
    Starting,
    /// No server in `kiosk.toml`.
    NotConfigured,
    NoNetwork,
    WaitingForEnrollment,
    Connecting,
    /// `why` is an error's words: a lower-case fragment.
    ServerUnreachable {
        why: String,
    },
    /// The server does not take this display's key.
    Refused {
        why: String,
    },
    /// Close code 4502.
    Removed,
    /// Connected; nobody has sent anything to show.
    Ready,
}

/// A site that cannot be shown now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    pub url: String,
    pub fault: SiteFault,
    /// Since when the site has not been on the glass.
    pub since: Instant,
    /// Tries that failed so far.
    pub tries: u32,
    /// When the next try starts; none while one is under way or none is planned.
    pub retry_at: Option<Instant>,
    /// It is an item of a playlist, and tried again when its turn comes.
    pub in_turn: bool,
    /// What this display's own clock says, where that is why the site's certificate is not valid.
    pub clock: Option<String>,
    /// What the site looked like when it was last there, where that was kept.
    pub picture: Option<Picture>,
}

/// The last good picture of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its path here, with its permit.
    pub path: String,
    /// None where nobody knew what time it was.
    pub taken: Option<UtcMillis>,
}

/// `GET /state`, as the page's script reads it. All words are made here, so the script has none to choose.
#[derive(Debug, Serialize)]
pub(super) struct View {
    rev: u64,
    display: String,
    server: String,
    addresses: Vec<String>,
    version: &'static str,
    clock: bool,
    /// What an operator types to put something here.
    push: String,
    status: StatusView,
    outage: Option<OutageView>,
    second: Option<OutageView>,
}

#[derive(Debug, Serialize)]
struct StatusView {
    tone: Tone,
    title: String,
    text: String,
    command: String,
    then: String,
}

#[derive(Debug, Serialize)]
struct OutageView {
    site: String,
    title: String,
    text: String,
    advice: Vec<&'static str>,
    code: String,
    tries: u32,
    down_ms: u64,
    /// Milliseconds to the next try, none if none is planned.
    retry_ms: Option<u64>,
    in_turn: bool,
    picture: Option<PictureView>,
}

#[derive(Debug, Serialize)]
struct PictureView {
    path: String,
    taken_ms: Option<u64>,
}

impl PageState {
    pub(super) fn view(&self, rev: u64, now: Instant) -> View {
        let status = words::of_phase(&self.phase, &self.display, &self.server);
        View {
            rev,
            display: if self.display.is_empty() { "a new display".to_owned() } else { self.display.clone() },
            server: if self.server.is_empty() { "none configured".to_owned() } else { host_of(&self.server) },
            addresses: match self.addresses.is_empty() {
                true => vec!["no network".to_owned()],
                false => self.addresses.iter().map(|(name, ip)| format!("{ip} {name}")).collect(),
            },
            version: concat!("pikiosk ", env!("CARGO_PKG_VERSION")),
            clock: self.clock_trusted,
            push: match self.display.as_str() {
                "" => String::new(),
                display => format!("pikiosk push display/{display} navigate url=https://…"),
            },
            status: StatusView {
                tone: status.tone,
                title: status.title,
                text: status.text,
                command: status.command,
                then: status.then,
            },
            outage: self.outage.as_ref().map(|outage| outage.view(now)),
            second: self.second.as_ref().map(|outage| outage.view(now)),
        }
    }
}

impl Outage {
    fn view(&self, now: Instant) -> OutageView {
        let site = host_of(&self.url);
        let words = match &self.clock {
            Some(date) => words::of_clock(date, &site),
            None => words::of_fault(&self.fault, &site),
        };
        OutageView {
            title: words.title,
            text: words.text,
            advice: words.advice,
            code: self.fault.code(),
            tries: self.tries,
            down_ms: millis(now.saturating_duration_since(self.since)),
            retry_ms: self.retry_at.map(|at| millis(at.saturating_duration_since(now))),
            in_turn: self.in_turn,
            picture: self
                .picture
                .as_ref()
                .filter(|_| self.fault.is_away())
                .map(|picture| PictureView { path: picture.path.clone(), taken_ms: picture.taken.map(|at| at.0) }),
            site,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Host and port: the part of a URL that a person knows it by. Never user, password, path or query.
fn host_of(url: &str) -> String {
    let parsed = Url::parse(url).ok();
    let named = parsed.as_ref().and_then(|url| Some((url.host_str()?, url.port())));
    match named {
        Some((host, Some(port))) => format!("{host}:{port}"),
        Some((host, None)) => host.to_owned(),
        None => "this address".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(state: &PageState, now: Instant) -> serde_json::Value {
        serde_json::to_value(state.view(3, now)).unwrap()
    }

    #[test]
    fn a_new_display_says_so_and_offers_no_command_for_an_id_it_has_not() {
        let view = json(&PageState::default(), Instant::now());
        assert_eq!(view["display"], "a new display");
        assert_eq!(view["push"], "");
        assert_eq!(view["addresses"][0], "no network");
        assert_eq!(view["clock"], false);
        assert_eq!(view["outage"], serde_json::Value::Null);
    }

    #[test]
    fn an_outage_counts_down_and_names_the_host_and_no_password() {
        let now = Instant::now();
        let state = PageState {
            outage: Some(Outage {
                url: "https://user:hunter2@menu.example.org:8443/today?token=abc".into(),
                fault: SiteFault::Status(503),
                since: now,
                tries: 4,
                retry_at: Some(now + Duration::from_secs(12)),
                in_turn: false,
                clock: None,
                picture: None,
            }),
            ..PageState::default()
        };
        let view = json(&state, now + Duration::from_secs(2));
        assert_eq!(view["outage"]["site"], "menu.example.org:8443");
        assert_eq!(view["outage"]["retry_ms"], 10_000);
        assert_eq!(view["outage"]["down_ms"], 2_000);
        assert_eq!(view["outage"]["code"], "http-503");
        assert!(!view.to_string().contains("hunter2") && !view.to_string().contains("token"));
        assert_eq!(json(&state, now + Duration::from_secs(60))["outage"]["retry_ms"], 0, "late is now, not an error");
    }

    #[test]
    fn the_last_picture_is_shown_while_a_site_is_away_and_not_where_it_said_no() {
        let now = Instant::now();
        let picture = Some(Picture { path: "/kept/picture/ab?cd".into(), taken: Some(UtcMillis(9)) });
        let shown = |fault: SiteFault| {
            let url = "https://menu.example.org/".to_owned();
            let outage = Outage {
                url,
                fault,
                since: now,
                tries: 1,
                retry_at: None,
                in_turn: false,
                clock: None,
                picture: picture.clone(),
            };
            json(&PageState { outage: Some(outage), ..PageState::default() }, now)["outage"]["picture"].clone()
        };
        let expected = serde_json::json!({ "path": "/kept/picture/ab?cd", "taken_ms": 9 });
        for fault in [SiteFault::TimedOut, SiteFault::NoNetwork, SiteFault::Refused, SiteFault::Status(503)] {
            assert_eq!(shown(fault.clone()), expected, "{fault:?}");
        }
        for fault in [SiteFault::Login, SiteFault::NotAllowed, SiteFault::Status(401), SiteFault::Status(404)] {
            assert_eq!(shown(fault.clone()), serde_json::Value::Null, "{fault:?}");
        }
        assert_eq!(shown(SiteFault::Crashed), serde_json::Value::Null, "the page itself is at fault");
    }
}
