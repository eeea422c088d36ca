//! nginx with Nchan: WebSocket subscribers, HTTP publishing, one worker, no authentication.

use std::{io, net::SocketAddr, path::Path, process::Command, time::Duration};

use super::{
    Peer, Publisher, To,
    http::{Connection, upgrade},
    payload,
};
use crate::{
    crowd::Joined,
    support::{process::Process, server::free_port, wait::until},
    usage::Group,
};
use futures_util::future::LocalBoxFuture;

/// Where distributions keep it.
const MODULES: [&str; 2] =
    ["/usr/lib/nginx/modules/ngx_nchan_module.so", "/usr/lib64/nginx/modules/ngx_nchan_module.so"];

#[derive(Debug)]
pub struct Nchan {
    address: SocketAddr,
    process: Process,
}

impl Nchan {
    pub fn start(folder: &Path) -> Option<Nchan> {
        let binary = super::installed("nginx")?;
        let module = MODULES.into_iter().find(|path| Path::new(path).is_file())?;
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let folder_text = folder.display();
        // A buffer as long as the flood: with its 10 a reader that is a moment behind misses messages.
        let text = format!(
            "load_module {module};\ndaemon off;\nworker_processes 1;\npid {folder_text}/nginx.pid;\nerror_log stderr crit;\n\
             worker_rlimit_nofile 20000;\nevents {{ worker_connections 19000; }}\n\
             http {{\naccess_log off;\nkeepalive_requests 100000000;\ntcp_nodelay on;\n\
             client_body_temp_path {folder_text}/body;\nproxy_temp_path {folder_text}/proxy;\n\
             fastcgi_temp_path {folder_text}/fastcgi;\nuwsgi_temp_path {folder_text}/uwsgi;\nscgi_temp_path {folder_text}/scgi;\n\
             nchan_shared_memory_size 512M;\nnchan_message_buffer_length 1000;\nnchan_message_timeout 30s;\n\
             server {{\nlisten {address};\n\
             location ~ ^/pub/(.+)$ {{ nchan_publisher http; nchan_channel_id $1; }}\n\
             location ~ ^/sub/(.+)$ {{ nchan_subscriber websocket; nchan_channel_id all $1; nchan_subscriber_first_message newest; }}\n\
             }}\n}}\n"
        );
        let config = folder.join("nginx.conf");
        std::fs::write(&config, text).expect("the config is written");
        let mut command = Command::new(binary);
        command.arg("-c").arg(&config).arg("-p").arg(folder).args(["-e", "stderr"]);
        let process = Process::start("nginx", folder, &mut command);
        until("nginx listens", Duration::from_secs(10), || std::net::TcpStream::connect(address).ok());
        Some(Nchan { address, process })
    }
}

impl Peer for Nchan {
    fn name(&self) -> &'static str {
        "nchan"
    }

    fn processes(&self) -> Group {
        Group(vec![self.process.pid()])
    }

    fn join(&self, number: usize) -> LocalBoxFuture<'_, io::Result<Joined>> {
        Box::pin(async move {
            let (stream, wire, _) = upgrade(self.address, &format!("/sub/{number}"), "").await?;
            Ok(Joined { stream, wire, greetings: 0 })
        })
    }

    fn publisher(&self) -> LocalBoxFuture<'_, Box<dyn Publisher>> {
        Box::pin(async move {
            let connection = Connection::open(self.address).await.expect("nginx listens");
            Box::new(Channels { connection, payload: payload() }) as Box<dyn Publisher>
        })
    }

    fn open_loop(&self) -> bool {
        false
    }
}

struct Channels {
    connection: Connection,
    payload: String,
}

impl Publisher for Channels {
    /// It has no batches: one request after the other.
    fn send<'a>(&'a mut self, to: &'a [To]) -> LocalBoxFuture<'a, ()> {
        Box::pin(async move {
            for to in to {
                let path = match to {
                    To::All => "/pub/all".to_owned(),
                    To::One(number) => format!("/pub/{number}"),
                };
                let (status, body) =
                    self.connection.post(&path, "Accept: text/plain\r\n", &self.payload).await.expect("nginx answers");
                assert!(matches!(status, 200..=202), "{status} {}", String::from_utf8_lossy(body));
            }
        })
    }
}
