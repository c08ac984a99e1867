//! Calls that wait to be confirmed, and what became of them: who called, who agreed or did not, and that each was used once.

use fumehood_model::{Digest, KeyId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    Database, Verb,
    database::parsed,
    jobs::{ms, timestamp},
};

/// Which call: what is confirmed is this one, and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmedCall {
    /// The key that calls.
    pub key: KeyId,
    /// The tool, as MCP names it.
    pub tool: String,
    /// Its component.
    pub component: Digest,
    /// Its arguments.
    pub arguments: Digest,
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfirmationState {
    /// Nobody has decided.
    Waiting,
    /// Somebody agreed; the call has not come again.
    Confirmed,
    /// Somebody did not agree.
    Refused,
    /// Somebody agreed, and the call took place.
    Used,
}

/// A question, with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// Its id.
    pub id: String,
    /// Which call.
    pub call: ConfirmedCall,
    /// The name of the key that calls.
    pub caller: String,
    /// The arguments, as far as they are shown; empty once they are of no use.
    pub shown: String,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// Until when it can be decided and used.
    pub until: Timestamp,
    /// What became of it.
    pub state: ConfirmationState,
    /// The name of the key with which it was decided.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// When the call took place.
    pub used_at: Option<Timestamp>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConfirmation {
    /// Its id, if it is not asked already.
    pub id: String,
    /// Which call.
    pub call: ConfirmedCall,
    /// The name of the key that calls.
    pub caller: String,
    /// The arguments, as far as they are shown.
    pub shown: String,
    /// Now.
    pub at: Timestamp,
    /// Until when it can be decided and used.
    pub until: Timestamp,
    /// What its caller may confirm it with, and until when; without this, somebody else must.
    pub token: Option<(Digest, Timestamp)>,
    /// Most questions of one key that wait. The oldest make room.
    pub most: u64,
}

/// Who decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decider {
    /// Somebody who knows its id.
    Id(String),
    /// Whoever asked, with what it was given for that.
    Token(Digest),
}

const COLUMNS: &str = "id, key, tool, component, arguments, caller, shown, asked_at_ms, until_ms, state, decided_by, \
                       decided_at_ms, used_at_ms";

/// What a question weighs beside its arguments.
const QUESTION: usize = 512;

/// All of this can be done in any process that has opened the database: a call is confirmed where its caller is.
impl Database {
    /// Ask for a confirmation; what is there already for this call if nobody but another can confirm it, or one has refused.
    pub fn ask_confirmation(&self, new: NewConfirmation) -> Verb<'_, Confirmation> {
        self.note_soon(QUESTION + new.shown.len(), move |db, _| Ok(ask(db, &new)?))
    }

    /// Whether somebody else has confirmed the call, and it did not take place yet.
    pub fn is_confirmed(&self, call: ConfirmedCall, now: Timestamp) -> Verb<'_, bool> {
        self.read_soon(move |db| Ok(confirmed(db, &call, None, now)?.is_some()))
    }

    /// Use a confirmation of the call, once: that of somebody else, or that of its caller who brings the token.
    pub fn spend_confirmation(
        &self,
        call: ConfirmedCall,
        token: Option<Digest>,
        now: Timestamp,
    ) -> Verb<'_, Option<Confirmation>> {
        self.note_soon(QUESTION, move |db, _| {
            let Some(seq) = confirmed(db, &call, token, now)? else { return Ok(None) };
            db.prepare_cached(
                "UPDATE confirmations SET state = 3, used_at_ms = ?2, shown = '', token = NULL,
                    decided_by = coalesce(decided_by, caller), decided_at_ms = coalesce(decided_at_ms, ?2)
                 WHERE seq = ?1",
            )?
            .execute(params![seq, ms(now)])?;
            Ok(Some(by_seq(db, seq)?))
        })
    }

    /// Decide what waits; none if nothing such does.
    pub fn decide_confirmation(
        &self,
        decider: Decider,
        agrees: bool,
        by: String,
        now: Timestamp,
    ) -> Verb<'_, Option<Confirmation>> {
        self.note_soon(QUESTION, move |db, _| Ok(decide(db, &decider, agrees, &by, now)?))
    }

    /// Questions, the newest first: only those that can be decided, or all.
    pub fn confirmations(&self, waiting: Option<Timestamp>, most: usize) -> Verb<'_, Vec<Confirmation>> {
        self.read_soon(move |db| {
            db.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM confirmations WHERE ?1 IS NULL OR state = 0 AND until_ms > ?1
                 ORDER BY seq DESC LIMIT ?2"
            ))?
            .query_map(params![waiting.map(ms), i64::try_from(most).unwrap_or(i64::MAX)], confirmation)?
            .collect()
        })
    }

    /// Forget the arguments of what can no longer be decided, and all of what is over and was asked before, or is older
    /// than the newest `keep`; how many questions were forgotten.
    pub fn prune_confirmations(&self, now: Timestamp, before: Timestamp, keep: u64) -> Verb<'_, u64> {
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        self.note_soon(QUESTION, move |db, _| {
            db.prepare_cached(
                "UPDATE confirmations SET shown = '', token = NULL WHERE until_ms <= ?1 AND shown <> ''",
            )?
            .execute([ms(now)])?;
            let forgotten = db
                .prepare_cached(
                    "DELETE FROM confirmations WHERE (until_ms <= ?1 OR state = 3) AND (asked_at_ms < ?2
                        OR seq <= (SELECT seq FROM confirmations ORDER BY seq DESC LIMIT 1 OFFSET ?3))",
                )?
                .execute(params![ms(now), ms(before), keep])?;
            Ok(forgotten as u64)
        })
    }
}

fn ask(db: &Connection, new: &NewConfirmation) -> rusqlite::Result<Confirmation> {
    let NewConfirmation { id, call, caller, shown, at, until, token, most } = new;
    // Of questions that their caller confirms, each has its own token.
    let asked = db
        .prepare_cached(
            "SELECT seq FROM confirmations
             WHERE key = ?1 AND tool = ?2 AND component = ?3 AND arguments = ?4 AND until_ms > ?5
                AND (state = 2 OR state = 0 AND token IS NULL AND ?6)
             ORDER BY state DESC LIMIT 1",
        )?
        .query_row(
            params![
                &*call.key.0,
                call.tool,
                call.component.to_string(),
                call.arguments.to_string(),
                ms(*at),
                token.is_none()
            ],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(seq) = asked {
        return by_seq(db, seq);
    }
    db.prepare_cached(
        "INSERT INTO confirmations
            (id, key, tool, component, arguments, caller, shown, asked_at_ms, until_ms, state, token, token_until_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10, ?11)",
    )?
    .execute(params![
        id,
        &*call.key.0,
        call.tool,
        call.component.to_string(),
        call.arguments.to_string(),
        caller,
        shown,
        ms(*at),
        ms(*until),
        token.map(|(token, _)| token.to_string()),
        token.map(|(_, until)| ms(until)),
    ])?;
    let seq = db.last_insert_rowid();
    db.prepare_cached(
        "DELETE FROM confirmations WHERE key = ?1 AND state = 0 AND seq <= (
            SELECT seq FROM confirmations WHERE key = ?1 AND state = 0 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute(params![&*call.key.0, i64::try_from(*most).unwrap_or(i64::MAX)])?;
    by_seq(db, seq)
}

/// The place of what confirms the call.
fn confirmed(
    db: &Connection,
    call: &ConfirmedCall,
    token: Option<Digest>,
    now: Timestamp,
) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached(
        "SELECT seq FROM confirmations
         WHERE key = ?1 AND tool = ?2 AND component = ?3 AND arguments = ?4 AND until_ms > ?5
            AND (state = 1 OR state = 0 AND token = ?6 AND token_until_ms > ?5)
         ORDER BY state, seq LIMIT 1",
    )?
    .query_row(
        params![
            &*call.key.0,
            call.tool,
            call.component.to_string(),
            call.arguments.to_string(),
            ms(now),
            token.map(|token| token.to_string())
        ],
        |row| row.get(0),
    )
    .optional()
}

fn decide(
    db: &Connection,
    decider: &Decider,
    agrees: bool,
    by: &str,
    now: Timestamp,
) -> rusqlite::Result<Option<Confirmation>> {
    let (of, value) = match decider {
        Decider::Id(id) => ("id = ?1", id.clone()),
        Decider::Token(token) => ("token = ?1 AND token_until_ms > ?2", token.to_string()),
    };
    let seq = db
        .prepare_cached(&format!("SELECT seq FROM confirmations WHERE {of} AND state = 0 AND until_ms > ?2"))?
        .query_row(params![value, ms(now)], |row| row.get::<_, i64>(0))
        .optional()?;
    let Some(seq) = seq else { return Ok(None) };
    // What its own caller refuses, it may ask again; what somebody else refuses stays refused for a while.
    let ends = !agrees && matches!(decider, Decider::Token(_));
    db.prepare_cached(
        "UPDATE confirmations SET state = CASE WHEN ?2 THEN 1 ELSE 2 END, decided_by = ?3, decided_at_ms = ?4,
            shown = CASE WHEN ?2 THEN shown ELSE '' END, until_ms = CASE WHEN ?5 THEN ?4 ELSE until_ms END, token = NULL
         WHERE seq = ?1",
    )?
    .execute(params![seq, agrees, by, ms(now), ends])?;
    by_seq(db, seq).map(Some)
}

fn by_seq(db: &Connection, seq: i64) -> rusqlite::Result<Confirmation> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM confirmations WHERE seq = ?1"))?.query_row([seq], confirmation)
}

fn confirmation(row: &Row<'_>) -> rusqlite::Result<Confirmation> {
    let at = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(timestamp));
    Ok(Confirmation {
        id: row.get(0)?,
        call: ConfirmedCall {
            key: KeyId(row.get::<_, String>(1)?.into()),
            tool: row.get(2)?,
            component: parsed(row, 3)?,
            arguments: parsed(row, 4)?,
        },
        caller: row.get(5)?,
        shown: row.get(6)?,
        asked_at: timestamp(row.get(7)?),
        until: timestamp(row.get(8)?),
        state: match row.get(9)? {
            0 => ConfirmationState::Waiting,
            1 => ConfirmationState::Confirmed,
            2 => ConfirmationState::Refused,
            3 => ConfirmationState::Used,
            other => return Err(rusqlite::Error::IntegralValueOutOfRange(9, other)),
        },
        decided_by: row.get(10)?,
        decided_at: at(11)?,
        used_at: at(12)?,
    })
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::{Access, DataDirectory};

    struct Fixture {
        database: Database,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let database = DataDirectory::open(folder.path(), Access::Own).unwrap().database().unwrap();
            Self { database, _folder: folder }
        }

        fn ask(&self, new: NewConfirmation) -> Confirmation {
            block_on(self.database.ask_confirmation(new)).unwrap()
        }

        fn spend(&self, call: ConfirmedCall, token: Option<&str>, now: u64) -> Option<Confirmation> {
            let token = token.map(|token| Digest::of(token.as_bytes()));
            block_on(self.database.spend_confirmation(call, token, at(now))).unwrap()
        }

        fn decide(&self, decider: Decider, agrees: bool, now: u64) -> Option<Confirmation> {
            block_on(self.database.decide_confirmation(decider, agrees, "boss".to_owned(), at(now))).unwrap()
        }

        fn all(&self) -> Vec<Confirmation> {
            block_on(self.database.confirmations(None, 100)).unwrap()
        }

        fn waiting(&self, now: u64) -> usize {
            block_on(self.database.confirmations(Some(at(now)), 100)).unwrap().len()
        }
    }

    fn at(unix_ms: u64) -> Timestamp {
        Timestamp { unix_ms }
    }

    fn call(arguments: &str) -> ConfirmedCall {
        ConfirmedCall {
            key: KeyId("k".into()),
            tool: "m__f".to_owned(),
            component: Digest::of(b"component"),
            arguments: Digest::of(arguments.as_bytes()),
        }
    }

    /// Asked at 1, for all until 100, by its caller with the token until 10.
    fn new(id: &str, arguments: &str, token: Option<&str>) -> NewConfirmation {
        NewConfirmation {
            id: id.to_owned(),
            call: call(arguments),
            caller: "caller".to_owned(),
            shown: arguments.to_owned(),
            at: at(1),
            until: at(100),
            token: token.map(|token| (Digest::of(token.as_bytes()), at(10))),
            most: 3,
        }
    }

    #[test]
    fn a_caller_confirms_its_own_call_once_and_in_time() {
        let fixture = Fixture::new();
        fixture.ask(new("one", "a", Some("t1")));
        fixture.ask(new("two", "a", Some("t2")));

        assert_eq!(fixture.spend(call("b"), Some("t1"), 5), None, "other arguments");
        assert_eq!(fixture.spend(call("a"), Some("other"), 5), None);
        assert_eq!(fixture.spend(call("a"), None, 5), None);
        let used = fixture.spend(call("a"), Some("t1"), 5).unwrap();
        assert_eq!((used.id.as_str(), used.state, used.used_at), ("one", ConfirmationState::Used, Some(at(5))));
        assert_eq!((used.decided_by.as_deref(), used.shown.as_str()), (Some("caller"), ""));
        assert_eq!(fixture.spend(call("a"), Some("t1"), 5), None, "used once, it is used up");
        assert_eq!(fixture.spend(call("a"), Some("t2"), 10), None, "too late");
        assert_eq!(fixture.waiting(10), 1);
    }

    #[test]
    fn what_somebody_else_confirms_needs_no_token_and_what_they_refuse_stays_refused() {
        let fixture = Fixture::new();
        let first = fixture.ask(new("one", "a", None));
        assert_eq!(fixture.ask(new("two", "a", None)), first, "asked again, it is the same question");
        assert!(!block_on(fixture.database.is_confirmed(call("a"), at(50))).unwrap());
        let decided = fixture.decide(Decider::Id("one".to_owned()), true, 50).unwrap();
        assert_eq!((decided.state, decided.shown.as_str()), (ConfirmationState::Confirmed, "a"));
        assert_eq!(fixture.decide(Decider::Id("one".to_owned()), false, 50), None, "it is decided");
        assert!(block_on(fixture.database.is_confirmed(call("a"), at(50))).unwrap());
        assert!(!block_on(fixture.database.is_confirmed(call("a"), at(100))).unwrap());

        let used = fixture.spend(call("a"), None, 60).unwrap();
        assert_eq!((used.decided_by.as_deref(), used.decided_at), (Some("boss"), Some(at(50))));
        assert_eq!(fixture.spend(call("a"), None, 60), None);

        fixture.ask(new("three", "a", Some("t")));
        fixture.decide(Decider::Id("three".to_owned()), false, 5).unwrap();
        assert_eq!(fixture.spend(call("a"), Some("t"), 6), None);
        assert_eq!(fixture.ask(new("four", "a", Some("t4"))).state, ConfirmationState::Refused);
        let later = NewConfirmation { at: at(100), ..new("five", "a", Some("t5")) };
        assert_eq!(fixture.ask(later).state, ConfirmationState::Waiting);
    }

    #[test]
    fn a_process_that_does_not_own_the_database_asks_and_its_owner_decides() {
        let folder = tempfile::tempdir().unwrap();
        let open = |access| DataDirectory::open(folder.path(), access).unwrap().database().unwrap();
        let (owner, other) = (open(Access::Own), open(Access::Share));
        block_on(other.ask_confirmation(new("one", "a", None))).unwrap();

        let decided =
            block_on(owner.decide_confirmation(Decider::Id("one".to_owned()), true, "boss".to_owned(), at(2)));

        assert_eq!(decided.unwrap().unwrap().state, ConfirmationState::Confirmed);
        assert!(block_on(other.spend_confirmation(call("a"), None, at(3))).unwrap().is_some());
    }

    #[test]
    fn what_its_own_caller_refuses_it_may_ask_again() {
        let fixture = Fixture::new();
        fixture.ask(new("one", "a", Some("t")));

        let refused = fixture.decide(Decider::Token(Digest::of(b"t")), false, 5).unwrap();

        assert_eq!((refused.state, refused.until), (ConfirmationState::Refused, at(5)));
        let again = NewConfirmation { at: at(5), ..new("two", "a", Some("t2")) };
        assert_eq!(fixture.ask(again).state, ConfirmationState::Waiting);
    }

    #[test]
    fn the_oldest_questions_of_a_key_make_room_and_what_is_decided_stays() {
        let fixture = Fixture::new();
        fixture.ask(new("used", "z", Some("used")));
        fixture.spend(call("z"), Some("used"), 2).unwrap();
        for id in ["a", "b", "c", "d"] {
            fixture.ask(new(id, id, None));
        }

        let ids: Vec<_> = fixture.all().into_iter().map(|one| one.id).collect();
        assert_eq!(ids, ["d", "c", "b", "used"]);
    }

    #[test]
    fn what_is_too_old_is_forgotten_and_arguments_before_that() {
        let fixture = Fixture::new();
        for id in ["a", "b", "c"] {
            fixture.ask(new(id, id, None));
        }
        let prune =
            |now, before, keep| block_on(fixture.database.prune_confirmations(at(now), at(before), keep)).unwrap();

        assert_eq!(prune(99, 99, 9), 0);
        assert_eq!(fixture.all()[0].shown, "c");
        assert_eq!(prune(100, 1, 9), 0);
        assert_eq!(fixture.all()[0].shown, "");
        assert_eq!(prune(100, 1, 2), 1);
        assert_eq!(prune(100, 2, 2), 2);
    }
}
