use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fumehood_model::Digest;

/// Components that are being installed: nobody may let go of them. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pins(Arc<Mutex<HashMap<Digest, usize>>>);

/// One component that nobody may let go of until this is dropped.
#[derive(Debug)]
pub(crate) struct Pin {
    pub(crate) digest: Digest,
    pins: Pins,
}

impl Pins {
    pub(crate) fn pin(&self, digest: Digest) -> Pin {
        *self.lock().entry(digest).or_default() += 1;
        Pin { digest, pins: self.clone() }
    }

    pub(crate) fn holds(&self, digest: &Digest) -> bool {
        self.lock().contains_key(digest)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = self.pins.lock();
        if let Some(count) = pins.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.digest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_held_until_its_last_pin_is_gone() {
        let (pins, digest) = (Pins::default(), Digest::of(b"x"));
        let (one, two) = (pins.pin(digest), pins.pin(digest));

        drop(one);
        assert!(pins.holds(&digest));
        drop(two);
        assert!(!pins.holds(&digest));
    }
}
