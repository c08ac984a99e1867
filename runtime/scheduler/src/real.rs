//! The store that the server uses, for tests under virtual time.
//!
//! Its verbs are done by a thread of its own, for which virtual time would not wait: here each verb is waited for on the
//! spot, and takes as long as the test wants. So a test goes the same way every time.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fumehood_model::{Digest, Job, JobId, JobState, KeyId, Timestamp};
use fumehood_store::{
    Access, Body, Bounds, Claim, Claimed, Counts, DataDirectory, Database, Filter, Finish, Fire, Fired, Held, JobEvent,
    Jobs, Lease, NewJob, Place, Prune, Report, Schedule, Schedules, Signal, StoreError, SubmitError, Submitted, Sweep,
    Swept, Verb,
};
use pollster::block_on;
use tokio::{sync::broadcast, time::sleep};

use crate::dice::Dice;

pub(crate) struct Real {
    /// The store itself, for a test that asks at once.
    pub(crate) database: Database,
    dice: Mutex<Dice>,
    latency: Duration,
    pub(crate) is_failing: AtomicBool,
    /// The final states that were recorded of each job, in their order.
    pub(crate) recorded: Mutex<HashMap<JobId, Vec<JobState>>>,
    _directory: DataDirectory,
    _folder: tempfile::TempDir,
}

impl Real {
    /// An empty store. Verbs take up to `latency`.
    pub(crate) fn new(seed: u64, latency: Duration) -> Self {
        // In memory where that is possible: what is lost with the power is not what is tested here.
        let memory = Path::new("/dev/shm");
        let is_there = fs::metadata(memory).is_ok_and(|found| found.is_dir());
        let folder = if is_there { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let directory = DataDirectory::open(folder.path(), Access::Own).unwrap();
        Self {
            database: directory.database().unwrap(),
            dice: Mutex::new(Dice(seed)),
            latency,
            is_failing: AtomicBool::new(false),
            recorded: Mutex::default(),
            _directory: directory,
            _folder: folder,
        }
    }

    /// A verb that takes its time before or after it is done, and fails on either side while the store does.
    fn verb<'a, T: Send + 'a, E: From<StoreError> + Send + 'a>(&'a self, verb: Verb<'a, T, E>) -> Verb<'a, T, E> {
        let (before, after) = {
            let mut dice = self.dice.lock().unwrap();
            let micros = u64::try_from(self.latency.as_micros()).unwrap() + 1;
            let took = Duration::from_micros(dice.below(micros));
            if dice.below(2) == 0 { (took, Duration::ZERO) } else { (Duration::ZERO, took) }
        };
        Box::pin(async move {
            sleep(before).await;
            // A store that fails may have done what it was asked for.
            if self.is_failing.load(Ordering::Relaxed) && self.dice.lock().unwrap().below(4) > 0 {
                return Err(StoreError::NoRandomness.into());
            }
            let done = block_on(verb);
            sleep(after).await;
            if self.is_failing.load(Ordering::Relaxed) {
                return Err(StoreError::NoRandomness.into());
            }
            done
        })
    }
}

impl Jobs for Real {
    fn submit(&self, jobs: Vec<NewJob>, bounds: Bounds, now: Timestamp) -> Verb<'_, Vec<Submitted>, SubmitError> {
        self.verb(self.database.submit(jobs, bounds, now))
    }

    fn claim(&self, claim: Claim, now: Timestamp) -> Verb<'_, Vec<Claimed>> {
        self.verb(self.database.claim(claim, now))
    }

    fn renew(&self, leases: Vec<Lease>, until: Timestamp) -> Verb<'_, Vec<Held>> {
        self.verb(self.database.renew(leases, until))
    }

    fn report(&self, lease: Lease, reports: Vec<Report>, now: Timestamp) -> Verb<'_, bool> {
        self.verb(self.database.report(lease, reports, now))
    }

    fn finish(&self, finish: Finish, now: Timestamp) -> Verb<'_, Option<JobState>> {
        let id = finish.lease.id;
        let finish = self.database.finish(finish, now);
        self.verb(Box::pin(async move {
            let state = finish.await?;
            if let Some(state) = state.filter(|state| state.is_final()) {
                self.recorded.lock().unwrap().entry(id).or_default().push(state);
            }
            Ok(state)
        }))
    }

    fn sweep(&self, sweep: Sweep, now: Timestamp) -> Verb<'_, Swept> {
        self.verb(self.database.sweep(sweep, now))
    }

    fn cancel(&self, id: JobId, now: Timestamp) -> Verb<'_, Option<Job>> {
        self.verb(self.database.cancel(id, now))
    }

    fn answer(
        &self,
        id: JobId,
        responses: serde_json::Map<String, serde_json::Value>,
        now: Timestamp,
    ) -> Verb<'_, Option<Job>> {
        self.verb(self.database.answer(id, responses, now))
    }

    fn retry(&self, id: JobId, now: Timestamp) -> Verb<'_, Option<Job>> {
        self.verb(self.database.retry(id, now))
    }

    fn prune(&self, prune: Prune) -> Verb<'_, u64> {
        self.verb(self.database.prune(prune))
    }

    fn job(&self, id: JobId) -> Verb<'_, Option<Job>> {
        self.verb(self.database.job(id))
    }

    fn body(&self, id: JobId, which: Body) -> Verb<'_, Option<Bytes>> {
        self.verb(self.database.body(id, which))
    }

    fn list(&self, filter: Filter) -> Verb<'_, Vec<Job>> {
        self.verb(self.database.list(filter))
    }

    fn events(&self, id: JobId, after: u64, most: usize) -> Verb<'_, Vec<JobEvent>> {
        self.verb(self.database.events(id, after, most))
    }

    fn is_needed(&self, component: Digest) -> Verb<'_, bool> {
        self.verb(self.database.is_needed(component))
    }

    fn counts(&self, now: Timestamp) -> Verb<'_, Counts> {
        self.verb(self.database.counts(now))
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.database.signals()
    }
}

impl Schedules for Real {
    fn put_schedule(&self, schedule: Schedule) -> Verb<'_, bool> {
        self.verb(self.database.put_schedule(schedule))
    }

    fn remove_schedule(&self, owner: KeyId, name: String) -> Verb<'_, bool> {
        self.verb(self.database.remove_schedule(owner, name))
    }

    fn schedules(&self, owner: Option<KeyId>) -> Verb<'_, Vec<Schedule>> {
        self.verb(self.database.schedules(owner))
    }

    fn due_schedules(
        &self,
        now: Timestamp,
        place: Option<Place>,
        most: usize,
    ) -> Verb<'_, (Vec<Schedule>, Option<Timestamp>)> {
        self.verb(self.database.due_schedules(now, place, most))
    }

    fn fire(&self, fire: Fire, bounds: Bounds, now: Timestamp) -> Verb<'_, Fired, SubmitError> {
        self.verb(self.database.fire(fire, bounds, now))
    }
}
