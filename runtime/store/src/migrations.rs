use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::StoreError;

/// Each step brings the database from the version of its position to the next.
const MIGRATIONS: [&str; 13] = [
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
    include_str!("migrations/jobs.sql"),
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
    // Why a schedule had no job when it was due last.
    "ALTER TABLE schedules ADD COLUMN passed_over TEXT;",
    // Sessions of MCP clients that shake hands.
    "
    CREATE TABLE mcp_sessions (
        id TEXT PRIMARY KEY NOT NULL,
        key TEXT NOT NULL,
        profile TEXT,
        hello TEXT NOT NULL,
        used_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX mcp_sessions_used ON mcp_sessions (used_at_ms);
    CREATE INDEX mcp_sessions_of_keys ON mcp_sessions (key, used_at_ms);
    ",
    // What jobs ask of whoever submitted them.
    "ALTER TABLE jobs ADD COLUMN asked TEXT;
    CREATE INDEX jobs_asking ON jobs (expires_at_ms) WHERE state = 3;",
    // What the tools of a module said when somebody reviewed it last.
    "ALTER TABLE modules ADD COLUMN defined_before TEXT;",
    // Calls that must be confirmed, and who has.
    "
    CREATE TABLE confirmations (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT UNIQUE NOT NULL,
        key TEXT NOT NULL,
        tool TEXT NOT NULL,
        component TEXT NOT NULL,
        arguments TEXT NOT NULL,
        caller TEXT NOT NULL,
        shown TEXT NOT NULL,
        arguments_bytes INTEGER NOT NULL,
        asked_at_ms INTEGER NOT NULL,
        until_ms INTEGER NOT NULL,
        state INTEGER NOT NULL,
        token TEXT UNIQUE,
        token_until_ms INTEGER,
        decided_key TEXT,
        decided_by TEXT,
        decided_at_ms INTEGER,
        used_at_ms INTEGER
    ) STRICT;
    CREATE INDEX confirmations_open ON confirmations (key, tool, component, arguments) WHERE state < 3;
    CREATE INDEX confirmations_waiting ON confirmations (key, seq) WHERE state = 0;
    CREATE INDEX confirmations_shown ON confirmations (seq) WHERE shown <> '';
    ",
    // Versions of modules. Numbers are never given again.
    "
    CREATE TABLE versions (
        module TEXT NOT NULL,
        number INTEGER NOT NULL,
        digest TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        manifest TEXT,
        sent_by TEXT NOT NULL,
        sent_at_ms INTEGER NOT NULL,
        served INTEGER,
        PRIMARY KEY (module, number)
    ) STRICT;
    CREATE INDEX versions_of_components ON versions (digest);
    CREATE TABLE versions_numbered (module TEXT PRIMARY KEY NOT NULL, last INTEGER NOT NULL) STRICT;
    INSERT INTO versions SELECT name, 1, digest, size_bytes, manifest, installed_by, installed_at_ms, 1 FROM modules;
    INSERT INTO versions SELECT name, 2, pending_digest, pending_size_bytes, pending_manifest, pending_by, pending_at_ms, NULL
        FROM modules WHERE pending_digest IS NOT NULL;
    INSERT INTO versions_numbered SELECT module, max(number) FROM versions GROUP BY module;
    ALTER TABLE modules ADD COLUMN is_pinned INTEGER NOT NULL DEFAULT 0;
    ",
    // What components were made of.
    "
    CREATE TABLE compositions (digest TEXT PRIMARY KEY NOT NULL, root TEXT NOT NULL, made_of TEXT NOT NULL) STRICT;
    CREATE INDEX compositions_of_roots ON compositions (root);
    ",
    // Signatures as they were sent: what each is worth is told by who is trusted at the moment.
    "
    ALTER TABLE modules ADD COLUMN signature TEXT;
    ALTER TABLE modules ADD COLUMN pending_signature TEXT;
    ALTER TABLE versions ADD COLUMN signature TEXT;
    ",
];

/// Bring the database to the version that this program knows.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let error = |source| StoreError::database(path, source);
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
