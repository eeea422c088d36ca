//! The event server as people's commands see it: its HTTP API, with an operator's key.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use super::cli::Json;
use super::failure::Failure;
use super::reach::{self, PATIENCE, bare};
use crate::{
    event::{Event, Receipt},
    io::http::in_words,
};

/// Where the server is, and the key to it; on every command that talks to it.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "The server")]
pub struct Server {
    /// Where the event server is.
    #[arg(
        long,
        env = "PIKIOSK_SERVER",
        hide_env_values = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8400",
        value_parser = server_address
    )]
    pub server: Url,
    /// The file of the operator's key; else PIKIOSK_KEY is the key, or PIKIOSK_KEY_FILE its file.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// What a command that asks the server for a list, or changes one, takes besides its own.
#[derive(Debug, clap::Args)]
pub struct Common {
    #[command(flatten)]
    pub json: Json,
    #[command(flatten)]
    pub server: Server,
}

impl Common {
    pub fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.server).map_err(failed("use the server"))
    }
}

/// What was asked for, such as `list the displays`, on the way to a failure.
pub fn failed(doing: &'static str) -> impl Fn(ClientError) -> Failure + Copy {
    move |source| Failure::Server { doing, source }
}

fn server_address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "write it whole, such as http://192.168.1.20:8400 or https://push.example.org".to_owned())
}

/// Why the server did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no operator key was given")]
    NoKey,
    #[error("the key's file {} cannot be read", path.display())]
    KeyFile { path: PathBuf, source: std::io::Error },
    #[error("the server at {server} cannot be reached: {says}")]
    Unreachable { server: String, says: String },
    #[error("the server at {server} does not accept the key")]
    Credentials { server: String },
    /// What was asked for makes no sense to the server (HTTP 4xx).
    #[error("the server says: {says}")]
    Refused { says: String },
    /// The server cannot do it now (HTTP 429, 5xx).
    #[error("the server cannot do it now: {says}")]
    Unable { says: String },
    #[error("{server} gave an answer that is not an event server's ({says})")]
    Strange { server: String, says: String },
}

/// A connection pool to one server.
#[derive(Debug)]
pub struct Client {
    base: Url,
    key: String,
    http: reqwest::Client,
}

/// Where a published event stands, and what became of it so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    pub id: String,
    pub address: String,
    pub epoch: String,
    pub offset: String,
    /// Of the displays that are through with it.
    #[serde(default)]
    pub receipts: Vec<DisplayReceipt>,
    /// The displays that are not.
    #[serde(default)]
    pub pending: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DisplayReceipt {
    pub display: String,
    #[serde(flatten)]
    pub receipt: Receipt,
}

/// RFC 9457.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
}

impl Client {
    pub fn new(server: &Server) -> Result<Self, ClientError> {
        Self::with_key(server.server.clone(), key(server)?)
    }

    pub fn with_key(base: Url, key: String) -> Result<Self, ClientError> {
        let http = reach::http()
            .map_err(|error| ClientError::Unreachable { server: bare(&base).to_owned(), says: in_words(&error) })?;
        Ok(Self { base, key, http })
    }

    pub async fn publish(&self, event: &Event) -> Result<Outcome, ClientError> {
        let request = self.http.post(self.at(&["events"]));
        let request = request.header("content-type", "application/cloudevents+json").body(event.to_json());
        self.send(request).await
    }

    /// Publishes, and answers when every display is through with it or this time is over.
    pub async fn publish_and_wait(&self, event: &Event, wait: Duration) -> Result<Outcome, ClientError> {
        let mut url = self.at(&["events"]);
        url.query_pairs_mut().append_pair("wait", &format!("{}s", wait.as_secs()));
        let request = self.http.post(url).header("content-type", "application/cloudevents+json").body(event.to_json());
        let body = self.answer_within(request, wait + PATIENCE).await?;
        self.read(&body)
    }

    pub async fn outcome(&self, event: &str) -> Result<Outcome, ClientError> {
        self.get(&["events", event]).await
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ClientError> {
        self.send(self.http.get(self.at(path))).await
    }

    pub async fn get_with<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, ClientError> {
        let mut url = self.at(path);
        url.query_pairs_mut().extend_pairs(query);
        self.send(self.http.get(url)).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, ClientError> {
        self.send(self.http.post(self.at(path)).json(body)).await
    }

    pub async fn patch<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, ClientError> {
        self.send(self.http.patch(self.at(path)).json(body)).await
    }

    pub async fn delete(&self, path: &[&str]) -> Result<(), ClientError> {
        self.answer(self.http.delete(self.at(path))).await.map(|_| ())
    }

    /// A body that is not ours to read, such as a picture.
    pub async fn bytes(&self, path: &[&str]) -> Result<Vec<u8>, ClientError> {
        self.answer(self.http.get(self.at(path))).await
    }

    fn at(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut steps) = url.path_segments_mut() {
            steps.pop_if_empty().push("v1").extend(path);
        }
        url
    }

    async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, ClientError> {
        let body = self.answer(request).await?;
        self.read(&body)
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(body)
            .map_err(|error| ClientError::Strange { server: bare(&self.base).to_owned(), says: error.to_string() })
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Vec<u8>, ClientError> {
        self.answer_within(request, PATIENCE).await
    }

    async fn answer_within(&self, request: reqwest::RequestBuilder, within: Duration) -> Result<Vec<u8>, ClientError> {
        let unreachable =
            |error| ClientError::Unreachable { server: bare(&self.base).to_owned(), says: in_words(&error) };
        let response = request.bearer_auth(&self.key).timeout(within).send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        match status.as_u16() {
            200..300 => Ok(body.into()),
            401 | 403 => Err(ClientError::Credentials { server: bare(&self.base).to_owned() }),
            code => {
                let Ok(problem) = serde_json::from_slice::<Problem>(&body) else {
                    return Err(ClientError::Strange {
                        server: bare(&self.base).to_owned(),
                        says: format!("HTTP {status}"),
                    });
                };
                let says = [problem.detail, problem.title, format!("HTTP {status}")];
                let says = says.into_iter().find(|says| !says.is_empty()).unwrap_or_default();
                match code {
                    429 | 500.. => Err(ClientError::Unable { says }),
                    _ => Err(ClientError::Refused { says }),
                }
            }
        }
    }
}

fn key(server: &Server) -> Result<String, ClientError> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let path = match (&server.key_file, variable("PIKIOSK_KEY")) {
        (Some(path), _) => path.clone(),
        (None, Some(key)) => return Ok(key.trim().to_owned()),
        (None, None) => variable("PIKIOSK_KEY_FILE").ok_or(ClientError::NoKey)?.into(),
    };
    match std::fs::read_to_string(&path) {
        Ok(key) => Ok(key.trim().to_owned()),
        Err(source) => Err(ClientError::KeyFile { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_address_is_a_whole_one() {
        for whole in ["http://192.168.1.20:8400", "https://push.example.org"] {
            assert_eq!(bare(&server_address(whole).unwrap()), whole);
        }
        for part in ["127.0.0.1:8400", "push.example.org", "ftp://push.example.org", "http://"] {
            assert!(server_address(part).unwrap_err().contains("such as http://"), "{part}");
        }
    }
}
