//! Enrolled displays, their groups, and the codes that enroll them. Rust decides, one script changes what was read.

use std::{collections::HashMap, sync::Arc};

use redis::Value;
use serde::{Deserialize, Serialize};

use super::{
    DisplayPatch, DisplayRow, EnrollError, Enrolled, KeptDisplay, Redeem, Redis, StoreError,
    engine::hex,
    handle::Seen,
    reply,
    scripts::{REMOVE, SMALL, SWAP},
};
use crate::{
    auth::enrollment::{self, Offer, Refusal, Spent, Verdict},
    event::{DisplayId, health::Health},
};

/// How often a change is tried because another node changed the same meanwhile.
const TRIES: usize = 16;

/// What stands in Redis of a display that was heard of.
#[derive(Serialize, Deserialize)]
struct SeenRow {
    at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
}

/// One change of a few fields, which happens only if they are as they were read.
#[derive(Default)]
struct Change {
    fields: Vec<[String; 4]>,
    rest: Vec<[String; 3]>,
}

impl Change {
    fn field(&mut self, hash: &str, field: &str, old: &str, new: &str) {
        self.fields.push([hash.to_owned(), field.to_owned(), old.to_owned(), new.to_owned()]);
    }

    fn member(&mut self, sign: &str, group: &str, display: &DisplayId) {
        self.rest.push([sign.to_owned(), format!("members:{group}"), display.to_string()]);
    }

    fn at_most(&mut self, hash: &str, limit: u64) {
        self.rest.push(["<".to_owned(), hash.to_owned(), limit.to_string()]);
    }
}

/// What became of a change.
#[derive(PartialEq, Eq)]
enum Changed {
    Done,
    /// Somebody else was first: read again.
    Again,
    Full,
}

impl Redis {
    pub async fn displays(&self) -> Result<Vec<DisplayRow>, StoreError> {
        let rows = self.hash("displays").await?;
        let mut seen = self.hash("seen").await?;
        let mut found = Vec::with_capacity(rows.len());
        for (id, row) in rows {
            let seen = seen.remove(&id);
            found.push(self.row(reply::display(&id)?, &row, seen.as_deref())?);
        }
        found.sort_by(|one: &DisplayRow, other| one.id.cmp(&other.id));
        Ok(found)
    }

    pub async fn display(&self, id: &DisplayId) -> Result<Option<DisplayRow>, StoreError> {
        let Some(row) = self.field("displays", id.as_str()).await? else { return Ok(None) };
        let seen = self.field("seen", id.as_str()).await?;
        self.row(id.clone(), row.as_bytes(), seen.as_deref().map(str::as_bytes)).map(Some)
    }

    /// The row with when it was last heard of, by this node or another.
    fn row(&self, id: DisplayId, row: &[u8], elsewhere: Option<&[u8]>) -> Result<DisplayRow, StoreError> {
        let KeptDisplay { label, groups, public_key, enrolled_ms, last_seen_ms } = reply::json(row)?;
        let elsewhere = elsewhere.map(reply::json::<SeenRow>).transpose()?;
        let here = self.seen_here().get(&id).cloned();
        let (mut last_seen_ms, mut health) = match elsewhere {
            Some(SeenRow { at_ms, health }) => (Some(at_ms), health.map(Arc::new)),
            None => (last_seen_ms, None),
        };
        if let Some(here) = here
            && last_seen_ms.is_none_or(|at_ms| at_ms <= here.at_ms)
        {
            last_seen_ms = Some(here.at_ms);
            health = here.health.or(health);
        }
        Ok(DisplayRow { id, label, groups, public_key, enrolled_ms, last_seen_ms, health })
    }

    pub async fn patch_display(&self, id: &DisplayId, patch: DisplayPatch) -> Result<DisplayRow, StoreError> {
        for _ in 0..TRIES {
            let old = self.field("displays", id.as_str()).await?;
            let old = old.ok_or_else(|| StoreError::NotEnrolled(id.clone()))?;
            let mut row: KeptDisplay = reply::json(old.as_bytes())?;
            let mut change = Change::default();
            if let Some(label) = &patch.label {
                row.label.clone_from(label);
            }
            if let Some(groups) = &patch.groups {
                for left in row.groups.difference(groups) {
                    change.member("-", left.as_str(), id);
                }
                for joined in groups.difference(&row.groups) {
                    change.member("+", joined.as_str(), id);
                }
                row.groups.clone_from(groups);
            }
            let new = reply::to_json(&row);
            change.field("displays", id.as_str(), &old, &new);
            if self.swap(change).await? == Changed::Done {
                let seen = self.field("seen", id.as_str()).await?;
                return self.row(id.clone(), new.as_bytes(), seen.as_deref().map(str::as_bytes));
            }
        }
        Err(StoreError::Busy)
    }

    /// Takes in a display as it was under another id; false if the id is taken.
    pub async fn adopt_display(&self, id: &DisplayId, row: KeptDisplay) -> Result<bool, StoreError> {
        let mut change = Change::default();
        change.field("displays", id.as_str(), "", &reply::to_json(&row));
        for group in &row.groups {
            change.member("+", group.as_str(), id);
        }
        Ok(self.swap(change).await? == Changed::Done)
    }

    pub async fn remove_display(&self, id: &DisplayId, now_ms: u64) -> Result<(), StoreError> {
        let answer = self.engine.call(&REMOVE, now_ms, &[id.as_str().as_bytes()]).await?;
        self.seen_here().remove(id);
        match reply::text(reply::next(&mut answer.into_iter())?)?.as_str() {
            "ok" => Ok(()),
            _ => Err(StoreError::NotEnrolled(id.clone())),
        }
    }

    pub fn seen(&self, display: &DisplayId, health: Option<Health>, now_ms: u64) {
        let mut seen = self.seen_here();
        let seen = seen.entry(display.clone()).or_default();
        *seen = Seen { at_ms: now_ms, health: health.map(Arc::new).or(seen.health.take()), saved: false };
    }

    /// Writes what this node heard of displays since the last time. What fails is written with the next.
    pub(super) async fn save_seen(&self) {
        let fresh: Vec<(DisplayId, u64, String)> = {
            let seen = self.seen_here();
            let unsaved = seen.iter().filter(|(_, seen)| !seen.saved);
            let row = |seen: &Seen| SeenRow { at_ms: seen.at_ms, health: seen.health.as_deref().cloned() };
            unsaved.map(|(id, seen)| (id.clone(), seen.at_ms, reply::to_json(&row(seen)))).collect()
        };
        if fresh.is_empty() {
            return;
        }
        let mut args: Vec<&[u8]> = vec![b"seen"];
        for (id, _, row) in &fresh {
            args.push(id.as_str().as_bytes());
            args.push(row.as_bytes());
        }
        if self.engine.call(&SMALL, 0, &args).await.is_ok() {
            let mut seen = self.seen_here();
            for (id, at_ms, _) in &fresh {
                if let Some(seen) = seen.get_mut(id).filter(|seen| seen.at_ms == *at_ms) {
                    seen.saved = true;
                }
            }
        }
    }

    pub async fn create_enrollment(
        &self,
        display: Option<DisplayId>,
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<(String, u64), StoreError> {
        let code = enrollment::code_text(self.random());
        let hash = enrollment::code_hash(&code).expect("a code that was just made has the form of one");
        let offer = Offer { display, expires_ms: now_ms.saturating_add(ttl_ms), tries: 0, spent: None };
        let limit = self.engine.limits.enrollments;
        for round in 0..2 {
            let mut change = Change::default();
            change.field("offers", &hex(&hash), "", &reply::to_json(&offer));
            change.at_most("offers", limit);
            match self.swap(change).await? {
                Changed::Done => return Ok((code, offer.expires_ms)),
                Changed::Full if round == 0 => self.forget_offers(now_ms).await?,
                Changed::Full | Changed::Again => break,
            }
        }
        Err(StoreError::Full { what: "enrollment codes", limit })
    }

    async fn forget_offers(&self, now_ms: u64) -> Result<(), StoreError> {
        for (hash, row) in self.hash("offers").await? {
            let offer: Offer = reply::json(&row)?;
            if offer.is_forgettable(now_ms) {
                let mut change = Change::default();
                change.field("offers", &hash, &reply::to_json(&offer), "");
                // One that changed meanwhile is somebody's: it stays.
                self.swap(change).await?;
            }
        }
        Ok(())
    }

    pub async fn redeem(&self, redeem: Redeem, now_ms: u64) -> Result<Enrolled, EnrollError> {
        let refuse = |why: &'static str| Err(EnrollError::Code(why));
        let made_up = enrollment::made_up_id(self.random());
        let Some(hash) = enrollment::code_hash(&redeem.code) else { return refuse("it has not the form of a code") };
        let hash = hex(&hash);
        for _ in 0..TRIES {
            let Some(old_offer) = self.field("offers", &hash).await? else { return refuse("no such code") };
            let mut offer: Offer = reply::json(old_offer.as_bytes())?;
            let wanted = redeem.display.as_ref();
            let spent = offer.spent.as_ref().map(|spent| &spent.display);
            let mut rows: HashMap<DisplayId, String> = HashMap::new();
            for id in [offer.display.as_ref(), wanted, spent, Some(&made_up)].into_iter().flatten() {
                if let Some(row) = self.field("displays", id.as_str()).await? {
                    rows.insert(id.clone(), row);
                }
            }
            let mut known: HashMap<DisplayId, KeptDisplay> = HashMap::new();
            for (id, row) in &rows {
                known.insert(id.clone(), reply::json(row.as_bytes())?);
            }
            let key_of = |id: &DisplayId| known.get(id).map(|row| row.public_key);
            let mut change = Change::default();
            let outcome = match offer.judge(&redeem.public_key, wanted, key_of, now_ms) {
                Verdict::Repeat(display) => return Ok(Enrolled { display, replaced: false }),
                Verdict::Refuse(refusal) => {
                    if matches!(refusal, Refusal::Taken(_) | Refusal::ForAnother(_)) {
                        offer.tries += 1;
                        change.field("offers", &hash, &old_offer, &reply::to_json(&offer));
                    }
                    Err(match refusal {
                        Refusal::Expired => EnrollError::Code("it has expired"),
                        Refusal::Spent => EnrollError::Code("it was used by another key"),
                        Refusal::TooManyTries => EnrollError::Code("it was tried too often"),
                        Refusal::Taken(id) => EnrollError::Taken(id),
                        Refusal::ForAnother(id) => EnrollError::ForAnother(id),
                    })
                }
                Verdict::Enroll(display) => {
                    let display = display.unwrap_or_else(|| made_up.clone());
                    let old = known.get(&display);
                    let replaced = old.is_some_and(|row| row.public_key != redeem.public_key);
                    let row = KeptDisplay {
                        label: old.map(|row| row.label.clone()).unwrap_or_default(),
                        groups: old.map(|row| row.groups.clone()).unwrap_or_default(),
                        public_key: redeem.public_key,
                        enrolled_ms: now_ms,
                        last_seen_ms: old.and_then(|row| row.last_seen_ms),
                    };
                    let old_row = rows.get(&display).map(String::as_str).unwrap_or_default();
                    change.field("displays", display.as_str(), old_row, &reply::to_json(&row));
                    if old.is_none() {
                        change.at_most("displays", self.engine.limits.displays);
                    }
                    offer.spent = Some(Spent { display: display.clone(), public_key: redeem.public_key });
                    change.field("offers", &hash, &old_offer, &reply::to_json(&offer));
                    Ok(Enrolled { display, replaced })
                }
            };
            if change.fields.is_empty() {
                return outcome;
            }
            match self.swap(change).await? {
                Changed::Done => return outcome,
                Changed::Again => {}
                Changed::Full => {
                    let limit = self.engine.limits.displays;
                    return Err(StoreError::Full { what: "displays", limit }.into());
                }
            }
        }
        Err(StoreError::Busy.into())
    }

    async fn swap(&self, change: Change) -> Result<Changed, StoreError> {
        let count = change.fields.len().to_string();
        let mut args: Vec<&[u8]> = vec![count.as_bytes()];
        args.extend(change.fields.iter().flatten().map(|text| text.as_bytes()));
        args.extend(change.rest.iter().flatten().map(|text| text.as_bytes()));
        let mut answer = self.engine.call(&SWAP, 0, &args).await?.into_iter();
        Ok(match reply::text(reply::next(&mut answer)?)?.as_str() {
            "ok" => Changed::Done,
            "full" => Changed::Full,
            _ => Changed::Again,
        })
    }

    async fn field(&self, hash: &str, field: &str) -> Result<Option<String>, StoreError> {
        let mut cmd = redis::cmd("HGET");
        cmd.arg(self.engine.key(hash)).arg(field);
        match self.engine.read(&cmd).await? {
            Value::Nil => Ok(None),
            value => reply::text(value).map(Some),
        }
    }

    async fn hash(&self, name: &str) -> Result<HashMap<String, Vec<u8>>, StoreError> {
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(self.engine.key(name));
        let mut rows = reply::list(self.engine.read(&cmd).await?)?.into_iter();
        let mut found = HashMap::new();
        while let Some(field) = rows.next() {
            found.insert(reply::text(field)?, reply::bytes(reply::next(&mut rows)?)?);
        }
        Ok(found)
    }
}
