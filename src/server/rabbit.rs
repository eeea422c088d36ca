//! One RabbitMQ: how it is reached, and how something is published to it so that it is known to be there.

use std::{path::PathBuf, time::Duration};

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ErrorKind,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    tcp::OwnedTLSConfig,
    types::ShortString,
    uri::AMQPUri,
};
use tokio::time::timeout;
use url::Url;

/// A broker that does not answer within this is not there.
const ANSWER: Duration = Duration::from_secs(10);
/// A connection that is silent for 2.5 times as long is dead, in seconds; the URL's `?heartbeat=` goes over it.
const HEARTBEAT_S: u16 = 10;
/// Stays in the queue when the broker restarts.
pub const PERSISTENT: u8 = 2;

/// Where a broker is.
#[derive(Clone)]
pub struct Rabbit {
    uri: AMQPUri,
    /// PEM of the authority that signed its certificate, where it is one of its own.
    authority: Option<String>,
}

/// The address may hold a password.
impl std::fmt::Debug for Rabbit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rabbit").field("host", &self.uri.authority.host).finish_non_exhaustive()
    }
}

/// Why there is no such broker in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum RabbitError {
    #[error("read the certificate {}", path.display())]
    Authority { path: PathBuf, source: std::io::Error },
    #[error("read the address of the broker: {0}")]
    Address(String),
}

/// Why the broker did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    #[error(transparent)]
    Lapin(#[from] lapin::Error),
    #[error("no answer within {} s", ANSWER.as_secs())]
    Silent,
    #[error("the broker did not take the message")]
    NotTaken,
    #[error("no queue is behind `{0}`")]
    Unroutable(String),
    #[error("the consumer was cancelled: is the queue gone?")]
    Cancelled,
    #[error("the messages under way were taken back")]
    TakenBack,
}

impl BrokerError {
    fn soft(&self) -> Option<AMQPSoftError> {
        match self {
            BrokerError::Lapin(error) => match error.kind() {
                ErrorKind::ProtocolError(error) => match error.kind() {
                    AMQPErrorKind::Soft(soft) => Some(soft.clone()),
                    AMQPErrorKind::Hard(_) => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// It is there with other properties, or is not ours to make.
    pub fn is_set_up_by_others(&self) -> bool {
        matches!(self.soft(), Some(AMQPSoftError::PRECONDITIONFAILED | AMQPSoftError::ACCESSREFUSED))
    }

    /// There is no such queue.
    pub fn is_not_there(&self) -> bool {
        self.soft() == Some(AMQPSoftError::NOTFOUND)
    }

    /// Another consumer has the queue for itself.
    pub fn is_in_use(&self) -> bool {
        self.soft() == Some(AMQPSoftError::ACCESSREFUSED) && self.to_string().contains("exclusive use")
    }
}

impl Rabbit {
    /// # Errors
    /// See [`RabbitError`]. Nothing is asked of the broker.
    pub fn new(url: &Url, authority: Option<&PathBuf>) -> Result<Self, RabbitError> {
        let mut uri: AMQPUri = url.as_str().parse().map_err(RabbitError::Address)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).map_err(|source| RabbitError::Authority { path: path.clone(), source })
        };
        Ok(Self { uri, authority: authority.map(read).transpose()? })
    }

    /// For logs.
    pub fn host(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }

    pub async fn connect(&self, name: &str) -> Result<Connection, BrokerError> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.authority.clone() };
        let runtime = lapin::runtime::default_runtime()?;
        let connecting = Connection::connect_uri_with_config(self.uri.clone(), properties, tls, runtime);
        Ok(timeout(ANSWER, connecting).await.map_err(|_| BrokerError::Silent)??)
    }
}

/// A channel whose publishes are confirmed.
pub async fn confirming(connection: &Connection) -> Result<Channel, BrokerError> {
    let channel = within(connection.create_channel()).await?;
    within(channel.confirm_select(ConfirmSelectOptions::default())).await?;
    Ok(channel)
}

/// An answer of the broker, or none in time.
pub async fn within<T>(asked: impl Future<Output = lapin::Result<T>>) -> Result<T, BrokerError> {
    Ok(timeout(ANSWER, asked).await.map_err(|_| BrokerError::Silent)??)
}

/// Publishes on a confirming channel; afterwards the broker has the message in a queue.
///
/// # Errors
/// `Unroutable`: no queue got it, and the broker has let go of it. After any other error it may be there.
pub async fn publish(
    channel: &Channel,
    exchange: &str,
    routing_key: &str,
    body: &[u8],
    properties: BasicProperties,
) -> Result<(), BrokerError> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let (to, key) = (short(exchange), short(routing_key));
    let confirm = within(channel.basic_publish(to, key, options, body, properties)).await?;
    match within(confirm).await? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => {
            let place = if exchange.is_empty() { routing_key } else { exchange };
            Err(BrokerError::Unroutable(place.to_owned()))
        }
        Confirmation::Nack(_) | Confirmation::NotRequested => Err(BrokerError::NotTaken),
    }
}

/// The protocol's short text: at most 255 bytes; what is longer loses its end.
pub fn short(text: &str) -> ShortString {
    let mut end = text.len().min(255);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}
