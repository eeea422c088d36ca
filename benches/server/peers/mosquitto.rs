//! mosquitto: MQTT 3.1.1 at QoS 0 without authentication; subscribers over WebSocket, as pages are, publishers over TCP.

use std::{io, net::SocketAddr, path::Path, process::Command, time::Duration};

use futures_util::future::LocalBoxFuture;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Peer, Publisher, To, http::upgrade, payload};
use crate::{
    crowd::{Joined, greeted},
    support::{process::Process, server::free_port, wait::until},
    usage::Group,
    wire::{BINARY, client_frame},
};

#[derive(Debug)]
pub struct Mosquitto {
    address: SocketAddr,
    web: SocketAddr,
    process: Process,
}

impl Mosquitto {
    pub fn start(folder: &Path) -> Option<Mosquitto> {
        let binary = super::installed("mosquitto")?;
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let web: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        // Its queue of 1,000 messages a client also bounds QoS 0; none of it is to be lost.
        let text = format!(
            "listener {} 127.0.0.1\nlistener {} 127.0.0.1\nprotocol websockets\nallow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true\n\
             persistence false\nlog_type error\n",
            address.port(),
            web.port()
        );
        let config = folder.join("mosquitto.conf");
        std::fs::write(&config, text).expect("the config is written");
        let process = Process::start("mosquitto", folder, Command::new(binary).arg("-c").arg(&config));
        until("mosquitto listens", Duration::from_secs(10), || std::net::TcpStream::connect(address).ok());
        Some(Mosquitto { address, web, process })
    }
}

impl Peer for Mosquitto {
    fn name(&self) -> &'static str {
        "mosquitto"
    }

    fn processes(&self) -> Group {
        Group(vec![self.process.pid()])
    }

    fn join(&self, number: usize) -> LocalBoxFuture<'_, io::Result<Joined>> {
        Box::pin(async move {
            let headers = "Sec-WebSocket-Protocol: mqtt\r\n";
            let (mut stream, wire, _) = upgrade(self.web, "/mqtt", headers).await?;
            stream.write_all(&client_frame(BINARY, &connect(&format!("c{number}")))).await?;
            let mut body = vec![0, 1];
            for topic in ["all", &format!("one/{number}")] {
                text(&mut body, topic);
                body.push(0);
            }
            stream.write_all(&client_frame(BINARY, &packet(0x82, &body))).await?;
            // CONNACK and SUBACK: each packet is a frame of its own.
            let mut joined = Joined { stream, wire, greetings: 2 };
            greeted(&mut joined).await?;
            Ok(joined)
        })
    }

    fn publisher(&self) -> LocalBoxFuture<'_, Box<dyn Publisher>> {
        Box::pin(async move {
            let client = format!("p{}", fastrand::u32(..));
            let mut stream = TcpStream::connect(self.address).await.expect("mosquitto listens");
            stream.set_nodelay(true).expect("it is TCP");
            stream.write_all(&connect(&client)).await.expect("mosquitto reads");
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).await.expect("mosquitto answers");
            assert_eq!(answer, [0x20, 2, 0, 0], "mosquitto takes a publisher");
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
            let mut out = Vec::new();
            for to in to {
                let mut body = Vec::with_capacity(300);
                match to {
                    To::All => text(&mut body, "all"),
                    To::One(number) => text(&mut body, &format!("one/{number}")),
                }
                body.extend_from_slice(self.payload.as_bytes());
                out.extend_from_slice(&packet(0x30, &body));
            }
            self.stream.write_all(&out).await.expect("mosquitto reads");
        })
    }

    fn flush(&mut self) -> LocalBoxFuture<'_, ()> {
        Box::pin(async move {
            self.stream.write_all(&[0xc0, 0]).await.expect("mosquitto reads");
            self.stream.read_exact(&mut [0; 2]).await.expect("mosquitto answers a ping");
        })
    }
}

/// Protocol level 4, a clean session, no keep-alive.
fn connect(client: &str) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0];
    text(&mut body, client);
    packet(0x10, &body)
}

/// A string as MQTT writes it.
fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u16::try_from(text.len()).expect("topics are short").to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length % 128).unwrap_or_default();
        length /= 128;
        out.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}
