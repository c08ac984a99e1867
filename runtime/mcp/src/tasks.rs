//! Jobs as tasks of the extension `io.modelcontextprotocol/tasks`.
//!
//! A task is a job under the same id: durable, seen by its owner alone, and visible over REST at the same time.

use fumehood_dispatch::{Body, DispatchError, Dispatcher, Ticket, Tool};
use fumehood_model::{Asked, Code, Failure, Job, JobOutcome, JobState, Outcome, Principal, Progress};
use rmcp::{
    ErrorData,
    model::{
        CreateTaskResult, DetailedTask, ErrorCode, GetTaskResult, InputResponses, JsonObject, Task, TaskPayload,
        TaskStatus,
    },
};
use serde_json::Value;

use crate::convert;

/// How long a client should wait before it asks again.
const POLL_MS: u64 = 1_000;

/// The task that a job was just submitted as. The job is on disk: whoever asks for it finds it.
pub(crate) async fn created(
    door: &Dispatcher,
    principal: &Principal,
    ticket: Ticket,
) -> Result<CreateTaskResult, ErrorData> {
    let job = door.job(principal, &ticket.id.to_string()).await.map_err(|error| unknown(&error))?;
    Ok(CreateTaskResult::new(task(door, &job)))
}

/// How a task stands, with its result when it has ended.
pub(crate) async fn show(door: &Dispatcher, principal: &Principal, id: &str) -> Result<GetTaskResult, ErrorData> {
    let job = door.job(principal, id).await.map_err(|error| unknown(&error))?;
    let payload = payload(door, principal, &job).await?;
    Ok(GetTaskResult::new(DetailedTask::new(task(door, &job), payload)))
}

/// Ask that a task ends. One that has ended stays as it is.
pub(crate) async fn cancel(door: &Dispatcher, principal: &Principal, id: &str) -> Result<(), ErrorData> {
    door.cancel_job(principal, id).await.map(drop).map_err(|error| unknown(&error))
}

/// Take answers of a client to what a task asked for; what it did not ask is passed over, as the extension demands.
pub(crate) async fn update(
    door: &Dispatcher,
    principal: &Principal,
    id: &str,
    responses: InputResponses,
) -> Result<(), ErrorData> {
    let responses = responses.into_iter().collect();
    door.answer_job(principal, id, responses).await.map(drop).map_err(|error| unknown(&error))
}

/// What a job that has ended answers to a client that waited for it.
pub(crate) async fn result(
    door: &Dispatcher,
    principal: &Principal,
    job: &Job,
    tool: Option<&Tool>,
) -> Result<rmcp::model::CallToolResult, ErrorData> {
    let failed = |failure: &Failure| match failure.code {
        // What nobody but the operator can mend is an error of the protocol, as for a direct call.
        Code::Internal => Err(ErrorData::internal_error(failure.message.clone(), None)),
        code => Ok(convert::failed(code, failure.message.clone())),
    };
    let mut result = match &job.outcome {
        Some(JobOutcome::Ended(Outcome::Value(json))) => {
            let json = if json.is_empty() {
                door.job_body(principal, &job.id.to_string(), Body::Result).await.map_err(|error| unknown(&error))?
            } else {
                json.clone().into()
            };
            if tool.is_some_and(|tool| tool.rich.is_some()) {
                let mut result = convert::described(&json);
                convert::add_usage(&mut result, job.usage.unwrap_or_default(), &job.tool.digest.to_string());
                return Ok(result);
            }
            // Without its tool only the shape of the result tells whether it must be put into an object.
            let wraps = tool.map_or(json.trim_ascii_start().first() != Some(&b'{'), |tool| tool.wraps_answer);
            convert::succeeded(&json, wraps)
        }
        Some(JobOutcome::Ended(Outcome::ToolError(json))) if tool.is_some_and(|tool| tool.rich.is_some()) => {
            convert::described(json.as_bytes())
        }
        Some(JobOutcome::Ended(Outcome::ToolError(json))) => {
            convert::failed(Code::ToolError, convert::error_text(json.as_bytes()))
        }
        Some(JobOutcome::Ended(Outcome::Stopped(stopped))) => {
            convert::failed(stopped.reason.code(), convert::advice(&stopped.reason))
        }
        Some(JobOutcome::Failed(failure)) => failed(failure)?,
        None => convert::failed(Code::Cancelled, "the job was cancelled".to_owned()),
    };
    convert::add_usage(&mut result, job.usage.unwrap_or_default(), &job.tool.digest.to_string());
    Ok(result)
}

fn task(door: &Dispatcher, job: &Job) -> Task {
    let mut task = Task::new(job.id.to_string(), status(job), job.created_at.to_string(), job.updated_at.to_string());
    task.status_message = message(job);
    // Counted from the moment of its making, as the extension counts: at least this long.
    task.ttl_ms = door.jobs_kept_ms();
    task.with_poll_interval_ms(POLL_MS)
}

fn status(job: &Job) -> TaskStatus {
    match job.state {
        JobState::Available | JobState::Scheduled | JobState::Running | JobState::Retryable => TaskStatus::Working,
        JobState::InputRequired => TaskStatus::InputRequired,
        JobState::Completed => TaskStatus::Completed,
        JobState::Cancelled => TaskStatus::Cancelled,
        // What a tool said, or why it was stopped, is a result that says `isError`.
        JobState::Failed | JobState::Discarded if matches!(job.outcome, Some(JobOutcome::Ended(_))) => {
            TaskStatus::Completed
        }
        JobState::Failed | JobState::Discarded | JobState::Interrupted => TaskStatus::Failed,
    }
}

async fn payload(door: &Dispatcher, principal: &Principal, job: &Job) -> Result<TaskPayload, ErrorData> {
    Ok(match status(job) {
        TaskStatus::Completed => {
            let tool = door.function(principal, job.tool.module.as_str(), &job.tool.function).ok();
            let result = result(door, principal, job, tool.as_deref()).await?;
            TaskPayload::Completed { result: object(&result) }
        }
        TaskStatus::Failed => {
            let (code, text) = match &job.outcome {
                Some(JobOutcome::Failed(failure)) => (failure.code, failure.message.clone()),
                _ => (Code::Interrupted, "the server ended while the job ran".to_owned()),
            };
            let error = ErrorData::new(ErrorCode::INTERNAL_ERROR, text, Some(convert::code_data(code)));
            TaskPayload::Failed { error: object(&error) }
        }
        TaskStatus::Cancelled => TaskPayload::Cancelled,
        TaskStatus::InputRequired => {
            let open = job.asked.iter().flat_map(Asked::open);
            let requests = open.map(|(key, request)| Ok((key.clone(), serde_json::from_value(request.clone())?)));
            let input_requests = requests.collect::<Result<_, serde_json::Error>>().map_err(|error| {
                ErrorData::internal_error(format!("the tool asks what the protocol does not know: {error}"), None)
            })?;
            TaskPayload::InputRequired { input_requests }
        }
        _ => TaskPayload::Working,
    })
}

/// Where the job is, for a person.
fn message(job: &Job) -> Option<String> {
    let percent = job.progress.as_ref().and_then(Progress::percent);
    let said = job.progress.as_ref().and_then(|progress| progress.message.clone());
    match (job.state, percent, said) {
        (JobState::Running, Some(percent), Some(said)) => Some(format!("{percent:.0} %: {said}")),
        (JobState::Running, Some(percent), None) => Some(format!("{percent:.0} %")),
        (JobState::Running, None, Some(said)) => Some(said),
        (JobState::Available, ..) => Some("waits for its turn".to_owned()),
        (JobState::Scheduled, ..) => Some(format!("waits for {}", job.run_at)),
        (JobState::Retryable, ..) => Some(format!("is tried again at {}", job.run_at)),
        _ => None,
    }
}

fn object(value: &impl serde::Serialize) -> JsonObject {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        _ => JsonObject::new(),
    }
}

/// A task that is not there, or not for who asks: the protocol wants the same answer for both.
fn unknown(error: &DispatchError) -> ErrorData {
    match error.code() {
        Code::NotFound => ErrorData::invalid_params(error.to_string(), None),
        Code::Internal | Code::StorageFull => {
            tracing::error!(error = error as &dyn std::error::Error, "A task could not be shown: {error}");
            ErrorData::internal_error("the server failed; the operator's log has the reason", None)
        }
        _ => ErrorData::new(ErrorCode::INVALID_REQUEST, error.to_string(), None),
    }
}
