//! `[[webhooks]]`: who is told what happens.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::origin::Refusals;

/// What a receiver can be told.
const EVENTS: [&str; 4] = ["display.up", "display.down", "display.copied", "receipt"];

/// A receiver.
#[derive(Clone, PartialEq)]
pub struct WebhookSettings {
    pub url: Url,
    /// Of `EVENTS`, each once.
    pub events: Vec<String>,
    pub secret_file: PathBuf,
}

/// The path of a URL is a secret with some receivers: it stays out of logs.
impl std::fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url, events, secret_file } = self;
        f.debug_struct("WebhookSettings")
            .field("host", &url.host_str())
            .field("events", events)
            .field("secret_file", secret_file)
            .finish()
    }
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WebhookFile {
    /// Where batches of CloudEvents are posted to. Required.
    #[schemars(extend("writeOnly" = true, "examples" = ["https://hooks.example.org/pikiosk"]))]
    url: Option<String>,
    /// What is told: "display.up", "display.down" (after half a minute), "display.copied", "receipt". Required.
    #[schemars(extend("examples" = [["display.up", "display.down"]]))]
    events: Vec<String>,
    /// The file of the secret that signs what is posted (Standard Webhooks: whsec_…, or any text). Required.
    #[schemars(extend("format" = "path", "examples" = ["/etc/pikiosk/webhook.secret"]))]
    secret_file: Option<String>,
}

impl WebhookFile {
    pub fn settle(self, n: usize, refusals: &mut Refusals<'_>) -> Option<WebhookSettings> {
        let at = |name: &str| format!("webhooks[{n}].{name}");
        let url = self.url.as_deref().and_then(|text| Url::parse(text).ok());
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if url.is_none() {
            // The text is not repeated: its path may be a secret.
            let cure = "write url = \"https://hooks.example.org/pikiosk\"";
            refusals.refuse(&at("url"), "there is no address to post to", cure);
        }
        let mut events: Vec<String> = Vec::new();
        for event in self.events {
            if !EVENTS.contains(&event.as_str()) {
                let cure = format!("write some of {}", EVENTS.map(|event| format!("{event:?}")).join(", "));
                refusals.refuse(&at("events"), format!("{event:?} is nothing that is told"), cure);
            } else if !events.contains(&event) {
                events.push(event);
            }
        }
        if events.is_empty() {
            refusals.refuse(&at("events"), "nothing would be told", "write events = [\"display.down\"]");
        }
        let Some(secret_file) = self.secret_file.filter(|path| !path.is_empty()) else {
            let cure = "write secret_file = \"…\", so that the receiver can tell who posts";
            refusals.refuse(&at("secret_file"), "what is posted would not be signed", cure);
            return None;
        };
        Some(WebhookSettings { url: url?, events, secret_file: secret_file.into() })
    }
}
