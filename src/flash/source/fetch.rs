//! Fetches a file over http(s): takes up a broken download where it broke, and keeps what it fetches.
//!
//! A second part belongs to the first only if the server says so (`If-Range` with a strong tag or a date). A server that
//! cannot go on in the middle is asked for all of it again, and what was fetched before is compared by its hash.
//!
//! Rejected: fetching into the cache first and unpacking then. A card would wait for the last byte of the download.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use reqwest::{Response, StatusCode, header};
use tokio::time::timeout;
use url::Url;

use super::ask::{content_range, is_web_page, version_of};
use super::cache::{Part, Remembered, Version};
use super::{Cancel, Hasher, Progress, Sha256, SourceError, Told};
use crate::flash::decode::{Blocks, spawn};
use crate::io::http::{self, Redirects, in_words};

/// Bytes of one block.
const BLOCK: usize = 1 << 20;
/// Blocks fetched ahead: a pause of the cards of 0.5 s does not stop a download at 16 MB/s.
const AHEAD: usize = 8;
/// How often a download looks whether it is to stop.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// How long a download waits, and how often it tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    pub connect: Duration,
    /// Without a byte for so long, a connection counts as broken.
    pub idle: Duration,
    /// Before the second attempt; doubled before each further one.
    pub pause: Duration,
    /// Attempts in a row without one new byte.
    pub attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            pause: Duration::from_millis(500),
            attempts: 6,
        }
    }
}

/// What to fetch.
#[derive(Debug)]
pub(super) struct Order {
    pub url: Url,
    pub length: Option<Told<u64>>,
    pub sha256: Option<Told<Sha256>>,
    pub keep: Option<Part>,
    pub patience: Patience,
    pub progress: Arc<Progress>,
    pub cancel: Cancel,
    /// Where the hash of the whole file goes, before the last block is taken.
    pub found: Arc<OnceLock<Sha256>>,
}

type Sink = SyncSender<Result<Vec<u8>, SourceError>>;

/// Starts to fetch, on a thread that ends when the blocks are dropped.
pub(super) fn blocks(order: Order) -> Result<Blocks, SourceError> {
    let (to, blocks) = sync_channel(AHEAD);
    let thread = spawn("fetch", move || run(order, &to))?;
    Ok(Box::new(Fetching { blocks: Some(blocks), thread: Some(thread) }))
}

struct Fetching {
    blocks: Option<Receiver<Result<Vec<u8>, SourceError>>>,
    thread: Option<JoinHandle<()>>,
}

impl Iterator for Fetching {
    type Item = Result<Vec<u8>, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.blocks.as_ref()?.recv().ok()
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.blocks = None;
        // The next to fetch the same finds the part unlocked.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(order: Order, to: &Sink) {
    let outcome = runtime().and_then(|runtime| runtime.block_on(Download::new(order, to)?.fetch()));
    if let Err(Stop::Failed(error)) = outcome {
        // Nobody listens any more: then nobody wants to know.
        let _ = to.send(Err(error));
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| SourceError::Thread { source }.into())
}

/// Why a download ends before its time.
enum Stop {
    Failed(SourceError),
    /// Whoever took the blocks has gone.
    Unwanted,
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Failed(error)
    }
}

/// Why one attempt ended.
enum Attempt {
    Stop(Stop),
    /// It may go better next time.
    Again(String),
}

impl<T: Into<Stop>> From<T> for Attempt {
    fn from(stop: T) -> Self {
        Self::Stop(stop.into())
    }
}

struct Download<'a> {
    order: Order,
    to: &'a Sink,
    client: reqwest::Client,
    /// Bytes received so far, and their hash.
    have: u64,
    hasher: Hasher,
    /// The end of them, not yet handed on.
    block: Vec<u8>,
    version: Option<Version>,
    length: Option<u64>,
}

impl<'a> Download<'a> {
    fn new(order: Order, to: &'a Sink) -> Result<Self, Stop> {
        let client = http::client(Redirects::Followed, order.patience.connect)
            .map_err(|error| SourceError::Unreachable { place: order.url.to_string(), says: in_words(&error) })?;
        Ok(Self {
            order,
            to,
            client,
            have: 0,
            hasher: Hasher::default(),
            block: Vec::new(),
            version: None,
            length: None,
        })
    }

    async fn fetch(mut self) -> Result<(), Stop> {
        let mut fruitless = 0;
        loop {
            let had = self.have;
            match self.attempt().await {
                Ok(()) => return self.finish(),
                Err(Attempt::Stop(stop)) => return Err(stop),
                Err(Attempt::Again(_)) if self.order.cancel.is_cancelled() => return Err(SourceError::Cancelled.into()),
                Err(Attempt::Again(says)) => {
                    fruitless = if self.have > had { 1 } else { fruitless + 1 };
                    if fruitless >= self.order.patience.attempts {
                        return Err(self.unreachable(says).into());
                    }
                    tracing::warn!("{}: {says}; trying again", self.order.url);
                    self.order.progress.add_fetch_again();
                    self.pause(self.order.patience.pause * (1 << (fruitless - 1).min(6))).await?;
                }
            }
        }
    }

    async fn attempt(&mut self) -> Result<(), Attempt> {
        let kept = match (self.have, &self.order.keep) {
            (0, Some(part)) => part.begun().map(|(of, len)| (of.clone(), len)),
            _ => None,
        };
        let (from, version) = match &kept {
            Some((of, len)) => (*len, Some(&of.version)),
            None => (self.have, self.version.as_ref()),
        };
        let mut request = self.client.get(self.order.url.clone());
        let range = version.and_then(Version::for_range).filter(|_| from > 0);
        if let Some(version) = range {
            request = request.header(header::RANGE, format!("bytes={from}-")).header(header::IF_RANGE, version);
        }
        let answer = self.wait(request.send()).await?;
        match answer.status() {
            StatusCode::OK => self.take_from_the_start(answer).await,
            StatusCode::PARTIAL_CONTENT if range.is_some() => {
                let (at, length) = content_range(&answer).ok_or_else(|| self.strange("a range without a place"))?;
                if at != from || (self.version.is_some() && length.is_some() && length != self.length) {
                    return Err(self.replaced().into());
                }
                if let Some((of, len)) = kept {
                    self.version = Some(of.version);
                    self.set_length(length)?;
                    self.take_kept(len)?;
                }
                self.receive(answer, 0).await
            }
            // Nothing comes after the end: what is kept is all of it, or something else.
            StatusCode::RANGE_NOT_SATISFIABLE if range.is_some() => match kept {
                Some((of, len)) if of.length == Some(len) => {
                    self.version = Some(of.version);
                    self.set_length(Some(len))?;
                    self.take_kept(len)?;
                    Ok(())
                }
                Some(_) => {
                    self.forget_kept()?;
                    Err(Attempt::Again("it is shorter than it was".to_owned()))
                }
                None if self.length == Some(self.have) => Ok(()),
                None => Err(self.replaced().into()),
            },
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Err(Attempt::Again(format!("it answers {}", answer.status().as_u16())))
            }
            status if status.is_server_error() => Err(Attempt::Again(format!("it answers {}", status.as_u16()))),
            status => Err(SourceError::Answered { place: self.order.url.to_string(), status: status.as_u16() }.into()),
        }
    }

    /// An answer that begins with the first byte.
    async fn take_from_the_start(&mut self, answer: Response) -> Result<(), Attempt> {
        if is_web_page(&answer) {
            return Err(SourceError::WebPage { place: self.order.url.to_string() }.into());
        }
        let (version, length) = (version_of(&answer), answer.content_length());
        match &self.version {
            None => {
                self.set_length(length)?;
                self.version = Some(version.clone());
                self.keep_from_the_start(version);
                self.receive(answer, 0).await
            }
            Some(before) if before.for_range().is_some() && *before != version => Err(self.replaced().into()),
            Some(_) if length.is_some() && self.length.is_some() && length != self.length => {
                Err(self.replaced().into())
            }
            Some(_) => self.receive(answer, self.have).await,
        }
    }

    /// Takes the body, the first `again` bytes of which are here already: they only have to be the same.
    async fn receive(&mut self, mut answer: Response, mut again: u64) -> Result<(), Attempt> {
        let mut compared = Hasher::default();
        loop {
            let Some(bytes) = self.wait(answer.chunk()).await? else { break };
            self.order.progress.add_fetched(bytes.len());
            let known = bytes.len().min(usize::try_from(again).unwrap_or(usize::MAX));
            if known > 0 {
                compared.update(&bytes[..known]);
                again -= known as u64;
                if again == 0 && compared.clone().finish() != self.hasher.clone().finish() {
                    return Err(self.replaced().into());
                }
            }
            self.take(&bytes[known..])?;
        }
        match self.length {
            Some(length) if self.have < length => Err(Attempt::Again("the connection broke".to_owned())),
            _ if again > 0 => Err(Attempt::Again("the connection broke".to_owned())),
            _ => Ok(()),
        }
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        if !bytes.is_empty() {
            self.hasher.update(bytes);
            if let Some(part) = &mut self.order.keep
                && let Err(error) = part.write(self.have, bytes)
            {
                // The card is what counts; the disk of this machine is only full.
                tracing::warn!(%error, "what is fetched is not kept");
                self.order.keep = None;
            }
            self.have += bytes.len() as u64;
        }
        while !bytes.is_empty() {
            let taken = bytes.len().min(BLOCK - self.block.len());
            self.block.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.block.len() == BLOCK {
                self.hand_on()?;
            }
        }
        Ok(())
    }

    fn hand_on(&mut self) -> Result<(), Stop> {
        match self.block.is_empty() {
            true => Ok(()),
            false => self.to.send(Ok(std::mem::take(&mut self.block))).map_err(|_| Stop::Unwanted),
        }
    }

    /// Takes what was fetched another time.
    fn take_kept(&mut self, len: u64) -> Result<(), Stop> {
        let Some(part) = self.order.keep.take() else { return Ok(()) };
        let path = PathBuf::from("the part that was kept");
        let mut file: std::io::Take<File> = part.reader()?.take(len);
        let mut block = vec![0; BLOCK];
        loop {
            if self.order.cancel.is_cancelled() {
                return Err(SourceError::Cancelled.into());
            }
            match file.read(&mut block) {
                Ok(0) => break,
                Ok(read) => self.take(&block[..read])?,
                Err(source) => return Err(SourceError::Unreadable { path, source }.into()),
            }
        }
        self.order.keep = Some(part);
        Ok(())
    }

    fn forget_kept(&mut self) -> Result<(), Stop> {
        self.order.keep.take().map_or(Ok(()), |part| {
            part.discard();
            Ok(())
        })
    }

    fn keep_from_the_start(&mut self, version: Version) {
        let Some(part) = &mut self.order.keep else { return };
        let of = Remembered { url: self.order.url.to_string(), version, length: self.length, sha256: None };
        if let Err(error) = part.begin(of) {
            tracing::warn!(%error, "what is fetched is not kept");
            self.order.keep = None;
        }
    }

    fn finish(mut self) -> Result<(), Stop> {
        let found = self.hasher.clone().finish();
        let wrong = match &self.order.sha256 {
            Some(told) if told.value != found => Some(SourceError::WrongHash {
                what: "the fetched file",
                expected: told.value,
                found,
                teller: told.teller.clone(),
            }),
            _ => None,
        };
        if let Some(error) = wrong {
            self.forget_kept()?;
            return Err(error.into());
        }
        if let Some(part) = self.order.keep.take()
            && let Err(error) = part.complete(self.have, found)
        {
            tracing::warn!(%error, "what was fetched is not kept");
        }
        // Set once per order.
        let _ = self.order.found.set(found);
        self.hand_on()
    }

    fn set_length(&mut self, length: Option<u64>) -> Result<(), SourceError> {
        if let (Some(found), Some(told)) = (length, &self.order.length)
            && found != told.value
        {
            return Err(SourceError::WrongLength {
                what: self.order.url.to_string(),
                expected: told.value,
                found,
                teller: told.teller.clone(),
            });
        }
        self.length = length;
        if let Some(length) = length {
            self.order.progress.set_total_in(length);
        }
        Ok(())
    }

    /// Waits for an answer or bytes: not for ever, and not once somebody wants to stop.
    async fn wait<T>(&self, what: impl Future<Output = reqwest::Result<T>>) -> Result<T, Attempt> {
        let mut what = std::pin::pin!(timeout(self.order.patience.idle, what));
        loop {
            match timeout(LOOK, &mut what).await {
                Ok(Ok(Ok(come))) => return Ok(come),
                Ok(Ok(Err(error))) => return Err(Attempt::Again(in_words(&error))),
                Ok(Err(_)) => return Err(Attempt::Again(format!("no byte for {:?}", self.order.patience.idle))),
                Err(_) if self.order.cancel.is_cancelled() => return Err(SourceError::Cancelled.into()),
                Err(_) => {}
            }
        }
    }

    async fn pause(&self, how_long: Duration) -> Result<(), SourceError> {
        let end = tokio::time::Instant::now() + how_long;
        while tokio::time::Instant::now() < end {
            if self.order.cancel.is_cancelled() {
                return Err(SourceError::Cancelled);
            }
            tokio::time::sleep_until(end.min(tokio::time::Instant::now() + LOOK)).await;
        }
        Ok(())
    }

    fn unreachable(&self, says: String) -> SourceError {
        SourceError::Unreachable { place: self.order.url.to_string(), says }
    }

    fn strange(&self, says: &str) -> SourceError {
        self.unreachable(format!("it answers with {says}"))
    }

    fn replaced(&self) -> SourceError {
        SourceError::Replaced { place: self.order.url.to_string() }
    }
}
