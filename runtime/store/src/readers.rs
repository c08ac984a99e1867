use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use rusqlite::Connection;

use crate::{
    StoreError,
    queue::{Load, Queue},
};

/// Most connections that read at a time. More threads than that would only wait for the same disk.
const CONNECTIONS: usize = 6;

/// Threads of each [`Kind`] that read for tasks, which cannot wait themselves.
const THREADS: usize = 2;

/// Most reads of tasks that wait. Reads carry nothing, so that only their number counts.
const WAITING: Load = Load { count: 10_000, bytes: usize::MAX };

/// A read that a task waits for.
type Read = Box<dyn FnOnce(&Pool) + Send>;

/// How much a read may have to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What an index finds at once.
    Lookup,
    /// Perhaps every row: nobody waits behind it but for another search.
    Search,
}

/// Connections that can only read.
#[derive(Debug)]
pub(crate) struct Pool {
    path: Arc<Path>,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    open: usize,
}

/// Connections that can only read, and threads that do it for tasks.
pub(crate) struct Readers {
    pool: Arc<Pool>,
    lookups: Arc<Queue<Read>>,
    searches: Arc<Queue<Read>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Start the threads. Connections are opened when they are needed.
    pub(crate) fn start(path: &Arc<Path>) -> Result<Self, StoreError> {
        let pool = Arc::new(Pool { path: Arc::clone(path), state: Mutex::default(), returned: Condvar::new() });
        let queue = || Arc::new(Queue::new(WAITING));
        let mut readers = Self { pool, lookups: queue(), searches: queue(), threads: Vec::new() };
        for kind in [Kind::Lookup, Kind::Search].repeat(THREADS) {
            let (pool, queue) = (Arc::clone(&readers.pool), Arc::clone(readers.queue(kind)));
            let spawned = thread::Builder::new().name("store-reader".to_owned()).spawn(move || serve(&pool, &queue));
            readers.threads.push(spawned.map_err(StoreError::io("start a thread for", &**path))?);
        }
        Ok(readers)
    }

    /// Read on this thread.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.pool.read(work)
    }

    /// Have something read by a thread, as soon as there is room.
    pub(crate) async fn push_soon(&self, kind: Kind, read: Read) {
        self.queue(kind).push_soon(read, 0).await;
    }

    fn queue(&self, kind: Kind) -> &Arc<Queue<Read>> {
        match kind {
            Kind::Lookup => &self.lookups,
            Kind::Search => &self.searches,
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.lookups.close();
        self.searches.close();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Pool {
    /// Read on this thread. Each statement sees everything that was written before it began.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let lent = self.lend()?;
        lent.connection.as_ref().map_or(Err(StoreError::BrokenOff), |connection| {
            work(connection).map_err(|error| StoreError::database(&self.path, error))
        })
    }

    fn lend(&self) -> Result<Lent<'_>, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = state.idle.pop() {
                return Ok(Lent { pool: self, connection: Some(connection) });
            }
            if state.open < CONNECTIONS {
                state.open += 1;
                drop(state);
                let mut lent = Lent { pool: self, connection: None };
                lent.connection = Some(open(&self.path)?);
                return Ok(lent);
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A connection that goes back when it is not needed any more, also after a panic.
struct Lent<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.connection.take() {
            Some(connection) => state.idle.push(connection),
            None => state.open -= 1,
        }
        drop(state);
        self.pool.returned.notify_one();
    }
}

/// A connection that can only read.
pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    let connection = crate::database::connect(path)?;
    connection.pragma_update(None, "query_only", true).map_err(|error| StoreError::database(path, error))?;
    Ok(connection)
}

fn serve(pool: &Pool, queue: &Queue<Read>) {
    loop {
        let read = queue.take(Load { count: 1, bytes: 0 });
        if read.is_empty() {
            return;
        }
        for read in read {
            // Who waits for a read that panics hears that it broke off.
            let _ = catch_unwind(AssertUnwindSafe(|| read(pool)));
        }
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("pool", &self.pool).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use pollster::block_on;

    use super::*;
    use crate::{Access, Database};

    #[test]
    fn what_an_index_finds_does_not_wait_behind_searches() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("db"), Access::Own).unwrap();
        let (gate, begun) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
        thread::scope(|scope| {
            let closed = gate.lock().unwrap();
            for _ in 0..2 * THREADS {
                let (gate, begun) = (Arc::clone(&gate), Arc::clone(&begun));
                let search = database.search_soon(move |_| {
                    begun.fetch_add(1, Ordering::SeqCst);
                    drop(gate.lock());
                    Ok(())
                });
                scope.spawn(|| block_on(search).unwrap());
            }
            while begun.load(Ordering::SeqCst) < THREADS {
                thread::yield_now();
            }

            let found = block_on(database.read_soon(|db| db.query_row("SELECT 7", [], |row| row.get::<_, i64>(0))));

            assert_eq!(found.unwrap(), 7);
            drop(closed);
        });
        assert_eq!(begun.load(Ordering::SeqCst), 2 * THREADS);
    }
}
