//! Fetches what the playlist on the glass needs, one file after the other, for as long as it is wanted; and one of them at
//! once, where somebody asks for it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{
    Shelf,
    fetch::{FetchError, fetch},
    rounds::{Ended, Rounds},
};

/// Who asked for a file by hand waits for its receipt.
const AT_ONCE_WITHIN: Duration = Duration::from_secs(60);

/// A file that is to be asked for at once, and who waits for what came of it: why not, in words.
pub type AtOnce = (String, oneshot::Sender<Result<(), String>>);

/// What is wanted of the keeper. It ends when this is dropped.
#[derive(Debug)]
pub struct Wants {
    pub files: watch::Sender<Vec<String>>,
    pub at_once: mpsc::Sender<AtOnce>,
}

/// Fetches until nobody can want anything any more.
pub fn keep(shelf: Arc<Shelf>, rng: fastrand::Rng) -> Wants {
    let (files, wanted) = watch::channel(Vec::new());
    // One waits while one is fetched; more are told that it is busy.
    let (at_once, asked) = mpsc::channel(1);
    tokio::spawn(work(shelf, wanted, asked, rng));
    Wants { files, at_once }
}

async fn work(
    shelf: Arc<Shelf>,
    mut wanted: watch::Receiver<Vec<String>>,
    mut asked: mpsc::Receiver<AtOnce>,
    rng: fastrand::Rng,
) {
    let mut rounds = Rounds::new(rng);
    loop {
        let urls = wanted.borrow_and_update().clone();
        shelf.want(&urls, SystemTime::now());
        rounds.want(&urls, Instant::now());
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() {
                return;
            },
            Some((url, answer)) = asked.recv() => {
                let fetched = timeout(AT_ONCE_WITHIN, go_for(&shelf, &mut rounds, &url)).await;
                let why = format!("it takes more than {} s", AT_ONCE_WITHIN.as_secs());
                // Whoever asked may have gone.
                let _ = answer.send(fetched.unwrap_or(Err(why)));
            }
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
        let _told = go_for(shelf, rounds, &url).await;
    }
}

/// Asks for one file; why it is not on the card, if it is not.
async fn go_for(shelf: &Arc<Shelf>, rounds: &mut Rounds, url: &str) -> Result<(), String> {
    let fetched = fetch(shelf, url).await;
    let ended = fetched.as_ref().map_or_else(FetchError::ended, |fresh| Ended::Good { fresh: *fresh });
    if let (true, Err(error)) = (rounds.ended(url, ended, Instant::now()), &fetched) {
        tracing::warn!(url, %error, "a file of the playlist is not on the card for when the network is away");
    }
    fetched.map(drop).map_err(|error| error.to_string())
}
