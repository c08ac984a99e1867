//! The zoo: components that attack the server, and how exactly each attack must end.
//!
//! Each file of `guests/hostile` and `guests/wat` is one [`Guest`]; what would be too large for a file is a [`Bomb`], made
//! when it is needed. A guest that has no row here does not compile.

mod bombs;
mod bytes;
mod rows;

use serde_json::Value;

pub use bombs::Bomb;

include!(concat!(env!("OUT_DIR"), "/zoo.rs"));

/// The bounds of the server in which the zoo is let loose, as configuration: lower than the defaults where that makes
/// an attack end sooner, and without a bound on fuel, which each attack sets for itself.
pub const SETTINGS: [(&str, &str); 6] = [
    ("limits.fuel_units", "1000000000000"),
    ("limits.memory", "16 MiB"),
    ("limits.result", "1 MiB"),
    ("limits.host_calls", "50000"),
    ("limits.host_bytes", "256 MiB"),
    ("concurrency.calls", "8"),
];

/// Fuel of an attack that does not say otherwise.
pub const FUEL: u64 = 20_000_000;

/// Deadline of an attack that does not say otherwise, in milliseconds: later than any of them on a busy machine.
pub const DEADLINE_MS: u64 = 120_000;

/// What becomes of a component.
#[derive(Debug, Clone)]
pub enum Fate {
    /// The upload is answered with this status and code, and a message that starts with one of these.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The stable code.
        code: &'static str,
        /// How the message may start; a bomb may go off in one of several ways.
        messages: &'static [&'static str],
    },
    /// The upload is accepted, and these calls are made, one after another.
    Attacks(Vec<Attack>),
}

/// One call of a hostile guest.
#[derive(Debug, Clone)]
pub struct Attack {
    /// Which function.
    pub function: &'static str,
    /// Its arguments.
    pub arguments: Value,
    /// What it may burn.
    pub fuel: u64,
    /// How long it may take, in milliseconds.
    pub deadline_ms: u64,
    /// How it must end.
    pub end: End,
}

/// How a call must end.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// With this value: the attack achieved nothing.
    Value(Value),
    /// With this error of the tool itself.
    ToolError(Value),
    /// The sandbox stopped it.
    Stopped(Stop),
}

/// What stopped a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It burnt its fuel.
    Fuel,
    /// Its time was over.
    Deadline,
    /// It asked for more memory than it may have.
    Memory,
    /// Its answer was too large.
    Result,
    /// It called the host too often.
    HostCalls,
    /// It handed too much to the host.
    HostBytes,
    /// It held too many handles.
    Handles,
    /// It drew too many random bytes.
    Random,
    /// It crashed in this way.
    Crash(&'static str),
}

impl Guest {
    /// The component.
    ///
    /// # Panics
    ///
    /// When its text is no WebAssembly text.
    #[must_use]
    pub fn component(self) -> Vec<u8> {
        self.parse().unwrap_or_else(|error| panic!("{}: {error}", self.name()))
    }

    /// The component, if its text is WebAssembly text.
    ///
    /// # Errors
    ///
    /// When it is not: where, and why.
    pub fn parse(self) -> Result<Vec<u8>, wat::Error> {
        wat::parse_str(self.text())
    }
}

impl Attack {
    /// The headers that set the bounds of this attack.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, String); 2] {
        [("fumehood-max-fuel", self.fuel.to_string()), ("fumehood-deadline-ms", self.deadline_ms.to_string())]
    }
}

impl Stop {
    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Fuel => 508,
            Self::Deadline => 504,
            Self::Memory | Self::Result | Self::HostCalls | Self::HostBytes | Self::Handles | Self::Random => 507,
            Self::Crash(_) => 502,
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Result => "result_too_large",
            Self::HostCalls | Self::HostBytes | Self::Handles | Self::Random => "quota_exceeded",
            Self::Crash(_) => "trap",
        }
    }

    /// The bound that was hit, by its name in the configuration, and what it allowed this attack.
    #[must_use]
    pub fn limit(self, attack: &Attack) -> Option<(&'static str, u64)> {
        match self {
            Self::Fuel => Some(("fuel_units", attack.fuel)),
            Self::Deadline => Some(("deadline_ms", attack.deadline_ms)),
            Self::Memory => Some(("memory", 16 << 20)),
            Self::Result => Some(("result", 1 << 20)),
            Self::HostCalls => Some(("host_calls", 50_000)),
            Self::HostBytes => Some(("host_bytes", 256 << 20)),
            Self::Handles => Some(("handles", 1_000)),
            Self::Random => Some(("random", 1 << 20)),
            Self::Crash(_) => None,
        }
    }

    /// The sentence for people.
    #[must_use]
    pub fn message(self, attack: &Attack) -> String {
        match self {
            Self::Fuel => format!("the call was stopped after using its fuel of {} units", attack.fuel),
            Self::Deadline => format!("the call was stopped at its deadline of {} ms", attack.deadline_ms),
            Self::Memory => "the call was stopped because it asked for more than 16 MiB of memory".to_owned(),
            Self::Result => "the answer of the tool is larger than 1 MiB".to_owned(),
            Self::HostCalls => "the call was stopped after calling its host 50000 times".to_owned(),
            Self::HostBytes => "the call was stopped after handing 256 MiB to its host".to_owned(),
            Self::Handles => "the call was stopped because it held more than 1000 handles".to_owned(),
            Self::Random => "the call was stopped after drawing 1 MiB of random bytes".to_owned(),
            Self::Crash(how) => format!("the tool crashed: {how}"),
        }
    }
}
