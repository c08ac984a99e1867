//! Sessions of MCP clients of the eras that shake hands, so that a restart does not end them.

use fumehood_model::{KeyId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    Database, Verb,
    jobs::{ms, timestamp},
};

/// A session, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: String,
    /// The key that opened it.
    pub key: KeyId,
    /// The profile at whose address it was opened, if it was one's.
    pub profile: Option<String>,
    /// What its client said of itself when it opened it, as JSON. Its bound is the caller's.
    pub hello: String,
    /// When it was used last.
    pub used_at: Timestamp,
}

/// What happens to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionChange {
    /// It is opened.
    Opened(SessionRow),
    /// It is used.
    Used {
        /// Which.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// It is over.
    Closed {
        /// Which.
        id: String,
    },
}

/// Which sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionBounds {
    /// Those that were used since.
    pub used_since: Timestamp,
    /// Most of all keys: those that were used last.
    pub most: u64,
    /// Most of one key: those that were used last.
    pub most_of_a_key: u64,
}

/// What a session weighs beside what its client said.
const SESSION: usize = 256;

impl Database {
    /// The session `id`, if it was used since `since`.
    pub fn session(&self, id: &str, since: Timestamp) -> Verb<'_, Option<SessionRow>> {
        let id = id.to_owned();
        self.read_soon(move |db| read(db, &id, since))
    }

    /// Write down what happened to sessions, in this order. It is on disk when the answer comes.
    pub fn change_sessions(&self, changes: Vec<SessionChange>) -> Verb<'_, ()> {
        let bytes = changes.iter().map(|change| SESSION + hello(change).len()).sum();
        self.change_soon(bytes, move |db, _| Ok(changes.iter().try_for_each(|change| apply(db, change))?))
    }

    /// Forget what is beyond `bounds`, the oldest first; how many sessions that were.
    pub fn prune_sessions(&self, bounds: SessionBounds) -> Verb<'_, u64> {
        self.change_soon(SESSION, move |db, _| Ok(prune(db, bounds)?))
    }
}

fn hello(change: &SessionChange) -> &str {
    match change {
        SessionChange::Opened(row) => &row.hello,
        SessionChange::Used { .. } | SessionChange::Closed { .. } => "",
    }
}

fn read(db: &Connection, id: &str, since: Timestamp) -> rusqlite::Result<Option<SessionRow>> {
    db.prepare_cached(
        "SELECT id, key, profile, hello, used_at_ms FROM mcp_sessions WHERE id = ?1 AND used_at_ms >= ?2",
    )?
    .query_row(params![id, ms(since)], |row| {
        Ok(SessionRow {
            id: row.get(0)?,
            key: KeyId(row.get::<_, String>(1)?.into()),
            profile: row.get(2)?,
            hello: row.get(3)?,
            used_at: timestamp(row.get(4)?),
        })
    })
    .optional()
}

fn apply(db: &Connection, change: &SessionChange) -> rusqlite::Result<()> {
    match change {
        SessionChange::Opened(row) => db
            .prepare_cached(
                "INSERT OR REPLACE INTO mcp_sessions (id, key, profile, hello, used_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![row.id, &*row.key.0, row.profile, row.hello, ms(row.used_at)]),
        SessionChange::Used { id, at } => db
            .prepare_cached("UPDATE mcp_sessions SET used_at_ms = ?2 WHERE id = ?1 AND used_at_ms < ?2")?
            .execute(params![id, ms(*at)]),
        SessionChange::Closed { id } => {
            db.prepare_cached("DELETE FROM mcp_sessions WHERE id = ?1")?.execute(params![id])
        }
    }
    .map(drop)
}

fn prune(db: &Connection, bounds: SessionBounds) -> rusqlite::Result<u64> {
    let number = |most: u64| i64::try_from(most).unwrap_or(i64::MAX);
    let old =
        db.prepare_cached("DELETE FROM mcp_sessions WHERE used_at_ms < ?1")?.execute(params![ms(bounds.used_since)])?;
    let of_keys = db
        .prepare_cached(
            "DELETE FROM mcp_sessions WHERE id IN (
                SELECT id FROM (
                    SELECT id, row_number() OVER (PARTITION BY key ORDER BY used_at_ms DESC, id) AS place
                    FROM mcp_sessions)
                WHERE place > ?1)",
        )?
        .execute(params![number(bounds.most_of_a_key)])?;
    let of_all = db
        .prepare_cached(
            "DELETE FROM mcp_sessions WHERE id IN (
                SELECT id FROM mcp_sessions ORDER BY used_at_ms DESC, id LIMIT -1 OFFSET ?1)",
        )?
        .execute(params![number(bounds.most)])?;
    Ok((old + of_keys + of_all) as u64)
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::{Access, DataDirectory};

    const START: Timestamp = Timestamp { unix_ms: 0 };

    struct Fixture {
        database: Database,
        folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self { database: Self::open(&folder), folder }
        }

        fn open(folder: &tempfile::TempDir) -> Database {
            DataDirectory::open(folder.path(), Access::Own).unwrap().database().unwrap()
        }

        fn change(&self, changes: Vec<SessionChange>) {
            block_on(self.database.change_sessions(changes)).unwrap();
        }

        fn keeps(&self, id: &str) -> bool {
            block_on(self.database.session(id, START)).unwrap().is_some()
        }
    }

    fn row(id: &str, key: &str, used_at: u64) -> SessionRow {
        SessionRow {
            id: id.to_owned(),
            key: KeyId(key.into()),
            profile: None,
            hello: "{}".to_owned(),
            used_at: Timestamp { unix_ms: used_at },
        }
    }

    fn opened(id: &str, key: &str, used_at: u64) -> SessionChange {
        SessionChange::Opened(row(id, key, used_at))
    }

    #[test]
    fn a_session_outlives_the_process_until_it_is_closed() {
        let fixture = Fixture::new();
        let kept = SessionRow { profile: Some("small".to_owned()), ..row("a", "k", 5) };
        fixture.change(vec![SessionChange::Opened(kept.clone()), opened("b", "k", 5)]);
        let Fixture { database, folder } = fixture;
        drop(database);
        let fixture = Fixture { database: Fixture::open(&folder), folder };

        assert_eq!(block_on(fixture.database.session("a", START)).unwrap(), Some(kept));
        fixture.change(vec![SessionChange::Closed { id: "a".to_owned() }]);

        assert!(!fixture.keeps("a") && fixture.keeps("b"));
    }

    #[test]
    fn a_session_that_was_not_used_for_long_is_not_there_and_one_that_was_is() {
        let fixture = Fixture::new();
        let used = |at| SessionChange::Used { id: "a".to_owned(), at: Timestamp { unix_ms: at } };
        fixture.change(vec![opened("a", "k", 5), opened("b", "k", 5), used(20), used(10)]);

        let since = Timestamp { unix_ms: 20 };

        assert!(block_on(fixture.database.session("a", since)).unwrap().is_some());
        assert!(block_on(fixture.database.session("b", since)).unwrap().is_none());
        assert!(fixture.keeps("b"));
    }

    #[test]
    fn the_oldest_go_first_in_all_and_of_each_key() {
        let fixture = Fixture::new();
        let of_one = (1..=4).map(|at| opened(&format!("one-{at}"), "one", at + 10));
        let of_others = (1..=3).map(|at| opened(&format!("other-{at}"), &format!("other-{at}"), at));
        fixture.change(of_one.chain(of_others).collect());

        let bounds = SessionBounds { used_since: Timestamp { unix_ms: 2 }, most: 3, most_of_a_key: 2 };
        let forgotten = block_on(fixture.database.prune_sessions(bounds)).unwrap();

        assert_eq!(forgotten, 4);
        assert!(["one-3", "one-4", "other-3"].iter().all(|id| fixture.keeps(id)));
    }
}
