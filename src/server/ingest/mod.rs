//! Events from other programs' brokers.
//!
//! ```text
//!  your programs --> exchange `kiosk` --commands.#--> queue `pikiosk` --at most `prefetch`--> amqp.rs
//!                    (topic)                                              |  message.rs: an event, or why not (pure)
//!                                                                         |-- all that wait, one batch --> store
//!                    exchange + queue `kiosk.dead`  <--the reason---------|      `-- held until the store has room
//!                                                                         '-- ack, once the store or `kiosk.dead` has it
//! ```
//!
//! Whoever may publish to the exchange may do what an operator may: the broker's own permissions guard it.
//!
//! One consumer has the queue for itself, so the events of an address stay in order also where several servers run; the
//! others ask again every few seconds and take over when it is gone. What the store cannot take now (it is down, or full)
//! is not acked and waits: the broker keeps it. What it can never take goes to `kiosk.dead` with the header
//! `x-pikiosk-reason`, and so does what is for one display with a full queue, which would hold up all others.
//!
//! Rejected: the broker's own dead-lettering (`reject` with `x-dead-letter-exchange`). It carries no reason. And lapin's
//! automatic recovery: it gives up after some attempts, and does not say which deliveries are void.

pub mod amqp;
mod dead;
pub mod message;
mod topology;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What is told of the broker in `/metrics`.
#[derive(Debug, Default)]
pub struct Told {
    connected: AtomicBool,
    consuming: AtomicBool,
    /// Messages that the store took.
    messages: AtomicU64,
    /// Messages that went to the dead-letter exchange.
    dead_letters: AtomicU64,
    /// Times that the connection was lost, or could not be made.
    failures: AtomicU64,
}

/// [`Told`], at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    pub connected: bool,
    /// This server has the queue; another one of the same broker stands by.
    pub consuming: bool,
    pub messages: u64,
    pub dead_letters: u64,
    pub failures: u64,
}

impl Told {
    pub fn numbers(&self) -> Numbers {
        Numbers {
            connected: self.connected.load(Ordering::Relaxed),
            consuming: self.consuming.load(Ordering::Relaxed),
            messages: self.messages.load(Ordering::Relaxed),
            dead_letters: self.dead_letters.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }

    /// The numbers for a scrape, in OpenMetrics text.
    pub fn text(&self) -> String {
        use std::fmt::Write;
        let Numbers { connected, consuming, messages, dead_letters, failures } = self.numbers();
        let mut text = String::new();
        for (name, kind, suffix, help, value) in [
            ("amqp_connected", "gauge", "", "1 while RabbitMQ is connected.", u64::from(connected)),
            ("amqp_consuming", "gauge", "", "1 while this server takes events from RabbitMQ.", u64::from(consuming)),
            ("amqp_messages", "counter", "_total", "Messages of RabbitMQ that were stored.", messages),
            ("amqp_dead_letters", "counter", "_total", "Messages of RabbitMQ that cannot be used.", dead_letters),
            ("amqp_failures", "counter", "_total", "Connections to RabbitMQ that failed or were lost.", failures),
        ] {
            let name = format!("pikiosk_{name}");
            // Writing into a String does not fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{suffix} {value}");
        }
        text
    }
}
