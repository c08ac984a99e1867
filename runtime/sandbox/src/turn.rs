//! Turns: how a call lets others run while it talks to its host, and how it ends when its time is over.
//!
//! Fuel makes a guest yield that computes. It does not tick in the host: a guest that does nothing but call its host would
//! neither yield nor notice its deadline. So the clock is read whenever the host returns to the guest.

use std::{
    future::{Future, poll_fn, ready},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use fumehood_capabilities::Guest;
use wasmtime::{CallHook, CallHookHandler, StoreContextMut};

use crate::limits::Held;

/// Longest that a guest goes on calling its host before it lets others run.
///
/// Ten slices of fuel: a guest that calls its host now and then yields by its fuel alone, and one that only calls its
/// host holds up a neighbour for this long and one call of the host.
const TURN: Duration = Duration::from_millis(1);

/// The time of a call was over when its host returned to it.
#[derive(Debug, thiserror::Error)]
#[error("the deadline of the call is over")]
pub(crate) struct Late;

/// When the current turn of a call began. Clones tell the same.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    started: Instant,
    /// Microseconds after `started`.
    began: Arc<AtomicU64>,
}

impl Turn {
    /// The first turn of a call.
    pub(crate) fn first(started: Instant) -> Self {
        Self { started, began: Arc::default() }
    }

    /// The output of `work`, or nothing if it is not there by `deadline`.
    ///
    /// The clock is read on every turn: a timer alone fires late when threads are busy with guests. The timer is made
    /// only when the work first has to wait, which most calls never do.
    pub(crate) async fn within<T>(&self, deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut timer: Option<Pin<Box<tokio::time::Sleep>>> = None;
        poll_fn(|cx| {
            self.begin(Instant::now());
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            if Instant::now() >= deadline {
                return Poll::Ready(None);
            }
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
            timer.as_mut().poll(cx).map(|()| None)
        })
        .await
    }

    fn begin(&self, now: Instant) {
        self.began.store(self.micros(now), Ordering::Relaxed);
    }

    fn is_over(&self, now: Instant) -> bool {
        let lasts = self.micros(now).saturating_sub(self.began.load(Ordering::Relaxed));
        Duration::from_micros(lasts) >= TURN
    }

    fn micros(&self, now: Instant) -> u64 {
        crate::call::micros(now.saturating_duration_since(self.started))
    }
}

/// What happens whenever a call passes between its guest and its host.
pub(crate) struct Passage {
    pub(crate) turn: Turn,
    pub(crate) deadline: Instant,
    /// Host memory that what the guest hands to its host may take at a time.
    pub(crate) passing: usize,
    /// The same of its answer.
    pub(crate) answering: usize,
}

impl Passage {
    /// Whether the guest goes on at once.
    fn pass(&self, store: &mut StoreContextMut<'_, Guest<Held>>, hook: CallHook) -> wasmtime::Result<bool> {
        let two_budgets = self.passing != self.answering;
        match hook {
            CallHook::ReturningFromWasm => store.data_mut().extra.answers = true,
            CallHook::CallingWasm => store.data_mut().extra.answers = false,
            CallHook::CallingHost | CallHook::ReturningFromHost => {}
        }
        match hook {
            CallHook::CallingHost => store.data_mut().extra.host_call()?,
            // While the guest runs, what it hands to its host counts; when it has returned, its answer.
            CallHook::CallingWasm | CallHook::ReturningFromHost if two_budgets => {
                store.set_hostcall_fuel(self.passing);
            }
            CallHook::ReturningFromWasm if two_budgets => store.set_hostcall_fuel(self.answering),
            CallHook::CallingWasm | CallHook::ReturningFromHost | CallHook::ReturningFromWasm => {}
        }
        if !matches!(hook, CallHook::ReturningFromHost) {
            return Ok(true);
        }
        let now = Instant::now();
        if now >= self.deadline {
            return Err(Late.into());
        }
        Ok(!self.turn.is_over(now))
    }
}

type Passing<'a> = Pin<Box<dyn Future<Output = wasmtime::Result<()>> + Send + 'a>>;

impl CallHookHandler<Guest<Held>> for Passage {
    // As `async_trait` writes it, but without a state machine: what is common allocates nothing.
    fn handle_call_event<'life0, 'life1, 'async_trait>(
        &'life0 self,
        mut store: StoreContextMut<'life1, Guest<Held>>,
        hook: CallHook,
    ) -> Passing<'async_trait>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        match self.pass(&mut store, hook) {
            Ok(true) => Box::pin(On),
            Ok(false) => Box::pin(Others { had_their_turn: false }),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

/// Goes on at once. Without size, so that a box of it is no allocation.
struct On;

impl Future for On {
    type Output = wasmtime::Result<()>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}

/// Goes on after others.
struct Others {
    had_their_turn: bool,
}

impl Future for Others {
    type Output = wasmtime::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::replace(&mut self.had_their_turn, true) {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_turn_is_over_after_a_while_and_begins_again() {
        let started = Instant::now();
        let turn = Turn::first(started);

        assert!(!turn.is_over(started + TURN / 2));
        assert!(turn.is_over(started + TURN));
        turn.begin(started + TURN);
        assert!(!turn.is_over(started + TURN + TURN / 2));
    }

    #[test]
    fn others_go_first_once() {
        let mut others = Box::pin(Others { had_their_turn: false });
        let mut cx = Context::from_waker(Waker::noop());

        assert!(others.as_mut().poll(&mut cx).is_pending());
        assert!(others.as_mut().poll(&mut cx).is_ready());
    }
}
