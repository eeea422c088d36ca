//! A display and a user as programs: they speak the contract's WebSocket, and act by noting what came.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use pikiosk::{
    auth::display_key::DisplayKey,
    event::{
        Event, Receipt, Status,
        frame::{Hello, Resume, Resumed, SUBPROTOCOL},
    },
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest},
};

use super::{http, server::Server, wait::seconds};

/// How long anything may take: a fault that is waited out, on a machine that has much else to do.
const LIMIT: Duration = Duration::from_secs(60);

/// One WebSocket to a server.
#[derive(Debug)]
pub struct Socket {
    pub stream: WebSocketStream<TcpStream>,
    said: u64,
}

/// Why a socket ended, or did not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The HTTP status that was given instead of an upgrade.
    Refused(u16),
    Closed(u16, String),
    /// The connection broke.
    Broken,
}

impl Socket {
    /// Opens one with a ticket or token in the header.
    pub async fn open(server: SocketAddr, bearer: &str) -> Result<Socket, End> {
        let mut request = format!("ws://{server}/v1/ws").into_client_request().expect("a URL of ours is one");
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {bearer}").parse().expect("no control characters"));
        headers.insert("sec-websocket-protocol", SUBPROTOCOL.parse().expect("no control characters"));
        let open = async {
            let stream = TcpStream::connect(server).await.map_err(|_| End::Broken)?;
            let _ = stream.set_nodelay(true);
            match client_async(request, stream).await {
                Ok((stream, _)) => Ok(Socket { stream, said: 0 }),
                Err(tungstenite::Error::Http(response)) => Err(End::Refused(response.status().as_u16())),
                Err(_) => Err(End::Broken),
            }
        };
        timeout(LIMIT, open).await.expect("the server answers a handshake")
    }

    /// The next event; panics if nothing comes.
    pub async fn next(&mut self) -> Result<Event, End> {
        timeout(LIMIT, self.take()).await.expect("the server says something")
    }

    /// The next event, however long it takes.
    pub async fn take(&mut self) -> Result<Event, End> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(Event::from_json(text.as_bytes()).expect("events only")),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Err(End::Closed(frame.code.into(), frame.reason.to_string()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(End::Broken),
            }
        }
    }

    /// Reads to the end.
    pub async fn end(&mut self) -> End {
        let read = async {
            loop {
                if let Err(end) = self.take().await {
                    return end;
                }
            }
        };
        timeout(LIMIT, read).await.expect("the server ends the socket")
    }

    /// Answers the close frame that was read, hears the other side out, and is gone.
    pub async fn goodbye(mut self) {
        let _ = timeout(LIMIT, async { while self.stream.next().await.is_some_and(|read| read.is_ok()) {} }).await;
    }

    pub async fn say(&mut self, kind: &str, data: &impl Serialize) -> Result<(), End> {
        self.said += 1;
        let event = Event::new(self.said.to_string(), "tests", kind).with_data(data);
        self.stream.send(Message::text(event.to_json())).await.map_err(|_| End::Broken)
    }

    pub async fn hello(&mut self) -> Result<Hello, End> {
        let event = self.next().await?;
        assert_eq!(event.kind, "kiosk.hello");
        Ok(serde_json::from_str(event.json_data().get()).expect("hello has its data"))
    }

    pub async fn resume(&mut self, resume: &Resume) -> Result<Resumed, End> {
        self.say("kiosk.resume", resume).await?;
        let event = self.next().await?;
        assert_eq!(event.kind, "kiosk.resumed");
        Ok(serde_json::from_str(event.json_data().get()).expect("resumed has its data"))
    }
}

/// A ticket for a user, as the operator gets it.
pub fn ticket(server: &Server, user: &str) -> String {
    let reply = server.post("/v1/tickets", &json!({ "user": user }));
    reply.json()["ticket"].as_str().unwrap_or_else(|| panic!("{}", reply.text())).to_owned()
}

/// What a simulated display did; shared with the test.
#[derive(Debug, Default)]
pub struct Notes {
    /// Ids of the commands it acted on, in order.
    pub acted: Vec<(String, String, u64)>,
    /// How often something came that it had acted on.
    pub again: u64,
    /// How often it connected.
    pub connects: u64,
    receipts: BTreeMap<String, Receipt>,
}

/// A display that is a program: it acts by noting, remembers its receipts, and comes back whenever it is cut.
#[derive(Debug, Clone)]
pub struct FakeDisplay {
    pub id: String,
    key: Arc<DisplayKey>,
    /// Where it connects, each time to the next.
    servers: Vec<SocketAddr>,
    pub notes: Arc<Mutex<Notes>>,
}

impl FakeDisplay {
    /// Enrolls one, with a key made from `seed`.
    pub fn enroll(server: &Server, id: &str, seed: u8) -> FakeDisplay {
        let key = DisplayKey::from_seed([seed; 32]);
        let body = json!({"code": server.enrollment(id), "public_key": key.public_text()});
        let reply = server.post("/v1/enroll", &body);
        assert_eq!(reply.json()["display"], id, "{}", reply.text());
        FakeDisplay { id: id.to_owned(), key: Arc::new(key), servers: vec![server.address], notes: Arc::default() }
    }

    /// From now on it connects to these in turn, as behind a load balancer.
    pub fn over(mut self, servers: &[&Server]) -> FakeDisplay {
        self.servers = servers.iter().map(|server| server.address).collect();
        self
    }

    /// A ticket that its own key asked for.
    pub fn ticket(&self) -> std::io::Result<String> {
        self.ticket_of(self.servers[0])
    }

    /// The same, from one of several servers.
    pub fn ticket_of(&self, server: SocketAddr) -> std::io::Result<String> {
        let answer = self.ask_ticket(server, &format!("http://{server}"), &[])?.json();
        Ok(answer["ticket"].as_str().unwrap_or_default().to_owned())
    }

    /// Asks for a ticket, signed for a server of this name.
    pub fn ask_ticket(&self, server: SocketAddr, origin: &str, more: &[(&str, &str)]) -> std::io::Result<http::Reply> {
        let headers = [&[("Content-Type", "application/json")], more].concat();
        let ask =
            |method, path, body: &str| http::request(server, method, path, &headers, body.as_bytes(), seconds(60));
        let answer: Value = ask("GET", "/v1/nonce", "")?.json();
        let nonce = answer["nonce"].as_str().unwrap_or_default();
        let display = self.id.parse().expect("it is a display id");
        let signature = self.key.sign_ticket_request(origin, &display, nonce).expect("plain text");
        let body = json!({"display": self.id, "nonce": nonce, "signature": signature}).to_string();
        ask("POST", "/v1/tickets", &body)
    }

    /// Acts and gives receipts until the task is ended; whenever the server is away it comes back.
    pub async fn live(self) {
        let mut positions = Resume::default();
        for server in self.servers.iter().copied().cycle() {
            let asker = self.clone();
            let ticket = tokio::task::spawn_blocking(move || asker.ticket_of(server)).await.expect("it does not panic");
            if let Ok(ticket) = ticket
                && let Ok(mut socket) = Socket::open(server, &ticket).await
            {
                let _ = self.session(&mut socket, &mut positions).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn session(&self, socket: &mut Socket, positions: &mut Resume) -> Result<(), End> {
        self.notes.lock().expect("no panic holds it").connects += 1;
        let hello = socket.hello().await?;
        let ours: BTreeSet<_> = hello.addresses.iter().cloned().collect();
        for (address, head) in hello.positions {
            positions.positions.entry(address).or_insert(head);
        }
        positions.positions.retain(|address, _| ours.contains(address));
        socket.resume(positions).await?;
        loop {
            let event = socket.take().await?;
            let Some(receipt) = self.act(&event) else { continue };
            if let (Some(address), Some(position)) = (event.subject.clone(), event.position.clone()) {
                let known = positions.positions.entry(address).or_insert_with(|| position.clone());
                if known.epoch != position.epoch || known.offset < position.offset {
                    *known = position;
                }
            }
            socket.say("kiosk.receipt", &receipt).await?;
        }
    }

    /// Acts once; a repeat gets the receipt that was given.
    fn act(&self, event: &Event) -> Option<Receipt> {
        event.kiosk_name()?;
        let mut notes = self.notes.lock().expect("no panic holds it");
        if let Some(receipt) = notes.receipts.get(&event.id).cloned() {
            notes.again += 1;
            return Some(receipt);
        }
        let position = event.position.clone().expect("an event has its position");
        let address = event.subject.as_ref().expect("an event has its address").to_string();
        notes.acted.push((event.id.clone(), address, position.offset));
        let receipt = Receipt::new(&event.id, &event.source, Status::Done, 1);
        notes.receipts.insert(event.id.clone(), receipt.clone());
        Some(receipt)
    }
}
