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
    /// Grows from question to question.
    pub seq: u64,
    /// Its id.
    pub id: String,
    /// Which call.
    pub call: ConfirmedCall,
    /// The name of the key that calls.
    pub caller: String,
    /// The arguments, as far as they are shown; empty once they are of no use.
    pub shown: String,
    /// The length of all of them.
    pub arguments_bytes: u64,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// Until when it can be decided and used, or stays refused.
    pub until: Timestamp,
    /// What became of it.
    pub state: ConfirmationState,
    /// Who decided.
    pub decided: Option<Decided>,
    /// When the call took place.
    pub used_at: Option<Timestamp>,
}

/// Who decided, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The key with which it was decided: that of an administrator, or the caller's own.
    pub key: KeyId,
    /// Its name.
    pub by: String,
    /// When.
    pub at: Timestamp,
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
    /// The length of all of them.
    pub arguments_bytes: u64,
    /// Now.
    pub at: Timestamp,
    /// Until when it can be decided and used.
    pub until: Timestamp,
    /// What its caller may confirm it with, and until when; without this, somebody else must.
    pub token: Option<(Digest, Timestamp)>,
    /// Most questions of one key that wait. The oldest make room.
    pub most: u64,
}

/// Which questions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfirmationFilter {
    /// Only those that can be decided at this moment.
    pub waiting: Option<Timestamp>,
    /// Only of this tool.
    pub tool: Option<String>,
    /// Only of this key.
    pub key: Option<KeyId>,
    /// Only what stands before this one.
    pub before: Option<u64>,
    /// Most questions.
    pub most: usize,
}

const COLUMNS: &str = "seq, id, key, tool, component, arguments, caller, shown, arguments_bytes, asked_at_ms, until_ms, state, \
                       decided_key, decided_by, decided_at_ms, used_at_ms";

/// The call with the parameters 1 to 4, as long as it did not take place: by an index that holds no others.
const OF_CALL: &str = "state < 3 AND key = ?1 AND tool = ?2 AND component = ?3 AND arguments = ?4";

/// What a question weighs beside its arguments.
const QUESTION: usize = 512;

/// Most questions that are forgotten at a time: what waits to be written meanwhile waits for these.
const PRUNED_AT_ONCE: i64 = 1_000;

/// All of this can be done in any process that has opened the database: a call is confirmed where its caller is.
impl Database {
    /// Ask for a confirmation; what is there already for this call if nobody but another can confirm it, or one has refused.
    pub fn ask_confirmation(&self, new: NewConfirmation) -> Verb<'_, Confirmation> {
        self.note_soon(QUESTION + new.shown.len(), move |db, _| Ok(ask(db, &new)?))
    }

    /// Whether the call is confirmed and did not take place yet: by somebody else, or by its caller who brings the token.
    pub fn is_confirmed(&self, call: ConfirmedCall, token: Option<Digest>, now: Timestamp) -> Verb<'_, bool> {
        self.read_soon(move |db| Ok(confirmed(db, &call, token, now)?.is_some()))
    }

    /// Use a confirmation of the call, once.
    pub fn spend_confirmation(
        &self,
        call: ConfirmedCall,
        token: Option<Digest>,
        now: Timestamp,
    ) -> Verb<'_, Option<Confirmation>> {
        self.note_soon(QUESTION, move |db, _| {
            let Some(seq) = confirmed(db, &call, token, now)? else { return Ok(None) };
            db.prepare_cached(
                "UPDATE confirmations SET state = 3, used_at_ms = ?2, decided_key = coalesce(decided_key, key),
                    decided_by = coalesce(decided_by, caller), decided_at_ms = coalesce(decided_at_ms, ?2)
                 WHERE seq = ?1",
            )?
            .execute(params![seq, ms(now)])?;
            Ok(Some(by_seq(db, seq)?))
        })
    }

    /// The call did not take place for which the question `id` was used: it can be used once more, without a token.
    pub fn return_confirmation(&self, id: String) -> Verb<'_, ()> {
        self.note_soon(QUESTION, move |db, _| {
            db.prepare_cached("UPDATE confirmations SET state = 1, used_at_ms = NULL WHERE id = ?1 AND state = 3")?
                .execute([id])?;
            Ok(())
        })
    }

    /// Somebody else confirms the question `id` until a moment, or refuses its call until then; none if nothing such can be
    /// decided. As long as the call did not take place, another decision takes the place of this one.
    ///
    /// Other questions about the same call end with it: what is confirmed takes place once.
    pub fn decide_confirmation(
        &self,
        id: String,
        agrees: bool,
        decided: Decided,
        until: Timestamp,
    ) -> Verb<'_, Option<Confirmation>> {
        self.note_soon(QUESTION, move |db, _| Ok(decide(db, &id, agrees, &decided, until)?))
    }

    /// The caller takes it back: whatever has confirmed the call, and what it can be confirmed with by the token. It may ask again.
    pub fn decline_confirmation(&self, call: ConfirmedCall, token: Digest, decided: Decided) -> Verb<'_, bool> {
        self.note_soon(QUESTION, move |db, _| {
            let sql = format!(
                "UPDATE confirmations SET state = 2, shown = '', until_ms = ?5, decided_key = ?6, decided_by = ?7, decided_at_ms = ?5
                 WHERE {OF_CALL} AND (state = 1 OR state = 0 AND token = ?8)"
            );
            let (key, tool, component, arguments) = columns(&call);
            let values =
                params![key, tool, component, arguments, ms(decided.at), &*decided.key.0, decided.by, token.to_string()];
            Ok(db.prepare_cached(&sql)?.execute(values)? > 0)
        })
    }

    /// Questions, the newest first.
    pub fn confirmations(&self, filter: ConfirmationFilter) -> Verb<'_, Vec<Confirmation>> {
        self.search_soon(move |db| {
            let ConfirmationFilter { waiting, tool, key, before, most } = filter;
            let which = if waiting.is_some() { "state = 0 AND until_ms > ?1" } else { "?1 IS NULL" };
            db.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM confirmations WHERE {which} AND (?2 IS NULL OR tool = ?2) AND (?3 IS NULL OR key = ?3)
                    AND seq < ?4 ORDER BY seq DESC LIMIT ?5"
            ))?
            .query_map(
                params![
                    waiting.map(ms),
                    tool,
                    key.as_ref().map(|key| &*key.0),
                    before.map_or(i64::MAX, u64::cast_signed),
                    i64::try_from(most).unwrap_or(i64::MAX)
                ],
                confirmation,
            )?
            .collect()
        })
    }

    /// Forget the arguments of what can no longer be decided, and some of what is over and was asked before, or is older than
    /// the newest `keep`; how many questions were forgotten.
    pub fn prune_confirmations(&self, now: Timestamp, before: Timestamp, keep: u64) -> Verb<'_, u64> {
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        self.note_soon(QUESTION, move |db, _| {
            db.prepare_cached(
                "UPDATE confirmations SET shown = '' WHERE shown <> '' AND (until_ms <= ?1 OR state = 3)",
            )?
            .execute([ms(now)])?;
            // The oldest come first, and nothing waits for longer than a few days.
            let forgotten = db
                .prepare_cached(
                    "DELETE FROM confirmations WHERE seq IN (SELECT seq FROM confirmations ORDER BY seq LIMIT ?4)
                        AND (until_ms <= ?1 OR state = 3)
                        AND (asked_at_ms < ?2 OR seq <= (SELECT max(seq) FROM confirmations) - ?3)",
                )?
                .execute(params![ms(now), ms(before), keep, PRUNED_AT_ONCE])?;
            Ok(forgotten as u64)
        })
    }
}

fn columns(call: &ConfirmedCall) -> (&str, &str, String, String) {
    (&call.key.0, &call.tool, call.component.to_string(), call.arguments.to_string())
}

fn ask(db: &Connection, new: &NewConfirmation) -> rusqlite::Result<Confirmation> {
    let (key, tool, component, arguments) = columns(&new.call);
    // Of questions that their caller confirms, each has its own token.
    let asked = db
        .prepare_cached(&format!(
            "SELECT seq FROM confirmations
             WHERE {OF_CALL} AND until_ms > ?5 AND (state = 2 OR state = 0 AND token IS NULL AND ?6)
             ORDER BY state DESC LIMIT 1"
        ))?
        .query_row(params![key, tool, component, arguments, ms(new.at), new.token.is_none()], |row| row.get(0))
        .optional()?;
    if let Some(seq) = asked {
        return by_seq(db, seq);
    }
    db.prepare_cached(
        "INSERT INTO confirmations
            (id, key, tool, component, arguments, caller, shown, arguments_bytes, asked_at_ms, until_ms, state, token, token_until_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, ?11, ?12)",
    )?
    .execute(params![
        new.id,
        key,
        tool,
        component,
        arguments,
        new.caller,
        new.shown,
        new.arguments_bytes.cast_signed(),
        ms(new.at),
        ms(new.until),
        new.token.map(|(token, _)| token.to_string()),
        new.token.map(|(_, until)| ms(until)),
    ])?;
    let seq = db.last_insert_rowid();
    db.prepare_cached(
        "DELETE FROM confirmations WHERE key = ?1 AND state = 0 AND seq <= (
            SELECT seq FROM confirmations WHERE key = ?1 AND state = 0 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute(params![key, i64::try_from(new.most).unwrap_or(i64::MAX)])?;
    by_seq(db, seq)
}

/// The place of what confirms the call.
fn confirmed(
    db: &Connection,
    call: &ConfirmedCall,
    token: Option<Digest>,
    now: Timestamp,
) -> rusqlite::Result<Option<i64>> {
    let (key, tool, component, arguments) = columns(call);
    db.prepare_cached(&format!(
        "SELECT seq FROM confirmations
         WHERE {OF_CALL} AND until_ms > ?5 AND (state = 1 OR state = 0 AND token = ?6 AND token_until_ms > ?5)
         ORDER BY state, seq LIMIT 1"
    ))?
    .query_row(params![key, tool, component, arguments, ms(now), token.map(|token| token.to_string())], |row| {
        row.get(0)
    })
    .optional()
}

fn decide(
    db: &Connection,
    id: &str,
    agrees: bool,
    decided: &Decided,
    until: Timestamp,
) -> rusqlite::Result<Option<Confirmation>> {
    let found = db
        .prepare_cached(&format!("SELECT {COLUMNS} FROM confirmations WHERE id = ?1 AND state < 3 AND until_ms > ?2"))?
        .query_row(params![id, ms(decided.at)], confirmation)
        .optional()?;
    let Some(found) = found else { return Ok(None) };
    let (key, tool, component, arguments) = columns(&found.call);
    let seq = found.seq.cast_signed();
    let rest = if agrees { "state = 0" } else { "state < 2" };
    db.prepare_cached(&format!("DELETE FROM confirmations WHERE {OF_CALL} AND {rest} AND seq <> ?5"))?
        .execute(params![key, tool, component, arguments, seq])?;
    db.prepare_cached(
        "UPDATE confirmations SET state = CASE WHEN ?2 THEN 1 ELSE 2 END,
            until_ms = ?3, decided_key = ?4, decided_by = ?5, decided_at_ms = ?6
         WHERE seq = ?1",
    )?
    .execute(params![seq, agrees, ms(until), &*decided.key.0, decided.by, ms(decided.at)])?;
    by_seq(db, seq).map(Some)
}

fn by_seq(db: &Connection, seq: i64) -> rusqlite::Result<Confirmation> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM confirmations WHERE seq = ?1"))?.query_row([seq], confirmation)
}

fn confirmation(row: &Row<'_>) -> rusqlite::Result<Confirmation> {
    let key = |column| row.get::<_, Option<String>>(column).map(|key| key.map(|key| KeyId(key.into())));
    let at = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(timestamp));
    let decided = match (key(12)?, row.get(13)?, at(14)?) {
        (Some(key), Some(by), Some(at)) => Some(Decided { key, by, at }),
        _ => None,
    };
    Ok(Confirmation {
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        id: row.get(1)?,
        call: ConfirmedCall {
            key: KeyId(row.get::<_, String>(2)?.into()),
            tool: row.get(3)?,
            component: parsed(row, 4)?,
            arguments: parsed(row, 5)?,
        },
        caller: row.get(6)?,
        shown: row.get(7)?,
        arguments_bytes: row.get::<_, i64>(8)?.cast_unsigned(),
        asked_at: timestamp(row.get(9)?),
        until: timestamp(row.get(10)?),
        state: match row.get(11)? {
            0 => ConfirmationState::Waiting,
            1 => ConfirmationState::Confirmed,
            2 => ConfirmationState::Refused,
            3 => ConfirmationState::Used,
            other => return Err(rusqlite::Error::IntegralValueOutOfRange(11, other)),
        },
        decided,
        used_at: at(15)?,
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

        fn decide(&self, id: &str, agrees: bool, now: u64) -> Option<Confirmation> {
            let deciding = self.database.decide_confirmation(id.to_owned(), agrees, by("boss", now), at(now + 100));
            block_on(deciding).unwrap()
        }

        fn decline(&self, arguments: &str, token: &str, now: u64) -> bool {
            let token = Digest::of(token.as_bytes());
            block_on(self.database.decline_confirmation(call(arguments), token, by("caller", now))).unwrap()
        }

        fn is_confirmed(&self, now: u64) -> bool {
            block_on(self.database.is_confirmed(call("a"), None, at(now))).unwrap()
        }

        fn list(&self, filter: ConfirmationFilter) -> Vec<Confirmation> {
            block_on(self.database.confirmations(ConfirmationFilter { most: 100, ..filter })).unwrap()
        }

        fn all(&self) -> Vec<Confirmation> {
            self.list(ConfirmationFilter::default())
        }

        fn waiting(&self, now: u64) -> usize {
            self.list(ConfirmationFilter { waiting: Some(at(now)), ..ConfirmationFilter::default() }).len()
        }
    }

    fn by(name: &str, now: u64) -> Decided {
        Decided { key: KeyId(name.into()), by: name.to_owned(), at: at(now) }
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
            arguments_bytes: 1,
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
        let itself = Decided { key: KeyId("k".into()), by: "caller".to_owned(), at: at(5) };
        assert_eq!(used.decided, Some(itself));
        assert_eq!(fixture.spend(call("a"), Some("t1"), 5), None, "used once, it is used up");
        assert_eq!(fixture.spend(call("a"), Some("t2"), 10), None, "too late");
        assert_eq!(fixture.waiting(10), 1);
    }

    #[test]
    fn what_somebody_else_confirms_needs_no_token_and_takes_place_once() {
        let fixture = Fixture::new();
        let first = fixture.ask(new("one", "a", None));
        assert_eq!(fixture.ask(new("two", "a", None)), first, "asked again, it is the same question");
        fixture.ask(new("three", "a", Some("t")));
        assert!(!fixture.is_confirmed(50));

        let decided = fixture.decide("one", true, 50).unwrap();

        assert_eq!(
            (decided.state, decided.until, decided.shown.as_str()),
            (ConfirmationState::Confirmed, at(150), "a")
        );
        assert_eq!(fixture.decide("three", true, 50), None, "and so is what was asked beside it");
        assert!(fixture.is_confirmed(149) && !fixture.is_confirmed(150));
        let used = fixture.spend(call("a"), Some("t"), 60).unwrap();
        assert_eq!(used.decided, Some(by("boss", 50)));
        assert_eq!(fixture.spend(call("a"), Some("t"), 60), None);
        block_on(fixture.database.return_confirmation("one".to_owned())).unwrap();
        assert_eq!(fixture.spend(call("a"), None, 61).map(|used| used.id).as_deref(), Some("one"));
    }

    #[test]
    fn what_somebody_else_refuses_stays_refused_for_a_while_however_often_it_was_asked() {
        let fixture = Fixture::new();
        fixture.ask(new("one", "a", Some("t1")));
        fixture.ask(new("two", "a", Some("t2")));
        fixture.ask(new("other", "b", Some("t3")));

        assert_eq!(fixture.decide("two", false, 5).unwrap().state, ConfirmationState::Refused);

        assert_eq!([Some("t1"), Some("t2"), None].map(|token| fixture.spend(call("a"), token, 6)), [None, None, None]);
        assert!(fixture.spend(call("b"), Some("t3"), 6).is_some());
        let again = |now| NewConfirmation { at: at(now), until: at(200), ..new("again", "a", Some("t4")) };
        assert_eq!(fixture.ask(again(104)).state, ConfirmationState::Refused);
        assert_eq!(fixture.ask(again(105)).state, ConfirmationState::Waiting);
    }

    #[test]
    fn another_decision_takes_the_place_of_one_until_the_call_has_taken_place() {
        let fixture = Fixture::new();
        fixture.ask(new("one", "a", None));

        assert_eq!(fixture.decide("one", true, 2).unwrap().state, ConfirmationState::Confirmed);
        assert_eq!(fixture.decide("one", false, 3).unwrap().state, ConfirmationState::Refused);
        assert_eq!(fixture.spend(call("a"), None, 4), None);
        assert_eq!(fixture.decide("one", true, 5).unwrap().state, ConfirmationState::Confirmed);
        assert!(fixture.spend(call("a"), None, 6).is_some());
        assert_eq!(fixture.decide("one", false, 7), None);
    }

    #[test]
    fn a_caller_takes_back_what_was_confirmed_for_it_and_may_ask_again() {
        let fixture = Fixture::new();
        fixture.ask(new("one", "a", Some("t")));
        fixture.decide("one", true, 2).unwrap();
        assert!(fixture.is_confirmed(3));

        assert!(fixture.decline("a", "t", 5));

        assert!(!fixture.is_confirmed(6));
        assert_eq!(fixture.spend(call("a"), Some("t"), 6), None);
        assert_eq!((fixture.all()[0].state, fixture.all()[0].until), (ConfirmationState::Refused, at(5)));
        assert!(!fixture.decline("a", "t", 6));
        let again = NewConfirmation { at: at(5), ..new("two", "a", Some("t2")) };
        assert_eq!(fixture.ask(again).state, ConfirmationState::Waiting);
    }

    #[test]
    fn a_process_that_does_not_own_the_database_asks_and_its_owner_decides() {
        let folder = tempfile::tempdir().unwrap();
        let open = |access| DataDirectory::open(folder.path(), access).unwrap().database().unwrap();
        let (owner, other) = (open(Access::Own), open(Access::Share));
        block_on(other.ask_confirmation(new("one", "a", None))).unwrap();

        let decided = block_on(owner.decide_confirmation("one".to_owned(), true, by("boss", 2), at(100)));

        assert_eq!(decided.unwrap().unwrap().state, ConfirmationState::Confirmed);
        assert!(block_on(other.spend_confirmation(call("a"), None, at(3))).unwrap().is_some());
    }

    #[test]
    fn the_oldest_questions_of_a_key_make_room_and_what_is_decided_stays() {
        let fixture = Fixture::new();
        fixture.ask(new("used", "z", Some("used")));
        fixture.spend(call("z"), Some("used"), 2).unwrap();
        for id in ["a", "b", "c", "d"] {
            fixture.ask(new(id, id, None));
        }

        let ids = |filter| fixture.list(filter).into_iter().map(|one| one.id).collect::<Vec<_>>();
        assert_eq!(ids(ConfirmationFilter::default()), ["d", "c", "b", "used"]);
        let before = fixture.all()[1].seq;
        assert_eq!(ids(ConfirmationFilter { before: Some(before), ..ConfirmationFilter::default() }), ["b", "used"]);
        let tool = Some("m__g".to_owned());
        assert_eq!(ids(ConfirmationFilter { tool, ..ConfirmationFilter::default() }), Vec::<String>::new());
        let key = Some(KeyId("k".into()));
        assert_eq!(ids(ConfirmationFilter { key, ..ConfirmationFilter::default() }).len(), 4);
    }

    #[test]
    fn what_is_asked_and_decided_is_found_by_an_index() {
        let fixture = Fixture::new();
        let plan = |sql: &str| {
            let read = |db: &Connection| {
                let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                plan.query_map([], |row| row.get::<_, String>(3))?.collect::<rusqlite::Result<Vec<_>>>()
            };
            fixture.database.with(read).unwrap().join("; ")
        };

        let of_call = OF_CALL.replace("?1", "'k'").replace("?2", "'t'").replace("?3", "'c'").replace("?4", "'a'");
        let found = plan(&format!("SELECT seq FROM confirmations WHERE {of_call} AND until_ms > 1 AND state = 1"));
        assert!(found.contains("confirmations_open (key=? AND tool=? AND component=? AND arguments=?)"), "{found}");
        let oldest =
            plan("SELECT seq FROM confirmations WHERE key = 'k' AND state = 0 ORDER BY seq DESC LIMIT 1 OFFSET 9");
        assert!(oldest.contains("confirmations_waiting") && !oldest.contains("TEMP"), "{oldest}");
        let shown = plan("UPDATE confirmations SET shown = '' WHERE shown <> '' AND (until_ms <= 1 OR state = 3)");
        assert!(shown.contains("confirmations_shown"), "{shown}");
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
