//! Holding on to what is in hand, and looking after what nobody holds.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fumehood_model::Timestamp;
use fumehood_store::{Held, Sweep, Swept};
use tokio::time::{Instant, sleep_until};

use super::{hand::Pull, shared::Shared};
use crate::outside::{between, later};

/// Most jobs of each kind that one sweep touches, so that no transaction is long.
const SWEPT: usize = 1_000;

/// Shortest time between two sweeps, however often the store says that something is due.
const GAP: Duration = Duration::from_millis(10);

/// How long to leave a store alone that has just failed.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

struct Upkeep {
    shared: Arc<Shared>,
    /// When the leases were renewed last.
    renewed: Instant,
    /// The same moment by both clocks.
    looked: (Instant, Timestamp),
    /// Whether the time of day has jumped since the leases were renewed.
    has_jumped: bool,
    renewal: Instant,
    sweep: Instant,
}

/// Renew leases and sweep for as long as the runner lives.
pub(super) async fn tend(shared: Arc<Shared>) {
    let now = Instant::now();
    let looked = (now, shared.outside.now());
    let renewal = now + shared.config.lease / 3;
    let mut upkeep = Upkeep { shared, renewed: now, looked, has_jumped: false, renewal, sweep: now };
    loop {
        upkeep.step().await;
    }
}

impl Upkeep {
    async fn step(&mut self) {
        let next = self.renewal.min(self.sweep);
        tokio::select! {
            () = sleep_until(next) => {}
            () = self.shared.tend.notified() => {}
        }
        let now = self.now();
        let is_asked = self.shared.is_renewal_due.swap(false, Ordering::AcqRel);
        if self.has_jumped || is_asked || Instant::now() >= self.renewal {
            self.renew(now).await;
        }
        if self.shared.is_sweep_due.swap(false, Ordering::AcqRel) {
            self.sweep = self.sweep.min(Instant::now() + GAP);
        }
        if Instant::now() >= self.sweep {
            self.sweep().await;
        }
    }

    /// The time of day. When it has moved otherwise than time passes, every lease of ours may seem to be over.
    fn now(&mut self) -> Timestamp {
        let now = self.shared.outside.now();
        let (instant, before) = std::mem::replace(&mut self.looked, (Instant::now(), now));
        let expected = later(before, instant.elapsed());
        let apart = between(expected, now).max(between(now, expected));
        self.has_jumped |= apart > self.shared.config.lease / 6;
        now
    }

    async fn renew(&mut self, now: Timestamp) -> bool {
        let lease = self.shared.config.lease;
        let leases = self.shared.hand.leases();
        if !leases.is_empty() {
            let renewed = self.shared.jobs.renew(leases.clone(), later(now, lease)).await;
            let Some(held) = self.shared.outage.note("renew the leases of jobs", renewed) else {
                self.renewal = Instant::now() + AFTER_FAILURE;
                return false;
            };
            for (lease, held) in leases.into_iter().zip(held) {
                match held {
                    Held::Renewed => {}
                    Held::Cancelled => self.shared.hand.pull_held(lease, Pull::Cancel),
                    Held::Lost => self.shared.hand.pull_held(lease, Pull::Lost),
                }
            }
        }
        self.has_jumped = false;
        self.renewed = Instant::now();
        self.renewal = self.renewed + lease / 3;
        true
    }

    async fn sweep(&mut self) {
        // A sweep at this moment must not take our own jobs from us because the store was out of reach for a while, or
        // because the clock was set.
        let now = self.now();
        let is_stale = self.has_jumped || self.renewed.elapsed() > self.shared.config.lease / 2;
        if is_stale && !self.renew(now).await {
            self.sweep = self.renewal;
            return;
        }
        let sweep = Sweep { node: self.shared.node, is_alone: self.shared.config.is_alone, most: SWEPT };
        let swept = self.shared.jobs.sweep(sweep, now).await;
        let Some(swept) = self.shared.outage.note("sweep", swept) else {
            self.sweep = Instant::now() + AFTER_FAILURE;
            return;
        };
        self.sweep = Instant::now() + self.until_next(&swept, now);
        tell(&swept);
        if swept.due + swept.recovered > 0 {
            self.shared.look_again();
        }
    }

    fn until_next(&self, swept: &Swept, now: Timestamp) -> Duration {
        let due = swept.next_due.map(|due| between(now, due));
        let wait = if swept.more { Duration::ZERO } else { due.unwrap_or(self.shared.config.sweep) };
        wait.clamp(GAP, self.shared.config.sweep.max(GAP))
    }
}

fn tell(swept: &Swept) {
    let &Swept { recovered, interrupted, expired, .. } = swept;
    if recovered + interrupted > 0 {
        tracing::warn!(
            recovered,
            interrupted,
            "Jobs whose server had ended: {recovered} run again, {interrupted} do not"
        );
    }
    if expired > 0 {
        tracing::info!(expired, "{expired} jobs had to begin by a time that is over");
    }
}
