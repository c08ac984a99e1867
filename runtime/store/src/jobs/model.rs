//! The rules of jobs once more, as plainly as can be, and a driver that compares SQLite with them.

mod driver;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use bytes::Bytes;
use fumehood_model::{Code, Job, JobId, JobOutcome, JobState, Outcome, Timestamp};

use super::{
    Bounds, Claim, End, Finish, Held, JobEvent, Lease, MAX_CRASHES, NewJob, Prune, Report, SubmitError, Submitted,
    Sweep, Swept, rows,
};

/// What every backend should hold, in memory.
#[derive(Default)]
pub(super) struct Model {
    rows: BTreeMap<u64, Row>,
    shares: BTreeMap<String, Share>,
    served_us: i64,
    next_seq: u64,
}

#[derive(Clone)]
struct Row {
    job: Job,
    input: Bytes,
    name: Option<super::Idempotency>,
    token: u64,
    node: u64,
    lease_until: u64,
    crashes: u32,
    rank: i64,
    since: u64,
    charged_us: i64,
    checkpoint: Option<Bytes>,
    events: Vec<JobEvent>,
}

#[derive(Clone, Copy)]
struct Share {
    used_us: i64,
    guess_us: i64,
}

/// What a claim gives out, without what is looked up elsewhere.
#[derive(Debug, PartialEq)]
pub(super) struct Given {
    pub(super) job: Job,
    pub(super) token: u64,
    pub(super) input: Bytes,
    pub(super) checkpoint: Option<Bytes>,
}

fn waits(state: JobState) -> bool {
    matches!(state, JobState::Available | JobState::Scheduled | JobState::Retryable)
}

impl Model {
    pub(super) fn submit(
        &mut self,
        jobs: Vec<NewJob>,
        bounds: Bounds,
        now: Timestamp,
    ) -> Result<Vec<Submitted>, SubmitError> {
        let before = (self.rows.clone(), self.shares.clone(), self.next_seq);
        let submitted = jobs.into_iter().map(|job| self.submit_one(job, bounds, now)).collect();
        if Result::is_err(&submitted) {
            (self.rows, self.shares, self.next_seq) = before;
        }
        submitted
    }

    fn submit_one(&mut self, new: NewJob, bounds: Bounds, now: Timestamp) -> Result<Submitted, SubmitError> {
        if let Some(name) = &new.idempotency {
            let same =
                |row: &&Row| row.job.owner == new.owner && row.name.as_ref().is_some_and(|taken| taken.key == name.key);
            if let Some(row) = self.rows.values().find(same) {
                let id = row.job.id;
                let is_same = row.name.as_ref() == Some(name);
                return if is_same { Ok(Submitted { id, is_new: false }) } else { Err(SubmitError::NameTaken { id }) };
            }
        }
        let state = match (&new.ended, new.held_by) {
            (Some((state, _)), _) => *state,
            (_, Some(_)) => JobState::Running,
            _ if new.run_at > now => JobState::Scheduled,
            _ => JobState::Available,
        };
        if waits(state) {
            let waiting = |of: &dyn Fn(&Row) -> bool| {
                self.rows.values().filter(|row| waits(row.job.state) && of(row)).count() as u64
            };
            let (own, all) = (waiting(&|row| row.job.owner == new.owner), waiting(&|_| true));
            if own >= bounds.waiting_per_key {
                return Err(SubmitError::ShareUsed { waiting: own });
            }
            if all >= bounds.waiting {
                return Err(SubmitError::Full { waiting: all });
            }
        }
        if self.rows.values().any(|row| row.job.id == new.id) {
            return Err(SubmitError::Exists { id: new.id });
        }
        self.insert(new, state, now)
    }

    fn insert(&mut self, new: NewJob, state: JobState, now: Timestamp) -> Result<Submitted, SubmitError> {
        let id = new.id;
        let runs = state == JobState::Running;
        let at = new.run_at.max(now);
        let outcome = new.ended.and_then(|(_, outcome)| outcome);
        let job = Job {
            id,
            owner: new.owner,
            tool: new.tool,
            state: JobState::Completed,
            priority: new.priority,
            attempt: runs.into(),
            max_attempts: new.max_attempts,
            is_repeatable: new.is_repeatable,
            is_cancelled: false,
            tags: new.tags,
            input_bytes: new.input.len() as u64,
            created_at: now,
            run_at: new.run_at,
            expires_at: new.expires_at,
            started_at: runs.then_some(now),
            finished_at: state.is_final().then_some(now),
            updated_at: now,
            version: 1,
            progress: None,
            usage: None,
            result_bytes: outcome.as_ref().and_then(text).map(|text| text.len() as u64),
            outcome,
            schedule: new.schedule,
            asked: None,
        };
        let (node, lease_until) = new.held_by.map_or((0, 0), |(node, until)| (node.0, until.unix_ms));
        let row = Row {
            rank: rows::rank(at, job.priority),
            job,
            input: new.input,
            name: new.idempotency,
            token: runs.into(),
            node,
            lease_until,
            crashes: 0,
            since: at.unix_ms,
            charged_us: 0,
            checkpoint: None,
            events: Vec::new(),
        };
        let seq = self.next_seq;
        self.next_seq += 1;
        self.shares.entry(row.job.owner.to_string()).or_insert(Share { used_us: 0, guess_us: 10_000 });
        // It stands there as if it had ended before, and then moves to where it begins.
        self.rows.insert(seq, row);
        self.move_to(seq, state);
        Ok(Submitted { id, is_new: true })
    }

    /// Change the state of a job, with what that means for the share of its key.
    fn move_to(&mut self, seq: u64, state: JobState) {
        let owner = self.rows[&seq].job.owner.to_string();
        let old = self.rows[&seq].job.state;
        let is_idle = self.count(&owner, JobState::Available) + self.count(&owner, JobState::Running) == 0;
        if state == JobState::Available && is_idle {
            let active = self.shares.iter().filter(|(key, _)| self.count(key, JobState::Available) > 0);
            let least = active.map(|(_, share)| share.used_us).min().unwrap_or(self.served_us);
            let share = self.shares.get_mut(&owner).unwrap();
            share.used_us = share.used_us.max(least);
        }
        let row = self.rows.get_mut(&seq).unwrap();
        row.job.state = state;
        let share = self.shares.get_mut(&owner).unwrap();
        if old == JobState::Running && state != JobState::Available {
            share.guess_us = ((7 * share.guess_us + row.charged_us) / 8).max(1);
        }
    }

    fn count(&self, owner: &str, state: JobState) -> u64 {
        self.rows.values().filter(|row| &*row.job.owner.0 == owner && row.job.state == state).count() as u64
    }

    pub(super) fn claim(&mut self, claim: Claim, now: Timestamp) -> Vec<Given> {
        let mut shares: Vec<_> = self
            .shares
            .iter()
            .filter(|(owner, _)| self.count(owner, JobState::Available) > 0)
            .map(|(owner, share)| (share.used_us, owner.clone(), *share, self.count(owner, JobState::Running)))
            .filter(|(.., running)| *running < claim.per_key)
            .collect();
        shares.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        shares.truncate(claim.most);
        let mut order: BinaryHeap<_> = (0..shares.len()).map(|turn| Reverse((shares[turn].0, turn))).collect();
        let mut given = Vec::new();
        while given.len() < claim.most {
            let Some(Reverse((used, turn))) = order.pop() else { break };
            let (_, owner, share, running) = &mut shares[turn];
            let available =
                self.rows.iter().filter(|(_, row)| *row.job.owner.0 == **owner && row.job.state == JobState::Available);
            let Some(seq) = available.min_by_key(|(seq, row)| (row.rank, **seq)).map(|(seq, _)| *seq) else { continue };
            let row = self.rows.get_mut(&seq).unwrap();
            if row.job.attempt == 0 && row.job.expires_at.is_some_and(|at| at <= now) {
                self.expire(seq, now);
                order.push(Reverse((used, turn)));
                continue;
            }
            let is_ahead = given.len() >= claim.at_once;
            let is_last = row.job.attempt + 1 >= row.job.max_attempts || row.crashes + 1 >= MAX_CRASHES;
            if is_ahead && (is_last || !row.job.is_repeatable) {
                continue;
            }
            row.charged_us = share.guess_us;
            (row.node, row.lease_until) = (claim.node.0, claim.until.unix_ms);
            row.token += 1;
            row.job.attempt += 1;
            row.job.started_at = Some(now);
            self.move_to(seq, JobState::Running);
            self.shares.get_mut(owner).unwrap().used_us += share.guess_us;
            let row = self.touch(seq, now);
            let (input, checkpoint) = (row.input.clone(), row.checkpoint.clone());
            given.push(Given { job: row.job.clone(), token: row.token, input, checkpoint });
            self.served_us = self.served_us.max(used);
            *running += 1;
            if *running < claim.per_key {
                order.push(Reverse((used + share.guess_us, turn)));
            }
        }
        given
    }

    fn touch(&mut self, seq: u64, now: Timestamp) -> &mut Row {
        let row = self.rows.get_mut(&seq).unwrap();
        row.job.updated_at = now;
        row.job.version += 1;
        row
    }

    fn held(&self, lease: Lease) -> Option<u64> {
        let holds =
            |row: &Row| row.job.id == lease.id && row.token == lease.token && row.job.state == JobState::Running;
        self.rows.iter().find(|(_, row)| holds(row)).map(|(seq, _)| *seq)
    }

    fn find(&self, id: JobId) -> Option<u64> {
        self.rows.iter().find(|(_, row)| row.job.id == id).map(|(seq, _)| *seq)
    }

    pub(super) fn renew(&mut self, lease: Lease, until: Timestamp) -> Held {
        let Some(seq) = self.held(lease) else { return Held::Lost };
        let row = self.rows.get_mut(&seq).unwrap();
        row.lease_until = until.unix_ms;
        if row.job.is_cancelled { Held::Cancelled } else { Held::Renewed }
    }

    pub(super) fn report(&mut self, lease: Lease, reports: Vec<Report>, now: Timestamp) -> bool {
        let Some(seq) = self.held(lease) else { return false };
        let row = self.rows.get_mut(&seq).unwrap();
        row.job.updated_at = now;
        for report in reports {
            match report {
                Report::Checkpoint(bytes) => row.checkpoint = Some(bytes),
                Report::Progress(progress) => {
                    row.job.version += 1;
                    row.job.progress = Some(progress);
                }
                Report::Told(told) => {
                    row.job.version += 1;
                    row.events.push(JobEvent { version: row.job.version, at: now, told });
                }
            }
        }
        true
    }

    pub(super) fn finish(&mut self, finish: &Finish, now: Timestamp) -> Option<JobState> {
        let seq = self.held(finish.lease)?;
        let row = self.rows.get_mut(&seq).unwrap();
        let charged = i64::try_from(finish.held_for.as_micros()).unwrap();
        self.shares.get_mut(&*row.job.owner.0).unwrap().used_us += charged - row.charged_us;
        row.charged_us = charged;
        let cancelled = row.job.is_cancelled;
        let outcome = match &finish.end {
            End::Final { outcome, .. } => Some(outcome.clone()),
            End::Again { outcome, .. } => Some(Some(outcome.clone())),
            End::Unrun { .. } | End::Asks { .. } => None,
        };
        if let Some(outcome) = outcome {
            row.job.usage = finish.usage;
            row.job.result_bytes = outcome.as_ref().and_then(text).map(|text| text.len() as u64);
            row.job.outcome = outcome;
        }
        if let End::Again { crashed: true, .. } = finish.end {
            row.crashes += 1;
        }
        let state = match &finish.end {
            End::Final { state, .. } => *state,
            End::Again { .. } | End::Unrun { .. } | End::Asks { .. } if cancelled => JobState::Cancelled,
            End::Again { crashed: true, .. } if !row.job.is_repeatable => JobState::Interrupted,
            End::Again { .. } if row.job.attempt >= row.job.max_attempts || row.crashes >= MAX_CRASHES => {
                JobState::Discarded
            }
            End::Again { at, .. } => {
                (row.since, row.job.run_at) = (at.unix_ms, *at);
                row.rank = rows::rank(*at, row.job.priority);
                JobState::Retryable
            }
            End::Asks { asked } => {
                row.since = now.unix_ms;
                row.job.attempt -= 1;
                row.job.asked = Some(asked.clone());
                JobState::InputRequired
            }
            End::Unrun { at } => {
                row.since = at.unix_ms.max(now.unix_ms);
                row.job.attempt -= 1;
                if *at > now { JobState::Scheduled } else { JobState::Available }
            }
        };
        row.job.finished_at = state.is_final().then_some(now);
        self.move_to(seq, state);
        self.touch(seq, now);
        Some(state)
    }

    fn end(&mut self, seq: u64, state: JobState, why: Option<Code>, now: Timestamp) {
        self.move_to(seq, state);
        let row = self.touch(seq, now);
        row.job.finished_at = Some(now);
        if let Some(code) = why {
            let message = String::new();
            row.job.outcome = Some(JobOutcome::Failed(fumehood_model::Failure { code, message }));
            (row.job.usage, row.job.result_bytes) = (None, None);
        }
    }

    fn expire(&mut self, seq: u64, now: Timestamp) {
        self.end(seq, JobState::Failed, Some(Code::Deadline), now);
    }

    /// At most `most` jobs that fit, those first that come first.
    fn first(&self, most: usize, fits: impl Fn(&Row) -> bool, by: impl Fn(&Row) -> u64) -> Vec<u64> {
        let mut found: Vec<_> =
            self.rows.iter().filter(|(_, row)| fits(row)).map(|(seq, row)| (by(row), *seq)).collect();
        found.sort_unstable();
        found.into_iter().take(most).map(|(_, seq)| seq).collect()
    }

    pub(super) fn sweep(&mut self, sweep: Sweep, now: Timestamp) -> Swept {
        let mut swept = Swept::default();
        let begins =
            |row: &Row| row.job.attempt == 0 && matches!(row.job.state, JobState::Available | JobState::Scheduled);
        let expires = |row: &Row| row.job.expires_at.map_or(u64::MAX, |at| at.unix_ms);
        let expired = self.first(sweep.most, |row| begins(row) && expires(row) <= now.unix_ms, expires);
        swept.expired = expired.len() as u64;
        swept.more |= expired.len() >= sweep.most;
        expired.into_iter().for_each(|seq| self.expire(seq, now));
        for state in [JobState::Scheduled, JobState::Retryable] {
            let is_due = |row: &Row| row.job.state == state && row.since <= now.unix_ms;
            let mut due = self.first(sweep.most, is_due, |row| row.since);
            swept.due += due.len() as u64;
            swept.more |= due.len() >= sweep.most;
            due.sort_unstable();
            for seq in due {
                self.move_to(seq, JobState::Available);
                self.touch(seq, now);
            }
        }
        let is_lost = |row: &Row| {
            row.job.state == JobState::Running
                && (row.lease_until <= now.unix_ms || sweep.is_alone && row.node != sweep.node.0)
        };
        let lost = self.first(sweep.most, is_lost, |row| row.lease_until);
        swept.more |= lost.len() >= sweep.most;
        for seq in lost {
            let row = self.rows.get_mut(&seq).unwrap();
            if row.job.is_cancelled {
                self.end(seq, JobState::Cancelled, None, now);
                continue;
            }
            row.crashes += 1;
            let is_left = row.job.attempt < row.job.max_attempts && row.crashes < MAX_CRASHES;
            if row.job.is_repeatable && is_left {
                row.since = now.unix_ms;
                self.move_to(seq, JobState::Available);
                self.touch(seq, now);
                swept.recovered += 1;
            } else {
                let state = if row.job.is_repeatable { JobState::Discarded } else { JobState::Interrupted };
                let code = if state == JobState::Interrupted { Code::Interrupted } else { Code::Trap };
                self.end(seq, state, Some(code), now);
                swept.interrupted += 1;
            }
        }
        let waiting =
            self.rows.values().filter(|row| matches!(row.job.state, JobState::Scheduled | JobState::Retryable));
        swept.next_due = waiting.map(|row| row.since).min().map(|unix_ms| Timestamp { unix_ms });
        swept
    }

    pub(super) fn cancel(&mut self, id: JobId, now: Timestamp) -> Option<Job> {
        let seq = self.find(id)?;
        let row = self.rows.get_mut(&seq)?;
        if row.job.state == JobState::Running && !row.job.is_cancelled {
            row.job.is_cancelled = true;
            self.touch(seq, now);
        } else if waits(row.job.state) {
            row.job.is_cancelled = true;
            self.end(seq, JobState::Cancelled, None, now);
        }
        self.job(id)
    }

    pub(super) fn retry(&mut self, id: JobId, now: Timestamp) -> Option<Job> {
        let seq = self.find(id)?;
        let row = self.rows.get_mut(&seq)?;
        if row.job.state.is_dead_letter() {
            let job = &mut row.job;
            (job.attempt, job.is_cancelled, job.run_at) = (0, false, now);
            (job.expires_at, job.started_at, job.finished_at) = (None, None, None);
            (job.progress, job.usage, job.outcome, job.result_bytes) = (None, None, None, None);
            (row.crashes, row.since, row.rank) = (0, now.unix_ms, rows::rank(now, job.priority));
            self.move_to(seq, JobState::Available);
            self.touch(seq, now);
        }
        self.job(id)
    }

    pub(super) fn prune(&mut self, prune: &Prune) -> u64 {
        let fits = |row: &Row| {
            row.job.state.is_final()
                && prune.owner.as_ref().is_none_or(|owner| row.job.owner == *owner)
                && prune.ended_before.is_none_or(|before| row.job.finished_at < Some(before))
        };
        let mut found = self.first(usize::MAX, fits, |row| row.job.finished_at.map_or(0, |at| at.unix_ms));
        found.truncate(found.len().saturating_sub(usize::try_from(prune.keep).unwrap()));
        found.truncate(prune.most);
        for seq in &found {
            self.rows.remove(seq);
        }
        self.next_seq = self.rows.last_key_value().map_or(self.next_seq, |(seq, _)| seq + 1);
        found.len() as u64
    }

    pub(super) fn job(&self, id: JobId) -> Option<Job> {
        self.find(id).map(|seq| self.rows[&seq].job.clone())
    }

    /// All jobs, the newest first.
    pub(super) fn jobs(&self) -> Vec<Job> {
        self.rows.values().rev().map(|row| row.job.clone()).collect()
    }

    pub(super) fn events(&self, id: JobId) -> Vec<JobEvent> {
        self.find(id).map(|seq| self.rows[&seq].events.clone()).unwrap_or_default()
    }

    pub(super) fn oldest_available_ms(&self, now: Timestamp) -> Option<u64> {
        let available = self.rows.values().filter(|row| row.job.state == JobState::Available);
        available.map(|row| row.since).min().map(|since| now.unix_ms.saturating_sub(since))
    }
}

fn text(outcome: &JobOutcome) -> Option<&str> {
    match outcome {
        JobOutcome::Ended(Outcome::Value(text) | Outcome::ToolError(text)) => Some(text),
        _ => None,
    }
}
