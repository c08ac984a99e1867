//! Jobs: calls that are kept before they run, so that none is lost.

mod execute;
mod follow;
mod import;
mod late;
mod order;
mod watchers;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use fumehood_model::{Digest, Job, JobId, Principal, Timestamp};
use fumehood_policy::Action;
use fumehood_registry::{Mode, Tool};
use fumehood_scheduler::{Runner, Ticker};
use fumehood_store::{Body, Bounds, Counts, Filter, Idempotency, Jobs, NewJob, NodeId, Prune, SubmitError, Submitted};
use fumehood_value::{Arguments, InputError};

use crate::{DispatchError, Dispatcher, dispatcher::blocking, error::shown, patience::patiently};

pub use follow::{Follow, Update};
pub use import::Imported;
pub use late::Called;
pub use order::Order;

pub(crate) use execute::Executor;
use watchers::Watchers;

/// Arguments of at most this many bytes are checked where the request is answered; more are worth a thread of their own.
pub(crate) const QUICK: usize = 64 << 10;

/// Most bytes of answers that a job is given at a time.
const MAX_ANSWERS: usize = 256 << 10;

/// Most jobs that one page of a list holds.
pub const MAX_PAGE: usize = 1_000;

/// Most jobs that one transaction forgets, so that nobody waits long behind it.
const PRUNED_AT_ONCE: usize = 1_000;

/// How jobs are kept and run.
#[derive(Debug, Clone)]
pub struct JobsConfig {
    /// Longest that an attempt may take.
    pub deadline: Duration,
    /// Attempts of a job that may run again, unless it says otherwise.
    pub max_attempts: u32,
    /// How long a call of a tool of mode `auto` is waited for before it becomes a job.
    pub auto_after: Duration,
    /// How many jobs may wait.
    pub bounds: Bounds,
    /// How long a job is kept after it ended.
    pub keep_for: Duration,
    /// How many ended jobs are kept, the newest.
    pub keep_most: u64,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(300),
            max_attempts: 3,
            auto_after: Duration::from_secs(2),
            bounds: Bounds { waiting: 1_000_000, waiting_per_key: 750_000 },
            keep_for: Duration::from_secs(7 * 24 * 3600),
            keep_most: 1_000_000,
        }
    }
}

/// Where jobs are kept and who works on them.
pub(crate) struct Queue {
    pub(crate) config: JobsConfig,
    pub(crate) store: Arc<dyn Jobs>,
    pub(crate) node: NodeId,
    pub(crate) runner: OnceLock<Runner>,
    /// Fires schedules as long as it is there.
    pub(crate) ticker: Mutex<Option<Arc<Ticker>>>,
    pub(crate) watchers: Watchers,
    /// Components that no module uses any more and jobs still wait for.
    pub(crate) kept: Mutex<HashSet<Digest>>,
}

/// A job that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Its id.
    pub id: JobId,
    /// Whether this submission made it, and not an earlier one of the same name.
    pub is_new: bool,
}

impl Queue {
    pub(crate) fn new(config: JobsConfig, store: Arc<dyn Jobs>, node: NodeId) -> Self {
        let watchers = Watchers::default();
        let (ticker, kept) = (Mutex::default(), Mutex::default());
        Self { config, store, node, runner: OnceLock::new(), ticker, watchers, kept }
    }

    /// Keep one job.
    async fn submit(&self, new: NewJob, bounds: Bounds) -> Result<Submitted, DispatchError> {
        let mut submitted = patiently(self.store.submit(vec![new], bounds, Timestamp::now())).await?;
        submitted.pop().ok_or(DispatchError::Lost)
    }

    /// Who fires schedules, between the beginning and the end of the work.
    pub(crate) fn ticker(&self) -> Option<Arc<Ticker>> {
        self.ticker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fire schedules with this one from now on; with none, not at all.
    pub(crate) fn set_ticker(&self, ticker: Option<Ticker>) {
        *self.ticker.lock().unwrap_or_else(PoisonError::into_inner) = ticker.map(Arc::new);
    }
}

impl Dispatcher {
    /// Keep a call of `tool` as a job, to run when its turn comes.
    ///
    /// When this returns, the job is on disk. Arguments that do not fit are told now and not to whoever reads the result.
    ///
    /// # Errors
    ///
    /// When `principal` may not, the arguments do not fit, too many jobs wait, or this process does not own its data
    /// directory.
    pub async fn submit(
        &self,
        principal: &Principal,
        tool: &Arc<Tool>,
        arguments: Arguments,
        order: Order,
    ) -> Result<Ticket, DispatchError> {
        Action::Call.check(principal)?;
        let queue = self.queue()?;
        let now = Timestamp::now();
        order.check(now)?;
        let submitted = if tool.requires_confirmation {
            Box::pin(self.submit_confirmed(queue, principal, tool, arguments, order)).await?
        } else {
            let input = arguments.into_text();
            check_input(tool, &input).await?;
            queue.submit(self.new_job(principal, tool, input, order, now)?, queue.config.bounds).await?
        };
        tracing::debug!(
            job.id = %submitted.id, tool.name = %tool.name, key.id = %principal.key, "Job {} of {} submitted",
            submitted.id, tool.name
        );
        Ok(Ticket { id: submitted.id, is_new: submitted.is_new })
    }

    /// Keep a call that a person must confirm as a job. What was confirmed is used when the job is there.
    async fn submit_confirmed(
        &self,
        queue: &Queue,
        principal: &Principal,
        tool: &Arc<Tool>,
        arguments: Arguments,
        order: Order,
    ) -> Result<Submitted, DispatchError> {
        let (order, now) = (order.for_once()?, Timestamp::now());
        let input = arguments.clone().into_text();
        check_input(tool, &input).await?;
        let (token, is_named) = (order.confirmation.clone(), order.idempotency_key.is_some());
        let new = self.new_job(principal, tool, input, order, now)?;
        if is_named {
            // Where there is no room for another, only what is there already is found.
            let none = Bounds { waiting: 0, ..queue.config.bounds };
            match queue.submit(new.clone(), none).await {
                Err(DispatchError::Submit(SubmitError::Full { .. } | SubmitError::ShareUsed { .. })) => {}
                known => return known,
            }
        }
        let confirmed = self.confirmed(principal, tool, &arguments, token.as_deref()).await?;
        let id = self.use_confirmation(principal, tool, confirmed).await?;
        let submitted = queue.submit(new, queue.config.bounds).await;
        if !submitted.as_ref().is_ok_and(|submitted| submitted.is_new) {
            self.return_confirmation(id).await;
        }
        submitted
    }

    /// The job `id`.
    ///
    /// # Errors
    ///
    /// When there is none that `principal` may see: a job of somebody else is no more there than one that never was.
    pub async fn job(&self, principal: &Principal, id: &str) -> Result<Job, DispatchError> {
        Action::Call.check(principal)?;
        let job = match id.parse::<JobId>() {
            Ok(id) => self.queue()?.store.job(id).await?,
            Err(_) => None,
        };
        job.filter(|job| may_see(principal, job)).ok_or_else(|| no_job(id))
    }

    /// The arguments or the result of a job, as JSON text.
    ///
    /// # Errors
    ///
    /// When there is no such job for `principal`, or it has no such text.
    pub async fn job_body(&self, principal: &Principal, id: &str, which: Body) -> Result<Bytes, DispatchError> {
        let job = self.job(principal, id).await?;
        let body = self.queue()?.store.body(job.id, which).await?;
        body.ok_or_else(|| DispatchError::NotFound { what: "result of job", name: shown(id), near: Vec::new() })
    }

    /// Jobs that `principal` may see and `filter` lets through, the newest first.
    ///
    /// # Errors
    ///
    /// When it may see none.
    pub async fn jobs(&self, principal: &Principal, filter: Filter) -> Result<Vec<Job>, DispatchError> {
        Action::Call.check(principal)?;
        let owner = if sees_all(principal) { filter.owner } else { Some(principal.key.clone()) };
        let most = filter.most.clamp(1, MAX_PAGE);
        Ok(self.queue()?.store.list(Filter { owner, most, ..filter }).await?)
    }

    /// How many jobs there are.
    ///
    /// # Errors
    ///
    /// When `principal` may not see those of others.
    pub async fn job_counts(&self, principal: &Principal) -> Result<Counts, DispatchError> {
        Action::ManageJobs.check(principal)?;
        Ok(self.queue()?.store.counts(Timestamp::now()).await?)
    }

    /// Take answers to what the job `id` asks; with the last one it goes on. Answers to what it does not ask are passed over.
    ///
    /// # Errors
    ///
    /// When there is no such job of `principal`, the answers are too large, or they cannot be kept.
    pub async fn answer_job(
        &self,
        principal: &Principal,
        id: &str,
        responses: serde_json::Map<String, serde_json::Value>,
    ) -> Result<Job, DispatchError> {
        let job = self.job(principal, id).await?;
        let size = responses.iter().map(|(key, value)| key.len() + value.to_string().len()).sum::<usize>();
        if size > MAX_ANSWERS {
            return Err(DispatchError::Input(InputError::TooLarge { most_bytes: MAX_ANSWERS }));
        }
        let answered = patiently(self.queue()?.store.answer(job.id, responses, Timestamp::now())).await?;
        answered.ok_or_else(|| no_job(id))
    }

    /// End a job: at once where it waits, within moments where it runs. One that has ended stays as it is.
    ///
    /// # Errors
    ///
    /// When there is no such job for `principal`.
    pub async fn cancel_job(&self, principal: &Principal, id: &str) -> Result<Job, DispatchError> {
        let job = self.job(principal, id).await?;
        let cancelled = patiently(self.queue()?.store.cancel(job.id, Timestamp::now())).await?;
        tracing::info!(job.id = %job.id, key.id = %principal.key, "Job {} cancelled by {}", job.id, principal.name);
        cancelled.ok_or_else(|| no_job(id))
    }

    /// Try a job again that ended without what it was for.
    ///
    /// # Errors
    ///
    /// When there is no such job for `principal`, or it has not ended so.
    pub async fn retry_job(&self, principal: &Principal, id: &str) -> Result<Job, DispatchError> {
        let before = self.job(principal, id).await?;
        if !before.state.is_dead_letter() {
            return Err(DispatchError::NotRetryable { id: before.id, state: before.state });
        }
        let current = self.inner.registry.current();
        let tool = current.module(before.tool.module.as_str()).and_then(|module| module.tool(&before.tool.function));
        if tool.is_some_and(|tool| tool.requires_confirmation) {
            let what = format!("job {id} was confirmed for once: submit it anew, so that a person can confirm that");
            return Err(DispatchError::BadOrder { what });
        }
        let retried = patiently(self.queue()?.store.retry(before.id, Timestamp::now())).await?;
        let job = retried.ok_or_else(|| no_job(id))?;
        tracing::info!(job.id = %job.id, key.id = %principal.key, "Job {} is tried again for {}", job.id, principal.name);
        Ok(job)
    }

    /// Forget ended jobs with what is kept of them; how many. Of others only what `principal` may manage.
    ///
    /// # Errors
    ///
    /// When it may manage none.
    pub async fn prune_jobs(&self, principal: &Principal, prune: Prune) -> Result<u64, DispatchError> {
        Action::Call.check(principal)?;
        let owner = if sees_all(principal) { prune.owner } else { Some(principal.key.clone()) };
        self.prune(Prune { owner, most: PRUNED_AT_ONCE, ..prune }).await
    }

    /// Wait until the job `id` has ended, or until `patience` is over; the job as it then stands.
    ///
    /// # Errors
    ///
    /// When there is no such job for `principal`.
    pub async fn wait_for_job(
        &self,
        principal: &Principal,
        id: &str,
        patience: Duration,
    ) -> Result<Job, DispatchError> {
        let until = tokio::time::Instant::now() + patience;
        let mut job = self.job(principal, id).await?;
        let mut watch = self.queue()?.watchers.watch(job.id);
        while !job.state.is_final() {
            // Looked at again after it is watched: nothing between the two is missed.
            job = self.job(principal, id).await?;
            if job.state.is_final() || tokio::time::timeout_at(until, watch.changed()).await.is_err() {
                break;
            }
        }
        Ok(job)
    }

    /// How a call of `tool` by a caller with no wishes of its own is answered.
    #[must_use]
    pub fn mode(&self, tool: &Tool) -> Mode {
        // A process that only reads keeps no jobs: there every call is waited for.
        if self.inner.queue.is_some() { tool.mode } else { Mode::Direct }
    }

    /// How long a call of a tool of mode `auto` is waited for, unless its caller says.
    #[must_use]
    pub fn auto_after(&self) -> Duration {
        self.inner.queue.as_ref().map_or(Duration::MAX, |queue| queue.config.auto_after)
    }

    /// Whether jobs are kept here.
    #[must_use]
    pub fn keeps_jobs(&self) -> bool {
        self.inner.queue.is_some()
    }

    /// How long a job is kept at least after it ended, in milliseconds.
    #[must_use]
    pub fn jobs_kept_ms(&self) -> Option<u64> {
        let kept = self.inner.queue.as_ref()?.config.keep_for;
        u64::try_from(kept.as_millis()).ok()
    }

    /// What is said of a job that is not there, or not for who asks.
    #[must_use]
    pub fn no_such_job(&self, id: &str) -> DispatchError {
        no_job(id)
    }

    pub(crate) fn queue(&self) -> Result<&Queue, DispatchError> {
        self.inner.queue.as_ref().ok_or(DispatchError::ReadOnly)
    }

    /// Forget batch by batch what fits.
    pub(crate) async fn prune(&self, prune: Prune) -> Result<u64, DispatchError> {
        let store = &self.queue()?.store;
        let mut forgotten = 0;
        loop {
            let batch = patiently(store.prune(prune.clone())).await?;
            forgotten += batch;
            if batch < PRUNED_AT_ONCE as u64 {
                return Ok(forgotten);
            }
        }
    }

    /// Forget what need not be kept any longer.
    pub(crate) async fn retire_jobs(&self) -> Result<(), DispatchError> {
        let config = &self.queue()?.config;
        let old = Timestamp::now().earlier(config.keep_for);
        let too_old = Prune { ended_before: Some(old), most: PRUNED_AT_ONCE, ..Prune::default() };
        let too_many = Prune { keep: config.keep_most, most: PRUNED_AT_ONCE, ..Prune::default() };
        let forgotten = self.prune(too_old).await? + self.prune(too_many).await?;
        if forgotten > 0 {
            tracing::info!(jobs = forgotten, "Forgot {forgotten} jobs that ended long ago");
        }
        let kept = std::mem::take(&mut *self.queue()?.kept.lock().unwrap_or_else(PoisonError::into_inner));
        for component in kept {
            self.forget_unused(component).await;
        }
        Ok(())
    }

    /// The job that keeps this call.
    pub(crate) fn new_job(
        &self,
        principal: &Principal,
        tool: &Tool,
        input: Bytes,
        order: Order,
        now: Timestamp,
    ) -> Result<NewJob, DispatchError> {
        let config = &self.queue()?.config;
        let fingerprint = order.fingerprint(tool, &input);
        let is_repeatable = order.is_repeatable || tool.is_idempotent;
        Ok(NewJob {
            id: new_id(now)?,
            owner: principal.key.clone(),
            tool: fumehood_model::JobTool {
                module: tool.module.clone(),
                function: tool.function.clone(),
                digest: tool.digest,
            },
            input,
            // What the module and the key allow at this moment counts, whatever becomes of them.
            lowered: tool.limits.and(principal.limits.call).and(order.lowered),
            priority: order.priority,
            run_at: order.run_at.unwrap_or(now).max(now),
            expires_at: order.expires_at,
            max_attempts: order.max_attempts.unwrap_or(config.max_attempts),
            is_repeatable,
            tags: order.tags,
            idempotency: order.idempotency_key.map(|key| Idempotency { key, fingerprint }),
            schedule: None,
            held_by: None,
            ended: None,
        })
    }
}

/// A new id of a job.
pub(crate) fn new_id(now: Timestamp) -> Result<JobId, DispatchError> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|_| fumehood_store::StoreError::NoRandomness)?;
    Ok(JobId::new(now, random))
}

/// Whether the arguments fit, before anything is kept.
pub(crate) async fn check_input(tool: &Arc<Tool>, input: &Bytes) -> Result<(), DispatchError> {
    if input.len() <= QUICK {
        tool.check(Arguments::Text(input.clone()))?;
        return Ok(());
    }
    let (tool, input) = (Arc::clone(tool), input.clone());
    blocking(move || {
        tool.check(Arguments::Text(input))?;
        Ok(())
    })
    .await
}

/// Whether `principal` may see and end this job.
pub(crate) fn may_see(principal: &Principal, job: &Job) -> bool {
    job.owner == principal.key || sees_all(principal)
}

fn sees_all(principal: &Principal) -> bool {
    Action::ManageJobs.check(principal).is_ok()
}

fn no_job(id: &str) -> DispatchError {
    DispatchError::NotFound { what: "job", name: shown(id), near: Vec::new() }
}
