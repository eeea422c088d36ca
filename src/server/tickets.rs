//! Where tickets are minted and taken: the store's own, or a Redis into which an existing web application mints them.
//!
//! A ticket is taken by GETDEL, one command, so of two sockets that race only one gets the value (GET and then DEL lets
//! both in). A Redis that is down, slow or older than 6.2 refuses every ticket, within [`DEADLINE`].

use std::{sync::Arc, time::Duration};

use redis::{Cmd, FromRedisValue};
use tokio::time::timeout;

use super::store::{Connector, SharedLink, Store, StoreError, Tls, Waits};
use crate::{
    auth::ticket::{self, Grant, Minted, Taken, TicketError},
    config::RedisAddress,
};

/// The longest a ticket waits for Redis.
pub const DEADLINE: Duration = Duration::from_secs(2);
/// One connection attempt, and one answer: two of each fit into the deadline.
const STEP: Duration = Duration::from_millis(900);

/// Why a ticket opened nothing. For the log; the client is told nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TakeError {
    #[error(transparent)]
    Refused(#[from] TicketError),
    /// Refused as well: nobody gets in while the tickets cannot be asked for.
    #[error("the ticket store is down: {0}")]
    Down(String),
}

/// Why no ticket was minted. HTTP 503, or 507 for a full store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the ticket store is down: {0}")]
    Down(String),
}

/// `[tickets]`: Redis, or without it the store.
#[derive(Debug, Clone)]
pub enum TicketStore {
    Store(Store),
    Redis(RedisTickets),
}

impl TicketStore {
    pub async fn mint(&self, grant: &Grant, now_ms: u64) -> Result<Minted, MintError> {
        match self {
            TicketStore::Store(store) => Ok(store.mint_ticket(grant, now_ms).await?),
            TicketStore::Redis(redis) => redis.mint(grant, now_ms).await,
        }
    }

    /// Takes a ticket: whatever the answer, it is spent.
    pub async fn take(&self, text: &str, now_ms: u64) -> Result<Taken, TakeError> {
        if !ticket::is_ticket(text) {
            return Err(TicketError::Form.into());
        }
        let value = match self {
            TicketStore::Store(store) => {
                let taken = store.take_ticket(text, now_ms).await;
                taken.map_err(|error| TakeError::Down(error.to_string()))?.map(String::into_bytes)
            }
            TicketStore::Redis(redis) => redis.take(text).await?,
        };
        let value = value.ok_or(TicketError::Unknown)?;
        Ok(ticket::judge(&value, now_ms)?)
    }
}

/// A Redis with tickets in it.
#[derive(Clone)]
pub struct RedisTickets {
    /// Connects at the first use, and anew after a fault.
    link: Arc<SharedLink>,
    random: fn(&mut [u8]),
}

impl std::fmt::Debug for RedisTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisTickets")
    }
}

impl RedisTickets {
    /// Connects later, so the server starts while Redis is down. To be called inside a runtime.
    ///
    /// # Errors
    /// The address cannot be used, in the words of the client.
    pub fn new(address: &RedisAddress, random: fn(&mut [u8])) -> Result<Self, String> {
        // A socket waits for this: no pause, and `ask` tries twice.
        let waits = Waits { connect: STEP, answer: STEP, pause: Duration::ZERO };
        let connector = Connector::new(address, &Tls::default(), waits).map_err(|error| error.to_string())?;
        Ok(Self { link: Arc::new(SharedLink::new(connector)), random })
    }

    /// Whether Redis answers, for `/readyz` and `doctor`.
    pub async fn ping(&self) -> Result<(), String> {
        self.ask::<String>(redis::cmd("PING")).await.map(|_| ())
    }

    async fn mint(&self, grant: &Grant, now_ms: u64) -> Result<Minted, MintError> {
        let mut random = [0; 16];
        (self.random)(&mut random);
        let minted = ticket::mint(random, grant, now_ms);
        let life_s = ticket::LIFE_MS / 1000;
        self.ask::<()>(Cmd::set_ex(&minted.key, &minted.value, life_s)).await.map_err(MintError::Down)?;
        Ok(minted)
    }

    async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, TakeError> {
        self.ask(Cmd::get_del(key)).await.map_err(TakeError::Down)
    }

    /// Asks twice at most, within the deadline: the first question after a fault only finds out about it. Asking again is
    /// safe: a GETDEL whose answer was lost has burnt the ticket, and the second finds nothing.
    async fn ask<T: FromRedisValue>(&self, command: Cmd) -> Result<T, String> {
        let twice = async {
            match self.link.ask(&command).await {
                Err(error) if error.is_io_error() => self.link.ask(&command).await,
                first => first,
            }
        };
        match timeout(DEADLINE, twice).await {
            Ok(answer) => answer.and_then(|value| Ok(T::from_redis_value(value)?)).map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
        }
    }
}
