//! Who is next: keys in the order of what they have used.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use fumehood_model::KeyId;
use tokio::sync::oneshot;

use super::{
    Config, Kind, Occupancy, Place, Refused, Waiter,
    share::{Share, Ticket, Usual},
};

/// How many keys are remembered when nothing of them runs or waits.
///
/// What a key has used counts for as long as it is remembered, or until others have used as much. A thousand keys are a
/// quarter of a megabyte.
const REMEMBERED: usize = 1_024;

/// Most that a key may have used more than the one that is served, in microseconds.
///
/// A minute: whoever held a place for an hour, perhaps while nobody else wanted it, must not wait for an hour when
/// others come. Longer makes shares of very long calls more even, and keeps their keys waiting longer.
const MAX_AHEAD_US: u64 = 60_000_000;

const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How many of a key's calls and jobs may run at a time, if it is held to a number of its own.
pub(super) type OwnShare = Box<dyn Fn(&KeyId) -> Option<usize> + Send + Sync>;

/// Everything that is decided under the lock. Knows no clock: times come in when they have passed.
pub(super) struct Order {
    own_share: OwnShare,
    running: [usize; 2],
    waiting: [usize; 2],
    slots: HashMap<KeyId, usize>,
    shares: Vec<Share>,
    /// Where the next key to be forgotten is looked for.
    hand: usize,
    /// Keys that wait for nothing but a place, for each kind: the first one is next.
    ready: [BTreeSet<Rank>; 2],
    /// What the key had used that was served last: where those who were idle join. Never goes back.
    level: u64,
    /// The most that any key has used.
    top: u64,
    usual: Usual,
    turns: u64,
}

/// Where a key stands: least use first, then first come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) used: u64,
    pub(super) turn: u64,
    pub(super) slot: usize,
}

/// What becomes of whoever enters.
pub(super) enum Entry {
    Admitted(Ticket),
    Waits(Turn, oneshot::Receiver<Place>),
}

/// Somebody who waits.
pub(super) struct Turn {
    slot: usize,
    kind: Kind,
    number: u64,
}

/// Somebody who waits no longer.
pub(super) struct Next {
    pub(super) ticket: Ticket,
    pub(super) place: Waiter,
    /// Whether another may run as well.
    pub(super) is_more: bool,
}

impl Order {
    pub(super) fn new(own_share: OwnShare) -> Self {
        Self {
            own_share,
            running: [0; 2],
            waiting: [0; 2],
            slots: HashMap::new(),
            shares: Vec::new(),
            hand: 0,
            ready: [BTreeSet::new(), BTreeSet::new()],
            level: 0,
            top: 0,
            usual: Usual::default(),
            turns: 0,
        }
    }

    pub(super) fn enter(&mut self, key: &KeyId, kind: Kind, config: &Config) -> Result<Entry, Refused> {
        let slot = self.slot(key);
        if self.has_place(kind, config) && self.shares[slot].may_run(kind, config) && self.first(config).is_none() {
            return Ok(Entry::Admitted(self.start(slot, kind, config)));
        }
        if kind == Kind::Call {
            self.check_room(slot, config)?;
        }
        let (waiter, place) = oneshot::channel();
        let number = self.turns;
        self.turns += 1;
        self.waiting[kind as usize] += 1;
        self.shares[slot].waiting[kind as usize].push_back((number, waiter));
        self.settle(slot, config);
        Ok(Entry::Waits(Turn { slot, kind, number }, place))
    }

    /// The place of a key that has used `held` microseconds is free.
    pub(super) fn leave(&mut self, ticket: &Ticket, held: u64, config: &Config) {
        let &Ticket { slot, kind, estimate } = ticket;
        self.running[kind as usize] -= 1;
        self.usual.learn(held);
        let share = &mut self.shares[slot];
        share.running[kind as usize] -= 1;
        share.usual[kind as usize].learn(held);
        let used = share.used.saturating_sub(estimate).saturating_add(held);
        share.used = used.min(self.level.saturating_add(MAX_AHEAD_US));
        self.top = self.top.max(share.used);
        self.settle(slot, config);
        self.forgive();
    }

    /// The next of those who wait, if there is a place for one.
    pub(super) fn next(&mut self, config: &Config) -> Option<Next> {
        let (slot, kind) = self.first(config)?;
        let (_, place) = self.shares[slot].waiting[kind as usize].pop_front()?;
        self.waiting[kind as usize] -= 1;
        let ticket = self.start(slot, kind, config);
        Some(Next { ticket, place, is_more: self.first(config).is_some() })
    }

    /// Whoever waited does so no more. Nothing happens if the place is on its way.
    pub(super) fn give_up(&mut self, turn: &Turn, config: &Config) {
        let &Turn { slot, kind, number } = turn;
        let queue = &mut self.shares[slot].waiting[kind as usize];
        let Ok(position) = queue.binary_search_by_key(&number, |(turn, _)| *turn) else { return };
        queue.remove(position);
        self.waiting[kind as usize] -= 1;
        self.settle(slot, config);
        self.forgive();
    }

    pub(super) fn occupancy(&self) -> Occupancy {
        let ([running_calls, running_jobs], [waiting_calls, waiting_jobs]) = (self.running, self.waiting);
        Occupancy { running_calls, running_jobs, waiting_calls, waiting_jobs }
    }

    /// Keys that are known.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.shares.len()
    }

    /// Whether nothing is left of those who were here.
    #[cfg(test)]
    pub(super) fn is_at_rest(&self) -> bool {
        self.ready.iter().all(BTreeSet::is_empty) && self.shares.iter().all(Share::is_idle)
    }

    fn has_place(&self, kind: Kind, config: &Config) -> bool {
        self.running[0] + self.running[1] < config.calls
            && (kind == Kind::Call || self.running[Kind::Job as usize] < config.jobs)
    }

    /// Who is next, if there is a place for anybody.
    fn first(&self, config: &Config) -> Option<(usize, Kind)> {
        let ready = Kind::ALL.into_iter().filter(|kind| self.has_place(*kind, config));
        let first = ready.filter_map(|kind| Some((*self.ready[kind as usize].first()?, kind)));
        first.min_by_key(|(rank, _)| *rank).map(|(rank, kind)| (rank.slot, kind))
    }

    fn start(&mut self, slot: usize, kind: Kind, config: &Config) -> Ticket {
        let share = &mut self.shares[slot];
        let estimate = share.usual[kind as usize].or(self.usual);
        self.level = self.level.max(share.used);
        share.used = share.used.saturating_add(estimate);
        share.running[kind as usize] += 1;
        self.running[kind as usize] += 1;
        self.top = self.top.max(share.used);
        self.settle(slot, config);
        Ticket { slot, kind, estimate }
    }

    fn check_room(&self, slot: usize, config: &Config) -> Result<(), Refused> {
        let share = &self.shares[slot];
        let (own, all) = (share.waiting[Kind::Call as usize].len(), self.waiting[Kind::Call as usize]);
        if own >= config.waiting_per_key {
            let retry_after = drain(own, share.usual[Kind::Call as usize].or(self.usual), config.per_key);
            return Err(Refused::ShareUsed { waiting: own, retry_after });
        }
        if all >= config.waiting {
            let retry_after = drain(all, self.usual.or(self.usual), config.calls);
            return Err(Refused::QueueFull { calls: config.calls, waiting: all, retry_after });
        }
        Ok(())
    }

    /// Put a key where it belongs among those that wait, after anything about it has changed.
    fn settle(&mut self, slot: usize, config: &Config) {
        for kind in Kind::ALL {
            let share = &mut self.shares[slot];
            let rank = share.rank(slot, kind, config);
            let before = std::mem::replace(&mut share.ranked[kind as usize], rank);
            if before != rank {
                let ready = &mut self.ready[kind as usize];
                if let Some(before) = before {
                    ready.remove(&before);
                }
                ready.extend(rank);
            }
        }
    }

    /// When nothing runs or waits, nobody is in anybody's way, and all start anew.
    fn forgive(&mut self) {
        if self.running == [0; 2] && self.waiting == [0; 2] {
            self.level = self.top;
        }
    }

    /// Where a key is kept, which joins the others if it was idle.
    fn slot(&mut self, key: &KeyId) -> usize {
        let slot = self.slots.get(key).copied().unwrap_or_else(|| self.meet(key));
        let share = &mut self.shares[slot];
        if share.is_idle() {
            share.used = share.used.max(self.level);
        }
        slot
    }

    /// Remember a key, in place of an idle one if there are many.
    fn meet(&mut self, key: &KeyId) -> usize {
        let share = Share::new(key.clone(), (self.own_share)(key));
        let idle = if self.shares.len() < REMEMBERED { None } else { self.find_idle() };
        let slot = idle.unwrap_or(self.shares.len());
        if idle.is_some() {
            let forgotten = std::mem::replace(&mut self.shares[slot], share);
            self.slots.remove(&forgotten.key);
        } else {
            self.shares.push(share);
        }
        self.slots.insert(key.clone(), slot);
        slot
    }

    /// An idle key, looked for where the last search ended: mostly the first that is looked at, for most are idle.
    fn find_idle(&mut self) -> Option<usize> {
        let many = self.shares.len();
        let found = (self.hand..self.hand + many).map(|at| at % many).find(|at| self.shares[*at].is_idle())?;
        self.hand = (found + 1) % many;
        Some(found)
    }
}

/// How long it takes until `waiting` entries that take `usual_us` each have gone through `places`.
fn drain(waiting: usize, usual_us: u64, places: usize) -> Duration {
    let rounds = (waiting as u64 + 1).div_ceil(places.max(1) as u64);
    Duration::from_micros(usual_us.saturating_mul(rounds)).clamp(RETRY.0, RETRY.1)
}
