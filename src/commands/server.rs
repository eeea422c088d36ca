//! `pikiosk server`: the event server, until a signal ends it.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{
    cli::Json,
    failure::{Exit, Failure},
    output,
};
use crate::{
    config::{ServerSettings, Sources},
    io::{descriptors, notify},
    server::{self, open::Opened},
};

/// What follows the goodbye: connections that end, and the store.
const END_WAIT: Duration = Duration::from_secs(20);

/// Descriptors that are for no connection: the store, brokers, results that come and go.
const OWN_DESCRIPTORS: u64 = 256;

/// Runs the event server that pushes to displays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pikiosk server --data ./data
  pikiosk server --listen 0.0.0.0:8400 --data /srv/pikiosk --redis redis://127.0.0.1:6379/0
  pikiosk server --config ./server.toml

The first start writes the operator's key to DATA/operator.key. SIGTERM and Ctrl-C end the server:
sockets are told to come back, over up to [limits] goodbye_seconds, and what was answered is on
disk. A socket that systemd holds (pikiosk-server.socket) goes before --listen. Port 0 takes a free
port and prints it.")]
pub struct Args {
    /// Address and port to listen on; without it, listen of server.toml, else 127.0.0.1:8400.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The folder of the store and of operator.key; without it, data of server.toml, else /var/lib/pikiosk-server.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A Redis in which your web application mints tickets.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Read this server.toml, and none of the folders.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

pub fn run(args: Args) -> Result<Exit, Failure> {
    let data = args.data.map(|path| path.to_string_lossy().into_owned());
    let sources = Sources::system()
        .with_file(args.config)
        .with_flag("--listen", "listen", args.listen)
        .with_flag("--data", "data", data)
        .with_flag("--redis", "tickets.redis", args.redis);
    let settings = ServerSettings::load(&sources).map_err(|source| Failure::Config { source })?.settings;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Failure::Runtime { source })?;
    let ended = runtime.block_on(serve(&settings, args.json.json));
    // A request to a store or Redis that hangs does not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(2));
    ended
}

async fn serve(settings: &ServerSettings, json: bool) -> Result<Exit, Failure> {
    // Before anything is open: a signal from here on ends the server in order.
    let shutdown = signals(settings.limits.goodbye())?;
    let mut opened =
        server::open(settings, server::now_ms()).await.map_err(|source| Failure::ServerStart { source })?;
    opened.settings.connections = opened.settings.connections.min(connections_max());
    let (address, listener) = match notify::inherited_listener().map_err(|source| Failure::Inherit { source })? {
        Some(held) => listening(async { TcpListener::from_std(held) }).await,
        None => listening(TcpListener::bind(settings.listen)).await,
    }
    .map_err(|source| Failure::Listen { address: settings.listen, source })?;
    say(&opened, address, json)?;
    notify::ready();
    notify::status(&format!("Listening on http://{address}"));
    server::serve(listener, opened.settings, opened.parts, shutdown).await;
    Ok(Exit::Done)
}

/// For how many connections there are descriptors. Where one too few is left, the store and the brokers fail with the sockets.
fn connections_max() -> usize {
    match descriptors::take_all() {
        Ok(allowed) => usize::try_from(allowed.saturating_sub(OWN_DESCRIPTORS).max(1)).unwrap_or(usize::MAX),
        Err(error) => {
            tracing::warn!(%error, "how many connections there may be is not known: ulimit -n may be less than they need");
            usize::MAX
        }
    }
}

async fn listening(socket: impl Future<Output = io::Result<TcpListener>>) -> io::Result<(SocketAddr, TcpListener)> {
    let listener = socket.await?;
    Ok((listener.local_addr()?, listener))
}

fn say(opened: &Opened, address: SocketAddr, json: bool) -> Result<(), Failure> {
    let key = &opened.operator_key;
    if json {
        let listening = json!({"listening": format!("http://{address}"), "operator_key_file": key});
        return output::line(&listening.to_string());
    }
    output::line(&format!("listening on http://{address}"))?;
    let new = if opened.key_is_new { ", made just now" } else { "" };
    output::line(&format!("the operator's key is in {}{new}", key.display()))?;
    let server = if address.port() == 8400 && address.ip().is_loopback() {
        String::new()
    } else {
        format!(" PIKIOSK_SERVER=http://{address}")
    };
    output::line(&format!("to enroll a display:{server} PIKIOSK_KEY_FILE={} pikiosk enroll", key.display()))
}

fn signals(goodbye: Duration) -> Result<impl Future<Output = ()>, Failure> {
    let on = |kind| signal(kind).map_err(|source| Failure::Runtime { source });
    let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("the server ends: sockets are told to come back");
        notify::stopping();
        notify::extend_stop(goodbye + END_WAIT);
    })
}
