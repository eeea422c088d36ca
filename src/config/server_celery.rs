//! `[celery]`: the workers that `kiosk.call` reaches.

#![allow(rustdoc::invalid_html_tags, reason = "these texts are for people, in server.toml")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{origin::Refusals, server_amqp::amqp_url};

/// Where tasks go, where their results come from, and who may call which.
#[derive(Clone, PartialEq)]
pub struct CelerySettings {
    pub broker: CeleryBroker,
    pub backend: CeleryBackend,
    pub queue: String,
    pub tasks: BTreeSet<String>,
    /// A result that takes longer is no longer waited for.
    pub timeout: Duration,
    /// By `user/<name>` or `display/<id>`: what it may call instead of all of `tasks`.
    pub principals: BTreeMap<String, BTreeSet<String>>,
}

/// Never printed: its address may carry a password.
#[derive(Clone, PartialEq)]
pub enum CeleryBroker {
    Amqp(Url),
    Redis(Url),
}

/// Never printed, as [`CeleryBroker`].
#[derive(Clone, PartialEq)]
pub enum CeleryBackend {
    /// `rpc://`: results come as messages, over the broker.
    Rpc,
    Redis(Url),
}

/// Addresses may carry a password: they stay out of logs.
impl fmt::Debug for CelerySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CelerySettings")
            .field("queue", &self.queue)
            .field("tasks", &self.tasks)
            .field("timeout", &self.timeout)
            .field("principals", &self.principals)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CeleryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CeleryBroker")
    }
}

impl fmt::Debug for CeleryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CeleryBackend")
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct CeleryFile {
    /// The broker of your Celery workers: amqp://, amqps://, redis:// or rediss://. With it, a page or display may start
    /// tasks by kiosk.call.
    #[schemars(extend("examples" = ["amqp://pikiosk:password@127.0.0.1:5672/"]))]
    broker: Option<String>,
    /// Where your workers put results: redis:// or rediss://, or rpc:// with an amqp:// broker. Without it: rpc:// there, and
    /// the same Redis otherwise.
    #[schemars(extend("examples" = ["redis://127.0.0.1:6379/1"]))]
    backend: Option<String>,
    /// The queue that the workers take tasks from.
    queue: String,
    /// The tasks that may be called, by their full names. Everybody with a socket may, unless celery.principals says less.
    #[schemars(extend("examples" = [["shop.tasks.order_ready"]]))]
    tasks: Vec<String>,
    /// A caller waits this long for a result; a worker that has not begun by then does not begin.
    #[schemars(range(min = 1, max = 86_400))]
    timeout_seconds: u32,
    /// Who may call fewer than all of them: "user/<name>" or "display/<id>", and its tasks.
    #[schemars(extend("examples" = [{"user/anna": ["shop.tasks.order_ready"]}]))]
    principals: BTreeMap<String, Vec<String>>,
}

impl Default for CeleryFile {
    fn default() -> Self {
        Self {
            broker: None,
            backend: None,
            queue: "celery".to_owned(),
            tasks: Vec::new(),
            timeout_seconds: 300,
            principals: BTreeMap::new(),
        }
    }
}

impl CeleryFile {
    /// None where no broker is named.
    pub(super) fn settings(self, refusals: &mut Refusals<'_>) -> Option<CelerySettings> {
        let tasks: BTreeSet<String> = self.tasks.into_iter().collect();
        let mut principals = BTreeMap::new();
        for (name, own) in self.principals {
            let key = format!("celery.principals.{name}");
            if !matches!(name.split_once('/'), Some(("user" | "display", rest)) if !rest.is_empty()) {
                refusals.refuse(&key, "this is nobody who can call", "write \"user/<name>\" or \"display/<id>\"");
            }
            if let Some(unknown) = own.iter().find(|task| !tasks.contains(*task)) {
                let says = format!("{unknown:?} is not among celery.tasks");
                refusals.refuse(&key, says, "a principal's own list only narrows that one: add the task there as well");
            }
            principals.insert(name, own.into_iter().collect());
        }
        if self.queue.is_empty() || self.queue.len() > 255 {
            refusals.refuse("celery.queue", "the name has not 1 to 255 bytes", "write the queue of your workers");
        }
        let text = self.broker?;
        let broker = match text.split_once(':') {
            Some(("redis" | "rediss", _)) => redis_url("celery.broker", &text, refusals).map(CeleryBroker::Redis),
            _ => amqp_url("celery.broker", &text, refusals).map(CeleryBroker::Amqp),
        };
        let over_amqp = matches!(broker, Some(CeleryBroker::Amqp(_)));
        let backend = match (self.backend.as_deref(), &broker) {
            (None, Some(CeleryBroker::Redis(url))) => Some(CeleryBackend::Redis(url.clone())),
            (None, _) => Some(CeleryBackend::Rpc),
            (Some("rpc" | "rpc:" | "rpc://"), _) if over_amqp => Some(CeleryBackend::Rpc),
            (Some("rpc" | "rpc:" | "rpc://"), _) => {
                let cure = "write the address of a Redis, such as redis://127.0.0.1:6379/1";
                refusals.refuse("celery.backend", "rpc:// needs a broker of amqp://", cure);
                None
            }
            (Some(text), _) => redis_url("celery.backend", text, refusals).map(CeleryBackend::Redis),
        };
        let timeout = Duration::from_secs(self.timeout_seconds.into());
        Some(CelerySettings { broker: broker?, backend: backend?, queue: self.queue, tasks, timeout, principals })
    }
}

fn redis_url(key: &str, text: &str, refusals: &mut Refusals<'_>) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host());
    if url.is_none() {
        let cure = "write redis://127.0.0.1:6379/1 (rediss:// for TLS), or rpc:// for results over an amqp:// broker";
        refusals.refuse(key, "this is no address of a Redis", cure);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServerSettings;

    fn settings(text: &str) -> Result<Option<CelerySettings>, String> {
        ServerSettings::from_text(text).map(|settings| settings.celery).map_err(|error| error.to_string())
    }

    #[test]
    fn the_back_end_follows_the_broker_where_nobody_wrote_one() {
        assert_eq!(settings("").unwrap(), None, "no broker, no calls");
        let amqp = settings("[celery]\nbroker = \"amqp://rabbit/\"\n").unwrap().unwrap();
        assert!(matches!(amqp.broker, CeleryBroker::Amqp(url) if url.path() == "/%2f"));
        assert!(matches!(amqp.backend, CeleryBackend::Rpc));
        let redis = settings("[celery]\nbroker = \"redis://cache/3\"\n").unwrap().unwrap();
        assert!(matches!(redis.backend, CeleryBackend::Redis(url) if url.path() == "/3"));
        let both = "[celery]\nbroker = \"amqps://rabbit:5671/shop\"\nbackend = \"redis://cache/1\"\ntasks = [\"a\", \"b\"]\n\
                    timeout_seconds = 5\n[celery.principals]\n\"user/anna\" = [\"a\"]\n";
        let both = settings(both).unwrap().unwrap();
        assert!(matches!(&both.broker, CeleryBroker::Amqp(url) if url.path() == "/shop"));
        assert_eq!(both.timeout, Duration::from_secs(5));
        assert_eq!(both.principals["user/anna"], ["a".to_owned()].into());
    }

    #[test]
    fn what_cannot_work_is_refused_in_words_and_no_password_is_repeated() {
        for (text, words) in [
            ("broker = \"http://a:secret@b/\"", "no address of a RabbitMQ"),
            ("broker = \"redis://a\"\nbackend = \"rpc://\"", "rpc:// needs a broker of amqp://"),
            ("broker = \"amqp://a\"\nbackend = \"db+sqlite:///secret\"", "no address of a Redis"),
            ("broker = \"amqp://a\"\nqueue = \"\"", "1 to 255 bytes"),
            ("tasks = [\"a\"]\n[celery.principals]\n\"anna\" = [\"a\"]", "nobody who can call"),
            ("tasks = [\"a\"]\n[celery.principals]\n\"user/anna\" = [\"b\"]", "\"b\" is not among celery.tasks"),
            ("[celery.principals]\n\"user/anna\" = \"a\"", "expected a list, found text"),
            ("timeout_seconds = 0", "out of range"),
        ] {
            let error = settings(&format!("[celery]\n{text}\n")).unwrap_err();
            assert!(error.contains(words) && !error.contains("secret"), "{text}\n  {error}");
        }
    }
}
