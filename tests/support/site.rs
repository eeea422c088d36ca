//! A web site of our own to show: plain colours, pages that refuse to be framed, pages that hang, pages that attack.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

/// What a visitor asked for.
#[derive(Debug, Clone)]
pub struct Hit {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub body: String,
}

#[derive(Debug, Default)]
struct Kept {
    hits: Mutex<Vec<Hit>>,
    pages: Mutex<HashMap<String, (String, Vec<u8>)>>,
    turns: Mutex<HashMap<String, u32>>,
}

/// A web server on loopback, one thread for each connection; it can go away and come back on the same port.
#[derive(Debug)]
pub struct Site {
    pub address: SocketAddr,
    kept: Arc<Kept>,
    open: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Site {
    #[track_caller]
    pub fn start() -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let mut site = Site { address, kept: Arc::default(), open: None };
        site.serve(listener);
        site
    }

    /// Nobody answers on its port any more.
    pub fn go_away(&mut self) {
        if let Some((leave, thread)) = self.open.take() {
            leave.store(true, Ordering::SeqCst);
            let _ = TcpStream::connect(self.address); // wakes the thread that accepts
            let _ = thread.join();
        }
    }

    #[track_caller]
    pub fn come_back(&mut self) {
        let address = self.address;
        let listener = super::wait::until("the site's port is free again", Duration::from_secs(10), || {
            TcpListener::bind(address).ok()
        });
        self.serve(listener);
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The address of a page that is all of one colour. `tag` makes it unlike others of that colour.
    pub fn colour(&self, [r, g, b]: super::screen::Colour, tag: &str) -> String {
        self.url(&format!("/colour/{r:02x}{g:02x}{b:02x}/{tag}"))
    }

    /// Serves this HTML, picture, film or sound, with more headers (`Name: value\r\n` each), at a path.
    pub fn put(&self, path: &str, headers: &str, body: impl AsRef<[u8]>) {
        let page = (headers.to_owned(), body.as_ref().to_vec());
        self.kept.pages.lock().expect("no holder panics").insert(path.to_owned(), page);
    }

    pub fn hits(&self, path_begins: &str) -> Vec<Hit> {
        let hits = self.kept.hits.lock().expect("no holder panics");
        hits.iter().filter(|hit| hit.target.starts_with(path_begins)).cloned().collect()
    }

    /// How often `/turn/TAG` was loaded. Its colour is [`turn_colour`] of that number, so the glass tells one load from
    /// the next.
    pub fn turns(&self, tag: &str) -> u32 {
        self.kept.turns.lock().expect("no holder panics").get(tag).copied().unwrap_or(0)
    }

    fn serve(&mut self, listener: TcpListener) {
        let leave = Arc::new(AtomicBool::new(false));
        let (kept, left) = (Arc::clone(&self.kept), Arc::clone(&leave));
        let thread = std::thread::spawn(move || {
            // The connections that are open end when the site goes away.
            let mut open: Vec<Weak<TcpStream>> = Vec::new();
            for stream in listener.incoming().flatten() {
                if left.load(Ordering::SeqCst) {
                    break;
                }
                let (kept, stream) = (Arc::clone(&kept), Arc::new(stream));
                open.retain(|stream| stream.strong_count() > 0);
                open.push(Arc::downgrade(&stream));
                std::thread::spawn(move || answer(&stream, &kept));
            }
            for stream in open.iter().filter_map(Weak::upgrade) {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        });
        self.open = Some((leave, thread));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.go_away();
    }
}

/// The colour of the n-th load: no two of 64 that follow one another are alike.
pub fn turn_colour(turn: u32) -> super::screen::Colour {
    let part = |n: u32| u8::try_from(40 + n % 4 * 50).expect("at most 190");
    [part(turn), part(turn / 4), part(turn / 16)]
}

fn answer(mut stream: &TcpStream, kept: &Kept) -> Option<()> {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8_lossy(&body).into_owned();
    kept.hits.lock().expect("no holder panics").push(Hit { method, target: target.clone(), body });
    let path = target.split('?').next().unwrap_or_default();
    if path == "/slow.css" {
        // What a page needs before its first paint comes late.
        let (_hold, late) = mpsc::channel::<()>();
        let _ = late.recv_timeout(Duration::from_millis(700));
    }
    if path == "/never" {
        // A server that takes the request and says nothing, for as long as the visitor waits.
        let (_hold, hung) = mpsc::channel::<()>();
        let _ = hung.recv_timeout(Duration::from_secs(60));
        return None;
    }
    let put = kept.pages.lock().expect("no holder panics").get(path).cloned();
    let (status, headers, body) = match put {
        Some((headers, body)) => ("200 OK", headers, body),
        None if path.starts_with("/turn/") => {
            let turn = {
                let mut turns = kept.turns.lock().expect("no holder panics");
                let turn = turns.entry(path.trim_start_matches("/turn/").to_owned()).or_default();
                *turn += 1;
                *turn
            };
            let [r, g, b] = turn_colour(turn);
            ("200 OK", String::new(), one_colour(&format!("{r:02x}{g:02x}{b:02x}")).into_bytes())
        }
        None => {
            let (status, headers, body) = page(path);
            (status, headers, body.into_bytes())
        }
    };
    let kind = match body.get(..4) {
        Some(b"<svg") => "image/svg+xml",
        Some(b"/* c") => "text/css",
        Some(b"RIFF") => "audio/wav",
        Some([0x1a, 0x45, 0xdf, 0xa3]) => "video/webm",
        _ => "text/html; charset=utf-8",
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\nConnection: close\r\n\
         Access-Control-Allow-Origin: *\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body).ok()
}

fn page(path: &str) -> (&'static str, String, String) {
    let mut parts = path.trim_start_matches('/').split('/');
    match (parts.next(), parts.next()) {
        (Some("colour"), Some(colour)) => ("200 OK", String::new(), one_colour(colour)),
        (Some("strict"), Some(colour)) => ("200 OK", STRICT.to_owned(), one_colour(colour)),
        (Some("slow.css"), _) => ("200 OK", String::new(), "/* css */ h1 { margin: 0 }".to_owned()),
        (Some("late"), Some(colour)) => {
            let head = "<head><link rel=\"stylesheet\" href=\"/slow.css\"><title>";
            ("200 OK", String::new(), one_colour(colour).replacen("<head><title>", head, 1))
        }
        (Some("picture"), Some(colour)) => ("200 OK", String::new(), picture(colour)),
        (Some("report"), _) => ("200 OK", String::new(), String::new()),
        (Some("broken"), _) => ("503 Service Unavailable", String::new(), "<h1>out of order</h1>".to_owned()),
        _ => ("404 Not Found", String::new(), "<h1>not here</h1>".to_owned()),
    }
}

/// All that a site can say against being framed, scripted or styled.
const STRICT: &str = "X-Frame-Options: DENY\r\nContent-Security-Policy: default-src 'none'; script-src 'none'; \
    style-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'\r\nCross-Origin-Opener-Policy: same-origin\r\n\
    Cross-Origin-Embedder-Policy: require-corp\r\nReferrer-Policy: no-referrer\r\n";

fn picture(colour: &str) -> String {
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="1280" height="720"><rect width="1280" height="720" fill="#{colour}"/></svg>"##
    )
}

/// The colour is an attribute, which no policy for styles forbids. The page does what DOM events tell it: `freeze`
/// hangs it for ever, `empty` takes everything out of it, `hog` allocates 5 GB, `grow` 1.5 GB, `paint-me` paints it, `did` and types of the publisher's own are reported to the site.
fn one_colour(colour: &str) -> String {
    format!(
        r##"<!doctype html><html><head><title>{colour}</title><script>
const report = (path, text) => fetch(path, {{ method: "POST", body: text, keepalive: true }});
const seen = new WeakSet();
const hear = (name, act) => {{
  for (const target of [window, document])
    target.addEventListener(name, event => {{ if (!seen.has(event)) {{ seen.add(event); act(event); }} }});
}};
hear("freeze", () => setTimeout(() => {{ for (;;); }}, 200));
hear("empty", () => setTimeout(() => document.documentElement.replaceChildren(), 100));
const allocate = all => setTimeout(() => {{
  const kept = [];
  for (let mib = 0; mib < all; mib += 64) kept.push(new Uint8Array(64 << 20).fill(1 + mib % 250));
  globalThis.kept = kept;
}}, 100);
hear("hog", () => allocate(5120));
hear("grow", () => allocate(1536));
hear("paint-me", event => {{ document.body.bgColor = event.detail.colour; }});
hear("did", event => report("/report/did/" + event.detail.n, ""));
hear("org.example.order", event => report("/report/heard", event.type + " " + JSON.stringify(event.detail)));
</script></head><body bgcolor="#{colour}"><h1>{colour}</h1></body></html>"##
    )
}
