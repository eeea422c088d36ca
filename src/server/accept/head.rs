//! The head of a request, as far as it is read here. Pure.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
};
use httparse::Status;

/// The largest head, in bytes.
pub const HEAD_MAX: usize = 32 * 1024;
/// The largest body of a publish that is read here, in bytes: as much as hyper reads ahead of a request that nobody has
/// judged yet.
pub const BODY_MAX: usize = 32 * 1024;
/// Headers of a request; as many as hyper takes.
const HEADERS_MAX: usize = 100;

/// What some first bytes are.
#[derive(Debug)]
pub enum Head {
    /// The beginning of one.
    Partial,
    /// `GET /v1/ws` (or `/wsb`) without a body: a WebSocket, or what would like to be one. And the bytes of its head.
    Socket(Box<Parts>, usize),
    /// `POST /v1/events` as programs send it.
    Publish(Box<Parts>, Lengths),
    /// Any other request.
    Other,
    /// No request that is understood here: the answer's status, and why.
    Bad(StatusCode, String),
}

/// Of a request, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    pub head: usize,
    pub body: usize,
}

impl Head {
    pub fn read(bytes: &[u8]) -> Head {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) if bytes.len() < HEAD_MAX => return Head::Partial,
            Ok(Status::Partial) => {
                return too_large(format!("a request's head has at most {HEAD_MAX} bytes"));
            }
            Err(httparse::Error::TooManyHeaders) => {
                return too_large(format!("a request has at most {HEADERS_MAX} headers"));
            }
            Err(error) => return Head::Bad(StatusCode::BAD_REQUEST, format!("this is no HTTP/1.1 request: {error}")),
        };
        if let Some(parts) = socket(&request) {
            return Head::Socket(Box::new(parts), length);
        }
        match publish(&request) {
            Some((parts, body)) => Head::Publish(Box::new(parts), Lengths { head: length, body }),
            None => Head::Other,
        }
    }
}

fn too_large(why: String) -> Head {
    Head::Bad(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, why)
}

/// The request, if it is for a WebSocket and has no body; whatever is unusual about one is left to hyper.
fn socket(request: &httparse::Request<'_, '_>) -> Option<Parts> {
    let path = request.path?.split('?').next()?;
    if request.method != Some("GET") || request.version != Some(1) || !matches!(path, "/v1/ws" | "/wsb") {
        return None;
    }
    let parts = parts(Method::GET, request)?;
    let has_body = parts.headers.contains_key(CONTENT_LENGTH) || parts.headers.contains_key(TRANSFER_ENCODING);
    (!has_body).then_some(parts)
}

/// The request, if it publishes and does not wait for receipts, with the length of its body. What has its body in pieces,
/// wants to be told to send it, or asks anything of the connection is left to hyper.
fn publish(request: &httparse::Request<'_, '_>) -> Option<(Parts, usize)> {
    if request.method != Some("POST") || request.version != Some(1) || request.path != Some("/v1/events") {
        return None;
    }
    let parts = parts(Method::POST, request)?;
    let headers = &parts.headers;
    let mut lengths = headers.get_all(CONTENT_LENGTH).into_iter();
    let length = lengths.next()?.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    let length = length.parse().ok().filter(|length| *length <= BODY_MAX)?;
    let is_plain = lengths.next().is_none()
        && [TRANSFER_ENCODING, EXPECT, UPGRADE].iter().all(|name| !headers.contains_key(name))
        && headers.get_all(CONNECTION).into_iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"keep-alive"));
    is_plain.then_some((parts, length))
}

fn parts(method: Method, request: &httparse::Request<'_, '_>) -> Option<Parts> {
    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for header in request.headers.iter() {
        headers
            .append(HeaderName::from_bytes(header.name.as_bytes()).ok()?, HeaderValue::from_bytes(header.value).ok()?);
    }
    let mut built = Request::new(());
    *built.method_mut() = method;
    *built.uri_mut() = request.path?.parse::<Uri>().ok()?;
    *built.version_mut() = Version::HTTP_11;
    *built.headers_mut() = headers;
    Some(built.into_parts().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_websocket_is_told_from_every_other_request_once_its_head_is_complete() {
        let asked = b"GET /v1/ws?ws_token=x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\nearly";
        for end in 0..asked.len() - 5 {
            assert!(matches!(Head::read(&asked[..end]), Head::Partial), "{end}");
        }
        let Head::Socket(parts, length) = Head::read(asked) else { panic!() };
        assert_eq!(
            (parts.uri.query(), &parts.headers["upgrade"], length),
            (Some("ws_token=x"), &HeaderValue::from_static("websocket"), asked.len() - 5)
        );
        for other in [
            "GET /v1/wsx HTTP/1.1",
            "GET / HTTP/1.1",
            "POST /v1/ws HTTP/1.1",
            "GET /wsb HTTP/1.0",
            "GET http://a/v1/ws HTTP/1.1",
            "GET /wsb HTTP/1.1\r\nContent-Length: 1",
            "GET /wsb HTTP/1.1\r\nTransfer-Encoding: chunked",
        ] {
            let read = Head::read(format!("{other}\r\n\r\n").as_bytes());
            assert!(matches!(read, Head::Other), "{other}: {read:?}");
        }
    }

    #[test]
    fn a_publish_is_read_here_where_it_is_small_and_asks_nothing_of_the_connection() {
        let head = |more: &str| format!("POST /v1/events HTTP/1.1\r\nHost: a\r\n{more}\r\n");
        for usual in ["Content-Length: 2\r\n", "Connection: Keep-Alive\r\nce-id: 1\r\ncontent-length: 2\r\n"] {
            let bytes = head(usual) + "{}GET / HTTP/1.1\r\n";
            let Head::Publish(parts, lengths) = Head::read(bytes.as_bytes()) else { panic!("{usual}") };
            assert_eq!((parts.method, parts.uri.path()), (Method::POST, "/v1/events"));
            assert_eq!(lengths, Lengths { head: head(usual).len(), body: 2 });
        }
        for unusual in [
            "",
            "Content-Length: 32769\r\n",
            "Content-Length: +2\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 2\r\nContent-Length: 2\r\n",
            "Content-Length: 2, 2\r\n",
            "Content-Length: \r\n",
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 2\r\nExpect: 100-continue\r\n",
            "Content-Length: 2\r\nUpgrade: h2c\r\n",
            "Content-Length: 2\r\nConnection: close\r\n",
            "Content-Length: 2\r\nConnection: keep-alive, close\r\n",
        ] {
            assert!(matches!(Head::read(head(unusual).as_bytes()), Head::Other), "{unusual}");
        }
        for other in ["POST /v1/events?wait=1s", "POST /v1/tickets", "PUT /v1/events", "POST http://a/v1/events"] {
            let bytes = format!("{other} HTTP/1.1\r\nContent-Length: 2\r\n\r\n");
            assert!(matches!(Head::read(bytes.as_bytes()), Head::Other), "{other}");
        }
    }

    #[test]
    fn what_is_no_http_or_too_large_is_told_as_soon_as_it_is_known() {
        let long = format!("GET /{}", "a".repeat(HEAD_MAX));
        let many = format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(HEADERS_MAX + 1));
        for (bytes, status) in [
            (&b"\x16\x03\x01"[..], 400),
            (b"GET / HTTP/9.9\r\n", 400),
            (b"\0", 400),
            (b"GET / HTTP/1.1\r\na b: c\r\n", 400),
            (long.as_bytes(), 431),
            (many.as_bytes(), 431),
        ] {
            let Head::Bad(got, why) = Head::read(bytes) else { panic!("{bytes:?}") };
            assert_eq!(got.as_u16(), status, "{why}");
        }
    }
}
