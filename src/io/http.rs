//! HTTP clients. Made when first needed: a display that stands alone never pays for one.

use std::{error::Error, io::ErrorKind, time::Duration};

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
pub fn root_cause(error: &(dyn Error + 'static)) -> String {
    root(error).to_string()
}

/// The same for a person who does not program: what the C library, sockets and TLS say of the commonest causes is not for
/// them.
pub fn in_words(error: &(dyn Error + 'static)) -> String {
    let cause = root(error);
    let text = cause.to_string();
    let words = match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(ErrorKind::ConnectionRefused) => "nothing listens there",
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => "it closed the connection",
        Some(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable) => "no way leads there from this network",
        Some(ErrorKind::TimedOut) => "it did not answer in time",
        _ if text == "operation timed out" => "it did not answer in time",
        _ if text.starts_with("failed to lookup address") => "its name was not found (DNS)",
        _ if text.contains("InvalidContentType") => {
            "what listens there does not encrypt (TLS): is it http:// and not https://?"
        }
        _ => return text,
    };
    words.to_owned()
}

fn root<'a>(mut cause: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    async fn says(url: &str) -> String {
        let client = client(Redirects::Refused, Duration::from_secs(5)).unwrap();
        in_words(&client.get(url).send().await.unwrap_err())
    }

    #[tokio::test]
    async fn what_programmers_call_a_socket_is_told_in_words() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answering = thread::spawn(move || {
            let (mut socket, mut asked) = (listener.accept().unwrap().0, [0; 4096]);
            assert!(socket.read(&mut asked).unwrap() > 0, "it begins to speak TLS");
            socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            // Closed only once the other side is through, or what it has not read is lost.
            while socket.read(&mut asked).is_ok_and(|len| len > 0) {}
        });
        assert_eq!(
            says(&format!("https://127.0.0.1:{port}")).await,
            "what listens there does not encrypt (TLS): is it http:// and not https://?"
        );
        answering.join().unwrap();
        assert_eq!(says(&format!("http://127.0.0.1:{port}")).await, "nothing listens there");
        assert_eq!(says("http://nowhere.invalid").await, "its name was not found (DNS)");
    }
}
