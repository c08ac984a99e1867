//! `fumehood:host/call`: what a guest may know of its own call, and tell about it.
//!
//! Progress is held back on the side of the guest, where it costs least: the host hears of it at most every
//! `PERIOD`, and always of the last.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

pub use fumehood_model::Progress;
use tokio::task::JoinHandle;
use wasmtime::component::{HasSelf, Linker};

use crate::{
    Ask, Guest, Host,
    bindings::call::{self, add_to_linker},
    pace::PERIOD,
};

/// The imports that this module links.
pub(crate) const IMPORTS: [&str; 1] = ["fumehood:host/call@0.1.0"];

/// Longest message, in bytes: a line that a person reads while waiting.
pub(crate) const MAX_MESSAGE: usize = 1 << 10;

/// Passes progress on to the host, not too often.
pub(crate) struct Reporter {
    host: Arc<dyn Host>,
    state: Arc<Mutex<State>>,
    later: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    /// When the next report may go out.
    next: Option<Instant>,
    /// The report that waits for that.
    waiting: Option<Progress>,
}

impl State {
    /// The report that waits; from now on the next one has to.
    fn leaving(&mut self) -> Option<Progress> {
        let progress = self.waiting.take()?;
        self.next = Some(Instant::now() + PERIOD);
        Some(progress)
    }
}

impl Reporter {
    pub(crate) fn new(host: Arc<dyn Host>) -> Self {
        Self { host, state: Arc::default(), later: None }
    }

    async fn report(&mut self, progress: Progress) {
        let (waited, next) = {
            let mut state = lock(&self.state);
            (state.waiting.replace(progress).is_some(), state.next)
        };
        match next.filter(|next| Instant::now() < *next) {
            None => send(&self.host, &self.state).await,
            // What waits is sent by whoever is waiting already.
            Some(_) if waited => {}
            Some(next) => {
                let (host, state) = (Arc::clone(&self.host), Arc::clone(&self.state));
                self.later = Some(tokio::spawn(async move {
                    tokio::time::sleep_until(next.into()).await;
                    send(&host, &state).await;
                }));
            }
        }
    }

    pub(crate) async fn flush(&mut self) {
        send(&self.host, &self.state).await;
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(later) = self.later.take() {
            later.abort();
        }
    }
}

async fn send(host: &Arc<dyn Host>, state: &Mutex<State>) {
    let leaving = lock(state).leaving();
    if let Some(progress) = leaving {
        host.ask(Ask::Progress(progress)).await;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<X: Send> call::Host for Guest<X> {
    fn remaining_ms(&mut self) -> u64 {
        let remaining = match &self.still {
            None => self.deadline.saturating_duration_since(Instant::now()),
            Some(still) => still.left(),
        };
        u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX)
    }

    fn cancelled(&mut self) -> bool {
        self.cancelled.is_set()
    }

    async fn progress(&mut self, done: f64, total: Option<f64>, message: Option<String>) {
        if let Some(progress) = checked(Progress { done, total, message }) {
            self.progress.report(progress).await;
        }
    }
}

/// `progress` within its bounds, or nothing if it says nothing.
///
/// Both sides look: a guest side in a process of its own may be in the hands of its guest.
pub(crate) fn checked(progress: Progress) -> Option<Progress> {
    let Progress { done, total, mut message } = progress;
    if let Some(message) = &mut message {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
    }
    done.is_finite().then(|| Progress { done, total: total.filter(|total| total.is_finite()), message })
}

pub(crate) fn link<X: Send + 'static>(linker: &mut Linker<Guest<X>>) -> wasmtime::Result<()> {
    add_to_linker::<_, HasSelf<Guest<X>>>(linker, |guest| guest)
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::Pin};

    use super::*;
    use crate::Reply;

    #[derive(Default)]
    struct Listener(Mutex<Vec<f64>>);

    impl Host for Listener {
        fn ask(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Reply> + Send + '_>> {
            if let Ask::Progress(progress) = ask {
                self.0.lock().unwrap().push(progress.done);
            }
            Box::pin(std::future::ready(Reply::Progress))
        }
    }

    fn at(done: f64) -> Progress {
        Progress { done, total: None, message: None }
    }

    #[tokio::test]
    async fn of_many_reports_the_first_and_the_last_are_heard() {
        let listener = Arc::new(Listener::default());
        let mut reporter = Reporter::new(listener.clone());

        for done in 0..1_000 {
            reporter.report(at(f64::from(done))).await;
        }
        reporter.flush().await;

        let heard = listener.0.lock().unwrap().clone();
        assert_eq!((heard.first(), heard.last()), (Some(&0.0), Some(&999.0)));
        assert!(heard.len() < 20, "{heard:?}");
    }

    #[tokio::test]
    async fn the_last_report_is_heard_while_the_guest_goes_on_in_silence() {
        let listener = Arc::new(Listener::default());
        let mut reporter = Reporter::new(listener.clone());

        reporter.report(at(1.0)).await;
        reporter.report(at(2.0)).await;
        reporter.report(at(3.0)).await;
        reporter.later.take().unwrap().await.unwrap();

        assert_eq!(*listener.0.lock().unwrap(), [1.0, 3.0]);
    }

    #[test]
    fn a_message_is_cut_at_a_character_and_numbers_are_finite() {
        let long = "ä".repeat(600) + "x";
        let long = Progress { done: 1.0, total: Some(f64::INFINITY), message: Some(format!("x{long}")) };

        let told = checked(long).unwrap();

        assert_eq!((told.done, told.total), (1.0, None));
        assert_eq!(told.message.unwrap(), format!("x{}", "ä".repeat(511)));
        assert_eq!(checked(at(f64::NAN)), None);
        assert_eq!(checked(at(f64::NEG_INFINITY)), None);
    }
}
