//! A server on loopback for tests: it answers each request as told, one after the other, and breaks off where told.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use url::Url;

/// One answer, as bytes on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub head: String,
    pub body: Vec<u8>,
    /// Closes the connection after so many bytes of the body.
    pub breaks: Option<usize>,
}

/// Makes the answer to one request, of which it gets the path and the headers (names in lower case).
pub(crate) type Script = Box<dyn FnMut(&str, &[(String, String)]) -> Answer + Send>;

pub(crate) struct Server {
    pub url: Url,
    pub requests: Arc<Mutex<Vec<String>>>,
    address: std::net::SocketAddr,
    thread: Option<JoinHandle<()>>,
    stop: Arc<std::sync::atomic::AtomicBool>,
}

impl Answer {
    pub(crate) fn new(status: &str, headers: &[&str], body: &[u8]) -> Self {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        Self { head, body: body.to_vec(), breaks: None }
    }

    pub(crate) fn breaking(self, after: usize) -> Self {
        Self { breaks: Some(after), ..self }
    }
}

impl Server {
    /// Answers requests in turn; when there are no more answers, 404.
    pub(crate) fn with(answers: Vec<Answer>) -> Self {
        let mut answers = VecDeque::from(answers);
        Self::start(Box::new(move |_, _| answers.pop_front().unwrap_or_else(|| Answer::new("404 Not Found", &[], b""))))
    }

    /// Serves one file as good servers do: ranges of the version with this tag.
    pub(crate) fn of_file(file: Vec<u8>, tag: &'static str, breaks: Vec<usize>) -> Self {
        let mut breaks = VecDeque::from(breaks);
        Self::start(Box::new(move |path, headers| {
            if path != "/os.img.xz" {
                return Answer::new("404 Not Found", &[], b"");
            }
            let answer = good_answer(&file, tag, headers);
            match breaks.pop_front() {
                Some(after) => answer.breaking(after),
                None => answer,
            }
        }))
    }

    pub(crate) fn start(mut script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (seen, ended) = (requests.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                let Some((path, headers)) = request(&stream) else { continue };
                let range = headers.iter().find(|(name, _)| name == "range").map(|(_, value)| format!(" {value}"));
                seen.lock().unwrap().push(format!("{path}{}", range.unwrap_or_default()));
                answer(stream, &script(&path, &headers));
            }
        });
        let url = Url::parse(&format!("http://{address}/os.img.xz")).unwrap();
        Self { url, requests, address, thread: Some(thread), stop }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn good_answer(file: &[u8], tag: &str, headers: &[(String, String)]) -> Answer {
    let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let etag = format!("ETag: {tag}");
    if header("if-none-match") == Some(tag) {
        return Answer::new("304 Not Modified", &[&etag], b"");
    }
    let from = header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match from {
        Some(from) if header("if-range") == Some(tag) && from >= file.len() => {
            Answer::new("416 Range Not Satisfiable", &[&format!("Content-Range: bytes */{}", file.len())], b"")
        }
        Some(from) if header("if-range") == Some(tag) => {
            let range = format!("Content-Range: bytes {from}-{}/{}", file.len() - 1, file.len());
            Answer::new("206 Partial Content", &[&etag, &range], &file[from..])
        }
        _ => Answer::new("200 OK", &[&etag], file),
    }
}

fn request(stream: &TcpStream) -> Option<(String, Vec<(String, String)>)> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            return Some((path, headers));
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    None
}

fn answer(mut stream: TcpStream, answer: &Answer) {
    let body = &answer.body[..answer.breaks.unwrap_or(usize::MAX).min(answer.body.len())];
    let _ = stream.write_all(answer.head.as_bytes()).and_then(|()| stream.write_all(body));
    let _ = stream.shutdown(Shutdown::Write);
    // Until the other side has read it all: closing earlier would reset the connection.
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}
