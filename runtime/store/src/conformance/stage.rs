//! What behaviours are played with.

use std::{fmt::Debug, time::Duration};

use bytes::Bytes;
use fumehood_model::{
    Code, Digest, Failure, Job, JobId, JobOutcome, JobState, JobTool, KeyId, Lowered, Outcome, Priority, Timestamp,
};

use crate::{
    Bounds, Claim, Claimed, End, Filter, Finish, Idempotency, Jobs, Lease, NewJob, NodeId, Submitted, Sweep, Swept,
};

pub(super) const NOW: Timestamp = Timestamp { unix_ms: 1_000_000 };
pub(super) const ROOMY: Bounds = Bounds { waiting: 10_000, waiting_per_key: 10_000 };
pub(super) const NODE: NodeId = NodeId(1);
pub(super) const OTHER: NodeId = NodeId(u64::MAX);
pub(super) const LEASE_MS: u64 = 30_000;

/// `NOW` and this much more.
pub(super) fn after(ms: u64) -> Timestamp {
    Timestamp { unix_ms: NOW.unix_ms + ms }
}

/// What came of a verb that must not fail.
pub(super) fn done<T, E: Debug>(result: Result<T, E>) -> T {
    result.expect("the store does what it is asked")
}

pub(super) fn key(name: &str) -> KeyId {
    KeyId(name.into())
}

pub(super) fn id(number: u64) -> JobId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    JobId::new(NOW, random)
}

/// The plainest job of this number.
pub(super) fn job(number: u64) -> NewJob {
    NewJob {
        id: id(number),
        owner: key("k"),
        tool: JobTool { module: "m".parse().expect("a name"), function: "f".into(), digest: Digest::of(b"component") },
        input: Bytes::from(format!("[{number}]")),
        lowered: Lowered::default(),
        priority: Priority::default(),
        run_at: NOW,
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

pub(super) fn of(owner: &str, number: u64) -> NewJob {
    NewJob { owner: key(owner), ..job(number) }
}

pub(super) fn named(name: &str, fingerprint: u8, job: NewJob) -> NewJob {
    NewJob { idempotency: Some(Idempotency { key: name.to_owned(), fingerprint: [fingerprint; 32] }), ..job }
}

pub(super) fn priority(number: i64) -> Priority {
    Priority::try_from(number).expect("a priority")
}

pub(super) async fn submit(store: &impl Jobs, jobs: Vec<NewJob>) -> Vec<Submitted> {
    done(store.submit(jobs, ROOMY, NOW).await)
}

pub(super) async fn claim(store: &impl Jobs, most: usize, now: Timestamp) -> Vec<Claimed> {
    claim_as(store, NODE, most, 1_000, now).await
}

pub(super) async fn claim_as(
    store: &impl Jobs,
    node: NodeId,
    most: usize,
    per_key: u64,
    now: Timestamp,
) -> Vec<Claimed> {
    let until = Timestamp { unix_ms: now.unix_ms + LEASE_MS };
    done(store.claim(Claim { node, most, at_once: most, per_key, until }, now).await)
}

/// Submit a job and begin it.
pub(super) async fn run(store: &impl Jobs, job: NewJob) -> Lease {
    let id = job.id;
    submit(store, vec![job]).await;
    let claimed = claim(store, 1, NOW).await;
    assert_eq!(claimed[0].job.id, id, "nothing else waits");
    claimed[0].lease
}

pub(super) async fn finish(store: &impl Jobs, lease: Lease, end: End, now: Timestamp) -> Option<JobState> {
    held_for(store, lease, end, Duration::ZERO, now).await
}

pub(super) async fn held_for(
    store: &impl Jobs,
    lease: Lease,
    end: End,
    held_for: Duration,
    now: Timestamp,
) -> Option<JobState> {
    done(store.finish(Finish { lease, end, usage: None, held_for }, now).await)
}

pub(super) async fn sweep(store: &impl Jobs, is_alone: bool, now: Timestamp) -> Swept {
    done(store.sweep(Sweep { node: NODE, is_alone, most: 100 }, now).await)
}

pub(super) fn value(text: &str) -> JobOutcome {
    JobOutcome::Ended(Outcome::Value(text.to_owned()))
}

pub(super) fn failure(message: &str) -> JobOutcome {
    JobOutcome::Failed(Failure { code: Code::Internal, message: message.to_owned() })
}

pub(super) fn completed(text: &str) -> End {
    End::Final { state: JobState::Completed, outcome: Some(value(text)) }
}

pub(super) fn failed() -> End {
    End::Final { state: JobState::Failed, outcome: Some(failure("no")) }
}

pub(super) fn again(at: Timestamp, crashed: bool) -> End {
    End::Again { at, outcome: failure("later"), crashed }
}

pub(super) async fn show(store: &impl Jobs, number: u64) -> Job {
    done(store.job(id(number)).await).expect("the job is kept")
}

pub(super) async fn state(store: &impl Jobs, number: u64) -> JobState {
    show(store, number).await.state
}

pub(super) async fn list(store: &impl Jobs, filter: Filter) -> Vec<JobId> {
    let filter = Filter { most: if filter.most == 0 { 100 } else { filter.most }, ..filter };
    done(store.list(filter).await).into_iter().map(|job| job.id).collect()
}

pub(super) fn ids(claimed: &[Claimed]) -> Vec<JobId> {
    claimed.iter().map(|claimed| claimed.job.id).collect()
}

pub(super) fn numbers(numbers: impl IntoIterator<Item = u64>) -> Vec<JobId> {
    numbers.into_iter().map(id).collect()
}
