//! Where log lines go: a terminal, the journal, or whatever reads JSON; and the ring that the `logs` command reads.

use std::fmt;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{DefaultFields, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::io::log_ring::LogRing;

/// How much to say when nobody asks for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usual {
    /// A command that a person waits for: warnings only.
    Quiet,
    /// A service: what it does.
    Service,
}

/// Starts logging to stderr, and gives the ring of the last lines.
///
/// `verbose` counts `-v`. The variable `PIKIOSK_LOG` (such as `debug` or `pikiosk::server=trace`) goes over both.
pub fn start(usual: Usual, verbose: u8) -> LogRing {
    let filter = filter(usual, verbose, std::env::var("PIKIOSK_LOG").ok().as_deref());
    let ring = LogRing::default();
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if std::io::stderr().is_terminal() {
        Box::new(layer().compact().fmt_fields(OneLine).with_target(false).with_writer(std::io::stderr))
    } else if is_journal() {
        Box::new(layer().event_format(Journal).fmt_fields(OneLine).with_ansi(false).with_writer(std::io::stderr))
    } else {
        Box::new(layer().json().with_writer(std::io::stderr))
    };
    let kept = layer().compact().fmt_fields(OneLine).with_ansi(false).with_writer(ring.clone());
    // A second start in one process (tests, the demo) keeps the first one's lines.
    let _ = tracing_subscriber::registry().with(lines).with(kept).with(filter).try_init();
    ring
}

/// What is logged. Not an `EnvFilter`: its filters by span bring a regular expression engine to every Pi.
fn filter(usual: Usual, verbose: u8, wanted: Option<&str>) -> Targets {
    let (others, ours) = match (usual, verbose) {
        (Usual::Quiet, 0) => (Level::WARN, Level::WARN),
        (Usual::Service, 0) | (Usual::Quiet, 1) => (Level::WARN, Level::INFO),
        (Usual::Service, 1) | (Usual::Quiet, 2) => (Level::INFO, Level::DEBUG),
        _ => (Level::DEBUG, Level::TRACE),
    };
    // lapin calls every channel that a broker closes an error, also that of a server which stands by; ours says it in words.
    let lapin = if others < Level::DEBUG { LevelFilter::OFF } else { LevelFilter::DEBUG };
    let usual = Targets::new().with_default(others).with_target("pikiosk", ours).with_target("lapin", lapin);
    wanted.and_then(|wanted| wanted.parse().ok()).unwrap_or(usual)
}

/// True when stderr is the journal's own socket (systemd names it in `JOURNAL_STREAM`; `systemd.exec(5)`).
fn is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    nix::sys::stat::fstat(std::io::stderr().as_fd())
        .is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// One line with the priority in front (`sd-daemon(3)`); the journal adds the time itself.
#[derive(Debug)]
struct Journal;

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        write!(to, "<{priority}>")?;
        for span in context.event_scope().into_iter().flat_map(|spans| spans.from_root()) {
            write!(to, "{}", span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>().filter(|fields| !fields.is_empty()) {
                write!(to, "{{{fields}}}")?;
            }
            write!(to, ": ")?;
        }
        context.field_format().format_fields(to.by_ref(), event)?;
        writeln!(to)
    }
}

/// What is said, on one line: who may choose a word of it (the `kid` of a token, a header) cannot begin a line of his own,
/// with a priority of his choice.
#[derive(Debug)]
struct OneLine;

impl<'a> FormatFields<'a> for OneLine {
    fn format_fields<R: RecordFields>(&self, mut to: Writer<'a>, fields: R) -> fmt::Result {
        let mut said = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut said), fields)?;
        to.write_str(&said.replace('\n', "\\n").replace('\r', "\\r"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_said_for_each_v_and_the_variable_goes_over_all() {
        let says = |filter: &Targets, target, level| filter.would_enable(target, &level);
        let usual = filter(Usual::Service, 0, None);
        assert!(says(&usual, "pikiosk::display", Level::INFO) && !says(&usual, "pikiosk::display", Level::DEBUG));
        assert!(says(&usual, "hyper", Level::WARN) && !says(&usual, "hyper", Level::INFO));
        assert!(!says(&usual, "lapin::channel", Level::ERROR), "a server that stands by tries every two seconds");
        assert!(says(&filter(Usual::Service, 2, None), "lapin::channel", Level::ERROR));
        assert!(says(&filter(Usual::Quiet, 2, None), "pikiosk", Level::DEBUG));
        let wanted = filter(Usual::Quiet, 0, Some("warn,pikiosk::server=trace"));
        assert!(says(&wanted, "pikiosk::server::hub", Level::TRACE) && !says(&wanted, "pikiosk", Level::INFO));
        assert!(!says(&filter(Usual::Quiet, 0, Some("no=such=thing")), "pikiosk", Level::INFO));
    }

    #[test]
    fn the_journal_gets_a_priority_and_one_line_and_the_ring_the_same_words() {
        let (journal, ring) = (LogRing::default(), LogRing::default());
        let to_journal =
            layer().event_format(Journal).fmt_fields(OneLine).with_ansi(false).with_writer(journal.clone());
        let kept = layer().compact().fmt_fields(OneLine).with_ansi(false).with_writer(ring.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(to_journal).with(kept), || {
            let _within = tracing::info_span!("socket", display = "lobby").entered();
            tracing::warn!(after_ms = 2500, "silent");
            tracing::error!("gone");
        });
        assert_eq!(
            journal.last(9),
            ["<4>socket{display=\"lobby\"}: silent after_ms=2500", "<3>socket{display=\"lobby\"}: gone"]
        );
        assert!(ring.last(1)[0].contains("ERROR") && ring.last(1)[0].contains("gone"), "{:?}", ring.last(1));
    }

    #[test]
    fn a_stranger_who_chooses_a_word_of_the_log_writes_no_line_of_his_own() {
        let (journal, ring) = (LogRing::default(), LogRing::default());
        let to_journal =
            layer().event_format(Journal).fmt_fields(OneLine).with_ansi(false).with_writer(journal.clone());
        let kept = layer().compact().fmt_fields(OneLine).with_ansi(false).with_writer(ring.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(to_journal).with(kept), || {
            let why = "no key has the id `x\r\n<3>the card is failing`";
            tracing::info!(%why, "a WebSocket is refused");
            tracing::info!("{why}");
        });
        assert_eq!(
            journal.last(9),
            [
                "<6>a WebSocket is refused why=no key has the id `x\\r\\n<3>the card is failing`",
                "<6>no key has the id `x\\r\\n<3>the card is failing`"
            ]
        );
        assert_eq!(ring.last(9).len(), 2);
    }
}
