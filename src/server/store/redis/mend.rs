//! What a power cut leaves in Redis' file, and what is done about it. See the module, and `lua/mend.lua`.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use redis::Value;

use super::{
    StoreError,
    engine::{Engine, told},
    reply,
    scripts::MEND,
};
use crate::event::command::REGISTRY;

/// Calls of the mender in a row: it has 64 displays a call, so this is every display of a store for each event of a batch.
const CALLS: usize = 100_000;

/// What became of what a power cut left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mended {
    /// Nothing is half done now, and nothing that was accepted is lost.
    Whole,
    /// Something could not be mended: every epoch is new.
    Anew,
}

impl Engine {
    /// Drops or completes what was cut short. Nothing else runs meanwhile: no script is known yet.
    pub(super) async fn mend(&self) -> Result<Mended, StoreError> {
        let queues: BTreeSet<String> = REGISTRY.iter().map(|spec| reply::queue_name(Some(spec.kind))).collect();
        let mut mended = Mended::Whole;
        for _ in 0..CALLS {
            let mut cmd = redis::cmd("EVAL");
            cmd.arg(&MEND.text).arg(1).arg(self.key("meta")).arg(self.random_hex::<8>()).arg(0);
            cmd.arg(self.random_hex::<16>()).arg(&queues);
            let mut answer = reply::list(self.ask(&cmd).await.map_err(|error| told(&error))?)?.into_iter();
            let what = reply::text(reply::next(&mut answer)?)?;
            match what.as_str() {
                "whole" => return Ok(mended),
                "more" => {}
                "damaged" => {
                    let problem = reply::text(answer.next().unwrap_or(Value::Nil))?;
                    tracing::error!(
                        problem,
                        "what a power cut left in Redis' file cannot be mended: every epoch is new, and every client is told"
                    );
                    mended = Mended::Anew;
                }
                _ => tell(&what, &reply::text(answer.next().unwrap_or(Value::Nil))?),
            }
        }
        Err(reply::damaged("what a power cut left is not mended after so many calls"))
    }

    /// Has Redis write its file anew, so that what a power cut left in it is gone. Until that is done, and where it cannot
    /// be done, `mend` is what helps.
    pub(super) async fn rewrite(&self, appends: bool) -> Result<(), StoreError> {
        if self.connector().is_cluster() || !appends {
            // Without a log there is nothing to mend; of a Cluster nobody knows which node was cut off.
            return Ok(());
        }
        let error = match self.ask(&redis::cmd("BGREWRITEAOF")).await {
            Ok(_) => {
                tracing::info!(
                    "Redis began anew: it writes its file anew, in case a power cut left half a command there"
                );
                return Ok(());
            }
            Err(error) if error.code().is_none() => return Err(told(&error)),
            Err(error) => error,
        };
        // Another node was first, or Redis does it by itself.
        if error.to_string().contains("in progress") {
            return Ok(());
        }
        if !self.told_of_rewrite.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "Redis does not write its file anew after its restart (BGREWRITEAOF): half a command that a power cut left \
                 there is mended at its next start; allow the user +bgrewriteaof"
            );
        }
        Ok(())
    }
}

fn tell(kind: &str, about: &str) {
    match kind {
        "publish" => tracing::warn!(
            events = about,
            "a power cut left half of a publish in Redis' file; nobody was told that it was accepted, and it is dropped"
        ),
        "remove" => {
            tracing::warn!(display = about, "a power cut left half of a removal in Redis' file; it is completed");
        }
        "swap" => tracing::warn!(
            about,
            "a power cut left half of a change of displays in Redis' file; it is completed where nothing contradicts"
        ),
        "settle" => tracing::warn!("a power cut left half of a receipt in Redis' file; it is completed"),
        _ => tracing::warn!(kind, "a power cut left half of a result in Redis' file; it is completed"),
    }
}
