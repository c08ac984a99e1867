use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fumehood_dispatch::{Body, Dispatcher};
use fumehood_http::Problem;
use fumehood_model::{Asked, Code, Digest, Job, JobId, JobOutcome, JobState, Outcome, Principal, Priority, Timestamp};
use http::{HeaderValue, header};
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

use crate::{
    calls::{parsed, used},
    tools::UsageEntry,
};

/// A job as it stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobEntry {
    #[schema(value_type = String, format = "uuid")]
    id: JobId,
    module: String,
    function: String,
    /// `available`, `scheduled`, `running`, `input_required`, `retryable`, `completed`, `failed`, `cancelled`,
    /// `interrupted` or `discarded`
    #[schema(value_type = String)]
    state: JobState,
    /// Id of the key that submitted it.
    key: String,
    /// The component that it runs.
    #[schema(value_type = String)]
    digest: Digest,
    #[schema(value_type = i64)]
    priority: Priority,
    /// Attempts that have begun.
    attempt: u32,
    max_attempts: u32,
    /// Whether it may run again although an attempt may have had effects.
    repeatable: bool,
    /// Whether it is about to end because somebody cancelled it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cancelling: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it may run at the earliest.
    #[schema(value_type = String, format = DateTime)]
    run_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressEntry>,
    /// The bare result of a completed job, unless it is larger than 64 KiB: see `result_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    result: Option<Box<RawValue>>,
    /// Where the bare result is fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_bytes: Option<u64>,
    /// Why it failed, or its last attempt did.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageEntry>,
    /// What it asks in the state `input_required`, by keys, each with a `method` and `params` as in MCP.
    #[serde(rename = "inputRequests", skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Option<Object>)]
    input_requests: Map<String, Value>,
}

/// How far a job is.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProgressEntry {
    done: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<f64>,
    /// Parts of a hundred, where the total is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Why a job failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorEntry {
    /// The stable code.
    #[schema(value_type = String)]
    code: Code,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
}

impl JobEntry {
    pub(crate) fn of(job: Job) -> Self {
        let error = failure(&job).map(|problem| ErrorEntry {
            code: problem.code(),
            message: problem.message().to_owned(),
            details: problem.details().cloned(),
        });
        let (state, usage) = (job.state, job.usage);
        let asked = job.asked.as_ref().filter(|_| state == JobState::InputRequired);
        let open = asked.into_iter().flat_map(Asked::open);
        let input_requests = open.map(|(key, request)| (key.clone(), request.clone())).collect();
        let result = match job.outcome {
            // A large one stands apart, and is empty here.
            Some(JobOutcome::Ended(Outcome::Value(json))) if !json.is_empty() => RawValue::from_string(json).ok(),
            _ => None,
        };
        Self {
            id: job.id,
            module: job.tool.module.to_string(),
            function: job.tool.function,
            state,
            key: job.owner.to_string(),
            digest: job.tool.digest,
            priority: job.priority,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            repeatable: job.is_repeatable,
            cancelling: job.is_cancelled && !state.is_final(),
            tags: job.tags,
            schedule: job.schedule,
            created_at: job.created_at,
            run_at: job.run_at,
            expires_at: job.expires_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            updated_at: job.updated_at,
            progress: job.progress.map(ProgressEntry::from),
            result,
            result_url: (state == JobState::Completed).then(|| format!("/api/v1/jobs/{}/result", job.id)),
            result_bytes: job.result_bytes,
            error,
            usage: usage.map(UsageEntry::from),
            input_requests,
        }
    }
}

impl From<fumehood_model::Progress> for ProgressEntry {
    fn from(progress: fumehood_model::Progress) -> Self {
        let percent = progress.percent();
        Self { done: progress.done, total: progress.total, percent, message: progress.message }
    }
}

/// Why the job, or its last attempt, came to nothing.
fn failure(job: &Job) -> Option<Problem> {
    match &job.outcome {
        Some(JobOutcome::Ended(Outcome::Value(_))) => None,
        Some(JobOutcome::Ended(Outcome::ToolError(json))) => {
            let error = parsed(&Bytes::copy_from_slice(json.as_bytes()));
            // A tool that its component describes itself answers with content blocks.
            let text = error["content"][0]["text"].as_str().filter(|_| error["isError"] == true);
            Some(Problem::tool_error(&text.map_or_else(|| error.clone(), Value::from)))
        }
        Some(JobOutcome::Ended(Outcome::Stopped(stopped))) => {
            Some(Problem::stopped(&stopped.reason, &job.usage.unwrap_or_default(), &[]))
        }
        Some(JobOutcome::Failed(failure)) => Some(Problem::new(failure.code, failure.message.clone())),
        None if job.state == JobState::Cancelled => Some(Problem::new(Code::Cancelled, "the job was cancelled")),
        None if job.state == JobState::Interrupted => {
            Some(Problem::new(Code::Interrupted, "the server ended while the job ran"))
        }
        None => None,
    }
}

/// A job that has ended, answered as a direct call would have been.
pub(crate) async fn answer(door: &Dispatcher, principal: &Principal, job: Job) -> Result<Response, Problem> {
    let mut response = match failure(&job) {
        Some(problem) => problem.into_response(),
        None => {
            let json = door.job_body(principal, &job.id.to_string(), Body::Result).await?;
            // A tool that is gone meanwhile leaves its answer as it was kept.
            let json = match door.function(principal, job.tool.module.as_str(), &job.tool.function) {
                Ok(tool) => tool.bare(json),
                Err(_) => json,
            };
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response()
        }
    };
    used(response.headers_mut(), job.usage.unwrap_or_default(), &job.tool.digest.to_string());
    Ok(response)
}
