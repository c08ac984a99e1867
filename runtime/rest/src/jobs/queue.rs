//! Jobs at the path of their function, for clients that know nothing else of jobs.

use std::sync::Arc;

use axum::{
    Json,
    extract::State as Shared,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use fumehood_dispatch::{Order, Tool};
use fumehood_http::{Body, Caller, Path, Problem};
use fumehood_model::{JobId, Lowered, Principal};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::{
    State,
    calls::{Bounds, arguments, confirmation, deprecated},
    jobs::{answer, idempotency_key, location},
};

/// A job, as older clients know it.
#[derive(Serialize)]
struct Queued {
    queue_id: JobId,
}

/// What asks for a job rather than for a new one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    queue_id: String,
}

/// Submit a call of a function as a job, or ask for one: with `{"queue_id": …}` and nothing else as the body, the answer is
/// the same while it has not ended, and then what a direct call would have answered.
///
/// Its description is made from the catalogue, one for each tool, in `openapi.rs`.
pub(crate) async fn queue(
    Shared(state): Shared<State>,
    Caller(principal): Caller,
    Path((module, function)): Path<(String, String)>,
    Bounds(lowered): Bounds,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    let tool = state.dispatcher.function(&principal, &module, &function)?;
    let answer = queue_tool(&state, &principal, &tool, lowered, &headers, body).await;
    Ok(deprecated(answer.into_response(), &tool))
}

async fn queue_tool(
    state: &State,
    principal: &Principal,
    tool: &Arc<Tool>,
    lowered: Lowered,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let door = &state.dispatcher;
    if let Ok(Asked { queue_id }) = serde_json::from_slice(&body) {
        let job = door.job(principal, &queue_id).await?;
        if job.tool.module != tool.module || job.tool.function != tool.function {
            // As for a job that never was: this path is that of another function.
            return Err(door.no_such_job(&queue_id).into());
        }
        return if job.state.is_final() { answer(door, principal, job).await } else { Ok(accepted(job.id)) };
    }
    let arguments = arguments(headers, body, tool).await?;
    let order = Order {
        lowered,
        idempotency_key: idempotency_key(headers)?,
        confirmation: confirmation(headers),
        ..Order::default()
    };
    let ticket = door.submit(principal, tool, arguments, order).await?;
    Ok(accepted(ticket.id))
}

/// A job that has not ended.
pub(crate) fn accepted(id: JobId) -> Response {
    let mut response = (StatusCode::ACCEPTED, Json(Queued { queue_id: id })).into_response();
    response.headers_mut().insert(header::LOCATION, location(id));
    response
}
