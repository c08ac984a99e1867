use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// What one side puts in and another takes out in batches, bounded in number and in bytes.
///
/// Threads and tasks may wait at it alike; neither needs a runtime.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    most: Load,
    arrived: Condvar,
    freed: Condvar,
    freed_for_tasks: Notify,
}

/// How much of something there is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    /// Items.
    pub(crate) count: usize,
    /// Bytes that they hold.
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<(T, usize)>,
    bytes: usize,
    is_closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(most: Load) -> Self {
        Self {
            state: Mutex::new(State { waiting: VecDeque::new(), bytes: 0, is_closed: false }),
            most,
            arrived: Condvar::new(),
            freed: Condvar::new(),
            freed_for_tasks: Notify::new(),
        }
    }

    /// Put in something that holds this many bytes. Blocks while there is no room.
    pub(crate) fn push(&self, mut item: T, bytes: usize) {
        let mut state = self.state();
        loop {
            match self.try_push(&mut state, item, bytes) {
                Ok(()) => return,
                Err(back) => item = back,
            }
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Put in something that holds this many bytes, as soon as there is room.
    ///
    /// # Cancellation
    ///
    /// Dropped before it is done, nothing was put in.
    pub(crate) async fn push_soon(&self, mut item: T, bytes: usize) {
        loop {
            let mut freed = pin!(self.freed_for_tasks.notified());
            // Listening comes before looking: room that is made in between is not missed.
            freed.as_mut().enable();
            let pushed = self.try_push(&mut self.state(), item, bytes);
            match pushed {
                Ok(()) => return,
                Err(back) => item = back,
            }
            freed.await;
        }
    }

    /// Take out what waits, at most this much but something. Blocks while nothing waits; empty when nothing will come.
    pub(crate) fn take(&self, most: Load) -> Vec<T> {
        let mut state = self.state();
        while state.waiting.is_empty() {
            if state.is_closed {
                return Vec::new();
            }
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some((_, next)) = state.waiting.front()
            && taken.len() < most.count
            && (taken.is_empty() || bytes + next <= most.bytes)
        {
            bytes += next;
            taken.extend(state.waiting.pop_front().map(|(item, _)| item));
        }
        state.bytes -= bytes;
        drop(state);
        self.freed.notify_all();
        self.freed_for_tasks.notify_waiters();
        taken
    }

    /// Say that nothing more will come.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.arrived.notify_all();
    }

    fn try_push(&self, state: &mut State<T>, item: T, bytes: usize) -> Result<(), T> {
        let fits = state.waiting.len() < self.most.count && state.bytes.saturating_add(bytes) <= self.most.bytes;
        // Something that is larger than all the room gets it alone.
        if !fits && !state.waiting.is_empty() {
            return Err(item);
        }
        state.waiting.push_back((item, bytes));
        state.bytes += bytes;
        self.arrived.notify_one();
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        task::{Context, Poll, Waker},
        thread,
    };

    use super::*;

    const ALL: Load = Load { count: 100, bytes: 100 };

    #[test]
    fn a_batch_is_bounded_in_number_and_bytes_and_never_empty() {
        let queue = Queue::new(Load { count: 100, bytes: 1_000 });
        for (item, bytes) in [(1, 500), (2, 10), (3, 60), (4, 60), (5, 0)] {
            queue.push(item, bytes);
        }

        let taken = [queue.take(ALL), queue.take(Load { count: 1, ..ALL }), queue.take(ALL)];

        assert_eq!(taken, [vec![1], vec![2], vec![3]]);
        queue.close();
        assert_eq!((queue.take(ALL), queue.take(ALL)), (vec![4, 5], vec![]));
    }

    #[test]
    fn a_thread_and_a_task_wait_for_room() {
        let queue = Arc::new(Queue::new(Load { count: 1, bytes: 10 }));
        queue.push(1, 0);
        let mut task = pin!(queue.push_soon(2, 0));
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(task.as_mut().poll(&mut context), Poll::Pending);

        assert_eq!(queue.take(ALL), [1]);
        assert_eq!(task.as_mut().poll(&mut context), Poll::Ready(()));
        let waits = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.push(3, 0)
        });
        assert_eq!(queue.take(ALL), [2]);
        waits.join().unwrap();

        assert_eq!(queue.take(ALL), [3]);
    }
}
