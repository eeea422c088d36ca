//! A picture or film of the playlist from the card, as far as it was asked for.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Response, StatusCode,
    body::Frame,
    header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, HeaderValue},
};
use tokio::io::AsyncReadExt;

use super::{
    guard::Guard,
    range::{Part, part},
};
use crate::display::offline::Offline;

/// What the page answers with.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// So much of a film is in memory at once.
const PART: u64 = 64 * 1024;

pub fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Where the player gets the copy of this address, if there is one.
pub async fn find(offline: &Offline, guard: &Guard, src: String) -> Option<String> {
    let shelf = offline.media.clone();
    let label = tokio::task::spawn_blocking(move || shelf.find(&src)).await;
    label.ok().flatten().map(|label| guard.media(&label.file()))
}

/// The answer and its type; none if there is no such file any more.
pub async fn answer(offline: &Offline, file: String, range: Option<&str>) -> Option<(Response<Body>, HeaderValue)> {
    let shelf = offline.media.clone();
    let opened = tokio::task::spawn_blocking(move || shelf.open_file(&file)).await;
    let (mut file, label) = opened.ok().flatten()?;
    let (status, first, end) = match part(range, label.bytes) {
        Part::Whole => (StatusCode::OK, 0, label.bytes),
        Part::Bytes { first, last } => (StatusCode::PARTIAL_CONTENT, first, last + 1),
        Part::Beyond => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
    };
    file.seek(SeekFrom::Start(first)).ok()?;
    let mut response = Response::new(StreamBody::new(parts(file, end - first)).boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(end - first));
    let range = match status {
        StatusCode::PARTIAL_CONTENT => Some(format!("bytes {first}-{}/{}", end - 1, label.bytes)),
        StatusCode::RANGE_NOT_SATISFIABLE => Some(format!("bytes */{}", label.bytes)),
        _ => None,
    };
    if let Some(range) = range.and_then(|range| HeaderValue::try_from(range).ok()) {
        headers.insert(CONTENT_RANGE, range);
    }
    Some((response, HeaderValue::try_from(label.content_type).ok()?))
}

fn parts(file: File, left: u64) -> impl Stream<Item = io::Result<Frame<Bytes>>> + Send {
    let file = tokio::fs::File::from_std(file);
    stream::try_unfold((file, left), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let length = left.min(PART);
        let mut part = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact(&mut part).await?;
        Ok(Some((Frame::data(Bytes::from(part)), (file, left - length))))
    })
}
