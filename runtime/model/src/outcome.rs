use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Bound, ByteSize, Code, Unit};

/// How a call of a tool ended.
///
/// "The tool said no" and "the sandbox stopped it" are different from each other, and from our own failures, which
/// are never an `Outcome`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome<T> {
    /// The tool answered.
    Value(T),
    /// The tool answered with its own error: the `err` of its `result`.
    ToolError(T),
    /// The sandbox ended the call.
    Stopped(Stopped),
}

/// Why the sandbox ended a call, in words for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}")]
pub struct Stopped {
    /// Which bound was hit, and what it was.
    #[source]
    pub reason: StopReason,
}

/// Which bound ended a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StopReason {
    /// Wall-clock time, host calls and sleeping included.
    #[error("the call was stopped at its deadline of {} ms", allowed.as_millis())]
    Deadline {
        /// How long it was allowed to take.
        allowed: Duration,
    },
    /// Linear memory, summed over the whole call.
    #[error("the call was stopped because it asked for more than {allowed} of memory")]
    Memory {
        /// How much it may have.
        allowed: ByteSize,
    },
    /// Elements of tables, summed over the whole call.
    #[error("the call was stopped because it asked for more than {allowed} elements of tables")]
    TableElements {
        /// How many it may have.
        allowed: u64,
    },
    /// Executed instructions.
    #[error("the call was stopped after using its fuel of {allowed} units")]
    Fuel {
        /// How much it may burn.
        allowed: u64,
    },
    /// The tool crashed.
    #[error("the tool crashed: {crash}")]
    Trap {
        /// What kind of crash it was.
        crash: Crash,
    },
    /// The tool failed after it was refused something that it was not granted.
    #[error("the tool needs {what}, which it was not granted: ask an administrator of this server to review it")]
    Denied {
        /// What kind of thing it tried to reach: `http`, `secret`, never where or which.
        what: String,
    },
    /// The tool failed after it had reached a bound that does not end a call.
    #[error("the tool crashed after it had reached its {reached}")]
    Refused {
        /// What refused it something.
        reached: Reached,
    },
    /// Calls of the host.
    #[error("the call was stopped after calling its host {allowed} times")]
    HostCalls {
        /// How often it may.
        allowed: u64,
    },
    /// Bytes handed to the host, summed over the call.
    #[error("the call was stopped after handing {allowed} to its host")]
    HostBytes {
        /// How many it may hand over.
        allowed: ByteSize,
    },
    /// Handles held at a time.
    #[error("the call was stopped because it held more than {allowed} handles")]
    Handles {
        /// How many it may hold.
        allowed: u64,
    },
    /// What it made its host hold beside its own memory.
    #[error("the call was stopped because it made its host hold more than {allowed}")]
    HostMemory {
        /// How much that may be.
        allowed: ByteSize,
    },
    /// Random bytes.
    #[error("the call was stopped after drawing {allowed} of random bytes")]
    Random {
        /// How many it may draw.
        allowed: ByteSize,
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

/// How a tool crashed. Fixed phrases: text of a guest never gets here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Crash {
    /// Its stack was full.
    #[error("it ran out of stack, usually by endless recursion")]
    Stack,
    /// It panicked.
    #[error("it panicked or reached code that it declared unreachable")]
    Unreachable,
    /// A memory access outside of its memory.
    #[error("it accessed memory out of bounds")]
    Memory,
    /// A table access outside of its table.
    #[error("it accessed a table out of bounds")]
    Table,
    /// A call through a pointer to nothing, or to something else.
    #[error("it called a function that is not there")]
    Function,
    /// An integer became too large.
    #[error("an integer overflowed")]
    Overflow,
    /// A division by zero.
    #[error("it divided by zero")]
    Division,
    /// A float became an integer that cannot hold it.
    #[error("it converted a float that no integer can hold")]
    Conversion,
    /// Anything else that WebAssembly forbids.
    #[error("it broke the rules of WebAssembly")]
    Rules,
    /// It ended itself, as if all were well.
    #[error("it exited before it answered")]
    Exit,
    /// It ended itself with a failure.
    #[error("it exited with a failure before it answered")]
    ExitFailure,
    /// What it passed to the host, or gave back, is not a value of the type that it declared.
    #[error("what it handed over was not a valid value of its type")]
    Value,
    /// The process that it ran in ended: it, or another tool in the same process, brought the runtime down.
    #[error("the process that it ran in ended, because of it or of a tool beside it")]
    Process,
}

impl StopReason {
    /// The stable code of this reason.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Deadline { .. } => Code::Deadline,
            Self::Memory { .. } | Self::TableElements { .. } => Code::Memory,
            Self::Fuel { .. } => Code::Fuel,
            Self::Trap { .. } => Code::Trap,
            Self::Denied { .. } => Code::Denied,
            Self::Cancelled => Code::Cancelled,
            Self::ResultTooLarge { .. } => Code::ResultTooLarge,
            Self::HostCalls { .. }
            | Self::HostBytes { .. }
            | Self::Handles { .. }
            | Self::HostMemory { .. }
            | Self::Random { .. }
            | Self::Refused { .. } => Code::QuotaExceeded,
        }
    }

    /// The bound that was hit and what it allows, if it is one.
    #[must_use]
    pub fn limit(&self) -> Option<(Bound, u64)> {
        Some(match self {
            Self::Deadline { allowed } => (Bound::DeadlineMs, u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX)),
            Self::Memory { allowed } => (Bound::Memory, allowed.0),
            Self::Fuel { allowed } => (Bound::FuelUnits, *allowed),
            Self::ResultTooLarge { allowed } => (Bound::Result, allowed.0),
            Self::HostCalls { allowed } => (Bound::HostCalls, *allowed),
            Self::HostBytes { allowed } => (Bound::HostBytes, allowed.0),
            Self::Handles { allowed } => (Bound::Handles, *allowed),
            Self::HostMemory { allowed } => (Bound::HostMemory, allowed.0),
            Self::Random { allowed } => (Bound::Random, allowed.0),
            Self::TableElements { allowed } => (Bound::TableElements, *allowed),
            Self::Refused { reached } => return reached.limit(),
            Self::Trap { .. } | Self::Denied { .. } | Self::Cancelled => return None,
        })
    }

    /// How much of [`StopReason::limit`] was used, where that is known better than "all of it".
    #[must_use]
    pub fn used(&self, usage: &Usage) -> Option<u64> {
        match self {
            Self::Deadline { .. } => Some(usage.duration_us / 1_000),
            // Tables are counted in what was used, and have a bound of their own.
            Self::Memory { allowed } => Some(usage.memory_bytes.min(allowed.0)),
            Self::Fuel { allowed }
            | Self::TableElements { allowed }
            | Self::HostCalls { allowed }
            | Self::Handles { allowed }
            | Self::Refused { reached: Reached::Bound { allowed, .. } } => Some(*allowed),
            Self::HostBytes { allowed }
            | Self::HostMemory { allowed }
            | Self::Random { allowed }
            | Self::ResultTooLarge { allowed } => Some(allowed.0),
            Self::Refused { reached: Reached::Quota { .. } }
            | Self::Trap { .. }
            | Self::Denied { .. }
            | Self::Cancelled => None,
        }
    }
}

/// A bound that refused a tool something while its call went on: the tool was told, and may have coped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Reached {
    /// A bound of the call.
    #[error("bound of {}", shown(*bound, *allowed))]
    Bound {
        /// Which one.
        bound: Bound,
        /// What it allows.
        allowed: u64,
    },
    /// The quota of something that lasts.
    #[error("quota of {allowed} for {of}")]
    Quota {
        /// What kind of thing it is of: `keyvalue`, `files`, `scratch`.
        of: String,
        /// What it allows, as grants are written: `bytes=4KiB`.
        allowed: String,
    },
}

impl Reached {
    /// The bound and what it allows, if it is one of the call.
    #[must_use]
    pub fn limit(&self) -> Option<(Bound, u64)> {
        match self {
            Self::Bound { bound, allowed } => Some((*bound, *allowed)),
            Self::Quota { .. } => None,
        }
    }
}

fn shown(bound: Bound, allowed: u64) -> String {
    match bound.unit() {
        Unit::Bytes => format!("{} for {}", ByteSize(allowed), bound.key()),
        Unit::Count => format!("{allowed} for {}", bound.key()),
    }
}

/// What one call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Fuel burnt, in units of the engine (about one for each WebAssembly instruction).
    pub fuel_units: u64,
    /// Linear memory and tables held at the most, in bytes.
    pub memory_bytes: u64,
    /// Wall-clock time from admission to the end, in microseconds.
    pub duration_us: u64,
}

/// What a guest wrote to its standard streams, bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// The bytes that were kept.
    pub bytes: Vec<u8>,
    /// Whether there was more than was kept.
    pub truncated: bool,
}
