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
