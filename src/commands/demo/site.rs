//! The web site that the demo shows: a harbour café, in this process, on loopback.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The site; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Site {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Site {
    pub async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, pages()).await {
                tracing::error!(%error, "the demo's site ended");
            }
        });
        Ok(Self { address, server })
    }

    pub fn url(&self, page: &str) -> String {
        format!("http://{}/{page}", self.address)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn pages() -> Router {
    let visits = Arc::new(AtomicU64::new(0));
    Router::new()
        .route("/menu", get(|| async { Html(include_str!("../../../assets/demo/menu.html")) }))
        .route("/orders", get(|| async { Html(include_str!("../../../assets/demo/orders.html")) }))
        .route("/departures", get(departures))
        .route("/visits", get(count))
        .route("/lighthouse.svg", get(lighthouse))
        .with_state(visits)
}

/// Forbids all that a page can forbid: nothing that lies over it may come from within the page.
async fn departures() -> impl IntoResponse {
    let forbidden = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    let headers = [(X_FRAME_OPTIONS, "DENY"), (CONTENT_SECURITY_POLICY, forbidden)];
    (headers, Html(include_str!("../../../assets/demo/strict.html")))
}

async fn count(State(visits): State<Arc<AtomicU64>>) -> impl IntoResponse {
    let visit = visits.fetch_add(1, Ordering::Relaxed) + 1;
    let page = include_str!("../../../assets/demo/visits.html").replace("{{count}}", &visit.to_string());
    ([(CACHE_CONTROL, "no-store")], Html(page))
}

async fn lighthouse() -> impl IntoResponse {
    ([(CONTENT_TYPE, "image/svg+xml")], include_str!("../../../assets/demo/lighthouse.svg"))
}
