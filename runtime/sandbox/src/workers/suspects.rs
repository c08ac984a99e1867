//! Components that may bring their process down.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use fumehood_model::Digest;

/// Most components that are kept apart at a time: each has a process of its own. The one that was called least of late
/// goes back to the others.
const MOST: usize = 8;

/// Calls after which one that was kept apart is as good as any other.
///
/// Whoever was merely beside a crash gets there soon. One that crashes more seldom costs its neighbours less than a
/// recycled process does.
const ACQUITTED: u64 = 1_000;

/// Components whose calls were in a process when it crashed. Each runs in a process of its own from then on, so that it
/// takes no neighbour along twice.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    all: Mutex<HashMap<Digest, Suspect>>,
    /// Whether there are any: asked for every call.
    any: AtomicBool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Suspect {
    /// Since the last crash.
    calls: u64,
    /// When it was last called or crashed, by the calls of all.
    seen: u64,
}

impl Suspects {
    /// Note that calls of these were in a process that crashed.
    pub(crate) fn accuse(&self, digests: &[Digest]) {
        let mut all = self.all();
        for digest in digests {
            let seen = now(&all);
            all.insert(*digest, Suspect { calls: 0, seen });
            if all.len() > MOST
                && let Some(least) = all.iter().min_by_key(|(_, suspect)| suspect.seen).map(|(digest, _)| *digest)
            {
                all.remove(&least);
            }
        }
        self.any.store(!all.is_empty(), Ordering::Relaxed);
    }

    /// Whether a call of `digest` is to run apart from others.
    pub(crate) fn is_apart(&self, digest: &Digest) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let mut all = self.all();
        let seen = now(&all);
        let Some(suspect) = all.get_mut(digest) else { return false };
        *suspect = Suspect { calls: suspect.calls + 1, seen };
        if suspect.calls <= ACQUITTED {
            return true;
        }
        all.remove(digest);
        self.any.store(!all.is_empty(), Ordering::Relaxed);
        false
    }

    /// Forget a component that is gone.
    pub(crate) fn forget(&self, digest: &Digest) {
        self.all().remove(digest);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Digest, Suspect>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now(all: &HashMap<Digest, Suspect>) -> u64 {
    all.values().map(|suspect| suspect.seen + 1).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_in_a_crash_is_kept_apart_for_a_while() {
        let suspects = Suspects::default();
        let (crasher, honest) = (Digest::of(b"crasher"), Digest::of(b"honest"));
        assert!(!suspects.is_apart(&crasher));

        suspects.accuse(&[crasher]);

        assert!(suspects.is_apart(&crasher));
        assert!(!suspects.is_apart(&honest));
        for _ in 1..ACQUITTED {
            assert!(suspects.is_apart(&crasher));
        }
        assert!(!suspects.is_apart(&crasher));
    }

    #[test]
    fn only_so_many_are_kept_apart() {
        let suspects = Suspects::default();
        let digest = |number: usize| Digest::of(&number.to_le_bytes());

        for number in 0..=MOST {
            suspects.accuse(&[digest(number)]);
        }

        assert!(!suspects.is_apart(&digest(0)));
        assert!((1..=MOST).all(|number| suspects.is_apart(&digest(number))));
    }
}
