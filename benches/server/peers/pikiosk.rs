//! This server, with the store in memory or on disk.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use futures_util::future::LocalBoxFuture;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{
    Peer, Publisher, To,
    http::{Connection, upgrade},
    payload,
};
use crate::{
    crowd::{Joined, greeted},
    options::Options,
    redis_server::Redis,
    support::{
        process::Process,
        server::{free_port, pikiosk_of},
        token as support,
        wait::until,
    },
    usage::Group,
    wire::{TEXT, client_frame},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Memory,
    Disk,
    /// A Redis of its own, which syncs before it answers.
    Redis,
}

impl Kind {
    /// As the command line names them.
    pub fn named(name: &str) -> Option<Kind> {
        match name {
            "memory" => Some(Kind::Memory),
            "disk" => Some(Kind::Disk),
            "redis" => Some(Kind::Redis),
            _ => None,
        }
    }

    /// A publish is on disk when it is answered.
    pub fn is_durable(self) -> bool {
        self != Kind::Memory
    }
}

/// What opens a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    Jwt,
    /// Minted by the server just before ([`Peer::admit`]): it lives 20 s.
    Ticket,
}

pub struct Pikiosk {
    name: &'static str,
    pub address: SocketAddr,
    process: Process,
    redis: Option<Redis>,
    key: String,
    pub credential: Cell<Credential>,
    tickets: RefCell<HashMap<usize, String>>,
}

impl Pikiosk {
    pub fn start(folder: &Path, options: &Options, kind: Kind) -> Pikiosk {
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let redis = (kind == Kind::Redis).then(Redis::durable);
        let (name, store) = match (kind, &redis) {
            (_, Some(redis)) => ("pikiosk redis", format!("kind = \"redis\"\nurl = \"{}\"", redis.url())),
            (Kind::Memory, None) => ("pikiosk memory", "kind = \"memory\"".to_owned()),
            (_, None) => ("pikiosk disk", "kind = \"embedded\"".to_owned()),
        };
        let data = folder.join("pikiosk");
        let text = format!(
            "listen = \"{address}\"\ndata = \"{}\"\n[store]\n{store}\n{}\n{}",
            data.display(),
            options.config.as_deref().unwrap_or_default(),
            support::trusted(folder),
        );
        let config = folder.join("server.toml");
        std::fs::write(&config, text).expect("the config is written");
        let mut command = pikiosk_of(&options.binary, &["server", "--config"]);
        let mut process = Process::start("pikiosk", folder, command.arg(&config));
        let key = data.join("operator.key");
        let key = until("pikiosk listens", Duration::from_secs(20), || {
            assert!(process.ended().is_none(), "pikiosk ended: {}", process.log());
            std::net::TcpStream::connect(address).ok()?;
            std::fs::read_to_string(&key).ok()
        });
        let key = key.trim().to_owned();
        Pikiosk {
            name,
            address,
            process,
            redis,
            key,
            credential: Cell::new(Credential::Jwt),
            tickets: RefCell::default(),
        }
    }

    async fn mint(&self, connection: &mut Connection, number: usize) -> io::Result<String> {
        let headers = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", self.key);
        let body = json!({"user": format!("u{number}")}).to_string();
        let (status, body) = connection.post("/v1/tickets", &headers, &body).await?;
        let answer: serde_json::Value = serde_json::from_slice(body)?;
        answer["ticket"].as_str().map(str::to_owned).ok_or_else(|| io::Error::other(format!("{status} {answer}")))
    }

    /// One whose messages are so long.
    pub async fn fat_publisher(&self, bytes: usize) -> Box<dyn Publisher> {
        Box::new(self.publish("fat.".repeat(bytes / 4)).await)
    }

    async fn publish(&self, payload: String) -> Events {
        let connection = Connection::open(self.address).await.expect("the server listens");
        let headers =
            |kind: &str| format!("Authorization: Bearer {}\r\nContent-Type: application/{kind}+json\r\n", self.key);
        Events {
            connection,
            single: headers("cloudevents"),
            batch: headers("cloudevents-batch"),
            payload,
            prefix: format!("{:x}", fastrand::u64(..)),
            next: 0,
        }
    }

    /// Opens one; `data` is what it resumes with.
    pub async fn open(&self, number: usize, data: &serde_json::Value) -> io::Result<Joined> {
        let bearer = self.tickets.borrow_mut().remove(&number).unwrap_or_else(|| token(number));
        let headers = format!("Sec-WebSocket-Protocol: cloudevents.json\r\nAuthorization: Bearer {bearer}\r\n");
        let (mut stream, wire, messages) = upgrade(self.address, "/v1/ws", &headers).await?;
        // kiosk.hello and kiosk.resumed.
        let greetings = 2 - messages;
        let resume = json!({"specversion": "1.0", "id": "1", "source": "bench", "type": "kiosk.resume", "data": data});
        stream.write_all(&client_frame(TEXT, resume.to_string().as_bytes())).await?;
        let mut joined = Joined { stream, wire, greetings };
        greeted(&mut joined).await?;
        Ok(joined)
    }
}

impl Peer for Pikiosk {
    fn name(&self) -> &'static str {
        self.name
    }

    fn processes(&self) -> Group {
        Group([self.process.pid()].into_iter().chain(self.redis.as_ref().map(Redis::pid)).collect())
    }

    fn holders(&self) -> Group {
        Group(vec![self.process.pid()])
    }

    fn admit(&self, numbers: std::ops::Range<usize>) -> LocalBoxFuture<'_, ()> {
        Box::pin(async move {
            if self.credential.get() == Credential::Jwt {
                return;
            }
            let mut connection = Connection::open(self.address).await.expect("the server listens");
            for number in numbers {
                let ticket = self.mint(&mut connection, number).await.expect("a ticket is minted");
                self.tickets.borrow_mut().insert(number, ticket);
            }
        })
    }

    fn join(&self, number: usize) -> LocalBoxFuture<'_, io::Result<Joined>> {
        Box::pin(async move { self.open(number, &json!({})).await })
    }

    fn publisher(&self) -> LocalBoxFuture<'_, Box<dyn Publisher>> {
        Box::pin(async move { Box::new(self.publish(payload()).await) as Box<dyn Publisher> })
    }

    fn open_loop(&self) -> bool {
        false
    }
}

struct Events {
    connection: Connection,
    single: String,
    batch: String,
    payload: String,
    /// Of the ids of events: no two publishers have the same.
    prefix: String,
    next: u64,
}

impl Events {
    fn event(&mut self, to: To) -> String {
        self.next += 1;
        let subject = match to {
            To::All => "group/bench".to_owned(),
            To::One(number) => format!("user/u{number}"),
        };
        format!(
            r#"{{"specversion":"1.0","id":"{}-{}","source":"bench","type":"org.example.bench","subject":"{subject}","data":"{}"}}"#,
            self.prefix, self.next, self.payload
        )
    }
}

impl Publisher for Events {
    fn send<'a>(&'a mut self, to: &'a [To]) -> LocalBoxFuture<'a, ()> {
        Box::pin(async move {
            let events: Vec<String> = to.iter().map(|to| self.event(*to)).collect();
            let (headers, body) = match events.as_slice() {
                [one] => (&self.single, one.clone()),
                many => (&self.batch, format!("[{}]", many.join(","))),
            };
            let (status, body) =
                self.connection.post("/v1/events", headers, &body).await.expect("the server answers a publish");
            assert_eq!(status, 202, "{}", String::from_utf8_lossy(body));
        })
    }
}

/// What opens the socket of this number: it may hear everything, and its own user.
pub fn token(number: usize) -> String {
    let user = format!("u{number}");
    support::token(&user, &["group/bench", &format!("user/{user}")])
}
