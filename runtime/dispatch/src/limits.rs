use std::time::Instant;

use fumehood_model::StopReason;
use fumehood_policy::{Limits, Lowered};
use fumehood_registry::Tool;

use crate::{DispatchError, Dispatcher};

/// A turn of a module that bounds how many of its calls run at a time; nothing for the others.
pub(crate) type Turn = Option<tokio::sync::OwnedSemaphorePermit>;

/// The bounds of one call, by who has set them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) configuration: Limits,
    pub(crate) module: Lowered,
    pub(crate) key: Lowered,
    pub(crate) request: Lowered,
}

impl Bounds {
    /// The lowest of each.
    pub(crate) fn lowest(&self) -> Limits {
        self.configuration.lowered_by(self.module).lowered_by(self.key).lowered_by(self.request)
    }

    /// Who has set the bound that `reason` tells of: `configuration`, `module`, `key` or `request`. Nothing for bounds that
    /// only the configuration sets.
    pub(crate) fn set_by(&self, reason: &StopReason) -> Option<&'static str> {
        let (limit, allowed) = reason.limit()?;
        let own = |limits: &Lowered| match limit {
            "fuel_units" => limits.fuel_units,
            "deadline_ms" => limits.deadline_ms,
            "memory" => limits.memory.map(|size| size.0),
            "result" => limits.result.map(|size| size.0),
            _ => None,
        };
        let Limits { fuel_units, deadline_ms, memory, result, .. } = self.configuration;
        let configured = Lowered {
            fuel_units: Some(fuel_units),
            deadline_ms: Some(deadline_ms),
            memory: Some(memory),
            result: Some(result),
        };
        // Of two that are equal the first has set it: the other did not lower it.
        let all =
            [("configuration", configured), ("module", self.module), ("key", self.key), ("request", self.request)];
        all.iter().find(|(_, limits)| own(limits) == Some(allowed)).map(|(who, _)| *who)
    }
}

impl Dispatcher {
    /// The turn of a call of `tool`, waited for until `deadline`.
    pub(crate) async fn turn(&self, tool: &Tool, limits: &Limits, deadline: Instant) -> Result<Turn, DispatchError> {
        let Some(turns) = &tool.turns else { return Ok(None) };
        let waiting = tokio::time::timeout_at(deadline.into(), turns.take());
        let turn = waiting.await.map_err(|_| DispatchError::WaitedTooLong { waited: limits.deadline() })?;
        turn.map(Some).ok_or_else(|| DispatchError::ModuleBusy { module: tool.module.clone() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fumehood_model::ByteSize;

    use super::*;

    #[test]
    fn who_has_set_a_bound_is_who_lowered_it_first() {
        let configuration = Limits { fuel_units: 9, deadline_ms: 1_000, ..Limits::default() };
        let bounds = Bounds {
            configuration,
            module: Lowered { deadline_ms: Some(5_000), memory: Some(ByteSize(7)), ..Lowered::default() },
            key: Lowered { fuel_units: Some(5), memory: Some(ByteSize(7)), ..Lowered::default() },
            request: Lowered { fuel_units: Some(5), result: Some(ByteSize(3)), ..Lowered::default() },
        };
        let limits = bounds.lowest();

        assert_eq!(bounds.set_by(&StopReason::Fuel { allowed: limits.fuel_units }), Some("key"));
        assert_eq!(bounds.set_by(&StopReason::Deadline { allowed: limits.deadline() }), Some("configuration"));
        assert_eq!(bounds.set_by(&StopReason::Memory { allowed: limits.memory }), Some("module"));
        assert_eq!(bounds.set_by(&StopReason::ResultTooLarge { allowed: limits.result }), Some("request"));
        assert_eq!(bounds.set_by(&StopReason::Deadline { allowed: Duration::from_secs(2) }), None);
        assert_eq!(bounds.set_by(&StopReason::Cancelled), None);
    }
}
