use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// How many bytes of requests and answers one call makes us hold. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    bytes: Arc<AtomicUsize>,
    most: usize,
}

/// Some of the bytes of a [`Held`], until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    held: Held,
    bytes: usize,
}

impl Held {
    /// A count that goes no further than `most`.
    pub(crate) fn up_to(most: usize) -> Self {
        Self { bytes: Arc::default(), most }
    }

    /// A count of `bytes` that goes no further than `most`.
    pub(crate) fn counting(bytes: Arc<AtomicUsize>, most: usize) -> Self {
        Self { bytes, most }
    }

    /// Count `bytes`, if there is room for them.
    pub(crate) fn take(&self, bytes: usize) -> Option<Share> {
        let mut share = Share { held: self.clone(), bytes: 0 };
        share.grow(bytes).then_some(share)
    }
}

impl Share {
    /// Count `more` bytes, and tell whether there was room for them.
    #[must_use]
    pub(crate) fn grow(&mut self, more: usize) -> bool {
        let fits = |bytes: usize| bytes.checked_add(more).filter(|sum| *sum <= self.held.most);
        let grown = self.held.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if grown {
            self.bytes += more;
        }
        grown
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_counted_and_what_is_dropped_makes_room() {
        let held = Held::up_to(10);
        let mut share = held.take(6).unwrap();

        assert!(held.clone().take(5).is_none());
        assert!(!share.grow(usize::MAX));
        assert!(share.grow(4));
        drop(share);

        assert!(held.take(10).is_some());
    }
}
