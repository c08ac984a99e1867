use std::time::Duration;

use fumehood_model::{Job, JobState, Principal, Progress};
use fumehood_store::JobEvent;

use crate::{DispatchError, Dispatcher, jobs::watchers::Watch};

/// Most events that are read at a time; a slow reader is given no more before it has taken these.
const BATCH: usize = 100;

/// How often a job is looked at although nothing was heard of it: signals are only hints.
const LOOK: Duration = Duration::from_secs(5);

/// One job, followed from version to version.
///
/// Nothing is buffered for a reader: what it has not asked for yet stays in the store.
pub struct Follow {
    dispatcher: Dispatcher,
    principal: Principal,
    id: String,
    /// The last version that was told.
    after: u64,
    /// What was last told of how the job stands.
    known: Option<Standing>,
    has_ended: bool,
    watch: Watch,
}

/// What one wants to hear of a job.
type Standing = (JobState, u32, bool, Option<Progress>);

/// News of a job.
#[derive(Debug, Clone)]
pub enum Update {
    /// Its guest told something.
    Told(JobEvent),
    /// It stands so now. What it went through in between may be left out.
    Now(Box<Job>),
}

impl Update {
    /// The version of the job up to which everything is told with this.
    #[must_use]
    pub fn version(&self) -> u64 {
        match self {
            Self::Told(event) => event.version,
            Self::Now(job) => job.version,
        }
    }
}

impl Update {
    /// Whether nothing more comes after it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Now(job) if job.state.is_final())
    }
}

impl Dispatcher {
    /// Follow a job from what came after version `after`.
    ///
    /// # Errors
    ///
    /// When there is no such job for `principal`.
    pub async fn follow_job(&self, principal: &Principal, id: &str, after: u64) -> Result<Follow, DispatchError> {
        let job = self.job(principal, id).await?;
        let watch = self.queue()?.watchers.watch(job.id);
        Ok(Follow {
            dispatcher: self.clone(),
            principal: principal.clone(),
            id: id.to_owned(),
            after,
            known: None,
            has_ended: false,
            watch,
        })
    }
}

impl Follow {
    /// What is new, waited for; nothing more after the job has ended and everything is told.
    ///
    /// # Errors
    ///
    /// When the job was forgotten, or `principal` may not see it any more.
    pub async fn next(&mut self) -> Result<Option<Vec<Update>>, DispatchError> {
        while !self.has_ended {
            // A key that was revoked meanwhile hears nothing more.
            let principal = self.dispatcher.principal_of(&self.principal.key);
            self.principal = principal.ok_or_else(|| super::no_job(&self.id))?;
            let job = self.dispatcher.job(&self.principal, &self.id).await?;
            let events = self.dispatcher.queue()?.store.events(job.id, self.after, BATCH).await?;
            let is_all = events.len() < BATCH;
            let mut news: Vec<_> = events.into_iter().map(Update::Told).collect();
            if let Some(last) = news.last() {
                self.after = self.after.max(last.version());
            }
            let standing = (job.state, job.attempt, job.is_cancelled, job.progress.clone());
            let is_news = job.version > self.after || self.known.as_ref() != Some(&standing);
            // Events that came after the job was read are told first; then it is read once more.
            if is_all && job.version >= self.after && is_news {
                self.after = job.version;
                self.has_ended = job.state.is_final();
                self.known = Some(standing);
                news.push(Update::Now(Box::new(job)));
            } else if is_all && job.state.is_final() {
                self.has_ended = true;
                news.push(Update::Now(Box::new(job)));
            }
            if !news.is_empty() {
                return Ok(Some(news));
            }
            let _ = tokio::time::timeout(LOOK, self.watch.changed()).await;
        }
        Ok(None)
    }
}
