//! Who may ask the page for what. Pure: a request's head in, a route or a refusal out.
//!
//! The page shown on the glass is a stranger's. It shares a machine and a browser with this server, so each of its
//! ways in is closed: another name for 127.0.0.1 (`Host`), a script of another origin (`Origin`, `Sec-Fetch-*`), a
//! frame, a form, a WebSocket, and the data itself (the secret).

use hyper::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_LENGTH, HOST, HeaderName, ORIGIN, TRANSFER_ENCODING},
};

use super::{assets::Asset, secret::Secret};

/// The request header in which a page sends the secret. Not on the CORS safe list: another origin must ask first
/// with OPTIONS, and is answered 405.
pub const SECRET_HEADER: HeaderName = HeaderName::from_static("x-pikiosk-page");

/// What lies on the card has its own path below this; each opens with its own permit, which only the supervisor makes.
pub const KEPT: &str = "/kept/";

const FIND: &str = "/kept";

/// What a request that was let in is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    Asset(&'static Asset),
    /// `GET /state`, with the revision that the asker already has.
    State {
        since: Option<u64>,
    },
    /// `GET /kept/picture/NAME?PERMIT`: the last good picture of a page.
    Picture {
        name: String,
    },
    /// `GET /kept?src=URL`: where the copy of this picture or film is.
    Find {
        src: String,
    },
    /// `GET /kept/media/FILE?PERMIT`: a picture or film.
    Media {
        file: String,
    },
}

/// Why a request was not let in. The asker is told only the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("host name is not this page's")]
    ForeignHost,
    #[error("another origin asked")]
    ForeignOrigin,
    #[error("secret is missing or wrong")]
    NoSecret,
    #[error("method is not GET")]
    Method,
    #[error("request has a body")]
    Body,
    #[error("no such page")]
    NotFound,
}

impl Refusal {
    pub fn status(self) -> StatusCode {
        match self {
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::ForeignOrigin | Self::NoSecret => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }
}

/// The names under which the page may be asked, made from the port it is bound to.
#[derive(Debug, Clone)]
pub struct Guard {
    hosts: Vec<String>,
    origins: Vec<String>,
    secret: Secret,
}

impl Guard {
    /// `host` is the address as it stands in a URL (`127.0.0.1`, `[::1]`).
    pub fn new(host: &str, port: u16, secret: Secret) -> Self {
        let with_port = [format!("{host}:{port}"), format!("localhost:{port}")];
        let mut hosts = with_port.to_vec();
        // A browser leaves out the port of http only when it is 80.
        if port == 80 {
            hosts.extend([host.to_owned(), "localhost".to_owned()]);
        }
        let origins = hosts.iter().map(|name| format!("http://{name}")).collect();
        Self { hosts, origins, secret }
    }

    /// The path of a picture or film of the card, with its permit.
    pub fn media(&self, file: &str) -> String {
        let path = format!("{KEPT}media/{file}");
        format!("{path}?{}", self.secret.permit(&path))
    }

    /// Decides on one request. The order matters: nothing that another origin can vary changes what it sees.
    pub fn judge(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Route, Refusal> {
        match the_only(headers, HOST) {
            Some(host) if self.hosts.iter().any(|ours| host.eq_ignore_ascii_case(ours)) => {}
            _ => return Err(Refusal::ForeignHost),
        }
        if headers.contains_key(ORIGIN) {
            let origin = the_only(headers, ORIGIN).unwrap_or_default();
            if !self.origins.iter().any(|ours| origin == ours) {
                return Err(Refusal::ForeignOrigin);
            }
        }
        if !fetched_by_ourselves(headers) {
            return Err(Refusal::ForeignOrigin);
        }
        let head_only = method == Method::HEAD;
        if method != Method::GET && !head_only {
            return Err(Refusal::Method);
        }
        let length = headers.get(CONTENT_LENGTH).map_or(&b"0"[..], |length| length.as_bytes());
        if headers.contains_key(TRANSFER_ENCODING) || length != b"0" {
            return Err(Refusal::Body);
        }
        if path == "/state" || path == FIND {
            let offered = headers.get(SECRET_HEADER).map_or(&b""[..], |secret| secret.as_bytes());
            if !self.secret.matches(offered) {
                return Err(Refusal::NoSecret);
            }
            if head_only {
                return Err(Refusal::Method);
            }
            if path == FIND {
                let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
                let src = pairs.into_iter().find_map(|(name, value)| (name == "src").then(|| value.into_owned()));
                return src.map(|src| Route::Find { src }).ok_or(Refusal::NotFound);
            }
            let since = query.and_then(|query| query.strip_prefix("since=")).and_then(|rev| rev.parse().ok());
            return Ok(Route::State { since });
        }
        if let Some(kept) = path.strip_prefix(KEPT) {
            if !self.secret.permits(path, query.unwrap_or_default()) {
                return Err(Refusal::NoSecret);
            }
            return match kept.split_once('/') {
                Some(("picture", name)) => Ok(Route::Picture { name: name.to_owned() }),
                Some(("media", file)) => Ok(Route::Media { file: file.to_owned() }),
                _ => Err(Refusal::NotFound),
            };
        }
        Asset::at(path).map(Route::Asset).ok_or(Refusal::NotFound)
    }
}

/// The value of a header that must be there once.
fn the_only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    first.to_str().ok()
}

/// What the browser itself says about who asks (Fetch Metadata, W3C). `same-site` is not enough: another port of
/// 127.0.0.1 is another program. Absent (no browser) is left to the secret. A top-level navigation from anywhere is
/// let in: it shows a page without data.
fn fetched_by_ourselves(headers: &HeaderMap) -> bool {
    let said = |name| headers.get(HeaderName::from_static(name)).map(|value| value.as_bytes());
    match said("sec-fetch-site") {
        None | Some(b"same-origin" | b"none") => {}
        Some(_) if said("sec-fetch-mode") == Some(b"navigate") => {}
        Some(_) => return false,
    }
    !matches!(said("sec-fetch-dest"), Some(b"iframe" | b"frame" | b"embed" | b"object" | b"fencedframe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(port: u16) -> Guard {
        Guard::new("127.0.0.1", port, Secret::new([1; 16]))
    }

    fn judge(guard: &Guard, method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Route, Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        guard.judge(&method.parse().unwrap(), path, query, &map)
    }

    #[test]
    fn the_page_answers_to_its_own_names_only() {
        for (port, host, ok) in [
            (8080, "127.0.0.1:8080", true),
            (8080, "localhost:8080", true),
            (8080, "LOCALHOST:8080", true),
            (8080, "127.0.0.1", false),
            (8080, "127.0.0.1:80", false),
            (8080, "evil.example", false),
            (8080, "evil.example:8080", false),
            (8080, "127.0.0.1.evil.example:8080", false),
            (8080, "localhost:8080.evil.example", false),
            (8080, "127.0.0.1:8080@evil.example", false),
            (8080, "192.168.1.20:8080", false),
            (8080, "127.1:8080", false),
            (8080, "", false),
            (80, "127.0.0.1", true),
            (80, "localhost:80", true),
            (80, "evil.example", false),
        ] {
            let got = judge(&guard(port), "GET", "/splash", &[("host", host)]);
            assert_eq!(got.is_ok(), ok, "{host} on {port}: {got:?}");
            assert!(ok || got == Err(Refusal::ForeignHost));
        }
        assert_eq!(judge(&guard(80), "GET", "/splash", &[]), Err(Refusal::ForeignHost));
        let two = [("host", "127.0.0.1:8080"), ("host", "evil.example")];
        assert_eq!(judge(&guard(8080), "GET", "/splash", &two), Err(Refusal::ForeignHost));
    }

    #[test]
    fn a_script_of_another_origin_is_refused_before_anything_else_is_looked_at() {
        let secret = Secret::new([1; 16]).to_hex();
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:9000"),
            ("origin", "https://127.0.0.1:8080"),
            ("origin", "http://127.0.0.1:8080.evil.example"),
            ("origin", ""),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-dest", "iframe"),
            ("sec-fetch-dest", "object"),
            ("sec-fetch-dest", "embed"),
        ] {
            for (method, target) in
                [("GET", "/state"), ("GET", "/splash"), ("POST", "/state"), ("OPTIONS", "/state"), ("GET", "/none")]
            {
                let headers = [("host", "127.0.0.1:8080"), (name, value), ("x-pikiosk-page", &secret)];
                let got = judge(&guard(8080), method, target, &headers);
                assert_eq!(got, Err(Refusal::ForeignOrigin), "{method} {target} {name}: {value}");
            }
        }
    }

    #[test]
    fn a_link_from_elsewhere_may_open_a_page_but_not_in_a_frame_and_not_its_data() {
        let link = [
            ("host", "127.0.0.1:8080"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(judge(&guard(8080), "GET", "/splash", &link).is_ok());
        assert_eq!(judge(&guard(8080), "GET", "/state", &link), Err(Refusal::NoSecret));
        let framed = [link[0], link[1], link[2], ("sec-fetch-dest", "iframe")];
        assert_eq!(judge(&guard(8080), "GET", "/splash", &framed), Err(Refusal::ForeignOrigin));
    }

    #[test]
    fn nothing_but_reading_is_possible() {
        let ours = ("host", "localhost:8080");
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"] {
            assert_eq!(judge(&guard(8080), method, "/splash", &[ours]), Err(Refusal::Method), "{method}");
        }
        assert_eq!(judge(&guard(8080), "GET", "/splash", &[ours, ("content-length", "1")]), Err(Refusal::Body));
        assert_eq!(
            judge(&guard(8080), "GET", "/splash", &[ours, ("transfer-encoding", "chunked")]),
            Err(Refusal::Body)
        );
        assert!(judge(&guard(8080), "GET", "/splash", &[ours, ("content-length", "0")]).is_ok());
        assert!(judge(&guard(8080), "HEAD", "/splash", &[ours]).is_ok());
        assert_eq!(judge(&guard(8080), "GET", "/../etc/passwd", &[ours]), Err(Refusal::NotFound));
    }

    #[test]
    fn what_is_kept_is_given_for_its_own_permit_and_to_no_other_origin() {
        let (ours, secret) = (("host", "localhost:8080"), Secret::new([1; 16]));
        let permit = secret.permit("/kept/picture/ab");
        let whole = format!("/kept/picture/ab?{permit}");
        assert_eq!(judge(&guard(8080), "GET", &whole, &[ours]), Ok(Route::Picture { name: "ab".into() }));
        let known = ("x-pikiosk-page", secret.to_hex());
        for target in ["/kept/picture/ab", "/kept/picture/ab?", &format!("/kept/picture/cd?{permit}"), "/kept/"] {
            assert_eq!(judge(&guard(8080), "GET", target, &[ours, (known.0, &known.1)]), Err(Refusal::NoSecret));
        }
        let media = format!("/kept/media/f?{}", secret.permit("/kept/media/f"));
        assert_eq!(judge(&guard(8080), "HEAD", &media, &[ours]), Ok(Route::Media { file: "f".into() }));
        let find = "/kept?src=https%3A%2F%2Fa%2Fb+c.jpg%3Fx%3D1";
        assert_eq!(judge(&guard(8080), "GET", find, &[ours]), Err(Refusal::NoSecret));
        let found = judge(&guard(8080), "GET", find, &[ours, (known.0, &known.1)]);
        assert_eq!(found, Ok(Route::Find { src: "https://a/b c.jpg?x=1".into() }));
        let stranger = [ours, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")];
        assert_eq!(judge(&guard(8080), "GET", &whole, &stranger), Err(Refusal::ForeignOrigin));
        // Nothing but what has a permit of ours is ever looked for, so no path can lead elsewhere.
        let other = format!("/kept/other/ab?{}", secret.permit("/kept/other/ab"));
        assert_eq!(judge(&guard(8080), "GET", &other, &[ours]), Err(Refusal::NotFound));
    }

    #[test]
    fn state_is_given_for_the_secret() {
        let ours = ("host", "localhost:8080");
        let secret = Secret::new([1; 16]).to_hex();
        let known = ("x-pikiosk-page", secret.as_str());
        assert_eq!(judge(&guard(8080), "GET", "/state", &[ours, known]), Ok(Route::State { since: None }));
        assert_eq!(judge(&guard(8080), "GET", "/state?since=7", &[ours, known]), Ok(Route::State { since: Some(7) }));
        assert_eq!(judge(&guard(8080), "GET", "/state?since=x", &[ours, known]), Ok(Route::State { since: None }));
        for wrong in ["", "0", "01010101010101010101010101010102"] {
            assert_eq!(
                judge(&guard(8080), "GET", "/state", &[ours, ("x-pikiosk-page", wrong)]),
                Err(Refusal::NoSecret)
            );
        }
    }
}
