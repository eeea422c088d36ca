//! Answers that hyper does not write.

use std::{io, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use http_body_util::BodyExt;
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long a last answer may take to go out, and how long its reader is waited for.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// Room for the head of an answer.
const USUAL_HEAD: usize = 256;

/// Answers; the connection goes on.
pub async fn kept(stream: &mut TcpStream, response: Response<Body>) -> io::Result<()> {
    let out = written(response).await?;
    stream.write_all(&out).await
}

/// Answers and ends the connection, so that the answer is read and not lost in a reset.
pub async fn last(stream: &mut TcpStream, mut response: Response<Body>) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    let Ok(out) = written(response).await else { return };
    let said = async {
        stream.write_all(&out).await?;
        stream.shutdown().await?;
        // What it still sends is read, and dropped.
        let mut dropped = vec![0; 2048];
        while stream.read(&mut dropped).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(LAST_WAIT, said).await;
}

/// Head and body in one piece: one write, one packet.
async fn written(response: Response<Body>) -> io::Result<Vec<u8>> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let mut out = Vec::with_capacity(USUAL_HEAD + body.len());
    let mut say = |texts: [&[u8]; 4]| texts.into_iter().for_each(|text| out.extend_from_slice(text));
    let reason = parts.status.canonical_reason().unwrap_or_default();
    say([b"HTTP/1.1 ", parts.status.as_str().as_bytes(), b" ", reason.as_bytes()]);
    if let Ok(date) = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now()) {
        say([b"\r\ndate", b": ", date.as_bytes(), b""]);
    }
    for (name, value) in parts.headers.iter().filter(|(name, _)| **name != header::CONTENT_LENGTH) {
        say([b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()]);
    }
    say([b"\r\ncontent-length: ", body.len().to_string().as_bytes(), b"\r\n\r\n", &body]);
    Ok(out)
}
