//! Publishes that are answered once they are on disk, beside a bare loop that does no more than the disk must.

use std::{
    cell::Cell,
    fs::File,
    io::Write,
    path::Path,
    rc::Rc,
    sync::mpsc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{sync::oneshot, task::spawn_local};

use crate::{
    options::Options,
    peers::{Peer, To},
    table::{Better::More, Table},
};

const PUBLISHERS: usize = 64;

/// `durable` promises that a publish is on disk when it is answered.
pub async fn measure(peer: &dyn Peer, folder: &Path, options: &Options, table: &mut Table) {
    let each = options.count(300);
    let name = peer.name();
    // Before and after, because a disk that others use changes its mind.
    let before = bare(folder, each).await;
    let published = publish(peer, each).await;
    let bare = before.midpoint(bare(folder, each).await);
    table.add(name, "durable: bare group commit, 64 writers", bare, ("/s", More, ""));
    table.add(name, "durable: publishes, 64 publishers", published, ("/s", More, ""));
    table.add(name, "durable: of the bare loop", published / bare, ("ratio", More, ">= 0.5"));
}

/// A thousand bytes of each waiting writer are appended together, synced, answered. Returns writes a second.
async fn bare(folder: &Path, each: usize) -> f64 {
    let mut file = File::create(folder.join("bare")).expect("a file");
    let (ask, asked) = mpsc::channel::<oneshot::Sender<()>>();
    let loop_ = std::thread::spawn(move || {
        while let Ok(first) = asked.recv() {
            let waiting: Vec<_> = std::iter::once(first).chain(asked.try_iter()).collect();
            file.write_all(&vec![7; waiting.len() * 1024]).and_then(|()| file.sync_data()).expect("it is synced");
            for writer in waiting {
                let _ = writer.send(());
            }
        }
    });
    let began = Instant::now();
    let writers = (0..PUBLISHERS).map(|_| {
        let ask = ask.clone();
        spawn_local(async move {
            for _ in 0..each {
                let (done, is_done) = oneshot::channel();
                ask.send(done).expect("the loop runs");
                is_done.await.expect("it is on disk");
            }
        })
    });
    join_all(writers.collect::<Vec<_>>()).await;
    let rate = rate(each, began.elapsed());
    drop(ask);
    loop_.join().expect("the loop ends");
    rate
}

async fn publish(peer: &dyn Peer, each: usize) -> f64 {
    let publishers = join_all((0..PUBLISHERS).map(|_| peer.publisher())).await;
    let next = Rc::new(Cell::new(0));
    let began = Instant::now();
    let tasks: Vec<_> = publishers
        .into_iter()
        .map(|mut publisher| {
            let next = Rc::clone(&next);
            spawn_local(async move {
                for _ in 0..each {
                    let number = next.replace(next.get() + 1);
                    publisher.send(&[To::One(number % 1000)]).await;
                }
            })
        })
        .collect();
    for task in join_all(tasks).await {
        task.expect("no publisher panics");
    }
    rate(each, began.elapsed())
}

fn rate(each: usize, wall: Duration) -> f64 {
    (PUBLISHERS * each) as f64 / wall.as_secs_f64()
}
