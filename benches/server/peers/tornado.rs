//! A program of Tornado, pika and Redis, as many web applications have one (`tornado_seed.py`), with its RabbitMQ.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};

use super::{Peer, Publisher, To, http::upgrade, payload};
use crate::{
    crowd::Joined,
    options::Options,
    redis_server::Redis,
    support::{process::Process, rabbit::Rabbit, server::free_port, wait::until},
    usage::Group,
};

#[derive(Debug)]
pub struct Tornado {
    address: SocketAddr,
    process: Process,
    redis: Redis,
    rabbit: Rabbit,
    tokens: RefCell<HashMap<usize, String>>,
}

impl Tornado {
    pub fn start(folder: &Path, options: &Options) -> Option<Tornado> {
        super::installed("redis-server")?;
        super::installed("rabbitmq-server")?;
        let python = python(options)?;
        let (redis, rabbit) = (Redis::start(), Rabbit::start(folder));
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/server/tornado_seed.py");
        let mut command = Command::new(python);
        command.arg(seed).args([address.port().to_string(), redis.port().to_string(), format!("{}%2f", rabbit.url())]);
        let mut process = Process::start("tornado", folder, &mut command);
        until("the Tornado program listens", Duration::from_secs(20), || {
            assert!(process.ended().is_none(), "the Tornado program ended: {}", process.log());
            std::net::TcpStream::connect(address).ok()
        });
        Some(Tornado { address, process, redis, rabbit, tokens: RefCell::default() })
    }
}

/// One that has the libraries; see requirements.txt.
fn python(options: &Options) -> Option<PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let has = |python: &PathBuf| {
        let asked = Command::new(python).args(["-c", "import tornado, pika, redis"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    options.python.iter().cloned().chain([ours, "python3".into()]).find(has)
}

impl Peer for Tornado {
    fn name(&self) -> &'static str {
        "tornado"
    }

    fn processes(&self) -> Group {
        Group(vec![self.process.pid(), self.redis.pid(), self.rabbit.pid()])
    }

    fn holders(&self) -> Group {
        Group(vec![self.process.pid()])
    }

    /// As a Django template tag does: one key for each page.
    fn admit(&self, numbers: std::ops::Range<usize>) -> LocalBoxFuture<'_, ()> {
        Box::pin(async move {
            let client = redis::Client::open(self.redis.url()).expect("a URL of ours is one");
            let mut connection = client.get_connection().expect("Redis runs");
            let mut pipe = redis::pipe();
            let time = Timestamp::now().strftime("%d:%m:%Y:%H:%M:%S").to_string();
            for number in numbers {
                let token = format!("wstoken{:032x}", fastrand::u128(..));
                let value = format!(r#"{{"user": "u{number}", "time": "{time}"}}"#);
                pipe.cmd("SET").arg(&token).arg(value).arg("EX").arg(60).ignore();
                self.tokens.borrow_mut().insert(number, token);
            }
            pipe.query::<()>(&mut connection).expect("Redis takes them");
        })
    }

    fn join(&self, number: usize) -> LocalBoxFuture<'_, io::Result<Joined>> {
        Box::pin(async move {
            let token = self.tokens.borrow_mut().remove(&number).unwrap_or_default();
            let (stream, wire, _) = upgrade(self.address, &format!("/ws?ws_token={token}"), "").await?;
            Ok(Joined { stream, wire, greetings: 0 })
        })
    }

    fn publisher(&self) -> LocalBoxFuture<'_, Box<dyn Publisher>> {
        Box::pin(async move {
            let open = async {
                let url = format!("{}%2f", self.rabbit.url());
                let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
                let channel = connection.create_channel().await?;
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                Ok::<_, lapin::Error>((connection, channel))
            };
            let (connection, channel) = open.await.expect("RabbitMQ takes a publisher");
            Box::new(Exchange { _connection: connection, channel, confirms: Vec::new(), payload: payload() })
                as Box<dyn Publisher>
        })
    }

    fn open_loop(&self) -> bool {
        true
    }
}

struct Exchange {
    _connection: Connection,
    channel: Channel,
    confirms: Vec<PublisherConfirm>,
    payload: String,
}

impl Publisher for Exchange {
    fn send<'a>(&'a mut self, to: &'a [To]) -> LocalBoxFuture<'a, ()> {
        Box::pin(async move {
            for to in to {
                let key = match to {
                    To::All => "commands.all".to_owned(),
                    To::One(number) => format!("commands.user.u{number}"),
                };
                let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
                let body = self.payload.as_bytes();
                let sent = self.channel.basic_publish("kiosk".into(), key.into(), options, body, properties).await;
                self.confirms.push(sent.expect("RabbitMQ takes a message"));
            }
        })
    }

    fn flush(&mut self) -> LocalBoxFuture<'_, ()> {
        Box::pin(async move {
            for confirm in self.confirms.drain(..) {
                confirm.await.expect("RabbitMQ has it");
            }
        })
    }
}
