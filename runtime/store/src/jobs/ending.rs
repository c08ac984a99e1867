//! How jobs end, and how attempts do.

use std::time::Duration;

use fumehood_model::{Code, Failure, JobOutcome, JobState, Priority, Timestamp, Usage};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    End, Finish, INLINE, Lease, MAX_CRASHES, Signal,
    rows::{self, StoredOutcome, ms},
};

/// How long a job waits for an answer to what it asks: three days, so that a weekend passes.
const ANSWERED_WITHIN_MS: i64 = 3 * 24 * 3_600 * 1_000;

/// What follows the last attempt of a job.
pub(super) struct Ending {
    state: JobState,
    /// What came of it, and what it used; absent to leave both as they are.
    what: Option<(StoredOutcome, Option<Usage>)>,
    crashed: bool,
    /// What it is charged; absent to leave it at the guess.
    charged_us: Option<i64>,
    had_result: bool,
}

/// A running job, as far as its end depends on it.
pub(super) struct Running {
    pub(super) seq: i64,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) crashes: u32,
    pub(super) is_repeatable: bool,
    pub(super) is_cancelled: bool,
    had_result: bool,
    priority: Priority,
}

impl Running {
    /// What [`Running::of`] reads, in its order.
    pub(super) const COLUMNS: &str = "seq, attempt, max_attempts, crashes, is_repeatable, is_cancelled,
        ifnull(result_bytes, 0), priority";

    pub(super) fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            attempt: row.get(1)?,
            max_attempts: row.get(2)?,
            crashes: row.get(3)?,
            is_repeatable: row.get(4)?,
            is_cancelled: row.get(5)?,
            had_result: row.get::<_, i64>(6)?.cast_unsigned() > INLINE as u64,
            priority: rows::priority(row, 7)?,
        })
    }

    /// The job of a lease that still holds.
    pub(super) fn held(db: &Connection, lease: Lease) -> rusqlite::Result<Option<Self>> {
        let columns = Self::COLUMNS;
        db.prepare_cached(&format!("SELECT {columns} FROM jobs WHERE id = ?1 AND token = ?2 AND state = 2"))?
            .query_row(params![lease.id.as_bytes(), lease.token.cast_signed()], Self::of)
            .optional()
    }

    /// Whether another attempt may follow a death of the process, after `crashes` of them.
    pub(super) fn may_repeat(&self, crashes: u32) -> bool {
        self.attempt < self.max_attempts && crashes < MAX_CRASHES
    }
}

impl Ending {
    /// It ends, and what came of its last attempt stays what it is.
    pub(super) fn plain(state: JobState) -> Self {
        Self { state, what: None, crashed: false, charged_us: None, had_result: false }
    }

    /// It ends, and its tool has no say in it.
    pub(super) fn failed(state: JobState, code: Code, message: &str) -> rusqlite::Result<Self> {
        let failure = Failure { code, message: message.to_owned() };
        let outcome = StoredOutcome::of(Some(JobOutcome::Failed(failure)))?;
        Ok(Self { what: Some((outcome, None)), ..Self::plain(state) })
    }

    /// Its time to begin is over.
    pub(super) fn expired() -> rusqlite::Result<Self> {
        Self::failed(JobState::Failed, Code::Deadline, "the job did not begin before the time by which it had to")
    }

    /// The process that it ran in died, and that was the end of it.
    pub(super) fn crashed(job: &Running) -> rusqlite::Result<Self> {
        let (state, message) = if !job.is_repeatable {
            (JobState::Interrupted, "the server ended while the job ran, and running it twice might do harm")
        } else if job.crashes + 1 >= MAX_CRASHES {
            (JobState::Discarded, "the process that the job ran in ended again and again")
        } else {
            (JobState::Discarded, "the server ended while the last attempt of the job ran")
        };
        let code = if state == JobState::Interrupted { Code::Interrupted } else { Code::Trap };
        let ending = Self::failed(state, code, message)?;
        Ok(Self { crashed: true, had_result: job.had_result, ..ending })
    }
}

/// End a job, whatever it did before.
pub(super) fn end(db: &Connection, seq: i64, ending: &Ending, now: Timestamp) -> rusqlite::Result<()> {
    let (outcome, usage) = ending.what.as_ref().map_or((None, None), |(outcome, usage)| (Some(outcome), *usage));
    db.prepare_cached(
        "UPDATE jobs SET state = ?2, finished_at_ms = ?3, updated_at_ms = ?3, version = version + 1, node = NULL,
            lease_until_ms = NULL, crashes = crashes + ?4, charged_us = ifnull(?5, charged_us),
            fuel_units = iif(?6, ?7, fuel_units), memory_bytes = iif(?6, ?8, memory_bytes),
            duration_us = iif(?6, ?9, duration_us), outcome = iif(?6, ?10, outcome),
            result_bytes = iif(?6, ?11, result_bytes)
         WHERE seq = ?1",
    )?
    .execute(params![
        seq,
        rows::state_number(ending.state),
        ms(now),
        ending.crashed,
        ending.charged_us,
        outcome.is_some(),
        usage.map(|usage| usage.fuel_units.cast_signed()),
        usage.map(|usage| usage.memory_bytes.cast_signed()),
        usage.map(|usage| usage.duration_us.cast_signed()),
        outcome.and_then(|outcome| outcome.json.as_deref()),
        outcome.and_then(|outcome| outcome.result_bytes),
    ])?;
    outcome.map_or(Ok(()), |outcome| outcome.put_apart(db, seq, ending.had_result))
}

/// Let a job that ran wait for its turn, from `at` on; the attempt counts if it `crashed`. The state that follows.
pub(super) fn back(
    db: &Connection,
    job: &Running,
    crashed: bool,
    charged_us: Option<i64>,
    at: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<JobState> {
    let state = if at > now { JobState::Scheduled } else { JobState::Available };
    db.prepare_cached(
        "UPDATE jobs SET state = ?6, attempt = attempt - ?2, crashes = crashes + ?3, since_ms = ?7, updated_at_ms = ?4,
            version = version + 1, node = NULL, lease_until_ms = NULL, charged_us = ifnull(?5, charged_us)
         WHERE seq = ?1",
    )?
    .execute(params![
        job.seq,
        !crashed,
        crashed,
        ms(now),
        charged_us,
        rows::state_number(state),
        ms(at.max(now))
    ])?;
    Ok(state)
}

/// Record what came of an attempt, if its lease still holds.
pub(super) fn finish(
    db: &Connection,
    finish: Finish,
    now: Timestamp,
    signals: &mut Vec<Signal>,
) -> rusqlite::Result<Option<JobState>> {
    let Some(job) = Running::held(db, finish.lease)? else { return Ok(None) };
    let charged_us = Some(micros(finish.held_for));
    let ends = |state, outcome, crashed| {
        let what = Some((StoredOutcome::of(outcome)?, finish.usage));
        end(db, job.seq, &Ending { state, what, crashed, charged_us, had_result: job.had_result }, now)?;
        Ok::<_, rusqlite::Error>(state)
    };
    signals.push(Signal::Job(finish.lease.id));
    let state = match finish.end {
        // What does not end a job cannot be its end: a mistake of the caller, which must not lose the job.
        End::Final { state, outcome } => ends(if state.is_final() { state } else { JobState::Failed }, outcome, false)?,
        End::Again { outcome, crashed, .. } if job.is_cancelled => ends(JobState::Cancelled, Some(outcome), crashed)?,
        End::Again { outcome, crashed: true, .. } if !job.is_repeatable => {
            ends(JobState::Interrupted, Some(outcome), true)?
        }
        End::Again { outcome, crashed, .. } if !job.may_repeat(job.crashes + u32::from(crashed)) => {
            ends(JobState::Discarded, Some(outcome), crashed)?
        }
        End::Again { at, outcome, crashed } => {
            again(db, &job, at, &StoredOutcome::of(Some(outcome))?, crashed, charged_us, finish.usage, now)?;
            signals.push(Signal::Due);
            JobState::Retryable
        }
        End::Unrun { .. } | End::Asks { .. } if job.is_cancelled => {
            end(db, job.seq, &Ending { charged_us, ..Ending::plain(JobState::Cancelled) }, now)?;
            JobState::Cancelled
        }
        End::Asks { asked } => {
            // Without an open question it only wants to be called again.
            let waits = asked.open().next().is_some();
            back(db, &job, false, charged_us, now, now)?;
            let state = if waits { JobState::InputRequired } else { JobState::Available };
            // Nobody need answer for ever: it fails then.
            let until = waits.then(|| ms(now).saturating_add(ANSWERED_WITHIN_MS));
            db.prepare_cached("UPDATE jobs SET state = ?2, asked = ?3, expires_at_ms = ?4 WHERE seq = ?1")?
                .execute(params![job.seq, rows::state_number(state), rows::to_json(&asked)?, until])?;
            if !waits {
                signals.push(Signal::Available);
            }
            state
        }
        End::Unrun { at } => {
            let state = back(db, &job, false, charged_us, at, now)?;
            signals.push(if state == JobState::Available { Signal::Available } else { Signal::Due });
            state
        }
    };
    Ok(Some(state))
}

#[expect(clippy::too_many_arguments, reason = "each is a column of the one row that it writes")]
fn again(
    db: &Connection,
    job: &Running,
    at: Timestamp,
    outcome: &StoredOutcome,
    crashed: bool,
    charged_us: Option<i64>,
    usage: Option<Usage>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE jobs SET state = 4, crashes = crashes + ?2, since_ms = ?3, run_at_ms = ?3, rank = ?4, updated_at_ms = ?5,
            version = version + 1, node = NULL, lease_until_ms = NULL, charged_us = ?6, fuel_units = ?7,
            memory_bytes = ?8, duration_us = ?9, outcome = ?10, result_bytes = ?11 WHERE seq = ?1",
    )?
    .execute(params![
        job.seq,
        crashed,
        ms(at),
        rows::rank(at, job.priority),
        ms(now),
        charged_us,
        usage.map(|usage| usage.fuel_units.cast_signed()),
        usage.map(|usage| usage.memory_bytes.cast_signed()),
        usage.map(|usage| usage.duration_us.cast_signed()),
        outcome.json,
        outcome.result_bytes,
    ])?;
    outcome.put_apart(db, job.seq, job.had_result)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
