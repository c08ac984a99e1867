use std::time::Instant;

use fumehood_model::Bound;
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
        self.configuration.lowered_by(&self.module.and(self.key).and(self.request))
    }

    /// Who has set `bound` to what it allows: `configuration`, `module`, `key` or `request`.
    pub(crate) fn set_by(&self, (bound, allowed): (Bound, u64)) -> Option<&'static str> {
        // Of two that are equal the first has set it: the other did not lower it.
        if self.configuration.get(bound) == allowed {
            return Some("configuration");
        }
        let others = [("module", self.module), ("key", self.key), ("request", self.request)];
        others.iter().find(|(_, lowered)| lowered.get(bound) == Some(allowed)).map(|(who, _)| *who)
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
    use super::*;

    #[test]
    fn who_has_set_a_bound_is_who_lowered_it_first() {
        let configuration = Limits { fuel_units: 9, deadline_ms: 1_000, ..Limits::default() };
        let bounds = Bounds {
            configuration,
            module: Lowered::default().with(Bound::DeadlineMs, 5_000).with(Bound::Memory, 7),
            key: Lowered::default().with(Bound::FuelUnits, 5).with(Bound::Memory, 7),
            request: Lowered::default().with(Bound::FuelUnits, 5).with(Bound::Random, 3),
        };
        let limits = bounds.lowest();

        let set_by = |bound| bounds.set_by((bound, limits.get(bound)));
        assert_eq!(set_by(Bound::FuelUnits), Some("key"));
        assert_eq!(set_by(Bound::DeadlineMs), Some("configuration"));
        assert_eq!(set_by(Bound::Memory), Some("module"));
        assert_eq!(set_by(Bound::Random), Some("request"));
        assert_eq!(set_by(Bound::Result), Some("configuration"));
        assert_eq!(bounds.set_by((Bound::DeadlineMs, 2_000)), None);
    }
}
