use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fumehood_model::KeyId;
use tokio::sync::oneshot;

/// How many calls may run and wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Calls that run at a time.
    pub calls: usize,
    /// Calls that wait at a time.
    pub waiting: usize,
    /// Calls of one key that run at a time.
    pub per_key: usize,
    /// Calls of one key that wait at a time.
    pub waiting_per_key: usize,
}

impl Config {
    /// The defaults for a machine of `cores`: twice as many calls as cores, a hundred waiting, and no key may take
    /// more than three quarters of either.
    #[must_use]
    pub fn for_cores(cores: usize) -> Self {
        let calls = (2 * cores).max(2);
        Self { calls, waiting: 100, per_key: (calls * 3 / 4).max(1), waiting_per_key: 75 }
    }
}

/// No place, and no room to wait for one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The whole queue is full.
    #[error("all {calls} places are taken and {waiting} calls are waiting already")]
    QueueFull {
        /// Places there are.
        calls: usize,
        /// Calls that wait.
        waiting: usize,
    },
    /// This key has its share of the queue.
    #[error("{waiting} calls of this key are waiting already")]
    ShareUsed {
        /// Its calls that wait.
        waiting: usize,
    },
}

impl Refused {
    /// When trying again may help. Rough on purpose: callers that all came back at the same moment would meet again.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// The places. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Admission {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    // Held for some dozens of nanoseconds, never across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    waiting: usize,
    keys: HashMap<KeyId, Share>,
    /// Keys with waiting calls, in the order in which their turn comes.
    turns: VecDeque<KeyId>,
}

#[derive(Debug, Default)]
struct Share {
    running: usize,
    waiting: VecDeque<oneshot::Sender<Place>>,
}

/// The right to run one call. Dropping it lets the next one run.
#[derive(Debug)]
pub struct Place {
    inner: Arc<Inner>,
    key: Option<KeyId>,
}

impl Admission {
    /// Places for so many calls.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { inner: Arc::new(Inner { config, state: Mutex::default() }) }
    }

    /// Wait for a place for a call of `key`.
    ///
    /// # Errors
    ///
    /// When the queue, or the key's share of it, is full.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives up the turn.
    pub async fn enter(&self, key: &KeyId) -> Result<Place, Refused> {
        let turn = {
            let mut state = self.inner.lock();
            if state.running < self.inner.config.calls
                && state.turns.is_empty()
                && state.may_run(key, &self.inner.config)
            {
                state.start(key);
                return Ok(Place { inner: Arc::clone(&self.inner), key: Some(key.clone()) });
            }
            state.queue(key, &self.inner.config)?
        };
        // A key may be waiting only for its own share while places are free.
        self.inner.admit();
        Ok(turn.await.expect("a waiting call is never dropped before it is admitted"))
    }

    /// Calls that run, and calls that wait.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        let state = self.inner.lock();
        (state.running, state.waiting)
    }
}

impl State {
    fn may_run(&self, key: &KeyId, config: &Config) -> bool {
        self.keys.get(key).is_none_or(|share| share.running < config.per_key)
    }

    fn start(&mut self, key: &KeyId) {
        self.running += 1;
        if let Some(share) = self.keys.get_mut(key) {
            share.running += 1;
        } else {
            self.keys.insert(key.clone(), Share { running: 1, waiting: VecDeque::new() });
        }
    }

    fn queue(&mut self, key: &KeyId, config: &Config) -> Result<oneshot::Receiver<Place>, Refused> {
        let share = self.keys.entry(key.clone()).or_default();
        // Those who went away still stand in the queue until their turn comes; they must not count against others.
        if share.waiting.len() >= config.waiting_per_key || self.waiting >= config.waiting {
            let before = share.waiting.len();
            share.waiting.retain(|turn| !turn.is_closed());
            self.waiting -= before - share.waiting.len();
        }
        if share.waiting.len() >= config.waiting_per_key {
            return Err(Refused::ShareUsed { waiting: share.waiting.len() });
        }
        if self.waiting >= config.waiting {
            return Err(Refused::QueueFull { calls: config.calls, waiting: self.waiting });
        }
        let (turn, waiter) = oneshot::channel();
        if share.waiting.is_empty() && !self.turns.contains(key) {
            self.turns.push_back(key.clone());
        }
        share.waiting.push_back(turn);
        self.waiting += 1;
        Ok(waiter)
    }

    /// The next waiting call that may run now.
    fn next(&mut self, config: &Config) -> Option<(KeyId, oneshot::Sender<Place>)> {
        for _ in 0..self.turns.len() {
            let key = self.turns.pop_front()?;
            let Some(share) = self.keys.get_mut(&key) else { continue };
            if share.running >= config.per_key {
                self.turns.push_back(key);
                continue;
            }
            let turn = share.waiting.pop_front();
            if !share.waiting.is_empty() {
                self.turns.push_back(key.clone());
            }
            let Some(turn) = turn else { continue };
            self.waiting -= 1;
            return Some((key, turn));
        }
        None
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Let waiting calls run while there are places.
    fn admit(self: &Arc<Self>) {
        loop {
            let (key, turn) = {
                let mut state = self.lock();
                if state.running >= self.config.calls {
                    return;
                }
                let Some((key, turn)) = state.next(&self.config) else { return };
                state.start(&key);
                (key, turn)
            };
            let place = Place { inner: Arc::clone(self), key: Some(key) };
            if let Err(mut unwanted) = turn.send(place) {
                // Whoever waited has gone. Leave here rather than in `drop`, which would come back to this loop.
                if let Some(key) = unwanted.key.take() {
                    self.leave(&key);
                }
            }
        }
    }

    fn leave(&self, key: &KeyId) {
        let mut state = self.lock();
        state.running -= 1;
        let Some(share) = state.keys.get_mut(key) else { return };
        share.running -= 1;
        if share.running == 0 && share.waiting.is_empty() {
            state.keys.remove(key);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.inner.leave(&key);
            self.inner.admit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn key(name: &str) -> KeyId {
        KeyId(name.into())
    }

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn admission(calls: usize, per_key: usize) -> Admission {
        Admission::new(Config { calls, waiting: 4, per_key, waiting_per_key: 3 })
    }

    #[test]
    fn keys_take_turns_however_much_one_sends() {
        let places = admission(1, 1);
        let (flood, light) = (key("flood"), key("light"));
        let Poll::Ready(Ok(running)) = poll(pin!(places.enter(&flood))) else { panic!("the first must run") };
        let (mut one, mut two, mut three) =
            (pin!(places.enter(&flood)), pin!(places.enter(&flood)), pin!(places.enter(&light)));
        assert!(poll(one.as_mut()).is_pending());
        assert!(poll(two.as_mut()).is_pending());
        assert!(poll(three.as_mut()).is_pending());

        drop(running);
        let Poll::Ready(Ok(first)) = poll(one.as_mut()) else { panic!("the flooder's next is first in turn") };
        drop(first);

        assert!(poll(two.as_mut()).is_pending(), "the flooder has had its turn");
        assert!(poll(three.as_mut()).is_ready(), "the other key must be next");
    }

    #[test]
    fn one_key_cannot_hold_every_place() {
        let places = admission(2, 1);
        let (flood, light) = (key("flood"), key("light"));
        let _running = poll(pin!(places.enter(&flood)));
        let mut second = pin!(places.enter(&flood));

        assert!(poll(second.as_mut()).is_pending());
        let Poll::Ready(Ok(_place)) = poll(pin!(places.enter(&light))) else {
            let mut light = pin!(places.enter(&light));
            assert!(poll(light.as_mut()).is_ready(), "a place is free for another key");
            return;
        };
    }

    #[test]
    fn a_full_queue_refuses_and_leaves_room_for_others() {
        let places = admission(1, 1);
        let (flood, light) = (key("flood"), key("light"));
        let _running = poll(pin!(places.enter(&flood)));
        let (mut a, mut b, mut c) =
            (pin!(places.enter(&flood)), pin!(places.enter(&flood)), pin!(places.enter(&flood)));
        assert!(poll(a.as_mut()).is_pending() && poll(b.as_mut()).is_pending() && poll(c.as_mut()).is_pending());

        let refused = poll(pin!(places.enter(&flood)));
        assert!(matches!(refused, Poll::Ready(Err(Refused::ShareUsed { waiting: 3 }))));
        let mut other = pin!(places.enter(&light));
        assert!(poll(other.as_mut()).is_pending(), "another key may still wait");
        assert!(matches!(poll(pin!(places.enter(&light))), Poll::Ready(Err(Refused::QueueFull { .. }))));
    }

    #[test]
    fn whoever_goes_away_gives_up_place_and_turn() {
        let places = admission(1, 1);
        let (one, two) = (key("one"), key("two"));
        let Poll::Ready(Ok(running)) = poll(pin!(places.enter(&one))) else { panic!("the first must run") };
        {
            let mut gone = pin!(places.enter(&one));
            assert!(poll(gone.as_mut()).is_pending());
        }
        let mut waits = pin!(places.enter(&two));
        assert!(poll(waits.as_mut()).is_pending());

        drop(running);
        let Poll::Ready(Ok(place)) = poll(waits.as_mut()) else { panic!("the one who stayed must run") };
        drop(place);

        assert_eq!(places.load(), (0, 0));
        assert!(places.inner.lock().keys.is_empty(), "nothing is kept of keys that are done");
    }
}
