//! A real RabbitMQ on free ports of this machine, gone with the value, and a program that publishes to it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use nix::sys::signal::Signal;

use super::{
    process::{Process, send},
    server::free_port,
    wait::{seconds, until},
};

/// Debian's own wrapper changes the user and the folder; this is what it starts.
const BINARY: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// A broker with a folder, a name and a port mapper of its own.
#[derive(Debug)]
pub struct Rabbit {
    pub port: u16,
    /// Of its TLS listener, if it has a certificate.
    pub tls_port: Option<u16>,
    folder: PathBuf,
    mapper_port: u16,
    distribution_port: u16,
    mapper: Option<Process>,
    broker: Option<Process>,
}

impl Rabbit {
    /// Starts one, which takes about 10 s. With `cert.pem`, `key.pem` and `ca.pem` in the folder it speaks TLS too.
    #[track_caller]
    pub fn start(folder: &Path) -> Rabbit {
        let tls_port = folder.join("cert.pem").exists().then(free_port);
        let (port, mapper_port, distribution_port) = (free_port(), free_port(), free_port());
        let folder = folder.to_owned();
        for name in ["rabbit-home", "rabbit-log"] {
            fs::create_dir_all(folder.join(name)).expect("the folder is ours");
        }
        let mut rabbit = Rabbit { port, tls_port, folder, mapper_port, distribution_port, mapper: None, broker: None };
        rabbit.start_again();
        rabbit
    }

    /// Starts it on its old data and port.
    #[track_caller]
    pub fn start_again(&mut self) {
        let folder = &self.folder;
        if self.mapper.is_none() {
            let port = self.mapper_port.to_string();
            let mut mapper = Command::new("epmd");
            mapper.args(["-port", &port, "-address", "127.0.0.1"]);
            self.mapper = Some(Process::start("epmd", folder, &mut mapper));
        }
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let mut config = "loopback_users = none\n".to_owned();
        if let Some(port) = self.tls_port {
            config.push_str(&format!("listeners.ssl.default = 127.0.0.1:{port}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n", path("ca.pem"), path("cert.pem"), path("key.pem")));
        }
        fs::write(folder.join("rabbitmq.conf"), config).expect("the folder is ours");
        let mut broker = Command::new(BINARY);
        broker
            .env("HOME", path("rabbit-home"))
            .env("ERL_EPMD_PORT", self.mapper_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("t{}@localhost", self.port))
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", path("rabbit-data"))
            .env("RABBITMQ_LOG_BASE", path("rabbit-log"))
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", path("no.env"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("no.plugins"))
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none",
            );
        self.broker = Some(Process::start("rabbitmq", folder, &mut broker));
        until("RabbitMQ takes connections", seconds(180), || {
            let ended = self.broker.as_mut().and_then(Process::ended);
            assert!(
                ended.is_none(),
                "RabbitMQ ended: {ended:?}\n{}",
                self.broker.as_ref().expect("it was just started").log()
            );
            Client::connect(&self.url()).ok()
        });
    }

    /// Of the shell script that it begins with; Erlang is below it.
    pub fn pid(&self) -> i32 {
        self.broker.as_ref().expect("the broker runs").pid()
    }

    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/", self.port)
    }

    /// kill -9 of the whole of it: Erlang is a child of a shell script.
    pub fn kill(&mut self) {
        if let Some(mut broker) = self.broker.take() {
            send(-broker.pid(), Signal::SIGKILL);
            broker.kill();
        }
    }

    /// Forgets everything, as a broker whose disk was replaced. Only while it is stopped.
    pub fn forget(&self) {
        let _ = fs::remove_dir_all(self.folder.join("rabbit-data"));
    }

    /// The certificate of the authority that signed its own.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(&self.url()).expect("RabbitMQ runs")
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program that speaks to the broker, and waits for each answer.
pub struct Client {
    runtime: tokio::runtime::Runtime,
    connection: Connection,
    channel: Channel,
}

/// A message as a program finds it in a queue.
#[derive(Debug)]
pub struct Letter {
    pub key: String,
    pub body: String,
    pub reason: String,
    pub properties: BasicProperties,
}

impl Client {
    pub fn connect(url: &str) -> lapin::Result<Client> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime starts");
        let url = url.trim_end_matches('/').to_owned() + "/%2f";
        // A connection to a port where nobody listens yet can, by chance, be a connection to itself: it never answers.
        let connect = async {
            let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, lapin::Error>((connection, channel))
        };
        let connected = runtime.block_on(async { tokio::time::timeout(seconds(30), connect).await });
        let silent = || std::io::Error::new(std::io::ErrorKind::TimedOut, "no broker answers");
        let (connection, channel) = connected.map_err(|_| lapin::Error::from(silent()))??;
        Ok(Client { runtime, connection, channel })
    }

    /// A channel of its own, for what may fail.
    fn apart<T>(&self, ask: impl AsyncFnOnce(Channel) -> lapin::Result<T>) -> lapin::Result<T> {
        self.runtime.block_on(async { ask(self.connection.create_channel().await?).await })
    }

    /// Publishes; true once the broker has it in a queue.
    pub fn try_publish(&self, exchange: &str, key: &str, body: &[u8], properties: BasicProperties) -> bool {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = properties.with_delivery_mode(2);
        self.runtime.block_on(async {
            let confirm = self.channel.basic_publish(exchange.into(), key.into(), options, body, properties).await;
            let Ok(confirm) = confirm else { return false };
            matches!(confirm.await, Ok(Confirmation::Ack(None)))
        })
    }

    #[track_caller]
    pub fn publish(&self, exchange: &str, key: &str, body: &str) {
        self.publish_as(exchange, key, body, BasicProperties::default());
    }

    #[track_caller]
    pub fn publish_as(&self, exchange: &str, key: &str, body: &str, properties: BasicProperties) {
        assert!(self.try_publish(exchange, key, body.as_bytes(), properties), "{key} {body}: a queue gets it");
    }

    /// Takes a message out of a queue; None if there is none, or no such queue.
    pub fn take(&self, queue: &str) -> Option<Letter> {
        let got = self.apart(async |channel| {
            let got = channel.basic_get(queue.into(), BasicGetOptions::default()).await?;
            if let Some(got) = &got {
                got.delivery.ack(BasicAckOptions::default()).await?;
            }
            Ok(got)
        });
        got.ok().flatten().map(|got| letter(got.delivery))
    }

    /// Messages that wait in a queue; None if there is no such queue.
    pub fn waiting(&self, queue: &str) -> Option<u32> {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let asked =
            self.apart(async |channel| channel.queue_declare(queue.into(), options, FieldTable::default()).await);
        asked.ok().map(|queue| queue.message_count())
    }

    /// True while something consumes the queue.
    pub fn is_consumed(&self, queue: &str) -> bool {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let asked =
            self.apart(async |channel| channel.queue_declare(queue.into(), options, FieldTable::default()).await);
        asked.is_ok_and(|queue| queue.consumer_count() > 0)
    }

    pub fn delete_queue(&self, queue: &str) {
        let deleted =
            self.apart(async |channel| channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await);
        deleted.expect("the queue is there");
    }

    /// Sets up a queue in a way of its own.
    pub fn declare_queue(&self, queue: &str, arguments: &[(&str, i32)]) {
        let mut table = FieldTable::default();
        for (name, value) in arguments {
            table.insert((*name).into(), AMQPValue::LongInt(*value));
        }
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        self.apart(async |channel| channel.queue_declare(queue.into(), options, table).await.map(|_| ()))
            .expect("nobody has it in another way");
    }

    pub fn declare_exchange(&self, exchange: &str) {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let kind = ExchangeKind::Topic;
        self.apart(async |channel| {
            channel.exchange_declare(exchange.into(), kind, options, FieldTable::default()).await
        })
        .expect("nobody has it in another way");
    }

    pub fn bind(&self, queue: &str, exchange: &str, keys: &str) {
        self.apart(async |channel| {
            channel
                .queue_bind(queue.into(), exchange.into(), keys.into(), Default::default(), FieldTable::default())
                .await
        })
        .expect("both are there");
    }
}

fn letter(delivery: Delivery) -> Letter {
    let headers = delivery.properties.headers().clone().unwrap_or_default();
    let reason = match headers.inner().get("x-pikiosk-reason") {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        _ => String::new(),
    };
    Letter {
        key: delivery.routing_key.to_string(),
        body: String::from_utf8_lossy(&delivery.data).into_owned(),
        reason,
        properties: delivery.properties,
    }
}
