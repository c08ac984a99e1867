use axum::{
    extract::{FromRequestParts, State as Shared},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use fumehood_dispatch::{Answer, Arguments, Tool};
use fumehood_http::{Body, Caller, Path, Problem};
use fumehood_model::{ByteSize, Code, Outcome, Usage};
use fumehood_policy::Lowered;
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use serde_json::Value;

use crate::State;

const FUEL: HeaderName = HeaderName::from_static("fumehood-fuel");
const MEMORY: HeaderName = HeaderName::from_static("fumehood-memory-bytes");
const DURATION: HeaderName = HeaderName::from_static("fumehood-duration-us");
const DIGEST: HeaderName = HeaderName::from_static("fumehood-digest");
const MAX_FUEL: HeaderName = HeaderName::from_static("fumehood-max-fuel");
const MAX_MEMORY: HeaderName = HeaderName::from_static("fumehood-max-memory-bytes");
const DEADLINE: HeaderName = HeaderName::from_static("fumehood-deadline-ms");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Call a function of a module: the body holds its arguments, the answer is its bare result.
///
/// Its description is made from the catalogue, one for each tool, in `openapi.rs`.
pub(crate) async fn call(
    Shared(state): Shared<State>,
    Caller(principal): Caller,
    Path((module, function)): Path<(String, String)>,
    Bounds(lowered): Bounds,
    Body(arguments): Body,
) -> Result<Response, Problem> {
    let tool = state.dispatcher.function(&principal, &module, &function)?;
    let answer = state.dispatcher.call(&principal, &tool, Arguments::Text(arguments), lowered).await?;
    Ok(respond(answer, &tool))
}

/// The answer of a call as a response: its bare result, or a problem, both with what it used.
fn respond(answer: Answer, tool: &Tool) -> Response {
    let mut response = match answer.outcome {
        Outcome::Value(json) => ([(header::CONTENT_TYPE, JSON)], json).into_response(),
        Outcome::ToolError(json) => Problem::tool_error(&parsed(&json)).into_response(),
        Outcome::Stopped(stopped) => Problem::stopped(&stopped.reason, &answer.usage).into_response(),
    };
    used(response.headers_mut(), answer.usage, tool);
    response
}

/// Tell in the headers what a call used, whatever became of it.
pub(crate) fn used(headers: &mut HeaderMap, usage: Usage, tool: &Tool) {
    headers.insert(FUEL, HeaderValue::from(usage.fuel_units));
    headers.insert(MEMORY, HeaderValue::from(usage.memory_bytes));
    headers.insert(DURATION, HeaderValue::from(usage.duration_us));
    if let Ok(digest) = HeaderValue::from_str(&tool.digest_text) {
        headers.insert(DIGEST, digest);
    }
}

pub(crate) fn parsed(json: &Bytes) -> Value {
    serde_json::from_slice(json).unwrap_or(Value::Null)
}

/// JSON is taken under any name but one that says plainly that it is something else: `curl -d` calls it a form.
fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let other = ["multipart/", "application/xml", "text/xml", "application/wasm", "application/octet-stream", "image/"];
    if other.iter().any(|other| given.starts_with(other)) {
        let message = format!("arguments are sent as application/json, not as {}", given.escape_debug());
        return Err(Problem::new(Code::UnsupportedMediaType, message));
    }
    Ok(())
}

/// The bounds that a caller sets for its own call. Refuses requests that say their body is something other than JSON.
pub(crate) struct Bounds(pub(crate) Lowered);

impl<S: Send + Sync> FromRequestParts<S> for Bounds {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let headers = &parts.headers;
        check_type(headers)?;
        let number = |name: &HeaderName| match headers.get(name) {
            None => Ok(None),
            Some(value) => match value.to_str().ok().and_then(|text| text.parse::<u64>().ok()) {
                Some(number) => Ok(Some(number)),
                None => Err(Problem::new(Code::Malformed, format!("the header {name} must hold a whole number"))),
            },
        };
        Ok(Self(Lowered {
            fuel_units: number(&MAX_FUEL)?,
            deadline_ms: number(&DEADLINE)?,
            memory: number(&MAX_MEMORY)?.map(ByteSize),
            result: None,
        }))
    }
}
