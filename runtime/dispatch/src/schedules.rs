//! Jobs that come again.

use std::sync::Arc;

use fumehood_model::{Principal, Timestamp};
use fumehood_policy::Action;
use fumehood_registry::Tool;
use fumehood_scheduler::{JobSpec, Prepare, Preparing, ScheduleSpec, Unprepared};
use fumehood_store::{NewJob, Schedule, Schedules};

use crate::{
    DispatchError, Dispatcher,
    error::shown,
    jobs::{Order, Queue},
    patience::patiently,
};

/// Longest name of a schedule, in characters.
const MAX_NAME: usize = 64;

/// Most schedules of one key.
const MAX_SCHEDULES: usize = 1_000;

impl Dispatcher {
    /// Keep a schedule of `principal` under `name`, in place of one that has the name already; how it stands, and whether it
    /// is new.
    ///
    /// # Errors
    ///
    /// When `principal` may not call the tool, or anything about the schedule makes no sense: its job is checked as if it
    /// were submitted now.
    pub async fn put_schedule(
        &self,
        principal: &Principal,
        name: &str,
        spec: &ScheduleSpec,
        is_paused: bool,
    ) -> Result<(Schedule, bool), DispatchError> {
        Action::Call.check(principal)?;
        let schedules = self.schedules_store()?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_plain) {
            let what = format!("a schedule has a name of 1 to {MAX_NAME} letters, digits, `-`, `_` and `.`");
            return Err(DispatchError::BadOrder { what });
        }
        let now = Timestamp::now();
        let (tool, _) = self.scheduled(principal, &spec.job, now)?;
        crate::jobs::check_input(&tool, &spec.job.input.to_string().into()).await?;
        let mine = schedules.schedules(Some(principal.key.clone())).await?;
        let before = mine.iter().find(|schedule| schedule.name == name);
        if before.is_none() && mine.len() >= MAX_SCHEDULES {
            let what = format!("a key has at most {MAX_SCHEDULES} schedules: remove some before you add others");
            return Err(DispatchError::BadOrder { what });
        }
        let schedule = Schedule {
            owner: principal.key.clone(),
            name: name.to_owned(),
            spec: spec.to_json(),
            is_paused,
            next_at: spec.next(name, now).filter(|_| !is_paused),
            last_at: before.and_then(|before| before.last_at),
            last_job: before.and_then(|before| before.last_job),
            created_at: before.map_or(now, |before| before.created_at),
            version: before.map_or(0, |before| before.version) + 1,
        };
        let is_new = patiently(schedules.put_schedule(schedule.clone())).await?;
        self.wake_ticker();
        tracing::info!(schedule.name = name, key.id = %principal.key, "Schedule {name} set by {}", principal.name);
        Ok((schedule, is_new))
    }

    /// Schedules of `principal`, or of everyone for who may manage jobs of others, by name.
    ///
    /// # Errors
    ///
    /// When it may see none.
    pub async fn schedules(&self, principal: &Principal) -> Result<Vec<Schedule>, DispatchError> {
        Action::Call.check(principal)?;
        let sees_all = Action::ManageJobs.check(principal).is_ok();
        let owner = (!sees_all).then(|| principal.key.clone());
        Ok(self.schedules_store()?.schedules(owner).await?)
    }

    /// The schedule `name`: that of `principal`, else one that it may manage.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn schedule(&self, principal: &Principal, name: &str) -> Result<Schedule, DispatchError> {
        let mut named: Vec<_> = self.schedules(principal).await?;
        named.retain(|schedule| schedule.name == name);
        let own = named.iter().position(|schedule| schedule.owner == principal.key).unwrap_or(0);
        if named.is_empty() {
            return Err(DispatchError::NotFound { what: "schedule", name: shown(name), near: Vec::new() });
        }
        Ok(named.swap_remove(own))
    }

    /// Forget a schedule. Jobs that it has submitted stay.
    ///
    /// # Errors
    ///
    /// When there is none that `principal` may manage.
    pub async fn remove_schedule(&self, principal: &Principal, name: &str) -> Result<(), DispatchError> {
        let schedule = self.schedule(principal, name).await?;
        patiently(self.schedules_store()?.remove_schedule(schedule.owner, schedule.name)).await?;
        self.wake_ticker();
        tracing::info!(schedule.name = name, key.id = %principal.key, "Schedule {name} removed by {}", principal.name);
        Ok(())
    }

    /// The tool of a schedule and what its job is to be, for the moment `slot`.
    fn scheduled(
        &self,
        principal: &Principal,
        job: &JobSpec,
        slot: Timestamp,
    ) -> Result<(Arc<Tool>, Order), DispatchError> {
        let tool = match job.tool.rsplit_once('.') {
            Some((module, function)) => self.function(principal, module, function)?,
            None => self.tool(principal, &job.tool)?,
        };
        let expires = |within: u64| Timestamp { unix_ms: slot.unix_ms.saturating_add(within) };
        let order = Order {
            lowered: job.limits,
            priority: job.priority,
            run_at: None,
            expires_at: job.begin_within_ms.map(expires),
            max_attempts: job.max_attempts,
            is_repeatable: job.is_repeatable.unwrap_or_default(),
            tags: job.tags.clone(),
            idempotency_key: None,
        };
        order.check(slot)?;
        Ok((tool, order))
    }

    fn schedules_store(&self) -> Result<&Arc<dyn Schedules>, DispatchError> {
        self.inner.schedules.as_ref().ok_or(DispatchError::ReadOnly)
    }

    fn wake_ticker(&self) {
        if let Some(ticker) = self.inner.queue.as_ref().and_then(Queue::ticker) {
            ticker.wake();
        }
    }
}

/// Makes the jobs of schedules.
pub(crate) struct Submitter(pub(crate) Dispatcher);

impl Prepare for Submitter {
    fn prepare(&self, schedule: Schedule, job: JobSpec, slot: Timestamp) -> Preparing {
        let door = self.0.clone();
        Box::pin(async move { door.job_of(&schedule, &job, slot).map_err(|why| Unprepared { why }) })
    }
}

impl Dispatcher {
    fn job_of(&self, schedule: &Schedule, job: &JobSpec, slot: Timestamp) -> Result<NewJob, String> {
        let owner = self.principal_of(&schedule.owner).ok_or("the key that made the schedule was revoked")?;
        Action::Call.check(&owner).map_err(|error| error.to_string())?;
        let (tool, order) = self.scheduled(&owner, job, slot).map_err(|error| error.to_string())?;
        // What its tool makes of the arguments by now is told by the job, where whoever made the schedule finds it.
        let input = job.input.to_string().into();
        self.new_job(&owner, &tool, input, order, Timestamp::now()).map_err(|error| error.to_string())
    }
}
