//! How jobs come into hand.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fumehood_store::{Claim, Claimed, Signal};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep, sleep_until},
};

use super::{
    decide::Wanted,
    hand::{Pull, Stage},
    shared::Shared,
    work::work,
};
use crate::outside::later;

/// How long to leave a store alone that has just failed.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Claim jobs while there is room and while there are any, one claim at a time: the room that comes free meanwhile is
/// what the next one asks for, so a slow disk makes claims larger and not more.
pub(super) async fn claim(shared: Arc<Shared>) {
    let mut poll = Instant::now() + shared.config.poll;
    while !shared.is_stopping() {
        let wanted = shared.wanted();
        if wanted.most == 0 || !shared.is_hungry.swap(false, Ordering::AcqRel) {
            tokio::select! {
                () = shared.look.notified() => {}
                // Signals may be lost.
                () = sleep_until(poll) => {
                    shared.is_hungry.store(true, Ordering::Release);
                    poll = Instant::now() + shared.config.poll;
                }
            }
            continue;
        }
        poll = Instant::now() + shared.config.poll;
        if let Some(claimed) = ask(&shared, wanted).await {
            let is_full = claimed.len() >= wanted.most;
            // More may wait that is not given ahead of its place.
            let has_all_at_once = wanted.at_once < wanted.most && claimed.len() >= wanted.at_once;
            claimed.into_iter().for_each(|claimed| take(&shared, claimed));
            if is_full {
                shared.is_hungry.store(true, Ordering::Release);
            }
            let is_bounded = !is_full && (has_all_at_once || shared.hand.has_key_with(wanted.per_key));
            shared.is_bounded.store(is_bounded, Ordering::Release);
        } else {
            shared.is_hungry.store(true, Ordering::Release);
            sleep(AFTER_FAILURE).await;
        }
    }
}

async fn ask(shared: &Shared, Wanted { most, at_once, per_key }: Wanted) -> Option<Vec<Claimed>> {
    shared.hand.expect();
    let now = shared.outside.now();
    let claim = Claim { node: shared.node, most, at_once, per_key, until: later(now, shared.config.lease) };
    shared.outage.note("give out jobs", shared.jobs.claim(claim, now).await)
}

fn take(shared: &Arc<Shared>, claimed: Claimed) {
    let owner = Some(claimed.job.owner.clone());
    let reins = shared.hand.take(claimed.lease, owner, Stage::Waiting);
    if shared.is_stopping() {
        reins.pull(Pull::GiveBack);
    }
    shared.spawn(work(Arc::clone(shared), claimed, reins));
}

/// Pass on what the store tells. Whatever is missed here is found later: by a poll, a heartbeat, a sweep.
pub(super) async fn listen(shared: Arc<Shared>, mut signals: Receiver<Signal>) {
    loop {
        match signals.recv().await {
            Ok(Signal::Available) => shared.look_again(),
            Ok(Signal::Due) => shared.sweep_now(),
            Ok(Signal::Cancel(id)) => shared.hand.pull(id, Pull::Cancel),
            Ok(Signal::Job(_)) => {}
            Err(RecvError::Lagged(_)) => {
                shared.look_again();
                shared.renew_now();
                shared.sweep_now();
            }
            Err(RecvError::Closed) => return,
        }
    }
}
