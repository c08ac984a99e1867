//! Places that all modules share, and of which none can have most.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fumehood_model::ModuleName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The part of all places that one module has at the most.
///
/// A quarter: of a slow name server or upstream, which its module holds all its places for, others notice nothing; and
/// it takes four modules to fill all.
const PART: usize = 4;

/// So many places, shared. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Shares {
    all: Arc<Semaphore>,
    each: usize,
    modules: Arc<Mutex<HashMap<ModuleName, Arc<Semaphore>>>>,
}

/// A place that is taken.
#[derive(Debug)]
pub(crate) struct Place {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _share: Share,
}

/// What a module has of the places; gone with the last that uses it.
#[derive(Debug)]
struct Share {
    shares: Shares,
    module: ModuleName,
    places: Arc<Semaphore>,
}

impl Shares {
    pub(crate) fn of(places: usize) -> Self {
        let all = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
        Self { each: (all.available_permits() / PART).max(1), all, modules: Arc::default() }
    }

    /// A place for `module`, as soon as it has less than its part and there is one.
    pub(crate) async fn take(&self, module: &ModuleName) -> Place {
        let share = Share::of(self, module);
        // Its own first: whoever waits for that takes no place from others.
        let own = Arc::clone(&share.places).acquire_owned().await.expect("it is never closed");
        let all = Arc::clone(&self.all).acquire_owned().await.expect("it is never closed");
        Place { _all: all, _own: own, _share: share }
    }

    fn modules(&self) -> MutexGuard<'_, HashMap<ModuleName, Arc<Semaphore>>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    fn of(shares: &Shares, module: &ModuleName) -> Self {
        let mut modules = shares.modules();
        let places = modules.entry(module.clone()).or_insert_with(|| Arc::new(Semaphore::new(shares.each)));
        Self { shares: shares.clone(), module: module.clone(), places: Arc::clone(places) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut modules = self.shares.modules();
        // This one and the entry itself.
        if Arc::strong_count(&self.places) == 2 {
            modules.remove(&self.module);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn one_module_cannot_take_the_places_of_another() {
        let shares = Shares::of(8);
        let (greedy, modest) = ("greedy".parse().unwrap(), "modest".parse().unwrap());
        let first = shares.take(&greedy).await;
        let _second = shares.take(&greedy).await;

        assert!(timeout(SOON, shares.take(&greedy)).await.is_err());
        assert!(timeout(SOON, shares.take(&modest)).await.is_ok());

        drop(first);
        assert!(timeout(SOON, shares.take(&greedy)).await.is_ok());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_module_that_has_no_place() {
        let shares = Shares::of(1);
        let module = "module".parse().unwrap();
        let place = shares.take(&module).await;
        assert!(timeout(SOON, shares.take(&module)).await.is_err());

        drop(place);

        assert!(shares.modules().is_empty());
    }
}
