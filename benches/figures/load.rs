//! The server alone: many sockets, many publishes.

use std::{
    fs::File,
    net::SocketAddr,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::{
    rounds,
    support::{
        process,
        server::{Server, event},
    },
    table::{Table, Times, ms},
};

const SOCKETS: usize = 1000;
const SECRET: &[u8] = b"only for the bench: 32 bytes and more";
/// One paced event each; slow enough that the clients, which share these cores, are never behind.
const PACE: Duration = Duration::from_millis(100);

pub fn measure(table: &mut Table) {
    // On a real disk: a folder in memory would make an fsync free.
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    std::fs::write(folder.path().join("jwt.secret"), SECRET).expect("the secret is written");
    let secret = folder.path().join("jwt.secret");
    let more = format!("[[auth.jwt]]\nid = \"bench\"\nalgorithm = \"HS256\"\nsecret_file = \"{}\"\n", secret.display());
    let server = Server::start(folder.path(), &more);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        publishes(table, &server, folder.path()).await;
        fan_out(table, &server).await;
    });
}

/// Group commit against one by one, and both against a bare fsync of the same disk.
async fn publishes(table: &mut Table, server: &Server, folder: &Path) {
    // In place, as the store writes: a file that grows costs its file system a second write each time.
    let file = File::create(folder.join("fsync")).expect("a file");
    file.write_all_at(&[7; 1 << 20], 0).and_then(|()| file.sync_all()).expect("room is made");
    let count: u64 = 1000;
    let began = Instant::now();
    for n in 0..count {
        file.write_all_at(&[7; 4096], n % 256 * 4096).and_then(|()| file.sync_data()).expect("it is synced");
    }
    let fsyncs = count as f64 / began.elapsed().as_secs_f64();

    let mut single = Publisher::connect(server).await;
    let count = rounds(500);
    let began = Instant::now();
    for _ in 0..count {
        single.publish().await;
    }
    let one_by_one = count as f64 / began.elapsed().as_secs_f64();

    let publishers = 64;
    let each = rounds(300);
    let before = commits(server);
    let cpu = process::cpu_seconds(server.pid()).unwrap_or(0.0);
    let mut many = Vec::new();
    for _ in 0..publishers {
        many.push(Publisher::connect(server).await);
    }
    let began = Instant::now();
    let tasks: Vec<_> = many
        .into_iter()
        .map(|mut publisher| {
            tokio::spawn(async move {
                for _ in 0..each {
                    publisher.publish().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no publisher panics");
    }
    let all = (publishers * each) as f64;
    let grouped = all / began.elapsed().as_secs_f64();
    let cpu = process::cpu_seconds(server.pid()).unwrap_or(0.0) - cpu;
    let per_commit = all / (commits(server) - before).max(1.0);
    table.row(
        "publishes, one after the other",
        format!("{one_by_one:.0}/s"),
        "",
        format!("bare 4 KiB writes + fsync on this disk: {fsyncs:.0}/s"),
    );
    table.row(
        format!("publishes, {publishers} at a time"),
        format!("{grouped:.0}/s"),
        "",
        format!(
            "{:.1} times one by one; {per_commit:.1} publishes a commit; {:.0} per second of the server's processor time",
            grouped / one_by_one,
            all / cpu.max(0.01)
        ),
    );
}

fn commits(server: &Server) -> f64 {
    let metrics = server.get("/metrics").text();
    let line = metrics.lines().find(|line| line.starts_with("pikiosk_commits_total"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

async fn fan_out(table: &mut Table, server: &Server) {
    let count = rounds(SOCKETS);
    let rss = || process::status_field(server.pid(), "VmRSS").unwrap_or(0) as f64;
    let before = rss();
    let seen = Arc::new(AtomicU64::new(0));
    let (latencies, mut latency) = mpsc::unbounded_channel::<Duration>();
    let mut sockets = Vec::new();
    for number in 0..count {
        sockets.push(listen(server.address, number, Arc::clone(&seen), latencies.clone()).await);
    }
    drop(latencies);
    let per_socket = (rss() - before) / count as f64;
    table.row(
        "memory of a socket that is open and idle",
        format!("{per_socket:.1} KB"),
        "",
        format!("{count} sockets"),
    );

    // As fast as the sockets take them, in bursts below the bound of a socket's queue.
    let mut publisher = Publisher::connect(server).await;
    publisher.address = "group/bench".to_owned();
    let (bursts, burst) = (rounds(20), 50);
    let cpu = process::cpu_seconds(server.pid()).unwrap_or(0.0);
    let began = Instant::now();
    for round in 1..=bursts {
        for _ in 0..burst {
            publisher.publish().await;
        }
        let wanted = (round * burst * count) as u64;
        let deadline = Instant::now() + Duration::from_secs(60);
        while seen.load(Ordering::Relaxed) < wanted {
            assert!(Instant::now() < deadline, "{} of {wanted} deliveries", seen.load(Ordering::Relaxed));
            latency.recv().await.expect("sockets stay open");
        }
    }
    let deliveries = (bursts * burst * count) as f64;
    let cpu = process::cpu_seconds(server.pid()).unwrap_or(0.0) - cpu;
    table.row(
        format!("deliveries to {count} sockets, as fast as they go"),
        format!("{:.0}/s", deliveries / began.elapsed().as_secs_f64()),
        "",
        format!(
            "{:.0} per second of the server's processor time; clients on the same cores",
            deliveries / cpu.max(0.01)
        ),
    );

    while latency.try_recv().is_ok() {}
    let paced = rounds(100);
    let mut times = Times::default();
    for _ in 0..paced {
        let next = Instant::now() + PACE;
        publisher.publish().await;
        for _ in 0..count {
            times.add(latency.recv().await.expect("sockets stay open"));
        }
        tokio::time::sleep_until(next.into()).await;
    }
    table.row(
        format!("publish -> {count} sockets, {} a second", 1000 / PACE.as_millis()),
        format!("p50 {}, p99 {}", ms(times.p(50)), ms(times.p(99))),
        "",
        format!("from the request to the frame in the client, {} deliveries", times.len()),
    );
    for socket in sockets {
        socket.abort();
    }
}

/// Opens one socket; its task counts events and sends how old each was.
async fn listen(
    address: SocketAddr,
    number: usize,
    seen: Arc<AtomicU64>,
    latencies: mpsc::UnboundedSender<Duration>,
) -> tokio::task::JoinHandle<()> {
    let mut request = format!("ws://{address}/v1/ws").into_client_request().expect("a request");
    let headers = request.headers_mut();
    headers.insert("Authorization", format!("Bearer {}", token(number)).parse().expect("a header"));
    headers.insert("Sec-WebSocket-Protocol", "cloudevents.json".parse().expect("a header"));
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("the socket opens");
    socket.next().await.expect("a hello").expect("a frame");
    let resume = json!({"specversion": "1.0", "id": "1", "source": "bench", "type": "kiosk.resume", "data": {}});
    socket.send(Message::text(resume.to_string())).await.expect("it is sent");
    socket.next().await.expect("a kiosk.resumed").expect("a frame");
    tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            seen.fetch_add(1, Ordering::Relaxed);
            let sent = text.split("\"sent\":").nth(1).and_then(|rest| rest.split('}').next()?.parse::<u64>().ok());
            let age = sent.map(|sent| Duration::from_nanos(now_ns().saturating_sub(sent))).unwrap_or_default();
            if latencies.send(age).is_err() {
                break;
            }
        }
    })
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// An HS256 token that may hear `group/bench`.
fn token(number: usize) -> String {
    let part = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let exp = now_ns() / 1_000_000_000 + 3600;
    let claims = json!({"sub": format!("user-{number}"), "exp": exp, "addr": ["group/bench"]});
    let text = format!("{}.{}", part(json!({"alg": "HS256", "typ": "JWT", "kid": "bench"})), part(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, text.as_bytes())))
}

/// One connection that publishes, request after request.
struct Publisher {
    stream: TcpStream,
    head: String,
    address: String,
    buffer: Vec<u8>,
}

impl Publisher {
    async fn connect(server: &Server) -> Publisher {
        let stream = TcpStream::connect(server.address).await.expect("the server listens");
        stream.set_nodelay(true).expect("it is TCP");
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/cloudevents+json\r\n",
            server.address, server.key
        );
        Publisher { stream, head, address: "user/nobody".to_owned(), buffer: Vec::new() }
    }

    async fn publish(&mut self) {
        let body = event(&self.address, "org.example.bench", &json!({"sent": now_ns()})).to_string();
        let request = format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        self.stream.write_all(request.as_bytes()).await.expect("it is sent");
        self.buffer.clear();
        loop {
            self.stream.read_buf(&mut self.buffer).await.expect("an answer");
            let text = String::from_utf8_lossy(&self.buffer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok()
            });
            if body.len() >= length.expect("the answer has a length") {
                assert!(head.starts_with("HTTP/1.1 202"), "{text}");
                return;
            }
        }
    }
}
