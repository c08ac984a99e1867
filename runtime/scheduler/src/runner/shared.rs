//! What the tasks of a runner share.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fumehood_store::{Jobs, NodeId};
use tokio::{sync::Notify, task::JoinSet, time::Instant};

use super::{
    Execute, RunnerConfig,
    decide::{Wanted, pace, prefetch, wanted},
    hand::Hand,
    outage::Outage,
};
use crate::{Admission, Outside};

pub(super) struct Shared {
    pub(super) config: RunnerConfig,
    pub(super) node: NodeId,
    pub(super) jobs: Arc<dyn Jobs>,
    pub(super) execute: Arc<dyn Execute>,
    pub(super) admission: Admission,
    pub(super) outside: Outside,
    pub(super) hand: Hand,
    pub(super) outage: Outage,
    /// Whether the store may have jobs for us.
    pub(super) is_hungry: AtomicBool,
    /// Whether the last claim may have passed over jobs of a key that had enough in hand.
    pub(super) is_bounded: AtomicBool,
    /// Wakes the task that claims.
    pub(super) look: Notify,
    /// Whether all leases are to be renewed at once.
    pub(super) is_renewal_due: AtomicBool,
    /// Whether the store is to be swept at once.
    pub(super) is_sweep_due: AtomicBool,
    /// Wakes the task that keeps leases and sweeps.
    pub(super) tend: Notify,
    pub(super) is_stopping: AtomicBool,
    rhythm: Mutex<Rhythm>,
    work: Mutex<Work>,
}

/// The tasks of all jobs in hand.
#[derive(Default)]
struct Work {
    tasks: JoinSet<()>,
    is_over: bool,
}

/// How often jobs end.
#[derive(Debug, Default)]
struct Rhythm {
    last: Option<Instant>,
    interval: Option<Duration>,
}

impl Shared {
    pub(super) fn new(
        config: RunnerConfig,
        node: NodeId,
        jobs: Arc<dyn Jobs>,
        execute: Arc<dyn Execute>,
        admission: Admission,
        outside: Outside,
    ) -> Self {
        Self {
            config,
            node,
            jobs,
            execute,
            admission,
            outside,
            hand: Hand::default(),
            outage: Outage::default(),
            is_hungry: AtomicBool::new(true),
            is_bounded: AtomicBool::new(false),
            look: Notify::new(),
            is_renewal_due: AtomicBool::new(false),
            is_sweep_due: AtomicBool::new(true),
            tend: Notify::new(),
            is_stopping: AtomicBool::new(false),
            rhythm: Mutex::default(),
            work: Mutex::default(),
        }
    }

    /// The store may have jobs for us.
    pub(super) fn look_again(&self) {
        self.is_hungry.store(true, Ordering::Release);
        self.look.notify_one();
    }

    /// There may be room for another job: look whether the store has one, unless it is known to have none.
    pub(super) fn look_if_bounded(&self) {
        if self.is_bounded.load(Ordering::Acquire) {
            self.is_hungry.store(true, Ordering::Release);
        }
        self.look.notify_one();
    }

    pub(super) fn renew_now(&self) {
        self.is_renewal_due.store(true, Ordering::Release);
        self.tend.notify_one();
    }

    pub(super) fn sweep_now(&self) {
        self.is_sweep_due.store(true, Ordering::Release);
        self.tend.notify_one();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// A job has run.
    pub(super) fn learn(&self) {
        let (now, mut rhythm) = (Instant::now(), self.rhythm());
        if let Some(before) = rhythm.last.replace(now) {
            rhythm.interval = Some(pace(rhythm.interval, now.saturating_duration_since(before)));
        }
    }

    /// How many jobs wait in hand beside those that run.
    pub(super) fn prefetch(&self) -> usize {
        prefetch(self.rhythm().interval).min(self.config.max_prefetch)
    }

    /// How many more jobs there is room for.
    pub(super) fn wanted(&self) -> Wanted {
        let places = self.admission.config();
        wanted(places.jobs, places.jobs_per_key(), self.prefetch(), self.hand.load(places.jobs_per_key()), &self.config)
    }

    /// Let a task run until it or the runner ends.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut work = self.work();
        if !work.is_over {
            work.tasks.spawn(task);
        }
        // Those that have ended are forgotten here; what they panicked of stands in the log.
        while work.tasks.try_join_next().is_some() {}
    }

    /// End every task, wherever it is.
    pub(super) fn end(&self) {
        let mut work = self.work();
        work.is_over = true;
        work.tasks.abort_all();
    }

    fn rhythm(&self) -> MutexGuard<'_, Rhythm> {
        self.rhythm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
