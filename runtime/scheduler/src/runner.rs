//! Works on the jobs of a store.

mod claims;
mod decide;
#[cfg(test)]
pub(crate) mod double;
mod execute;
mod hand;
mod outage;
#[cfg(test)]
pub(crate) mod script;
mod shared;
#[cfg(test)]
mod simulation;
mod telling;
#[cfg(test)]
mod tests;
mod upkeep;
mod work;

use std::{
    fmt,
    future::Future,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fumehood_model::Timestamp;
use fumehood_store::{Jobs, Lease, NodeId};
use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use self::{
    decide::MAX_PREFETCH,
    hand::{Pull, Stage},
    shared::Shared,
};
pub use self::{
    execute::{Attempted, Execute, Mend},
    hand::InHand,
    telling::{NotKept, Telling},
};
use crate::{Admission, Outside, outside::later};

/// How long what is given back at the end may take to be recorded.
const GRACE: Duration = Duration::from_secs(5);

/// How a runner works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerConfig {
    /// Whether no other node works on the store, so that what others hold can be taken back at once.
    pub is_alone: bool,
    /// Most jobs of one key that are in hand at a time, on all nodes together.
    pub per_key: u64,
    /// How long a job is held unless its lease is renewed, which happens three times as often.
    pub lease: Duration,
    /// How often to look for jobs without being told of any.
    pub poll: Duration,
    /// How often to look for jobs that are due, or held by nobody.
    pub sweep: Duration,
    /// Most jobs that wait in hand beside those that run.
    pub max_prefetch: usize,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        Self {
            is_alone: true,
            per_key: u32::MAX.into(),
            // Three heartbeats may be missed. Shorter gives jobs away when a node is only slow, longer keeps a caller
            // waiting after a crash.
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            sweep: Duration::from_secs(5),
            max_prefetch: MAX_PREFETCH,
        }
    }
}

/// What a runner works with.
pub struct RunnerParts {
    /// A random number for this start of the server.
    pub node: NodeId,
    /// Where jobs are kept.
    pub jobs: Arc<dyn Jobs>,
    /// What runs them.
    pub execute: Arc<dyn Execute>,
    /// The places that they run in, shared with direct calls.
    pub admission: Admission,
    /// Clock and chance.
    pub outside: Outside,
}

/// Claims jobs, runs them in places of an [`Admission`], and records what came of them, until it is stopped.
///
/// Dropping it ends everything at once and records nothing, like a crash of the server: another node, or the next start
/// of this one, finds the jobs when their leases are over.
pub struct Runner {
    shared: Arc<Shared>,
    claiming: Mutex<Option<JoinHandle<()>>>,
    others: [JoinHandle<()>; 2],
}

impl Runner {
    /// Start to work.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(config: RunnerConfig, parts: RunnerParts) -> Self {
        let RunnerParts { node, jobs, execute, admission, outside } = parts;
        let signals = jobs.signals();
        let shared = Arc::new(Shared::new(config, node, jobs, execute, admission, outside));
        let others = [
            tokio::spawn(claims::listen(Arc::clone(&shared), signals)),
            tokio::spawn(upkeep::tend(Arc::clone(&shared))),
        ];
        let claiming = Mutex::new(Some(tokio::spawn(claims::claim(Arc::clone(&shared)))));
        Self { shared, claiming, others }
    }

    /// See a call to its end that became a job on the way: keep its lease, stop it when it is cancelled, record what
    /// came of it. The call holds its place itself.
    ///
    /// The job was submitted as held by this node, which `lease` is the right to; `is_repeatable` as it was submitted.
    ///
    /// What comes back is for what the call tells from now on.
    pub fn adopt(
        &self,
        lease: Lease,
        is_repeatable: bool,
        call: impl Future<Output = Attempted> + Send + 'static,
    ) -> Telling {
        let reins = self.shared.hand.take(lease, None, Stage::Running);
        let telling = Telling::new(lease, None);
        self.shared.spawn(work::see_to(Arc::clone(&self.shared), call, is_repeatable, telling.clone(), reins));
        // It may have been cancelled before it was known here.
        self.shared.renew_now();
        telling
    }

    /// How many jobs are in hand.
    #[must_use]
    pub fn in_hand(&self) -> InHand {
        self.shared.hand.in_hand()
    }

    /// Which node this is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// Until when a job is held that is submitted at `now` as held by this node.
    #[must_use]
    pub fn lease_from(&self, now: Timestamp) -> Timestamp {
        later(now, self.shared.config.lease)
    }

    /// Claim no more, give back at once what has not begun, and wait for what runs until `deadline`; then give back
    /// what may be repeated and record the rest as interrupted.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves a runner that claims nothing and goes on with what it has.
    pub async fn stop(&self, deadline: Instant) {
        self.shared.is_stopping.store(true, Ordering::Release);
        self.shared.look.notify_one();
        let hand = &self.shared.hand;
        hand.pull_all(Some(Stage::Waiting), Pull::GiveBack);
        let drained = async {
            // What a last claim brings is given back too, and must not be forgotten.
            let mut claiming = self.claiming.lock().await;
            if let Some(task) = claiming.as_mut() {
                _ = task.await;
                *claiming = None;
            }
            while !hand.is_empty() {
                hand.emptied.notified().await;
            }
        };
        let mut drained = std::pin::pin!(drained);
        if timeout_at(deadline, &mut drained).await.is_err() {
            hand.pull_all(None, Pull::GiveBack);
            let left = timeout_at(Instant::now() + GRACE, drained).await.is_err();
            if left {
                let InHand { waiting, running, finishing } = hand.in_hand();
                tracing::warn!(waiting, running, finishing, "Jobs were left as they are when the server stopped");
            }
        }
        self.end();
    }

    fn end(&self) {
        self.others.iter().for_each(JoinHandle::abort);
        self.shared.end();
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(claiming) = self.claiming.get_mut() {
            claiming.abort();
        }
        self.end();
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("node", &self.shared.node).field("in_hand", &self.in_hand()).finish()
    }
}
