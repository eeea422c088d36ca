//! The drill's own web site: a page that has another colour at each load, and misbehaves when it is told to.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use super::eyes::Colour;

/// A page that asks for orders is answered after so long, orders or none, and asks again.
const HOLD: Duration = Duration::from_secs(20);
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const PAGE: &str = include_str!("../../../assets/drill/page.html");

/// What the page can be told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misdeed {
    /// A script that never ends.
    Hang,
    /// Nothing is left of the document.
    White,
    /// 5 GB of memory, all of it written.
    Hog,
    /// Loads itself again, in a moment.
    Reload,
}

impl Misdeed {
    fn word(self) -> &'static str {
        match self {
            Self::Hang => "hang",
            Self::White => "white",
            Self::Hog => "hog",
            Self::Reload => "reload",
        }
    }
}

/// What the loads of the page tell one another.
#[derive(Debug, Default)]
struct Shared {
    /// How often the page was loaded, for whatever reason.
    turns: Mutex<u32>,
    /// The last load whose page asked for orders: it is there and its scripts run.
    listening: Mutex<u32>,
    /// To which load, and what.
    order: watch::Sender<(u32, &'static str)>,
}

/// The site. It goes away and comes back on the same port; dropped, it is gone.
#[derive(Debug)]
pub struct Site {
    port: u16,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

impl Site {
    /// On every address of this machine, so that one of them can be taken away; on loopback alone where that is all
    /// that is asked for.
    pub async fn open(address: IpAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((address, 0)).await?;
        let port = listener.local_addr()?.port();
        let mut site = Site { port, shared: Arc::default(), serving: None };
        site.serve(listener);
        Ok(site)
    }

    /// Where the page is. `tag` makes it another one.
    pub fn url(&self, host: Ipv4Addr, tag: &str) -> String {
        format!("http://{}/{tag}", SocketAddr::from((host, self.port)))
    }

    /// How often the page was loaded.
    pub fn turns(&self) -> u32 {
        *self.shared.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while the page of the last load is there and takes orders.
    pub fn is_listening(&self) -> bool {
        *self.shared.listening.lock().unwrap_or_else(PoisonError::into_inner) == self.turns()
    }

    /// The page of the last load does it.
    pub fn order(&self, misdeed: Misdeed) {
        self.shared.order.send_replace((self.turns(), misdeed.word()));
    }

    /// Nobody listens any more, and every connection breaks.
    pub async fn go_away(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Gone when this returns: the port is closed.
            let _ = serving.await;
        }
    }

    pub async fn come_back(&mut self, address: IpAddr) -> io::Result<()> {
        if self.serving.is_none() {
            let listener = TcpListener::bind((address, self.port)).await?;
            self.serve(listener);
        }
        Ok(())
    }

    fn serve(&mut self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        self.serving = Some(tokio::spawn(async move {
            // Dropped with this task, and then every connection is.
            let mut open = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => drop(open.spawn(connection(stream, Arc::clone(&shared)))),
                        // Out of files: the drill says that the page does not come.
                        Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                    },
                    Some(_) = open.join_next() => {}
                }
            }
        }));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

/// The colour of the n-th load: no two of 64 that follow one another are alike, and none is white or near black.
pub fn turn_colour(turn: u32) -> Colour {
    let part = |n: u32| u8::try_from(40 + n % 4 * 50).unwrap_or(u8::MAX);
    [part(turn), part(turn / 4), part(turn / 16)]
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(&request, &shared).await) }
    });
    let server = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A visitor that breaks off has only itself to answer.
    let _ = server.await;
}

async fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    let uri = request.uri();
    let (status, kind, body) = match uri.path() {
        "/orders" => {
            let turn = uri.query().and_then(|query| query.strip_prefix("turn=")?.parse().ok()).unwrap_or(0);
            (StatusCode::OK, "text/plain", order_for(turn, shared).await.to_owned())
        }
        "/favicon.ico" => (StatusCode::NOT_FOUND, "text/plain", String::new()),
        _ => {
            let turn = {
                let mut turns = shared.turns.lock().unwrap_or_else(PoisonError::into_inner);
                *turns += 1;
                *turns
            };
            let [red, green, blue] = turn_colour(turn);
            let page = PAGE.replace("{{colour}}", &format!("#{red:02x}{green:02x}{blue:02x}"));
            (StatusCode::OK, "text/html; charset=utf-8", page.replace("{{turn}}", &turn.to_string()))
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn order_for(turn: u32, shared: &Shared) -> &'static str {
    let mut orders = shared.order.subscribe();
    *shared.listening.lock().unwrap_or_else(PoisonError::into_inner) = turn;
    match timeout(HOLD, orders.wait_for(|(whose, _)| *whose == turn)).await {
        Ok(Ok(order)) => order.1,
        Ok(Err(_)) | Err(_) => "",
    }
}
