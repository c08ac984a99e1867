//! What was called, and figures over it.

use axum::{
    Json,
    extract::State as Shared,
    response::{IntoResponse, Response},
};
use fumehood_dispatch::{CallFilter, Dispatcher, StoredCall, ToolStatistics};
use fumehood_http::{Caller, Problem, Query};
use fumehood_model::{Code, Digest, JobId, KeyId, Principal, Timestamp, TimestampError};
use http::{HeaderMap, HeaderValue, header};
use serde::{
    Deserialize, Serialize,
    de::{IntoDeserializer, value::Error as ValueError},
};
use utoipa::{IntoParams, ToSchema};

use crate::{
    calls::is_accepted,
    jobs::{malformed, tool},
    tools::UsageEntry,
};

/// Most calls on one page.
const MAX_LIMIT: usize = 10_000;

const CSV: &str = "text/csv";

/// Which calls to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selection {
    /// Only of this tool, as `calculator.add` or `calculator__add`.
    tool: Option<String>,
    /// Only of the key with this id, for administrators.
    key: Option<String>,
    /// Only with this outcome: `ok`, `error` for any failure, or the code of one.
    outcome: Option<String>,
    /// Only what arrived at this moment or later.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only what arrived before this moment.
    #[param(format = DateTime)]
    until: Option<String>,
    /// Only those after this one in the list, as `next` of the page before says.
    before: Option<u64>,
    /// Calls on a page, at most 10,000; 100 unless said.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
}

/// Over which calls to take figures. There are no pages here: what is not left out by one of these counts.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scope {
    /// Only of this tool, as `calculator.add` or `calculator__add`.
    tool: Option<String>,
    /// Only of the key with this id, for administrators.
    key: Option<String>,
    /// Only with this outcome: `ok`, `error` for any failure, or the code of one.
    outcome: Option<String>,
    /// Only what arrived at this moment or later.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only what arrived before this moment.
    #[param(format = DateTime)]
    until: Option<String>,
}

/// One page of calls.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallList {
    /// The newest first.
    calls: Vec<CallEntry>,
    /// Where the next page begins: its parameter `before`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// A call that has ended, or did not take place.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallEntry {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    tool: String,
    /// Id of the key that called.
    key: String,
    /// By which way: `rest`, `mcp`, `tool`, `job`, `local`.
    via: String,
    /// `ok`, or the code of the failure.
    outcome: String,
    #[schema(value_type = String)]
    digest: Digest,
    /// The job that it was an attempt of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    job: Option<JobId>,
    usage: UsageEntry,
}

/// Figures for each tool.
#[derive(Serialize, ToSchema)]
pub(crate) struct Statistics {
    tools: Vec<StatisticsEntry>,
}

/// Figures of a tool.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatisticsEntry {
    tool: String,
    calls: u64,
    /// Calls that did not end with a value.
    errors: u64,
    /// Their share, from 0 to 1.
    error_rate: f64,
    /// Microseconds that half of the calls took at the most.
    p50_us: u64,
    p95_us: u64,
    p99_us: u64,
    /// Fuel of all calls together.
    fuel_units: u64,
    /// Most memory that one of them held.
    max_memory_bytes: u64,
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
}

/// List calls, the newest first; as CSV for who accepts `text/csv`. A key sees its own calls, an administrator those of all.
#[utoipa::path(get, path = "/api/v1/calls", tag = "history", operation_id = "listCalls", params(Selection), responses(
    (status = 200, description = "One page of calls", content((CallList = "application/json"), (String = "text/csv"))),
))]
pub(crate) async fn calls(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Query(selection): Query<Selection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = selection.limit.unwrap_or(100);
    if limit == 0 || limit > MAX_LIMIT {
        return Err(malformed(&format!("limit is from 1 to {MAX_LIMIT}")));
    }
    let Selection { tool, key, outcome, since, until, before, .. } = selection;
    let fits = Scope { tool, key, outcome, since, until }.filter(&door, &principal)?;
    let calls = door.calls(&principal, CallFilter { before, most: limit, ..fits }).await?;
    let next = calls.last().filter(|_| calls.len() == limit).map(|last| last.seq);
    let calls: Vec<_> = calls.into_iter().map(CallEntry::from).collect();
    if is_accepted(&headers, CSV) {
        let mut response = csv(&calls).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
        return Ok(response);
    }
    Ok(Json(CallList { calls, next }).into_response())
}

/// Counts, error rates, durations and fuel of each tool over the calls that are kept, of the newest 200,000 that fit.
#[utoipa::path(get, path = "/api/v1/statistics", tag = "history", operation_id = "statistics", params(Scope), responses(
    (status = 200, description = "Figures for each tool", body = Statistics),
))]
pub(crate) async fn statistics(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Query(scope): Query<Scope>,
) -> Result<Json<Statistics>, Problem> {
    let tools = door.statistics(&principal, scope.filter(&door, &principal)?).await?;
    Ok(Json(Statistics { tools: tools.into_iter().map(StatisticsEntry::from).collect() }))
}

impl Scope {
    fn filter(self, door: &Dispatcher, principal: &Principal) -> Result<CallFilter, Problem> {
        if let Some(outcome) = &self.outcome {
            check_outcome(outcome)?;
        }
        Ok(CallFilter {
            tool: self.tool.map(|text| tool::written_down(door, principal, &text)).transpose()?,
            key: self.key.map(|key| KeyId(key.into())),
            outcome: self.outcome,
            since: moment("since", self.since.as_deref())?,
            until: moment("until", self.until.as_deref())?,
            ..CallFilter::default()
        })
    }
}

/// Whether anything can end like this.
fn check_outcome(outcome: &str) -> Result<(), Problem> {
    if matches!(outcome, "ok" | "error") {
        return Ok(());
    }
    let Err(error) = Code::deserialize(IntoDeserializer::<ValueError>::into_deserializer(outcome)) else {
        return Ok(());
    };
    // What reads codes knows all of them, and names them.
    let error = error.to_string();
    let codes = error.rsplit_once("expected one of ").map_or("of a failure", |(_, codes)| codes);
    let outcome: String = outcome.chars().take(80).flat_map(char::escape_debug).collect();
    Err(malformed(&format!(
        "outcome: `{outcome}` is none; it is `ok`, `error` for any failure, or one of the codes {codes}"
    )))
}

fn moment(parameter: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    text.map(str::parse).transpose().map_err(|error: TimestampError| malformed(&format!("{parameter}: {error}")))
}

impl From<StoredCall> for CallEntry {
    fn from(StoredCall { call, .. }: StoredCall) -> Self {
        Self {
            at: call.at,
            tool: call.tool,
            key: call.key.to_string(),
            via: call.via,
            outcome: call.code.map_or_else(|| "ok".to_owned(), |code| code.to_string()),
            digest: call.digest,
            job: call.job,
            usage: call.usage.into(),
        }
    }
}

impl From<ToolStatistics> for StatisticsEntry {
    fn from(tool: ToolStatistics) -> Self {
        let share = if tool.calls == 0 { 0.0 } else { tool.errors as f64 / tool.calls as f64 };
        Self {
            tool: tool.tool,
            calls: tool.calls,
            errors: tool.errors,
            error_rate: share,
            p50_us: tool.p50_us,
            p95_us: tool.p95_us,
            p99_us: tool.p99_us,
            fuel_units: tool.fuel_units,
            max_memory_bytes: tool.max_memory_bytes,
            last_at: tool.last_at,
        }
    }
}

/// RFC 4180. No field can hold a comma, a quote or a line break: they are names, codes, numbers and moments.
fn csv(calls: &[CallEntry]) -> String {
    let mut text = "at,tool,key,via,outcome,digest,job,fuel_units,memory_bytes,duration_us\r\n".to_owned();
    for call in calls {
        let job = call.job.map(|job| job.to_string()).unwrap_or_default();
        let UsageEntry { fuel_units, memory_bytes, duration_us } = call.usage;
        text += &format!(
            "{},{},{},{},{},{},{job},{fuel_units},{memory_bytes},{duration_us}\r\n",
            call.at, call.tool, call.key, call.via, call.outcome, call.digest
        );
    }
    text
}
