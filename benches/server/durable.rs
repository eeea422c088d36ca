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
    peers::{Peer, Publisher, To},
    table::{Better::More, Table},
};

const PUBLISHERS: usize = 64;

/// In turns, because a disk changes its mind from second to second.
const TURNS: usize = 6;

/// `promise` of the ratio, where there is one.
pub async fn measure(peer: &dyn Peer, folder: &Path, promise: &'static str, options: &Options, table: &mut Table) {
    let each = options.count(480) / TURNS;
    let name = peer.name();
    let mut publishers = join_all((0..PUBLISHERS).map(|_| peer.publisher())).await;
    let (mut bare_time, mut time) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..TURNS {
        bare_time += bare(folder, each).await;
        let published = publish(publishers, each).await;
        time += published.1;
        publishers = published.0;
    }
    let rate = |time: Duration| (TURNS * PUBLISHERS * each) as f64 / time.as_secs_f64();
    table.add(name, "durable: bare group commit, 64 writers", rate(bare_time), ("/s", More, ""));
    table.add(name, "durable: publishes, 64 publishers", rate(time), ("/s", More, ""));
    table.add(name, "durable: of the bare loop", rate(time) / rate(bare_time), ("ratio", More, promise));
}

/// A thousand bytes of each waiting writer are appended together, synced, answered.
async fn bare(folder: &Path, each: usize) -> Duration {
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
    let time = began.elapsed();
    drop(ask);
    loop_.join().expect("the loop ends");
    time
}

async fn publish(publishers: Vec<Box<dyn Publisher>>, each: usize) -> (Vec<Box<dyn Publisher>>, Duration) {
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
                publisher
            })
        })
        .collect();
    let publishers = join_all(tasks).await.into_iter().map(|ended| ended.expect("no publisher panics")).collect();
    (publishers, began.elapsed())
}
