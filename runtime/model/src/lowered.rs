use serde::{Deserialize, Serialize};

use crate::ByteSize;

/// Bounds that a module, a key or a call sets for itself; each can only lower what the configuration allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lowered {
    /// Executed instructions, in the engine's units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel_units: Option<u64>,
    /// Wall-clock time in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Memory and tables together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// The JSON of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<ByteSize>,
}

impl Lowered {
    /// The lower of both, bound by bound.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let lower = |one: Option<u64>, two: Option<u64>| one.into_iter().chain(two).min();
        let size = |one: Option<ByteSize>, two: Option<ByteSize>| one.into_iter().chain(two).min();
        Self {
            fuel_units: lower(self.fuel_units, other.fuel_units),
            deadline_ms: lower(self.deadline_ms, other.deadline_ms),
            memory: size(self.memory, other.memory),
            result: size(self.result, other.result),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_bounds_the_lower_one_holds() {
        let one = Lowered { fuel_units: Some(5), deadline_ms: Some(7), ..Lowered::default() };
        let two = Lowered { fuel_units: Some(3), memory: Some(ByteSize(9)), ..Lowered::default() };

        let both = Lowered { fuel_units: Some(3), deadline_ms: Some(7), memory: Some(ByteSize(9)), result: None };
        assert_eq!((one.and(two), two.and(one)), (both, both));
    }
}
