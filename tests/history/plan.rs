//! What is published and what goes wrong, from one seed. Pure: the same seed, the same plan.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::log::Number;

/// How large a run is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub displays: usize,
    pub commands: usize,
    pub faults: usize,
    pub publishers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// `kiosk.event`: done at most once.
    Action,
    /// `kiosk.zoom`: the last one counts.
    State,
    /// A type of the publisher's own: for the page, or for a user.
    Plain,
}

#[derive(Debug, Clone)]
pub struct Item {
    pub number: Number,
    pub address: String,
    pub what: What,
    /// An action that may well expire before its display is back.
    pub is_brief: bool,
    /// Bytes that it carries besides: large ones fill the queues of those who do not read.
    pub padding: usize,
    /// Published through the broker, where there is one.
    pub by_broker: bool,
}

/// The moment in its work at which a display dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    Now,
    /// Its disk says that it began the action.
    Begun,
    /// It acted; its disk does not know.
    Acted,
    /// Its disk holds the receipt; nobody was told.
    Kept,
    /// The receipt is in its socket.
    Said,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    KillServer {
        node: usize,
        down_ms: u64,
    },
    /// kill -9, and of what was not synced any sector may be missing.
    CutPower {
        node: usize,
        down_ms: u64,
    },
    KillStore {
        down_ms: u64,
    },
    KillBroker {
        down_ms: u64,
    },
    KillDisplay {
        display: usize,
        when: Death,
        down_ms: u64,
    },
    /// An operator removes the display and enrolls it anew.
    Reborn {
        display: usize,
    },
    Reset {
        road: usize,
    },
    Stall {
        road: usize,
        ms: u64,
    },
    Slices {
        road: usize,
        ms: u64,
    },
    Slow {
        road: usize,
        ms: u64,
    },
    /// Packets of this road's connections vanish.
    BlackHole {
        road: usize,
        ms: u64,
    },
    FullDisk {
        ms: u64,
    },
}

/// What is there to go wrong.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    pub nodes: usize,
    pub power: bool,
    pub store: bool,
    pub broker: bool,
    pub holes: bool,
    pub disk: bool,
    /// Roads of servers to their store and broker.
    pub back_roads: usize,
}

#[derive(Debug)]
pub struct Plan {
    pub size: Size,
    pub events: Vec<Item>,
    /// Each with the number of accepted events at which it strikes, in that order.
    pub faults: Vec<(usize, Fault)>,
}

pub const USERS: [&str; 3] = ["anna", "ben", "zoë.müller"];

pub fn display_id(display: usize) -> String {
    format!("d{display:03}")
}

impl Size {
    /// Whether Redis' file may be written anew. Where it may not, what a power cut left stays in it: the servers must do
    /// with both. At the full size such a file takes a minute to read at each start.
    pub fn may_rewrite(&self, seed: u64) -> bool {
        seed.is_multiple_of(2) || self.commands > 20_000
    }

    pub fn groups(&self) -> usize {
        (self.displays / 10).max(2)
    }

    /// The group of a display; none for those that are removed and enrolled anew.
    pub fn group_of(&self, display: usize) -> Option<String> {
        (!self.is_reborn(display)).then(|| format!("g{}", display % self.groups()))
    }

    /// A display that an operator removes now and then: what waits for it may end as `failed`.
    pub fn is_reborn(&self, display: usize) -> bool {
        display < self.reborn()
    }

    fn reborn(&self) -> usize {
        (self.displays / 50).max(1)
    }

    /// What is for a display that comes and goes travels alone: its 404 would refuse a whole batch.
    pub fn travels_alone(&self, address: &str) -> bool {
        let id = address.strip_prefix("display/");
        (0..self.displays).any(|display| self.is_reborn(display) && id == Some(&display_id(display)))
    }

    /// Clients with a road of their own: displays, users, one that reads widely, publishers.
    pub fn roads(&self) -> usize {
        self.displays + USERS.len() + 1 + self.publishers
    }

    /// The displays that a command to this address reaches, if none is removed at that time.
    pub fn targets(&self, address: &str) -> BTreeSet<String> {
        let all = (0..self.displays).filter(|display| match address.split_once('/') {
            None => true,
            Some(("group", name)) => self.group_of(*display).as_deref() == Some(name),
            Some(("display", id)) => display_id(*display) == id,
            _ => false,
        });
        all.map(display_id).collect()
    }
}

impl Plan {
    pub fn new(seed: u64, size: Size, means: Means) -> Plan {
        let mut rng = Rng::with_seed(seed);
        let mut events: Vec<Item> = Vec::new();
        let mut commands = 0;
        while commands < size.commands {
            let item = item(&mut rng, size, Number::try_from(events.len()).expect("a run is finite"));
            commands += usize::from(item.what != What::Plain);
            events.push(item);
        }
        let faults = (0..size.faults)
            .map(|number| (events.len() * (number + 1) / (size.faults + 2), fault(&mut rng, size, means)))
            .collect();
        Plan { size, events, faults }
    }
}

fn item(rng: &mut Rng, size: Size, number: Number) -> Item {
    let address = match rng.usize(..100) {
        0..2 => "all".to_owned(),
        2..8 => format!("group/g{}", rng.usize(..size.groups())),
        8..16 => format!("user/{}", USERS[rng.usize(..USERS.len())]),
        16..18 => format!("display/{}", display_id(rng.usize(..size.reborn()))),
        _ => format!("display/{}", display_id(rng.usize(..size.displays))),
    };
    let what = match rng.usize(..10) {
        _ if address.starts_with("user/") => What::Plain,
        0 => What::Plain,
        1 => What::State,
        _ => What::Action,
    };
    // Not in a small run: what a connected display lets expire ends after 30 s of grace.
    let is_brief = what == What::Action && rng.usize(..50) == 0 && size.commands >= 10_000;
    // What the broker carries to a display that was just removed is no publish that was refused: it is a dead letter.
    let by_broker = rng.usize(..10) == 0 && !size.travels_alone(&address);
    let padding = match address.split_once('/') {
        Some(("user" | "group", _)) => rng.usize(..16_000),
        _ => rng.usize(..1_000),
    };
    Item { number, address, what, is_brief, padding, by_broker }
}

fn fault(rng: &mut Rng, size: Size, means: Means) -> Fault {
    let down_ms = rng.u64(0..1_500);
    let ms = rng.u64(200..3_000);
    // Those who read most are the first whose queues are full.
    let road = match rng.usize(..4) {
        0 => size.displays + rng.usize(..USERS.len() + 1),
        _ => rng.usize(..size.roads() + means.back_roads),
    };
    let display = rng.usize(..size.displays);
    let node = rng.usize(..means.nodes);
    loop {
        return match rng.usize(..100) {
            0..4 => Fault::KillServer { node, down_ms },
            4..8 if means.power => Fault::CutPower { node, down_ms },
            8..12 if means.store => Fault::KillStore { down_ms },
            12..13 if means.broker => Fault::KillBroker { down_ms },
            13..16 if means.disk => Fault::FullDisk { ms },
            16..50 => {
                let when = [Death::Now, Death::Begun, Death::Acted, Death::Kept, Death::Said][rng.usize(..5)];
                Fault::KillDisplay { display, when, down_ms }
            }
            50..68 => Fault::Reset { road },
            68..76 => Fault::Stall { road, ms },
            76..83 => Fault::Slices { road, ms },
            83..90 => Fault::Slow { road, ms },
            90..97 if means.holes => Fault::BlackHole { road, ms },
            97..100 => Fault::Reborn { display: rng.usize(..size.reborn()) },
            _ => continue,
        };
    }
}
