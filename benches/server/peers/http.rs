//! Publishing by HTTP: one kept connection, one request after the other.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    crowd::read_to,
    wire::{Kind, Said, Wire},
};

#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Of every request, up to Content-Length.
    host: String,
    out: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, host: address.to_string(), out: Vec::new(), buffer: Vec::new() })
    }

    /// Posts and reads the whole answer; returns its status and body. `headers` end with a line end each.
    pub async fn post(&mut self, path: &str, headers: &str, body: &str) -> io::Result<(u16, &[u8])> {
        let Connection { stream, host, out, buffer } = self;
        out.clear();
        let length = body.len();
        out.extend_from_slice(
            format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\n\r\n").as_bytes(),
        );
        out.extend_from_slice(body.as_bytes());
        stream.write_all(out).await?;
        buffer.clear();
        loop {
            if stream.read_buf(buffer).await? == 0 {
                return Err(io::Error::other("the server closed the connection"));
            }
            let Some((status, head, length)) = head(buffer) else { continue };
            if buffer.len() >= head + length {
                return Ok((status, &self.buffer[head..]));
            }
        }
    }
}

/// Upgrades a connection to a WebSocket; what came with the answer is in the wire. `headers` end with a line end each.
pub async fn upgrade(address: SocketAddr, path: &str, headers: &str) -> io::Result<(TcpStream, Wire, u64)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.set_zero_linger()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let (bytes, end) = read_to(&mut stream, b"\r\n\r\n").await?;
    if !bytes.starts_with(b"HTTP/1.1 101") {
        return Err(io::Error::other(String::from_utf8_lossy(&bytes).into_owned()));
    }
    let mut wire = Wire::new(Kind::WebSocket);
    let mut messages = 0;
    wire.cut(&bytes[end..], |said| messages += u64::from(said == Said::Message));
    Ok((stream, wire, messages))
}

/// Status, length of the head, length of the body.
fn head(bytes: &[u8]) -> Option<(u16, usize, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some((status, end, length.unwrap_or(0)))
}
