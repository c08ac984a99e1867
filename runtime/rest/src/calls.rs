use std::{sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, State as Shared},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use fumehood_dispatch::{Answer, Arguments, Called, Deprecated, Mode, Order, Shape, Terms, Tool, Via, rich::Aside};
use fumehood_http::{Body, Caller, Path, Problem};
use fumehood_model::{Bound, ByteSize, Code, Lowered, Outcome, Principal, StopReason, Usage};
use fumehood_shape::{Mistakes, Report};
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use serde_json::{Value, json};

use crate::{
    State, asks, form,
    jobs::{accepted, answer, idempotency_key},
    results,
};

const FUEL: HeaderName = HeaderName::from_static("fumehood-fuel");
const MEMORY: HeaderName = HeaderName::from_static("fumehood-memory-bytes");
const DURATION: HeaderName = HeaderName::from_static("fumehood-duration-us");
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const DIGEST: HeaderName = HeaderName::from_static("fumehood-digest");
const LIMITS: HeaderName = HeaderName::from_static("fumehood-limits");
const MAX_FUEL: HeaderName = HeaderName::from_static("fumehood-max-fuel");
const MAX_MEMORY: HeaderName = HeaderName::from_static("fumehood-max-memory-bytes");
const DEADLINE: HeaderName = HeaderName::from_static("fumehood-deadline-ms");
const CONFIRM: HeaderName = HeaderName::from_static("fumehood-confirm");
const SHAPE: HeaderName = HeaderName::from_static("fumehood-shape");
const SHAPED: HeaderName = HeaderName::from_static("fumehood-shaped");
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// RFC 7240 §3: tells the caller that its preference was heard.
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// Longest that a request waits for a job: less than most proxies wait for an answer.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(55);
const OCTETS: &str = "application/octet-stream";
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Call a function of a module: the body holds its arguments, the answer is its bare result.
///
/// A call that its tool or its caller wants as a job, and one of mode `auto` that takes too long, is answered with where the
/// job is.
///
/// Its description is made from the catalogue, one for each tool, in `openapi.rs`.
pub(crate) async fn call(
    Shared(state): Shared<State>,
    Caller(principal): Caller,
    Path((module, function)): Path<(String, String)>,
    Bounds(lowered): Bounds,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    let tool = state.dispatcher.function(&principal, &module, &function)?;
    let answer = call_tool(&state, &principal, &tool, lowered, &headers, body).await;
    Ok(deprecated(answer.into_response(), &tool))
}

/// Say of an answer that its tool is not to be used any more (RFC 9745), and where what to use instead is told.
pub(crate) fn deprecated(mut response: Response, tool: &Tool) -> Response {
    if let Some(Deprecated { since, .. }) = &tool.deprecated {
        let since = HeaderValue::try_from(format!("@{}", since.unix_ms / 1_000));
        let told = HeaderValue::try_from(format!("</api/v1/tools/{}>; rel=\"deprecation\"", tool.name));
        for (name, value) in [(DEPRECATION, since), (header::LINK, told)] {
            if let Ok(value) = value {
                response.headers_mut().insert(name, value);
            }
        }
    }
    response
}

async fn call_tool(
    state: &State,
    principal: &Principal,
    tool: &Arc<Tool>,
    lowered: Lowered,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let door = &state.dispatcher;
    let arguments = arguments(headers, body, tool).await?;
    let (arguments, wanted) = wanted(headers, tool, arguments)?;
    let wait = waits(headers);
    let (arguments, context) = asks::brought(door, principal, tool, arguments, headers)?;
    let confirmation = confirmation(headers);
    let terms = Terms { lowered, via: Via::Rest, context, confirmation: confirmation.clone(), ..Terms::default() };
    match door.mode(tool) {
        _ if is_preferred(headers, "respond-async") => {}
        Mode::Queue => {}
        Mode::Direct => {
            // Only a tool that its component describes itself can ask.
            let again = tool.rich.is_some().then(|| arguments.clone());
            let called = door.call(principal, tool, arguments, terms).await?;
            if let (Some(Aside::Asks(asks)), Some(Arguments::Parsed(arguments))) = (&called.aside, &again) {
                return asks::asked(door, principal, tool, arguments, asks);
            }
            return answered(state, principal, tool, headers, called, wanted).await;
        }
        Mode::Auto => {
            let patience = wait.unwrap_or(door.auto_after());
            let again = tool.rich.is_some().then(|| arguments.clone());
            return match door.call_or_defer(principal, tool, arguments, terms, patience).await? {
                Called::Answered(Answer { aside: Some(Aside::Asks(asks)), .. }) => match again {
                    Some(Arguments::Parsed(arguments)) => asks::asked(door, principal, tool, &arguments, &asks),
                    _ => Err(Problem::new(Code::Internal, "a plain function asked")),
                },
                Called::Answered(called) => answered(state, principal, tool, headers, called, wanted).await,
                Called::Deferred(ticket) => Ok(accepted(ticket.id)),
            };
        }
    }
    if wanted.is_some() {
        let what = format!("the call is a job, whose answer is as it is: make it without the header {SHAPE}");
        return Err(Problem::new(Code::Malformed, what));
    }
    if terms.context.resumption.is_some() {
        let what = "the call is a job: answer what it asks at /api/v1/jobs/{id}/answers, not with `_input`";
        return Err(Problem::new(Code::Malformed, what));
    }
    let order = Order { lowered, idempotency_key: idempotency_key(headers)?, confirmation, ..Order::default() };
    let ticket = door.submit(principal, tool, arguments, order).await?;
    let mut response = accepted(ticket.id);
    if let Some(patience) = wait {
        let job = door.wait_for_job(principal, &ticket.id.to_string(), patience).await?;
        if job.state.is_final() {
            return answer(door, principal, job).await;
        }
    }
    if is_preferred(headers, "respond-async") {
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"));
    }
    Ok(response)
}

/// What the caller wants of the answer, if it says that the answer is to be shaped, and the arguments without that.
pub(crate) fn wanted(
    headers: &HeaderMap,
    tool: &Tool,
    arguments: Arguments,
) -> Result<(Arguments, Option<Shape>), Problem> {
    match headers.get(SHAPE).map(HeaderValue::as_bytes) {
        None | Some(b"false") => return Ok((arguments, None)),
        Some(b"true") => {}
        Some(_) => return Err(Problem::new(Code::Malformed, format!("the header {SHAPE} must be true or false"))),
    }
    let mut arguments = match arguments {
        Arguments::Parsed(value) => value,
        Arguments::Text(text) if text.trim_ascii().is_empty() => Value::Object(serde_json::Map::new()),
        Arguments::Text(text) => serde_json::from_slice(&text)
            .map_err(|error| Problem::new(Code::InvalidInput, format!("the arguments are not valid JSON: {error}")))?,
    };
    let wanted = arguments.as_object_mut().map(|arguments| Shape::take(tool, arguments)).transpose();
    let wanted = wanted.map_err(|mistakes| mistaken(&mistakes))?;
    Ok((Arguments::Parsed(arguments), wanted))
}

/// What cannot be wanted of an answer.
pub(crate) fn mistaken(mistakes: &Mistakes) -> Problem {
    let told = mistakes.mistakes.iter();
    let told = told.map(|mistake| json!({ "pointer": mistake.pointer, "message": mistake.message }));
    Problem::new(Code::InvalidInput, "the answer cannot be shaped like that").with_details(told.collect())
}

/// Tell what shaping saved.
pub(crate) fn saved(mut response: Response, report: &Report) -> Response {
    let Report { bytes_before, bytes_after } = report;
    let told =
        format!("bytes-before={bytes_before}, bytes-after={bytes_after}, tokens-saved={}", report.tokens_saved());
    if let Ok(told) = HeaderValue::from_str(&told) {
        response.headers_mut().insert(SHAPED, told);
    }
    response
}

/// That a person has confirmed the call.
pub(crate) fn confirmation(headers: &HeaderMap) -> Option<String> {
    headers.get(CONFIRM)?.to_str().ok().map(ToOwned::to_owned)
}

/// The arguments in a body, whether JSON or a form.
pub(crate) async fn arguments(headers: &HeaderMap, body: Bytes, tool: &Tool) -> Result<Arguments, Problem> {
    match form_type(headers) {
        Some(_) if tool.rich.is_some() => {
            let what = "this tool takes its arguments as application/json alone";
            Err(Problem::new(Code::UnsupportedMediaType, what))
        }
        Some(kind) => form::arguments(kind, body, &tool.plan).await,
        None => {
            check_json(headers)?;
            Ok(Arguments::Text(body))
        }
    }
}

/// What a call that was waited for has come to.
async fn answered(
    state: &State,
    principal: &Principal,
    tool: &Arc<Tool>,
    headers: &HeaderMap,
    called: Answer,
    wanted: Option<Shape>,
) -> Result<Response, Problem> {
    let Answer { usage, set_by, .. } = called;
    let takes_bytes = tool.rich.is_none() && tool.plan.answers_bytes();
    if let (Outcome::Value(json), Some(wanted)) = (&called.outcome, wanted) {
        let shaped = state.dispatcher.shape(principal, parsed(&tool.bare(json.clone())), wanted).await;
        let mut response = saved(axum::Json(&shaped.value).into_response(), &shaped.report);
        used(response.headers_mut(), usage, &tool.digest_text);
        return Ok(response);
    }
    let mut response = match &called.outcome {
        Outcome::Value(json) if is_preferred(headers, "return=minimal") => {
            results::kept(&state.dispatcher.keep_result(principal, tool.bare(json.clone())).await?)
        }
        Outcome::Value(json) if takes_bytes && is_accepted(headers, OCTETS) => download(tool, json),
        Outcome::Value(json) => ([(header::CONTENT_TYPE, JSON)], tool.bare(json.clone())).into_response(),
        Outcome::ToolError(json) => {
            Problem::tool_error(&parsed(&tool.bare(json.clone()))).on_the_way(&called).into_response()
        }
        Outcome::Stopped(stopped) => {
            let problem = Problem::stopped(&stopped.reason, &usage, &called.denied).set_by(set_by);
            match stopped.reason {
                StopReason::ResultTooLarge { allowed } if takes_bytes => {
                    // Its values take more on their way than its base64 does.
                    let bytes = ByteSize(allowed.0 / 5 * 3);
                    problem.adding(&format!(" of JSON, or {bytes} of bytes")).into_response()
                }
                _ => problem.into_response(),
            }
        }
    };
    used(response.headers_mut(), usage, &tool.digest_text);
    Ok(response)
}

/// The answer of a function that returns bytes, as a file.
fn download(tool: &Tool, json: &Bytes) -> Response {
    let base64: Option<&str> = serde_json::from_slice(json).ok();
    match base64.and_then(|text| STANDARD.decode(text).ok()) {
        Some(bytes) => results::attachment(&format!("{}-{}.bin", tool.module, tool.function), OCTETS, bytes.into()),
        None => Problem::new(Code::Internal, "the answer of the tool is not the bytes that its type promises")
            .into_response(),
    }
}

/// The content type of a form, if the body is one.
fn form_type(headers: &HeaderMap) -> Option<&str> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = kind.split(';').next()?.trim();
    essence.eq_ignore_ascii_case("multipart/form-data").then_some(kind)
}

/// Whether the caller asked for this media type by its name; ranges such as `*/*` ask for the usual answer.
pub(crate) fn is_accepted(headers: &HeaderMap, kind: &str) -> bool {
    listed(headers, &header::ACCEPT).any(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let named = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case(kind));
        // RFC 9110 §12.4.2: a weight of 0 means "not acceptable".
        let refused = |weight: &str| weight.parse::<f32>().is_ok_and(|weight| weight == 0.0);
        named && !parts.filter_map(|part| part.strip_prefix("q=")).any(refused)
    })
}

/// Whether the caller has this preference (RFC 7240).
fn is_preferred(headers: &HeaderMap, preference: &str) -> bool {
    let of_entry = |entry: &str| entry.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(preference);
    listed(headers, &PREFER).any(of_entry)
}

/// For how long the caller would wait (RFC 7240 §4.3), in whole seconds.
fn waits(headers: &HeaderMap) -> Option<Duration> {
    let seconds = listed(headers, &PREFER).find_map(|entry| entry.trim().strip_prefix("wait="))?;
    seconds.trim().parse().ok().map(|seconds: u64| Duration::from_secs(seconds).min(MAX_WAIT))
}

/// The entries of a header that is a list.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','))
}

/// Tell in the headers what a call used, whatever became of it.
pub(crate) fn used(headers: &mut HeaderMap, usage: Usage, digest: &str) {
    headers.insert(FUEL, HeaderValue::from(usage.fuel_units));
    headers.insert(MEMORY, HeaderValue::from(usage.memory_bytes));
    headers.insert(DURATION, HeaderValue::from(usage.duration_us));
    if let Ok(digest) = HeaderValue::from_str(digest) {
        headers.insert(DIGEST, digest);
    }
}

pub(crate) fn parsed(json: &Bytes) -> Value {
    serde_json::from_slice(json).unwrap_or(Value::Null)
}

/// JSON is taken under any name but one that says plainly that it is something else: `curl -d` calls it a form.
fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let other = ["multipart/", "application/xml", "text/xml", "application/wasm", "application/octet-stream", "image/"];
    if other.iter().any(|other| given.starts_with(other)) {
        let message = format!("arguments are sent as application/json, not as {}", given.escape_debug());
        return Err(Problem::new(Code::UnsupportedMediaType, message));
    }
    Ok(())
}

/// Refuses a request that says that its body is something other than JSON, before the body is read.
pub(crate) struct JsonBody;

impl<S: Send + Sync> FromRequestParts<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        check_json(&parts.headers).map(|()| Self)
    }
}

/// The bounds that a caller sets for its own call.
pub(crate) struct Bounds(pub(crate) Lowered);

impl<S: Send + Sync> FromRequestParts<S> for Bounds {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let headers = &parts.headers;
        let number = |name: &HeaderName| match headers.get(name) {
            None => Ok(None),
            Some(value) => match value.to_str().ok().and_then(|text| text.parse::<u64>().ok()) {
                Some(number) => Ok(Some(number)),
                None => Err(Problem::new(Code::Malformed, format!("the header {name} must hold a whole number"))),
            },
        };
        let mut lowered = limits(headers)?;
        for (name, bound) in [(MAX_FUEL, Bound::FuelUnits), (DEADLINE, Bound::DeadlineMs), (MAX_MEMORY, Bound::Memory)]
        {
            if let Some(most) = number(&name)? {
                lowered = lowered.and(Lowered::default().with(bound, most));
            }
        }
        Ok(Self(lowered))
    }
}

/// The bounds in the header `Fumehood-Limits`: `log=1024, http_requests=2`.
fn limits(headers: &HeaderMap) -> Result<Lowered, Problem> {
    let wrong = |what: String| Problem::new(Code::Malformed, format!("the header {LIMITS}: {what}"));
    let mut lowered = Lowered::default();
    for value in headers.get_all(LIMITS) {
        let text = value.to_str().map_err(|_| wrong("it must be text".to_owned()))?;
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, most) =
                part.split_once('=').ok_or_else(|| wrong("write it as log=1024, result=65536".to_owned()))?;
            let bound: Bound = name.trim().parse().map_err(wrong)?;
            lowered = lowered.and(Lowered::default().with(bound, bound.parse(most.trim()).map_err(wrong)?));
        }
    }
    Ok(lowered)
}
