use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, ffi};

use crate::{
    StoreError,
    queue::{Load, Queue},
};

/// Most that waits for the writer. Who comes then waits until there is room.
///
/// 10,000 changes are less than a second of work; 64 MiB are what the server can spare.
const WAITING: Load = Load { count: 10_000, bytes: 64 << 20 };

/// Most that goes into one transaction.
///
/// With 2,000 changes, the sync that they share costs each of them next to nothing; more would only make the first of
/// them wait. 8 MiB keep the transaction within the page cache.
const BATCH: Load = Load { count: 2_000, bytes: 8 << 20 };

/// The one thread that writes, and what waits for it.
pub(crate) struct Writer {
    queue: Arc<Queue<Box<dyn Operation>>>,
    thread: Option<JoinHandle<()>>,
}

/// One change that is done as a whole or not at all, in a transaction that it shares with others.
pub(crate) trait Operation: Send {
    /// Do it. An error takes back what it did, and no other's.
    fn run(&mut self, db: &Connection) -> Result<(), Option<rusqlite::Error>>;

    /// Tell whoever waits what came of it; `failure` when what it did is not on disk.
    fn answer(self: Box<Self>, failure: Option<&rusqlite::Error>);
}

/// Why a change takes back what it did.
#[derive(Debug)]
pub(crate) enum Undo<E> {
    /// It found that it must not be.
    Refused(E),
    /// The database failed.
    Failed(rusqlite::Error),
}

impl<E> From<rusqlite::Error> for Undo<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

/// A change as a function, and what to do with its result.
pub(crate) struct Change<T, E, W, A> {
    work: Option<W>,
    done: Option<Result<T, Undo<E>>>,
    answer: A,
    path: Arc<Path>,
}

impl<T, E, W, A> Change<T, E, W, A>
where
    W: FnOnce(&Connection) -> Result<T, Undo<E>>,
    A: FnOnce(Result<T, E>),
{
    pub(crate) fn new(path: &Arc<Path>, work: W, answer: A) -> Self {
        Self { work: Some(work), done: None, answer, path: Arc::clone(path) }
    }
}

impl<T, E, W, A> Operation for Change<T, E, W, A>
where
    T: Send,
    E: From<StoreError> + Send,
    W: FnOnce(&Connection) -> Result<T, Undo<E>> + Send,
    A: FnOnce(Result<T, E>) + Send,
{
    fn run(&mut self, db: &Connection) -> Result<(), Option<rusqlite::Error>> {
        let Some(work) = self.work.take() else { return Ok(()) };
        let done = work(db);
        let verdict = match &done {
            Ok(_) => Ok(()),
            Err(Undo::Refused(_)) => Err(None),
            Err(Undo::Failed(error)) => Err(Some(copy(error))),
        };
        self.done = Some(done);
        verdict
    }

    fn answer(self: Box<Self>, failure: Option<&rusqlite::Error>) {
        let failed = |error: rusqlite::Error| E::from(StoreError::database(&self.path, error));
        let result = match (self.done, failure) {
            // The reason of its own failure tells more than that of the others.
            (Some(Err(Undo::Failed(error))), _) => Err(failed(error)),
            // A refusal may rest on what others did in the same transaction: if that is not on disk, it does not count.
            (_, Some(failure)) => Err(failed(copy(failure))),
            (Some(Ok(value)), None) => Ok(value),
            (Some(Err(Undo::Refused(refusal))), None) => Err(refusal),
            (None, None) => Err(E::from(StoreError::BrokenOff)),
        };
        (self.answer)(result);
    }
}

impl Writer {
    /// Start the thread that writes with `db`.
    pub(crate) fn start(db: Connection, path: &Path) -> Result<Self, StoreError> {
        let queue = Arc::new(Queue::new(WAITING));
        let serve = {
            let queue = Arc::clone(&queue);
            move || serve(&db, &queue)
        };
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(serve);
        let thread = thread.map_err(StoreError::io("start a thread for", path))?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Have a change done; blocks only while too many wait.
    pub(crate) fn push(&self, change: Box<dyn Operation>, bytes: usize) {
        self.queue.push(change, bytes);
    }

    /// Have a change done as soon as there is room.
    pub(crate) async fn push_soon(&self, change: Box<dyn Operation>, bytes: usize) {
        self.queue.push_soon(change, bytes).await;
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Drop for Writer {
    /// What waits is still done.
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(db: &Connection, queue: &Queue<Box<dyn Operation>>) {
    loop {
        let mut batch = queue.take(BATCH);
        if batch.is_empty() {
            return;
        }
        let failure = commit(db, &mut batch).err();
        if let Some(error) = &failure {
            let count = batch.len();
            tracing::error!(%error, blame = "host", "A transaction of {count} changes was taken back");
        }
        for change in batch {
            // Who waits for an answer that panics hears that it broke off.
            let _ = catch_unwind(AssertUnwindSafe(|| change.answer(failure.as_ref())));
        }
    }
}

/// Do all changes in one transaction, which is on disk when this returns. Those that fail alone are taken back alone.
fn commit(db: &Connection, batch: &mut [Box<dyn Operation>]) -> rusqlite::Result<()> {
    execute(db, "BEGIN IMMEDIATE")?;
    let committed =
        batch.iter_mut().try_for_each(|change| run(db, change.as_mut())).and_then(|()| execute(db, "COMMIT"));
    if committed.is_err() && !db.is_autocommit() {
        // A failed rollback leaves a transaction open; then the next BEGIN fails and says why.
        let _ = execute(db, "ROLLBACK");
    }
    committed
}

fn run(db: &Connection, change: &mut dyn Operation) -> rusqlite::Result<()> {
    execute(db, "SAVEPOINT change")?;
    let verdict = catch_unwind(AssertUnwindSafe(|| change.run(db))).unwrap_or(Err(None));
    // On a full disk and the like, SQLite takes back the whole transaction by itself.
    if db.is_autocommit() {
        let unknown = || rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ABORT), None);
        return Err(verdict.err().flatten().unwrap_or_else(unknown));
    }
    if verdict.is_err() {
        execute(db, "ROLLBACK TO change")?;
    }
    execute(db, "RELEASE change")
}

fn execute(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(drop)
}

/// The same error once more, for everybody who is to hear of it.
fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => rusqlite::Error::SqliteFailure(*code, message.clone()),
        other => rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ERROR), Some(other.to_string())),
    }
}
