//! Jobs over REST: submit, see, follow, cancel, try again, forget.

mod entry;
mod queue;
pub(crate) mod read;
pub(crate) mod stream;
pub(crate) mod tool;

use std::time::Duration;

use axum::{
    Json,
    extract::State as Shared,
    response::{IntoResponse, Response},
};
use fumehood_dispatch::{Arguments, Body, Dispatcher, Filter, Order, Prune};
use fumehood_http::{Body as SentBody, Caller, Json as Sent, Path, Problem, Query};
use fumehood_model::{Code, JobId, JobState, KeyId, Lowered, Priority, Timestamp};
use fumehood_value::Object;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::{
    calls::{JsonBody, MAX_WAIT, confirmation},
    results,
};

pub(crate) use entry::{JobEntry, answer};
pub(crate) use queue::{accepted, queue};

/// Most jobs on one page.
const MAX_LIMIT: usize = 500;

/// Makes a second submission of the same job the first one, as other APIs call it.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A job that is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission {
    /// The tool, as `calculator__add` or `calculator.add`.
    #[schema(example = "calculator__add")]
    tool: String,
    /// The arguments object.
    #[serde(default)]
    #[schema(value_type = Object)]
    input: Option<Value>,
    /// Which of the key's jobs goes first, from -9 (last) to 9 (first); 0 unless said.
    #[serde(default)]
    #[schema(value_type = i64, minimum = -9, maximum = 9)]
    priority: Priority,
    /// Milliseconds before it may run; not together with `run_at`.
    #[schema(minimum = 0)]
    delay_ms: Option<u64>,
    /// When it may run at the earliest.
    #[schema(value_type = Option<String>, format = DateTime)]
    run_at: Option<Timestamp>,
    /// When it must have begun; a job that has not fails with `deadline`.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// How often it may be tried, from 1 to 100, where another attempt can mend what went wrong.
    #[schema(minimum = 1, maximum = 100)]
    max_attempts: Option<u32>,
    /// Whether it may run again after a crash although it may have had effects; tools that say that they are idempotent do
    /// anyway.
    #[serde(default)]
    repeatable: bool,
    /// At most 16 words by which it can be found.
    #[serde(default)]
    tags: Vec<String>,
    /// Bounds of each attempt; they only lower those of the server: `fuel_units`, `memory` and all others that are in `limits` of the configuration.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    limits: Lowered,
    /// What makes a second submission of the same job the first one; also as the header `Idempotency-Key`.
    idempotency_key: Option<String>,
}

/// One page of jobs.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobList {
    /// The newest first.
    jobs: Vec<JobEntry>,
    /// Where the next page begins: its parameter `before`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    next: Option<JobId>,
}

/// Which jobs to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selection {
    /// Only in one of these states, joined by commas; `dead` stands for failed, interrupted and discarded.
    state: Option<String>,
    /// Only of this module, or of one function of it as `module.function` or `module__function`; it need not be served any
    /// more.
    tool: Option<String>,
    /// Only with this tag.
    tag: Option<String>,
    /// Only of this schedule.
    schedule: Option<String>,
    /// Only of the key with this id, for administrators.
    key: Option<String>,
    /// Only those after this one in the list, as `next` of the page before says.
    before: Option<String>,
    /// Jobs on a page, at most 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

/// How long to wait for a job.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Patience {
    /// Wait for at most so many seconds, up to 55, until the job has ended.
    #[param(minimum = 0, maximum = 55)]
    wait_s: Option<u64>,
}

/// What becomes of a job that has ended.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Removal {
    /// Forget the job with its result, if it has ended.
    #[serde(default)]
    purge: bool,
}

/// Which ended jobs are forgotten: those that fit all of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pruning {
    /// In one of these states; in any in which a job has ended if none is given. `dead` stands for failed, interrupted and
    /// discarded.
    #[serde(default)]
    states: Vec<String>,
    /// That ended so many seconds ago or earlier.
    #[serde(default)]
    older_than_s: u64,
    /// How many are kept all the same, the newest.
    #[serde(default)]
    keep: u64,
}

/// How many jobs were forgotten.
#[derive(Serialize, ToSchema)]
pub(crate) struct Pruned {
    pruned: u64,
}

/// What became of the jobs of another system.
#[derive(Serialize, ToSchema)]
pub(crate) struct Imported {
    /// Jobs that were taken in.
    imported: u64,
    /// Jobs that are here already.
    known: u64,
    /// Jobs that could not be taken in.
    refused: Vec<RefusedImport>,
}

/// A job that could not be taken in.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefusedImport {
    /// Its position in the file, from 0.
    position: usize,
    reason: String,
}

/// Submit a job. It is on disk when this is answered.
#[utoipa::path(post, path = "/api/v1/jobs", tag = "jobs", operation_id = "submitJob", request_body = Submission,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a second submission of the same job the first one."),
        ("Fumehood-Confirm" = Option<String>, Header, description = "That a person has confirmed the call: `details.confirmation` of the 428 with which it was answered before."),
    ),
    responses(
        (status = 202, description = "It waits for its turn", body = JobEntry, headers(("Location" = String, description = "Where it is"))),
        (status = 200, description = "It was submitted before under the same idempotency key", body = JobEntry),
    ))]
pub(crate) async fn submit(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    headers: HeaderMap,
    _: JsonBody,
    SentBody(body): SentBody,
) -> Result<Response, Problem> {
    let wanted: Submission = read::body(&body)?;
    let tool = match wanted.tool.rsplit_once('.') {
        Some((module, function)) => door.function(&principal, module, function)?,
        None => door.tool(&principal, &wanted.tool)?,
    };
    let run_at = match (wanted.delay_ms, wanted.run_at) {
        (Some(_), Some(_)) => return Err(malformed("a job has `delay_ms` or `run_at`, not both")),
        (Some(delay), None) => Some(Timestamp { unix_ms: Timestamp::now().unix_ms.saturating_add(delay) }),
        (None, at) => at,
    };
    let order = Order {
        lowered: wanted.limits,
        priority: wanted.priority,
        run_at,
        expires_at: wanted.expires_at,
        max_attempts: wanted.max_attempts,
        is_repeatable: wanted.repeatable,
        tags: wanted.tags,
        idempotency_key: idempotency_key(&headers)?.or(wanted.idempotency_key),
        confirmation: confirmation(&headers),
    };
    let input = wanted.input.unwrap_or_else(|| Value::Object(Object::new()));
    let ticket = door.submit(&principal, &tool, Arguments::Parsed(input), order).await?;
    let job = JobEntry::of(door.job(&principal, &ticket.id.to_string()).await?);
    let status = if ticket.is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    let mut response = (status, Json(job)).into_response();
    response.headers_mut().insert(header::LOCATION, location(ticket.id));
    Ok(response)
}

/// List jobs, the newest first: those of the key, for an administrator those of all keys.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", operation_id = "listJobs", params(Selection), responses(
    (status = 200, description = "One page of jobs", body = JobList),
))]
pub(crate) async fn list(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Query(selection): Query<Selection>,
) -> Result<Json<JobList>, Problem> {
    let limit = selection.limit.unwrap_or(100);
    if limit == 0 || limit > MAX_LIMIT {
        return Err(malformed(&format!("limit is from 1 to {MAX_LIMIT}")));
    }
    let states = states(selection.state.as_deref().unwrap_or_default().split(','))?;
    let owner = selection.key.map(|key| KeyId(key.into()));
    let (module, function) = match &selection.tool {
        Some(text) => {
            let (module, function) = tool::kept(&door, &principal, text, owner.as_ref()).await?;
            (Some(module), function)
        }
        None => (None, None),
    };
    let filter = Filter {
        owner,
        states,
        module,
        function,
        tag: selection.tag,
        schedule: selection.schedule,
        before: selection.before.map(|id| id.parse::<JobId>()).transpose().map_err(|e| malformed(&e.to_string()))?,
        most: limit + 1,
    };
    let mut jobs = door.jobs(&principal, filter).await?;
    let more = jobs.len() > limit;
    jobs.truncate(limit);
    let next = jobs.last().filter(|_| more).map(|job| job.id);
    Ok(Json(JobList { jobs: jobs.into_iter().map(JobEntry::of).collect(), next }))
}

/// Show a job, at once or when it has ended.
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "jobs", operation_id = "showJob",
    params(("id" = String, Path, description = "Id of the job"), Patience),
    responses((status = 200, description = "The job as it stands", body = JobEntry)))]
pub(crate) async fn show(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Query(Patience { wait_s }): Query<Patience>,
) -> Result<Json<JobEntry>, Problem> {
    let patience = Duration::from_secs(wait_s.unwrap_or(0)).min(MAX_WAIT);
    Ok(Json(JobEntry::of(door.wait_for_job(&principal, &id, patience).await?)))
}

/// The bare result of a job; its failure, if it failed; where it stands, if it has not ended.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/result", tag = "jobs", operation_id = "jobResult",
    params(("id" = String, Path, description = "Id of the job"), Patience),
    responses(
        (status = 200, description = "The bare result", content_type = "application/json", body = serde_json::Value),
        (status = 202, description = "It has not ended", body = JobEntry),
    ))]
pub(crate) async fn result(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Query(Patience { wait_s }): Query<Patience>,
) -> Result<Response, Problem> {
    let patience = Duration::from_secs(wait_s.unwrap_or(0)).min(MAX_WAIT);
    let job = door.wait_for_job(&principal, &id, patience).await?;
    if job.state.is_final() {
        return answer(&door, &principal, job).await;
    }
    Ok((StatusCode::ACCEPTED, Json(JobEntry::of(job))).into_response())
}

/// The arguments of a job, as they were sent.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/input", tag = "jobs", operation_id = "jobInput",
    params(("id" = String, Path, description = "Id of the job")),
    responses((status = 200, description = "The arguments object", content_type = "application/json", body = serde_json::Value)))]
pub(crate) async fn input(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let bytes = door.job_body(&principal, &id, Body::Input).await?;
    Ok(results::attachment(&format!("{id}.input.json"), "application/json", bytes))
}

/// End a job: at once where it waits, within a second where it runs. With `purge`, forget one that has ended.
#[utoipa::path(delete, path = "/api/v1/jobs/{id}", tag = "jobs", operation_id = "cancelJob",
    params(("id" = String, Path, description = "Id of the job"), Removal),
    responses(
        (status = 200, description = "It has ended, and this is how", body = JobEntry),
        (status = 202, description = "It is about to end", body = JobEntry),
        (status = 204, description = "It is forgotten"),
    ))]
pub(crate) async fn cancel(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Query(Removal { purge }): Query<Removal>,
) -> Result<Response, Problem> {
    if purge {
        let job = door.job(&principal, &id).await?;
        if !job.state.is_final() {
            let message = format!("job {id} is {}: cancel it before it is forgotten", job.state);
            return Err(Problem::new(Code::Conflict, message));
        }
        door.prune_jobs(&principal, Prune { id: Some(job.id), ..Prune::default() }).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let job = door.cancel_job(&principal, &id).await?;
    let status = if job.state.is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(JobEntry::of(job))).into_response())
}

/// What a job is answered.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Answers {
    /// By the keys of what it asks; others are passed over.
    #[schema(value_type = Object)]
    input_responses: Map<String, Value>,
}

/// Answer what a job asks; with the last answer it goes on.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/answers", tag = "jobs", operation_id = "answerJob",
    params(("id" = String, Path, description = "Id of the job")), request_body = Answers,
    responses((status = 202, description = "As it then stands", body = JobEntry)))]
pub(crate) async fn answer_asked(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Sent(answers): Sent<Answers>,
) -> Result<Response, Problem> {
    let job = door.answer_job(&principal, &id, answers.input_responses).await?;
    Ok((StatusCode::ACCEPTED, Json(JobEntry::of(job))).into_response())
}

/// Try a job again that failed, was interrupted or discarded.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/retry", tag = "jobs", operation_id = "retryJob",
    params(("id" = String, Path, description = "Id of the job")),
    responses((status = 202, description = "It waits for its turn again", body = JobEntry)))]
pub(crate) async fn retry(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = door.retry_job(&principal, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(JobEntry::of(job))).into_response())
}

/// Forget ended jobs with their results: those of the key, for an administrator those of all keys.
#[utoipa::path(post, path = "/api/v1/jobs/prune", tag = "jobs", operation_id = "pruneJobs", request_body = Pruning,
    responses((status = 200, description = "How many were forgotten", body = Pruned)))]
pub(crate) async fn prune(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    _: JsonBody,
    SentBody(body): SentBody,
) -> Result<Json<Pruned>, Problem> {
    let Pruning { states: named, older_than_s, keep } = read::body(&body)?;
    let states = states(named.iter().map(String::as_str))?;
    if let Some(state) = states.iter().find(|state| !state.is_final()) {
        return Err(malformed(&format!("a job that is {state} has not ended: cancel it first")));
    }
    let age_ms = older_than_s.saturating_mul(1000);
    let ended_before = Timestamp { unix_ms: Timestamp::now().unix_ms.saturating_sub(age_ms).saturating_add(1) };
    let wanted = Prune { states, ended_before: Some(ended_before), keep, ..Prune::default() };
    Ok(Json(Pruned { pruned: door.prune_jobs(&principal, wanted).await? }))
}

/// Take in the jobs of a state file of the form `{"queue": […]}`.
#[utoipa::path(post, path = "/api/v1/jobs/import", tag = "jobs", operation_id = "importJobs",
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses((status = 200, description = "What became of each", body = Imported)))]
pub(crate) async fn import(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    _: JsonBody,
    SentBody(file): SentBody,
) -> Result<Json<Imported>, Problem> {
    let imported = door.import_jobs(&principal, &file).await?;
    let refused = imported.refused.into_iter().map(|(position, reason)| RefusedImport { position, reason }).collect();
    Ok(Json(Imported { imported: imported.jobs, known: imported.known, refused }))
}

/// The states that these names stand for.
fn states<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<JobState>, Problem> {
    let mut states = Vec::new();
    for name in names.map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "dead" => states.extend(JobState::ALL.into_iter().filter(|state| state.is_dead_letter())),
            name => {
                let unknown = |error: String| malformed(&format!("{error}, or `dead` for those that are dead letters"));
                states.push(name.parse().map_err(unknown)?);
            }
        }
    }
    Ok(states)
}

/// The name that the caller gives to a submission.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().map_err(|_| malformed("the header Idempotency-Key must be printable ASCII"))?;
    Ok(Some(text.trim_matches('"').to_owned()))
}

/// Where a job is.
pub(crate) fn location(id: JobId) -> HeaderValue {
    HeaderValue::from_str(&format!("/api/v1/jobs/{id}")).unwrap_or(HeaderValue::from_static("/api/v1/jobs"))
}

pub(crate) fn malformed(message: &str) -> Problem {
    Problem::new(Code::Malformed, message)
}
