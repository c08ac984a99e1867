//! Keeps what is sent and what comes back, for tests of tools that answer the same later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Refused, Response, egress::Admitted};

/// A request that has left, and what came of it.
#[derive(Debug, Clone)]
pub struct Exchanged {
    /// The method.
    pub method: String,
    /// Where it went.
    pub url: String,
    /// The body that the guest has sent.
    pub body: Vec<u8>,
    /// What came of it.
    pub answer: Result<Response, Refused>,
}

/// Keeps the requests of one call that have left: no more than a call may make, within the bounds of each. Clones keep
/// together.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<Exchanged>>>);

impl Recorder {
    /// What was kept, and nothing of it any more.
    #[must_use]
    pub fn take(&self) -> Vec<Exchanged> {
        std::mem::take(&mut self.kept())
    }

    /// What is kept of a request that leaves, once its answer is there.
    pub(super) fn leaving(&self, admitted: &Admitted<'_>) -> impl FnOnce(&Result<Response, Refused>) + use<> {
        let (method, url) = (admitted.target.method.to_owned(), admitted.target.url());
        let (body, kept) = (admitted.body.clone(), self.clone());
        move |answer| kept.kept().push(Exchanged { method, url, body, answer: answer.clone() })
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Exchanged>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
