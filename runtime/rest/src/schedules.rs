//! Jobs that come again, over REST.

use axum::{
    Json,
    extract::State as Shared,
    response::{IntoResponse, Response},
};
use fumehood_dispatch::{Dispatcher, Schedule, ScheduleSpec};
use fumehood_http::{Body, Caller, Path, Problem, Query};
use fumehood_model::{JobId, KeyId, Timestamp};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    calls::JsonBody,
    jobs::{malformed, read},
};

/// Whose schedule is meant: names are those of their keys.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    /// That of the key with this id, for administrators; else the caller's own, or if it has none of this name, the only one.
    key: Option<String>,
}

/// All schedules.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduleList {
    schedules: Vec<ScheduleEntry>,
}

/// A schedule.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduleEntry {
    name: String,
    /// Id of the key that made it, as which its jobs are submitted.
    key: String,
    /// Whether it rests.
    paused: bool,
    /// When it submits its next job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    /// When it was due last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_at: Option<Timestamp>,
    /// The job that it submitted last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    last_job: Option<JobId>,
    /// Why it submitted none when it was due last, if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    passed_over: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// What it does and when, as it was sent.
    #[schema(value_type = WantedSchedule)]
    spec: Value,
}

/// What a schedule does and when. It is only read here; the scheduler knows what it means.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a body for the OpenAPI document")]
pub(crate) struct WantedSchedule {
    when: When,
    /// By how much it may be late, to spread many of them; at most an hour.
    jitter_ms: Option<u64>,
    /// What becomes of moments at which no server ran: `skip`, `once` or `all`; `once` unless said.
    missed: Option<String>,
    /// What happens when the job before has not ended: `skip`, `queue` or `replace`; `skip` unless said.
    overlap: Option<String>,
    /// Whether it rests; as it did unless said, and a new one does not.
    paused: Option<bool>,
    job: ScheduledJob,
}

/// Either `cron`, with the time zone whose clocks count, or `every_ms`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a body for the OpenAPI document")]
pub(crate) struct When {
    /// Five fields, or six with seconds first, or one of `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly`.
    #[schema(example = "0 3 * * *")]
    cron: Option<String>,
    /// UTC unless said.
    #[schema(example = "Europe/Berlin")]
    zone: Option<String>,
    /// At least 1,000.
    every_ms: Option<u64>,
}

/// The job that a schedule submits.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a body for the OpenAPI document")]
pub(crate) struct ScheduledJob {
    /// The tool, as `calculator__add` or `calculator.add`; the version that the module has when the schedule is due.
    tool: String,
    /// The arguments object.
    #[schema(value_type = Option<Object>)]
    input: Option<Value>,
    priority: Option<i64>,
    max_attempts: Option<u32>,
    repeatable: Option<bool>,
    tags: Option<Vec<String>>,
    /// How long after its moment it must have begun.
    begin_within_ms: Option<u64>,
    /// Bounds of each attempt, by their keys in the configuration.
    #[schema(value_type = Option<Object>)]
    limits: Option<Value>,
}

/// List schedules by name: those of the key, for an administrator those of all keys.
#[utoipa::path(get, path = "/api/v1/schedules", tag = "schedules", operation_id = "listSchedules", responses(
    (status = 200, description = "The schedules", body = ScheduleList),
))]
pub(crate) async fn list(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
) -> Result<Json<ScheduleList>, Problem> {
    let schedules = door.schedules(&principal).await?.into_iter().map(ScheduleEntry::from).collect();
    Ok(Json(ScheduleList { schedules }))
}

/// Show a schedule.
#[utoipa::path(get, path = "/api/v1/schedules/{name}", tag = "schedules", operation_id = "showSchedule",
    params(("name" = String, Path, description = "Name of the schedule"), Whose),
    responses((status = 200, description = "The schedule", body = ScheduleEntry)))]
pub(crate) async fn show(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    Query(whose): Query<Whose>,
) -> Result<Json<ScheduleEntry>, Problem> {
    Ok(Json(door.schedule(&principal, &name, whose.key().as_ref()).await?.into()))
}

/// Add a schedule, or replace the one that is shown under this name, which stays with its key.
#[utoipa::path(put, path = "/api/v1/schedules/{name}", tag = "schedules", operation_id = "putSchedule",
    params(("name" = String, Path, description = "Name of the schedule: letters, digits, `-`, `_`, `.`"), Whose),
    request_body = WantedSchedule,
    responses(
        (status = 201, description = "It is new", body = ScheduleEntry),
        (status = 200, description = "It replaces the one before", body = ScheduleEntry),
    ))]
pub(crate) async fn put(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    Query(whose): Query<Whose>,
    _: JsonBody,
    Body(body): Body,
) -> Result<Response, Problem> {
    let mut wanted: Value = read::body(&body)?;
    let is_paused = match wanted.as_object_mut().and_then(|wanted| wanted.remove("paused")) {
        None => None,
        Some(Value::Bool(is_paused)) => Some(is_paused),
        Some(_) => return Err(malformed("`paused` is true or false")),
    };
    // Read twice: once to tell in which member a mistake is, once for what no single member can tell.
    read::document::<ScheduleSpec>(&wanted)?;
    let spec = ScheduleSpec::parse(&wanted.to_string()).map_err(|error| malformed(&error.to_string()))?;
    let owner = whose.key();
    let (schedule, is_new) = door.put_schedule(&principal, &name, owner.as_ref(), &spec, is_paused).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(ScheduleEntry::from(schedule))).into_response())
}

/// Remove a schedule. Jobs that it has submitted stay.
#[utoipa::path(delete, path = "/api/v1/schedules/{name}", tag = "schedules", operation_id = "removeSchedule",
    params(("name" = String, Path, description = "Name of the schedule"), Whose),
    responses((status = 204, description = "It is gone")))]
pub(crate) async fn remove(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    Query(whose): Query<Whose>,
) -> Result<StatusCode, Problem> {
    door.remove_schedule(&principal, &name, whose.key().as_ref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Whose {
    fn key(self) -> Option<KeyId> {
        self.key.map(|key| KeyId(key.into()))
    }
}

impl From<Schedule> for ScheduleEntry {
    fn from(schedule: Schedule) -> Self {
        Self {
            name: schedule.name,
            key: schedule.owner.to_string(),
            paused: schedule.is_paused,
            next_at: schedule.next_at,
            last_at: schedule.last_at,
            last_job: schedule.last_job,
            passed_over: schedule.passed_over,
            created_at: schedule.created_at,
            // It was written by us.
            spec: serde_json::from_str(&schedule.spec).unwrap_or_default(),
        }
    }
}
