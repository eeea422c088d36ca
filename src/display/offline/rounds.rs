//! When each file of the playlist is asked for. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// After a failure, and doubled with each one more.
const AGAIN_FIRST: Duration = Duration::from_secs(10);
const AGAIN_MAX: Duration = Duration::from_secs(600);
/// What does not fit, or is neither picture nor film, is so for a while.
const UNFIT: Duration = Duration::from_secs(3600);

/// How asking for a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// What is on the card is what the site has, and may be taken for it for so long.
    Good {
        fresh: Duration,
    },
    Failed,
    Unfit,
}

#[derive(Debug)]
struct Round {
    url: String,
    next: Instant,
    failures: u32,
    /// How it ended last, and was told.
    told: Option<Ended>,
}

/// The files of the playlist, in its order.
#[derive(Debug)]
pub struct Rounds {
    rounds: Vec<Round>,
    /// Spreads what is asked, so that a hundred displays do not ask a site at once.
    rng: fastrand::Rng,
}

impl Rounds {
    pub fn new(rng: fastrand::Rng) -> Self {
        Rounds { rounds: Vec::new(), rng }
    }

    /// Another playlist. What was in the last one too keeps its time.
    pub fn want(&mut self, urls: &[String], now: Instant) {
        let mut older = std::mem::take(&mut self.rounds);
        for url in urls {
            if self.rounds.iter().any(|round| round.url == *url) {
                continue;
            }
            let known = older.iter().position(|round| round.url == *url).map(|at| older.swap_remove(at));
            self.rounds.push(known.unwrap_or_else(|| Round { url: url.clone(), next: now, failures: 0, told: None }));
        }
    }

    /// Which is asked for next, and when: of those that are due, the first of the list.
    pub fn next(&self, now: Instant) -> Option<(Instant, &str)> {
        let next = self.rounds.iter().min_by_key(|round| round.next.max(now))?;
        Some((next.next, &next.url))
    }

    /// True if it is worth telling: it ended otherwise than the last time.
    pub fn ended(&mut self, url: &str, how: Ended, now: Instant) -> bool {
        let spread = 0.8 + 0.4 * self.rng.f64();
        let Some(round) = self.rounds.iter_mut().find(|round| round.url == url) else { return false };
        let wait = match how {
            Ended::Good { fresh } => fresh,
            Ended::Failed => AGAIN_FIRST.saturating_mul(1 << round.failures.min(8)).min(AGAIN_MAX),
            Ended::Unfit => UNFIT,
        };
        round.failures = if how == Ended::Failed { round.failures.saturating_add(1) } else { 0 };
        round.next = now + wait.mul_f64(spread);
        round.told.replace(how) != Some(how)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn urls(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn rounds(names: &[&str], now: Instant) -> Rounds {
        let mut rounds = Rounds::new(fastrand::Rng::with_seed(1));
        rounds.want(&urls(names), now);
        rounds
    }

    #[test]
    fn files_are_fetched_in_the_order_of_the_playlist_and_then_as_they_grow_old() {
        let now = Instant::now();
        let mut rounds = rounds(&["a", "b", "a", "c"], now);
        for expected in ["a", "b", "c"] {
            assert_eq!(rounds.next(now), Some((now, expected)));
            rounds.ended(expected, Ended::Good { fresh: if expected == "b" { 60 * S } else { 600 * S } }, now);
        }
        let (at, url) = rounds.next(now).unwrap();
        assert_eq!(url, "b");
        assert!((now + 48 * S..=now + 72 * S).contains(&at));
    }

    #[test]
    fn what_fails_is_tried_again_less_and_less_often_and_holds_nothing_up() {
        let mut now = Instant::now();
        let mut rounds = rounds(&["dead", "b"], now);
        assert!(rounds.ended("dead", Ended::Failed, now), "that is news");
        assert_eq!(rounds.next(now).unwrap().1, "b");
        rounds.ended("b", Ended::Good { fresh: 100_000 * S }, now);
        let mut waits = Vec::new();
        for _ in 0..12 {
            let (at, url) = rounds.next(now).unwrap();
            assert_eq!(url, "dead");
            waits.push((at - now).as_secs());
            now = at;
            assert!(!rounds.ended("dead", Ended::Failed, now), "and is told once");
        }
        assert!(waits[0] <= 12 && waits[11] >= 480 && waits[11] <= 720, "{waits:?}");
        rounds.ended("dead", Ended::Good { fresh: 60 * S }, now);
        rounds.ended("dead", Ended::Failed, now);
        assert!(rounds.next(now).unwrap().0 <= now + 12 * S, "it was well in between");
    }

    #[test]
    fn another_playlist_keeps_the_times_of_what_was_in_the_last() {
        let now = Instant::now();
        let mut rounds = rounds(&["a", "b"], now);
        rounds.ended("a", Ended::Unfit, now);
        rounds.want(&urls(&["c", "a"]), now + S);
        assert_eq!(rounds.next(now + S), Some((now + S, "c")));
        rounds.ended("c", Ended::Good { fresh: 7200 * S }, now);
        assert_eq!(rounds.next(now).unwrap().1, "a");
        rounds.want(&[], now);
        assert_eq!(rounds.next(now), None);
    }
}
