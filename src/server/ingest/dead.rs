//! Dead letters: a message that cannot be used, kept with the reason.

use lapin::{
    BasicProperties, Channel,
    message::Delivery,
    types::{AMQPValue, FieldTable},
};

use crate::server::rabbit::{self, BrokerError, PERSISTENT};

/// The header that says why.
const REASON: &str = "x-pikiosk-reason";
/// The longest reason, in bytes.
const REASON_MAX: usize = 1024;
/// Headers as long as this (printed) are left out: with the reason they might not fit into one frame any more, and a letter
/// that cannot be sent would come again for ever.
const HEADERS_MAX: usize = 32 * 1024;

/// Publishes it to the dead-letter exchange, under its own routing key. Afterwards the broker has it.
pub async fn bury(channel: &Channel, exchange: &str, delivery: &Delivery, reason: &str) -> Result<(), BrokerError> {
    tracing::info!(key = delivery.routing_key.as_str(), reason, "a message from RabbitMQ cannot be used");
    let properties = properties(&delivery.properties, reason);
    rabbit::publish(channel, exchange, delivery.routing_key.as_str(), &delivery.data, properties).await
}

/// As they were, except: `expiration` would take the letter away again, and `user_id` is refused from anybody else.
fn properties(of: &BasicProperties, reason: &str) -> BasicProperties {
    let mut headers = of.headers().clone().unwrap_or_default();
    if format!("{headers:?}").len() > HEADERS_MAX {
        headers = FieldTable::default();
    }
    let mut end = reason.len().min(REASON_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    headers.insert(REASON.into(), AMQPValue::LongString(reason[..end].into()));
    let mut kept = BasicProperties::default().with_headers(headers).with_delivery_mode(PERSISTENT);
    macro_rules! keep {
        ($($get:ident $set:ident),*) => {
            $(if let Some(value) = of.$get() { kept = kept.$set(value.clone()); })*
        };
    }
    keep!(content_type with_content_type, content_encoding with_content_encoding, correlation_id with_correlation_id);
    keep!(reply_to with_reply_to, message_id with_message_id, timestamp with_timestamp, kind with_type);
    keep!(app_id with_app_id, priority with_priority);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_keeps_what_it_said_and_neither_its_end_nor_its_sender() {
        let mut headers = FieldTable::default();
        headers.insert("mine".into(), AMQPValue::LongInt(7));
        let of = BasicProperties::default()
            .with_headers(headers)
            .with_message_id("41".into())
            .with_expiration("1000".into())
            .with_user_id("shop".into());
        let kept = properties(&of, &"é".repeat(1000));
        assert_eq!(kept.message_id().as_ref().map(|id| id.as_str()), Some("41"));
        assert_eq!((kept.expiration(), kept.user_id()), (&None, &None));
        let headers = kept.headers().clone().unwrap();
        assert_eq!(headers.inner().get("mine"), Some(&AMQPValue::LongInt(7)));
        let Some(AMQPValue::LongString(reason)) = headers.inner().get(REASON) else { panic!("{headers:?}") };
        assert_eq!(reason.as_bytes().len(), REASON_MAX);
    }

    #[test]
    fn headers_that_would_not_fit_any_more_are_left_out() {
        let mut headers = FieldTable::default();
        headers.insert("long".into(), AMQPValue::LongString("x".repeat(HEADERS_MAX).into()));
        let kept = properties(&BasicProperties::default().with_headers(headers), "why").headers().clone().unwrap();
        assert_eq!(kept.inner().len(), 1);
    }
}
