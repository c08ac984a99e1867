use std::{
    fs,
    path::Path,
    sync::{Arc, mpsc},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Row};
use tokio::sync::{broadcast, oneshot};

use crate::{
    Access, Signal, StoreError, Verb,
    migrations::migrate,
    readers::{self, Kind, Readers},
    writer::{Change, Operation, Undo, Writer},
};

/// How long one process waits for another that writes.
const BUSY: Duration = Duration::from_secs(5);

/// Signals that a slow listener may be behind before it misses some.
const SIGNALS: usize = 4_096;

/// Pages of the log after which they are brought into the database: 16 MiB.
///
/// Larger than SQLite's own 1,000, as each time costs two syncs while all writers wait.
const CHECKPOINT_PAGES: u32 = 4_000;

/// Largest database that is looked through at the start: 16 MiB take less than a tenth of a second.
///
/// In a larger one, damage is found when what is damaged is read.
const CHECKED_BYTES: u64 = 16 << 20;

/// Statements that the writer keeps prepared: all that it has.
const STATEMENTS: usize = 160;

/// The SQLite database of a data directory. Cloning is cheap.
///
/// One thread writes: changes that come together are one transaction, and one sync of the disk. Everybody else only reads; a
/// process that does not own the database only leaves notes in it.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: Arc<Path>,
    writer: Writer,
    /// Whether it is this process that writes more than notes.
    owns: bool,
    readers: Readers,
    signals: broadcast::Sender<Signal>,
}

/// How carefully changes are brought to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// An answered change survives the loss of power.
    Full,
    /// It survives the end of the process only: for tests, which need no more and are many times faster so.
    #[cfg(test)]
    Process,
}

impl Database {
    pub(crate) fn open(path: &Path, access: Access) -> Result<Self, StoreError> {
        Self::open_with(path, access, Durability::Full)
    }

    pub(crate) fn open_with(path: &Path, access: Access, durability: Durability) -> Result<Self, StoreError> {
        let error = |source| StoreError::database(path, source);
        // A reader may create the file too: `fumehood mcp` can be the first to run.
        let mut connection = connect(path)?;
        if access == Access::Own && fs::metadata(path).is_ok_and(|file| file.len() <= CHECKED_BYTES) {
            check(&connection, path)?;
        }
        connection.pragma_update(None, "journal_mode", "WAL").map_err(error)?;
        let synchronous = match durability {
            Durability::Full => "FULL",
            #[cfg(test)]
            Durability::Process => "OFF",
        };
        connection.pragma_update(None, "synchronous", synchronous).map_err(error)?;
        migrate(&mut connection, path)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(error)?;
        // 32 MiB: what a million waiting jobs touch again and again stays in memory.
        connection.pragma_update(None, "cache_size", -(32 << 10)).map_err(error)?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20).map_err(error)?;
        // What it takes to undo one change stays in memory: on disk it would be written for every change and never read.
        connection.pragma_update(None, "temp_store", "MEMORY").map_err(error)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let writer = Writer::start(connection, path)?;
        let path: Arc<Path> = path.into();
        let (readers, owns) = (Readers::start(&path)?, access == Access::Own);
        let inner = Inner { readers, signals: broadcast::channel(SIGNALS).0, path, writer, owns };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A number that grows whenever a module or a grant changes, whichever process changes it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn generation(&self) -> Result<u64, StoreError> {
        self.with(|db| db.query_row("SELECT generation FROM catalogue", [], |row| row.get(0).map(i64::cast_unsigned)))
    }

    /// Read. Blocks.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.inner.readers.read(work)
    }

    /// Read on a thread that is there for it.
    pub(crate) fn read_soon<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Verb<'_, T> {
        self.ask(Kind::Lookup, work)
    }

    /// As [`Database::read_soon`], for what no index finds.
    pub(crate) fn search_soon<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Verb<'_, T> {
        self.ask(Kind::Search, work)
    }

    fn ask<T: Send + 'static>(
        &self,
        kind: Kind,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Verb<'_, T> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let read = move |pool: &readers::Pool| drop(answer.send(pool.read(work)));
            self.inner.readers.push_soon(kind, Box::new(read)).await;
            answered.await.unwrap_or(Err(StoreError::BrokenOff))
        })
    }

    /// Change something. Blocks until it is on disk, with all of it or nothing.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.change(|db| work(db).map_err(Undo::Failed))
    }

    /// Change something, or refuse to. Blocks until it is on disk, with all of it or nothing.
    pub(crate) fn change<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Undo<E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, answered) = mpsc::sync_channel(1);
        let change = Change::new(&self.inner.path, work, move |result| drop(answer.send(result)));
        self.writer()?.push(Box::new(change), 0);
        answered.recv().unwrap_or_else(|_| Err(StoreError::BrokenOff.into()))
    }

    /// Change something that carries this many bytes. It is on disk when the answer comes; only then is anything signalled.
    ///
    /// # Cancellation
    ///
    /// Once polled, the change may be done although nobody waits for it any more.
    pub(crate) fn change_soon<T, E>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Connection, &mut Vec<Signal>) -> Result<T, Undo<E>> + Send + 'static,
    ) -> Verb<'_, T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let writer = self.writer();
        Box::pin(async move { self.push_soon(writer?, bytes, work).await })
    }

    /// As [`Database::change_soon`], also in a process that does not own the database: for what no other process keeps in mind.
    pub(crate) fn note_soon<T, E>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Connection, &mut Vec<Signal>) -> Result<T, Undo<E>> + Send + 'static,
    ) -> Verb<'_, T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.push_soon(&self.inner.writer, bytes, work)
    }

    fn push_soon<'a, T, E>(
        &'a self,
        writer: &'a Writer,
        bytes: usize,
        work: impl FnOnce(&Connection, &mut Vec<Signal>) -> Result<T, Undo<E>> + Send + 'static,
    ) -> Verb<'a, T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let signals = self.inner.signals.clone();
        let work = move |db: &Connection| {
            let mut heard = Vec::new();
            work(db, &mut heard).map(|value| (value, heard))
        };
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let tell = move |result: Result<(T, Vec<Signal>), E>| {
                let result = result.map(|(value, heard)| {
                    // Nobody who listens is no failure.
                    heard.into_iter().for_each(|signal| drop(signals.send(signal)));
                    value
                });
                drop(answer.send(result));
            };
            let change: Box<dyn Operation> = Box::new(Change::new(&self.inner.path, work, tell));
            writer.push_soon(change, bytes).await;
            answered.await.unwrap_or_else(|_| Err(StoreError::BrokenOff.into()))
        })
    }

    /// What is signalled from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Signal> {
        self.inner.signals.subscribe()
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.inner.path
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        if self.inner.owns {
            return Ok(&self.inner.writer);
        }
        Err(StoreError::ReadOnly { path: self.path().to_owned() })
    }
}

/// A connection of any kind. Each is used by one thread at a time.
pub(crate) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags);
    let connection = connection.map_err(|error| StoreError::database(path, error))?;
    connection.busy_timeout(BUSY).map_err(|error| StoreError::database(path, error))?;
    Ok(connection)
}

/// Look through the database; `path` is what the reader of an error knows it by.
pub(crate) fn check(db: &Connection, path: &Path) -> Result<(), StoreError> {
    let corrupt = |what| {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        StoreError::database(path, rusqlite::Error::SqliteFailure(code, Some(what)))
    };
    match db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)) {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(damage) => Err(corrupt(damage)),
        Err(error) => Err(StoreError::database(path, error)),
    }
}

pub(crate) fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get::<_, String>(column)?.parse().map_err(|error: T::Err| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    struct Fixture {
        database: Database,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let database = Database::open(&folder.path().join("db"), Access::Own).unwrap();
            database.write(|db| db.execute_batch("CREATE TABLE numbers (number INTEGER CHECK (number >= 0))")).unwrap();
            Self { database, _folder: folder }
        }

        fn add(&self, number: i64) -> Result<usize, StoreError> {
            self.database.write(move |db| db.execute("INSERT INTO numbers VALUES (?1)", [number]))
        }

        fn numbers(&self) -> Vec<i64> {
            let read = |db: &Connection| {
                db.prepare("SELECT number FROM numbers ORDER BY number")?.query_map([], |row| row.get(0))?.collect()
            };
            self.database.with(read).unwrap()
        }
    }

    #[test]
    fn a_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("db"), Access::Share).unwrap();

        assert!(matches!(database.remove_module(&"a".parse().unwrap()), Err(StoreError::ReadOnly { .. })));
        assert!(database.with(|db| db.execute("DELETE FROM modules", [])).is_err());
    }

    #[test]
    fn a_change_that_fails_is_taken_back_alone() {
        let fixture = Fixture::new();

        thread::scope(|scope| {
            for number in 0..100 {
                let fixture = &fixture;
                scope.spawn(move || {
                    let change = fixture.database.write(move |db| {
                        db.execute("INSERT INTO numbers VALUES (?1)", [number])?;
                        db.execute("INSERT INTO numbers VALUES (?1)", [if number % 2 == 0 { 1_000 } else { -1 }])
                    });
                    assert_eq!(change.is_ok(), number % 2 == 0);
                });
            }
        });

        let numbers = fixture.numbers();
        assert_eq!(numbers.len(), 100);
        assert!(numbers.iter().all(|number| number % 2 == 0));
    }

    #[test]
    fn a_refusal_takes_back_what_was_done_and_says_why() {
        let fixture = Fixture::new();

        let refused: Result<(), crate::KeyValueError> = fixture.database.change(|db| {
            db.execute("INSERT INTO numbers VALUES (1)", [])?;
            Err(Undo::Refused(crate::KeyValueError::Full))
        });

        assert!(matches!(refused, Err(crate::KeyValueError::Full)));
        assert_eq!(fixture.numbers(), Vec::<i64>::new());
    }

    #[test]
    fn a_change_that_panics_is_taken_back_and_the_next_one_is_done() {
        let fixture = Fixture::new();

        let broken = fixture.database.write(|db| -> rusqlite::Result<()> {
            db.execute("INSERT INTO numbers VALUES (1)", [])?;
            panic!("a change that panics on purpose");
        });

        assert!(matches!(broken, Err(StoreError::BrokenOff)));
        fixture.add(2).unwrap();
        assert_eq!(fixture.numbers(), [2]);
    }

    #[test]
    fn a_full_disk_fails_what_is_written_and_heals_without_reopening() {
        let fixture = Fixture::new();
        let pages = fixture.database.write(|db| db.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)));
        let limit = |pages: i64| {
            let set = move |db: &Connection| db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()));
            fixture.database.write(set).unwrap();
        };
        limit(pages.unwrap());

        let large = fixture.database.write(|db| db.execute("INSERT INTO numbers VALUES (zeroblob(1000000))", []));
        assert!(matches!(large, Err(StoreError::Full { .. })), "{large:?}");
        limit(1 << 30);

        fixture.add(3).unwrap();
        assert_eq!(fixture.numbers(), [3]);
    }

    #[test]
    fn the_bundled_sqlite_has_the_fix_for_lost_wal_writes() {
        // SQLite 3.7.0 to 3.51.2 could corrupt a database when its WAL was reset.
        assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    }
}
