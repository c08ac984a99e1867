use std::time::Instant;

use fumehood_model::Principal;
use fumehood_policy::{Limits, Lowered};
use fumehood_registry::Tool;

use crate::{DispatchError, Dispatcher};

/// A turn of a module that bounds how many of its calls run at a time; nothing for the others.
pub(crate) type Turn = Option<tokio::sync::OwnedSemaphorePermit>;

impl Dispatcher {
    /// What a call of `tool` by `principal` may use: the configuration, lowered by module, key and call.
    #[must_use]
    pub fn effective_limits(&self, principal: &Principal, tool: &Tool, lowered: Lowered) -> Limits {
        self.inner.config.limits.lowered_by(tool.limits).lowered_by(principal.limits).lowered_by(lowered)
    }

    /// Who set the bound of `limit` for a call of `tool` by `principal`: `module`, `key`, `request` or `configuration`.
    /// Nothing for bounds that only the configuration sets.
    #[must_use]
    pub fn set_by(&self, principal: &Principal, tool: &Tool, lowered: Lowered, limit: &str) -> Option<&'static str> {
        let own = |limits: &Lowered| match limit {
            "fuel_units" => limits.fuel_units,
            "deadline_ms" => limits.deadline_ms,
            "memory" => limits.memory.map(|size| size.0),
            "result" => limits.result.map(|size| size.0),
            _ => None,
        };
        let configured = Lowered {
            fuel_units: Some(self.inner.config.limits.fuel_units),
            deadline_ms: Some(self.inner.config.limits.deadline_ms),
            memory: Some(self.inner.config.limits.memory),
            result: Some(self.inner.config.limits.result),
        };
        let all =
            [("configuration", configured), ("module", tool.limits), ("key", principal.limits), ("request", lowered)];
        let bounds = all.into_iter().filter_map(|(who, limits)| Some((who, own(&limits)?)));
        // Of two that are equal the first has set it: the other did not lower it.
        bounds.min_by_key(|(_, bound)| *bound).map(|(who, _)| who)
    }

    /// The turn of a call of `tool`, waited for until `deadline`.
    pub(crate) async fn turn(&self, tool: &Tool, limits: &Limits, deadline: Instant) -> Result<Turn, DispatchError> {
        let Some(turns) = &tool.turns else { return Ok(None) };
        let waiting = tokio::time::timeout_at(deadline.into(), turns.take());
        let turn = waiting.await.map_err(|_| DispatchError::WaitedTooLong { waited: limits.deadline() })?;
        turn.map(Some).ok_or_else(|| DispatchError::ModuleBusy { module: tool.module.clone() })
    }
}
