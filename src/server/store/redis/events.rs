//! Publishing, and reading what was published.

use std::{collections::HashMap, sync::Arc, sync::atomic::Ordering};

use redis::Value;

use super::{
    EventRecord, Head, History, Publish, Published, Redis, StoreError,
    engine::hex,
    reply,
    scripts::{PUBLISH, READ},
};
use crate::event::{Address, Position, time::UtcMillis};

impl Redis {
    pub async fn publish(&self, batch: Vec<Publish>, now_ms: u64) -> Result<Vec<Published>, StoreError> {
        let limits = &self.engine.limits;
        let mut args: Vec<Vec<u8>> = [
            limits.pending_actions,
            limits.pending_states,
            limits.dedupe_entries,
            limits.addresses,
            limits.history_events,
        ]
        .iter()
        .map(|limit| limit.to_string().into_bytes())
        .collect();
        // Which of the script's answers each event of the batch gets: a repeat inside it gets that of the first.
        let mut places: Vec<(usize, bool, String)> = Vec::with_capacity(batch.len());
        let mut earlier: HashMap<String, usize> = HashMap::new();
        for Publish { mut event, command, expires_ms } in batch {
            let hash = dedupe_hash(&event.source, &event.id);
            let next = earlier.len();
            let place = *earlier.entry(hash.clone()).or_insert(next);
            places.push((place, place == next, event.id.clone()));
            if place != next {
                continue;
            }
            // The facade has refused what has none.
            let Some(address) = event.subject.clone() else { continue };
            event.position = None;
            event.token = None;
            event.expirytime = event.expirytime.or(expires_ms.map(UtcMillis));
            let mut text = event.to_json();
            // The script puts epoch, offset and the brace: only there are they known.
            text.truncate(text.len() - 1);
            args.push(hash.into_bytes());
            args.push(event.id.into_bytes());
            args.push(event.source.into_bytes());
            args.push(address.to_string().into_bytes());
            args.push(reply::queue_name(command).into_bytes());
            args.push(expires_ms.map(|at| at.to_string()).unwrap_or_default().into_bytes());
            args.push(text.into_bytes());
        }
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let mut answer = self.engine.call(&PUBLISH, now_ms, &args).await?.into_iter();
        match reply::text(reply::next(&mut answer)?)?.as_str() {
            "ok" => {}
            "not_enrolled" => {
                let display = reply::display(&reply::text(reply::next(&mut answer)?)?)?;
                return Err(StoreError::NotEnrolled(display));
            }
            "queue_full" => {
                let display = reply::display(&reply::text(reply::next(&mut answer)?)?)?;
                return Err(StoreError::QueueFull { display, limit: limits.pending_actions });
            }
            "full" => {
                return Err(match reply::text(reply::next(&mut answer)?)?.as_str() {
                    "ids" => StoreError::Full { what: "event ids", limit: limits.dedupe_entries },
                    "addresses" => StoreError::Full { what: "addresses", limit: limits.addresses },
                    _ => StoreError::Full { what: "commands to displays in one batch", limit: ROWS_MAX },
                });
            }
            _ => return Err(self.emptied().await),
        }
        let stored = answer.map(placed).collect::<Result<Vec<_>, _>>()?;
        let fresh = stored.iter().filter(|one| one.fresh).count() as u64;
        self.engine.events.fetch_add(fresh, Ordering::Relaxed);
        let mut published = Vec::with_capacity(places.len());
        for (place, is_first, id) in places {
            let one = stored.get(place).ok_or_else(|| reply::damaged("a publish was not answered"))?;
            published.push(Published { id, fresh: one.fresh && is_first, ..one.clone() });
        }
        Ok(published)
    }

    /// Somebody emptied this Redis while we run: it is made anew, and the publisher comes again.
    pub(super) async fn emptied(&self) -> StoreError {
        match self.engine.attach().await {
            Ok(()) => StoreError::Unreachable("it was emptied; the store began anew".into()),
            Err(error) => error,
        }
    }

    pub async fn event(&self, id: &str, source: Option<&str>) -> Result<Option<EventRecord>, StoreError> {
        let hash = source.map(|source| dedupe_hash(source, id)).unwrap_or_default();
        let mut answer = self.read(&[b"event", hash.as_bytes(), id.as_bytes()]).await?;
        if reply::text(reply::next(&mut answer)?)? != "ok" {
            return Ok(None);
        }
        let event = reply::committed(reply::next(&mut answer)?)?;
        let mut record = EventRecord { event: Arc::new(event), receipts: Vec::new(), pending: Vec::new() };
        let mut rows = reply::list(reply::next(&mut answer)?)?.into_iter();
        while let Some(display) = rows.next() {
            let display = reply::display(&reply::text(display)?)?;
            match reply::bytes(reply::next(&mut rows)?)?.as_slice() {
                [] => record.pending.push(display),
                receipt => record.receipts.push((display, reply::json(receipt)?)),
            }
        }
        record.pending.sort();
        record.receipts.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(Some(record))
    }

    pub async fn history(&self, address: &Address, after: u64, limit: usize) -> Result<History, StoreError> {
        let (address, after, limit) = (address.to_string(), after.to_string(), limit.to_string());
        let mut answer = self.read(&[b"history", address.as_bytes(), after.as_bytes(), limit.as_bytes()]).await?;
        reply::next(&mut answer)?;
        let head = head(reply::next(&mut answer)?)?;
        let as_of = reply::number(reply::next(&mut answer)?)?;
        let more = reply::number(reply::next(&mut answer)?)? == 1;
        let events = reply::list(reply::next(&mut answer)?)?;
        let events = events.into_iter().map(|row| reply::committed(row).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(History { head, events, more, as_of })
    }

    pub async fn heads(&self, addresses: &[Address]) -> Result<Vec<(Address, Head)>, StoreError> {
        let names: Vec<String> = addresses.iter().map(Address::to_string).collect();
        let mut args: Vec<&[u8]> = vec![b"heads"];
        args.extend(names.iter().map(|name| name.as_bytes()));
        let mut answer = self.read(&args).await?;
        reply::next(&mut answer)?;
        let heads = answer.map(head).collect::<Result<Vec<_>, _>>()?;
        Ok(addresses.iter().cloned().zip(heads).collect())
    }

    async fn read(&self, args: &[&[u8]]) -> Result<std::vec::IntoIter<Value>, StoreError> {
        let answer = self.engine.call(&READ, 0, args).await?;
        if matches!(answer.first(), Some(Value::BulkString(word)) if word == b"no_store") {
            return Err(self.emptied().await);
        }
        Ok(answer.into_iter())
    }
}

/// As in publish.lua.
const ROWS_MAX: u64 = 200_000;

/// One answer of a publish: fresh, commit, offset, epoch, address.
fn placed(value: Value) -> Result<Published, StoreError> {
    let mut row = reply::list(value)?.into_iter();
    let fresh = reply::number(reply::next(&mut row)?)? == 1;
    let commit = reply::number(reply::next(&mut row)?)?;
    let offset = reply::number(reply::next(&mut row)?)?;
    let epoch = reply::text(reply::next(&mut row)?)?;
    let address = reply::text(reply::next(&mut row)?)?;
    let address = address.parse().map_err(|error| reply::damaged(&format!("an address: {error}")))?;
    Ok(Published { id: String::new(), address, position: Position { epoch, offset }, commit, fresh })
}

fn head(value: Value) -> Result<Head, StoreError> {
    let mut row = reply::list(value)?.into_iter();
    let epoch = reply::text(reply::next(&mut row)?)?;
    let last = reply::number(reply::next(&mut row)?)?;
    Ok(Head { epoch, last, first: reply::number(reply::next(&mut row)?)? })
}

/// The first 16 bytes of SHA-256 over source and id, which cannot hold a NUL, as hex digits.
pub(super) fn dedupe_hash(source: &str, id: &str) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(source.as_bytes());
    context.update(b"\0");
    context.update(id.as_bytes());
    hex(&context.finish().as_ref()[..16])
}
