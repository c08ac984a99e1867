//! What a tool asks of its caller before it goes on: told with 202, and answered by the same call made again.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use fumehood_dispatch::{
    Arguments, Dispatcher, Tool,
    rich::{Asks, CallContext, Capabilities, Resumption, Trace},
};
use fumehood_http::Problem;
use fumehood_model::{Code, Principal};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The member of the arguments under which a caller brings back what it was asked.
const INPUT: &str = "_input";

/// What a caller brings back.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Brought {
    #[serde(default)]
    input_responses: Map<String, Value>,
    request_state: Option<String>,
}

/// The arguments of a call without what its caller brings back, which becomes a part of what its guest is told.
pub(crate) fn brought(
    door: &Dispatcher,
    principal: &Principal,
    tool: &Tool,
    arguments: Arguments,
    headers: &HeaderMap,
) -> Result<(Arguments, CallContext), Problem> {
    if tool.rich.is_none() {
        return Ok((arguments, CallContext::default()));
    }
    let trace = Trace::of(|name| headers.get(name)?.to_str().ok());
    let mut context = CallContext { client: Capabilities::ALL, trace, resumption: None };
    // What is no object is told of where all arguments are checked.
    let mut object = match arguments {
        Arguments::Parsed(Value::Object(object)) => object,
        Arguments::Parsed(other) => return Ok((Arguments::Parsed(other), context)),
        Arguments::Text(text) if text.trim_ascii().is_empty() => Map::new(),
        Arguments::Text(text) => match serde_json::from_slice(&text) {
            Ok(object) => object,
            Err(_) => return Ok((Arguments::Text(text), context)),
        },
    };
    let Some(input) = object.remove(INPUT) else { return Ok((Arguments::Parsed(object.into()), context)) };
    let wrong = |what: String| Problem::new(Code::Malformed, format!("`{INPUT}`: {what}"));
    let Brought { input_responses, request_state } =
        serde_json::from_value(input).map_err(|error| wrong(error.to_string()))?;
    let arguments = Value::Object(object);
    let state = match request_state {
        None => None,
        Some(sealed) => Some(door.unseal(principal, &call(tool, &arguments), &sealed).ok_or_else(|| {
            wrong("the requestState is not what was given out for this call, or too old: make the call anew".to_owned())
        })?),
    };
    context.resumption = Some(Resumption { state, responses: input_responses.into_iter().collect() });
    Ok((Arguments::Parsed(arguments), context))
}

/// What a tool asks, as an answer.
pub(crate) fn asked(
    door: &Dispatcher,
    principal: &Principal,
    tool: &Tool,
    arguments: &Value,
    asks: &Asks,
) -> Result<Response, Problem> {
    let mut told = json!({ "resultType": "input_required", "inputRequests": asks.to_json() });
    if let Some(state) = &asks.state {
        told["requestState"] = door.seal(principal, &call(tool, arguments), state)?.into();
    }
    Ok((StatusCode::ACCEPTED, Json(told)).into_response())
}

fn call(tool: &Tool, arguments: &Value) -> String {
    format!("tools/call {} {} {arguments}", tool.name, tool.digest_text)
}
