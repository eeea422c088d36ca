//! What `/metrics` tells (OpenMetrics text): totals and distributions, no names of displays or people, so that it can be
//! open to whoever can connect.
//!
//! ```text
//!  publish --began--> delay.rs <--fed, flushed-- hub's round      sockets, requests, webhooks: counted where they end
//!                        |  pikiosk_delivery_seconds,                     |
//!                        |  pikiosk_receipt_seconds                       |
//!                        '-----------------> Metrics (one registry) <-----'
//!                                               ^ at each scrape: hub's and store's own counters, /proc/self
//! ```
//!
//! A label has few values, known when it is compiled: a route and not a path, a class of status and not a reason in words.
//!
//! Rejected: a global recorder (the `metrics` crate). Two servers in one process, as tests have them, would count into one
//! another.

mod delay;
mod process;

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

pub use self::delay::Delays;
use super::{
    hub::Counts,
    store::{Publish, Published, Stats, StoreError},
};
use crate::event::{Status, frame::CloseCode};

/// From half a millisecond, a write to memory, to the longest `?wait=`.
const SECONDS: [f64; 17] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0];

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// How an event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Http,
    Socket,
    Amqp,
}

impl By {
    fn label(self) -> &'static str {
        match self {
            By::Http => "http",
            By::Socket => "socket",
            By::Amqp => "amqp",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PublishLabels {
    by: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    /// `2xx` to `5xx`.
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    at: &'static str,
    why: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReceiverLabels {
    /// The receiver's host: its path may hold a secret.
    to: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ToLabel {
    to: String,
}

type Seconds<L> = Family<L, Histogram, fn() -> Histogram>;

/// See the module.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    publish_seconds: Seconds<PublishLabels>,
    delivery_seconds: Histogram,
    receipt_seconds: Seconds<StatusLabel>,
    receipts: Family<StatusLabel, Counter>,
    request_seconds: Seconds<RequestLabels>,
    opened: Counter,
    closed: Family<CodeLabel, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    webhook_posts: Family<ReceiverLabels, Counter>,
    webhook_waiting: Family<ToLabel, Gauge>,
    webhook_dropped: Family<ToLabel, Counter>,
    access_dropped: Counter,
    displays_enrolled: Gauge,
    displays_missing: Gauge,
    scraped: Scraped,
    process: process::Process,
    pub delays: Delays,
}

/// What is read from its owner at each scrape.
#[derive(Debug, Default)]
struct Scraped {
    sockets: Gauge,
    displays: Gauge,
    deliveries: Counter,
    waiting_events: Gauge,
    waiting_bytes: Gauge,
    behind: Gauge,
    events: Counter,
    commits: Counter,
    operations: Counter,
    failures: Counter,
    store_bytes: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Metrics {
            publish_seconds: Family::new_with_constructor(seconds),
            delivery_seconds: seconds(),
            receipt_seconds: Family::new_with_constructor(seconds),
            receipts: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            opened: Counter::default(),
            closed: Family::default(),
            refusals: Family::default(),
            webhook_posts: Family::default(),
            webhook_waiting: Family::default(),
            webhook_dropped: Family::default(),
            access_dropped: Counter::default(),
            displays_enrolled: Gauge::default(),
            displays_missing: Gauge::default(),
            scraped: Scraped::default(),
            process: process::Process::default(),
            delays: Delays::default(),
            registry: Registry::default(),
        };
        let mut registry = Registry::default();
        metrics.register(registry.sub_registry_with_prefix("pikiosk"));
        metrics.process.register(&mut registry);
        metrics.registry = registry;
        metrics
    }
}

impl Metrics {
    #[rustfmt::skip]
    fn register(&self, to: &mut Registry) {
        to.register("publish_seconds", "From a publish's arrival to its answer, by way and result", self.publish_seconds.clone());
        to.register("delivery_seconds", "From a publish's arrival to its writing to the sockets (a sample)", self.delivery_seconds.clone());
        to.register("receipt_seconds", "From a command's arrival to a display's final receipt (a sample)", self.receipt_seconds.clone());
        to.register("receipts", "Final receipts", self.receipts.clone());
        to.register("http_seconds", "Requests, by route and class of status", self.request_seconds.clone());
        to.register("sockets_opened", "WebSockets opened", self.opened.clone());
        to.register("sockets_closed", "WebSockets ended, by close code; 1006 where the client was gone", self.closed.clone());
        to.register("refusals", "Requests and WebSockets refused, by reason", self.refusals.clone());
        to.register("webhook_posts", "Batches posted to a receiver", self.webhook_posts.clone());
        to.register("webhook_waiting", "Happenings that wait for a receiver", self.webhook_waiting.clone());
        to.register("webhook_dropped", "Happenings dropped, as a receiver was away or refused them", self.webhook_dropped.clone());
        to.register("access_lines_dropped", "Lines of the access log that nobody took in time", self.access_dropped.clone());
        to.register("displays_enrolled", "Displays enrolled", self.displays_enrolled.clone());
        to.register("displays_missing", "Displays enrolled and not connected to any node", self.displays_missing.clone());
        let own = &self.scraped;
        to.register("sockets", "WebSockets open", own.sockets.clone());
        to.register("displays_connected", "Displays connected to this node", own.displays.clone());
        to.register("deliveries", "Events handed to sockets", own.deliveries.clone());
        to.register("socket_waiting_events", "Events that wait for sockets", own.waiting_events.clone());
        to.register("socket_waiting_bytes", "Bytes that wait for sockets", own.waiting_bytes.clone());
        to.register("sockets_behind", "WebSockets for which something waits", own.behind.clone());
        to.register("events", "Fresh events stored", own.events.clone());
        to.register("commits", "Durable commits of the store", own.commits.clone());
        to.register("operations", "Writes answered by the store", own.operations.clone());
        to.register("store_failures", "Writes that failed on the disk", own.failures.clone());
        to.register("store_bytes", "Size of the store's file", own.store_bytes.clone());
        to.register("build", "What runs here", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    }

    /// The text of a scrape. `more` is what others have to tell, in the same format.
    pub fn text(&self, hub: &Counts, store: &Stats, more: &str) -> String {
        let as_gauge = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        let as_counter = |counter: &Counter, value: u64| counter.inner().store(value, Ordering::Relaxed);
        let own = &self.scraped;
        as_gauge(&own.sockets, hub.sockets as u64);
        as_gauge(&own.displays, hub.displays as u64);
        as_counter(&own.deliveries, hub.delivered);
        as_gauge(&own.waiting_events, hub.waiting_events as u64);
        as_gauge(&own.waiting_bytes, hub.waiting_bytes as u64);
        as_gauge(&own.behind, hub.behind as u64);
        as_counter(&own.events, store.events);
        as_counter(&own.commits, store.commits);
        as_counter(&own.operations, store.operations);
        as_counter(&own.failures, store.failures);
        as_gauge(&own.store_bytes, store.file_bytes);
        self.process.read();
        let mut all = String::new();
        // Writing into a String does not fail.
        let _ = text::encode_registry(&mut all, &self.registry);
        all.push_str(more);
        let _ = text::encode_eof(&mut all);
        all
    }

    /// A publish was answered.
    pub fn published(&self, by: By, answer: &Result<Vec<Published>, StoreError>, took: Duration) {
        let result = match answer {
            Ok(_) => "stored",
            Err(StoreError::NotEnrolled(_) | StoreError::TooLarge { .. } | StoreError::UnknownEvent(_)) => "refused",
            Err(StoreError::QueueFull { .. } | StoreError::Full { .. } | StoreError::LowSpace) => "full",
            Err(_) => "failed",
        };
        let labels = PublishLabels { by: by.label(), result };
        self.publish_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Notes a publish on its way, so that the hub's round can tell how long it took.
    pub fn publishing(&self, batch: &[Publish], now: Instant) {
        self.delays.began(batch, now);
    }

    pub fn delivered(&self, began: &[Instant], now: Instant) {
        for began in began {
            self.delivery_seconds.observe(now.saturating_duration_since(*began).as_secs_f64());
        }
    }

    /// A final receipt; `began` where its command's arrival is known.
    pub fn receipt(&self, status: Status, began: Option<Instant>, now: Instant) {
        let label = StatusLabel { status: status.as_str() };
        self.receipts.get_or_create(&label).inc();
        if let Some(began) = began {
            let took = now.saturating_duration_since(began).as_secs_f64();
            self.receipt_seconds.get_or_create(&label).observe(took);
        }
    }

    pub fn request(&self, method: &'static str, route: &'static str, status: u16, took: Duration) {
        let status = match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        let labels = RequestLabels { method, route, status };
        self.request_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub fn socket_opened(&self) {
        self.opened.inc();
    }

    pub fn socket_closed(&self, code: Option<CloseCode>) {
        self.closed.get_or_create(&CodeLabel { code: code.map_or(1006, CloseCode::code) }).inc();
    }

    /// `at` is `socket` or `http`; `why` one of a few words, the log has the rest.
    pub fn refused(&self, at: &'static str, why: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { at, why }).inc();
    }

    pub fn webhook_posted(&self, to: &str, result: &'static str) {
        self.webhook_posts.get_or_create(&ReceiverLabels { to: to.to_owned(), result }).inc();
    }

    pub fn webhook_waits(&self, to: &str, waiting: usize) {
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        self.webhook_waiting.get_or_create(&ToLabel { to: to.to_owned() }).set(waiting);
    }

    pub fn webhook_dropped(&self, to: &str, count: u64) {
        self.webhook_dropped.get_or_create(&ToLabel { to: to.to_owned() }).inc_by(count);
    }

    pub fn access_line_dropped(&self) {
        self.access_dropped.inc();
    }

    pub fn displays(&self, enrolled: usize, missing: usize) {
        let as_i64 = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.displays_enrolled.set(as_i64(enrolled));
        self.displays_missing.set(as_i64(missing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_tells_what_was_counted_and_ends_as_openmetrics_does() {
        let metrics = Metrics::default();
        metrics.published(By::Http, &Ok(Vec::new()), Duration::from_millis(3));
        metrics.published(By::Socket, &Err(StoreError::DiskFull), Duration::from_millis(3));
        metrics.socket_opened();
        metrics.socket_closed(Some(CloseCode::Slow));
        metrics.socket_closed(None);
        metrics.receipt(Status::Shown, Some(Instant::now()), Instant::now());
        let hub = Counts { sockets: 7, delivered: 9, ..Counts::default() };
        let text = metrics.text(&hub, &Stats { events: 5, ..Stats::default() }, "");
        for line in [
            "pikiosk_sockets 7",
            "pikiosk_deliveries_total 9",
            "pikiosk_events_total 5",
            r#"pikiosk_publish_seconds_bucket{le="0.005",by="http",result="stored"} 1"#,
            r#"pikiosk_publish_seconds_count{by="socket",result="failed"} 1"#,
            r#"pikiosk_sockets_closed_total{code="4001"} 1"#,
            r#"pikiosk_sockets_closed_total{code="1006"} 1"#,
            r#"pikiosk_receipts_total{status="shown"} 1"#,
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
    #[test]
    fn the_dashboard_asks_only_for_what_is_told() {
        let metrics = Metrics::default();
        // What has labels is told once it happened.
        metrics.published(By::Http, &Ok(Vec::new()), Duration::ZERO);
        metrics.receipt(Status::Done, Some(Instant::now()), Instant::now());
        metrics.request("GET", "/healthz", 200, Duration::ZERO);
        metrics.socket_closed(None);
        metrics.refused("http", "token");
        metrics.webhook_posted("to", "taken");
        metrics.webhook_waits("to", 1);
        metrics.webhook_dropped("to", 1);
        let more = crate::server::ingest::Told::default().text() + &crate::server::tasks::Calls::default().text();
        let text = metrics.text(&Counts::default(), &Stats::default(), &more);
        let mut told = std::collections::BTreeSet::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            let suffixes: &[&str] = match kind {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_count", "_sum"],
                _ => &[""],
            };
            told.extend(suffixes.iter().map(|suffix| format!("{name}{suffix}")));
        }
        let dashboard = include_str!("../../../assets/grafana/pikiosk.json");
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let words = dashboard.split(|c| !is_name(c));
        let asked: std::collections::BTreeSet<&str> =
            words.filter(|word| word.starts_with("pikiosk_") || word.starts_with("process_")).collect();
        assert!(asked.len() > 25, "{asked:?}");
        for name in asked {
            assert!(told.contains(name), "{name} is asked for and never told: {told:?}");
        }
    }
}
