//! Schedules in SQLite.

use fumehood_model::{JobId, KeyId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Fire, Fired, Place, Schedule, Schedules};
use crate::{
    Bounds, Database, Signal, SubmitError, Verb,
    jobs::{ms, submit_one, timestamp},
    writer::Undo,
};

const COLUMNS: &str =
    "owner, name, spec, is_paused, next_at_ms, last_at_ms, last_job, created_at_ms, version, passed_over";

/// What a schedule weighs.
const SMALL: usize = 1_024;

impl Schedules for Database {
    fn put_schedule(&self, schedule: Schedule) -> Verb<'_, bool> {
        self.change_soon(SMALL + schedule.spec.len(), move |db, _| Ok(put(db, &schedule)?))
    }

    fn remove_schedule(&self, owner: KeyId, name: String) -> Verb<'_, bool> {
        self.change_soon(SMALL, move |db, _| {
            let removed = db
                .prepare_cached("DELETE FROM schedules WHERE owner = ?1 AND name = ?2")?
                .execute(params![&*owner.0, name])?;
            Ok(removed > 0)
        })
    }

    fn schedules(&self, owner: Option<KeyId>) -> Verb<'_, Vec<Schedule>> {
        self.read_soon(move |db| {
            let sql = format!("SELECT {COLUMNS} FROM schedules WHERE ?1 IS NULL OR owner = ?1 ORDER BY name, owner");
            readable(db.prepare_cached(&sql)?.query([owner.as_ref().map(|owner| &*owner.0)])?)
        })
    }

    fn due_schedules(
        &self,
        now: Timestamp,
        place: Option<Place>,
        most: usize,
    ) -> Verb<'_, (Vec<Schedule>, Option<Timestamp>)> {
        self.read_soon(move |db| due(db, now, place, most))
    }

    fn fire(&self, fire: Fire, bounds: Bounds, now: Timestamp) -> Verb<'_, Fired, SubmitError> {
        let bytes = SMALL + fire.job.as_ref().map_or_else(String::len, |job| job.input.len());
        self.change_soon(bytes, move |db, signals| use_slot(db, fire, bounds, now, signals))
    }
}

/// A version that no schedule ever had, so that one that was removed and made again is not taken for the old one.
fn fresh_version(db: &Connection) -> rusqlite::Result<i64> {
    db.prepare_cached("UPDATE job_clock SET schedule_version = schedule_version + 1 RETURNING schedule_version")?
        .query_row([], |row| row.get(0))
}

fn put(db: &Connection, schedule: &Schedule) -> rusqlite::Result<bool> {
    let version = fresh_version(db)?;
    let known = db
        .prepare_cached("DELETE FROM schedules WHERE owner = ?1 AND name = ?2")?
        .execute(params![&*schedule.owner.0, schedule.name])?;
    db.prepare_cached(&format!("INSERT INTO schedules ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"))?
        .execute(params![
            &*schedule.owner.0,
            schedule.name,
            schedule.spec,
            schedule.is_paused,
            schedule.next_at.map(ms),
            schedule.last_at.map(ms),
            schedule.last_job.map(|id| *id.as_bytes()),
            ms(schedule.created_at),
            version,
            schedule.passed_over,
        ])?;
    Ok(known == 0)
}

fn due(
    db: &Connection,
    now: Timestamp,
    place: Option<Place>,
    most: usize,
) -> rusqlite::Result<(Vec<Schedule>, Option<Timestamp>)> {
    let db = db.unchecked_transaction()?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    // Nothing stands before the first moment of all.
    let (at, owner, name) =
        place.map_or((i64::MIN, KeyId("".into()), String::new()), |Place { at, owner, name }| (ms(at), owner, name));
    let values = params![ms(now), most, at, &*owner.0, name];
    let waiting = "next_at_ms IS NOT NULL AND is_paused = 0 AND (next_at_ms, owner, name) > (?3, ?4, ?5)";
    let sql = format!(
        "SELECT {COLUMNS} FROM schedules WHERE {waiting} AND next_at_ms <= ?1 ORDER BY next_at_ms, owner, name LIMIT ?2"
    );
    let due = readable(db.prepare_cached(&sql)?.query(values)?)?;
    // Those that are due beyond the bound are next as well.
    let sql = format!(
        "SELECT next_at_ms FROM schedules WHERE {waiting} ORDER BY next_at_ms, owner, name LIMIT 1
         OFFSET min(?2, (SELECT count(*) FROM schedules WHERE {waiting} AND next_at_ms <= ?1))"
    );
    let next = db.prepare_cached(&sql)?.query_row(values, |row| row.get(0).map(timestamp)).optional()?;
    Ok((due, next))
}

fn use_slot(
    db: &Connection,
    fire: Fire,
    bounds: Bounds,
    now: Timestamp,
    signals: &mut Vec<Signal>,
) -> Result<Fired, Undo<SubmitError>> {
    let version = fresh_version(db)?;
    let used = db
        .prepare_cached(
            "UPDATE schedules SET last_at_ms = next_at_ms, next_at_ms = ?4, version = ?5, passed_over = ?6
             WHERE owner = ?1 AND name = ?2 AND version = ?3",
        )?
        .execute(params![
            &*fire.owner.0,
            fire.name,
            fire.version.cast_signed(),
            fire.next_at.map(ms),
            version,
            fire.job.as_ref().err()
        ])?;
    if used == 0 {
        return Ok(Fired::Stale);
    }
    let Ok(job) = fire.job else { return Ok(Fired::Done(None)) };
    let submitted = submit_one(db, *job, bounds, now, signals)?;
    db.prepare_cached("UPDATE schedules SET last_job = ?3 WHERE owner = ?1 AND name = ?2")?.execute(params![
        &*fire.owner.0,
        fire.name,
        submitted.id.as_bytes()
    ])?;
    Ok(Fired::Done(Some(submitted.id)))
}

/// Schedules of rows. Those that cannot be read are left out, and named in the log.
fn readable(mut rows: rusqlite::Rows<'_>) -> rusqlite::Result<Vec<Schedule>> {
    let mut schedules = Vec::new();
    while let Some(row) = rows.next()? {
        match schedule(row) {
            Ok(schedule) => schedules.push(schedule),
            Err(error) => {
                let name: String = row.get(1).unwrap_or_default();
                tracing::error!(schedule.name = name, %error, blame = "host", "Schedule {name} cannot be read");
            }
        }
    }
    Ok(schedules)
}

fn schedule(row: &Row<'_>) -> rusqlite::Result<Schedule> {
    let moment = |column| row.get::<_, Option<i64>>(column).map(|ms| ms.map(timestamp));
    Ok(Schedule {
        owner: KeyId(row.get_ref(0)?.as_str()?.into()),
        name: row.get(1)?,
        spec: row.get(2)?,
        is_paused: row.get(3)?,
        next_at: moment(4)?,
        last_at: moment(5)?,
        last_job: row.get::<_, Option<[u8; 16]>>(6)?.map(JobId::from_bytes),
        created_at: timestamp(row.get(7)?),
        version: row.get::<_, i64>(8)?.cast_unsigned(),
        passed_over: row.get(9)?,
    })
}
