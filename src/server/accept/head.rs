//! The head of a connection's first request. Pure.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, request::Parts};
use httparse::Status;

/// The largest head, in bytes.
pub const HEAD_MAX: usize = 32 * 1024;
/// Headers of a request; as many as hyper takes.
const HEADERS_MAX: usize = 100;

/// What some first bytes are.
#[derive(Debug)]
pub enum Head {
    /// The beginning of one.
    Partial,
    /// `GET /v1/ws` (or `/wsb`) without a body: a WebSocket, or what would like to be one. And the bytes of its head.
    Socket(Box<Parts>, usize),
    /// Any other request.
    Other,
    /// No request that is understood here: the answer's status, and why.
    Bad(StatusCode, String),
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
        match socket(&request) {
            Some(parts) => Head::Socket(Box::new(parts), length),
            None => Head::Other,
        }
    }
}

fn too_large(why: String) -> Head {
    Head::Bad(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, why)
}

/// The request, if it is for a WebSocket and has no body; whatever is unusual about one is left to hyper.
fn socket(request: &httparse::Request<'_, '_>) -> Option<Parts> {
    let target = request.path?;
    let path = target.split('?').next()?;
    if request.method != Some("GET") || request.version != Some(1) || !matches!(path, "/v1/ws" | "/wsb") {
        return None;
    }
    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for header in request.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        if name == "content-length" || name == "transfer-encoding" {
            return None;
        }
        headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    let mut built = Request::new(());
    *built.method_mut() = Method::GET;
    *built.uri_mut() = target.parse::<Uri>().ok()?;
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
