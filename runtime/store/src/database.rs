use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fumehood_model::{Digest, ModuleName, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use crate::{Access, StoreError};

/// Each step brings the database from the version of its position to the next.
const MIGRATIONS: [&str; 4] = [
    "
    CREATE TABLE modules (
        name TEXT PRIMARY KEY NOT NULL,
        digest TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        installed_by TEXT NOT NULL,
        installed_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE keys (
        id TEXT PRIMARY KEY NOT NULL,
        name TEXT NOT NULL,
        hash BLOB NOT NULL,
        roles TEXT NOT NULL,
        created_at_ms INTEGER NOT NULL,
        revoked_at_ms INTEGER
    ) STRICT;
    ",
    "
    ALTER TABLE modules ADD COLUMN manifest TEXT;
    ALTER TABLE modules ADD COLUMN pending_digest TEXT;
    ALTER TABLE modules ADD COLUMN pending_size_bytes INTEGER;
    ALTER TABLE modules ADD COLUMN pending_manifest TEXT;
    ALTER TABLE modules ADD COLUMN pending_by TEXT;
    ALTER TABLE modules ADD COLUMN pending_at_ms INTEGER;
    ALTER TABLE modules ADD COLUMN asked_before TEXT;
    ALTER TABLE keys ADD COLUMN limits TEXT;
    CREATE TABLE grants (
        module TEXT NOT NULL,
        function TEXT,
        text TEXT NOT NULL,
        granted_by TEXT NOT NULL,
        granted_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX grants_once ON grants (module, ifnull(function, ''), text);
    CREATE TABLE observed (
        module TEXT NOT NULL,
        text TEXT NOT NULL,
        allowed_count INTEGER NOT NULL,
        denied_count INTEGER NOT NULL,
        first_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL,
        PRIMARY KEY (module, text)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE secrets (
        name TEXT PRIMARY KEY NOT NULL,
        sealed BLOB NOT NULL,
        set_by TEXT NOT NULL,
        set_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE keyvalue (
        module TEXT NOT NULL,
        bucket TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        expires_at_ms INTEGER,
        PRIMARY KEY (module, bucket, key)
    ) STRICT;
    ",
    "
    CREATE INDEX keyvalue_expiry ON keyvalue (module, bucket, expires_at_ms) WHERE expires_at_ms IS NOT NULL;
    CREATE TABLE keyvalue_used (
        module TEXT NOT NULL,
        bucket TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        keys INTEGER NOT NULL,
        PRIMARY KEY (module, bucket)
    ) STRICT, WITHOUT ROWID;
    ",
    // Counts changes of what is served, so that other processes follow these and not every value that a guest keeps.
    "
    CREATE TABLE catalogue (generation INTEGER NOT NULL) STRICT;
    INSERT INTO catalogue VALUES (0);
    CREATE TRIGGER modules_added AFTER INSERT ON modules BEGIN UPDATE catalogue SET generation = generation + 1; END;
    CREATE TRIGGER modules_changed AFTER UPDATE ON modules BEGIN UPDATE catalogue SET generation = generation + 1; END;
    CREATE TRIGGER modules_removed AFTER DELETE ON modules BEGIN UPDATE catalogue SET generation = generation + 1; END;
    CREATE TRIGGER grants_added AFTER INSERT ON grants BEGIN UPDATE catalogue SET generation = generation + 1; END;
    CREATE TRIGGER grants_changed AFTER UPDATE ON grants BEGIN UPDATE catalogue SET generation = generation + 1; END;
    CREATE TRIGGER grants_removed AFTER DELETE ON grants BEGIN UPDATE catalogue SET generation = generation + 1; END;
    ",
];

/// How long a reader waits for a writer of another process.
const BUSY: Duration = Duration::from_secs(5);

/// The SQLite database of a data directory. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    path: Arc<Path>,
}

/// An uploaded module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleRow {
    /// Its name.
    pub name: ModuleName,
    /// Which component it is.
    pub digest: Digest,
    /// Size of the component in bytes.
    pub size_bytes: u64,
    /// Name of the key that installed it.
    pub installed_by: String,
    /// When.
    pub installed_at: Timestamp,
    /// The `tool.toml` that was sent with it.
    pub manifest: Option<String>,
    /// What the version before it asked for, until somebody has reviewed what this one asks for.
    pub asked_before: Option<Vec<String>>,
    /// A version that waits to be reviewed before it is served.
    pub pending: Option<PendingRow>,
}

/// A version of a module that is not served yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRow {
    /// Which component it is.
    pub digest: Digest,
    /// Size of the component in bytes.
    pub size_bytes: u64,
    /// The `tool.toml` that was sent with it.
    pub manifest: Option<String>,
    /// Name of the key that sent it.
    pub by: String,
    /// When.
    pub at: Timestamp,
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

    /// All uploaded modules, by name.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn modules(&self) -> Result<Vec<ModuleRow>, StoreError> {
        self.with(|db| {
            db.prepare_cached(
                "SELECT name, digest, size_bytes, installed_by, installed_at_ms, manifest, asked_before,
                    pending_digest, pending_size_bytes, pending_manifest, pending_by, pending_at_ms
                 FROM modules ORDER BY name",
            )?
            .query_map([], module_row)?
            .collect()
        })
    }

    /// Add or replace a module.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn put_module(&self, row: &ModuleRow) -> Result<(), StoreError> {
        self.with(|db| put(db, row))
    }

    /// The uploaded module called `name`.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn module(&self, name: &ModuleName) -> Result<Option<ModuleRow>, StoreError> {
        Ok(self.modules()?.into_iter().find(|row| row.name == *name))
    }

    /// Remove a module with what it was granted, has used and has kept; whether there was one.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn remove_module(&self, name: &ModuleName) -> Result<bool, StoreError> {
        self.with(|db| {
            let transaction = db.unchecked_transaction()?;
            for table in ["grants", "observed", "keyvalue", "keyvalue_used"] {
                transaction.execute(&format!("DELETE FROM {table} WHERE module = ?1"), [name.as_str()])?;
            }
            let rows = transaction.execute("DELETE FROM modules WHERE name = ?1", [name.as_str()])?;
            transaction.commit()?;
            Ok(rows > 0)
        })
    }

    /// A number that grows whenever a module or a grant changes, whichever process changes it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn generation(&self) -> Result<u64, StoreError> {
        self.with(|db| db.query_row("SELECT generation FROM catalogue", [], |row| row.get(0).map(i64::cast_unsigned)))
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        // Each piece of work is one statement or one transaction: a panic in the middle leaves nothing half done.
        let connection: MutexGuard<'_, _> = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&connection).map_err(|source| StoreError::Database { path: PathBuf::from(&*self.path), source })
    }
}

/// Add or replace a module.
pub(crate) fn put(db: &Connection, row: &ModuleRow) -> rusqlite::Result<()> {
    let pending = row.pending.as_ref();
    db.execute(
        "INSERT OR REPLACE INTO modules (name, digest, size_bytes, installed_by, installed_at_ms, manifest,
            asked_before, pending_digest, pending_size_bytes, pending_manifest, pending_by, pending_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            row.name.as_str(),
            row.digest.to_string(),
            row.size_bytes.cast_signed(),
            row.installed_by,
            row.installed_at.unix_ms.cast_signed(),
            row.manifest,
            row.asked_before.as_ref().map(|asks| asks.join("\n")),
            pending.map(|pending| pending.digest.to_string()),
            pending.map(|pending| pending.size_bytes.cast_signed()),
            pending.and_then(|pending| pending.manifest.as_deref()),
            pending.map(|pending| pending.by.as_str()),
            pending.map(|pending| pending.at.unix_ms.cast_signed()),
        ],
    )
    .map(drop)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let error = |source| StoreError::Database { path: path.to_owned(), source };
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    // Immediate: of two processes that find an old database, one migrates and the other then finds it done.
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(error)?;
    let found: i64 =
        transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).optional().map_err(error)?.unwrap_or(0);
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step).map_err(error)?;
    }
    transaction.pragma_update(None, "user_version", known).map_err(error)?;
    transaction.commit().map_err(error)
}

fn module_row(row: &Row<'_>) -> rusqlite::Result<ModuleRow> {
    Ok(ModuleRow {
        name: parsed(row, 0)?,
        digest: parsed(row, 1)?,
        size_bytes: row.get::<_, i64>(2)?.cast_unsigned(),
        installed_by: row.get(3)?,
        installed_at: Timestamp { unix_ms: row.get::<_, i64>(4)?.cast_unsigned() },
        manifest: row.get(5)?,
        asked_before: row.get::<_, Option<String>>(6)?.map(|asks| asks.lines().map(str::to_owned).collect()),
        pending: if row.get::<_, Option<String>>(7)?.is_some() { Some(pending_row(row)?) } else { None },
    })
}

fn pending_row(row: &Row<'_>) -> rusqlite::Result<PendingRow> {
    Ok(PendingRow {
        digest: parsed(row, 7)?,
        size_bytes: row.get::<_, i64>(8)?.cast_unsigned(),
        manifest: row.get(9)?,
        by: row.get(10)?,
        at: Timestamp { unix_ms: row.get::<_, i64>(11)?.cast_unsigned() },
    })
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
    use crate::{Added, GrantRow, Observation};

    #[test]
    fn modules_survive_reopening_and_a_newer_database_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let row = ModuleRow {
            name: "a.b-c".parse().unwrap(),
            digest: Digest::of(b"x"),
            size_bytes: 1,
            installed_by: "admin".into(),
            installed_at: Timestamp { unix_ms: 5 },
            manifest: Some("name = 'a'".into()),
            asked_before: Some(vec!["scratch".into(), "secret:A".into()]),
            pending: Some(PendingRow {
                digest: Digest::of(b"y"),
                size_bytes: 2,
                manifest: None,
                by: "ci".into(),
                at: Timestamp { unix_ms: 6 },
            }),
        };
        Database::open(&path, Access::Own).unwrap().put_module(&row).unwrap();

        let database = Database::open(&path, Access::Own).unwrap();
        assert_eq!(database.modules().unwrap(), [row]);

        database.with(|db| db.pragma_update(None, "user_version", 99)).unwrap();
        assert!(matches!(Database::open(&path, Access::Own), Err(StoreError::Newer { found: 99, .. })));
    }

    #[test]
    fn a_module_takes_what_belongs_to_it_along_when_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("db"), Access::Own).unwrap();
        let (gone, stays): (ModuleName, ModuleName) = ("gone".parse().unwrap(), "stays".parse().unwrap());
        for module in [&gone, &stays] {
            let row = GrantRow {
                module: module.clone(),
                function: None,
                text: "scratch".into(),
                granted_by: "admin".into(),
                granted_at: Timestamp { unix_ms: 1 },
            };
            assert_eq!(database.add_grant(&row, 10).unwrap(), Added::New);
            let insert = "INSERT INTO keyvalue (module, bucket, key, value) VALUES (?1, 'b', 'k', x'00')";
            database.with(|db| db.execute(insert, [module.as_str()])).unwrap();
        }

        assert!(!database.remove_module(&gone).unwrap());

        let left: Vec<_> = database.grants().unwrap().into_iter().map(|grant| grant.module).collect();
        assert_eq!(left, [stays]);
        let kept = database.with(|db| db.query_row("SELECT count(*) FROM keyvalue", [], |row| row.get::<_, i64>(0)));
        assert_eq!(kept.unwrap(), 1);
    }

    #[test]
    fn only_modules_and_grants_make_a_generation() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Database::open(&folder.path().join("db"), Access::Own).unwrap();
        let (database, other) = (open(), open());
        let row = module("m");
        let grant = GrantRow {
            module: row.name.clone(),
            function: None,
            text: "scratch".into(),
            granted_by: "admin".into(),
            granted_at: Timestamp { unix_ms: 1 },
        };
        let mut seen = other.generation().unwrap();
        let mut is_news = || {
            let now = other.generation().unwrap();
            std::mem::replace(&mut seen, now) < now
        };

        database.put_module(&row).unwrap();
        assert!(is_news());
        database.put_module(&row).unwrap();
        assert!(is_news());
        database.add_grant(&grant, 10).unwrap();
        assert!(is_news());
        let at = Timestamp { unix_ms: 1 };
        let seen = Observation {
            module: row.name.clone(),
            text: "scratch".into(),
            allowed: 1,
            denied: 0,
            first: at,
            last: at,
        };
        database.add_observations(&[seen], 10).unwrap();
        let value = "INSERT INTO keyvalue (module, bucket, key, value) VALUES ('m', 'b', 'k', x'00')";
        database.with(|db| db.execute(value, [])).unwrap();
        assert!(!is_news());
        database.remove_grant(&row.name, None, "scratch").unwrap();
        assert!(is_news());
        database.remove_module(&row.name).unwrap();
        assert!(is_news());
    }

    fn module(name: &str) -> ModuleRow {
        ModuleRow {
            name: name.parse().unwrap(),
            digest: Digest::of(b"x"),
            size_bytes: 1,
            installed_by: "admin".into(),
            installed_at: Timestamp { unix_ms: 5 },
            manifest: None,
            asked_before: None,
            pending: None,
        }
    }

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
