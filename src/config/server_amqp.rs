//! `[amqp]`: the RabbitMQ from which events are taken.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these texts are for people, in server.toml"
)]

use std::{fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::origin::Refusals;

/// A broker from which events are taken.
#[derive(Clone, PartialEq)]
pub struct AmqpSettings {
    /// With its virtual host written out: `/%2f` where nobody wrote one.
    pub url: Url,
    pub exchange: String,
    pub queue: String,
    /// The exchange, and the queue behind it, where messages go that cannot be used.
    pub dead_letter: String,
    /// Messages that the broker hands out before the first of them is stored.
    pub prefetch: u16,
    /// PEM file of the authority that signed the broker's certificate.
    pub ca_file: Option<PathBuf>,
}

/// The address may carry a password: it stays out of logs.
impl fmt::Debug for AmqpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, exchange, queue, dead_letter, prefetch, ca_file } = self;
        f.debug_struct("AmqpSettings")
            .field("url", &url.host_str())
            .field("exchange", exchange)
            .field("queue", queue)
            .field("dead_letter", dead_letter)
            .field("prefetch", prefetch)
            .field("ca_file", ca_file)
            .finish()
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct AmqpFile {
    /// The RabbitMQ from which events are taken: amqp://, or amqps:// for TLS. Whoever may publish to the exchange may do
    /// what an operator may; the broker's own permissions guard it. Without it, nothing is taken.
    #[schemars(extend("examples" = ["amqp://pikiosk:password@127.0.0.1:5672/"]))]
    url: Option<String>,
    /// The topic exchange that your programs publish to, with the routing key commands.<display>, commands.group.<name>,
    /// commands.user.<name> or commands.all.
    exchange: String,
    /// The durable queue behind it. Over several servers one consumes it and the others stand by.
    queue: String,
    /// The exchange, and the queue of the same name, for messages that cannot be used. The header x-pikiosk-reason says why.
    dead_letter: String,
    /// Messages under way at a time; as many are stored at once.
    #[schemars(range(min = 1, max = 1000))]
    prefetch: u16,
    /// For amqps:// with a certificate of your own: the file of the authority that signed it, in PEM.
    #[schemars(extend("format" = "path", "examples" = ["/etc/pikiosk/broker-ca.pem"]))]
    ca_file: Option<String>,
}

impl Default for AmqpFile {
    fn default() -> Self {
        Self {
            url: None,
            exchange: "kiosk".to_owned(),
            queue: "pikiosk".to_owned(),
            dead_letter: "kiosk.dead".to_owned(),
            prefetch: 64,
            ca_file: None,
        }
    }
}

impl AmqpFile {
    /// None where no broker is named.
    pub(super) fn settings(self, refusals: &mut Refusals<'_>) -> Option<AmqpSettings> {
        for (key, name) in [("exchange", &self.exchange), ("queue", &self.queue), ("dead_letter", &self.dead_letter)] {
            if name.is_empty() || name.len() > 255 {
                refusals.refuse(&format!("amqp.{key}"), "the name has not 1 to 255 bytes", "write a shorter name");
            }
        }
        let Self { url, exchange, queue, dead_letter, prefetch, ca_file } = self;
        let url = amqp_url("amqp.url", &url?, refusals)?;
        Some(AmqpSettings { url, exchange, queue, dead_letter, prefetch, ca_file: ca_file.map(PathBuf::from) })
    }
}

/// The address of a broker. An empty virtual host means `/`, as in every other client; strictly read it would be one
/// without a name, which nobody has.
pub(super) fn amqp_url(key: &str, text: &str, refusals: &mut Refusals<'_>) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "amqp" | "amqps") && url.has_host());
    let Some(mut url) = url else {
        // The text is not repeated: it may hold a password.
        let cure = "write it such as amqp://user:password@127.0.0.1:5672/ (amqps:// for TLS)";
        refusals.refuse(key, "this is no address of a RabbitMQ", cure);
        return None;
    };
    if matches!(url.path(), "" | "/" | "//") {
        url.set_path("/%2f");
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use crate::config::ServerSettings;

    #[test]
    fn an_empty_virtual_host_is_the_default_one_and_a_password_is_not_printed() {
        for (written, path) in [
            ("amqp://rabbit", "/%2f"),
            ("amqp://rabbit:5672/", "/%2f"),
            ("amqp://user:secret@rabbit//", "/%2f"),
            ("amqp://rabbit/%2f", "/%2f"),
            ("amqps://rabbit/shop?heartbeat=5", "/shop"),
        ] {
            let settings = ServerSettings::from_text(&format!("[amqp]\nurl = \"{written}\"\n")).unwrap();
            assert_eq!(settings.amqp.as_ref().unwrap().url.path(), path, "{written}");
            assert!(!format!("{settings:?}").contains("secret"));
        }
        assert_eq!(ServerSettings::from_text("[amqp]\nqueue = \"q\"\n").unwrap().amqp, None);
        let refused = ServerSettings::from_text("[amqp]\nurl = \"rabbit:5672\"\n").unwrap_err().to_string();
        assert!(refused.contains("no address of a RabbitMQ"), "{refused}");
        assert!(ServerSettings::from_text("[amqp]\nurl = \"amqp://a\"\nprefetch = 0\n").is_err());
    }
}
