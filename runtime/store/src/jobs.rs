//! Jobs that survive: what a backend promises, in a dozen verbs, each of them one transaction.
//!
//! Any number of nodes may work on one store. A node *claims* jobs and holds each under a lease, which it renews. A lease
//! has a token that grows with every claim: whoever has lost its lease can write nothing any more, however late it wakes
//! up. So a job may run more than once, and its outcome is recorded exactly once.
//!
//! Time comes in with every verb. Nothing here looks at a clock, so that a test can be a year long.

mod claim;
mod ending;
#[cfg(test)]
mod model;
mod operator;
mod reading;
mod reports;
mod rows;
mod sqlite;
mod submit;
mod sweep;

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use fumehood_model::{
    Asked, Digest, Job, JobId, JobOutcome, JobState, JobTool, KeyId, Lowered, Priority, Progress, Timestamp, Usage,
};
use serde_json::{Map, Value};
use tokio::sync::broadcast;

use crate::StoreError;

pub(crate) use rows::{ms, timestamp};
pub(crate) use submit::submit_one;

/// Largest argument, result or checkpoint that stands in the row of its job; larger ones stand apart.
///
/// 64 KiB: a page of a list stays small, and nearly every result is there with one read.
pub const INLINE: usize = 64 << 10;

/// Largest checkpoint.
pub const MAX_CHECKPOINT: usize = 1 << 20;

/// Most events that are kept of one job; of more, the oldest go.
pub const MAX_EVENTS: u64 = 1_000;

/// After how many deaths of the process that it ran in a job is not tried again.
pub const MAX_CRASHES: u32 = 3;

/// What a verb comes to.
pub type Verb<'a, T, E = StoreError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// Jobs in a durable store.
///
/// A verb that changes something is done when it is on disk. Dropping its future does not undo it.
pub trait Jobs: Send + Sync + 'static {
    /// Take in jobs, all of them or none. In the order given; what came of each.
    fn submit(&self, jobs: Vec<NewJob>, bounds: Bounds, now: Timestamp) -> Verb<'_, Vec<Submitted>, SubmitError>;

    /// Give the jobs whose turn it is to a node: those of the key that has used the least, and of each key by rank.
    fn claim(&self, claim: Claim, now: Timestamp) -> Verb<'_, Vec<Claimed>>;

    /// Hold on to jobs for longer; what is to be known of each, in their order.
    fn renew(&self, leases: Vec<Lease>, until: Timestamp) -> Verb<'_, Vec<Held>>;

    /// Keep what a running job told; whether its lease still holds.
    fn report(&self, lease: Lease, reports: Vec<Report>, now: Timestamp) -> Verb<'_, bool>;

    /// Record what came of an attempt: the state that follows, or nothing if the lease was lost.
    fn finish(&self, finish: Finish, now: Timestamp) -> Verb<'_, Option<JobState>>;

    /// Make what is due available, take back what is held by nobody, end what has expired.
    fn sweep(&self, sweep: Sweep, now: Timestamp) -> Verb<'_, Swept>;

    /// End a job: at once if it does not run, else as soon as its node hears of it. The job as it then stands.
    fn cancel(&self, id: JobId, now: Timestamp) -> Verb<'_, Option<Job>>;

    /// Take answers to what a job asks; with the last one it waits for its turn again. The job as it then stands.
    ///
    /// Answers to what it does not ask, or that it has already, are passed over.
    fn answer(&self, id: JobId, responses: Map<String, Value>, now: Timestamp) -> Verb<'_, Option<Job>>;

    /// Try a dead letter again, with its attempts counted anew. The job as it then stands, whether that was possible or not.
    ///
    /// It need not begin in time any more, and goes on from its last checkpoint.
    fn retry(&self, id: JobId, now: Timestamp) -> Verb<'_, Option<Job>>;

    /// Forget ended jobs with everything that is kept of them; how many.
    fn prune(&self, prune: Prune) -> Verb<'_, u64>;

    /// One job, its arguments, or its result.
    fn job(&self, id: JobId) -> Verb<'_, Option<Job>>;

    /// The arguments or the result of a job as JSON text.
    fn body(&self, id: JobId, which: Body) -> Verb<'_, Option<Bytes>>;

    /// Jobs, the newest first.
    fn list(&self, filter: Filter) -> Verb<'_, Vec<Job>>;

    /// What a job told after the event `after`, the oldest first.
    fn events(&self, id: JobId, after: u64, most: usize) -> Verb<'_, Vec<JobEvent>>;

    /// How many jobs are in each state, and how long the oldest available one has waited.
    fn counts(&self, now: Timestamp) -> Verb<'_, Counts>;

    /// Whether a job that has not ended is to run on this component.
    fn is_needed(&self, component: Digest) -> Verb<'_, bool>;

    /// Hints that something changed. They may be lost, late or needless: whoever hears one looks.
    fn signals(&self) -> broadcast::Receiver<Signal>;
}

/// A node that works on jobs: a random number for each start of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(pub u64);

impl NodeId {
    /// A node that no other has the name of.
    ///
    /// # Errors
    ///
    /// When the operating system gives no random bytes.
    pub fn random() -> Result<Self, StoreError> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|_| StoreError::NoRandomness)?;
        Ok(Self(u64::from_le_bytes(bytes)))
    }
}

/// A job that is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Its id, chosen by whoever submits it.
    pub id: JobId,
    /// The key that submits it.
    pub owner: KeyId,
    /// What it runs.
    pub tool: JobTool,
    /// Its arguments, as JSON text.
    pub input: Bytes,
    /// Bounds that the submitter lowered for it.
    pub lowered: Lowered,
    /// Which of its owner's jobs goes first.
    pub priority: Priority,
    /// When it may run at the earliest; not in the past.
    pub run_at: Timestamp,
    /// When it must have begun.
    pub expires_at: Option<Timestamp>,
    /// Attempts that may begin; at least one.
    pub max_attempts: u32,
    /// Whether it may run again although an attempt may have had effects.
    pub is_repeatable: bool,
    /// Words by which it can be found.
    pub tags: Vec<String>,
    /// What makes a second submission of the same job the first one.
    pub idempotency: Option<Idempotency>,
    /// The schedule that submits it, if one does.
    pub schedule: Option<String>,
    /// Who runs it already, and until when: for a call that became a job on the way. It does not wait, and its lease has
    /// the token 1.
    pub held_by: Option<(NodeId, Timestamp)>,
    /// What came of it already: for jobs of another system.
    pub ended: Option<(JobState, Option<JobOutcome>)>,
}

/// A name that its owner gives to a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The name, at most 255 bytes.
    pub key: String,
    /// A hash of what is submitted: the same name for something else is a mistake.
    pub fingerprint: [u8; 32],
}

/// How many jobs may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Jobs that wait, of all keys.
    pub waiting: u64,
    /// Jobs that wait, of one key.
    pub waiting_per_key: u64,
}

/// What came of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The job: the new one, or the one that was submitted under the same name before.
    pub id: JobId,
    /// Whether it is new.
    pub is_new: bool,
}

/// Why nothing was taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// As many jobs wait as may.
    #[error("Queue is full: {waiting} jobs are waiting")]
    Full {
        /// How many wait.
        waiting: u64,
    },
    /// As many jobs of this key wait as may.
    #[error("Queue is full: {waiting} jobs of this key are waiting")]
    ShareUsed {
        /// How many of this key wait.
        waiting: u64,
    },
    /// The same name was given to something else.
    #[error("the idempotency key was used for another job, {id}")]
    NameTaken {
        /// That job.
        id: JobId,
    },
    /// There is a job of this id already.
    #[error("there is a job {id} already")]
    Exists {
        /// The id.
        id: JobId,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a node wants to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Who.
    pub node: NodeId,
    /// Most jobs.
    pub most: usize,
    /// How many of them begin at once. What is claimed ahead of its place counts as begun when the node dies: of jobs that
    /// this would end, as they may not run twice or have no further attempt, no more are given than these.
    pub at_once: usize,
    /// Most jobs of one key that are held at a time, by all nodes.
    pub per_key: u64,
    /// Until when they are held unless renewed.
    pub until: Timestamp,
}

/// The right to run an attempt of a job and to record what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub id: JobId,
    /// Grows with each claim of the job; only the last one counts.
    pub token: u64,
}

/// A job that was given to a node, with what it takes to run it.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The job.
    pub job: Job,
    /// The right to it.
    pub lease: Lease,
    /// Its arguments, as JSON text.
    pub input: Bytes,
    /// Bounds that the submitter lowered for it.
    pub lowered: Lowered,
    /// What an earlier attempt left for this one.
    pub checkpoint: Option<Bytes>,
}

/// What a node is told of a job that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It goes on.
    Renewed,
    /// It is to end: somebody cancelled it.
    Cancelled,
    /// Somebody else has it now, or it has ended: nothing that the node says of it counts.
    Lost,
}

/// What a running job tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// How far it is; only the last one is kept.
    Progress(Progress),
    /// Something for whoever watches; kept as an event.
    Told(Told),
    /// What a later attempt may go on from, at most [`MAX_CHECKPOINT`]; only the last one is kept.
    Checkpoint(Bytes),
}

/// Something that a guest says while it runs, escaped and bounded by whoever reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It logged a line.
    Log {
        /// `trace`, `debug`, `info`, `warn`, `error` or `critical`.
        level: String,
        /// The line.
        message: String,
    },
    /// It wrote to a standard stream.
    Output {
        /// `stdout` or `stderr`.
        stream: String,
        /// What.
        text: String,
    },
}

/// One event of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEvent {
    /// The version of the job that it made; grows within a job.
    pub version: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub told: Told,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// The right to say so.
    pub lease: Lease,
    /// What.
    pub end: End,
    /// What it used.
    pub usage: Option<Usage>,
    /// How long it held a place: what its key has used.
    pub held_for: Duration,
}

/// How an attempt ends.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// The job has ended, in a final state.
    Final {
        /// Which.
        state: JobState,
        /// What came of it.
        outcome: Option<JobOutcome>,
    },
    /// Another attempt may mend it: `retryable`, or `discarded` when this was the last one, or `cancelled` when somebody
    /// wanted that meanwhile.
    ///
    /// Whoever says so of a job that may not run twice knows that this attempt had no effects. After a crash nobody knows:
    /// then such a job is `interrupted`.
    Again {
        /// When.
        at: Timestamp,
        /// What came of this one.
        outcome: JobOutcome,
        /// Whether the process that it ran in died; after [`MAX_CRASHES`] of these it is not tried again.
        crashed: bool,
    },
    /// It cannot go on without an answer of whoever submitted it: `input_required`, or `cancelled` when somebody wanted that
    /// meanwhile. The attempt does not count.
    Asks {
        /// What it asks.
        asked: Asked,
    },
    /// It did not run at all: the attempt does not count.
    Unrun {
        /// When it may run: it waits for its turn from then on.
        at: Timestamp,
    },
}

/// What is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// The node that sweeps.
    pub node: NodeId,
    /// Whether no other node can be alive: then what others hold is taken back at once.
    pub is_alone: bool,
    /// Most jobs of each kind.
    pub most: usize,
}

/// What a sweep found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Scheduled and retryable jobs that are available now.
    pub due: u64,
    /// Jobs that were held by nobody and are available again.
    pub recovered: u64,
    /// Jobs that were held by nobody and may not run twice, or have run out of attempts.
    pub interrupted: u64,
    /// Jobs whose time to begin is over.
    pub expired: u64,
    /// When the next job is due, if one waits for its time.
    pub next_due: Option<Timestamp>,
    /// Whether there is more of the same.
    pub more: bool,
}

/// What is forgotten: ended jobs that fit all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prune {
    /// Only this one.
    pub id: Option<JobId>,
    /// Only of this key.
    pub owner: Option<KeyId>,
    /// Only in one of these states; in any final one if empty.
    pub states: Vec<JobState>,
    /// Only what ended before.
    pub ended_before: Option<Timestamp>,
    /// How many of what fits are kept, the newest.
    pub keep: u64,
    /// Most that one verb forgets.
    pub most: usize,
}

/// Which jobs are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this key.
    pub owner: Option<KeyId>,
    /// Only in one of these states.
    pub states: Vec<JobState>,
    /// Only of this module.
    pub module: Option<String>,
    /// Only of this function.
    pub function: Option<String>,
    /// Only with this tag.
    pub tag: Option<String>,
    /// Only of this schedule.
    pub schedule: Option<String>,
    /// Only those before this one in the list.
    pub before: Option<JobId>,
    /// Most jobs.
    pub most: usize,
}

/// Which text of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Its arguments.
    Input,
    /// Its result.
    Result,
}

/// How many jobs there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// In each state that has any.
    pub states: Vec<(JobState, u64)>,
    /// How long the oldest available job has been available, in milliseconds.
    pub oldest_available_ms: Option<u64>,
}

/// Something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// A job is available.
    Available,
    /// A job is due at another time than before.
    Due,
    /// This job has changed.
    Job(JobId),
    /// This running job is to end.
    Cancel(JobId),
}
