//! Results that are kept for their callers, instead of being sent at once.

use std::time::Instant;

use bytes::Bytes;
use fumehood_model::{Principal, Timestamp};
use fumehood_policy::Action;
use fumehood_store::{KEPT_FOR, Results};

use crate::{DispatchError, Dispatcher, dispatcher::blocking, error::shown};

/// A result that waits for its caller.
#[derive(Debug, Clone)]
pub struct KeptResult {
    /// The name under which only this caller finds it.
    pub id: String,
    /// Its size.
    pub size_bytes: u64,
    /// When it is removed.
    pub expires_at: Timestamp,
}

impl Dispatcher {
    /// Keep `result` for `principal`, for an hour or until it is forgotten.
    ///
    /// # Errors
    ///
    /// When there is no room for it, or this process does not own its data directory.
    pub async fn keep_result(&self, principal: &Principal, result: Bytes) -> Result<KeptResult, DispatchError> {
        let (results, key) = (self.results(principal)?, principal.key.clone());
        let size_bytes = result.len() as u64;
        let kept_ms = u64::try_from(KEPT_FOR.as_millis()).unwrap_or(u64::MAX);
        let expires_at = Timestamp { unix_ms: Timestamp::now().unix_ms.saturating_add(kept_ms) };
        let id = blocking(move || Ok(results.keep(&key, &result, Instant::now())?)).await?;
        Ok(KeptResult { id, size_bytes, expires_at })
    }

    /// Whether results can be kept here at all.
    #[must_use]
    pub fn can_keep_results(&self) -> bool {
        self.inner.config.results.is_some()
    }

    /// The result called `id`, which only the key that made the call may have.
    ///
    /// # Errors
    ///
    /// When there is none of this name for this key.
    pub async fn result(&self, principal: &Principal, id: &str) -> Result<Bytes, DispatchError> {
        let (results, key, wanted) = (self.results(principal)?, principal.key.clone(), id.to_owned());
        let found = blocking(move || Ok(results.read(&key, &wanted, Instant::now())?)).await?;
        found.map(Bytes::from).ok_or_else(|| no_result(id))
    }

    /// Remove the result called `id`.
    ///
    /// # Errors
    ///
    /// When there is none of this name for this key.
    pub async fn forget_result(&self, principal: &Principal, id: &str) -> Result<(), DispatchError> {
        let (results, key, wanted) = (self.results(principal)?, principal.key.clone(), id.to_owned());
        let forgotten = blocking(move || Ok(results.forget(&key, &wanted, Instant::now()))).await?;
        if forgotten { Ok(()) } else { Err(no_result(id)) }
    }

    fn results(&self, principal: &Principal) -> Result<Results, DispatchError> {
        Action::Call.check(principal)?;
        self.inner.config.results.clone().ok_or(DispatchError::ReadOnly)
    }
}

/// One that another key has is no more there than one that never was.
fn no_result(id: &str) -> DispatchError {
    DispatchError::NotFound { what: "result", name: shown(id), near: Vec::new() }
}
