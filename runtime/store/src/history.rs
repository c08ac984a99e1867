//! What was called, by whom, and how it went.

mod sqlite;

use fumehood_model::{Code, Digest, JobId, KeyId, Timestamp, Usage};

use crate::Verb;

/// Most calls over which figures are taken: the newest that fit.
///
/// Percentiles are exact, for which all durations are sorted: of 200,000 calls in half a second.
pub const STATISTICS_WINDOW: usize = 200_000;

/// The history of calls in a durable store.
pub trait History: Send + Sync + 'static {
    /// Add calls. Loses nothing that it has answered for.
    fn record(&self, calls: Vec<CallRecord>) -> Verb<'_, ()>;

    /// Calls, the newest first.
    fn calls(&self, filter: CallFilter) -> Verb<'_, Vec<StoredCall>>;

    /// Figures for each tool, by name: of the newest calls that fit, at most `most` or, if that is zero,
    /// [`STATISTICS_WINDOW`].
    fn statistics(&self, filter: CallFilter) -> Verb<'_, Vec<ToolStatistics>>;

    /// Forget calls that began before, and what stands `keep` places or more behind the newest one, in all at most
    /// `most`; how many.
    ///
    /// Never more than `keep` are left when this forgets fewer than `most`. If places between them are empty, fewer may be.
    fn prune_calls(&self, before: Timestamp, keep: u64, most: usize) -> Verb<'_, u64>;
}

/// One call that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// When it arrived.
    pub at: Timestamp,
    /// The tool, as MCP names it.
    pub tool: String,
    /// The component.
    pub digest: Digest,
    /// The key that called.
    pub key: KeyId,
    /// By which way: `rest`, `mcp`, `job`, `tool`.
    pub via: String,
    /// What became of it: none for a value, else the code of the failure.
    pub code: Option<Code>,
    /// What it used; the duration counts from its arrival.
    pub usage: Usage,
    /// The job that it was an attempt of.
    pub job: Option<JobId>,
}

/// A call with its place in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCall {
    /// Grows from call to call.
    pub seq: u64,
    /// The call.
    pub call: CallRecord,
}

/// Which calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// Only of this tool.
    pub tool: Option<String>,
    /// Only of this key.
    pub key: Option<KeyId>,
    /// Only with this outcome: `ok`, `error` for any failure, or the code of one.
    pub outcome: Option<String>,
    /// Only what arrived at or after.
    pub since: Option<Timestamp>,
    /// Only what arrived before.
    pub until: Option<Timestamp>,
    /// Only what stands before this one.
    pub before: Option<u64>,
    /// Most calls.
    pub most: usize,
}

/// Figures of a tool over the calls that were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolStatistics {
    /// The tool.
    pub tool: String,
    /// Calls.
    pub calls: u64,
    /// Calls that did not end with a value.
    pub errors: u64,
    /// Durations in microseconds, of which half, 95 % and 99 % of the calls took no longer.
    pub p50_us: u64,
    /// See [`ToolStatistics::p50_us`].
    pub p95_us: u64,
    /// See [`ToolStatistics::p50_us`].
    pub p99_us: u64,
    /// Fuel of all calls together.
    pub fuel_units: u64,
    /// Most memory that one of them held.
    pub max_memory_bytes: u64,
    /// When the last one arrived.
    pub last_at: Timestamp,
}
