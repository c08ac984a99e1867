//! What happens to a job, as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State as Shared,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use fumehood_dispatch::{Dispatcher, Follow, Told, Update};
use fumehood_http::{Caller, Path, Problem, Query};
use fumehood_model::{Code, JobState, Timestamp};
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::jobs::{JobEntry, entry::ProgressEntry};

/// How often something is sent although nothing happens, so that nobody on the way takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to go on.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Since {
    /// The id of the last event that was seen; the header `Last-Event-ID` says the same.
    last_event_id: Option<u64>,
}

/// One event of the stream, by its fields.
#[derive(ToSchema)]
#[schema(as = JobEvent)]
#[expect(dead_code, reason = "its fields are what clients read of the text that `Event` writes")]
struct EventEntry {
    /// Where to go on after it.
    id: Option<String>,
    /// `state`, `progress`, `log`, `output` or `error`
    event: String,
    /// JSON: the whole job for `state`, how far it is for `progress`, what the guest said for `log` and `output`. The
    /// bare code of an error for `error`.
    data: String,
}

/// Something that a guest said.
#[derive(Serialize)]
struct ToldEntry<'a> {
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    text: &'a str,
}

/// Follow a job: `state` with the whole job when it begins, moves on or ends, `progress`, `log` and `output` as its guest
/// tells them. The stream ends with the job; who asks again after that is answered 204.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/events", tag = "jobs", operation_id = "jobEvents",
    params(("id" = String, Path, description = "Id of the job"), Since,
        ("Last-Event-ID" = Option<u64>, Header, description = "The last event that was seen: what came after it is sent.")),
    responses(
        (status = 200, description = "The events", content_type = "text/event-stream", body = EventEntry),
        (status = 204, description = "It has ended, and everything was seen"),
    ))]
pub(crate) async fn events(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Query(Since { last_event_id }): Query<Since>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let seen = match headers.get("last-event-id").map(|value| value.to_str().unwrap_or_default().parse::<u64>()) {
        Some(Ok(seen)) => Some(seen),
        Some(Err(_)) => {
            return Err(Problem::new(Code::Malformed, "the header Last-Event-ID must be the id of an event"));
        }
        None => last_event_id,
    };
    let job = door.job(&principal, &id).await?;
    if job.state.is_final() && seen.is_some_and(|seen| seen >= job.version) {
        // What makes browsers stop asking.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let follow = door.follow_job(&principal, &id, seen.unwrap_or(0)).await?;
    let stream = Sse::new(stream_of(follow)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let mut response = stream.into_response();
    // Proxies that collect an answer before they pass it on would keep everything back.
    response.headers_mut().insert("x-accel-buffering", http::HeaderValue::from_static("no"));
    Ok(response)
}

/// The events of a job, each made when the reader has taken those before.
fn stream_of(follow: Follow) -> impl Stream<Item = Result<Event, Infallible>> {
    let begin = (Some(follow), None);
    stream::unfold(begin, |(follow, mut known)| async move {
        let mut follow = follow?;
        match follow.next().await {
            Ok(Some(news)) => {
                let events: Vec<_> = news.into_iter().map(|update| event(update, &mut known)).collect();
                Some((events, (Some(follow), known)))
            }
            Ok(None) => None,
            Err(error) => {
                let gone = Event::default().event("error").data(error.code().as_str());
                Some((vec![gone], (None, known)))
            }
        }
    })
    .flat_map(|events| stream::iter(events.into_iter().map(Ok)))
}

/// One event; a job that stands where it stood has only made progress.
fn event(update: Update, known: &mut Option<(JobState, u32)>) -> Event {
    let event = Event::default().id(update.version().to_string());
    match update {
        Update::Told(told) => {
            let (kind, entry) = match &told.told {
                Told::Log { level, message } => {
                    ("log", ToldEntry { at: told.at, level: Some(level), stream: None, text: message })
                }
                Told::Output { stream, text } => {
                    ("output", ToldEntry { at: told.at, level: None, stream: Some(stream), text })
                }
            };
            json(event.event(kind), &entry)
        }
        Update::Now(job) => {
            let now = (job.state, job.attempt);
            match &job.progress {
                Some(progress) if *known == Some(now) => {
                    json(event.event("progress"), &ProgressEntry::from(progress.clone()))
                }
                _ => {
                    *known = Some(now);
                    json(event.event("state"), &JobEntry::of(*job))
                }
            }
        }
    }
}

fn json(event: Event, value: &impl Serialize) -> Event {
    event.data(serde_json::to_string(value).unwrap_or_default())
}
