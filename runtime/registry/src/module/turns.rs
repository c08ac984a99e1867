use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most calls that wait for a turn of one module: as many as wait for a place on the whole server by default.
const MAX_WAITING: usize = 100;

/// How many calls of a module may run at a time, and who waits. Clones share it.
#[derive(Debug, Clone)]
pub struct Turns {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Turns {
    /// Turns for `count` calls at a time.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let free = Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS)));
        Self { inner: Arc::new(Inner { free, waiting: AtomicUsize::new(0) }) }
    }

    /// A turn, held until it is dropped; waiting is in order of arrival. None if too many wait already.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives up waiting.
    pub async fn take(&self) -> Option<OwnedSemaphorePermit> {
        let free = Arc::clone(&self.inner.free);
        if let Ok(turn) = Arc::clone(&free).try_acquire_owned() {
            return Some(turn);
        }
        let _waiting = Waiting::enter(&self.inner.waiting)?;
        free.acquire_owned().await.ok()
    }
}

/// One that waits, counted as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Option<Self> {
        let waiting = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn who_finds_no_turn_waits_and_too_many_are_turned_away() {
        let turns = Turns::new(1);
        let mut context = Context::from_waker(Waker::noop());
        let mut first = Box::pin(turns.take());
        let std::task::Poll::Ready(Some(held)) = first.as_mut().poll(&mut context) else { panic!("a turn was free") };

        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(turns.take())).collect();
        assert!(waiting.iter_mut().all(|take| take.as_mut().poll(&mut context).is_pending()));
        assert!(matches!(pin!(turns.take()).poll(&mut context), std::task::Poll::Ready(None)));

        drop(held);
        assert!(matches!(waiting[0].as_mut().poll(&mut context), std::task::Poll::Ready(Some(_))));
    }
}
