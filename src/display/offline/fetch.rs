//! One file from its site onto the shelf, or the site's word that it has not changed.

use std::{
    io::Write,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use reqwest::{
    Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH,
        LAST_MODIFIED,
    },
};
use tokio::time::timeout;

use super::{
    Shelf,
    rounds::Ended,
    shelf::{Full, Label},
};
use crate::io::{
    digest::Sha256,
    http::{self, Redirects},
};

/// A site that answers nothing, or has stopped to send, for so long is not there.
const SILENT: Duration = Duration::from_secs(30);
/// Of what the site says nothing about.
const FRESH: Duration = Duration::from_secs(300);
/// What may never be taken for new is asked for once a minute: an item stands for seconds.
const FRESH_MIN: Duration = Duration::from_secs(60);
const FRESH_MAX: Duration = Duration::from_secs(3600);
/// So much is not fetched again every few minutes from a site that cannot say whether it has changed.
const LARGE: u64 = 4 << 20;
/// Of a site's own words for a version.
const WORDS_MAX: usize = 200;

/// Why a file is not on the card.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Network(String),
    #[error("the site has sent nothing for {} s", SILENT.as_secs())]
    Silent,
    #[error("the site answered {0}")]
    Status(StatusCode),
    #[error("`{0}` is neither a picture nor a film")]
    Kind(String),
    #[error(transparent)]
    Full(#[from] Full),
    #[error("it could not be written")]
    Disk(#[from] std::io::Error),
}

impl FetchError {
    /// When it is worth another try.
    pub fn ended(&self) -> Ended {
        match self {
            FetchError::Kind(_) | FetchError::Full(_) => Ended::Unfit,
            _ => Ended::Failed,
        }
    }
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        FetchError::Network(http::root_cause(&error))
    }
}

/// Fetches what is at this address, unless it is what is kept already. The answer is for how long it may be taken for
/// the site's own.
pub async fn fetch(shelf: &std::sync::Arc<Shelf>, url: &str) -> Result<Duration, FetchError> {
    let kept = {
        let (shelf, url) = (shelf.clone(), url.to_owned());
        blocking(move || shelf.find(&url)).await?
    };
    // Its own client, and gone after: the loop's memory is counted.
    let client = http::client(Redirects::Followed, SILENT)?;
    let mut request = client.get(url);
    for (header, words) in
        [(IF_NONE_MATCH, kept.as_ref().map(|it| &it.etag)), (IF_MODIFIED_SINCE, kept.as_ref().map(|it| &it.modified))]
    {
        if let Some(Some(words)) = words {
            request = request.header(header, words);
        }
    }
    let answer = timeout(SILENT, request.send()).await.map_err(|_| FetchError::Silent)??;
    let headers = answer.headers().clone();
    match answer.status() {
        StatusCode::NOT_MODIFIED if kept.is_some() => Ok(fresh(&headers, 0)),
        StatusCode::OK => Download::begin(shelf, url, &headers)?.all(answer).await.map(|bytes| fresh(&headers, bytes)),
        status => Err(FetchError::Status(status)),
    }
}

/// A file on its way onto the shelf. What is not finished is taken away.
struct Download {
    shelf: std::sync::Arc<Shelf>,
    label: Label,
    file: Option<(std::fs::File, PathBuf)>,
    digest: Sha256,
    /// So many bytes have their place already.
    room: u64,
}

impl Download {
    fn begin(shelf: &std::sync::Arc<Shelf>, url: &str, headers: &HeaderMap) -> Result<Self, FetchError> {
        let words = |name: HeaderName| {
            let words = headers.get(name).and_then(|value| value.to_str().ok());
            words.filter(|words| words.len() <= WORDS_MAX).map(str::to_owned)
        };
        let content_type = words(CONTENT_TYPE).unwrap_or_default();
        let is_media = ["image/", "video/", "application/ogg", "application/mp4"]
            .iter()
            .any(|kind| content_type.starts_with(kind));
        if !is_media || words(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(FetchError::Kind(content_type));
        }
        let label = Label {
            url: url.to_owned(),
            bytes: 0,
            sha256: String::new(),
            content_type,
            etag: words(ETAG),
            modified: words(LAST_MODIFIED),
        };
        let file = Some(shelf.beside(url)?);
        Ok(Download { shelf: shelf.clone(), label, file, digest: Sha256::default(), room: 0 })
    }

    /// To the last byte, onto the disk. How many there were.
    async fn all(mut self, mut answer: Response) -> Result<u64, FetchError> {
        if let Some(length) = answer.content_length() {
            self.take_room(length)?;
        }
        while let Some(bytes) = timeout(SILENT, answer.chunk()).await.map_err(|_| FetchError::Silent)?? {
            self = blocking(move || self.write(&bytes)).await??;
        }
        blocking(move || self.finish()).await?
    }

    fn take_room(&mut self, bytes: u64) -> Result<(), Full> {
        if bytes > self.room {
            self.shelf.make_room(&self.label.url, bytes)?;
            self.room = bytes;
        }
        Ok(())
    }

    fn write(mut self, bytes: &[u8]) -> Result<Self, FetchError> {
        self.label.bytes += bytes.len() as u64;
        self.take_room(self.label.bytes)?;
        self.digest.update(bytes);
        if let Some((file, _)) = &mut self.file {
            file.write_all(bytes)?;
        }
        Ok(self)
    }

    fn finish(mut self) -> Result<u64, FetchError> {
        self.label.sha256 = std::mem::take(&mut self.digest).finish();
        // A site that cannot say whether a file has changed sends it every few minutes: what is on the card is not written
        // there again. What was received goes with `self`, and was never synced.
        if self.shelf.labelled(&self.label.url).as_ref() == Some(&self.label) {
            return Ok(self.label.bytes);
        }
        if let Some((file, path)) = &self.file {
            self.shelf.put(file, path, self.label.clone(), SystemTime::now())?;
        }
        self.file = None;
        Ok(self.label.bytes)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some((_, path)) = self.file.take() {
            // The next start sweeps it away where this fails.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// For how long it may be taken for new. `bytes`: so many had to be fetched to know.
fn fresh(headers: &HeaderMap, bytes: u64) -> Duration {
    let said =
        headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let mut parts = said.split(',').map(str::trim);
    let fresh = match parts.clone().find_map(|part| part.strip_prefix("max-age=")?.parse().ok()) {
        _ if parts.any(|part| part == "no-store" || part == "no-cache") => FRESH_MIN,
        Some(seconds) => Duration::from_secs(seconds).clamp(FRESH_MIN, FRESH_MAX),
        None => FRESH,
    };
    let can_tell = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
    if !can_tell && bytes > LARGE { FRESH_MAX } else { fresh }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, FetchError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| FetchError::Disk(std::io::Error::other(error)))
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
