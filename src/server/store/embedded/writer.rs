//! The one thread that writes: many jobs, one transaction, one fsync.
//!
//! A job checks everything before it writes its first row. So a job that fails by its own fault has changed nothing, and
//! the others of its batch go on; a fault of the disk fails the whole batch, and nothing of it stays.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use redb::{Database, Durability, ReadableTable, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use super::{
    Fed, StoreError,
    journal::Journal,
    prune,
    schema::{self, META, Rows},
    shared::Shared,
    tables::Tables,
};

/// The most events (or jobs) of one batch: what one transaction can hold in memory, and how long the first waits for
/// the last.
const BATCH_MAX: usize = 1_024;
/// Below this much free space nothing new is published: what is left is for receipts and for pruning.
const RESERVE_BYTES: u64 = 8 * 1024 * 1024;
/// How long the writer waits for readers to let go of a file that must be opened anew.
const REOPEN_WAIT: Duration = Duration::from_secs(1);

/// The transaction of one batch, with what comes out of it.
pub struct Batch<'a, 't> {
    pub txn: &'a Tables<'t>,
    pub shared: &'a Shared,
    /// The last commit number given out.
    pub commit: u64,
    /// What goes to the feed if the batch commits.
    pub fed: Vec<Fed>,
    /// Whether anything was written.
    pub dirty: bool,
    /// The disk has no room for new events.
    pub disk_low: bool,
    /// The latest time that a job brought, in ms since 1970.
    pub now_ms: u64,
    /// Fresh events of this batch.
    pub events: u64,
}

/// One unit of work, with its answer.
pub trait Job: Send {
    /// Does it; an error means that the whole batch is lost.
    fn apply(&mut self, batch: &mut Batch<'_, '_>) -> Result<(), StoreError>;
    /// How many events it brings; at least 1.
    fn weight(&self) -> usize;
    /// Called after the commit, or with what went wrong.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// A closure as a job.
pub struct Task<T, F> {
    weight: usize,
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Task<T, F>
where
    T: Send + 'static,
    F: FnOnce(&mut Batch<'_, '_>) -> Result<T, StoreError> + Send + 'static,
{
    pub fn boxed(weight: usize, work: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Task { weight: weight.max(1), work: Some(work), result: None, reply }), answer)
    }
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&mut Batch<'_, '_>) -> Result<T, StoreError> + Send,
{
    fn apply(&mut self, batch: &mut Batch<'_, '_>) -> Result<(), StoreError> {
        let Some(work) = self.work.take() else { return Ok(()) };
        match work(batch) {
            Err(error) if error.is_disk() => Err(error),
            result => {
                self.result = Some(result);
                Ok(())
            }
        }
    }

    fn weight(&self) -> usize {
        self.weight
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let result = match outcome {
            Ok(()) => self.result.unwrap_or(Err(StoreError::Closed)),
            Err(error) => Err(error),
        };
        // Whoever asked may have gone: the work is done all the same.
        let _ = self.reply.send(result);
    }
}

/// Opens the database; again after a fault of the disk.
pub type Opener = Box<dyn Fn() -> Result<Database, StoreError> + Send>;

/// The writer's own things.
pub struct Writer {
    pub shared: Arc<Shared>,
    pub opener: Opener,
    pub jobs: mpsc::Receiver<Box<dyn Job>>,
    pub feed: mpsc::Sender<Vec<Fed>>,
    /// None where every commit is durable by itself.
    pub journal: Option<Journal>,
    pub pruner: prune::Pruner,
    /// The last commit number that the feed has seen.
    pub fed_commit: u64,
}

impl Writer {
    /// Runs until the store is closed or every handle is gone, then closes the file.
    pub fn run(mut self) {
        while let Some(first) = self.jobs.blocking_recv() {
            let mut weight = first.weight();
            let mut jobs = vec![first];
            while weight < BATCH_MAX
                && let Ok(job) = self.jobs.try_recv()
            {
                weight += job.weight();
                jobs.push(job);
            }
            self.shared.stats.operations.fetch_add(jobs.len() as u64, Ordering::Relaxed);
            let outcome = self.batch(&mut jobs);
            if let Err(error) = &outcome {
                tracing::error!(%error, jobs = jobs.len(), "a batch of the store failed; nothing of it was kept");
                self.shared.stats.failures.fetch_add(1, Ordering::Relaxed);
                self.shared.close_database();
            }
            let (answer, fed) = match outcome {
                Ok(fed) => (Ok(()), fed),
                Err(error) => (Err(error), Vec::new()),
            };
            for job in jobs {
                job.answer(answer.clone());
            }
            if !fed.is_empty() {
                // A closed feed means that nobody listens (any more): the store goes on.
                let _ = self.feed.blocking_send(fed);
            }
            if self.shared.closing.load(Ordering::Acquire) {
                self.jobs.close();
            }
        }
        self.checkpoint();
        self.shared.close_database();
    }

    /// Leaves nothing to be applied at the next start.
    fn checkpoint(&self) {
        let Some(db) = self.shared.database().filter(|_| self.journal.is_some()) else { return };
        let committed = db.begin_write().map_err(StoreError::from).and_then(|txn| Ok(txn.commit()?));
        if let Err(error) = committed {
            tracing::warn!(%error, "the store's last batches stay in its journal: they are applied at the next start");
        }
    }

    fn batch(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<Vec<Fed>, StoreError> {
        let (db, mut fed) = self.database()?;
        let whole = db.begin_write()?;
        let txn = Tables::new(&whole);
        let commit = txn.rows(META)?.get("commit")?.map_or(0, |row| row.value());
        let mut batch = Batch {
            txn: &txn,
            shared: &self.shared,
            commit,
            fed: Vec::new(),
            dirty: false,
            disk_low: self.shared.free_bytes().is_some_and(|free| free < RESERVE_BYTES),
            now_ms: 0,
            events: 0,
        };
        for job in jobs {
            job.apply(&mut batch)?;
        }
        self.pruner.step(&mut batch)?;
        let Batch { commit, fed: of_batch, dirty, events, .. } = batch;
        if dirty {
            txn.open_table(META)?.insert("commit", commit)?;
            let in_journal = match &mut self.journal {
                Some(journal) => journal.append(&txn)?,
                None => false,
            };
            drop(txn);
            self.commit(whole, in_journal)?;
            self.shared.stats.commits.fetch_add(1, Ordering::Relaxed);
            self.shared.stats.events.fetch_add(events, Ordering::Relaxed);
        } else {
            drop(txn);
            whole.abort()?;
        }
        self.fed_commit = commit;
        fed.extend(of_batch);
        Ok(fed)
    }

    /// What is in the journal need not be in the database's file yet; and without a place in the journal, all must.
    fn commit(&mut self, mut txn: WriteTransaction, in_journal: bool) -> Result<(), StoreError> {
        if in_journal {
            txn.set_durability(Durability::None)?;
        }
        txn.commit()?;
        if let Some(journal) = self.journal.as_mut().filter(|_| !in_journal) {
            journal.begin_anew();
        }
        Ok(())
    }

    /// The open database. One that failed is opened anew; what a failed commit did write after all is made good to the
    /// feed: its publishers were told that it failed, but it is in the history.
    fn database(&mut self) -> Result<(Arc<Database>, Vec<Fed>), StoreError> {
        if let Some(db) = self.shared.database() {
            return Ok((db, Vec::new()));
        }
        let db = Arc::new((self.opener)()?);
        if let Some(journal) = &mut self.journal {
            journal.recover(&db)?;
        }
        let snapshot = schema::snapshot(&db)?;
        let commit = snapshot.rows(META)?.get("commit")?.map_or(0, |row| row.value());
        let mut missed = Vec::new();
        for number in self.fed_commit + 1..=commit {
            if let Some(event) = super::events::load(&snapshot, number)? {
                missed.push(Fed::Event(Arc::new(event)));
            }
        }
        self.fed_commit = commit;
        tracing::warn!(missed = missed.len(), "the store's file was opened anew");
        self.shared.set_database(db.clone());
        Ok((db, missed))
    }
}

impl Shared {
    /// Waits until no reader holds the database, and drops it: only then can its file be locked again.
    fn close_database(&self) {
        let Some(mut db) = self.take_database() else { return };
        let end = std::time::Instant::now() + REOPEN_WAIT;
        while let Err(shared) = Arc::try_unwrap(db) {
            if std::time::Instant::now() > end {
                return;
            }
            db = shared;
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
