//! How this machine reaches a server over HTTP.

use std::error::Error;
use std::time::Duration;

use url::Url;

use crate::io::http::{Redirects, client};

/// The longest that one request may take; nothing the server does for a person takes longer.
pub const PATIENCE: Duration = Duration::from_secs(15);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// An HTTP client without credentials.
pub fn http() -> reqwest::Result<reqwest::Client> {
    client(Redirects::Refused, CONNECT_PATIENCE)
}

/// A server's address as a person would type it.
pub fn bare(server: &Url) -> &str {
    server.as_str().trim_end_matches('/')
}

/// The cause at the bottom, in words.
pub fn in_words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionRefused) => "nothing listens there".to_owned(),
        Some(std::io::ErrorKind::ConnectionReset) => "it closed the connection".to_owned(),
        _ => cause.to_string(),
    }
}
