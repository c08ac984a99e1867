//! How jobs stand in their table.

use fumehood_model::{Digest, Job, JobId, JobOutcome, JobState, JobTool, KeyId, Outcome, Priority, Timestamp, Usage};
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use serde::{Serialize, de::DeserializeOwned};

use super::INLINE;

/// What [`job`] reads, in its order.
pub(super) const COLUMNS: &str = "id, owner, module, function, digest, state, priority, attempt, max_attempts,
    is_repeatable, is_cancelled, tags, input_bytes, created_at_ms, run_at_ms, expires_at_ms, started_at_ms,
    finished_at_ms, updated_at_ms, version, progress, fuel_units, memory_bytes, duration_us, outcome, result_bytes,
    schedule, asked";

/// How many those are.
pub(super) const COLUMN_COUNT: usize = 28;

/// What stands apart from its job.
#[derive(Debug, Clone, Copy)]
pub(super) enum Apart {
    Input = 0,
    Result = 1,
    Checkpoint = 2,
}

/// A job of the columns of [`COLUMNS`].
pub(super) fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    job_at(row, 0)
}

/// A job of the columns of [`COLUMNS`], of which `first` is the first.
pub(super) fn job_at(row: &Row<'_>, first: usize) -> rusqlite::Result<Job> {
    let number = |column| row.get::<_, i64>(first + column).map(i64::cast_unsigned);
    let moment = |column| row.get::<_, Option<i64>>(first + column).map(|ms| ms.map(timestamp));
    Ok(Job {
        id: id(row, first)?,
        owner: KeyId(row.get_ref(first + 1)?.as_str()?.into()),
        tool: JobTool {
            module: read(row, first + 2, str::parse)?,
            function: row.get(first + 3)?,
            digest: read(row, first + 4, str::parse::<Digest>)?,
        },
        state: state(row, first + 5)?,
        priority: priority(row, first + 6)?,
        attempt: row.get(first + 7)?,
        max_attempts: row.get(first + 8)?,
        is_repeatable: row.get(first + 9)?,
        is_cancelled: row.get(first + 10)?,
        tags: json(row, first + 11)?.unwrap_or_default(),
        input_bytes: number(12)?,
        created_at: timestamp(row.get(first + 13)?),
        run_at: timestamp(row.get(first + 14)?),
        expires_at: moment(15)?,
        started_at: moment(16)?,
        finished_at: moment(17)?,
        updated_at: timestamp(row.get(first + 18)?),
        version: number(19)?,
        progress: json(row, first + 20)?,
        usage: usage(row, first + 21)?,
        outcome: json(row, first + 24)?,
        result_bytes: row.get::<_, Option<i64>>(first + 25)?.map(i64::cast_unsigned),
        schedule: row.get(first + 26)?,
        asked: json(row, first + 27)?,
    })
}

pub(super) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<JobId> {
    row.get(column).map(JobId::from_bytes)
}

pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<JobState> {
    let number: i64 = row.get(column)?;
    let found = usize::try_from(number).ok().and_then(|number| JobState::ALL.get(number)).copied();
    found.ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// The number of a state in its column.
pub(super) fn state_number(state: JobState) -> i64 {
    state as i64
}

pub(super) fn priority(row: &Row<'_>, column: usize) -> rusqlite::Result<Priority> {
    let number: i64 = row.get(column)?;
    Priority::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn usage(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Usage>> {
    let Some(fuel) = row.get::<_, Option<i64>>(column)? else { return Ok(None) };
    Ok(Some(Usage {
        fuel_units: fuel.cast_unsigned(),
        memory_bytes: row.get::<_, i64>(column + 1)?.cast_unsigned(),
        duration_us: row.get::<_, i64>(column + 2)?.cast_unsigned(),
    }))
}

/// What a text says, if it says something.
fn read<T, E>(row: &Row<'_>, column: usize, parse: impl FnOnce(&str) -> Result<T, E>) -> rusqlite::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let failed = |error: E| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error));
    parse(row.get_ref(column)?.as_str()?).map_err(failed)
}

pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let failed = |error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error));
    let text = row.get_ref(column)?.as_str_or_null()?;
    text.map(|text| serde_json::from_str(text).map_err(failed)).transpose()
}

/// A thing of ours as JSON text.
pub(super) fn to_json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(crate) fn timestamp(ms: i64) -> Timestamp {
    Timestamp { unix_ms: ms.cast_unsigned() }
}

/// A moment as a column holds it: none of ours is later than that.
pub(crate) fn ms(at: Timestamp) -> i64 {
    i64::try_from(at.unix_ms).unwrap_or(i64::MAX)
}

/// What goes first: of two jobs that wait equally long the more important one, and each that waits long enough.
pub(super) fn rank(at: Timestamp, priority: Priority) -> i64 {
    ms(at).saturating_sub(i64::from(priority.get()) * Priority::STEP_MS)
}

/// An outcome as its columns hold it.
#[derive(Debug, Default)]
pub(super) struct StoredOutcome {
    /// It, as JSON; without its text if that stands apart.
    pub(super) json: Option<String>,
    /// Size of its text.
    pub(super) result_bytes: Option<i64>,
    /// Its text, if it stands apart.
    pub(super) apart: Option<String>,
}

impl StoredOutcome {
    pub(super) fn of(outcome: Option<JobOutcome>) -> rusqlite::Result<Self> {
        let Some(mut outcome) = outcome else { return Ok(Self::default()) };
        let mut stored = Self::default();
        if let JobOutcome::Ended(Outcome::Value(text) | Outcome::ToolError(text)) = &mut outcome {
            stored.result_bytes = i64::try_from(text.len()).ok();
            if text.len() > INLINE {
                stored.apart = Some(std::mem::take(text));
            }
        }
        stored.json = Some(to_json(&outcome)?);
        Ok(stored)
    }

    /// Keep what stands apart of the job, in place of what stood there.
    pub(super) fn put_apart(&self, db: &Connection, seq: i64, had_result: bool) -> rusqlite::Result<()> {
        match &self.apart {
            Some(text) => put_body(db, seq, Apart::Result, text.as_bytes()),
            None if had_result => drop_body(db, seq, Apart::Result),
            None => Ok(()),
        }
    }
}

pub(super) fn put_body(db: &Connection, seq: i64, which: Apart, bytes: &[u8]) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO job_bodies (body, bytes) VALUES (?1, ?2)")?
        .execute(params![4 * seq + which as i64, bytes])
        .map(drop)
}

pub(super) fn drop_body(db: &Connection, seq: i64, which: Apart) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM job_bodies WHERE body = ?1")?.execute([4 * seq + which as i64]).map(drop)
}

pub(super) fn body(db: &Connection, seq: i64, which: Apart) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT bytes FROM job_bodies WHERE body = ?1")?
        .query_row([4 * seq + which as i64], |row| row.get(0))
        .optional()
}
