//! Taking jobs in.

use fumehood_model::{JobId, JobState, KeyId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Bounds, Idempotency, NewJob, Signal, SubmitError, Submitted,
    rows::{self, Apart, StoredOutcome, ms},
};
use crate::writer::Undo;

/// Largest arguments that stand in the row of their job.
///
/// Less than [`super::INLINE`]: each change of a job writes its row anew, and its arguments never change. Below a kilobyte
/// that is cheaper than a second place to look.
const INPUT_IN_ROW: usize = 1 << 10;

/// Submit all of `jobs` or none.
pub(super) fn submit(
    db: &Connection,
    jobs: Vec<NewJob>,
    bounds: Bounds,
    now: Timestamp,
    signals: &mut Vec<Signal>,
) -> Result<Vec<Submitted>, Undo<SubmitError>> {
    jobs.into_iter().map(|job| submit_one(db, job, bounds, now, signals)).collect()
}

/// Submit a job, unless it was submitted under the same name before.
pub(crate) fn submit_one(
    db: &Connection,
    job: NewJob,
    bounds: Bounds,
    now: Timestamp,
    signals: &mut Vec<Signal>,
) -> Result<Submitted, Undo<SubmitError>> {
    if let Some(name) = &job.idempotency
        && let Some(id) = named(db, &job.owner, name)?
    {
        return Ok(Submitted { id, is_new: false });
    }
    let state = first_state(&job, now);
    if !state.is_final() && state != JobState::Running {
        check_room(db, &job.owner, bounds)?;
    }
    let id = job.id;
    insert(db, job, state, now)?;
    let signal = match state {
        JobState::Available => Signal::Available,
        JobState::Scheduled => Signal::Due,
        _ => Signal::Job(id),
    };
    if signals.last() != Some(&signal) {
        signals.push(signal);
    }
    Ok(Submitted { id, is_new: true })
}

fn first_state(job: &NewJob, now: Timestamp) -> JobState {
    match (&job.ended, job.held_by) {
        (Some((state, _)), _) if state.is_final() => *state,
        (_, Some(_)) => JobState::Running,
        _ if job.run_at > now => JobState::Scheduled,
        _ => JobState::Available,
    }
}

/// The job that was submitted under this name.
fn named(db: &Connection, owner: &KeyId, name: &Idempotency) -> Result<Option<JobId>, Undo<SubmitError>> {
    let found = db
        .prepare_cached("SELECT id, fingerprint FROM jobs WHERE owner = ?1 AND idempotency_key = ?2")?
        .query_row(params![&*owner.0, name.key], |row| Ok((rows::id(row, 0)?, row.get::<_, [u8; 32]>(1)?)))
        .optional()?;
    match found {
        Some((id, fingerprint)) if fingerprint != name.fingerprint => Err(Undo::Refused(SubmitError::NameTaken { id })),
        found => Ok(found.map(|(id, _)| id)),
    }
}

fn check_room(db: &Connection, owner: &KeyId, bounds: Bounds) -> Result<(), Undo<SubmitError>> {
    let (all, own): (i64, i64) = db
        .prepare_cached(
            "SELECT (SELECT sum(count) FROM job_counts WHERE state IN (0, 1, 4)),
                ifnull((SELECT waiting FROM job_shares WHERE owner = ?1), 0)",
        )?
        .query_row([&*owner.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (all, own) = (all.cast_unsigned(), own.cast_unsigned());
    // The key's own share first: it tells its owner more.
    if own >= bounds.waiting_per_key {
        return Err(Undo::Refused(SubmitError::ShareUsed { waiting: own }));
    }
    if all >= bounds.waiting {
        return Err(Undo::Refused(SubmitError::Full { waiting: all }));
    }
    Ok(())
}

fn insert(db: &Connection, job: NewJob, state: JobState, now: Timestamp) -> Result<(), Undo<SubmitError>> {
    let at = job.run_at.max(now);
    let runs = if state == JobState::Running { job.held_by } else { None };
    let outcome = match job.ended {
        Some((_, outcome)) if state.is_final() => outcome,
        _ => None,
    };
    let outcome = StoredOutcome::of(outcome)?;
    let lowered = (!job.lowered.is_none()).then(|| rows::to_json(&job.lowered)).transpose()?;
    let tags = (!job.tags.is_empty()).then(|| rows::to_json(&job.tags)).transpose()?;
    let is_small = job.input.len() <= INPUT_IN_ROW;
    let inserted = db
        .prepare_cached(
            "INSERT INTO jobs (id, owner, state, token, attempt, max_attempts, crashes, is_repeatable, is_cancelled,
                priority, rank, since_ms, run_at_ms, expires_at_ms, created_at_ms, started_at_ms, finished_at_ms,
                updated_at_ms, node, lease_until_ms, charged_us, version, event_count, module, function, digest, lowered,
                tags, schedule, idempotency_key, fingerprint, outcome, result_bytes, input_bytes, input)
             VALUES (?1, ?2, ?3, ?4, ?4, ?5, 0, ?6, 0, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?12, ?15, ?16, 0, 1, 0,
                ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            job.id.as_bytes(),
            &*job.owner.0,
            rows::state_number(state),
            i64::from(runs.is_some()),
            job.max_attempts.max(1),
            job.is_repeatable,
            job.priority.get(),
            rows::rank(at, job.priority),
            ms(at),
            ms(job.run_at),
            job.expires_at.map(ms),
            ms(now),
            runs.map(|_| ms(now)),
            state.is_final().then(|| ms(now)),
            runs.map(|(node, _)| node.0.cast_signed()),
            runs.map(|(_, until)| ms(until)),
            job.tool.module.as_str(),
            job.tool.function,
            job.tool.digest.hex(),
            lowered,
            tags,
            job.schedule,
            job.idempotency.as_ref().map(|name| name.key.as_str()),
            job.idempotency.as_ref().map(|name| name.fingerprint),
            outcome.json,
            outcome.result_bytes,
            i64::try_from(job.input.len()).unwrap_or(i64::MAX),
            is_small.then_some(&*job.input),
        ])?;
    if inserted == 0 {
        return Err(Undo::Refused(SubmitError::Exists { id: job.id }));
    }
    let seq = db.last_insert_rowid();
    if !is_small {
        rows::put_body(db, seq, Apart::Input, &job.input)?;
    }
    outcome.put_apart(db, seq, false)?;
    Ok(())
}
