//! HTTP and WebSocket as the clients of a run speak them: every wait has an end, nothing panics.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use pikiosk::event::{Event, frame::SUBPROTOCOL};
use serde::Serialize;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// How long a request or a handshake may take.
const LIMIT: Duration = Duration::from_secs(15);
/// A socket pings this often, and gives up when nothing came for three times as long.
const PING: Duration = Duration::from_secs(2);

/// One kept HTTP connection.
#[derive(Debug)]
pub struct Http {
    stream: TcpStream,
    host: String,
}

impl Http {
    /// Connects by a road; `host` is the node's own address, which is what signatures name.
    pub async fn connect(road: SocketAddr, host: SocketAddr) -> Option<Http> {
        let stream = timeout(LIMIT, TcpStream::connect(road)).await.ok()?.ok()?;
        let _ = stream.set_nodelay(true);
        Some(Http { stream, host: host.to_string() })
    }

    /// Sends one request; None if the connection did not bring the whole answer, which then may have been acted on.
    pub async fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<(u16, Vec<u8>)> {
        timeout(LIMIT, self.exchange(method, path, headers, body)).await.ok()?
    }

    async fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<(u16, Vec<u8>)> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n", self.host, body.len());
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend_from_slice(body);
        self.stream.write_all(&bytes).await.ok()?;
        let mut answer = Vec::new();
        let head = loop {
            if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.more(&mut answer).await?;
        };
        let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let status = text.split(' ').nth(1)?.parse().ok()?;
        let length =
            text.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse::<usize>().ok()?;
        while answer.len() < head + length {
            self.more(&mut answer).await?;
        }
        Some((status, answer.split_off(head)))
    }

    async fn more(&mut self, into: &mut Vec<u8>) -> Option<()> {
        (self.stream.read_buf(into).await.ok()? > 0).then_some(())
    }

    pub async fn json(&mut self, method: &str, path: &str, key: Option<&str>, body: &Value) -> Option<(u16, Value)> {
        let bearer = key.map(|key| format!("Bearer {key}"));
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, body) = self.request(method, path, &headers, body.as_bytes()).await?;
        Some((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}

/// One WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    said: u64,
}

/// Why a socket ended: its close code, or 0 where it broke or was never open.
#[derive(Debug, Clone, Copy)]
pub struct Ended(pub u16);

impl Socket {
    pub async fn open(road: SocketAddr, bearer: &str) -> Result<Socket, Ended> {
        let mut request = format!("ws://{road}/v1/ws").into_client_request().map_err(|_| Ended(0))?;
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {bearer}").parse().map_err(|_| Ended(0))?);
        headers.insert("sec-websocket-protocol", SUBPROTOCOL.parse().map_err(|_| Ended(0))?);
        let open = async {
            let stream = TcpStream::connect(road).await.ok()?;
            let _ = stream.set_nodelay(true);
            Some(client_async(request, stream).await.ok()?.0)
        };
        let stream = timeout(LIMIT, open).await.ok().flatten().ok_or(Ended(0))?;
        Ok(Socket { stream, said: 0 })
    }

    /// The next event. Whoever is silent for too long is given up: its packets may vanish.
    pub async fn next(&mut self) -> Result<Event, Ended> {
        let give_up = Instant::now() + 3 * PING;
        loop {
            let message = match timeout(PING, self.stream.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(_) => return Err(Ended(0)),
                Err(_) if Instant::now() >= give_up => return Err(Ended(0)),
                Err(_) => {
                    self.send(Message::Ping(Vec::new().into())).await?;
                    continue;
                }
            };
            match message {
                Message::Text(text) => return Event::from_json(text.as_bytes()).map_err(|_| Ended(1)),
                Message::Close(frame) => return Err(Ended(frame.map_or(0, |frame| frame.code.into()))),
                _ => return Box::pin(self.next()).await,
            }
        }
    }

    pub async fn say(&mut self, kind: &str, data: &impl Serialize) -> Result<(), Ended> {
        self.said += 1;
        let event = Event::new(self.said.to_string(), "history", kind).with_data(data);
        self.send(Message::text(event.to_json())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Ended> {
        let end = Instant::now() + LIMIT;
        timeout_at(end, self.stream.send(message)).await.map_err(|_| Ended(0))?.map_err(|_| Ended(0))
    }
}
