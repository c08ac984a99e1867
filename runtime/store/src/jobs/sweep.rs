//! What happens to jobs by themselves.

use fumehood_model::{Code, JobId, JobState, Timestamp};
use rusqlite::{Connection, params};

use super::{
    Signal, Sweep, Swept,
    ending::{Ending, Running, back, end},
    rows::{self, ms},
};

/// End what has expired, make available what is due, and take back what nobody holds.
pub(super) fn sweep(
    db: &Connection,
    sweep: Sweep,
    now: Timestamp,
    signals: &mut Vec<Signal>,
) -> rusqlite::Result<Swept> {
    let mut swept = Swept::default();
    // What has expired must not become available before.
    expire(db, sweep, now, &mut swept, signals)?;
    make_due(db, sweep, now, &mut swept, signals)?;
    take_back(db, sweep, now, &mut swept, signals)?;
    swept.next_due = next_due(db)?;
    if swept.due + swept.recovered > 0 {
        signals.push(Signal::Available);
    }
    Ok(swept)
}

fn expire(
    db: &Connection,
    sweep: Sweep,
    now: Timestamp,
    swept: &mut Swept,
    signals: &mut Vec<Signal>,
) -> rusqlite::Result<()> {
    let expired: Vec<(i64, JobId)> = db
        .prepare_cached(
            "SELECT seq, id FROM jobs INDEXED BY jobs_expiring
             WHERE expires_at_ms IS NOT NULL AND attempt = 0 AND state IN (0, 1) AND expires_at_ms <= ?1
             ORDER BY expires_at_ms LIMIT ?2",
        )?
        .query_map([ms(now), most(sweep)], |row| Ok((row.get(0)?, rows::id(row, 1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let ending = Ending::expired()?;
    for (seq, id) in &expired {
        end(db, *seq, &ending, now)?;
        signals.push(Signal::Job(*id));
    }
    let unanswered: Vec<(i64, JobId)> = db
        .prepare_cached(
            "SELECT seq, id FROM jobs INDEXED BY jobs_asking WHERE state = 3 AND expires_at_ms <= ?1
             ORDER BY expires_at_ms LIMIT ?2",
        )?
        .query_map([ms(now), most(sweep)], |row| Ok((row.get(0)?, rows::id(row, 1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let ending = Ending::failed(JobState::Failed, Code::Deadline, "nobody has answered what the job asked")?;
    for (seq, id) in &unanswered {
        end(db, *seq, &ending, now)?;
        signals.push(Signal::Job(*id));
    }
    swept.more |= unanswered.len() >= sweep.most;
    swept.expired = (expired.len() + unanswered.len()) as u64;
    swept.more |= expired.len() >= sweep.most;
    Ok(())
}

fn make_due(
    db: &Connection,
    sweep: Sweep,
    now: Timestamp,
    swept: &mut Swept,
    signals: &mut Vec<Signal>,
) -> rusqlite::Result<()> {
    for state in [JobState::Scheduled, JobState::Retryable] {
        // They have been available since they were due, not since somebody noticed.
        let due: Vec<JobId> = db
            .prepare_cached(
                "UPDATE jobs SET state = 0, updated_at_ms = ?2, version = version + 1 WHERE seq IN (
                     SELECT seq FROM jobs INDEXED BY jobs_waiting
                     WHERE state = ?1 AND state IN (0, 1, 4) AND since_ms <= ?2 ORDER BY since_ms LIMIT ?3
                 ) RETURNING id",
            )?
            .query_map([rows::state_number(state), ms(now), most(sweep)], |row| rows::id(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        swept.due += due.len() as u64;
        swept.more |= due.len() >= sweep.most;
        signals.extend(due.into_iter().map(Signal::Job));
    }
    Ok(())
}

fn take_back(
    db: &Connection,
    sweep: Sweep,
    now: Timestamp,
    swept: &mut Swept,
    signals: &mut Vec<Signal>,
) -> rusqlite::Result<()> {
    let columns = Running::COLUMNS;
    // Only a server that starts alone looks at all that run; afterwards what has run out stands first in its index.
    let fits = if sweep.is_alone { "(lease_until_ms <= ?1 OR node IS NOT ?2)" } else { "lease_until_ms <= ?1" };
    let lost: Vec<(Running, JobId)> = db
        .prepare_cached(&format!(
            "SELECT {columns}, id FROM jobs INDEXED BY jobs_held
             WHERE state = 2 AND {fits} ORDER BY lease_until_ms, seq LIMIT ?3"
        ))?
        .query_map(params![ms(now), sweep.node.0.cast_signed(), most(sweep)], |row| {
            Ok((Running::of(row)?, rows::id(row, 8)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    swept.more |= lost.len() >= sweep.most;
    for (job, id) in lost {
        if job.is_cancelled {
            end(db, job.seq, &Ending::plain(JobState::Cancelled), now)?;
        } else if job.is_repeatable && job.may_repeat(job.crashes + 1) {
            back(db, &job, true, None, now, now)?;
            swept.recovered += 1;
        } else {
            end(db, job.seq, &Ending::crashed(&job)?, now)?;
            swept.interrupted += 1;
        }
        signals.push(Signal::Job(id));
    }
    Ok(())
}

/// When the next job is due.
fn next_due(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    // One lookup for each state; one question for both would look at all of them.
    let mut first = db.prepare_cached("SELECT min(since_ms) FROM jobs WHERE state = ?1 AND state IN (0, 1, 4)")?;
    let mut of = |state| first.query_row([rows::state_number(state)], |row| row.get::<_, Option<i64>>(0));
    let (scheduled, retryable) = (of(JobState::Scheduled)?, of(JobState::Retryable)?);
    Ok(scheduled.into_iter().chain(retryable).min().map(rows::timestamp))
}

fn most(sweep: Sweep) -> i64 {
    i64::try_from(sweep.most).unwrap_or(i64::MAX)
}
