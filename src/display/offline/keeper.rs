//! Fetches what the playlist on the glass needs, one file after the other, for as long as it is wanted.

use std::{sync::Arc, time::SystemTime};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    Shelf,
    fetch::{FetchError, fetch},
    rounds::{Ended, Rounds},
};

/// Ends when nobody can want anything any more.
pub async fn keep(shelf: Arc<Shelf>, mut wanted: watch::Receiver<Vec<String>>, rng: fastrand::Rng) {
    let mut rounds = Rounds::new(rng);
    loop {
        let urls = wanted.borrow_and_update().clone();
        shelf.want(&urls, SystemTime::now());
        rounds.want(&urls, Instant::now());
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() {
                return;
            },
            () = go_round(&shelf, &mut rounds) => {}
        }
    }
}

/// For ever; a download that is dropped half-way leaves nothing behind.
async fn go_round(shelf: &Arc<Shelf>, rounds: &mut Rounds) {
    loop {
        let Some((at, url)) = rounds.next(Instant::now()).map(|(at, url)| (at, url.to_owned())) else {
            return std::future::pending().await;
        };
        sleep_until(at).await;
        let card = shelf.clone();
        // It is only told of a panic, which was logged.
        let _ = tokio::task::spawn_blocking(move || card.shrink()).await;
        let fetched = fetch(shelf, &url).await;
        let ended = fetched.as_ref().map_or_else(FetchError::ended, |fresh| Ended::Good { fresh: *fresh });
        if let (true, Err(error)) = (rounds.ended(&url, ended, Instant::now()), &fetched) {
            tracing::warn!(url, %error, "a file of the playlist is not on the card for when the network is away");
        }
    }
}
