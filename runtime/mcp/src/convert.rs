//! From our nouns to those of the protocol, in one place.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use fumehood_dispatch::{Answer, Deprecated, DispatchError, Tool, rich::Hints};
use fumehood_model::{Code, Outcome, StopReason, Usage};
use fumehood_value::InputError;
use rmcp::{
    ErrorData,
    model::{self, CallToolResult, ContentBlock, ErrorCode, MetaObject, ResultType, ToolAnnotations},
};
use serde_json::{Map, Value, json};

use crate::offers;

/// The key under which results carry what a call used.
const USAGE: &str = "dev.fumehood/usage";

/// The key under which a tool tells the hash of its definition.
const DEFINITION: &str = "dev.fumehood/definition";

/// The key under which a tool says that each call of it must be confirmed.
const CONFIRMED: &str = "dev.fumehood/requiresConfirmation";

/// The key under which a tool says that it tells something else of itself than when it was reviewed.
const REDEFINED: &str = "dev.fumehood/redefined";

/// The key under which a tool says that it is not to be used any more, and what instead.
const DEPRECATED: &str = "dev.fumehood/deprecated";

/// The key under which failed results carry their stable code.
const ERROR: &str = "dev.fumehood/error";

/// A tool as the protocol lists it, called `name`. Schemas are shared, not copied.
pub(crate) fn tool(name: &str, tool: &Tool) -> model::Tool {
    let name = Cow::Owned(name.to_owned());
    let mut listed = model::Tool::new(name, tool.description.clone(), Arc::clone(&tool.input_schema));
    let mut meta = MetaObject::new();
    if let Some(Deprecated { words, .. }) = &tool.deprecated {
        listed.description = Some(format!("Deprecated: {words}\n\n{}", tool.description).into());
        meta.insert(DEPRECATED.to_owned(), words.as_str().into());
    }
    meta.insert(DEFINITION.to_owned(), tool.definition.as_str().into());
    if tool.requires_confirmation {
        meta.insert(CONFIRMED.to_owned(), true.into());
    }
    if tool.is_redefined {
        meta.insert(REDEFINED.to_owned(), true.into());
    }
    let Some(rich) = &tool.rich else {
        return listed.with_meta(meta).with_raw_output_schema(Arc::clone(&tool.output_schema));
    };
    listed.output_schema = rich.output.as_ref().map(|output| Arc::clone(output.document()));
    listed.title.clone_from(&rich.title);
    listed.icons = offers::icons(&rich.icons);
    for (key, value) in rich.meta.iter().flatten() {
        // What is ours, no author says.
        meta.entry(key.clone()).or_insert_with(|| value.clone());
    }
    listed.meta = Some(meta);
    let hints = rich.hints;
    if hints != Hints::default() {
        let mut annotations = ToolAnnotations::new();
        annotations.read_only_hint = hints.read_only;
        annotations.destructive_hint = hints.destructive;
        annotations.idempotent_hint = hints.idempotent;
        annotations.open_world_hint = hints.open_world;
        listed.annotations = Some(annotations);
    }
    listed
}

/// Say which hash a listed tool's definition has.
pub(crate) fn define(listed: &mut model::Tool, definition: &str) {
    listed.meta.get_or_insert_with(MetaObject::new).insert(DEFINITION.to_owned(), definition.into());
}

/// The result of a call that took place.
pub(crate) fn answered(answer: &Answer, tool: &Tool) -> CallToolResult {
    let mut result = match &answer.outcome {
        Outcome::Value(json) | Outcome::ToolError(json) if tool.rich.is_some() => described(json),
        Outcome::Value(json) => succeeded(json, tool.wraps_answer),
        Outcome::ToolError(json) => failed(Code::ToolError, error_text(json) + &asides(answer)),
        Outcome::Stopped(stopped) => failed(stopped.reason.code(), advice(&stopped.reason)),
    };
    add_usage(&mut result, answer.usage, &tool.digest_text);
    result
}

/// The answer of a tool that its component describes itself, which is an object of the protocol.
pub(crate) fn described(json: &[u8]) -> CallToolResult {
    if values_in(json) > MAX_VALUES {
        let told = format!("the answer of the tool has more than {MAX_VALUES} values: ask for a smaller part of it");
        return failed(Code::ResultTooLarge, told);
    }
    match serde_json::from_slice::<CallToolResult>(json) {
        Ok(mut result) => {
            result.result_type = Some(ResultType::COMPLETE);
            result
        }
        Err(error) => {
            tracing::warn!(%error, blame = "guest", "A tool answered with what the protocol does not know: {error}");
            failed(Code::Trap, "the tool answered with content that the protocol does not know".to_owned())
        }
    }
}

/// Tell in a result what the call used.
pub(crate) fn add_usage(result: &mut CallToolResult, usage: Usage, digest: &str) {
    let usage = json!({
        "fuelUnits": usage.fuel_units,
        "memoryBytes": usage.memory_bytes,
        "durationUs": usage.duration_us,
        "digest": digest,
    });
    result.meta.get_or_insert_with(MetaObject::new).insert(USAGE.to_owned(), usage);
}

/// The stable code of a failure, as the data of an error of the protocol.
pub(crate) fn code_data(code: Code) -> Value {
    json!({ ERROR: code.as_str() })
}

/// Most values in an answer over MCP, whose structured content is a tree: a short number takes two bytes of JSON, and forty
/// times as much as a node.
const MAX_VALUES: usize = 250_000;

/// About how many values are in `json`: one for each comma and each opening bracket outside of texts.
fn values_in(json: &[u8]) -> usize {
    let (mut count, mut in_text, mut escaped) = (1, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

/// The same JSON as structured content and as text: some clients read only the one, some only the other.
pub(crate) fn succeeded(json: &Bytes, wraps: bool) -> CallToolResult {
    if values_in(json) > MAX_VALUES {
        let told = format!("the answer of the tool has more than {MAX_VALUES} values: ask for a smaller part of it");
        return failed(Code::ResultTooLarge, told);
    }
    let bare = String::from_utf8_lossy(json);
    // `null` is an absent value, and absent members are left out.
    let text = match (wraps, &*bare) {
        (true, "null") => "{}".to_owned(),
        (true, bare) => format!("{{\"result\":{bare}}}"),
        (false, bare) => bare.to_owned(),
    };
    let structured = serde_json::from_str(&text).unwrap_or_else(|_| Value::Object(Map::new()));
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(structured);
    result
}

pub(crate) fn failed(code: Code, text: String) -> CallToolResult {
    let mut result = CallToolResult::error(vec![ContentBlock::text(text)]);
    result.meta.get_or_insert_with(MetaObject::new).insert(ERROR.to_owned(), code.as_str().into());
    result
}

/// What a model is told of a call that its user has not confirmed.
pub(crate) fn unconfirmed(tool: &Tool, why: &str) -> CallToolResult {
    let text = format!(
        "{} was not run: a person must confirm each call of it, and {why}. Nothing was done. Do not try to get around this.",
        tool.name
    );
    failed(Code::Unconfirmed, text)
}

/// Whom to ask about what the tool was denied, and which bounds it had reached: either may be why it failed.
fn asides(answer: &Answer) -> String {
    let mut text = String::new();
    if !answer.denied.is_empty() {
        let denied = answer.denied.join(", ");
        text += &format!("\n(This tool was denied {denied}; an administrator of this server can review it.)");
    }
    for (reached, _) in &answer.reached {
        text += &format!("\n(This tool had reached its {reached}.)");
    }
    text
}

/// A text as it is, anything else as JSON.
pub(crate) fn error_text(json: &[u8]) -> String {
    match serde_json::from_slice(json) {
        Ok(Value::String(text)) => text,
        Ok(Value::Null) | Err(_) => "the tool answered with an error".to_owned(),
        Ok(other) => other.to_string(),
    }
}

/// Why a call was stopped, and what a model can do about it.
pub(crate) fn advice(reason: &StopReason) -> String {
    let next = match reason {
        StopReason::Deadline { .. }
        | StopReason::Fuel { .. }
        | StopReason::Memory { .. }
        | StopReason::TableElements { .. }
        | StopReason::HostCalls { .. }
        | StopReason::HostBytes { .. }
        | StopReason::Handles { .. }
        | StopReason::HostMemory { .. }
        | StopReason::Random { .. }
        | StopReason::Refused { .. } => "Ask for less at a time, or ask an administrator to raise the limit.",
        StopReason::ResultTooLarge { .. } => "Ask for a smaller part of the answer.",
        StopReason::Trap { .. } => "The same call will most likely fail again; its author can tell why.",
        StopReason::Denied { .. } => "An administrator can review what this tool may reach.",
        StopReason::Cancelled => "",
    };
    let text = format!("{reason}. {next}");
    text.trim_end().to_owned()
}

/// A call that did not take place: something that the model can mend is a result, the rest an error of the protocol.
pub(crate) fn refused(error: &DispatchError) -> Result<CallToolResult, ErrorData> {
    let code = error.code();
    match code {
        Code::NotFound => Err(ErrorData::invalid_params(error.to_string(), None)),
        Code::Internal => {
            tracing::error!(error = error as &dyn std::error::Error, "A call over MCP failed: {error}");
            Err(ErrorData::internal_error("the server failed; the operator's log has the reason", None))
        }
        Code::Forbidden | Code::Unauthenticated => {
            Err(ErrorData::new(ErrorCode::INVALID_REQUEST, error.to_string(), None))
        }
        Code::Malformed
        | Code::MethodNotAllowed
        | Code::Conflict
        | Code::TooLarge
        | Code::UnsupportedMediaType
        | Code::InvalidInput
        | Code::InvalidComponent
        | Code::Signature
        | Code::ToolError
        | Code::Busy
        | Code::Unavailable
        | Code::Deadline
        | Code::Memory
        | Code::Fuel
        | Code::Trap
        | Code::Denied
        | Code::Cancelled
        | Code::ResultTooLarge
        | Code::QuotaExceeded
        | Code::Gone
        | Code::Interrupted
        | Code::Unconfirmed
        | Code::StorageFull => Ok(failed(code, told(error))),
    }
}

/// The failure with every mistake of the input, one to a line.
fn told(error: &DispatchError) -> String {
    let DispatchError::Input(InputError::Mistakes { mistakes }) = error else { return error.to_string() };
    let lines: Vec<_> =
        mistakes
            .iter()
            .map(|m| {
                if m.pointer.is_empty() {
                    format!("- {}", m.message)
                } else {
                    format!("- {}: {}", m.pointer, m.message)
                }
            })
            .collect();
    format!("The arguments do not fit the tool:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_and_what_stands_in_texts_is_not() {
        assert_eq!(values_in(b"7"), 1);
        assert_eq!(values_in(br#"[1,2,{"a,b":"[\",["}]"#), 5);
    }
}
