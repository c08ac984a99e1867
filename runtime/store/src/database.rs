use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Row};

use crate::{Access, StoreError, migrations::migrate};

/// How long a reader waits for a writer of another process.
const BUSY: Duration = Duration::from_secs(5);

/// The SQLite database of a data directory. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    path: Arc<Path>,
}

impl Database {
    pub(crate) fn open(path: &Path, access: Access) -> Result<Self, StoreError> {
        let error = |source| StoreError::Database { path: path.to_owned(), source };
        // A reader may create the file too: `fumehood mcp` can be the first to run.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(error)?;
        connection.busy_timeout(BUSY).map_err(error)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(error)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(error)?;
        migrate(&mut connection, path)?;
        if access == Access::Share {
            connection.pragma_update(None, "query_only", true).map_err(error)?;
        }
        Ok(Self { connection: Arc::new(Mutex::new(connection)), path: path.into() })
    }

    /// A number that changes whenever another process has changed the database.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn change_counter(&self) -> Result<i64, StoreError> {
        self.with(|db| db.query_row("PRAGMA data_version", [], |row| row.get(0)))
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        // Each piece of work is one statement or one transaction: a panic in the middle leaves nothing half done.
        let connection: MutexGuard<'_, _> = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&connection).map_err(|source| StoreError::Database { path: PathBuf::from(&*self.path), source })
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
    use super::*;

    #[test]
    fn a_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("db"), Access::Share).unwrap();

        assert!(database.remove_module(&"a".parse().unwrap()).is_err());
    }

    #[test]
    fn the_bundled_sqlite_has_the_fix_for_lost_wal_writes() {
        // SQLite 3.7.0 to 3.51.2 could corrupt a database when its WAL was reset.
        assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    }
}
