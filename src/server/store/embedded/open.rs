//! Opening the file.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use redb::{Builder, Database, DatabaseError, ReadableTable, backends};
use tokio::sync::mpsc;

use super::{
    Feed, StoreError, events,
    journal::{self, Journal, Tape},
    prune::Pruner,
    results::Results,
    schema::{self, META, OPERATORS, RECORDS, SCHEMA, SECRETS, TableOf},
    shared::Shared,
    writer::{Job, Opener, Writer},
};
use crate::auth::operator_key::{FIRST, OperatorKey};

/// The database's name in the data directory.
const FILE: &str = "pikiosk.redb";
/// What redb may keep of the file in memory, in bytes. Its own default is a gigabyte.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// A store that is open: its shared part, the way to its writer, the writer's thread.
pub struct Opened {
    pub shared: Arc<Shared>,
    pub jobs: mpsc::Sender<Box<dyn Job>>,
    pub feed: Feed,
    pub writer: std::thread::JoinHandle<()>,
}

pub fn open(data: &Path, limits: super::Limits, random: fn(&mut [u8])) -> Result<Opened, StoreError> {
    make_data_dir(data)?;
    let file = data.join(FILE);
    let path = file.clone();
    let opener: Opener = Box::new(move || open_file(&path));
    // After the database, which is locked: only one process writes in the journal.
    let tape_of = data.to_owned();
    let tape = move || journal::open_file(&tape_of).map(Some);
    start(opener, tape, Some(file), Results::Files(data.join("results")), limits, random)
}

/// The same without a disk, for tests that make thousands of stores.
#[cfg(test)]
pub fn open_in_memory(limits: super::Limits, random: fn(&mut [u8])) -> Result<Opened, StoreError> {
    let opener: Opener = Box::new(|| Ok(Builder::new().create_with_backend(backends::InMemoryBackend::new())?));
    start(opener, || Ok(None), None, Results::Memory(Default::default()), limits, random)
}

/// Opens with any opener: tests bring one whose disk fails. Without a journal every commit is durable by itself.
pub fn start(
    opener: Opener,
    tape: impl FnOnce() -> Result<Option<Box<dyn Tape>>, StoreError>,
    file: Option<PathBuf>,
    results: Results,
    limits: super::Limits,
    random: fn(&mut [u8]),
) -> Result<Opened, StoreError> {
    let db = Arc::new(opener()?);
    let shared = Arc::new(Shared::new(limits, file, results, random));
    prepare(&db, &shared)?;
    let journal = tape()?.map(|tape| Journal::open(tape, &db, *shared.seed())).transpose()?;
    let snapshot = schema::snapshot(&db)?;
    let fed_commit = events::as_of(&snapshot)?;
    shared.opened_at.store(fed_commit, Ordering::Relaxed);
    drop(snapshot);
    shared.set_database(db);
    let (jobs, of_writer) = mpsc::channel(shared.limits.queue);
    let (to_feed, feed) = mpsc::channel(shared.limits.feed);
    let writer = Writer {
        shared: shared.clone(),
        opener,
        jobs: of_writer,
        feed: to_feed,
        journal,
        pruner: Pruner::default(),
        fed_commit,
    };
    let writer = std::thread::Builder::new()
        .name("store-writer".into())
        .spawn(move || writer.run())
        .map_err(|error| StoreError::Io(error.to_string()))?;
    Ok(Opened { shared, jobs, feed, writer })
}

/// Checks the schema before anything is written, makes the tables, reads the seed.
fn prepare(db: &Database, shared: &Shared) -> Result<(), StoreError> {
    let txn = db.begin_write()?;
    let known = {
        let meta = txn.open_table(META::DEF)?;
        meta.get("schema")?.map(|row| row.value())
    };
    if let Some(found) = known.filter(|found| *found > SCHEMA) {
        txn.abort()?;
        let path = shared.file.clone().unwrap_or_default();
        return Err(StoreError::NewerSchema { path, found, known: SCHEMA });
    }
    schema::make_tables(&txn)?;
    txn.open_table(META::DEF)?.insert("schema", SCHEMA)?;
    bring_operators_over(&txn)?;
    let kept: Option<[u8; 32]> = {
        let secrets = txn.open_table(SECRETS::DEF)?;
        secrets.get("seed")?.and_then(|row| row.value().try_into().ok())
    };
    let seed = match kept {
        Some(seed) => seed,
        None => {
            let seed: [u8; 32] = shared.random();
            txn.open_table(SECRETS::DEF)?.insert("seed", seed.as_slice())?;
            seed
        }
    };
    txn.commit()?;
    let _ = shared.seed.set(seed);
    Ok(())
}

/// Schema 1 had a table of operators' keys, each of which may do everything; they are records now.
fn bring_operators_over(txn: &redb::WriteTransaction) -> Result<(), StoreError> {
    let mut operators = txn.open_table(OPERATORS::DEF)?;
    let mut records = txn.open_table(RECORDS::DEF)?;
    while let Some((hash, made_ms)) = operators.pop_first()? {
        let (hash, made_ms) = (hash.value(), made_ms.value());
        let key = OperatorKey {
            name: FIRST.to_owned(),
            hash,
            made_ms,
            operator: true,
            publishes: Default::default(),
            commands: Default::default(),
        };
        let id: String = hash[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        records.insert(("key", id.as_str()), schema::encode(&key).as_slice())?;
    }
    Ok(())
}

/// Makes a server's data directory, for its owner only. One that is there stays as it is.
pub fn make_data_dir(data: &Path) -> Result<(), StoreError> {
    let in_words = |error: std::io::Error| match StoreError::from(error) {
        StoreError::Io(problem) => StoreError::Io(format!("{}: {problem}", data.display())),
        other => other,
    };
    if !data.is_dir() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(in_words)?;
    }
    Ok(())
}

fn open_file(path: &Path) -> Result<Database, StoreError> {
    let in_words = |problem: String| format!("{}: {problem}", path.display());
    let is_new = !path.exists();
    let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(|error| StoreError::Io(in_words(error.to_string())))?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    if is_new && let Some(dir) = path.parent() {
        // The file itself is synced by every commit; its name only here.
        fs::File::open(dir)?.sync_all()?;
    }
    let opened = backends::FileBackend::new(file)
        .and_then(|backend| Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend));
    opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => StoreError::Locked(path.into()),
        error => match StoreError::from(error) {
            StoreError::Damaged(problem) => StoreError::Damaged(in_words(problem)),
            StoreError::Io(problem) => StoreError::Io(in_words(problem)),
            other => other,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::{Options, Store};

    #[tokio::test]
    async fn an_operators_key_of_an_older_store_still_opens_it() {
        let dir = tempfile::tempdir().unwrap();
        let old = Database::create(dir.path().join(FILE)).unwrap();
        let txn = old.begin_write().unwrap();
        txn.open_table(META::DEF).unwrap().insert("schema", 1).unwrap();
        txn.open_table(OPERATORS::DEF).unwrap().insert([7; 32], 5).unwrap();
        txn.commit().unwrap();
        drop(old);
        for _ in 0..2 {
            let options = Options { data: Some(dir.path().to_owned()), ..Options::default() };
            let (store, feed) = Store::open(options, crate::io::random::fill).unwrap();
            let records = store.records("key", "", 10).await.unwrap();
            let key: OperatorKey = serde_json::from_slice(&records[0].value).unwrap();
            assert_eq!((records.len(), key.hash, key.made_ms, key.operator), (1, [7; 32], 5, true));
            drop(feed);
            store.close().await;
        }
    }
}
