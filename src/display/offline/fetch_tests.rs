use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::io::room::Room;

/// A site that gives this answer to everybody, and what it was asked.
async fn site(answer: impl Into<Vec<u8>>) -> (String, Arc<Mutex<Vec<String>>>) {
    let (answer, asked) = (Arc::new(answer.into()), Arc::new(Mutex::new(Vec::new())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a.png", listener.local_addr().unwrap());
    let told = asked.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..read]).to_ascii_lowercase();
            told.lock().unwrap().push(head.clone());
            let same = head.contains("if-none-match: \"v1\"") && answer.windows(4).any(|four| four == b"\"v1\"");
            let sent = if same { b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec() } else { answer.to_vec() };
            stream.write_all(&sent).await.unwrap();
        }
    });
    (url, asked)
}

fn answer(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    )
}

fn shelf(limit: u64) -> (tempfile::TempDir, Arc<Shelf>) {
    let state = tempfile::tempdir().unwrap();
    let shelf = Arc::new(Shelf::open_on(state.path().join("media"), limit, Room::plenty));
    (state, shelf)
}

fn files(state: &tempfile::TempDir) -> usize {
    std::fs::read_dir(state.path().join("media")).map_or(0, |entries| entries.flatten().count())
}

#[tokio::test]
async fn a_file_is_fetched_once_and_then_only_asked_for_by_its_version() {
    let (state, shelf) = shelf(1000);
    let (url, asked) = site(answer("ETag: \"v1\"\r\nCache-Control: max-age=120\r\n", "the picture")).await;
    assert_eq!(fetch(&shelf, &url).await.unwrap(), Duration::from_secs(120));
    let label = shelf.find(&url).unwrap();
    assert_eq!((label.bytes, label.content_type.as_str()), (11, "image/png"));
    fetch(&shelf, &url).await.unwrap();
    let asked = asked.lock().unwrap().clone();
    assert!(asked.len() == 2 && !asked[0].contains("if-none-match") && asked[1].contains("if-none-match"), "{asked:?}");
    assert_eq!((shelf.find(&url), files(&state)), (Some(label), 2));
}

#[tokio::test]
async fn a_file_of_a_site_that_knows_no_versions_is_written_to_the_card_once_however_often_it_is_sent() {
    use std::os::unix::fs::MetadataExt;
    let (state, shelf) = shelf(1000);
    let (url, asked) = site(answer("", "the picture")).await;
    fetch(&shelf, &url).await.unwrap();
    let path = state.path().join("media").join(shelf.find(&url).unwrap().file());
    let first = std::fs::metadata(&path).unwrap().ino();
    assert_eq!(fetch(&shelf, &url).await.unwrap(), FRESH);
    assert_eq!(asked.lock().unwrap().len(), 2);
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), first, "it is the same file as before");
    assert_eq!(files(&state), 2, "and nothing lies beside it");
}

#[tokio::test]
async fn a_file_that_was_corrupted_on_the_card_is_fetched_again() {
    let (state, first) = shelf(1000);
    let (url, asked) = site(answer("ETag: \"v1\"\r\n", "the picture")).await;
    fetch(&first, &url).await.unwrap();
    let path = state.path().join("media").join(first.find(&url).unwrap().file());
    std::fs::write(&path, "the picturE").unwrap();
    let again = Arc::new(Shelf::open_on(state.path().join("media"), 1000, Room::plenty));
    fetch(&again, &url).await.unwrap();
    assert!(!asked.lock().unwrap()[1].contains("if-none-match"), "it has none to compare with");
    assert_eq!(std::fs::read(&path).unwrap(), b"the picture");
    assert!(again.find(&url).is_some());
}

#[tokio::test]
async fn what_breaks_off_does_not_fit_or_is_no_picture_leaves_nothing_behind() {
    let broken =
        "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf of it";
    let endless =
        "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nConnection: close\r\n\r\n".to_owned() + &"x".repeat(70_000);
    for (answer, ended) in [
        (broken.to_owned(), Ended::Failed),
        (endless, Ended::Unfit),
        (answer("", &"x".repeat(2000)), Ended::Unfit),
        (answer("", "<html>").replace("image/png", "text/html"), Ended::Unfit),
        (answer("Content-Encoding: gzip\r\n", "x"), Ended::Unfit),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(), Ended::Failed),
    ] {
        let (state, shelf) = shelf(1000);
        let (url, _) = site(answer.clone()).await;
        let error = fetch(&shelf, &url).await.unwrap_err();
        let head: String = answer.chars().take(80).collect();
        assert_eq!(error.ended(), ended, "{error}: {head}");
        assert_eq!((shelf.find(&url), files(&state)), (None, 0), "{error}: {head}");
    }
}

#[tokio::test]
async fn a_newer_version_takes_the_place_of_the_older_and_a_site_that_is_away_takes_nothing() {
    let (_state, shelf) = shelf(1000);
    let served = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a.png", listener.local_addr().unwrap());
    let count = served.clone();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let n = count.fetch_add(1, Ordering::SeqCst);
            let mut head = vec![0; 4096];
            let _ = stream.read(&mut head).await.unwrap();
            let text = answer(&format!("ETag: \"{n}\"\r\n"), &format!("picture {n}"));
            stream.write_all(text.as_bytes()).await.unwrap();
        }
    });
    for n in 0..2 {
        fetch(&shelf, &url).await.unwrap();
        assert_eq!(shelf.find(&url).unwrap().etag, Some(format!("\"{n}\"")));
    }
    serving.abort();
    let _ = serving.await;
    assert_eq!(fetch(&shelf, &url).await.unwrap_err().ended(), Ended::Failed);
    assert_eq!(shelf.find(&url).unwrap().etag.as_deref(), Some("\"1\""), "it is still there");
}

#[test]
fn a_copy_is_taken_for_new_for_minutes_and_never_for_long() {
    let headers = |lines: &[(&'static str, &'static str)]| {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect::<HeaderMap>()
    };
    for (lines, bytes, seconds) in [
        (&[][..], 100, 300),
        (&[], LARGE + 1, 3600),
        (&[("etag", "\"1\"")], LARGE + 1, 300),
        (&[("cache-control", "public, max-age=600"), ("etag", "\"1\"")], 100, 600),
        (&[("cache-control", "max-age=31536000, immutable")], 100, 3600),
        (&[("cache-control", "No-Store")], 100, 60),
        (&[("cache-control", "max-age=600, no-cache")], 100, 60),
        (&[("cache-control", "max-age=x")], 100, 300),
    ] {
        assert_eq!(fresh(&headers(lines), bytes).as_secs(), seconds, "{lines:?} {bytes}");
    }
}
