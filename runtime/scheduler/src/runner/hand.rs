//! The jobs that this node holds.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use fumehood_model::{JobId, KeyId};
use fumehood_store::Lease;
use tokio::sync::Notify;

/// Cancellations that are kept for jobs that may be on their way here; of more, a heartbeat tells.
const MAX_EARLY: usize = 256;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for a place.
    Waiting,
    /// It runs.
    Running,
    /// It has run, and what came of it is being recorded.
    Finishing,
}

/// What a job is told while it is in hand; of several, the last in this list counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Pull {
    /// The server ends.
    GiveBack = 1,
    /// Somebody does not want it any more.
    Cancel = 2,
    /// Another has it, or it has ended.
    Lost = 3,
}

/// By which a job is held.
#[derive(Debug)]
pub(super) struct Reins {
    pub(super) lease: Lease,
    /// Whose job it is; none for one that did not come by a claim.
    owner: Option<KeyId>,
    pull: AtomicU8,
    pulled: Notify,
}

impl Reins {
    /// Tell the job something.
    pub(super) fn pull(&self, pull: Pull) {
        self.pull.fetch_max(pull as u8, Ordering::AcqRel);
        self.pulled.notify_one();
    }

    /// What the job was told.
    pub(super) fn current(&self) -> Option<Pull> {
        match self.pull.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Pull::GiveBack),
            2 => Some(Pull::Cancel),
            _ => Some(Pull::Lost),
        }
    }

    /// Wait until the job is told `least` or more. Only its own task waits.
    pub(super) async fn told(&self, least: Pull) -> Pull {
        loop {
            if let Some(pull) = self.current().filter(|pull| *pull >= least) {
                return pull;
            }
            self.pulled.notified().await;
        }
    }
}

/// How many jobs a node holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InHand {
    /// Claimed jobs that wait for a place.
    pub waiting: usize,
    /// Jobs that run.
    pub running: usize,
    /// Jobs that have run, and whose outcome is being recorded.
    pub finishing: usize,
}

/// Everything in hand.
#[derive(Debug, Default)]
pub(super) struct Hand {
    table: Mutex<Table>,
    /// Tells that the hand has become empty.
    pub(super) emptied: Notify,
}

#[derive(Debug, Default)]
struct Table {
    held: HashMap<JobId, (Arc<Reins>, Stage)>,
    /// Claimed jobs of each key.
    owners: HashMap<KeyId, Owned>,
    /// Jobs that are being recorded, of all keys and of none.
    finishing: usize,
    /// Jobs that were cancelled and are not in hand: a claim may be bringing them.
    early: HashSet<JobId>,
}

/// Claimed jobs of one key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Owned {
    /// They wait or run.
    active: usize,
    finishing: usize,
}

/// How full the hand is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Claimed jobs that run, or could if there were places: of each key as many as may run at a time.
    pub(super) runnable: usize,
    /// Claimed jobs beyond these.
    pub(super) beyond: usize,
    /// Jobs that are being recorded.
    pub(super) finishing: usize,
}

impl Hand {
    /// Take a job. What this node still does with an earlier lease of it is in vain.
    pub(super) fn take(&self, lease: Lease, owner: Option<KeyId>, stage: Stage) -> Arc<Reins> {
        let reins = Arc::new(Reins { lease, owner, pull: AtomicU8::new(0), pulled: Notify::new() });
        let mut table = self.lock();
        if let Some((earlier, stage)) = table.held.insert(lease.id, (Arc::clone(&reins), stage)) {
            table.uncount(&earlier, stage);
            earlier.pull(Pull::Lost);
        }
        if let Some(owner) = &reins.owner {
            table.owners.entry(owner.clone()).or_default().active += 1;
        }
        if table.early.remove(&lease.id) {
            reins.pull(Pull::Cancel);
        }
        reins
    }

    /// A job is further than it was.
    pub(super) fn advance(&self, reins: &Reins, stage: Stage) {
        let mut table = self.lock();
        let Some((held, current)) = table.held.get_mut(&reins.lease.id) else { return };
        if held.lease != reins.lease {
            return;
        }
        let before = std::mem::replace(current, stage);
        if stage == Stage::Finishing && before != Stage::Finishing {
            table.finishing += 1;
            if let Some(owned) = reins.owner.as_ref().and_then(|owner| table.owners.get_mut(owner)) {
                owned.active -= 1;
                owned.finishing += 1;
            }
        }
    }

    /// A job is done with.
    pub(super) fn release(&self, reins: &Reins) {
        let mut table = self.lock();
        if table.held.get(&reins.lease.id).is_some_and(|(held, _)| held.lease == reins.lease)
            && let Some((held, stage)) = table.held.remove(&reins.lease.id)
        {
            table.uncount(&held, stage);
        }
        if table.held.is_empty() {
            self.emptied.notify_one();
        }
    }

    /// Whether any key has so many claimed jobs in hand, those that are being recorded among them.
    pub(super) fn has_key_with(&self, many: u64) -> bool {
        self.lock().owners.values().any(|owned| (owned.active + owned.finishing) as u64 >= many)
    }

    /// Tell a job something, if it is here.
    pub(super) fn pull(&self, id: JobId, pull: Pull) {
        let mut table = self.lock();
        if let Some((reins, _)) = table.held.get(&id) {
            reins.pull(pull);
        } else if pull == Pull::Cancel && table.early.len() < MAX_EARLY {
            table.early.insert(id);
        }
    }

    /// Tell a job something that is true of this lease of it.
    pub(super) fn pull_held(&self, lease: Lease, pull: Pull) {
        let table = self.lock();
        if let Some((reins, _)) = table.held.get(&lease.id).filter(|(reins, _)| reins.lease == lease) {
            reins.pull(pull);
        }
    }

    /// Tell every job of a stage, or of any.
    pub(super) fn pull_all(&self, of: Option<Stage>, pull: Pull) {
        let table = self.lock();
        for (reins, stage) in table.held.values() {
            if of.is_none_or(|of| of == *stage) {
                reins.pull(pull);
            }
        }
    }

    /// A claim begins: no job that was cancelled before can come by it.
    pub(super) fn expect(&self) {
        self.lock().early.clear();
    }

    /// All that is held.
    pub(super) fn leases(&self) -> Vec<Lease> {
        self.lock().held.values().map(|(reins, _)| reins.lease).collect()
    }

    /// How full it is when `per_key` jobs of a key may run at a time.
    pub(super) fn load(&self, per_key: usize) -> Load {
        let table = self.lock();
        let (mut runnable, mut active) = (0, 0);
        for owned in table.owners.values() {
            runnable += owned.active.min(per_key);
            active += owned.active;
        }
        Load { runnable, beyond: active - runnable, finishing: table.finishing }
    }

    pub(super) fn in_hand(&self) -> InHand {
        let table = self.lock();
        let count = |stage| table.held.values().filter(|(_, at)| *at == stage).count();
        InHand { waiting: count(Stage::Waiting), running: count(Stage::Running), finishing: count(Stage::Finishing) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().held.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn uncount(&mut self, reins: &Reins, stage: Stage) {
        if stage == Stage::Finishing {
            self.finishing -= 1;
        }
        let Some(owner) = &reins.owner else { return };
        if let Some(owned) = self.owners.get_mut(owner) {
            let count = if stage == Stage::Finishing { &mut owned.finishing } else { &mut owned.active };
            *count -= 1;
            if *owned == Owned::default() {
                self.owners.remove(owner);
            }
        }
    }
}
