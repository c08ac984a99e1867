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
use tokio::{sync::Notify, task::JoinSet};

use super::{Execute, RunnerConfig, decide::prefetch, hand::Hand, outage::Outage};
use crate::{Admission, Outside};

/// Most jobs whose outcome is being recorded before more are claimed.
const MAX_FINISHING: usize = 1_024;

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
    /// Wakes the task that claims.
    pub(super) look: Notify,
    /// Whether all leases are to be renewed at once.
    pub(super) is_renewal_due: AtomicBool,
    /// Whether the store is to be swept at once.
    pub(super) is_sweep_due: AtomicBool,
    /// Wakes the task that keeps leases and sweeps.
    pub(super) tend: Notify,
    pub(super) is_stopping: AtomicBool,
    /// How long jobs usually run.
    pace: Mutex<Option<Duration>>,
    work: Mutex<Work>,
}

/// The tasks of all jobs in hand.
#[derive(Default)]
struct Work {
    tasks: JoinSet<()>,
    is_over: bool,
}

/// How much to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) most: usize,
    pub(super) per_key: u64,
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
            look: Notify::new(),
            is_renewal_due: AtomicBool::new(false),
            is_sweep_due: AtomicBool::new(true),
            tend: Notify::new(),
            is_stopping: AtomicBool::new(false),
            pace: Mutex::new(None),
            work: Mutex::default(),
        }
    }

    /// The store may have jobs for us.
    pub(super) fn look_again(&self) {
        self.is_hungry.store(true, Ordering::Release);
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

    /// A job has run for so long.
    pub(super) fn learn(&self, ran: Duration) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        *pace = Some(pace.map_or(ran, |usual| usual - usual / 8 + ran / 8));
    }

    /// How many jobs wait in hand beside those that run.
    pub(super) fn prefetch(&self) -> usize {
        let usual = *self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        prefetch(self.admission.config().jobs, usual).min(self.config.max_prefetch)
    }

    /// How many more jobs there is room for.
    pub(super) fn wanted(&self) -> Wanted {
        let (places, prefetch) = (self.admission.config().jobs, self.prefetch());
        let (claimed, finishing) = self.hand.numbers();
        let room = (places + prefetch).saturating_sub(claimed);
        let most = if finishing >= MAX_FINISHING { 0 } else { room };
        Wanted { most, per_key: self.per_key(prefetch) }
    }

    /// How many jobs of one key are to be in hand.
    ///
    /// A node that is alone takes no more of a key than can run soon: else the jobs of one key would fill the hand and
    /// wait in it for that key's own bound, while places stand empty and jobs of others wait in the store. Among many
    /// nodes the bound counts for all of them together, so it cannot serve for this.
    fn per_key(&self, prefetch: usize) -> u64 {
        let soon = (self.admission.config().jobs_per_key() + (prefetch * 3).div_ceil(4)) as u64;
        if self.config.is_alone { self.config.per_key.min(soon) } else { self.config.per_key }
    }

    /// Whether a key with so many jobs in hand may have been passed over by a claim.
    pub(super) fn was_bounded(&self, in_hand: u64) -> bool {
        in_hand >= self.per_key(self.prefetch())
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

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
