//! Connections to Redis, whichever way it is found; and the one that every command of a node shares.

use std::time::{Duration, Instant};

use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, Pipeline, RedisError, RedisFuture,
    RedisResult, TlsCertificates, TlsMode, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use tokio::{sync::Mutex, time::timeout};

use crate::config::redis_address::{How, RedisAddress};

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// One attempt to connect.
    pub connect: Duration,
    /// One answer.
    pub answer: Duration,
    /// After an attempt that failed nobody tries again for this long: a thousand publishers must not all knock.
    pub pause: Duration,
}

/// Files of TLS, read: for a Redis whose certificate no public authority signed, or that asks for one of ours.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM of the authority that signed the server's certificate, in place of the public ones.
    pub authority: Option<Vec<u8>>,
    /// PEM of our certificate and of its key.
    pub own: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tls { authority, own } = self;
        write!(f, "Tls {{ authority: {}, own: {} }}", authority.is_some(), own.is_some())
    }
}

/// A connection that many commands share.
#[derive(Clone)]
pub enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link")
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Link::One(link) => link.req_packed_command(cmd),
            Link::Cluster(link) => link.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Link::One(link) => link.req_packed_commands(pipeline, offset, count),
            Link::Cluster(link) => link.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Link::One(link) => link.get_db(),
            Link::Cluster(link) => link.get_db(),
        }
    }
}

enum Finder {
    One(Client),
    Sentinel(Mutex<SentinelClient>),
    Cluster(Box<ClusterClient>),
}

/// Makes connections.
pub struct Connector {
    client: Finder,
    waits: Waits,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("waits", &self.waits).finish_non_exhaustive()
    }
}

impl Connector {
    /// Reads the address and the certificates; connects later.
    ///
    /// # Errors
    /// In the words of the client library.
    pub fn new(address: &RedisAddress, tls: &Tls, waits: Waits) -> RedisResult<Self> {
        // The first one in the process wins; a second call changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificates = (*tls != Tls::default()).then(|| TlsCertificates {
            client_tls: tls.own.clone().map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
            root_cert: tls.authority.clone(),
        });
        let mode = TlsMode::Secure;
        let client = match &address.how {
            How::One(url) => Finder::One(match certificates {
                Some(certificates) if address.tls => Client::build_with_tls(url.as_str(), certificates)?,
                _ => Client::open(url.as_str())?,
            }),
            How::Sentinel { master, sentinel_user, sentinel_password } => {
                let nodes = address.nodes.iter().map(|node| {
                    let host = node.host.clone();
                    match address.tls {
                        true => ConnectionAddr::TcpTls { host, port: node.port, insecure: false, tls_params: None },
                        false => ConnectionAddr::Tcp(host, node.port),
                    }
                });
                let mut builder = SentinelClientBuilder::new(nodes, master, SentinelServerType::Master)?
                    .set_client_to_redis_db(address.database);
                if let Some(user) = &address.user {
                    builder = builder.set_client_to_redis_username(user);
                }
                if let Some(password) = &address.password {
                    builder = builder.set_client_to_redis_password(password);
                }
                if let Some(user) = sentinel_user {
                    builder = builder.set_client_to_sentinel_username(user);
                }
                if let Some(password) = sentinel_password {
                    builder = builder.set_client_to_sentinel_password(password);
                }
                if address.tls {
                    builder = builder.set_client_to_redis_tls_mode(mode).set_client_to_sentinel_tls_mode(mode);
                    if let Some(certificates) = certificates {
                        builder = builder
                            .set_client_to_redis_certificates(certificates.clone())
                            .set_client_to_sentinel_certificates(certificates);
                    }
                }
                Finder::Sentinel(Mutex::new(builder.build()?))
            }
            How::Cluster => {
                let secure = if address.tls { "s" } else { "" };
                let host = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
                let nodes =
                    address.nodes.iter().map(|node| format!("redis{secure}://{}:{}", host(&node.host), node.port));
                let mut builder = ClusterClientBuilder::new(nodes)
                    .connection_timeout(waits.connect)
                    .response_timeout(waits.answer)
                    .retries(2);
                if let Some(user) = &address.user {
                    builder = builder.username(user);
                }
                if let Some(password) = &address.password {
                    builder = builder.password(password);
                }
                if address.tls {
                    builder = builder.tls(mode);
                    if let Some(certificates) = certificates {
                        builder = builder.certs(certificates);
                    }
                }
                Finder::Cluster(Box::new(builder.build()?))
            }
        };
        Ok(Connector { client, waits })
    }

    /// A connection of its own.
    pub async fn connect(&self) -> RedisResult<Link> {
        let Waits { connect, answer, .. } = self.waits;
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(connect)).set_response_timeout(Some(answer));
        let connecting = async {
            Ok(match &self.client {
                Finder::One(client) => Link::One(client.get_multiplexed_async_connection_with_config(&config).await?),
                Finder::Sentinel(client) => {
                    Link::One(client.lock().await.get_async_connection_with_config(&config).await?)
                }
                Finder::Cluster(client) => Link::Cluster(client.get_async_connection().await?),
            })
        };
        // A Sentinel is asked first, and then the master: two attempts.
        timeout(connect * 2, connecting).await.unwrap_or_else(|_| Err(timed_out("nobody answers")))
    }

    /// A Cluster decides itself who answers; whether its nodes keep what they accept cannot be asked of one of them.
    pub fn is_cluster(&self) -> bool {
        matches!(self.client, Finder::Cluster(_))
    }
}

/// An error of a connection, in our words.
pub fn timed_out(words: &'static str) -> RedisError {
    RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, words))
}

#[derive(Default)]
struct Current {
    link: Option<Link>,
    /// Grows with every connection, so that one that broke is put away once.
    number: u64,
    failed: Option<(Instant, RedisError)>,
}

/// The connection that a node's commands share; made anew after it broke, by whoever comes first.
pub struct Shared {
    connector: Connector,
    current: Mutex<Current>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.connector.fmt(f)
    }
}

impl Shared {
    pub fn new(connector: Connector) -> Self {
        Shared { connector, current: Mutex::default() }
    }

    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    async fn link(&self) -> RedisResult<(u64, Link)> {
        let mut current = self.current.lock().await;
        if let Some(link) = &current.link {
            return Ok((current.number, link.clone()));
        }
        if let Some((at, error)) = &current.failed
            && at.elapsed() < self.connector.waits.pause
        {
            return Err(error.clone());
        }
        match self.connector.connect().await {
            Ok(link) => {
                current.number += 1;
                current.failed = None;
                current.link = Some(link.clone());
                Ok((current.number, link))
            }
            Err(error) => {
                current.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// One command; a connection that broke is put away, so that the next command makes another.
    pub async fn ask(&self, cmd: &Cmd) -> Result<Value, RedisError> {
        let (number, mut link) = self.link().await?;
        let answer = link.req_packed_command(cmd).await.and_then(Value::extract_error);
        if let Err(error) = &answer
            && (error.is_io_error()
                || error.is_unrecoverable_error()
                || matches!(error.code(), Some("READONLY" | "NOAUTH" | "MASTERDOWN")))
        {
            self.put_away(number).await;
        }
        answer
    }

    /// The connection of this number broke.
    async fn put_away(&self, number: u64) {
        let mut current = self.current.lock().await;
        if current.number == number {
            current.link = None;
        }
    }
}
