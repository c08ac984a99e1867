use std::{collections::HashSet, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use fumehood_model::Timestamp;
use fumehood_store::{Bounds, Fire, Fired, Jobs, NewJob, Schedule, Schedules, Signal, StoreError, SubmitError};
use tokio::{
    sync::{
        Notify,
        broadcast::{Receiver, error::RecvError},
    },
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{JobSpec, Overlap, Plan, ScheduleSpec};
use crate::{Outside, outside::between};

/// Most schedules that are read in one go.
const MOST: usize = 100;

/// How often to look without being told that anything is due.
const POLL: Duration = Duration::from_secs(5);

/// Shortest time between two looks, and how long to leave alone what has just failed.
const GAP: Duration = Duration::from_millis(10);
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Longest reason that is kept of a moment that was passed over, in characters.
const MAX_WHY: usize = 500;

/// Makes the job of a schedule.
pub trait Prepare: Send + Sync + 'static {
    /// The job for the moment `slot` of a schedule: the tool found, the arguments checked, its owner still allowed to
    /// call it. Owner and schedule are filled in by whoever asks.
    fn prepare(&self, schedule: Schedule, job: JobSpec, slot: Timestamp) -> Preparing;
}

/// A job that is being made.
pub type Preparing = Pin<Box<dyn Future<Output = Result<NewJob, Unprepared>> + Send>>;

/// Why a schedule has no job for a moment, in words: the moment is passed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unprepared {
    /// Why.
    pub why: String,
}

/// What a ticker works with.
pub struct TickerParts {
    /// Where schedules are kept.
    pub schedules: Arc<dyn Schedules>,
    /// Where their jobs are.
    pub jobs: Arc<dyn Jobs>,
    /// What makes their jobs.
    pub prepare: Arc<dyn Prepare>,
    /// How many jobs may wait.
    pub bounds: Bounds,
    /// The clock.
    pub outside: Outside,
}

/// Submits the jobs of schedules when they are due, until it is dropped.
///
/// Any number of nodes may do so: a moment of a schedule is used up in one transaction with its job.
#[derive(Debug)]
pub struct Ticker {
    task: JoinHandle<()>,
    changed: Arc<Notify>,
}

struct Clockwork {
    parts: TickerParts,
    changed: Arc<Notify>,
    has_failed: bool,
}

/// What came of one schedule.
enum Done {
    Fine,
    /// It stays due, as do others of its key that want a job: as many jobs of it wait as may.
    ShareUsed,
    /// It stays due, and so would any other: the queue is full.
    Full,
    /// It stays due: the store fails, maybe for this one only.
    Failed,
}

/// Whether a job may be submitted although the last one may not have ended.
enum Way {
    Free,
    /// The last one was cancelled for it.
    Cleared,
    Barred,
}

impl Ticker {
    /// Start to look after schedules.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(parts: TickerParts) -> Self {
        let signals = parts.jobs.signals();
        let changed = Arc::new(Notify::new());
        let clockwork = Clockwork { parts, changed: Arc::clone(&changed), has_failed: false };
        Self { task: tokio::spawn(clockwork.run(signals)), changed }
    }

    /// Look at once: a schedule was made or changed. Other nodes find it within five seconds.
    pub fn wake(&self) {
        self.changed.notify_one();
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Clockwork {
    async fn run(mut self, mut signals: Receiver<Signal>) {
        loop {
            let next = Instant::now() + self.look().await.clamp(GAP, POLL);
            wait(next, &self.changed, &mut signals).await;
        }
    }

    /// Fire what is due, all of it: what has to wait must not stand in the way of what comes after it. How long nothing
    /// will be due.
    async fn look(&mut self) -> Duration {
        let now = self.parts.outside.now();
        let (mut place, mut full) = (None, HashSet::new());
        let (mut has_fired, mut has_failed) = (false, false);
        loop {
            let due = self.parts.schedules.due_schedules(now, place, MOST).await;
            let Some((schedules, next)) = self.note(due) else { return AFTER_FAILURE };
            place = schedules.last().and_then(Schedule::place);
            for schedule in schedules {
                let owner = schedule.owner.clone();
                match self.fire(schedule, full.contains(&owner), now).await {
                    Done::Fine => has_fired = true,
                    Done::ShareUsed => drop(full.insert(owner)),
                    Done::Full => return AFTER_FAILURE,
                    Done::Failed => has_failed = true,
                }
            }
            let is_more_due = next.is_some_and(|next| next <= now);
            if is_more_due && place.is_some() {
                continue;
            }
            if has_fired {
                // It may have more to make up for.
                return Duration::ZERO;
            }
            let is_stuck = is_more_due || has_failed || !full.is_empty();
            return if is_stuck { AFTER_FAILURE } else { next.map_or(POLL, |next| between(now, next)) };
        }
    }

    /// Use up the moment of a schedule that is due; `is_full` if the share of its key was used a moment ago.
    async fn fire(&mut self, schedule: Schedule, is_full: bool, now: Timestamp) -> Done {
        let spec = match ScheduleSpec::parse(&schedule.spec) {
            Ok(spec) => spec,
            Err(error) => {
                let name = &schedule.name;
                tracing::error!(schedule.name = name, %error, blame = "host", "Schedule {name} cannot be read, and rests");
                return self.use_up(&schedule, Err(format!("it cannot be read: {error}")), None, now).await;
            }
        };
        let Plan { slot, next_at } = spec.decide(&schedule, now);
        let Some(slot) = slot else {
            return self.use_up(&schedule, Err("its moment was missed".to_owned()), next_at, now).await;
        };
        let job = match self.make_way(&schedule, spec.overlap, now).await {
            Some(Way::Free) if is_full => return Done::ShareUsed,
            Some(Way::Free | Way::Cleared) => self.prepare(&schedule, spec.job, slot).await,
            Some(Way::Barred) => Err("its job before had not ended".to_owned()),
            None => return Done::Failed,
        };
        self.use_up(&schedule, job, next_at, now).await
    }

    /// Whether a job may be submitted; nothing if the store fails.
    async fn make_way(&mut self, schedule: &Schedule, overlap: Overlap, now: Timestamp) -> Option<Way> {
        let Some(last) = schedule.last_job.filter(|_| overlap != Overlap::Queue) else { return Some(Way::Free) };
        let found = self.parts.jobs.job(last).await;
        let is_going_on = self.note(found)?.is_some_and(|job| !job.state.is_final());
        if is_going_on && overlap == Overlap::Replace {
            let cancelled = self.parts.jobs.cancel(last, now).await;
            self.note(cancelled)?;
            return Some(Way::Cleared);
        }
        Some(if is_going_on { Way::Barred } else { Way::Free })
    }

    async fn prepare(&self, schedule: &Schedule, job: JobSpec, slot: Timestamp) -> Result<Box<NewJob>, String> {
        match self.parts.prepare.prepare(schedule.clone(), job, slot).await {
            Ok(job) => {
                let (owner, name) = (schedule.owner.clone(), Some(schedule.name.clone()));
                Ok(Box::new(NewJob { owner, schedule: name, ..job }))
            }
            Err(error) => {
                let name = &schedule.name;
                tracing::warn!(schedule.name = name, %error, "Schedule {name} is passed over");
                Err(error.why.chars().take(MAX_WHY).collect())
            }
        }
    }

    async fn use_up(
        &mut self,
        schedule: &Schedule,
        job: Result<Box<NewJob>, String>,
        next_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Done {
        let name = &schedule.name;
        let fire = Fire { owner: schedule.owner.clone(), name: name.clone(), version: schedule.version, job, next_at };
        match self.parts.schedules.fire(fire, self.parts.bounds, now).await {
            Ok(Fired::Done(Some(job))) => tracing::debug!(schedule.name = name, job.id = %job, "Schedule {name} fired"),
            Ok(Fired::Done(None) | Fired::Stale) => {}
            Err(SubmitError::Store(error)) => {
                self.note::<()>(Err(error));
                return Done::Failed;
            }
            // Its moment comes when there is room, and counts as missed if that takes long.
            Err(SubmitError::ShareUsed { .. }) => return Done::ShareUsed,
            Err(SubmitError::Full { .. }) => return Done::Full,
            Err(error) => {
                tracing::warn!(schedule.name = name, %error, "Schedule {name} is passed over");
                return Box::pin(self.use_up(schedule, Err(error.to_string()), next_at, now)).await;
            }
        }
        Done::Fine
    }

    /// The first failure of several in a row goes to the log.
    fn note<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        let had_failed = std::mem::replace(&mut self.has_failed, result.is_err());
        if let Err(error) = &result
            && !had_failed
        {
            let error = error as &dyn std::error::Error;
            tracing::error!(blame = "host", error, "The store of schedules fails; trying until it works");
        }
        result.ok()
    }
}

/// Wait until `next`, or until something is due at another time than before.
async fn wait(next: Instant, changed: &Notify, signals: &mut Receiver<Signal>) {
    let gap = Instant::now() + GAP;
    let told = async {
        loop {
            match signals.recv().await {
                Ok(Signal::Due) | Err(RecvError::Lagged(_)) => return,
                Ok(_) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    };
    tokio::select! {
        () = sleep_until(next) => {}
        () = changed.notified() => {}
        () = told => sleep_until(gap).await,
    }
}

impl fmt::Debug for TickerParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TickerParts").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
