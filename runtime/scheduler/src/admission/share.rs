//! What is known of one key.

use std::{collections::VecDeque, time::Duration};

use fumehood_model::KeyId;

use super::{Config, Kind, Waiter, order::Rank};

/// What a first entry counts for while nothing is known of how long entries take.
const UNKNOWN_US: u64 = 1_000;

/// One key, with what it has used.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) key: KeyId,
    /// Most of its entries that run at a time, if it is held to fewer than other keys.
    own: usize,
    /// Microseconds of places that it has held, or its entries that run are thought to hold; comparable with those of
    /// other keys only.
    pub(super) used: u64,
    pub(super) running: [usize; 2],
    /// Each with the number of its turn, the first one first.
    pub(super) waiting: [VecDeque<(u64, Waiter)>; 2],
    /// Where it stands among those that wait.
    pub(super) ranked: [Option<Rank>; 2],
    pub(super) usual: [Usual; 2],
}

/// How long entries usually hold a place: each new one counts an eighth.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usual {
    micros: Option<u64>,
}

/// A place that is taken.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) slot: usize,
    pub(super) kind: Kind,
    /// What the key was charged for it in advance.
    pub(super) estimate: u64,
}

impl Share {
    pub(super) fn new(key: KeyId, own: Option<usize>) -> Self {
        Self {
            key,
            own: own.unwrap_or(usize::MAX),
            used: 0,
            running: [0; 2],
            waiting: [VecDeque::new(), VecDeque::new()],
            ranked: [None; 2],
            usual: [Usual::default(); 2],
        }
    }

    /// Whether nothing of it runs or waits.
    pub(super) fn is_idle(&self) -> bool {
        self.running == [0; 2] && self.waiting.iter().all(VecDeque::is_empty)
    }

    /// Whether its own bounds let another of `kind` run.
    pub(super) fn may_run(&self, kind: Kind, config: &Config) -> bool {
        self.running[0] + self.running[1] < config.per_key.min(self.own)
            && (kind == Kind::Call || self.running[Kind::Job as usize] < config.jobs_per_key())
    }

    /// Where it belongs among those that wait for a place for something of `kind`.
    pub(super) fn rank(&self, slot: usize, kind: Kind, config: &Config) -> Option<Rank> {
        let (turn, _) = self.waiting[kind as usize].front()?;
        self.may_run(kind, config).then_some(Rank { used: self.used, turn: *turn, slot })
    }
}

impl Usual {
    /// At least a microsecond, so that many starts in a row count.
    pub(super) fn or(self, other: Self) -> u64 {
        self.micros.or(other.micros).unwrap_or(UNKNOWN_US).max(1)
    }

    pub(super) fn learn(&mut self, micros: u64) {
        self.micros = Some(self.micros.map_or(micros, |usual| usual - usual / 8 + micros / 8));
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
