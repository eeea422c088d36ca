//! The clock of Redis, which every node goes by; and what is done when it is set.
//!
//! Every node sees that it was set, each at its own look. The first moves along what waits (`lua/clock.lua`) and counts it;
//! one that finds more counted than at its look before knows that another was first.

use std::sync::atomic::Ordering;

use super::{Redis, StoreError, engine::told, reply, scripts::CLOCK};

/// Seconds, microseconds, and how often what waits was moved along; an empty list where TIME is forbidden. As a script, since
/// in a Cluster the node that has our keys is to answer, always the same.
const TIME: &str = "local time = redis.pcall('TIME') if time.err then return {} end \
                    return { time[1], time[2], redis.call('HGET', KEYS[1], 'clock_sets') or '0' }";

impl Redis {
    /// What Redis' clock shows, in ms since 1970; None where its user may not ask.
    pub async fn time(&self) -> Result<Option<u64>, StoreError> {
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(TIME).arg(1).arg(self.engine.key("meta"));
        let answer = self.engine.ask(&cmd).await.map_err(|error| told(&error))?;
        let mut answer = reply::list(answer)?.into_iter();
        let Some(seconds) = answer.next() else {
            if !self.engine.told_of_time.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "Redis does not tell its time: allow the user +time, or keep the servers' clocks in step"
                );
            }
            return Ok(None);
        };
        let (seconds, micros) = (reply::number(seconds)?, reply::number(reply::next(&mut answer)?)?);
        let [newest, before] = &self.engine.clock_sets;
        before.store(newest.swap(reply::number(reply::next(&mut answer)?)?, Ordering::Relaxed), Ordering::Relaxed);
        Ok(Some(seconds.saturating_mul(1_000).saturating_add(micros / 1_000)))
    }

    /// Redis' clock was set by so many ms, as the last two looks at it show.
    pub async fn clock_was_set(&self, by_ms: i64) -> Result<(), StoreError> {
        let forward_ms = self.engine.forward_ms.load(Ordering::Relaxed).saturating_add_signed(by_ms);
        self.engine.forward_ms.store(forward_ms, Ordering::Relaxed);
        let [newest, before] = &self.engine.clock_sets;
        let (newest_sets, sets) = (newest.load(Ordering::Relaxed), before.load(Ordering::Relaxed));
        if newest_sets == sets {
            let (sets, by_ms) = (sets.to_string(), by_ms.to_string());
            let mut answer = self.engine.call(&CLOCK, 0, &[sets.as_bytes(), by_ms.as_bytes()]).await?.into_iter();
            let sets = reply::number(reply::next(&mut answer)?)?;
            newest.store(sets, Ordering::Relaxed);
            before.store(sets, Ordering::Relaxed);
        }
        Ok(())
    }
}
