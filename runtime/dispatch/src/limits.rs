use std::time::Instant;

use fumehood_policy::Limits;
use fumehood_registry::Tool;

use crate::{DispatchError, Dispatcher};

/// A turn of a module that bounds how many of its calls run at a time; nothing for the others.
pub(crate) type Turn = Option<tokio::sync::OwnedSemaphorePermit>;

impl Dispatcher {
    /// The turn of a call of `tool`, waited for until `deadline`.
    pub(crate) async fn turn(&self, tool: &Tool, limits: &Limits, deadline: Instant) -> Result<Turn, DispatchError> {
        let Some(turns) = &tool.turns else { return Ok(None) };
        let waiting = tokio::time::timeout_at(deadline.into(), turns.take());
        let turn = waiting.await.map_err(|_| DispatchError::WaitedTooLong { waited: limits.deadline() })?;
        turn.map(Some).ok_or_else(|| DispatchError::ModuleBusy { module: tool.module.clone() })
    }
}
