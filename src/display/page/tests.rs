//! What others can and cannot get from the page, over raw sockets: what a strange page in the browser, another
//! program on the machine, or a rebound name would send.

use std::{path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::*;
use crate::{config::OfflineSettings, display::offline::Label};

const DEADLINE: Duration = Duration::from_secs(20);

/// With nothing on its card.
async fn page() -> Page {
    Page::bind("127.0.0.1:0".parse().unwrap(), Secret::new([0x5a; 16]), offline(Path::new("/nowhere"))).await.unwrap()
}

fn offline(state: &Path) -> Offline {
    Offline::open(state, OfflineSettings { pictures: true, cache: 0 })
}

fn secret() -> String {
    Secret::new([0x5a; 16]).to_hex()
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Sends bytes as they are (with `HOST` replaced by the page's own) and reads until the page closes.
async fn send(page: &Page, request: &str) -> Answer {
    let address = page.urls().address();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.replace("HOST", &address.to_string()).as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A refused body may end in a reset after the answer.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the page closes");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

async fn get(page: &Page, target: &str, headers: &str) -> Answer {
    send(page, &format!("GET {target} HTTP/1.1\r\nHost: HOST\r\n{headers}\r\n")).await
}

#[tokio::test]
async fn the_supervisors_own_page_reads_what_the_supervisor_set() {
    let page = page().await;
    page.update(|state| "lobby-1".clone_into(&mut state.display));
    for document in [page.urls().splash(), page.urls().offline(), page.urls().blank()] {
        let path = document.strip_prefix(page.urls().origin()).unwrap().split('#').next().unwrap();
        let answer = get(&page, path, "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.contains("/page.js") && !answer.body.contains("lobby-1"), "no data in documents");
    }
    let answer = get(&page, "/state", &format!("X-Pikiosk-Page: {}\r\n", secret())).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains(r#""display":"lobby-1""#), "{}", answer.body);
}

#[tokio::test]
async fn every_answer_is_closed_to_frames_sniffing_caches_and_other_origins() {
    let page = page().await;
    let known = format!("X-Pikiosk-Page: {}\r\n", secret());
    for (target, headers) in
        [("/splash", ""), ("/media", ""), ("/page.js", ""), ("/none", ""), ("/state", ""), ("/state", &known)]
    {
        let answer = get(&page, target, headers).await;
        for expected in [
            "x-frame-options: deny",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "cross-origin-resource-policy: same-origin",
            "referrer-policy: no-referrer",
            "default-src 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(answer.head.contains(expected), "{target}: {expected}\n{}", answer.head);
        }
        assert!(!answer.head.contains("access-control"), "{target}");
        assert!(!answer.head.contains("unsafe-inline"), "{target}");
    }
}

#[tokio::test]
async fn a_page_is_told_of_a_change_at_once_and_of_nothing_else() {
    let page = page().await;
    let (address, known) = (page.urls().address(), secret());
    let waiting = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /state?since=1 HTTP/1.1\r\nHost: {address}\r\nX-Pikiosk-Page: {known}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        timeout(DEADLINE, stream.read_to_string(&mut text)).await.expect("the change was told").unwrap();
        text
    });
    page.update(|state| state.display.clear()); // changes nothing, wakes nobody
    page.update(|state| state.phase = Phase::Connecting);
    let told = waiting.await.unwrap();
    assert!(told.contains(r#""rev":2"#) && told.contains("Connecting to server"), "{told}");
}

#[tokio::test]
async fn a_page_from_before_a_restart_of_the_supervisor_is_answered_at_once() {
    let page = page().await;
    let answer = get(&page, "/state?since=977", &format!("X-Pikiosk-Page: {}\r\n", secret())).await;
    assert!(answer.body.contains(r#""rev":1"#), "{}", answer.body);
}

#[tokio::test]
async fn a_browser_that_starts_gets_the_splash_or_is_led_on_without_our_secret() {
    let page = page().await;
    assert_eq!(page.urls().start(), format!("{}/start#k={}", page.urls().origin(), secret()));
    let splash = get(&page, "/start", "").await;
    assert_eq!(splash.status, 200);
    assert_eq!(splash.body, get(&page, "/splash", "").await.body);
    for (url, location) in [
        ("https://example.org/menu?x=1", "https://example.org/menu?x=1#"),
        ("https://example.org/#today", "https://example.org/#today"),
    ] {
        page.update(|state| state.leads_to = Some(url.to_owned()));
        let led = get(&page, "/start", "").await;
        assert_eq!((led.status, led.body.as_str()), (302, ""));
        // Without a fragment of its own the browser would take ours along.
        assert!(led.head.contains(&format!("\r\nlocation: {location}\r\n")), "{}", led.head);
        assert_eq!(get(&page, "/splash", "").await.status, 200, "only a start is led on");
    }
    let foreign = get(&page, "/start", "Origin: https://evil.example\r\n").await;
    assert_eq!(foreign.status, 403, "nobody else learns where");
}

/// A page at another origin, as Firefox sends its requests (`no-cors` fetch, `cors` fetch with and without the header
/// that needs a preflight, image, script, form, beacon, frame, WebSocket, EventSource).
#[tokio::test]
async fn a_strange_page_gets_nothing() {
    let page = page().await;
    page.update(|state| "lobby-1".clone_into(&mut state.display));
    let known = secret();
    let foreign = "Origin: https://evil.example\r\nReferer: https://evil.example/\r\n";
    for (name, request, status) in [
        ("cors fetch", format!("GET /state HTTP/1.1\r\nHost: HOST\r\n{foreign}Sec-Fetch-Mode: cors\r\nSec-Fetch-Site: cross-site\r\n\r\n"), 403),
        ("no-cors fetch", "GET /state HTTP/1.1\r\nHost: HOST\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: cross-site\r\n\r\n".into(), 403),
        ("preflight", format!("OPTIONS /state HTTP/1.1\r\nHost: HOST\r\n{foreign}Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: x-pikiosk-page\r\nAccess-Control-Request-Private-Network: true\r\n\r\n"), 403),
        ("guessed secret, were it right", format!("GET /state HTTP/1.1\r\nHost: HOST\r\n{foreign}X-Pikiosk-Page: {known}\r\n\r\n"), 403),
        ("sandboxed frame", "GET /state HTTP/1.1\r\nHost: HOST\r\nOrigin: null\r\n\r\n".into(), 403),
        ("script element", "GET /page.js HTTP/1.1\r\nHost: HOST\r\nSec-Fetch-Dest: script\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: cross-site\r\n\r\n".into(), 403),
        ("image element", "GET /splash HTTP/1.1\r\nHost: HOST\r\nSec-Fetch-Dest: image\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: cross-site\r\n\r\n".into(), 403),
        ("frame", "GET /splash HTTP/1.1\r\nHost: HOST\r\nSec-Fetch-Dest: iframe\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: cross-site\r\n\r\n".into(), 403),
        ("another port of this machine", "GET /page.js HTTP/1.1\r\nHost: HOST\r\nOrigin: http://127.0.0.1:9000\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-site\r\n\r\n".into(), 403),
        ("form", format!("POST /state HTTP/1.1\r\nHost: HOST\r\n{foreign}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b"), 403),
        ("form without an origin", "POST /state HTTP/1.1\r\nHost: HOST\r\nContent-Length: 3\r\n\r\na=b".into(), 405),
        ("beacon", format!("POST /splash HTTP/1.1\r\nHost: HOST\r\n{foreign}Content-Length: 0\r\n\r\n"), 403),
        ("websocket", format!("GET /state HTTP/1.1\r\nHost: HOST\r\n{foreign}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"), 403),
        ("websocket without an origin", "GET /state HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".into(), 403),
        ("event stream", format!("GET /state HTTP/1.1\r\nHost: HOST\r\n{foreign}Accept: text/event-stream\r\n\r\n"), 403),
        ("rebound name", format!("GET /state HTTP/1.1\r\nHost: evil.example\r\nSec-Fetch-Site: same-origin\r\nX-Pikiosk-Page: {known}\r\n\r\n"), 421),
        ("rebound name for a document", "GET /splash HTTP/1.1\r\nHost: evil.example\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n\r\n".into(), 421),
        ("no host", format!("GET /state HTTP/1.0\r\nX-Pikiosk-Page: {known}\r\n\r\n"), 421),
        ("as a proxy", format!("GET http://HOST/state HTTP/1.1\r\nHost: HOST\r\nX-Pikiosk-Page: {known}\r\n\r\n"), 421),
        ("tunnel", "CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n\r\n".into(), 421),
        ("secret in the query", format!("GET /state?k={known} HTTP/1.1\r\nHost: HOST\r\n\r\n"), 403),
        ("body on a GET", format!("GET /state HTTP/1.1\r\nHost: HOST\r\nX-Pikiosk-Page: {known}\r\nContent-Length: 2\r\n\r\nhi"), 413),
        ("smuggled second request", "GET /none HTTP/1.1\r\nHost: HOST\r\n\r\nGET /splash HTTP/1.1\r\nHost: HOST\r\n\r\n".into(), 404),
        ("outside", "GET /../../etc/passwd HTTP/1.1\r\nHost: HOST\r\n\r\n".into(), 404),
    ] {
        let answer = send(&page, &request).await;
        assert_eq!(answer.status, status, "{name}\n{}", answer.head);
        assert!(!answer.body.contains("lobby-1") && !answer.body.contains("HTTP/1.1"), "{name}: {}", answer.body);
        assert!(!answer.head.contains("access-control"), "{name}");
    }
}

/// A held question would tell a stranger when something changes: without the secret it is never held.
#[tokio::test]
async fn a_stranger_cannot_time_the_state() {
    let page = page().await;
    let hold = Duration::from_secs(10);
    let foreign = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n";
    for headers in [foreign, "", "X-Pikiosk-Page: 00000000000000000000000000000000\r\n"] {
        let answer = timeout(hold, get(&page, "/state?since=1", headers)).await.expect("answered, not held");
        assert_eq!((answer.status, answer.body.as_str()), (403, "no\n"));
    }
}

#[tokio::test(start_paused = true)]
async fn callers_that_say_nothing_are_dropped_and_cannot_keep_the_page_from_the_browser() {
    let page = page().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(page.urls().address()).await.unwrap();
        stream.write_all(b"GET /splash HTTP/1.1\r\n").await.unwrap();
        silent.push(stream);
    }
    assert_eq!(get(&page, "/splash", "").await.status, 200);
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let page = page().await;
    let answer = get(&page, "/splash", &format!("X-Long: {}\r\n", "a".repeat(64 * 1024))).await;
    assert!(matches!(answer.status, 431 | 400 | 0), "{}", answer.status);
    assert_eq!(get(&page, "/splash", "").await.status, 200, "and the page goes on");
}

#[tokio::test]
async fn garbage_ends_the_connection_and_not_the_page() {
    let page = page().await;
    for garbage in
        ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "\x16\x03\x01\x02\x00\x01\r\n\r\n", "GET /splash HTTP/9.9\r\n\r\n"]
    {
        let answer = send(&page, garbage).await;
        assert!(matches!(answer.status, 400 | 505 | 0), "{garbage:?}: {}", answer.status);
    }
    assert_eq!(get(&page, "/splash", "").await.status, 200);
}

#[tokio::test]
async fn the_last_picture_of_a_site_is_given_to_our_own_page_alone() {
    let state = tempfile::tempdir().unwrap();
    let kept = offline(state.path());
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(64, 36).write_to(&mut png, image::ImageFormat::Png).unwrap();
    kept.pictures.keep("https://menu.example.org/", png.get_ref(), None, &[]).unwrap();
    let page = Page::bind("127.0.0.1:0".parse().unwrap(), Secret::new([0x5a; 16]), kept.clone()).await.unwrap();
    let picture = page.urls().picture(&kept.pictures.find("https://menu.example.org/").unwrap());
    let answer = get(&page, &picture.path, "").await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert!(answer.head.contains("image/jpeg") && answer.head.contains("no-store"), "{}", answer.head);
    let (path, _) = picture.path.split_once('?').unwrap();
    assert_eq!(get(&page, path, &format!("X-Pikiosk-Page: {}\r\n", secret())).await.status, 403);
    assert_eq!(
        get(&page, &picture.path, "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n").await.status,
        403
    );
    kept.pictures.forget().unwrap();
    assert_eq!(get(&page, &picture.path, "").await.status, 404);
}

#[tokio::test]
async fn a_film_of_the_playlist_is_given_in_parts_to_our_own_player_alone() {
    let state = tempfile::tempdir().unwrap();
    let kept = Offline::open(state.path(), OfflineSettings { pictures: true, cache: 1000 });
    let label = Label {
        url: "https://a.example/film.webm".into(),
        bytes: 10,
        sha256: crate::io::digest::sha256(b"0123456789"),
        content_type: "video/webm".into(),
        etag: None,
        modified: None,
    };
    let (file, path) = kept.media.beside(&label.url).unwrap();
    std::fs::write(&path, "0123456789").unwrap();
    kept.media.put(&file, &path, label, std::time::SystemTime::now()).unwrap();
    let page = Page::bind("127.0.0.1:0".parse().unwrap(), Secret::new([0x5a; 16]), kept.clone()).await.unwrap();
    let known = format!("X-Pikiosk-Page: {}\r\n", secret());
    let find = "/kept?src=https%3A%2F%2Fa.example%2Ffilm.webm";
    assert_eq!(get(&page, find, "").await.status, 403);
    assert_eq!(get(&page, "/kept?src=https%3A%2F%2Fa.example%2Fother", &known).await.body, r#"{"path":null}"#);
    let found: serde_json::Value = serde_json::from_str(&get(&page, find, &known).await.body).unwrap();
    let path = found["path"].as_str().unwrap();
    for (range, status, head, body) in [
        ("", 200, "content-length: 10", "0123456789"),
        ("Range: bytes=0-\r\n", 206, "content-range: bytes 0-9/10", "0123456789"),
        ("Range: bytes=2-4\r\n", 206, "content-range: bytes 2-4/10", "234"),
        ("Range: bytes=-1\r\n", 206, "content-range: bytes 9-9/10", "9"),
        ("Range: bytes=10-\r\n", 416, "content-range: bytes */10", ""),
    ] {
        let answer = get(&page, path, range).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{range}");
        for expected in [head, "content-type: video/webm", "accept-ranges: bytes", "sandbox", "nosniff"] {
            assert!(answer.head.contains(expected), "{range}: {expected}\n{}", answer.head);
        }
    }
    assert_eq!(get(&page, path, "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\n").await.status, 403);
    assert_eq!(get(&page, path.split_once('?').unwrap().0, &known).await.status, 403);
}

#[tokio::test]
async fn the_page_listens_on_loopback_only() {
    let none = || offline(Path::new("/nowhere"));
    let refused = Page::bind("0.0.0.0:0".parse().unwrap(), Secret::new([0; 16]), none()).await;
    assert!(matches!(refused, Err(PageError::NotLoopback(_))));
    let page = page().await;
    let taken = Page::bind(page.urls().address(), Secret::new([0; 16]), none()).await;
    assert!(matches!(taken, Err(PageError::Listen { .. })));
}

#[tokio::test]
async fn the_page_is_gone_when_it_is_dropped() {
    let page = page().await;
    let address = page.urls().address();
    drop(page);
    let gone = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, gone).await.expect("the port is closed");
}

#[test]
fn a_page_knows_its_own_addresses_and_keeps_the_secret_out_of_debug() {
    let urls = Urls::new("127.0.0.1:80".parse().unwrap(), &Secret::new([1; 16]));
    assert_eq!(urls.origin(), "http://127.0.0.1");
    assert!(urls.owns(&urls.splash()) && urls.owns("http://127.0.0.1/media"));
    assert!(!urls.owns("http://127.0.0.1:8080/") && !urls.owns("http://127.0.0.1.evil.example/"));
    assert!(!format!("{urls:?}").contains(&"01".repeat(16)));
    let source = "https://a.example/b c.jpg?x=1&kind=video#f";
    let media = urls.media(MediaKind::Image, source, 7, Duration::from_millis(600));
    assert!(urls.is_media(&media) && !urls.is_media(&urls.splash()));
    assert!(
        media.ends_with("&kind=image&n=7&fade=600&src=https%3A%2F%2Fa.example%2Fb+c.jpg%3Fx%3D1%26kind%3Dvideo%23f"),
        "{media}"
    );
}
