//! What people do to jobs: cancel them, try them again, forget them.

use fumehood_model::{Job, JobId, JobState, Timestamp};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter, types::Value};
use serde_json::{Map, Value as Json};

use super::{
    Prune, Signal,
    ending::{Ending, end},
    reading,
    rows::{self, Apart, ms},
};

pub(super) fn cancel(
    db: &Connection,
    id: JobId,
    now: Timestamp,
    signals: &mut Vec<Signal>,
) -> rusqlite::Result<Option<Job>> {
    let found = db
        .prepare_cached("SELECT seq, state, is_cancelled FROM jobs WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| Ok((row.get(0)?, rows::state(row, 1)?, row.get(2)?)))
        .optional()?;
    match found {
        Some((_, state, _)) if state.is_final() => {}
        Some((seq, JobState::Running, false)) => {
            db.prepare_cached(
                "UPDATE jobs SET is_cancelled = 1, updated_at_ms = ?2, version = version + 1 WHERE seq = ?1",
            )?
            .execute([seq, ms(now)])?;
            signals.extend([Signal::Cancel(id), Signal::Job(id)]);
        }
        // Said once more: whoever missed it hears it now.
        Some((_, JobState::Running, true)) => signals.push(Signal::Cancel(id)),
        Some((seq, ..)) => {
            end(db, seq, &Ending::plain(JobState::Cancelled), now)?;
            db.prepare_cached("UPDATE jobs SET is_cancelled = 1 WHERE seq = ?1")?.execute([seq])?;
            signals.push(Signal::Job(id));
        }
        None => {}
    }
    reading::job(db, id)
}

pub(super) fn answer(
    db: &Connection,
    id: JobId,
    responses: Map<String, Json>,
    now: Timestamp,
    signals: &mut Vec<Signal>,
) -> rusqlite::Result<Option<Job>> {
    let Some(job) = reading::job(db, id)? else { return Ok(None) };
    let (JobState::InputRequired, Some(mut asked)) = (job.state, job.asked.clone()) else { return Ok(Some(job)) };
    asked.answer(responses);
    let is_answered = asked.open().next().is_none();
    let state = if is_answered { JobState::Available } else { JobState::InputRequired };
    db.prepare_cached(
        // It has begun, and need not begin in time any more.
        "UPDATE jobs SET asked = ?2, state = ?3, since_ms = ?4, updated_at_ms = ?4, version = version + 1,
            expires_at_ms = iif(?3 = 0, NULL, expires_at_ms) WHERE id = ?1",
    )?
    .execute(params![id.as_bytes(), rows::to_json(&asked)?, rows::state_number(state), ms(now)])?;
    signals.push(Signal::Job(id));
    if is_answered {
        signals.push(Signal::Available);
    }
    reading::job(db, id)
}

pub(super) fn retry(
    db: &Connection,
    id: JobId,
    now: Timestamp,
    signals: &mut Vec<Signal>,
) -> rusqlite::Result<Option<Job>> {
    // A time to begin that is over would end it at once; whoever tries it again still wants it. A checkpoint stays: the
    // work that it stands for was done.
    let retried: Option<i64> = db
        .prepare_cached(
            "UPDATE jobs SET state = 0, attempt = 0, crashes = 0, is_cancelled = 0, rank = ?2 - priority * ?3,
                since_ms = ?2, run_at_ms = ?2, expires_at_ms = NULL, started_at_ms = NULL, finished_at_ms = NULL,
                updated_at_ms = ?2, version = version + 1, progress = NULL, fuel_units = NULL, memory_bytes = NULL,
                duration_us = NULL, outcome = NULL, result_bytes = NULL, asked = NULL
             WHERE id = ?1 AND state IN (6, 8, 9) RETURNING seq",
        )?
        .query_row(params![id.as_bytes(), ms(now), fumehood_model::Priority::STEP_MS], |row| row.get(0))
        .optional()?;
    if let Some(seq) = retried {
        rows::drop_body(db, seq, Apart::Result)?;
        signals.extend([Signal::Job(id), Signal::Available]);
    }
    reading::job(db, id)
}

/// How many ended jobs there are beyond those that are kept, if that has been counted as they ended.
///
/// To find the last one that is kept, all of them would be looked at while everybody waits, with every batch again.
fn excess(db: &Connection, prune: &Prune) -> rusqlite::Result<Option<u64>> {
    if prune.keep == 0 || prune.id.is_some() || prune.owner.is_some() || prune.ended_before.is_some() {
        return Ok(None);
    }
    let fits = |state: &JobState| state.is_final() && (prune.states.is_empty() || prune.states.contains(state));
    let states: Vec<_> = JobState::ALL.into_iter().filter(fits).collect();
    let sql = format!("SELECT ifnull(sum(count), 0) FROM job_counts WHERE state IN ({})", reading::numbers(&states));
    let count: i64 = db.query_row(&sql, [], |row| row.get(0))?;
    Ok(Some(u64::try_from(count).unwrap_or(0).saturating_sub(prune.keep)))
}

/// Forget ended jobs, those first that ended first.
pub(super) fn prune(db: &Connection, prune: &Prune, signals: &mut Vec<Signal>) -> rusqlite::Result<u64> {
    let mut fits = "finished_at_ms IS NOT NULL".to_owned();
    let mut values = Vec::new();
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        fits.push_str(&format!(" AND {condition} ?{}", values.len()));
    };
    if let Some(id) = prune.id {
        and("id =", Value::Blob(id.as_bytes().to_vec()));
    }
    if let Some(owner) = &prune.owner {
        and("owner =", Value::Text(owner.to_string()));
    }
    if let Some(before) = prune.ended_before {
        and("finished_at_ms <", Value::Integer(ms(before)));
    }
    if !prune.states.is_empty() {
        fits.push_str(&format!(" AND state IN ({})", reading::numbers(&prune.states)));
    }
    let excess = excess(db, prune)?;
    if prune.keep > 0 && excess.is_none() {
        let keep = prune.keep;
        fits.push_str(&format!(
            " AND (finished_at_ms, seq) <= (
                 SELECT finished_at_ms, seq FROM jobs INDEXED BY jobs_ended WHERE {fits} ORDER BY finished_at_ms DESC, seq DESC LIMIT 1 OFFSET {keep})"
        ));
    }
    // In the order in which they ended, whatever else they must fit: by their state, all of them would be sorted first.
    let index = if prune.id.is_some() { "jobs_id" } else { "jobs_ended" };
    let sql = format!(
        "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs INDEXED BY {index} WHERE {fits} ORDER BY finished_at_ms, seq LIMIT {})
         RETURNING id",
        excess.unwrap_or(u64::MAX).min(prune.most as u64)
    );
    let gone = db.prepare(&sql)?.query_map(params_from_iter(values), |row| rows::id(row, 0))?.collect::<Vec<_>>();
    let count = gone.len() as u64;
    // What cannot be named is forgotten all the same.
    signals.extend(gone.into_iter().flatten().map(Signal::Job));
    Ok(count)
}

#[cfg(test)]
mod tests {
    use fumehood_model::{Digest, JobTool, KeyId, Lowered, Priority};
    use pollster::block_on;

    use crate::{Access, Bounds, Database, Jobs, NewJob, database::Durability};

    use super::*;

    const NOW: Timestamp = Timestamp { unix_ms: 1_000_000 };

    fn ended(number: u8) -> NewJob {
        NewJob {
            id: JobId::new(NOW, [number; 10]),
            owner: KeyId("k".into()),
            tool: JobTool { module: "m".parse().unwrap(), function: "f".into(), digest: Digest::of(b"m") },
            input: "[]".into(),
            lowered: Lowered::default(),
            priority: Priority::default(),
            run_at: NOW,
            expires_at: None,
            max_attempts: 1,
            is_repeatable: false,
            tags: Vec::new(),
            idempotency: None,
            schedule: None,
            held_by: None,
            ended: Some((JobState::Completed, None)),
        }
    }

    #[test]
    fn forgetting_by_number_goes_by_what_was_counted_and_not_by_looking_at_what_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open_with(&folder.path().join("db"), Access::Own, Durability::Process).unwrap();
        block_on(database.submit((1..=5).map(ended).collect(), Bounds { waiting: 9, waiting_per_key: 9 }, NOW))
            .unwrap();
        // One that was counted would be found by looking.
        let miscount = "UPDATE job_counts SET count = 4 WHERE state = 5";
        database.write(move |db| db.execute(miscount, [])).unwrap();

        let gone = block_on(database.prune(Prune { keep: 3, most: 10, ..Prune::default() })).unwrap();

        assert_eq!(gone, 1);
    }
}
