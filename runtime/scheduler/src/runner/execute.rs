use std::{future::Future, pin::Pin, time::Duration};

use fumehood_model::{Asked, JobOutcome, Usage};
use fumehood_store::Claimed;

use super::Telling;

/// Runs one attempt of a job.
pub trait Execute: Send + Sync + 'static {
    /// Run it, and tell meanwhile what its guest tells.
    ///
    /// Dropping the future stops the guest: that is how a job is cancelled. Whatever may outlive the future keeps
    /// [`Telling::place`] until nothing is left of the guest.
    fn execute(&self, job: Claimed, telling: Telling) -> Pin<Box<dyn Future<Output = Attempted> + Send>>;
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempted {
    /// What came of it.
    pub outcome: JobOutcome,
    /// What it used, if it ran.
    pub usage: Option<Usage>,
    /// Whether another attempt can do better.
    pub mend: Mend,
    /// What it asks before it can go on; then nothing has come of it yet.
    pub asks: Option<Asked>,
}

/// Whether another attempt can mend a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    /// It has ended, well or not.
    Never,
    /// Something was busy or out of reach, and may not be later.
    Later,
    /// The process that it ran in died, and nobody knows how far it was.
    Crashed,
    /// It did not begin, for want of something that it will have soon: another try after so long, which does not count.
    NotYet(Duration),
}
