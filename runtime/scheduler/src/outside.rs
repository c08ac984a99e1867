use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use fumehood_model::Timestamp;

/// What the scheduler does not have of itself: the time of day, and chance.
///
/// Only what is written down uses the time of day; waiting is by tokio's clock. Cloning is cheap.
#[derive(Clone)]
pub struct Outside {
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    chance: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Outside {
    /// A clock, and a source of numbers of which each is as likely as any other.
    #[must_use]
    pub fn new(
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
        chance: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self { clock: Arc::new(clock), chance: Arc::new(chance) }
    }

    /// Those of the machine. The numbers spread retries; they are not secret.
    #[must_use]
    pub fn machine() -> Self {
        Self::new(Timestamp::now, || RandomState::new().build_hasher().finish())
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(crate) fn chance(&self) -> u64 {
        (self.chance)()
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

/// The moment `by` after `at`.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    Timestamp { unix_ms: at.unix_ms.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)) }
}

/// How long it is from `from` to `to`; nothing if that is over.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_millis(to.unix_ms.saturating_sub(from.unix_ms))
}
