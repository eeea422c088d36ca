//! A simulated display: it acts by noting it, and keeps on its disk what the contract tells it to keep.
//!
//! Its disk outlives it, the rest of it does not: kill -9 ends its task wherever it is, or at the moment in its work
//! that the plan names.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pikiosk::{
    auth::display_key::DisplayKey,
    event::{
        Event, Position, Receipt, Status,
        frame::{Resume, ServerFrame},
        receipt::INTERRUPTED,
    },
};
use serde_json::json;
use tokio::time::sleep;

use super::{
    log::{Log, Number, Place, Saw},
    plan::Death,
    wire::{Ended, Http, Socket},
};

/// How soon a client whose socket ended comes back.
const COME_BACK: Duration = Duration::from_millis(50);

/// What a display has on its disk.
#[derive(Debug, Default)]
struct Disk {
    /// Actions that were begun; a receipt may follow.
    begun: HashSet<Number>,
    receipts: HashMap<Number, (Status, Option<String>)>,
    positions: BTreeMap<String, Position>,
}

/// A node as a client knows it: its road there, and its own address.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    pub road: SocketAddr,
    pub node: SocketAddr,
}

/// One display, whichever of its lives it is in.
#[derive(Debug, Clone)]
pub struct Display {
    pub id: String,
    pub key: Arc<DisplayKey>,
    pub log: Log,
    ways: Arc<[Way]>,
    disk: Arc<Mutex<Disk>>,
    /// When it is to die; `Death::Now` is done from outside.
    death: Arc<Mutex<Option<Death>>>,
    /// Which way it goes next: a display that comes back may come to another node.
    turn: Arc<AtomicUsize>,
}

/// Why one life goes on no more.
enum Over {
    Socket(Ended),
    Died,
}

impl From<Ended> for Over {
    fn from(ended: Ended) -> Over {
        Over::Socket(ended)
    }
}

impl Display {
    pub fn new(id: String, seed: u8, ways: Arc<[Way]>, log: Log) -> Display {
        let key = Arc::new(DisplayKey::from_seed([seed; 32]));
        Display { id, key, log, ways, disk: Arc::default(), death: Arc::default(), turn: Arc::default() }
    }

    /// Asks it to die at that moment of its work, whenever that comes.
    pub fn die_at(&self, when: Death) {
        *self.death.lock().unwrap_or_else(PoisonError::into_inner) = Some(when);
    }

    pub fn forget_death(&self) {
        *self.death.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn dies(&self, here: Death) -> Result<(), Over> {
        let mut death = self.death.lock().unwrap_or_else(PoisonError::into_inner);
        if *death == Some(here) {
            *death = None;
            return Err(Over::Died);
        }
        Ok(())
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One life: it ends by kill -9 only, and then with nothing but its disk.
    pub async fn live(self) {
        let mut glass = None;
        loop {
            let way = self.ways[self.turn.fetch_add(1, Ordering::Relaxed) % self.ways.len()];
            if let Some(ticket) = self.ticket(way).await
                && let Ok(mut socket) = Socket::open(way.road, &ticket).await
            {
                match self.session(&mut socket, &mut glass).await {
                    Over::Socket(Ended(code)) => self.log.add(Saw::Ended(code)),
                    Over::Died => return,
                }
            }
            sleep(COME_BACK).await;
        }
    }

    async fn ticket(&self, way: Way) -> Option<String> {
        let mut http = Http::connect(way.road, way.node).await?;
        let (_, answer) = http.json("GET", "/v1/nonce", None, &json!(null)).await?;
        let nonce = answer["nonce"].as_str()?;
        let origin = format!("http://{}", way.node);
        let signature = self.key.sign_ticket_request(&origin, &self.id.parse().ok()?, nonce).ok()?;
        let body = json!({"display": self.id, "nonce": nonce, "signature": signature});
        let (_, answer) = http.json("POST", "/v1/tickets", None, &body).await?;
        Some(answer["ticket"].as_str()?.to_owned())
    }

    async fn session(&self, socket: &mut Socket, glass: &mut Option<Number>) -> Over {
        match self.converse(socket, glass).await {
            Ok(()) => Over::Socket(Ended(0)),
            Err(over) => over,
        }
    }

    async fn converse(&self, socket: &mut Socket, glass: &mut Option<Number>) -> Result<(), Over> {
        let heads = hello(socket, &self.log).await?;
        let positions = {
            let disk = &mut *self.disk();
            take_heads(&mut disk.positions, &heads);
            disk.positions.clone()
        };
        resume(socket, &self.log, positions).await?;
        begin_anew(&mut self.disk().positions, &heads);
        loop {
            let event = socket.next().await?;
            let Some((number, place)) = planned(&event) else { continue };
            self.log.add(Saw::Got(number, place.clone()));
            match event.kind.as_str() {
                "kiosk.zoom" => self.paint(number, &place, glass, socket).await?,
                "kiosk.event" => self.act(number, &place, socket).await?,
                _ => self.disk().pass(&place),
            }
        }
    }

    /// State: painted whenever it is not on the glass, with the receipt of the first time.
    async fn paint(
        &self,
        number: Number,
        place: &Place,
        glass: &mut Option<Number>,
        socket: &mut Socket,
    ) -> Result<(), Over> {
        if *glass != Some(number) {
            *glass = Some(number);
            self.log.add(Saw::Acted(number));
        }
        self.disk().keep(number, Status::Done, None, place);
        self.dies(Death::Kept)?;
        self.receipt(number, socket).await
    }

    /// An action: done once, and never again if it was begun.
    async fn act(&self, number: Number, place: &Place, socket: &mut Socket) -> Result<(), Over> {
        let (known, begun) = {
            let mut disk = self.disk();
            (disk.receipts.contains_key(&number), !disk.begun.insert(number))
        };
        if known {
            return self.receipt(number, socket).await;
        }
        if begun {
            self.disk().keep(number, Status::Failed, Some(INTERRUPTED), place);
            return self.receipt(number, socket).await;
        }
        self.dies(Death::Begun)?;
        tokio::task::yield_now().await;
        self.log.add(Saw::Acted(number));
        self.dies(Death::Acted)?;
        tokio::task::yield_now().await;
        self.disk().keep(number, Status::Done, None, place);
        self.dies(Death::Kept)?;
        self.receipt(number, socket).await?;
        self.dies(Death::Said)
    }

    async fn receipt(&self, number: Number, socket: &mut Socket) -> Result<(), Over> {
        let Some((status, error)) = self.disk().receipts.get(&number).cloned() else { return Ok(()) };
        let mut receipt = Receipt::new(format!("e{number}"), super::publisher::SOURCE, status, 1);
        receipt.error = error;
        self.log.add(Saw::Said(number, status));
        Ok(socket.say("kiosk.receipt", &receipt).await?)
    }
}

impl Disk {
    /// Receipt and position together, as one write. The first receipt stays.
    fn keep(&mut self, number: Number, status: Status, error: Option<&str>, place: &Place) {
        self.receipts.entry(number).or_insert((status, error.map(str::to_owned)));
        self.pass(place);
    }

    fn pass(&mut self, place: &Place) {
        advance(&mut self.positions, place);
    }
}

/// Notes how far an address was read; what is given again does not go back.
pub fn advance(positions: &mut BTreeMap<String, Position>, place: &Place) {
    let position = Position { epoch: place.epoch.to_string(), offset: place.offset };
    let known = positions.entry(place.address.to_string()).or_insert_with(|| position.clone());
    if known.epoch != position.epoch || known.offset < position.offset {
        *known = position;
    }
}

/// Hello: returns where the client's addresses stand.
pub async fn hello(socket: &mut Socket, log: &Log) -> Result<BTreeMap<String, Position>, Ended> {
    let Ok(ServerFrame::Hello(hello)) = ServerFrame::read(socket.next().await?) else { return Err(Ended(1)) };
    let heads: BTreeMap<String, Position> =
        hello.positions.into_iter().map(|(address, head)| (address.to_string(), head)).collect();
    log.add(Saw::Opened { heads: heads.clone() });
    Ok(heads)
}

/// Resume from these positions, and what the server says to it.
pub async fn resume(socket: &mut Socket, log: &Log, positions: BTreeMap<String, Position>) -> Result<(), Ended> {
    let named = positions.iter().filter_map(|(address, at)| Some((address.parse().ok()?, at.clone()))).collect();
    socket.say("kiosk.resume", &Resume { positions: named }).await?;
    let Ok(ServerFrame::Resumed(resumed)) = ServerFrame::read(socket.next().await?) else { return Err(Ended(1)) };
    let recovered = resumed.recovered.into_iter().map(|(address, is)| (address.to_string(), is)).collect();
    log.add(Saw::Resumed { asked: positions, recovered });
    Ok(())
}

/// An address that is new to a client starts at its head, from the first hello on: a client that is cut before it
/// resumes must not start later. Addresses that are no longer its own are forgotten.
pub fn take_heads(positions: &mut BTreeMap<String, Position>, heads: &BTreeMap<String, Position>) {
    positions.retain(|address, _| heads.contains_key(address));
    for (address, head) in heads {
        positions.entry(address.clone()).or_insert_with(|| head.clone());
    }
}

/// A history that was lost begins anew: everything that is kept of it follows.
pub fn begin_anew(positions: &mut BTreeMap<String, Position>, heads: &BTreeMap<String, Position>) {
    for (address, position) in positions {
        if let Some(head) = heads.get(address)
            && head.epoch != position.epoch
        {
            *position = Position { epoch: head.epoch.clone(), offset: 0 };
        }
    }
}

/// The number and place of an event of the plan.
pub fn planned(event: &Event) -> Option<(Number, Place)> {
    let number = event.id.strip_prefix('e')?.parse().ok()?;
    let (address, at) = (event.subject.as_ref()?.to_string(), event.position.as_ref()?);
    Some((number, Place { address: address.into(), epoch: at.epoch.as_str().into(), offset: at.offset }))
}
