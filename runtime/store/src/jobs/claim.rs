//! Giving jobs to nodes.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use bytes::Bytes;
use fumehood_model::{Code, Job, JobState, Timestamp};
use rusqlite::{Connection, params};

use super::{
    Claim, Claimed, Held, Lease, MAX_CRASHES, Signal,
    ending::{Ending, end},
    rows::{self, Apart, COLUMN_COUNT, COLUMNS, ms},
};

/// Jobs of a key that are looked up at a time while others wait as well.
const LOOKED_UP: usize = 8;

/// A key with jobs that are available and places that it may still take.
struct Share {
    owner: String,
    guess_us: i64,
    places: i64,
    next: VecDeque<i64>,
}

/// Give out jobs: again and again the first of the key that has used the least, charging it for each what it will probably use.
pub(super) fn claim(
    db: &Connection,
    claim: Claim,
    now: Timestamp,
    signals: &mut Vec<Signal>,
) -> rusqlite::Result<Vec<Claimed>> {
    let mut shares = shares(db, claim)?;
    // The order of the heap: used first, then as they were read, so that equals take turns.
    let mut order: BinaryHeap<_> = shares.iter().enumerate().map(|(turn, (used, _))| Reverse((*used, turn))).collect();
    let mut claimed = Vec::new();
    let mut served = None;
    while claimed.len() < claim.most
        && let Some(Reverse((used, turn))) = order.pop()
    {
        let share = &mut shares[turn].1;
        let left = claim.most - claimed.len();
        let at_a_time = if order.is_empty() { left } else { left.min(LOOKED_UP) };
        let Some(seq) = next(db, share, at_a_time)? else { continue };
        let is_ahead = claimed.len() >= claim.at_once;
        match take(db, seq, claim, is_ahead, share.guess_us, now, signals)? {
            Taken::Job(job) => claimed.push(*job),
            Taken::Ended => {
                order.push(Reverse((used, turn)));
                continue;
            }
            // It is the key's turn, and it waits: nothing of it goes before.
            Taken::NotAhead => continue,
        }
        served = Some(used);
        share.places -= 1;
        if share.places > 0 {
            order.push(Reverse((used + share.guess_us, turn)));
        }
    }
    if let Some(used) = served {
        db.prepare_cached("UPDATE job_clock SET used_us = max(used_us, ?1)")?.execute([used])?;
    }
    signals.extend(claimed.iter().map(|claimed| Signal::Job(claimed.job.id)));
    Ok(claimed)
}

/// The keys from which jobs may be taken. No more than jobs are wanted: each of them gives one before another one's turn.
fn shares(db: &Connection, claim: Claim) -> rusqlite::Result<Vec<(i64, Share)>> {
    let (per_key, most) = (i64::try_from(claim.per_key), i64::try_from(claim.most));
    let (per_key, most) = (per_key.unwrap_or(i64::MAX), most.unwrap_or(i64::MAX));
    db.prepare_cached(
        "SELECT owner, used_us, guess_us, ?1 - running FROM job_shares
         WHERE available > 0 AND running < ?1 ORDER BY used_us, owner LIMIT ?2",
    )?
    .query_map([per_key, most], |row| {
        let share = Share { owner: row.get(0)?, guess_us: row.get(2)?, places: row.get(3)?, next: VecDeque::new() };
        Ok((row.get(1)?, share))
    })?
    .collect()
}

/// The first available job of a key.
fn next(db: &Connection, share: &mut Share, at_a_time: usize) -> rusqlite::Result<Option<i64>> {
    if share.next.is_empty() {
        // What was taken before is not available any more, so that this goes on where it ended.
        let mut statement =
            db.prepare_cached("SELECT seq FROM jobs WHERE state = 0 AND owner = ?1 ORDER BY rank, seq LIMIT ?2")?;
        let found = statement.query_map(params![share.owner, at_a_time.cast_signed()], |row| row.get(0))?;
        share.next = found.collect::<rusqlite::Result<_>>()?;
    }
    Ok(share.next.pop_front())
}

/// What came of taking a job.
enum Taken {
    Job(Box<Claimed>),
    /// It has ended instead: its time to begin is over, or nobody can read it.
    Ended,
    /// The death of its node would be its end, and there is no place for it yet.
    NotAhead,
}

fn take(
    db: &Connection,
    seq: i64,
    claim: Claim,
    is_ahead: bool,
    charged_us: i64,
    now: Timestamp,
    signals: &mut Vec<Signal>,
) -> rusqlite::Result<Taken> {
    let (mut claimed, crashes) = match read(db, seq) {
        Ok(read) => read,
        Err(error @ rusqlite::Error::SqliteFailure(..)) => return Err(error),
        Err(error) => {
            tracing::error!(job.seq = seq, %error, blame = "host", "The job in row {seq} cannot be read and has failed");
            let ending = Ending::failed(JobState::Failed, Code::Internal, "what is stored of the job cannot be read")?;
            end(db, seq, &ending, now)?;
            return Ok(Taken::Ended);
        }
    };
    if claimed.job.attempt == 0 && claimed.job.expires_at.is_some_and(|at| at <= now) {
        end(db, seq, &Ending::expired()?, now)?;
        signals.push(Signal::Job(claimed.job.id));
        return Ok(Taken::Ended);
    }
    if is_ahead && !outlives_its_node(&claimed.job, crashes) {
        return Ok(Taken::NotAhead);
    }
    db.prepare_cached(
        "UPDATE jobs SET state = 2, token = token + 1, attempt = attempt + 1, node = ?2, lease_until_ms = ?3,
            started_at_ms = ?4, updated_at_ms = ?4, version = version + 1, charged_us = ?5 WHERE seq = ?1",
    )?
    .execute(params![seq, claim.node.0.cast_signed(), ms(claim.until), ms(now), charged_us])?;
    claimed.lease.token += 1;
    let job = &mut claimed.job;
    (job.state, job.started_at, job.updated_at) = (JobState::Running, Some(now), now);
    job.attempt += 1;
    job.version += 1;
    Ok(Taken::Job(Box::new(claimed)))
}

/// Whether another attempt may follow if the node dies in the next one, which counts although it may not have begun.
fn outlives_its_node(job: &Job, crashes: u32) -> bool {
    job.is_repeatable && job.attempt + 1 < job.max_attempts && crashes + 1 < MAX_CRASHES
}

/// A job, and how often the process that it ran in has died.
fn read(db: &Connection, seq: i64) -> rusqlite::Result<(Claimed, u32)> {
    let sql = &format!(
        "SELECT {COLUMNS}, token, lowered, input, checkpoint_bytes IS NOT NULL, crashes FROM jobs WHERE seq = ?1"
    );
    let (mut claimed, has_checkpoint, crashes) = db.prepare_cached(sql)?.query_row([seq], |row| {
        let job = rows::job(row)?;
        let token: i64 = row.get(COLUMN_COUNT)?;
        let lowered = rows::json(row, COLUMN_COUNT + 1)?.unwrap_or_default();
        let input: Option<Vec<u8>> = row.get(COLUMN_COUNT + 2)?;
        let lease = Lease { id: job.id, token: token.cast_unsigned() };
        let has_checkpoint: bool = row.get(COLUMN_COUNT + 3)?;
        let input = input.map(Bytes::from).unwrap_or_default();
        Ok((Claimed { job, lease, input, lowered, checkpoint: None }, has_checkpoint, row.get(COLUMN_COUNT + 4)?))
    })?;
    if claimed.input.is_empty() && claimed.job.input_bytes > 0 {
        claimed.input = rows::body(db, seq, Apart::Input)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?.into();
    }
    if has_checkpoint {
        claimed.checkpoint = rows::body(db, seq, Apart::Checkpoint)?.map(Bytes::from);
    }
    Ok((claimed, crashes))
}

/// Hold on to leases.
pub(super) fn renew(db: &Connection, leases: &[Lease], until: Timestamp) -> rusqlite::Result<Vec<Held>> {
    let mut statement = db.prepare_cached(
        "UPDATE jobs SET lease_until_ms = ?3 WHERE id = ?1 AND token = ?2 AND state = 2 RETURNING is_cancelled",
    )?;
    let mut renew = |lease: &Lease| {
        let mut rows = statement.query(params![lease.id.as_bytes(), lease.token.cast_signed(), ms(until)])?;
        Ok(match rows.next()?.map(|row| row.get(0)).transpose()? {
            Some(true) => Held::Cancelled,
            Some(false) => Held::Renewed,
            None => Held::Lost,
        })
    };
    leases.iter().map(&mut renew).collect()
}
