//! Jobs that come again.

use std::sync::Arc;

use fumehood_model::{KeyId, Principal, Timestamp};
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
    /// Keep a schedule in place of the one that [`Dispatcher::schedule`] finds, which stays with its key, or else as a new
    /// one of `principal`; how it stands, and whether it is new. It rests as it did unless `is_paused` says.
    ///
    /// # Errors
    ///
    /// When `principal` may not call the tool, or anything about the schedule makes no sense: its job is checked as if it
    /// were submitted now, unless it is the same as before. What changes nothing but whether it rests can always be done.
    pub async fn put_schedule(
        &self,
        principal: &Principal,
        name: &str,
        owner: Option<&KeyId>,
        spec: &ScheduleSpec,
        is_paused: Option<bool>,
    ) -> Result<(Schedule, bool), DispatchError> {
        Action::Call.check(principal)?;
        let schedules = self.schedules_store()?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_plain) {
            let what = format!("a schedule has a name of 1 to {MAX_NAME} letters, digits, `-`, `_` and `.`");
            return Err(DispatchError::BadOrder { what });
        }
        let now = Timestamp::now();
        let (before, json) = (self.named(principal, name, owner).await?, spec.to_json());
        let before = before.as_ref();
        if before.is_none_or(|before| before.spec != json) {
            let (tool, _) = self.scheduled(principal, &spec.job, now)?;
            crate::jobs::check_input(&tool, &spec.job.input.to_string().into()).await?;
        }
        if before.is_none() {
            self.check_new(principal, name, owner).await?;
        }
        let owner = before.map_or(&principal.key, |before| &before.owner);
        let is_paused = is_paused.unwrap_or_else(|| before.is_some_and(|before| before.is_paused));
        let schedule = Schedule {
            owner: owner.clone(),
            name: name.to_owned(),
            spec: json,
            is_paused,
            next_at: spec.next(name, now).filter(|_| !is_paused),
            last_at: before.and_then(|before| before.last_at),
            last_job: before.and_then(|before| before.last_job),
            passed_over: None,
            created_at: before.map_or(now, |before| before.created_at),
            version: before.map_or(0, |before| before.version) + 1,
        };
        let is_new = patiently(schedules.put_schedule(schedule.clone())).await?;
        self.wake_ticker();
        tracing::info!(
            schedule.name = name, key.id = %principal.key,
            "Schedule {name} of key {} set by {}", schedule.owner, principal.name
        );
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

    /// The schedule `name` of `owner`; if nothing is said of that, the one of `principal`, else the only one that it may
    /// manage.
    ///
    /// # Errors
    ///
    /// When there is none, or several keys have one.
    pub async fn schedule(
        &self,
        principal: &Principal,
        name: &str,
        owner: Option<&KeyId>,
    ) -> Result<Schedule, DispatchError> {
        self.named(principal, name, owner).await?.ok_or_else(|| no_schedule(name))
    }

    /// Forget the schedule that [`Dispatcher::schedule`] finds. Jobs that it has submitted stay.
    ///
    /// # Errors
    ///
    /// When there is none that `principal` may manage, or several keys have one.
    pub async fn remove_schedule(
        &self,
        principal: &Principal,
        name: &str,
        owner: Option<&KeyId>,
    ) -> Result<(), DispatchError> {
        let schedule = self.schedule(principal, name, owner).await?;
        patiently(self.schedules_store()?.remove_schedule(schedule.owner, schedule.name)).await?;
        self.wake_ticker();
        tracing::info!(schedule.name = name, key.id = %principal.key, "Schedule {name} removed by {}", principal.name);
        Ok(())
    }

    async fn named(
        &self,
        principal: &Principal,
        name: &str,
        owner: Option<&KeyId>,
    ) -> Result<Option<Schedule>, DispatchError> {
        let mut named = self.schedules(principal).await?;
        named.retain(|schedule| schedule.name == name && owner.is_none_or(|owner| schedule.owner == *owner));
        if let Some(own) = named.iter().position(|schedule| schedule.owner == principal.key) {
            return Ok(Some(named.swap_remove(own)));
        }
        if named.len() > 1 {
            let owners: Vec<_> = named.iter().map(|schedule| schedule.owner.to_string()).collect();
            let what = format!("several keys have a schedule {}: say which `key`: {}", shown(name), owners.join(", "));
            return Err(DispatchError::BadOrder { what });
        }
        Ok(named.pop())
    }

    /// Whether `principal` may have one more schedule; nobody makes one for another key.
    async fn check_new(&self, principal: &Principal, name: &str, owner: Option<&KeyId>) -> Result<(), DispatchError> {
        if owner.is_some_and(|owner| *owner != principal.key) {
            return Err(no_schedule(name));
        }
        if self.schedules_store()?.schedules(Some(principal.key.clone())).await?.len() >= MAX_SCHEDULES {
            let what = format!("a key has at most {MAX_SCHEDULES} schedules: remove some before you add others");
            return Err(DispatchError::BadOrder { what });
        }
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
            confirmation: None,
        };
        order.check(slot)?;
        if tool.requires_confirmation {
            let what = format!(
                "{} does nothing until a person has confirmed the call, and nobody is there when a schedule fires",
                tool.name
            );
            return Err(DispatchError::BadOrder { what });
        }
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

fn no_schedule(name: &str) -> DispatchError {
    DispatchError::NotFound { what: "schedule", name: shown(name), near: Vec::new() }
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
