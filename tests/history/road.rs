//! The way of one client to one node: a loopback proxy on which the weather changes.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream, tcp},
    sync::watch,
    time::sleep,
};

/// How a road is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Nothing passes, in either direction, until it changes.
    Stalled,
    /// A few bytes at a time.
    Sliced,
    /// 16 KiB a second.
    Slow,
}

#[derive(Debug, Clone, Copy)]
struct Sky {
    weather: Weather,
    /// Connections of an older generation are reset.
    generation: u64,
}

#[derive(Debug)]
pub struct Road {
    pub address: SocketAddr,
    sky: watch::Sender<Sky>,
    /// Ports of this machine from which its connections reach the node.
    ports: Mutex<Vec<u16>>,
}

impl Road {
    /// Opens one to `node`. It ends with the runtime.
    pub async fn open(node: SocketAddr) -> io::Result<Arc<Road>> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let (sky, _) = watch::channel(Sky { weather: Weather::Fair, generation: 0 });
        let road = Arc::new(Road { address: listener.local_addr()?, sky, ports: Mutex::default() });
        let accepting = road.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let road = accepting.clone();
                tokio::spawn(async move {
                    // A node that is down refuses: the client sees its connection end.
                    let Ok(server) = connect(node).await else { return };
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    road.carry(client, server).await;
                });
            }
        });
        Ok(road)
    }

    pub fn turn(&self, weather: Weather) {
        self.sky.send_modify(|sky| sky.weather = weather);
    }

    /// Every connection there is now ends with RST.
    pub fn reset(&self) {
        self.sky.send_modify(|sky| sky.generation += 1);
    }

    pub fn ports(&self) -> Vec<u16> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn carry(&self, client: TcpStream, server: TcpStream) {
        let port = server.local_addr().map_or(0, |address| address.port());
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).push(port);
        let generation = self.sky.borrow().generation;
        let (mut client, mut server) = (client, server);
        let is_reset = {
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            tokio::select! {
                is_reset = self.copy(from_client, to_server, generation) => is_reset,
                is_reset = self.copy(from_server, to_client, generation) => is_reset,
            }
        };
        if is_reset {
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| *one != port);
    }

    /// True if the connection is to be reset; false when a side is gone.
    async fn copy(&self, mut from: tcp::ReadHalf<'_>, mut to: tcp::WriteHalf<'_>, generation: u64) -> bool {
        let mut sky = self.sky.subscribe();
        let mut buffer = [0; 16 * 1024];
        loop {
            let now = *sky.borrow_and_update();
            if now.generation != generation {
                return true;
            }
            let most = match now.weather {
                Weather::Fair => buffer.len(),
                Weather::Sliced => 7,
                Weather::Slow => 512,
                Weather::Stalled => {
                    if sky.changed().await.is_err() {
                        return false;
                    }
                    continue;
                }
            };
            let read = tokio::select! {
                read = from.read(&mut buffer[..most]) => read,
                _ = sky.changed() => continue,
            };
            let Ok(length @ 1..) = read else { return false };
            // What was read is on its way; a stall or a reset strikes what comes after it, or the write itself.
            let passed = tokio::select! {
                passed = to.write_all(&buffer[..length]) => passed,
                () = reset(self.sky.subscribe(), generation) => return true,
            };
            if passed.is_err() {
                return false;
            }
            if now.weather == Weather::Slow {
                sleep(Duration::from_millis(length as u64 * 1000 / (16 * 1024))).await;
            }
        }
    }
}

/// What waits for a client is to wait in the server, where it counts, and not in the road.
async fn connect(node: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4 * 1024)?;
    socket.connect(node).await
}

async fn reset(mut sky: watch::Receiver<Sky>, generation: u64) {
    let _ = sky.wait_for(|sky| sky.generation != generation).await;
}
