//! How often somebody may do something: token buckets. Pure but for the locks of [`Rates`].
//!
//! | what | whose bucket | over it |
//! |---|---|---|
//! | opening a WebSocket, whatever comes of it | the IP address (IPv6: its /64; loopback, which is a proxy or this machine, has none) | 429, `Retry-After` |
//! | `POST /v1/events`, by events | the principal: a JWT's `sub`; an API key by its own, larger limit | 429, `Retry-After`, nothing is stored |
//! | `kiosk.publish` | the same bucket as that principal's `POST` | `kiosk.published` with an `error` that says when; the socket stays |
//!
//! A bucket holds ten seconds' worth, so a site that comes back after an outage, or a page that sends what it gathered,
//! is not refused. Each node counts for itself. AMQP is the broker's to limit. Time here is how long the server runs
//! (`Clock::running_ms`): a wall clock that was set back by an hour would refuse everybody for an hour.
//!
//! Rejected: closing a socket that publishes too often (4001). It would come back, resume, and publish again.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
};

use crate::auth::Principal;

/// Seconds' worth that a full bucket holds.
const BURST_S: u64 = 10;
/// Buckets that are not full, of one kind; with more of them at a time, newcomers are not limited.
const BUCKETS_MAX: usize = 65_536;

/// Somebody came too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too often: at most {per_second} a second, try again in {retry_s} s")]
pub struct TooOften {
    per_second: u64,
    pub retry_s: u64,
}

/// Token buckets of one kind. Each is kept as the moment at which it is full again.
#[derive(Debug)]
struct Buckets<K> {
    /// 0: no limit.
    per_second: u64,
    /// In microseconds since the server began.
    full_at: HashMap<K, u64>,
}

impl<K: Hash + Eq> Buckets<K> {
    fn new(per_second: u64) -> Self {
        Buckets { per_second, full_at: HashMap::new() }
    }

    /// Takes so many tokens. More than a bucket holds are given by a full one, and owed.
    fn take<Q>(&mut self, key: &Q, count: usize, running_ms: u64) -> Result<(), TooOften>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let (per_second, count) = (self.per_second, count as u64);
        if per_second == 0 || count == 0 {
            return Ok(());
        }
        let now = running_ms.saturating_mul(1000);
        let cost = |tokens: u64| tokens.saturating_mul(1_000_000) / per_second;
        let full_at = self.full_at.get(key).copied().unwrap_or(now).max(now);
        // Whoever owes waits until that is paid, too.
        let after = full_at - now + cost(count.min(BURST_S * per_second));
        if after > BURST_S * 1_000_000 {
            return Err(TooOften { per_second, retry_s: (after - BURST_S * 1_000_000).div_ceil(1_000_000) });
        }
        let full_at = full_at.saturating_add(cost(count));
        if let Some(known) = self.full_at.get_mut(key) {
            *known = full_at;
            return Ok(());
        }
        if self.full_at.len() >= BUCKETS_MAX {
            self.full_at.retain(|_, at| *at > now);
        }
        if self.full_at.len() < BUCKETS_MAX {
            self.full_at.insert(key.to_owned(), full_at);
        }
        Ok(())
    }
}

/// Limits in numbers a second; 0 is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerSecond {
    /// WebSockets opened from one IP address.
    pub connects: u32,
    /// Events that one user or display publishes.
    pub publishes: u32,
    /// Events that are published with one API key.
    pub key_publishes: u32,
}

/// The buckets of a node.
#[derive(Debug)]
pub struct Rates {
    connects: Mutex<Buckets<IpAddr>>,
    publishes: Mutex<Buckets<String>>,
    key_publishes: Mutex<Buckets<String>>,
}

impl Rates {
    pub fn new(limits: PerSecond) -> Self {
        Rates {
            connects: Mutex::new(Buckets::new(limits.connects.into())),
            publishes: Mutex::new(Buckets::new(limits.publishes.into())),
            key_publishes: Mutex::new(Buckets::new(limits.key_publishes.into())),
        }
    }

    /// Somebody at this address wants a WebSocket.
    ///
    /// # Errors
    /// The address comes too often.
    pub fn connect(&self, from: IpAddr, running_ms: u64) -> Result<(), TooOften> {
        let from = network(from);
        if from.is_loopback() {
            return Ok(());
        }
        lock(&self.connects).take(&from, 1, running_ms)
    }

    /// Somebody wants to publish so many events.
    ///
    /// # Errors
    /// The principal publishes too often; none of the events counts.
    pub fn publish(&self, principal: &Principal, events: usize, running_ms: u64) -> Result<(), TooOften> {
        // An API key is nobody in particular.
        let buckets = if principal.user.is_none() { &self.key_publishes } else { &self.publishes };
        lock(buckets).take(principal.name.as_str(), events, running_ms)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One customer of a provider: an IPv4 address, or a /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_777_896_000_000;

    #[test]
    fn ten_seconds_worth_pass_at_once_and_then_so_many_a_second() {
        let mut buckets = Buckets::new(2);
        for _ in 0..20 {
            buckets.take("a", 1, NOW).unwrap();
        }
        let refused = buckets.take("a", 1, NOW).unwrap_err();
        assert_eq!(refused.to_string(), "too often: at most 2 a second, try again in 1 s");
        buckets.take("b", 1, NOW).unwrap();
        assert!(buckets.take("a", 1, NOW + 499).is_err());
        buckets.take("a", 1, NOW + 500).unwrap();
        buckets.take("a", 20, NOW + 10_500).unwrap();
    }

    #[test]
    fn a_batch_larger_than_a_bucket_passes_when_it_is_full_and_is_paid_for() {
        let mut buckets = Buckets::new(1);
        buckets.take("a", 100, NOW).unwrap();
        assert_eq!(buckets.take("a", 1, NOW).unwrap_err().retry_s, 91);
        assert!(buckets.take("a", 1, NOW + 90_999).is_err());
        buckets.take("a", 1, NOW + 91_000).unwrap();
    }

    #[test]
    fn full_buckets_are_forgotten_and_a_crowd_is_bounded() {
        let mut buckets = Buckets::new(1_000);
        for n in 0..BUCKETS_MAX {
            buckets.take(&n, 1, NOW).unwrap();
        }
        buckets.take(&BUCKETS_MAX, 1, NOW).unwrap();
        assert_eq!(buckets.full_at.len(), BUCKETS_MAX);
        buckets.take(&BUCKETS_MAX, 1, NOW + 1_000).unwrap();
        assert_eq!(buckets.full_at.len(), 1);
    }

    #[test]
    fn addresses_count_by_network_loopback_and_no_limit_not_at_all() {
        let rates = Rates::new(PerSecond { connects: 1, publishes: 1, key_publishes: 0 });
        let connect = |from: &str| rates.connect(from.parse().unwrap(), NOW);
        for n in 0..10 {
            connect(&format!("2001:db8::{n}")).unwrap();
            connect("192.0.2.1").unwrap();
        }
        assert!(connect("2001:db8::ffff").is_err() && connect("::ffff:192.0.2.1").is_err());
        connect("2001:db8:0:1::1").unwrap();
        (0..100).for_each(|_| connect("127.0.0.1").unwrap());
        (0..100).for_each(|_| connect("::1").unwrap());
        let operator = Principal::from_operator_key();
        rates.publish(&operator, 1_000_000, NOW).unwrap();
        rates.publish(&operator, 1_000_000, NOW).unwrap();
        let user = Principal { user: Some("user/anna".parse().unwrap()), name: "anna".into(), ..operator };
        rates.publish(&user, 10, NOW).unwrap();
        assert!(rates.publish(&user, 1, NOW).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn over_any_time_no_more_pass_than_the_rate_and_one_bucket(
            steps in prop::collection::vec((0..3_000_u64, 1..5_usize), 1..200), per_second in 1..20_u64,
        ) {
            let mut buckets = Buckets::new(per_second);
            let (mut now, mut passed) = (NOW, 0);
            for (pause, count) in steps {
                now += pause;
                if buckets.take("a", count, now).is_ok() {
                    passed += count as u64;
                }
            }
            let most = per_second * (BURST_S * 1000 + now - NOW) / 1000 + 1;
            prop_assert!(passed <= most, "{passed} of {most}");
        }
    }
}
