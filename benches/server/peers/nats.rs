//! nats-server: its own protocol over TCP, a token for all.

use std::{io, net::SocketAddr, path::Path, process::Command, time::Duration};

use futures_util::future::LocalBoxFuture;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{Peer, Publisher, To, payload};
use crate::{
    crowd::{Joined, read_to},
    support::{process::Process, server::free_port, wait::until},
    usage::Group,
    wire::{Kind, Wire},
};

const CONNECT: &str = r#"CONNECT {"verbose":false,"pedantic":false,"auth_token":"bench","name":"b"}"#;

#[derive(Debug)]
pub struct Nats {
    address: SocketAddr,
    process: Process,
}

impl Nats {
    pub fn start(folder: &Path) -> Option<Nats> {
        let binary = super::installed("nats-server")?;
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        // A thousand readers on two cores fall behind for a moment: they are not to be cut for it.
        let text = format!(
            "listen: \"{address}\"\nauthorization {{ token: bench }}\nmax_connections: 20000\nmax_pending: 256MB\n"
        );
        let config = folder.join("nats.conf");
        std::fs::write(&config, text).expect("the config is written");
        let process = Process::start("nats", folder, Command::new(binary).arg("--config").arg(&config));
        until("nats-server listens", Duration::from_secs(10), || std::net::TcpStream::connect(address).ok());
        Some(Nats { address, process })
    }

    async fn open(&self, more: &str) -> io::Result<(TcpStream, usize)> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        stream.set_zero_linger()?;
        read_to(&mut stream, b"\r\n").await?;
        stream.write_all(format!("{CONNECT}\r\n{more}PING\r\n").as_bytes()).await?;
        let (bytes, end) = read_to(&mut stream, b"PONG\r\n").await?;
        Ok((stream, bytes.len() - end))
    }
}

impl Peer for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn processes(&self) -> Group {
        Group(vec![self.process.pid()])
    }

    fn join(&self, number: usize) -> LocalBoxFuture<'_, io::Result<Joined>> {
        Box::pin(async move {
            let (stream, _) = self.open(&format!("SUB all 1\r\nSUB one.{number} 2\r\n")).await?;
            Ok(Joined { stream, wire: Wire::new(Kind::Nats), greetings: 0 })
        })
    }

    fn publisher(&self) -> LocalBoxFuture<'_, Box<dyn Publisher>> {
        Box::pin(async move {
            let (stream, _) = self.open("").await.expect("nats-server takes a publisher");
            Box::new(Stream { stream, payload: payload() }) as Box<dyn Publisher>
        })
    }

    fn open_loop(&self) -> bool {
        true
    }
}

struct Stream {
    stream: TcpStream,
    payload: String,
}

impl Publisher for Stream {
    fn send<'a>(&'a mut self, to: &'a [To]) -> LocalBoxFuture<'a, ()> {
        Box::pin(async move {
            let mut out = String::with_capacity(to.len() * (self.payload.len() + 32));
            for to in to {
                let length = self.payload.len();
                out += &match to {
                    To::All => format!("PUB all {length}\r\n{}\r\n", self.payload),
                    To::One(number) => format!("PUB one.{number} {length}\r\n{}\r\n", self.payload),
                };
            }
            self.stream.write_all(out.as_bytes()).await.expect("nats-server reads");
            // A ping of the server's, which it sends every two minutes, would be answered here: no row takes that long.
        })
    }

    fn flush(&mut self) -> LocalBoxFuture<'_, ()> {
        Box::pin(async move {
            self.stream.write_all(b"PING\r\n").await.expect("nats-server reads");
            read_to(&mut self.stream, b"PONG\r\n").await.expect("nats-server answers");
        })
    }
}
