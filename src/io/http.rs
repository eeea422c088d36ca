//! HTTP clients. Made when first needed: a display that stands alone never pays for one.

use std::time::Duration;

/// Whether a client goes where an answer sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// For requests that carry a secret.
    Refused,
    /// At most ten, as a browser would.
    Followed,
}

/// A client that speaks HTTP/1.1 (a WebSocket is opened through it too) over TLS with the machine's own roots.
pub fn client(redirects: Redirects, connect_within: Duration) -> Result<reqwest::Client, reqwest::Error> {
    // The first one in the process wins; a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let policy = match redirects {
        Redirects::Refused => reqwest::redirect::Policy::none(),
        Redirects::Followed => reqwest::redirect::Policy::limited(10),
    };
    reqwest::Client::builder()
        .http1_only()
        .redirect(policy)
        .connect_timeout(connect_within)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("pikiosk/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// The last of an error's causes, which says what is wrong; the first says what was tried.
pub fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
