//! How this machine reaches a server over HTTP.

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
