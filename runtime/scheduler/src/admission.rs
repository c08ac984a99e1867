//! The places that calls and jobs run in, and who gets the next one.

mod order;
mod share;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fumehood_model::KeyId;
use tokio::{sync::oneshot, time::Instant};

use self::{
    order::{Entry, Order},
    share::{Ticket, micros},
};

/// How many calls may run and wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Calls and jobs that run at a time.
    pub calls: usize,
    /// Of these, jobs at the most: so long ones leave room for direct calls.
    pub jobs: usize,
    /// Calls that wait at a time; how many jobs do is up to whoever claims them.
    pub waiting: usize,
    /// Calls and jobs of one key that run at a time.
    pub per_key: usize,
    /// Calls of one key that wait at a time.
    pub waiting_per_key: usize,
}

impl Config {
    /// The defaults for a machine of `cores`: twice as many calls as cores, a hundred waiting, and neither a key nor
    /// the jobs may take more than three quarters.
    #[must_use]
    pub fn for_cores(cores: usize) -> Self {
        let calls = (2 * cores).max(2);
        Self { calls, jobs: Self::jobs_of(calls), waiting: 100, per_key: (calls * 3 / 4).max(1), waiting_per_key: 75 }
    }

    /// How many of `calls` places jobs may have unless somebody says otherwise: three quarters, and at least one.
    #[must_use]
    pub fn jobs_of(calls: usize) -> usize {
        (calls * 3 / 4).max(1)
    }

    /// Jobs of one key that run at a time: of its places as large a part as jobs may have of all, so that a key's own
    /// jobs leave room for its own calls.
    #[must_use]
    pub fn jobs_per_key(&self) -> usize {
        (self.per_key * self.jobs / self.calls.max(1)).max(1)
    }
}

/// What asks for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A call that somebody waits for. So many may wait, and no more.
    Call,
    /// A job that was claimed. It waits as long as it must: whoever claims bounds how many do.
    Job,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Call, Self::Job];
}

/// No place, and no room to wait for one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The whole queue is full.
    // The first words are what callers of an older system look for.
    #[error("Queue is full: all {calls} places are taken and {waiting} calls are waiting")]
    QueueFull {
        /// Places there are.
        calls: usize,
        /// Calls that wait.
        waiting: usize,
        /// See [`Refused::retry_after`].
        retry_after: Duration,
    },
    /// This key has its share of the queue.
    #[error("Queue is full: {waiting} calls of this key are waiting")]
    ShareUsed {
        /// Its calls that wait.
        waiting: usize,
        /// See [`Refused::retry_after`].
        retry_after: Duration,
    },
}

impl Refused {
    /// When trying again may help: about when those who wait now will have run, between 1 and 30 seconds.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::QueueFull { retry_after, .. } | Self::ShareUsed { retry_after, .. } => *retry_after,
        }
    }
}

/// What runs and what waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Direct calls that run.
    pub running_calls: usize,
    /// Jobs that run.
    pub running_jobs: usize,
    /// Direct calls that wait.
    pub waiting_calls: usize,
    /// Jobs that were claimed and wait.
    pub waiting_jobs: usize,
}

/// The places. Cloning is cheap.
///
/// Keys are served by what they have used: of those who wait, the one that held places for the least time goes next.
/// An entry counts as long as its key's entries usually are until it ends, and as long as it was from then on; so a key
/// with slow calls does not keep one with quick calls waiting for longer than one slow call takes. Idleness earns
/// nothing: a key that comes back stands where those stand that were served meanwhile.
#[derive(Debug, Clone)]
pub struct Admission {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    // Held for some dozens of nanoseconds, never across an await.
    order: Mutex<Order>,
}

/// The right to run one call or job. Dropping it lets the next one run.
#[derive(Debug)]
pub struct Place {
    inner: Arc<Inner>,
    ticket: Option<Ticket>,
    since: Instant,
}

/// Gives up the turn of a call that is not waited for any more.
struct Turn<'a> {
    inner: &'a Inner,
    turn: Option<order::Turn>,
}

impl Admission {
    /// Places for so many calls.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with_shares(config, |_| None)
    }

    /// The same, where `share` tells of a key how many of its calls and jobs may run at a time, if that is fewer than
    /// [`Config::per_key`]. It is asked when a key is met, which is not for every entry, and must answer at once.
    #[must_use]
    pub fn with_shares(config: Config, share: impl Fn(&KeyId) -> Option<usize> + Send + Sync + 'static) -> Self {
        Self { inner: Arc::new(Inner { config, order: Mutex::new(Order::new(Box::new(share))) }) }
    }

    /// Wait for a place for something of `key`.
    ///
    /// # Errors
    ///
    /// When the queue, or the key's share of it, is full. Never for a job.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives up the turn at once.
    pub async fn enter(&self, key: &KeyId, kind: Kind) -> Result<Place, Refused> {
        let entry = self.inner.lock().enter(key, kind, &self.inner.config)?;
        let (turn, place) = match entry {
            Entry::Admitted(ticket) => return Ok(Place::new(&self.inner, ticket, Instant::now())),
            Entry::Waits(turn, place) => (turn, place),
        };
        let mut turn = Turn { inner: &self.inner, turn: Some(turn) };
        let place = place.await.expect("whoever waits is never dropped before being admitted");
        turn.turn = None;
        Ok(place)
    }

    /// How many run, and how many wait.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        let Occupancy { running_calls, running_jobs, waiting_calls, waiting_jobs } = self.occupancy();
        (running_calls + running_jobs, waiting_calls + waiting_jobs)
    }

    /// What runs and what waits, by kind.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        self.inner.lock().occupancy()
    }

    /// What the places were made for.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Take a place back and give what is free to those who wait.
    fn pass_on(self: &Arc<Self>, ticket: Ticket, held: Duration, now: Instant) {
        let mut leaving = Some((ticket, micros(held)));
        loop {
            let next = {
                let mut order = self.lock();
                if let Some((ticket, held)) = leaving.take() {
                    order.leave(&ticket, held, &self.config);
                }
                order.next(&self.config)
            };
            let Some(next) = next else { return };
            // Outside of the lock: sending wakes a task, which may have to take locks of its runtime.
            if let Err(mut unwanted) = next.place.send(Place::new(self, next.ticket, now)) {
                // Whoever waited has gone this very moment. Leave here rather than in `drop`, which would come back to
                // this loop from inside of it.
                leaving = unwanted.ticket.take().map(|ticket| (ticket, 0));
            } else if !next.is_more {
                return;
            }
        }
    }
}

impl Place {
    fn new(inner: &Arc<Inner>, ticket: Ticket, since: Instant) -> Self {
        Self { inner: Arc::clone(inner), ticket: Some(ticket), since }
    }

    /// How long it has been held: what its key will have used.
    #[must_use]
    pub fn held_for(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let now = Instant::now();
            self.inner.pass_on(ticket, now.saturating_duration_since(self.since), now);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.inner.lock().give_up(&turn, &self.inner.config);
        }
    }
}

/// The sender through which a place reaches whoever waits for it.
type Waiter = oneshot::Sender<Place>;
