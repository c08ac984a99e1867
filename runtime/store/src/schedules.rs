//! Jobs that come again: what a backend keeps of schedules.

mod sqlite;

use fumehood_model::{JobId, KeyId, Timestamp};

use crate::{Bounds, NewJob, SubmitError, Verb};

/// Schedules in a durable store.
///
/// What a schedule means, when it is due next and whether it may overlap, is decided by whoever fires it.
pub trait Schedules: Send + Sync + 'static {
    /// Keep a schedule, in place of the one of the same owner and name; whether it is new.
    fn put_schedule(&self, schedule: Schedule) -> Verb<'_, bool>;

    /// Forget a schedule; whether there was one.
    fn remove_schedule(&self, owner: KeyId, name: String) -> Verb<'_, bool>;

    /// Schedules by name, of one key or of all.
    fn schedules(&self, owner: Option<KeyId>) -> Verb<'_, Vec<Schedule>>;

    /// Schedules that are due, at most `most`, and when the next one after them is. First things first; those that come
    /// after `place`, if one is given.
    fn due_schedules(
        &self,
        now: Timestamp,
        place: Option<Place>,
        most: usize,
    ) -> Verb<'_, (Vec<Schedule>, Option<Timestamp>)>;

    /// Use up a slot of a schedule: submit its job and set when it is due next, in one transaction. Nothing happens if the
    /// schedule has changed or another node was first.
    fn fire(&self, fire: Fire, bounds: Bounds, now: Timestamp) -> Verb<'_, Fired, SubmitError>;
}

/// A schedule as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The key that made it; its jobs are submitted as by this key.
    pub owner: KeyId,
    /// Its name, unique for its owner.
    pub name: String,
    /// What it does and when, as JSON that the scheduler understands.
    pub spec: String,
    /// Whether it does nothing for now.
    pub is_paused: bool,
    /// When it is due next; never if it has no further slot.
    pub next_at: Option<Timestamp>,
    /// When it was due last.
    pub last_at: Option<Timestamp>,
    /// The job that it submitted last.
    pub last_job: Option<JobId>,
    /// Why it submitted none when it was due last, if it did not.
    pub passed_over: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with each change; chosen by the store, whatever is put.
    pub version: u64,
}

/// Where a schedule stands among those that are due: by when it is, then by its owner and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// When it is due.
    pub at: Timestamp,
    /// Whose.
    pub owner: KeyId,
    /// Which.
    pub name: String,
}

impl Schedule {
    /// Where it stands among those that are due; nowhere if it will not be.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        Some(Place { at: self.next_at?, owner: self.owner.clone(), name: self.name.clone() })
    }
}

/// One slot of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Fire {
    /// Whose.
    pub owner: KeyId,
    /// Which.
    pub name: String,
    /// The version on which this was decided.
    pub version: u64,
    /// The job, or why this slot is passed over.
    pub job: Result<Box<NewJob>, String>,
    /// When it is due next.
    pub next_at: Option<Timestamp>,
}

/// What came of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fired {
    /// It is used up; with its job, if there was one.
    Done(Option<JobId>),
    /// Another was first, or the schedule is gone or changed.
    Stale,
}
