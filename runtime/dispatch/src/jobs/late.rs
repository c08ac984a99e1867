//! Calls that take longer than their caller wants to wait, and become jobs on the way.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use fumehood_capabilities::Listener;
use fumehood_model::{Principal, Progress, Timestamp};
use fumehood_registry::Tool;
use fumehood_scheduler::{Attempted, Telling};
use fumehood_store::{Lease, NewJob, Report};
use fumehood_value::Arguments;

use crate::{
    Answer, DispatchError, Dispatcher, Terms,
    dispatcher::whole,
    jobs::{Order, Ticket, execute},
};

/// The first token of a job that is held from its beginning.
const FIRST_TOKEN: u64 = 1;

/// What a caller gets that does not want to wait for ever.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and moved once")]
pub enum Called {
    /// The call has ended.
    Answered(Answer),
    /// It goes on as a job.
    Deferred(Ticket),
}

impl Dispatcher {
    /// Run `tool` and wait for at most `patience`; whatever takes longer goes on as a job that the caller can fetch.
    ///
    /// Only then is anything written: a quick call costs what a direct one does. Until then the call is lost with the
    /// server, as its caller is told by the broken connection.
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::call`] and [`Dispatcher::submit`].
    ///
    /// # Cancellation
    ///
    /// Dropping the future stops the guest, unless it has become a job.
    pub async fn call_or_defer(
        &self,
        principal: &Principal,
        tool: &Arc<Tool>,
        arguments: Arguments,
        terms: Terms,
        patience: Duration,
    ) -> Result<Called, DispatchError> {
        self.queue()?;
        let input = arguments.into_text();
        let order = Order { lowered: terms.lowered, ..Order::default() };
        let switch = Arc::new(Switch { first: terms.listener.clone(), ..Switch::default() });
        let terms = Terms { listener: Some(switch.clone()), ..terms };
        let ceiling = self.limits_of_jobs();
        let (this, caller, called) = (self.clone(), principal.clone(), Arc::clone(tool));
        let text = Arguments::Text(input.clone());
        let mut call: Running = Box::pin(async move { this.call_within(ceiling, &caller, &called, text, terms).await });
        if let Ok(answer) = tokio::time::timeout(patience, &mut call).await {
            return answer.map(Called::Answered);
        }
        let now = Timestamp::now();
        let new = self.new_job(principal, tool, input, order, now)?;
        let this = self.clone();
        // From here on it may be a job: whoever goes away now does not part the call from what is written of it.
        whole(async move { this.defer(call, new, now, &switch).await }).await
    }

    /// Make a job of a running call. If that cannot be written, or not before the call ends, its caller is answered.
    async fn defer(
        &self,
        mut call: Running,
        mut new: NewJob,
        now: Timestamp,
        switch: &Switch,
    ) -> Result<Called, DispatchError> {
        let queue = self.queue()?;
        let Some(runner) = queue.runner.get() else { return call.await.map(Called::Answered) };
        let (id, repeatable) = (new.id, new.is_repeatable);
        new.held_by = Some((queue.node, runner.lease_from(now)));
        let (store, bounds) = (Arc::clone(&queue.store), queue.config.bounds);
        let mut written = Box::pin(async move { store.submit(vec![new], bounds, now).await });
        let lease = Lease { id, token: FIRST_TOKEN };
        tokio::select! {
            biased;
            written = &mut written => if let Err(error) = written {
                tracing::warn!(error = &error as &dyn std::error::Error, "A long call does not become a job: {error}");
                return call.await.map(Called::Answered);
            },
            answer = &mut call => {
                let attempted = attempted(&answer, repeatable);
                let this = self.clone();
                tokio::spawn(async move {
                    if let (Ok(_), Some(runner)) = (written.await, this.queue().ok().and_then(|queue| queue.runner.get())) {
                        runner.adopt(lease, repeatable, std::future::ready(attempted));
                    }
                });
                return answer.map(Called::Answered);
            }
        }
        let attempt = async move { attempted(&call.await, repeatable) };
        switch.to(runner.adopt(lease, repeatable, attempt));
        Ok(Called::Deferred(Ticket { id, is_new: true }))
    }
}

/// A call on its way.
type Running = Pin<Box<dyn Future<Output = Result<Answer, DispatchError>> + Send>>;

fn attempted(answer: &Result<Answer, DispatchError>, repeatable: bool) -> Attempted {
    match answer {
        Ok(answer) => execute::ended(answer.outcome.clone(), answer.aside.as_ref(), answer.usage, repeatable, 0),
        Err(error) => execute::refused(error),
    }
}

/// Hears a call for its caller, and from some moment on for whoever watches its job.
#[derive(Default)]
struct Switch {
    first: Option<Arc<dyn Listener>>,
    job: OnceLock<Telling>,
    last: Mutex<Option<Progress>>,
}

impl Switch {
    fn to(&self, telling: Telling) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(progress) = last {
            telling.tell(Report::Progress(progress));
        }
        let _ = self.job.set(telling);
    }
}

impl Listener for Switch {
    fn wants_told(&self) -> bool {
        self.first.as_ref().is_some_and(|first| first.wants_told())
    }

    fn told(&self, told: Vec<fumehood_capabilities::Told>) {
        if let Some(first) = &self.first {
            first.told(told);
        }
    }

    fn progress(&self, progress: Progress) {
        if let Some(job) = self.job.get() {
            return job.tell(Report::Progress(progress));
        }
        if let Some(first) = &self.first {
            first.progress(progress.clone());
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }
}
