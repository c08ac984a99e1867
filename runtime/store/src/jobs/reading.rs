//! Looking at jobs.

use bytes::Bytes;
use fumehood_model::{Digest, Job, JobId, JobOutcome, JobState, Outcome, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};

use super::{
    Body, Counts, Filter, JobEvent, Told,
    rows::{self, Apart, COLUMNS, ms},
};

pub(super) fn job(db: &Connection, id: JobId) -> rusqlite::Result<Option<Job>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1"))?
        .query_row([id.as_bytes()], rows::job)
        .optional()
}

pub(super) fn body(db: &Connection, id: JobId, which: Body) -> rusqlite::Result<Option<Bytes>> {
    // One transaction: between two questions, the job could be tried again.
    let db = db.unchecked_transaction()?;
    let (column, apart) = match which {
        Body::Input => ("input", Apart::Input),
        Body::Result => ("outcome", Apart::Result),
    };
    let found = db
        .prepare_cached(&format!("SELECT seq, {column}, result_bytes FROM jobs WHERE id = ?1"))?
        .query_row([id.as_bytes()], |row| match which {
            Body::Input => Ok((row.get::<_, i64>(0)?, row.get::<_, Option<Vec<u8>>>(1)?.map(Bytes::from), true)),
            Body::Result => {
                let text = rows::json::<JobOutcome>(row, 1)?.and_then(text).filter(|text| !text.is_empty());
                Ok((row.get(0)?, text.map(Bytes::from), row.get::<_, Option<i64>>(2)?.is_some()))
            }
        })
        .optional()?;
    match found {
        Some((seq, None, true)) => Ok(rows::body(&db, seq, apart)?.map(Bytes::from)),
        Some((_, body, _)) => Ok(body),
        None => Ok(None),
    }
}

fn text(outcome: JobOutcome) -> Option<String> {
    match outcome {
        JobOutcome::Ended(Outcome::Value(text) | Outcome::ToolError(text)) => Some(text),
        JobOutcome::Ended(Outcome::Stopped(_)) | JobOutcome::Failed(_) => None,
    }
}

/// Jobs, the newest first. Rows that cannot be read are left out, and named in the log.
pub(super) fn list(db: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Job>> {
    if filter.states.is_empty() {
        return Ok(list_state(db, filter, None)?.into_iter().map(|(_, job)| job).collect());
    }
    // State by state, so that each is found by its index, however rare it is.
    let mut jobs = Vec::new();
    for (turn, state) in filter.states.iter().enumerate() {
        if !filter.states[..turn].contains(state) {
            jobs.extend(list_state(db, filter, Some(*state))?);
        }
    }
    jobs.sort_unstable_by_key(|(seq, _)| std::cmp::Reverse(*seq));
    jobs.truncate(filter.most);
    Ok(jobs.into_iter().map(|(_, job)| job).collect())
}

fn list_state(db: &Connection, filter: &Filter, state: Option<JobState>) -> rusqlite::Result<Vec<(i64, Job)>> {
    let mut sql = format!("SELECT seq, {COLUMNS} FROM jobs WHERE true");
    let mut values = Vec::new();
    let mut and = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            values.push(value);
            sql.push_str(" AND ");
            sql.push_str(&condition.replace('?', &format!("?{}", values.len())));
        }
    };
    let words = |words: &Option<String>| words.clone().map(Value::Text);
    and("state = ?", state.map(|state| Value::Integer(rows::state_number(state))));
    and("owner = ?", filter.owner.as_ref().map(|owner| Value::Text(owner.to_string())));
    and("module = ?", words(&filter.module));
    and("function = ?", words(&filter.function));
    and("schedule = ?", words(&filter.schedule));
    and("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)", words(&filter.tag));
    let before = filter.before.map(|id| Value::Blob(id.as_bytes().to_vec()));
    and("seq < (SELECT seq FROM jobs WHERE id = ?)", before);
    sql.push_str(&format!(" ORDER BY seq DESC LIMIT {}", filter.most));
    let mut statement = db.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(values))?;
    let mut jobs = Vec::new();
    while let Some(row) = found.next()? {
        match rows::job_at(row, 1) {
            Ok(job) => jobs.push((row.get(0)?, job)),
            Err(error) => tell_unreadable(row, &error),
        }
    }
    Ok(jobs)
}

fn tell_unreadable(row: &Row<'_>, error: &rusqlite::Error) {
    let id = rows::id(row, 1).map_or_else(|_| format!("{:?}", row.get_ref(1)), |id| id.to_string());
    tracing::error!(job.id = id, %error, blame = "host", "Job {id} cannot be read and was left out of a list");
}

pub(super) fn events(db: &Connection, id: JobId, after: u64, most: usize) -> rusqlite::Result<Vec<JobEvent>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    db.prepare_cached(
        "SELECT version, at_ms, kind, label, text FROM job_events
         WHERE job = (SELECT seq FROM jobs WHERE id = ?1) AND version > ?2 ORDER BY version LIMIT ?3",
    )?
    .query_map(params![id.as_bytes(), i64::try_from(after).unwrap_or(i64::MAX), most], event)?
    .collect()
}

fn event(row: &Row<'_>) -> rusqlite::Result<JobEvent> {
    let told = match row.get::<_, i64>(2)? {
        0 => Told::Log { level: row.get(3)?, message: row.get(4)? },
        _ => Told::Output { stream: row.get(3)?, text: row.get(4)? },
    };
    Ok(JobEvent { version: row.get::<_, i64>(0)?.cast_unsigned(), at: rows::timestamp(row.get(1)?), told })
}

pub(super) fn counts(db: &Connection, now: Timestamp) -> rusqlite::Result<Counts> {
    let db = db.unchecked_transaction()?;
    let states = db
        .prepare_cached("SELECT state, count FROM job_counts WHERE count > 0 ORDER BY state")?
        .query_map([], |row| Ok((rows::state(row, 0)?, row.get::<_, i64>(1)?.cast_unsigned())))?
        .collect::<rusqlite::Result<_>>()?;
    let since: Option<i64> = db
        .prepare_cached("SELECT min(since_ms) FROM jobs WHERE state = 0 AND state IN (0, 1, 4)")?
        .query_row([], |row| row.get(0))?;
    let oldest_available_ms = since.map(|since| ms(now).saturating_sub(since).max(0).cast_unsigned());
    Ok(Counts { states, oldest_available_ms })
}

pub(super) fn is_needed(db: &Connection, component: Digest) -> rusqlite::Result<bool> {
    let unfinished: Vec<_> = JobState::ALL.into_iter().filter(|state| !state.is_final()).collect();
    let sql = format!("SELECT EXISTS (SELECT 1 FROM jobs WHERE state IN ({}) AND digest = ?1)", numbers(&unfinished));
    db.prepare_cached(&sql)?.query_row([component.hex()], |row| row.get(0))
}

/// States as a list in SQL.
pub(super) fn numbers(states: &[JobState]) -> String {
    states.iter().map(|state| rows::state_number(*state).to_string()).collect::<Vec<_>>().join(", ")
}
