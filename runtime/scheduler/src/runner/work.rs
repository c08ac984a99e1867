//! One job, from a place to a recorded outcome.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use fumehood_model::{Code, Failure, JobOutcome, Usage};
use fumehood_store::{Claimed, End, Finish};
use tokio::time::{Instant, sleep};

use super::{
    Attempted, Mend, Telling,
    decide::{Facts, cancelled, follow, stopped},
    hand::{Pull, Reins, Stage},
    shared::Shared,
    telling::Kept,
};
use crate::{Kind, Place, Refused};

/// Between two tries to record an outcome: doubles from the first to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// A job in hand; gone from it when dropped.
struct Held<'a> {
    shared: &'a Shared,
    reins: &'a Reins,
}

/// What came of an attempt, ready to be recorded; none if it does not count.
type Recorded = Option<(End, Option<Usage>, Duration)>;

/// Run a job that was claimed.
pub(super) async fn work(shared: Arc<Shared>, claimed: Claimed, reins: Arc<Reins>) {
    let held = Held { shared: &shared, reins: &reins };
    let recorded = run(&shared, claimed, &reins).await;
    held.record(recorded).await;
}

/// See a call to its end that became a job on the way.
pub(super) async fn see_to(
    shared: Arc<Shared>,
    call: impl Future<Output = Attempted> + Send,
    is_repeatable: bool,
    telling: Telling,
    reins: Arc<Reins>,
) {
    let held = Held { shared: &shared, reins: &reins };
    let (facts, began) = (Facts { is_repeatable, attempt: 1 }, Instant::now());
    let mut storing = pin!(telling.store(&shared));
    let ended = {
        let mut call = pin!(unpanicked(call));
        tokio::select! {
            biased;
            pull = reins.told(Pull::GiveBack) => Err(pull),
            _ = &mut storing => Err(Pull::Lost),
            attempted = &mut call => Ok(attempted),
        }
    };
    telling.close();
    // What was told last must stand before the end does.
    let kept = if ended == Err(Pull::Lost) { Kept::Lost } else { storing.await };
    let recorded = if kept == Kept::Lost { None } else { shared.conclude(ended, facts, began.elapsed()) };
    held.record(recorded).await;
}

async fn run(shared: &Shared, claimed: Claimed, reins: &Reins) -> Recorded {
    let job = &claimed.job;
    if job.is_cancelled {
        return shared.unrun(Pull::Cancel);
    }
    let facts = Facts { is_repeatable: job.is_repeatable, attempt: job.attempt };
    let place = tokio::select! {
        biased;
        pull = reins.told(Pull::GiveBack) => return shared.unrun(pull),
        place = shared.admission.enter(&job.owner, Kind::Job) => place,
    };
    // A job is never refused; if it were, it would wait in the store as before.
    let Ok::<Place, Refused>(place) = place else { return shared.unrun(Pull::GiveBack) };
    if let Some(pull) = reins.current() {
        return shared.unrun(pull);
    }
    shared.hand.advance(reins, Stage::Running);
    let place = Arc::new(place);
    let telling = Telling::new(reins.lease, Some(Arc::clone(&place)));
    let mut storing = pin!(telling.store(shared));
    let ended = {
        let mut attempt = pin!(unpanicked(shared.execute.execute(claimed, telling.clone())));
        tokio::select! {
            biased;
            pull = reins.told(Pull::GiveBack) => Err(pull),
            // It ends before the attempt only when the lease is lost.
            _ = &mut storing => Err(Pull::Lost),
            attempted = &mut attempt => Ok(attempted),
        }
    };
    let held_for = place.held_for();
    drop(place);
    telling.close();
    shared.learn();
    if ended == Err(Pull::Lost) {
        return None;
    }
    // Another job may be claimed while this one is being recorded.
    shared.hand.advance(reins, Stage::Finishing);
    shared.look_if_bounded();
    let kept = tokio::select! {
        biased;
        kept = &mut storing => kept,
        _ = reins.told(Pull::Lost) => Kept::Lost,
    };
    if kept == Kept::Lost {
        return None;
    }
    shared.conclude(ended, facts, held_for)
}

impl Shared {
    /// What becomes of a job that has not begun.
    fn unrun(&self, pull: Pull) -> Recorded {
        match pull {
            Pull::GiveBack => Some((End::Unrun { at: self.outside.now() }, None, Duration::ZERO)),
            Pull::Cancel => Some((cancelled(), None, Duration::ZERO)),
            Pull::Lost => None,
        }
    }

    /// What becomes of a job that has begun.
    fn conclude(&self, ended: Result<Attempted, Pull>, facts: Facts, held_for: Duration) -> Recorded {
        let now = self.outside.now();
        let (end, usage) = match ended {
            Ok(attempted) => {
                let usage = attempted.usage;
                (follow(attempted, facts, now, self.outside.chance()), usage)
            }
            Err(Pull::GiveBack) => (stopped(facts, now), None),
            Err(Pull::Cancel) => (cancelled(), None),
            Err(Pull::Lost) => return None,
        };
        Some((end, usage, held_for))
    }
}

impl Held<'_> {
    /// Record what came of it, for as long as that takes or until the lease is lost.
    async fn record(self, recorded: Recorded) {
        let Self { shared, reins } = &self;
        let Some((end, usage, held_for)) = recorded else { return };
        shared.hand.advance(reins, Stage::Finishing);
        shared.look_if_bounded();
        let finish = Finish { lease: reins.lease, end, usage, held_for };
        let mut wait = RETRY.0;
        loop {
            let finished = shared.jobs.finish(finish.clone(), shared.outside.now()).await;
            if shared.outage.note("record what came of a job", finished).is_some() {
                return;
            }
            tokio::select! {
                () = sleep(wait) => wait = (wait * 2).min(RETRY.1),
                _ = reins.told(Pull::Lost) => return,
            }
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.shared.hand.release(self.reins);
        self.shared.look_if_bounded();
    }
}

/// A panic of what runs a job is a crash of that job.
async fn unpanicked(attempt: impl Future<Output = Attempted>) -> Attempted {
    let mut attempt = pin!(attempt);
    poll_fn(|context| {
        // A future that has panicked is not looked at again.
        let polled = catch_unwind(AssertUnwindSafe(|| attempt.as_mut().poll(context)));
        polled.unwrap_or_else(|_| Poll::Ready(panicked()))
    })
    .await
}

fn panicked() -> Attempted {
    let message = "the server failed while the job ran".to_owned();
    let outcome = JobOutcome::Failed(Failure { code: Code::Internal, message });
    Attempted { outcome, usage: None, mend: Mend::Crashed, asks: None }
}
