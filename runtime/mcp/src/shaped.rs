//! Answers that are filtered, projected and cut for a model, where a profile wants it.

use std::sync::Arc;

use fumehood_dispatch::{Dispatcher, Shape};
use fumehood_model::{Code, Principal};
use fumehood_shape::{Mistakes, Report, SEARCH, Search, Shaped, nothing_kept};
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, MetaObject, Tool};
use serde_json::{Value, json};

use crate::convert;

/// The key under which results tell what shaping saved.
const SHAPED: &str = "dev.fumehood/shaped";

/// A tool whose schemas tell of what it takes beside its own arguments.
pub(crate) fn listed(mut tool: Tool) -> Tool {
    let extended =
        |schema: &Arc<JsonObject>, extend: fn(&Value) -> Value| match extend(&Value::Object(JsonObject::clone(schema)))
        {
            Value::Object(schema) => Arc::new(schema),
            _ => Arc::clone(schema),
        };
    tool.input_schema = extended(&tool.input_schema, fumehood_shape::extend_input);
    tool.output_schema = tool.output_schema.map(|schema| extended(&schema, fumehood_shape::extend_output));
    tool
}

/// The tool that asks about answers that were kept.
pub(crate) fn search_tool() -> Tool {
    let schema = match Search::input_schema() {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    };
    let description = "Filters, sorts and pages through an answer that was cut or summed up, by its `response_id`.";
    Tool::new(SEARCH, description, Arc::new(schema))
}

/// The answer as its caller wants it.
pub(crate) async fn shape(
    door: &Dispatcher,
    principal: &Principal,
    mut result: CallToolResult,
    wanted: Shape,
) -> CallToolResult {
    if result.is_error == Some(true) {
        return result;
    }
    let Some(answer) = result.structured_content.take() else { return result };
    put(&mut result, door.shape(principal, answer, wanted).await);
    result
}

/// What is asked about an answer that was kept.
pub(crate) async fn search(door: &Dispatcher, principal: &Principal, arguments: JsonObject) -> CallToolResult {
    match door.search_kept(principal, arguments).await {
        Ok(Some(shaped)) => {
            let mut result = CallToolResult::success(Vec::new());
            put(&mut result, shaped);
            result
        }
        Ok(None) => {
            let mut result = CallToolResult::error(vec![ContentBlock::text(nothing_kept().to_string())]);
            result.structured_content = Some(nothing_kept());
            result
        }
        Err(mistakes) => mistaken(&mistakes),
    }
}

fn put(result: &mut CallToolResult, Shaped { value, report, .. }: Shaped) {
    // Images, sounds and links stay beside what was cut.
    result.content.retain(|block| block.as_text().is_none());
    result.content.insert(0, ContentBlock::text(value.to_string()));
    result.structured_content = Some(value);
    let saved = report.tokens_saved();
    let Report { bytes_before, bytes_after } = report;
    let told = json!({ "bytesBefore": bytes_before, "bytesAfter": bytes_after, "tokensSaved": saved });
    result.meta.get_or_insert_with(MetaObject::new).insert(SHAPED.to_owned(), told);
}

pub(crate) fn mistaken(mistakes: &Mistakes) -> CallToolResult {
    let lines: Vec<_> =
        mistakes.mistakes.iter().map(|mistake| format!("- {}: {}", mistake.pointer, mistake.message)).collect();
    convert::failed(Code::InvalidInput, format!("The arguments do not fit:\n{}", lines.join("\n")))
}
