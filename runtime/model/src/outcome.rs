use std::time::Duration;

use serde::Serialize;

use crate::{ByteSize, Code};

/// How a call of a tool ended.
///
/// "The tool said no" and "the sandbox stopped it" are different from each other, and from our own failures, which
/// are never an `Outcome`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The tool answered.
    Value(T),
    /// The tool answered with its own error: the `err` of its `result`.
    ToolError(T),
    /// The sandbox ended the call.
    Stopped(Stopped),
}

/// Why the sandbox ended a call, in words for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Stopped {
    /// Which bound was hit, and what it was.
    #[source]
    pub reason: StopReason,
}

/// Which bound ended a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// Wall-clock time, host calls and sleeping included.
    #[error("the call was stopped at its deadline of {} ms", allowed.as_millis())]
    Deadline {
        /// How long it was allowed to take.
        allowed: Duration,
    },
    /// Memory and tables, summed over the whole call.
    #[error("the call was stopped because it asked for more than {allowed} of memory")]
    Memory {
        /// How much it may have.
        allowed: ByteSize,
    },
    /// Executed instructions.
    #[error("the call was stopped after using its fuel of {allowed} units")]
    Fuel {
        /// How much it may burn.
        allowed: u64,
    },
    /// The tool crashed; `what` is a fixed phrase, never text from the guest.
    #[error("the tool crashed: {what}")]
    Trap {
        /// What kind of crash it was.
        what: &'static str,
    },
    /// The tool tried something that it was not granted.
    #[error("the tool tried something that it was not granted: {what}")]
    Denied {
        /// What it tried.
        what: &'static str,
    },
    /// The caller went away.
    #[error("the call was cancelled")]
    Cancelled,
    /// The answer does not fit into what one call may return.
    #[error("the answer of the tool is larger than {allowed}")]
    ResultTooLarge {
        /// How large it may be.
        allowed: ByteSize,
    },
}

impl StopReason {
    /// The stable code of this reason.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Deadline { .. } => Code::Deadline,
            Self::Memory { .. } => Code::Memory,
            Self::Fuel { .. } => Code::Fuel,
            Self::Trap { .. } => Code::Trap,
            Self::Denied { .. } => Code::Denied,
            Self::Cancelled => Code::Cancelled,
            Self::ResultTooLarge { .. } => Code::ResultTooLarge,
        }
    }
}

/// What one call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Fuel burnt, in units of the engine (about one for each WebAssembly instruction).
    pub fuel_units: u64,
    /// Linear memory and tables held at the most, in bytes.
    pub memory_bytes: u64,
    /// Wall-clock time from admission to the end, in microseconds.
    pub duration_us: u64,
}

/// What a guest wrote to its standard streams, bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The bytes that were kept.
    pub bytes: Vec<u8>,
    /// Whether there was more than was kept.
    pub truncated: bool,
}
