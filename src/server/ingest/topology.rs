//! The exchanges and queues that `[amqp]` names, there again after every fault.

use lapin::{
    Connection, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};

use crate::{
    config::AmqpSettings,
    server::rabbit::{BrokerError, short, within},
};

/// What a routing key of ours begins with.
const KEYS: &str = "commands.#";

/// One thing to be there.
#[derive(Debug, Clone, Copy)]
enum Thing<'a> {
    Exchange(&'a str),
    Queue(&'a str),
    Binding { queue: &'a str, exchange: &'a str, keys: &'a str },
}

/// Declares all of it, durable.
pub async fn declare(connection: &Connection, settings: &AmqpSettings) -> Result<(), BrokerError> {
    let AmqpSettings { exchange, queue, dead_letter, .. } = settings;
    for thing in [
        Thing::Exchange(exchange),
        Thing::Queue(queue),
        Thing::Binding { queue, exchange, keys: KEYS },
        Thing::Exchange(dead_letter),
        Thing::Queue(dead_letter),
        Thing::Binding { queue: dead_letter, exchange: dead_letter, keys: "#" },
    ] {
        match one(connection, thing, false).await {
            // What somebody else has set up in another way, or keeps to himself, is used as it is.
            Err(error) if error.is_set_up_by_others() => {
                tracing::debug!(?thing, %error, "RabbitMQ: set up by somebody else");
                one(connection, thing, true).await?;
            }
            other => other?,
        }
    }
    Ok(())
}

/// On a channel of its own, since a refusal ends the channel. `passive`: only asks whether it is there.
async fn one(connection: &Connection, thing: Thing<'_>, passive: bool) -> Result<(), BrokerError> {
    let channel = within(connection.create_channel()).await?;
    match thing {
        Thing::Exchange(name) => {
            let options = ExchangeDeclareOptions { passive, durable: true, ..ExchangeDeclareOptions::default() };
            let declared = channel.exchange_declare(short(name), ExchangeKind::Topic, options, FieldTable::default());
            within(declared).await?;
        }
        Thing::Queue(name) => {
            let options = QueueDeclareOptions { passive, durable: true, ..QueueDeclareOptions::default() };
            within(channel.queue_declare(short(name), options, FieldTable::default())).await?;
        }
        // A binding cannot be asked for: whoever made the queue has bound it.
        Thing::Binding { .. } if passive => {}
        Thing::Binding { queue, exchange, keys } => {
            let options = QueueBindOptions::default();
            let bound = channel.queue_bind(short(queue), short(exchange), keys.into(), options, FieldTable::default());
            within(bound).await?;
        }
    }
    let _ = within(channel.close(200, "OK".into())).await;
    Ok(())
}
