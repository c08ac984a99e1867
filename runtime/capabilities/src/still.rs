//! A clock that stands still but for what its guest sleeps, for calls that must answer the same whenever they are made.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, task::yield_now, time::sleep};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, async_trait, p2::Pollable};

use crate::{
    clocks::{STEP, nanos},
    granted::Time,
};

/// How long a sleep leaves to requests that the call has made, before it moves the clock.
///
/// A request reaches its host, and an answer its guest, a moment after it was sent, on another thread. Twenty milliseconds is
/// far more than that takes, and a call that asks the outside sleeps seldom.
const GRACE: Duration = Duration::from_millis(20);

/// The time of one call.
pub(crate) struct Still {
    start: Duration,
    left: Duration,
    sleepers: Mutex<Sleepers>,
    /// Requests to the outside that wait for their answers.
    under_way: watch::Sender<usize>,
    has_asked: AtomicBool,
}

#[derive(Default)]
struct Sleepers {
    /// What the guest has slept so far, in nanoseconds.
    slept: u64,
    /// Who sleeps until when, by how many.
    until: BTreeMap<u64, usize>,
}

impl Still {
    pub(crate) fn new(time: &Time) -> Self {
        Self {
            start: time.now,
            left: time.left,
            sleepers: Mutex::default(),
            under_way: watch::Sender::new(0),
            has_asked: AtomicBool::new(false),
        }
    }

    /// What is left to the call, by this clock.
    pub(crate) fn left(&self) -> Duration {
        self.left.saturating_sub(Duration::from_nanos(self.sleepers().slept))
    }

    /// A sleep of so many nanoseconds from now.
    pub(crate) fn sleep(self: &Arc<Self>, duration: u64) -> Sleep {
        let until = self.sleepers().slept.saturating_add(duration);
        Sleep { clock: Arc::clone(self), until, was_looked_at: false }
    }

    /// The guest makes a request to the outside.
    pub(crate) fn asked(&self) {
        self.has_asked.store(true, Ordering::Relaxed);
    }

    /// Sleeps last until the answer to a request is there, which it is when this is dropped.
    pub(crate) fn under_way(self: &Arc<Self>) -> UnderWay {
        self.under_way.send_modify(|count| *count += 1);
        UnderWay(Arc::clone(self))
    }

    /// Wait until the answers to all requests are there.
    async fn settled(&self) {
        if self.has_asked.load(Ordering::Relaxed) {
            sleep(GRACE).await;
            let mut under_way = self.under_way.subscribe();
            // The sender is this clock, and is there for as long.
            if *under_way.borrow() > 0 && under_way.wait_for(|count| *count == 0).await.is_ok() {
                sleep(GRACE).await;
            }
        }
    }

    fn sleepers(&self) -> MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sleepers {
    /// Whether it is `until` now: the first of those that sleep moves the clock there.
    fn reach(&mut self, until: u64) -> bool {
        if self.until.first_key_value().is_none_or(|(first, _)| *first >= until) {
            self.slept = self.slept.max(until);
        }
        self.slept >= until
    }
}

/// A request that waits for its answer.
pub(crate) struct UnderWay(Arc<Still>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.send_modify(|count| *count -= 1);
    }
}

/// A sleep, which is over as soon as nothing else can happen before.
pub(crate) struct Sleep {
    clock: Arc<Still>,
    until: u64,
    was_looked_at: bool,
}

#[async_trait]
impl Pollable for Sleep {
    async fn ready(&mut self) {
        if self.clock.sleepers().slept >= self.until {
            // As with other clocks, whoever asks without waiting lets others run.
            if !std::mem::replace(&mut self.was_looked_at, true) {
                yield_now().await;
            }
            return;
        }
        if self.until == u64::MAX {
            // Five hundred years: who sleeps that long never wakes.
            pending::<()>().await;
        }
        let _waiting = Waiting::new(&self.clock, self.until);
        loop {
            // Whatever else the guest waits for is looked at before time moves.
            yield_now().await;
            self.clock.settled().await;
            if self.clock.sleepers().reach(self.until) {
                return;
            }
        }
    }
}

/// One who sleeps, for as long as that is waited for.
struct Waiting<'a> {
    clock: &'a Still,
    until: u64,
}

impl<'a> Waiting<'a> {
    fn new(clock: &'a Still, until: u64) -> Self {
        *clock.sleepers().until.entry(until).or_default() += 1;
        Self { clock, until }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut sleepers = self.clock.sleepers();
        if let Some(count) = sleepers.until.get_mut(&self.until) {
            *count -= 1;
            if *count == 0 {
                sleepers.until.remove(&self.until);
            }
        }
    }
}

/// Time since 1970.
pub(crate) struct Wall(pub(crate) Arc<Still>);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        STEP
    }

    fn now(&self) -> Duration {
        self.0.start.saturating_add(Duration::from_nanos(self.0.sleepers().slept))
    }
}

/// Time since the call began, and a step, as ordinary clocks have it.
pub(crate) struct Monotonic(pub(crate) Arc<Still>);

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        nanos(STEP)
    }

    fn now(&self) -> u64 {
        self.0.sleepers().slept.saturating_add(nanos(STEP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Arc<Still> {
        Arc::new(Still::new(&Time { now: Duration::from_secs(1_000), left: Duration::from_secs(30) }))
    }

    const SECOND: u64 = 1_000_000_000;

    #[tokio::test]
    async fn a_sleep_is_over_at_once_and_both_clocks_have_moved_by_it() {
        let clock = clock();

        let times = || (Wall(Arc::clone(&clock)).now(), Monotonic(Arc::clone(&clock)).now(), clock.left());
        let before = times();
        clock.sleep(3_600 * SECOND).ready().await;

        assert_eq!(before, (Duration::from_secs(1_000), 1_000_000, Duration::from_secs(30)));
        assert_eq!(times(), (Duration::from_secs(4_600), 3_600 * SECOND + 1_000_000, Duration::ZERO));
    }

    #[tokio::test]
    async fn of_several_that_sleep_the_first_wakes_first() {
        let clock = clock();
        let (mut long, mut short) = (clock.sleep(10 * SECOND), clock.sleep(SECOND));

        let is_long = tokio::select! { () = long.ready() => true, () = short.ready() => false };

        assert!(!is_long);
        assert_eq!(clock.sleepers().slept, SECOND);
        assert!(clock.sleepers().until.is_empty(), "who is not waited for any more does not hold up the others");
    }

    #[tokio::test]
    async fn a_sleep_lasts_until_the_answers_to_requests_are_there() {
        let clock = clock();
        clock.asked();
        let request = clock.under_way();
        let mut long = clock.sleep(SECOND);
        let answer = async {
            sleep(3 * GRACE).await;
            drop(request);
        };

        let is_answered = tokio::select! { () = answer => true, () = long.ready() => false };

        assert!(is_answered);
        assert_eq!(clock.sleepers().slept, 0);
        long.ready().await;
        assert_eq!(clock.sleepers().slept, SECOND);
    }
}
