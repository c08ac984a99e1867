use std::time::Duration;

use fumehood_model::{Bound, ByteSize, Lowered};
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
    /// Linear memory, summed over everything that the call instantiates.
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
pub struct BoundNote {
    /// Which.
    pub bound: Bound,
    /// What it bounds.
    pub of: &'static str,
    /// What happens beyond it: a code with its status, or what else.
    pub beyond: &'static str,
}

impl BoundNote {
    const fn new(bound: Bound, of: &'static str, beyond: &'static str) -> Self {
        Self { bound, of, beyond }
    }
}

impl Limits {
    /// Every bound, in the order of the fields.
    pub const NOTES: [BoundNote; Bound::ALL.len()] = [
        BoundNote::new(Bound::FuelUnits, "instructions, in units of fuel", "508 `fuel`"),
        BoundNote::new(
            Bound::DeadlineMs,
            "milliseconds from arrival to end, with waiting, compiling, host calls, sleeping",
            "504 `deadline`",
        ),
        BoundNote::new(Bound::Memory, "linear memory, sum of all memories", "507 `memory`"),
        BoundNote::new(Bound::TableElements, "table elements, sum of all tables", "507 `memory`"),
        BoundNote::new(Bound::Result, "JSON of the answer", "507 `result_too_large`"),
        BoundNote::new(Bound::Output, "standard output and standard error, each", "the rest is dropped and marked"),
        BoundNote::new(Bound::Log, "lines logged through `wasi:logging`", "the rest is dropped and marked"),
        BoundNote::new(
            Bound::HostMemory,
            "values that the guest hands over, and what is held for it",
            "507 `quota_exceeded`",
        ),
        BoundNote::new(Bound::HostCalls, "calls of the host, with the engine's own helpers", "507 `quota_exceeded`"),
        BoundNote::new(
            Bound::HostBytes,
            "bytes written, logged, stored and sent, sum over the call",
            "507 `quota_exceeded`",
        ),
        BoundNote::new(
            Bound::Handles,
            "handles held at a time: streams, descriptors, requests, pollables",
            "507 `quota_exceeded`",
        ),
        BoundNote::new(Bound::Random, "random bytes", "507 `quota_exceeded`"),
        BoundNote::new(
            Bound::HttpRequests,
            "requests to the outside, its own and of tools that it calls",
            "the guest gets an error; the caller reads `details.reached`",
        ),
        BoundNote::new(
            Bound::HttpBody,
            "each of a request to the outside and its answer",
            "the guest gets an error; the caller reads `details.reached`",
        ),
        BoundNote::new(
            Bound::InvokeDepth,
            "tools that call tools that call tools",
            "the guest gets an error; the caller reads `details.reached`",
        ),
    ];

    /// What `bound` allows.
    #[must_use]
    pub fn get(&self, bound: Bound) -> u64 {
        match bound {
            Bound::FuelUnits => self.fuel_units,
            Bound::DeadlineMs => self.deadline_ms,
            Bound::Memory => self.memory.0,
            Bound::TableElements => self.table_elements,
            Bound::Result => self.result.0,
            Bound::Output => self.output.0,
            Bound::Log => self.log.0,
            Bound::HostMemory => self.host_memory.0,
            Bound::HostCalls => self.host_calls,
            Bound::HostBytes => self.host_bytes.0,
            Bound::Handles => self.handles,
            Bound::Random => self.random.0,
            Bound::HttpRequests => self.http_requests,
            Bound::HttpBody => self.http_body.0,
            Bound::InvokeDepth => self.invoke_depth,
        }
    }

    /// These limits with those of `lowered` that are lower.
    #[must_use]
    pub fn lowered_by(mut self, lowered: &Lowered) -> Self {
        for (bound, most) in lowered.iter() {
            let own = self.get_mut(bound);
            *own = (*own).min(most);
        }
        self
    }

    /// Those of `lowered` that lower anything here.
    #[must_use]
    pub fn in_force(&self, lowered: &Lowered) -> Lowered {
        let lower = lowered.iter().filter(|(bound, most)| *most < self.get(*bound));
        lower.fold(Lowered::default(), |lower, (bound, most)| lower.with(bound, most))
    }

    fn get_mut(&mut self, bound: Bound) -> &mut u64 {
        match bound {
            Bound::FuelUnits => &mut self.fuel_units,
            Bound::DeadlineMs => &mut self.deadline_ms,
            Bound::Memory => &mut self.memory.0,
            Bound::TableElements => &mut self.table_elements,
            Bound::Result => &mut self.result.0,
            Bound::Output => &mut self.output.0,
            Bound::Log => &mut self.log.0,
            Bound::HostMemory => &mut self.host_memory.0,
            Bound::HostCalls => &mut self.host_calls,
            Bound::HostBytes => &mut self.host_bytes.0,
            Bound::Handles => &mut self.handles,
            Bound::Random => &mut self.random.0,
            Bound::HttpRequests => &mut self.http_requests,
            Bound::HttpBody => &mut self.http_body.0,
            Bound::InvokeDepth => &mut self.invoke_depth,
        }
    }

    /// The deadline as a duration.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_lowers_bounds_and_never_raises_them() {
        let limits = Limits::default();
        let asked = Lowered::default().with(Bound::FuelUnits, 5).with(Bound::Memory, limits.memory.0 + 1);

        assert_eq!(limits.lowered_by(&asked), Limits { fuel_units: 5, ..limits });
    }

    #[test]
    fn every_bound_can_be_lowered_on_its_own() {
        for bound in Bound::ALL {
            let lowered = Limits::default().lowered_by(&Lowered::default().with(bound, 1));

            let changed = Bound::ALL.into_iter().filter(|other| lowered.get(*other) != Limits::default().get(*other));
            assert_eq!((changed.collect::<Vec<_>>(), lowered.get(bound)), (vec![bound], 1));
        }
    }
}
