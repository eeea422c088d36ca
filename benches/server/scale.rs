//! Ten thousand sockets of one server: what each costs, and what it keeps of a flood. And tickets, which live 20 s.

use std::time::Duration;

use crate::{
    crowd::Crowd,
    options::Options,
    peers::{
        Peer,
        pikiosk::{Credential, Pikiosk},
    },
    speed::{self, SETTLE},
    table::{
        Better::{Less, More},
        Table,
    },
};

/// Rests after a flood before memory is looked at: what a server means to give back, it has given back.
const REST: Duration = Duration::from_secs(5);

pub async fn measure(peer: &dyn Peer, options: &Options, table: &mut Table) {
    let name = peer.name();
    let (group, holders) = (peer.processes(), peer.holders());
    let mut crowd = Crowd::new();
    tokio::time::sleep(SETTLE).await;
    let empty = holders.memory();
    for count in [5_000, 10_000].map(|count| options.count(count)) {
        let before = crowd.len();
        peer.admit(before..count).await;
        let cpu = group.cpu();
        crowd.grow(peer, count).await;
        tokio::time::sleep(SETTLE).await;
        let each = (group.cpu() - cpu) * 1e3 / (count - before) as f64;
        let row = format!("scale: connect, {count} open");
        table.add(name, &row, each, ("CPU-ms", Less, "<= 0.15"));
        let row = format!("scale: memory of an idle socket, {count} open");
        table.add(name, &row, (holders.memory() - empty) / count as f64, ("KB", Less, "<= 8, aim 2"));
    }
    let count = crowd.len();
    let messages = 50;
    let rate = speed::fan_out(peer, &crowd, messages, (64, 1)).await;
    let row = format!("scale: flood, {messages} to each of {count}");
    table.add(name, &row, rate / 1e3, ("k/CPU-s", More, ""));
    tokio::time::sleep(REST).await;
    let row = format!("scale: memory of a socket after a flood, {count} open");
    table.add(name, &row, (holders.memory() - empty) / count as f64, ("KB", Less, "<= 12, aim 3"));
}

/// Sockets that come with tickets; minting is not counted.
pub async fn tickets(server: &Pikiosk, options: &Options, table: &mut Table) {
    server.credential.set(Credential::Ticket);
    let sockets = options.count(1000);
    server.admit(0..sockets).await;
    let cpu = server.processes().cpu();
    let mut crowd = Crowd::new();
    crowd.grow(server, sockets).await;
    tokio::time::sleep(SETTLE).await;
    let cpu = server.processes().cpu() - cpu;
    table.add(server.name(), "connect, with a ticket", cpu * 1e3 / sockets as f64, ("CPU-ms", Less, "<= 0.15"));
    server.credential.set(Credential::Jwt);
}
