use std::time::Duration;

use fumehood_model::{ByteSize, Lowered};
use serde::{Deserialize, Serialize};

/// What one call may use at the most.
///
/// The configuration sets the ceiling; a module, a key and a call may each lower a bound and never raise one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Executed instructions, in the engine's units. Host calls burn none, which is why there is a deadline too.
    pub fuel_units: u64,
    /// Wall-clock time in milliseconds, with waiting for a place, compiling, host calls and sleeping.
    pub deadline_ms: u64,
    /// Linear memory and tables, summed over everything that the call instantiates.
    pub memory: ByteSize,
    /// Elements of all tables together.
    pub table_elements: u64,
    /// The JSON of the answer.
    pub result: ByteSize,
    /// Each of standard output and standard error; what is beyond is dropped and marked.
    pub output: ByteSize,
    /// Lines that the guest logs.
    pub log: ByteSize,
    /// What one call can make the server hold beyond the guest's own memory.
    pub host_memory: ByteSize,
    /// Calls of the host: imports, and the engine's own helpers for growing, copying and filling memory.
    pub host_calls: u64,
    /// Bytes that the guest hands to the host, summed: what it writes, logs, keeps and sends. Copying them burns no fuel.
    pub host_bytes: ByteSize,
    /// Handles that the guest holds at a time: streams, descriptors, requests, pollables.
    pub handles: u64,
    /// Random bytes.
    pub random: ByteSize,
    /// Requests to the outside.
    pub http_requests: u64,
    /// Each of a request to the outside and its answer: headers and body.
    pub http_body: ByteSize,
    /// How deep tools that call tools may go.
    pub invoke_depth: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel_units: 1_000_000_000,
            deadline_ms: 30_000,
            memory: ByteSize::mib(64),
            table_elements: 100_000,
            result: ByteSize::mib(8),
            output: ByteSize::kib(64),
            log: ByteSize::kib(64),
            host_memory: ByteSize::mib(16),
            host_calls: 10_000_000,
            host_bytes: ByteSize::gib(1),
            handles: 1_000,
            random: ByteSize::mib(1),
            http_requests: 32,
            http_body: ByteSize::mib(8),
            invoke_depth: 4,
        }
    }
}

/// What is written about one of the [`Limits`] where people look it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Its key below `limits` in the configuration.
    pub key: &'static str,
    /// What it bounds.
    pub of: &'static str,
    /// What happens beyond it: a code with its status, or what else.
    pub beyond: &'static str,
    /// Whether a call can lower it for itself.
    pub lowered_by_call: bool,
}

impl Limits {
    /// Every bound, in the order of the fields.
    pub const BOUNDS: [Bound; 15] = [
        Bound::lowered("fuel_units", "instructions, in units of fuel", "508 `fuel`"),
        Bound::lowered(
            "deadline_ms",
            "milliseconds from arrival to end, with waiting, compiling, host calls, sleeping",
            "504 `deadline`",
        ),
        Bound::lowered("memory", "linear memory, sum of all memories", "507 `memory`"),
        Bound::fixed("table_elements", "table elements, sum of all tables", "507 `memory`"),
        Bound::fixed("result", "JSON of the answer", "507 `result_too_large`"),
        Bound::fixed("output", "standard output and standard error, each", "the rest is dropped and marked"),
        Bound::fixed("log", "lines logged through `wasi:logging`", "the rest is dropped and marked"),
        Bound::fixed("host_memory", "values that the guest hands over", "507 `result_too_large`"),
        Bound::fixed("host_calls", "calls of the host, with the engine's own helpers", "507 `quota_exceeded`"),
        Bound::fixed("host_bytes", "bytes written, logged, stored and sent, sum over the call", "507 `quota_exceeded`"),
        Bound::fixed(
            "handles",
            "handles held at a time: streams, descriptors, requests, pollables",
            "507 `quota_exceeded`",
        ),
        Bound::fixed("random", "random bytes", "507 `quota_exceeded`"),
        Bound::fixed(
            "http_requests",
            "requests to the outside, its own and of tools that it calls",
            "the guest gets an error",
        ),
        Bound::fixed("http_body", "each of a request to the outside and its answer", "the guest gets an error"),
        Bound::fixed("invoke_depth", "tools that call tools that call tools", "the guest gets an error"),
    ];

    /// These limits with those of `lowered` that are lower.
    #[must_use]
    pub fn lowered_by(mut self, lowered: Lowered) -> Self {
        let least = |own: u64, asked: Option<u64>| asked.map_or(own, |asked| own.min(asked));
        self.fuel_units = least(self.fuel_units, lowered.fuel_units);
        self.deadline_ms = least(self.deadline_ms, lowered.deadline_ms);
        self.memory = ByteSize(least(self.memory.0, lowered.memory.map(|size| size.0)));
        self.result = ByteSize(least(self.result.0, lowered.result.map(|size| size.0)));
        self
    }

    /// The deadline as a duration.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

impl Bound {
    const fn fixed(key: &'static str, of: &'static str, beyond: &'static str) -> Self {
        Self { key, of, beyond, lowered_by_call: false }
    }

    const fn lowered(key: &'static str, of: &'static str, beyond: &'static str) -> Self {
        Self { key, of, beyond, lowered_by_call: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_lowers_bounds_and_never_raises_them() {
        let limits = Limits::default();
        let asked =
            Lowered { fuel_units: Some(5), deadline_ms: Some(u64::MAX), memory: Some(ByteSize::gib(9)), result: None };

        let lowered = limits.lowered_by(asked);

        assert_eq!(lowered, Limits { fuel_units: 5, ..limits });
    }
}
