//! Jobs in SQLite.
//!
//! Every verb is one change of the one writer, so that nothing here can meet another change halfway: what a verb reads is
//! what it writes on.

use bytes::Bytes;
use fumehood_model::{Digest, Job, JobId, JobState, Timestamp};
use serde_json::{Map, Value};
use tokio::sync::broadcast;

use super::{
    Body, Bounds, Claim, Claimed, Counts, End, Filter, Finish, Held, JobEvent, Jobs, Lease, MAX_CHECKPOINT, NewJob,
    Prune, Report, Signal, SubmitError, Submitted, Sweep, Swept, Told, Verb, claim, ending, operator, reading, reports,
    submit, sweep,
};
use crate::{Database, StoreError, writer::Undo};

/// What a change weighs beside what it carries.
const SMALL: usize = 512;

impl Jobs for Database {
    fn submit(&self, jobs: Vec<NewJob>, bounds: Bounds, now: Timestamp) -> Verb<'_, Vec<Submitted>, SubmitError> {
        let bytes = jobs.iter().map(|job| SMALL + job.input.len()).sum();
        self.change_soon(bytes, move |db, signals| submit::submit(db, jobs, bounds, now, signals))
    }

    fn claim(&self, claim: Claim, now: Timestamp) -> Verb<'_, Vec<Claimed>> {
        self.verb(SMALL, move |db, signals| claim::claim(db, claim, now, signals))
    }

    fn renew(&self, leases: Vec<Lease>, until: Timestamp) -> Verb<'_, Vec<Held>> {
        self.verb(SMALL, move |db, _| claim::renew(db, &leases, until))
    }

    fn report(&self, lease: Lease, reports: Vec<Report>, now: Timestamp) -> Verb<'_, bool> {
        let too_large = reports.iter().find_map(|report| match report {
            Report::Checkpoint(bytes) if bytes.len() > MAX_CHECKPOINT => Some(bytes.len()),
            _ => None,
        });
        if let Some(size) = too_large {
            return Box::pin(async move { Err(StoreError::CheckpointTooLarge { size }) });
        }
        let bytes = reports.iter().map(weight).sum();
        self.verb(bytes, move |db, signals| reports::report(db, lease, &reports, now, signals))
    }

    fn finish(&self, finish: Finish, now: Timestamp) -> Verb<'_, Option<JobState>> {
        let bytes = SMALL + finish.end.text().map_or(0, str::len);
        self.verb(bytes, move |db, signals| ending::finish(db, finish, now, signals))
    }

    fn sweep(&self, sweep: Sweep, now: Timestamp) -> Verb<'_, Swept> {
        self.verb(SMALL, move |db, signals| sweep::sweep(db, sweep, now, signals))
    }

    fn cancel(&self, id: JobId, now: Timestamp) -> Verb<'_, Option<Job>> {
        self.verb(SMALL, move |db, signals| operator::cancel(db, id, now, signals))
    }

    fn answer(&self, id: JobId, responses: Map<String, Value>, now: Timestamp) -> Verb<'_, Option<Job>> {
        let bytes = SMALL + responses.iter().map(|(key, value)| key.len() + value.to_string().len()).sum::<usize>();
        self.verb(bytes, move |db, signals| operator::answer(db, id, responses, now, signals))
    }

    fn retry(&self, id: JobId, now: Timestamp) -> Verb<'_, Option<Job>> {
        self.verb(SMALL, move |db, signals| operator::retry(db, id, now, signals))
    }

    fn prune(&self, prune: Prune) -> Verb<'_, u64> {
        self.verb(SMALL, move |db, signals| operator::prune(db, &prune, signals))
    }

    fn job(&self, id: JobId) -> Verb<'_, Option<Job>> {
        self.read_soon(move |db| reading::job(db, id))
    }

    fn body(&self, id: JobId, which: Body) -> Verb<'_, Option<Bytes>> {
        self.read_soon(move |db| reading::body(db, id, which))
    }

    fn list(&self, filter: Filter) -> Verb<'_, Vec<Job>> {
        self.search_soon(move |db| reading::list(db, &filter))
    }

    fn events(&self, id: JobId, after: u64, most: usize) -> Verb<'_, Vec<JobEvent>> {
        self.read_soon(move |db| reading::events(db, id, after, most))
    }

    fn counts(&self, now: Timestamp) -> Verb<'_, Counts> {
        self.read_soon(move |db| reading::counts(db, now))
    }

    fn is_needed(&self, component: Digest) -> Verb<'_, bool> {
        self.search_soon(move |db| reading::is_needed(db, component))
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.listen()
    }
}

impl Database {
    /// A change that is never refused.
    fn verb<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&rusqlite::Connection, &mut Vec<Signal>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Verb<'_, T> {
        self.change_soon(bytes, move |db, signals| work(db, signals).map_err(Undo::Failed))
    }
}

impl End {
    /// The text that it carries.
    fn text(&self) -> Option<&str> {
        use fumehood_model::{JobOutcome::Ended, Outcome::*};
        let outcome = match self {
            Self::Final { outcome, .. } => outcome.as_ref()?,
            Self::Again { outcome, .. } => outcome,
            Self::Unrun { .. } | Self::Asks { .. } => return None,
        };
        match outcome {
            Ended(Value(text) | ToolError(text)) => Some(text),
            _ => None,
        }
    }
}

fn weight(report: &Report) -> usize {
    SMALL
        + match report {
            Report::Progress(_) => 0,
            Report::Told(Told::Log { message: text, .. } | Told::Output { text, .. }) => text.len(),
            Report::Checkpoint(bytes) => bytes.len(),
        }
}

#[cfg(test)]
mod tests {
    use fumehood_model::{JobTool, KeyId, Lowered, Priority};
    use pollster::block_on;

    use super::*;
    use crate::{Access, NodeId, database::Durability};

    const NOW: Timestamp = Timestamp { unix_ms: 1_000_000 };
    const MANY: Bounds = Bounds { waiting: 1_000, waiting_per_key: 1_000 };
    const CLAIM: Claim =
        Claim { node: NodeId(1), most: 10, at_once: 10, per_key: 10, until: Timestamp { unix_ms: 2_000_000 } };

    fn open(folder: &tempfile::TempDir) -> Database {
        Database::open_with(&folder.path().join("db"), Access::Own, Durability::Process).unwrap()
    }

    fn new_job(number: u8) -> NewJob {
        NewJob {
            id: JobId::new(NOW, [number; 10]),
            owner: KeyId("k".into()),
            tool: JobTool { module: "m".parse().unwrap(), function: "f".into(), digest: Digest::of(b"m") },
            input: Bytes::from_static(b"{}"),
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

    #[test]
    fn what_was_claimed_survives_reopening_with_its_lease() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder);
        block_on(database.submit(vec![new_job(1)], MANY, NOW)).unwrap();
        let lease = block_on(database.claim(CLAIM, NOW)).unwrap()[0].lease;

        drop(database);
        let database = open(&folder);
        let finish = Finish {
            lease,
            end: End::Final { state: JobState::Completed, outcome: None },
            usage: None,
            held_for: std::time::Duration::ZERO,
        };
        let ends =
            [block_on(database.finish(finish.clone(), NOW)).unwrap(), block_on(database.finish(finish, NOW)).unwrap()];

        assert_eq!(ends, [Some(JobState::Completed), None]);
    }

    #[test]
    fn a_job_that_cannot_be_read_fails_and_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder);
        block_on(database.submit((1..=3).map(new_job).collect(), MANY, NOW)).unwrap();
        database.write(|db| db.execute("UPDATE jobs SET digest = 'x' WHERE seq = 1", [])).unwrap();

        let claimed: Vec<_> = block_on(database.claim(CLAIM, NOW)).unwrap().into_iter().map(|job| job.job.id).collect();
        let listed = block_on(database.list(Filter { most: 10, ..Filter::default() })).unwrap();

        assert_eq!(claimed, [new_job(2).id, new_job(3).id]);
        assert_eq!(listed.into_iter().map(|job| job.id).collect::<Vec<_>>(), [new_job(3).id, new_job(2).id]);
        assert!(block_on(database.job(new_job(1).id)).is_err());
        let failed = (JobState::Failed, 1);
        assert!(block_on(database.counts(NOW)).unwrap().states.contains(&failed));
    }

    #[test]
    fn a_checkpoint_that_is_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder);
        block_on(database.submit(vec![new_job(1)], MANY, NOW)).unwrap();
        let lease = block_on(database.claim(CLAIM, NOW)).unwrap()[0].lease;

        let large = Report::Checkpoint(vec![0; MAX_CHECKPOINT + 1].into());

        assert!(matches!(
            block_on(database.report(lease, vec![large], NOW)),
            Err(StoreError::CheckpointTooLarge { .. })
        ));
    }
}
