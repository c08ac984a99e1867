//! What running jobs tell.

use fumehood_model::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Lease, MAX_EVENTS, Report, Signal, Told,
    rows::{self, Apart, ms},
};

/// Keep what a running job told, if its lease still holds.
pub(super) fn report(
    db: &Connection,
    lease: Lease,
    reports: &[Report],
    now: Timestamp,
    signals: &mut Vec<Signal>,
) -> rusqlite::Result<bool> {
    let held: Option<(i64, i64, i64)> = db
        .prepare_cached("SELECT seq, version, event_count FROM jobs WHERE id = ?1 AND token = ?2 AND state = 2")?
        .query_row(params![lease.id.as_bytes(), lease.token.cast_signed()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((seq, mut version, mut event_count)) = held else { return Ok(false) };
    let (mut progress, mut checkpoint) = (None, None);
    for report in reports {
        match report {
            Report::Progress(now) => {
                version += 1;
                progress = Some(now);
            }
            Report::Told(told) => {
                version += 1;
                event_count += 1;
                insert_event(db, seq, version, told, now)?;
            }
            // Nobody sees it, so that it is no new version.
            Report::Checkpoint(bytes) => checkpoint = Some(bytes),
        }
    }
    if let Some(bytes) = checkpoint {
        rows::put_body(db, seq, Apart::Checkpoint, bytes)?;
    }
    let event_count = drop_oldest(db, seq, event_count)?;
    db.prepare_cached(
        "UPDATE jobs SET version = ?2, event_count = ?3, progress = ifnull(?4, progress),
            checkpoint_bytes = ifnull(?5, checkpoint_bytes), updated_at_ms = ?6 WHERE seq = ?1",
    )?
    .execute(params![
        seq,
        version,
        event_count,
        progress.map(rows::to_json).transpose()?,
        checkpoint.map(|bytes| bytes.len().cast_signed()),
        ms(now),
    ])?;
    signals.push(Signal::Job(lease.id));
    Ok(true)
}

fn insert_event(db: &Connection, seq: i64, version: i64, told: &Told, now: Timestamp) -> rusqlite::Result<()> {
    let (kind, label, text) = match told {
        Told::Log { level, message } => (0, level, message),
        Told::Output { stream, text } => (1, stream, text),
    };
    db.prepare_cached(
        "INSERT INTO job_events (job, version, at_ms, kind, label, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![seq, version, ms(now), kind, label, text])
    .map(drop)
}

/// Keep the newest events; how many are left.
fn drop_oldest(db: &Connection, seq: i64, event_count: i64) -> rusqlite::Result<i64> {
    let most = MAX_EVENTS.cast_signed();
    if event_count <= most {
        return Ok(event_count);
    }
    db.prepare_cached(
        "DELETE FROM job_events WHERE job = ?1 AND version IN (
             SELECT version FROM job_events WHERE job = ?1 ORDER BY version LIMIT ?2)",
    )?
    .execute([seq, event_count - most])?;
    Ok(most)
}
