//! A store of jobs in memory, for tests: it answers as late as it is told to, and fails when it is told to.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fumehood_model::{Digest, Job, JobId, JobState, JobTool, KeyId, Lowered, Priority, Timestamp};
use fumehood_store::{
    Body, Bounds, Claim, Claimed, Counts, End, Filter, Finish, Held, JobEvent, Jobs, Lease, MAX_CRASHES, NewJob,
    NodeId, Prune, Report, Signal, StoreError, SubmitError, Submitted, Sweep, Swept, Verb,
};
use tokio::{sync::broadcast, time::sleep};

/// Room for any number of jobs.
pub(crate) const ROOM: Bounds = Bounds { waiting: u64::MAX, waiting_per_key: u64::MAX };

#[derive(Debug)]
pub(crate) struct Memory {
    rows: Mutex<Rows>,
    signals: broadcast::Sender<Signal>,
    latency: Duration,
    /// Whether signals get lost.
    pub(crate) is_deaf: AtomicBool,
    pub(crate) is_failing: AtomicBool,
    pub(crate) claims: AtomicUsize,
    pub(crate) reports: AtomicUsize,
}

#[derive(Debug, Default)]
struct Rows {
    jobs: BTreeMap<JobId, Row>,
    used: HashMap<KeyId, Duration>,
}

#[derive(Debug)]
struct Row {
    job: Job,
    input: Bytes,
    token: u64,
    held: Option<(NodeId, Timestamp)>,
    crashes: u32,
    checkpoint: Option<Bytes>,
    events: Vec<JobEvent>,
}

/// A job of `owner` with `input` for a tool of no matter what name.
pub(crate) fn new_job(number: u64, owner: &str, input: &str) -> NewJob {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    NewJob {
        id: JobId::new(Timestamp { unix_ms: 0 }, random),
        owner: KeyId(owner.into()),
        tool: JobTool {
            module: "module".parse().unwrap(),
            function: "function".into(),
            digest: Digest::of(b"component"),
        },
        input: Bytes::copy_from_slice(input.as_bytes()),
        lowered: Lowered::default(),
        priority: Priority::default(),
        run_at: Timestamp { unix_ms: 0 },
        expires_at: None,
        max_attempts: 3,
        is_repeatable: true,
        tags: Vec::new(),
        idempotency: None,
        schedule: None,
        held_by: None,
        ended: None,
    }
}

impl Memory {
    pub(crate) fn new(latency: Duration) -> Self {
        Self {
            rows: Mutex::default(),
            signals: broadcast::Sender::new(1_024),
            latency,
            is_deaf: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
            claims: AtomicUsize::new(0),
            reports: AtomicUsize::new(0),
        }
    }

    /// A job as it stands.
    pub(crate) fn look(&self, id: JobId) -> Job {
        self.rows().jobs[&id].job.clone()
    }

    /// How many jobs are in a state.
    pub(crate) fn count(&self, state: JobState) -> usize {
        self.rows().jobs.values().filter(|row| row.job.state == state).count()
    }

    pub(crate) fn kept(&self, id: JobId) -> (Option<Bytes>, Vec<JobEvent>) {
        let rows = self.rows();
        (rows.jobs[&id].checkpoint.clone(), rows.jobs[&id].events.clone())
    }

    /// Give a job away that is held.
    pub(crate) fn steal(&self, id: JobId) {
        let mut rows = self.rows();
        let row = rows.jobs.get_mut(&id).unwrap();
        row.token += 1;
        row.held = None;
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }

    fn signal(&self, signal: Signal) {
        if !self.is_deaf.load(Ordering::Relaxed) {
            _ = self.signals.send(signal);
        }
    }

    /// Do `change` after as long as this store takes.
    fn verb<'a, T: Send, E: From<StoreError> + Send>(
        &'a self,
        change: impl FnOnce(&mut Rows) -> T + Send + 'a,
    ) -> Verb<'a, T, E> {
        Box::pin(async move {
            sleep(self.latency).await;
            if self.is_failing.load(Ordering::Relaxed) {
                return Err(StoreError::NoRandomness.into());
            }
            let done = change(&mut self.rows());
            Ok(done)
        })
    }
}

impl Rows {
    /// The jobs that are given out next: of the key that has used the least, and holds the least.
    fn next(&self, claim: &Claim) -> Vec<JobId> {
        let mut held: HashMap<&KeyId, u64> = HashMap::new();
        let mut available: HashMap<&KeyId, VecDeque<JobId>> = HashMap::new();
        for row in self.jobs.values() {
            *held.entry(&row.job.owner).or_default() += u64::from(row.held.is_some());
            if row.job.state == JobState::Available {
                available.entry(&row.job.owner).or_default().push_back(row.job.id);
            }
        }
        let mut next = Vec::new();
        while next.len() < claim.most {
            let may = available.iter_mut().filter(|(owner, jobs)| !jobs.is_empty() && held[*owner] < claim.per_key);
            let used = |owner: &KeyId| (self.used.get(owner).copied().unwrap_or_default(), held[owner]);
            let Some((owner, jobs)) = may.min_by_key(|(owner, jobs)| (used(owner), jobs.front().copied())) else {
                break;
            };
            next.extend(jobs.pop_front());
            *held.entry(owner).or_default() += 1;
        }
        next
    }

    fn row(&mut self, lease: Lease) -> Option<&mut Row> {
        let row = self.jobs.get_mut(&lease.id)?;
        (row.job.state == JobState::Running && row.token == lease.token).then_some(row)
    }
}

impl Row {
    fn end(&mut self, end: End) -> JobState {
        self.held = None;
        let crashed = matches!(end, End::Again { crashed: true, .. });
        self.crashes += u32::from(crashed);
        let is_spent = self.job.attempt >= self.job.max_attempts || self.crashes >= MAX_CRASHES;
        self.job.state = match end {
            End::Final { state, outcome } => {
                self.job.outcome = outcome;
                state
            }
            End::Again { outcome, .. } if is_spent => {
                self.job.outcome = Some(outcome);
                JobState::Discarded
            }
            End::Again { at, .. } => {
                self.job.run_at = at;
                JobState::Retryable
            }
            End::Asks { asked } => {
                self.job.attempt -= 1;
                self.job.asked = Some(asked);
                JobState::InputRequired
            }
            End::Unrun { .. } => {
                self.job.attempt -= 1;
                JobState::Available
            }
        };
        self.job.state
    }
}

impl Jobs for Memory {
    fn submit(&self, jobs: Vec<NewJob>, _: Bounds, now: Timestamp) -> Verb<'_, Vec<Submitted>, SubmitError> {
        let done: Verb<'_, _, SubmitError> = self.verb(move |rows| {
            let mut submitted = Vec::new();
            for job in jobs {
                let state = match (job.held_by, job.run_at > now) {
                    (Some(_), _) => JobState::Running,
                    (None, true) => JobState::Scheduled,
                    (None, false) => JobState::Available,
                };
                submitted.push(Submitted { id: job.id, is_new: true });
                let row = Row {
                    held: job.held_by,
                    token: 1,
                    crashes: 0,
                    checkpoint: None,
                    events: Vec::new(),
                    input: job.input.clone(),
                    job: Job {
                        id: job.id,
                        owner: job.owner,
                        tool: job.tool,
                        state,
                        priority: job.priority,
                        attempt: u32::from(job.held_by.is_some()),
                        max_attempts: job.max_attempts,
                        is_repeatable: job.is_repeatable,
                        is_cancelled: false,
                        tags: job.tags,
                        input_bytes: job.input.len() as u64,
                        created_at: now,
                        run_at: job.run_at,
                        expires_at: job.expires_at,
                        started_at: None,
                        finished_at: None,
                        updated_at: now,
                        version: 1,
                        progress: None,
                        usage: None,
                        outcome: None,
                        result_bytes: None,
                        schedule: job.schedule,
                        asked: None,
                    },
                };
                rows.jobs.insert(job.id, row);
            }
            submitted
        });
        Box::pin(async move {
            let submitted = done.await?;
            self.signal(Signal::Available);
            self.signal(Signal::Due);
            Ok(submitted)
        })
    }

    fn claim(&self, claim: Claim, _: Timestamp) -> Verb<'_, Vec<Claimed>> {
        self.claims.fetch_add(1, Ordering::Relaxed);
        self.verb(move |rows| {
            let mut claimed = Vec::new();
            for id in rows.next(&claim) {
                let row = rows.jobs.get_mut(&id).unwrap();
                row.job.state = JobState::Running;
                row.job.attempt += 1;
                row.token += 1;
                row.held = Some((claim.node, claim.until));
                claimed.push(Claimed {
                    job: row.job.clone(),
                    lease: Lease { id, token: row.token },
                    input: row.input.clone(),
                    lowered: Lowered::default(),
                    checkpoint: row.checkpoint.clone(),
                });
            }
            claimed
        })
    }

    fn renew(&self, leases: Vec<Lease>, until: Timestamp) -> Verb<'_, Vec<Held>> {
        self.verb(move |rows| {
            let mut renew = |lease| {
                let Some(row) = rows.row(lease) else { return Held::Lost };
                row.held = row.held.map(|(node, _)| (node, until));
                if row.job.is_cancelled { Held::Cancelled } else { Held::Renewed }
            };
            leases.into_iter().map(&mut renew).collect()
        })
    }

    fn report(&self, lease: Lease, reports: Vec<Report>, now: Timestamp) -> Verb<'_, bool> {
        self.reports.fetch_add(1, Ordering::Relaxed);
        self.verb(move |rows| {
            let Some(row) = rows.row(lease) else { return false };
            for report in reports {
                row.job.version += 1;
                match report {
                    Report::Progress(progress) => row.job.progress = Some(progress),
                    Report::Checkpoint(bytes) => row.checkpoint = Some(bytes),
                    Report::Told(told) => row.events.push(JobEvent { version: row.job.version, at: now, told }),
                }
            }
            true
        })
    }

    fn finish(&self, finish: Finish, _: Timestamp) -> Verb<'_, Option<JobState>> {
        let done: Verb<'_, _> = self.verb(move |rows| {
            let row = rows.row(finish.lease)?;
            let (owner, state) = (row.job.owner.clone(), row.end(finish.end));
            *rows.used.entry(owner).or_default() += finish.held_for;
            Some(state)
        });
        Box::pin(async move {
            let state = done.await?;
            match state {
                Some(JobState::Retryable) => self.signal(Signal::Due),
                Some(JobState::Available) => self.signal(Signal::Available),
                _ => {}
            }
            Ok(state)
        })
    }

    fn sweep(&self, sweep: Sweep, now: Timestamp) -> Verb<'_, Swept> {
        let done: Verb<'_, Swept> = self.verb(move |rows| {
            let mut swept = Swept::default();
            for row in rows.jobs.values_mut() {
                if matches!(row.job.state, JobState::Scheduled | JobState::Retryable) {
                    if row.job.run_at <= now {
                        row.job.state = JobState::Available;
                        swept.due += 1;
                    } else {
                        swept.next_due = Some(swept.next_due.map_or(row.job.run_at, |due| due.min(row.job.run_at)));
                    }
                }
                let is_orphan =
                    |(node, until): (NodeId, Timestamp)| until < now || (sweep.is_alone && node != sweep.node);
                if row.held.is_some_and(is_orphan) {
                    row.held = None;
                    row.crashes += 1;
                    let may = row.job.attempt < row.job.max_attempts && row.crashes < MAX_CRASHES;
                    if row.job.is_repeatable && may && !row.job.is_cancelled {
                        row.job.state = JobState::Available;
                        swept.recovered += 1;
                    } else {
                        let cancelled = row.job.is_cancelled;
                        row.job.state = if cancelled { JobState::Cancelled } else { JobState::Interrupted };
                        swept.interrupted += 1;
                    }
                }
            }
            swept
        });
        Box::pin(async move {
            let swept = done.await?;
            if swept.due + swept.recovered > 0 {
                self.signal(Signal::Available);
            }
            Ok(swept)
        })
    }

    fn cancel(&self, id: JobId, _: Timestamp) -> Verb<'_, Option<Job>> {
        let done: Verb<'_, _> = self.verb(move |rows| {
            let row = rows.jobs.get_mut(&id)?;
            if row.job.state == JobState::Running {
                row.job.is_cancelled = true;
            } else if !row.job.state.is_final() {
                row.job.state = JobState::Cancelled;
            }
            Some(row.job.clone())
        });
        Box::pin(async move {
            let job = done.await?;
            if job.as_ref().is_some_and(|job| job.state == JobState::Running) {
                self.signal(Signal::Cancel(id));
            }
            Ok(job)
        })
    }

    fn job(&self, id: JobId) -> Verb<'_, Option<Job>> {
        self.verb(move |rows| rows.jobs.get(&id).map(|row| row.job.clone()))
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    // A runner never asks for any of these.

    fn answer(&self, _: JobId, _: serde_json::Map<String, serde_json::Value>, _: Timestamp) -> Verb<'_, Option<Job>> {
        self.verb(|_| None)
    }

    fn retry(&self, _: JobId, _: Timestamp) -> Verb<'_, Option<Job>> {
        self.verb(|_| None)
    }

    fn prune(&self, _: Prune) -> Verb<'_, u64> {
        self.verb(|_| 0)
    }

    fn body(&self, _: JobId, _: Body) -> Verb<'_, Option<Bytes>> {
        self.verb(|_| None)
    }

    fn list(&self, _: Filter) -> Verb<'_, Vec<Job>> {
        self.verb(|_| Vec::new())
    }

    fn events(&self, _: JobId, _: u64, _: usize) -> Verb<'_, Vec<JobEvent>> {
        self.verb(|_| Vec::new())
    }

    fn is_needed(&self, component: Digest) -> Verb<'_, bool> {
        self.verb(move |rows| {
            rows.jobs.values().any(|row| !row.job.state.is_final() && row.job.tool.digest == component)
        })
    }

    fn counts(&self, _: Timestamp) -> Verb<'_, Counts> {
        self.verb(|_| Counts::default())
    }
}
