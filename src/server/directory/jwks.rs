//! The keys that identity providers publish: fetched at the start, every five minutes, and when a token names a key that
//! is not known, at most every 30 s. A fetch that fails leaves the keys of the last one.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{StreamExt, future::join_all};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Trust;
use crate::{
    auth::{
        jwks::{self, SET_MAX},
        jwt::JwtKey,
    },
    io::http::{Redirects, client, root_cause},
};

/// How often keys are fetched though nobody misses one. A key that was taken back is believed for so long.
const EVERY: Duration = Duration::from_secs(300);
/// How soon it is tried again after a failure, at first; then twice as long each time, up to [`EVERY`].
const RETRY: Duration = Duration::from_secs(2);
/// The least time between two fetches that unknown keys cause: anybody can invent a `kid`.
const AT_MOST_EVERY: Duration = Duration::from_secs(30);
/// The longest that one fetch takes.
const DEADLINE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);

/// One `[[auth.jwt]]` with a `jwks_url`.
#[derive(Debug, Clone)]
pub struct Source {
    pub url: Url,
    pub of: jwks::Source,
}

/// Fetches, and hands the keys to [`Trust`].
#[derive(Debug)]
pub struct Fetcher {
    sources: Vec<Source>,
    /// What each source gave last.
    keys: Vec<Vec<JwtKey>>,
    trust: Arc<Trust>,
}

impl Fetcher {
    pub fn new(sources: Vec<Source>, trust: Arc<Trust>) -> Self {
        trust.fetches.store(!sources.is_empty(), Ordering::Relaxed);
        Self { keys: vec![Vec::new(); sources.len()], sources, trust }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        if self.sources.is_empty() {
            return;
        }
        let mut retry = RETRY;
        loop {
            let all_came = tokio::select! {
                () = stop.cancelled() => return,
                all_came = self.fetch() => all_came,
            };
            self.trust.answered.send_modify(|count| *count += 1);
            let now = Instant::now();
            let next = now + if all_came { EVERY } else { retry };
            retry = if all_came { RETRY } else { (retry * 2).min(EVERY) };
            let soonest = now + AT_MOST_EVERY;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep_until(next) => break,
                    () = self.trust.wanted.notified() => {
                        if soonest <= Instant::now() {
                            break;
                        }
                        // Not yet, and whoever waits need not.
                        self.trust.answered.send_modify(|count| *count += 1);
                    }
                }
            }
        }
    }

    /// True if every source answered with keys.
    async fn fetch(&mut self) -> bool {
        let answers = join_all(self.sources.iter().map(one)).await;
        let mut all_came = true;
        for ((source, answer), keys) in self.sources.iter().zip(answers).zip(&mut self.keys) {
            match answer {
                Ok(fresh) => {
                    if keys.iter().map(|key| &key.id).ne(fresh.iter().map(|key| &key.id)) {
                        let kids: Vec<&str> = fresh.iter().map(|key| key.id.as_str()).collect();
                        tracing::info!(key = source.of.id, ?kids, "an identity provider's keys are taken");
                    }
                    *keys = fresh;
                }
                Err(problem) => {
                    all_came = false;
                    let kept = keys.len();
                    tracing::warn!(
                        key = source.of.id,
                        host = source.url.host_str(),
                        problem,
                        kept,
                        "keys cannot be fetched"
                    );
                }
            }
        }
        self.trust.set_fetched(self.keys.iter().flatten().cloned());
        all_came
    }
}

async fn one(source: &Source) -> Result<Vec<JwtKey>, String> {
    match tokio::time::timeout(DEADLINE, body(&source.url)).await {
        Ok(body) => jwks::read(&body?, &source.of).map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
    }
}

/// At most [`SET_MAX`] bytes, from nowhere but there.
async fn body(url: &Url) -> Result<Vec<u8>, String> {
    // The address may carry a password: `without_url`.
    let in_words = |error: reqwest::Error| root_cause(&error.without_url());
    let client = client(Redirects::Refused, CONNECT).map_err(in_words)?;
    let response = client.get(url.clone()).header("accept", "application/json").send().await.map_err(in_words)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(format!("it answers {}", response.status()));
    }
    let mut chunks = response.bytes_stream();
    let mut body = Vec::new();
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk.map_err(in_words)?);
        if body.len() > SET_MAX {
            return Err(jwks::JwksError::Large(body.len()).to_string());
        }
    }
    Ok(body)
}
