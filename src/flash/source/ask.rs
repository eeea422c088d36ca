//! Short questions over http(s): a list, a checksum, whether a file is still the same. And what answers say of themselves.

use std::time::Duration;

use reqwest::{Response, StatusCode, header};
use tokio::time::timeout;
use url::Url;

use super::cache::Version;
use super::fetch::{LOOK, Patience};
use super::{Cancel, SourceError};
use crate::io::http::{self, Redirects, in_words};

/// How long one question may take whose answer only saves time.
pub(super) const SHORT: Duration = Duration::from_secs(10);

/// A small file: a list, a checksum, a block map. `None` if the server has none.
pub(in crate::flash) fn small(
    url: &Url,
    longest: usize,
    patience: Patience,
    cancel: &Cancel,
) -> Result<Option<Vec<u8>>, SourceError> {
    let place = || url.to_string();
    let unreachable = |error: reqwest::Error| SourceError::Unreachable { place: place(), says: in_words(&error) };
    let client = http::client(Redirects::Followed, patience.connect).map_err(unreachable)?;
    let fetch = async {
        let mut answer = client.get(url.clone()).send().await.map_err(unreachable)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE => return Ok(None),
            status => return Err(SourceError::Answered { place: place(), status: status.as_u16() }),
        }
        if is_web_page(&answer) {
            return Err(SourceError::WebPage { place: place() });
        }
        let mut bytes = Vec::new();
        while let Some(more) = answer.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&more);
            if bytes.len() > longest {
                return Err(SourceError::BadList { place: place(), says: format!("it is over {longest} bytes long") });
            }
        }
        Ok(Some(bytes))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| SourceError::Thread { source })?;
    runtime.block_on(async {
        let mut fetch = std::pin::pin!(timeout(patience.idle, fetch));
        loop {
            match timeout(LOOK, &mut fetch).await {
                Ok(Ok(fetched)) => return fetched,
                Ok(Err(_)) => {
                    let says = format!("not all of it came within {:?}", patience.idle);
                    return Err(SourceError::Unreachable { place: place(), says });
                }
                Err(_) if cancel.is_cancelled() => return Err(SourceError::Cancelled),
                Err(_) => {}
            }
        }
    })
}

/// Whether an address still gives the version that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Still {
    Same,
    Other,
    /// Nobody answers.
    Unknown,
}

/// Asks whether `url` still gives this version.
pub(super) fn still(url: &Url, version: &Version, patience: Patience) -> Still {
    let Ok(client) = http::client(Redirects::Followed, patience.connect) else { return Still::Unknown };
    let mut request = client.get(url.clone());
    request = match (&version.etag, &version.last_modified) {
        (Some(etag), _) => request.header(header::IF_NONE_MATCH, etag),
        (None, Some(date)) => request.header(header::IF_MODIFIED_SINCE, date),
        (None, None) => request,
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Still::Unknown;
    };
    let answer = runtime.block_on(async { timeout(patience.idle.min(SHORT), request.send()).await });
    match answer {
        Ok(Ok(answer)) if answer.status() == StatusCode::NOT_MODIFIED => Still::Same,
        // Servers that know no conditions say the same version again.
        Ok(Ok(answer)) if answer.status() == StatusCode::OK => {
            match version.for_range().is_some() && version_of(&answer) == *version {
                true => Still::Same,
                // A captive portal is no newer version of an image.
                false if is_web_page(&answer) => Still::Unknown,
                false => Still::Other,
            }
        }
        Ok(Ok(answer)) if answer.status().is_client_error() => Still::Other,
        _ => Still::Unknown,
    }
}

pub(super) fn version_of(answer: &Response) -> Version {
    let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Version { etag: text(header::ETAG), last_modified: text(header::LAST_MODIFIED) }
}

pub(super) fn is_web_page(answer: &Response) -> bool {
    answer
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

/// Where a partial answer begins, and the length of the whole: `bytes 10-99/100`.
pub(super) fn content_range(answer: &Response) -> Option<(u64, Option<u64>)> {
    let text = answer.headers().get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (range, length) = text.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    Some((from.trim().parse().ok()?, length.trim().parse().ok()))
}
