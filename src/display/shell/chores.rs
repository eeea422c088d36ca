//! Work that takes a while, off the loop: probing sites, hashing and scaling pictures, reading logs. Each chore ends in
//! one input of the supervisor.

use std::{io::Cursor, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use image::{ImageFormat, codecs::jpeg::JpegEncoder, imageops::FilterType};
use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use super::glass::Picture;
use crate::{
    display::{
        blackbox,
        helper::{self, AskHelperError},
        link::Server,
        offline::{Label, Pictures, Shelf},
        page::SiteFault,
        supervisor::{Answer, AskError, AskId, Input},
    },
    event::{
        DisplayId,
        command::PictureFormat,
        receipt::{INLINE_RESULT_MAX, RESULT_MAX},
        time::UtcMillis,
    },
    io::{
        digest::sha256,
        http::{self, Redirects},
        log_ring::LogRing,
        picture,
    },
};

/// A site that needs longer for its first byte is not back.
const PROBE_WITHIN: Duration = Duration::from_secs(10);
/// systemd ends every service within 20 s.
const GOES_DOWN_WITHIN: Duration = Duration::from_secs(60);
const JOURNALCTL_WITHIN: Duration = Duration::from_secs(8);

/// Where results go that are too large for a receipt.
#[derive(Debug, Clone)]
pub struct Outbox {
    pub server: Arc<Server>,
    pub display: DisplayId,
}

/// Has the helper do what only root may.
pub async fn system(ask: AskId, request: helper::Request, runtime: PathBuf) -> Input {
    tracing::warn!(?request, "asking the helper");
    let done = helper::ask(&runtime, &request).await;
    if matches!(done, Err(AskHelperError::Gone)) {
        // A machine that goes down ends the helper, and us a moment later: the next start knows by its boot. Who is still
        // here by then was not ended by that.
        tokio::time::sleep(GOES_DOWN_WITHIN).await;
    }
    if let Err(error) = &done {
        tracing::error!(%error, ?request, "the helper did not do it");
    }
    Input::Gathered { ask, result: done.map(|()| Value::Null).map_err(|error| error.to_string()) }
}

/// Asks the site itself whether it is there again.
pub async fn probe(ask: AskId, url: String) -> Input {
    Input::Probed { ask, result: ask_site(&url).await }
}

async fn ask_site(url: &str) -> Result<(), SiteFault> {
    // Its own client, and gone after: sites are down rarely, and the loop's memory is counted.
    let client =
        http::client(Redirects::Followed, PROBE_WITHIN).map_err(|error| SiteFault::Other(error.to_string()))?;
    match timeout(PROBE_WITHIN, client.get(url).send()).await {
        Ok(Ok(answer)) => SiteFault::from_status(answer.status().as_u16()).map_or(Ok(()), Err),
        Ok(Err(error)) => Err(fault_of(&error)),
        Err(_) => Err(SiteFault::TimedOut),
    }
}

fn fault_of(error: &reqwest::Error) -> SiteFault {
    if error.is_timeout() {
        return SiteFault::TimedOut;
    }
    let cause = http::root_cause(error);
    let says = |words: &[&str]| words.iter().any(|word| cause.contains(word));
    if says(&["expired", "Expired", "not valid yet", "NotValidYet"]) {
        SiteFault::CertificateDates
    } else if says(&["certificate", "UnknownIssuer", "CertExpired", "NotValidForName"]) {
        SiteFault::Certificate
    } else if says(&["HandshakeFailure", "handshake", "TLS"]) {
        SiteFault::Tls
    } else if says(&["refused"]) {
        SiteFault::Refused
    } else if says(&["unreachable"]) {
        SiteFault::NoNetwork
    } else if says(&["lookup", "resolve", "not known", "no address"]) {
        SiteFault::NameNotFound
    } else if says(&["reset", "closed", "before message"]) {
        SiteFault::Interrupted
    } else if error.is_redirect() {
        SiteFault::RedirectLoop
    } else {
        SiteFault::Other(cause.chars().take(80).collect())
    }
}

/// Where pictures of the glass are kept on the card.
#[derive(Debug)]
pub struct Album {
    pub state: PathBuf,
    pub pictures: Pictures,
    /// The pages whose pictures stay.
    pub wanted: Vec<String>,
    /// What this machine's clock says, where it is right.
    pub now: Option<UtcMillis>,
}

/// Hashes a picture, or makes it a receipt's result.
pub async fn picture(ask: AskId, what: Picture, base64: String, outbox: Option<Outbox>, album: Album) -> Input {
    let answer = match what {
        Picture::Hash { of } => off_loop(move || hashed(&base64, of.as_deref(), &album)).await,
        Picture::Screenshot { event, format, width } => match off_loop(move || scaled(&base64, format, width)).await {
            Ok((bytes, content_type)) => {
                screenshot(&event, content_type, bytes, outbox).await.map(Answer::Result).map_err(AskError::Refused)
            }
            Err(error) => Err(error),
        },
    };
    Input::Answered { ask, answer }
}

/// What was on the glass is kept small for the black box too, and as the last good picture of its page.
fn hashed(base64: &str, of: Option<&str>, album: &Album) -> Result<Answer, String> {
    let png = decode(base64)?;
    if let Err(error) = blackbox::keep_frame(&album.state, &png) {
        tracing::debug!(%error, "the black box has no picture");
    }
    if let Some(Err(error)) = of.map(|url| album.pictures.keep(url, &png, album.now, &album.wanted)) {
        tracing::warn!(%error, "the last good picture of the page is not kept");
    }
    Ok(Answer::FrameHash(sha256(&png)))
}

/// Whether there is a last good picture of this page.
pub async fn has_picture(ask: AskId, url: String, pictures: Pictures) -> Input {
    let found = tokio::task::spawn_blocking(move || pictures.find(&url).is_some()).await;
    Input::Gathered { ask, result: found.map(Value::Bool).map_err(|error| error.to_string()) }
}

/// Which version of a picture or film is on the card.
pub async fn copy(ask: AskId, url: String, media: Arc<Shelf>) -> Input {
    let found = tokio::task::spawn_blocking(move || media.find(&url)).await;
    let name = |label: Option<Label>| label.map_or(Value::Null, |label| Value::String(label.file()));
    Input::Gathered { ask, result: found.map(name).map_err(|error| error.to_string()) }
}

/// The last log lines: of this process, or of a systemd unit.
pub async fn logs(
    ask: AskId,
    event: String,
    lines: u32,
    unit: Option<String>,
    ring: LogRing,
    outbox: Option<Outbox>,
) -> Input {
    let text = match unit {
        None => Ok(ring.last(lines as usize).join("\n")),
        Some(unit) => unit_logs(&unit, lines).await,
    };
    let result = match text {
        Ok(text) if text.len() + 64 <= INLINE_RESULT_MAX => Ok(json!({ "text": text })),
        Ok(text) => result(&event, "text/plain; charset=utf-8", text.into_bytes(), outbox).await,
        Err(why) => Err(why),
    };
    Input::Gathered { ask, result }
}

async fn unit_logs(unit: &str, lines: u32) -> Result<String, String> {
    let mut command = Command::new("journalctl");
    command.args(["--no-pager", "--output=short-iso", "--lines", &lines.to_string(), "--unit", unit]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(JOURNALCTL_WITHIN, command.output()).await;
    let output = output.map_err(|_| "journalctl did not answer in time".to_owned())?;
    let output = output.map_err(|error| format!("journalctl could not be run: {error}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("journalctl: {}", why.lines().next().unwrap_or("it failed")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What is small travels in the receipt; the rest is put to the server first, and the receipt names it.
async fn result(event: &str, content_type: &str, bytes: Vec<u8>, outbox: Option<Outbox>) -> Result<Value, String> {
    match is_small(&bytes) {
        true => Ok(inline(content_type, &bytes)),
        false => put(event, content_type, bytes, outbox).await,
    }
}

/// A picture is put to the server whatever its size: there people look at the last one. A small one travels in the
/// receipt as well.
async fn screenshot(event: &str, content_type: &str, bytes: Vec<u8>, outbox: Option<Outbox>) -> Result<Value, String> {
    if !is_small(&bytes) {
        return put(event, content_type, bytes, outbox).await;
    }
    let mut result = inline(content_type, &bytes);
    if let Ok(named) = put(event, content_type, bytes, outbox).await {
        result["url"] = named["url"].clone();
    }
    Ok(result)
}

/// With its base64 and its name a receipt's result must stay under the limit.
fn is_small(bytes: &[u8]) -> bool {
    bytes.len().div_ceil(3) * 4 + 512 <= INLINE_RESULT_MAX
}

fn inline(content_type: &str, bytes: &[u8]) -> Value {
    json!({ "content_type": content_type, "bytes": bytes.len(), "data_base64": BASE64_STANDARD.encode(bytes) })
}

async fn put(event: &str, content_type: &str, bytes: Vec<u8>, outbox: Option<Outbox>) -> Result<Value, String> {
    let size = bytes.len();
    if size > RESULT_MAX {
        return Err(format!("the result has {size} bytes: at most {RESULT_MAX} can be sent"));
    }
    let Some(Outbox { server, display }) = outbox else {
        return Err("the result is too large for a receipt, and there is no server to put it to".into());
    };
    let url = server.put_result(&display, event, content_type, bytes).await;
    let url = url.map_err(|error| format!("the result could not be sent: {error}"))?;
    Ok(json!({ "content_type": content_type, "bytes": size, "url": url }))
}

async fn off_loop<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, AskError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(error.to_string())).map_err(AskError::Refused)
}

fn decode(base64: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD.decode(base64).map_err(|error| format!("the browser's picture is not base64: {error}"))
}

/// The picture as Firefox made it or, where it is wider than asked for, scaled down.
fn scaled(base64: &str, format: PictureFormat, width: Option<u32>) -> Result<(Vec<u8>, &'static str), String> {
    let bytes = decode(base64)?;
    let content_type = match format {
        PictureFormat::Png => "image/png",
        PictureFormat::Jpeg => "image/jpeg",
    };
    let Some(width) = width else { return Ok((bytes, content_type)) };
    let unread = |error: image::ImageError| format!("the browser's picture cannot be read: {error}");
    let picture = picture::read(&bytes).map_err(unread)?;
    if picture.width() <= width {
        return Ok((bytes, content_type));
    }
    // At least one line, however flat the picture.
    let height = (u64::from(picture.height()) * u64::from(width) / u64::from(picture.width())).max(1);
    let height = u32::try_from(height).unwrap_or(u32::MAX);
    let small = picture.resize_exact(width, height, FilterType::Triangle);
    let mut out = Cursor::new(Vec::new());
    match format {
        PictureFormat::Png => small.to_rgb8().write_to(&mut out, ImageFormat::Png),
        PictureFormat::Jpeg => small.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut out, 85)),
    }
    .map_err(|error| format!("the picture could not be scaled: {error}"))?;
    Ok((out.into_inner(), content_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> String {
        let mut out = Cursor::new(Vec::new());
        image::RgbImage::new(width, height).write_to(&mut out, ImageFormat::Png).unwrap();
        BASE64_STANDARD.encode(out.into_inner())
    }

    #[test]
    fn a_picture_is_scaled_down_and_never_up() {
        for (width, expected) in [(Some(64), (64, 36)), (Some(4000), (1280, 720)), (None, (1280, 720))] {
            let (bytes, content_type) = scaled(&png(1280, 720), PictureFormat::Png, width).unwrap();
            let picture = image::load_from_memory(&bytes).unwrap();
            assert_eq!(((picture.width(), picture.height()), content_type), (expected, "image/png"));
        }
        assert!(scaled("AAAA", PictureFormat::Jpeg, Some(64)).is_err());
    }

    #[tokio::test]
    async fn a_small_result_travels_in_the_receipt_and_a_large_one_needs_a_server() {
        let small = result("e", "image/png", vec![1; 900], None).await.unwrap();
        assert_eq!(small["bytes"], 900);
        assert!(result("e", "image/png", vec![1; 20_000], None).await.unwrap_err().contains("no server"));
        assert!(small.to_string().len() < INLINE_RESULT_MAX);
    }

    #[test]
    fn the_hash_is_of_the_picture_and_not_of_its_base64() {
        let state = tempfile::tempdir().unwrap();
        let pictures = Pictures::at(state.path().join("pictures"), true);
        let album = Album { state: state.path().to_owned(), pictures, wanted: Vec::new(), now: None };
        let hash = sha256(&decode(&png(64, 36)).unwrap());
        assert_eq!(hashed(&png(64, 36), None, &album), Ok(Answer::FrameHash(hash)));
        assert_eq!(album.pictures.find("http://a/"), None);
        hashed(&png(64, 36), Some("http://a/"), &album).unwrap();
        assert!(album.pictures.find("http://a/").is_some());
    }

    #[tokio::test]
    async fn a_site_that_refuses_is_named_so() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(ask_site(&format!("http://{closed}/")).await, Err(SiteFault::Refused));
    }
}
