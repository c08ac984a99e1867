//! Answers that are filtered, projected and cut for a model, where a profile wants it.

use std::sync::Arc;

use bytes::Bytes;
use fumehood_dispatch::{Dispatcher, Tool as OurTool};
use fumehood_model::{Code, Principal};
use fumehood_shape::{Kept, Kind, Mistakes, Report, Rules, SEARCH, Search, Shaped, Shaping, nothing_kept};
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

/// What a caller wants of the answer, taken out of the arguments before the tool sees them.
pub(crate) fn take(tool: &OurTool, arguments: &mut JsonObject) -> Result<(Shaping, Rules), Box<CallToolResult>> {
    let rules = Rules::of(Kind::of_name(&tool.function));
    let properties = tool.input_schema.get("properties");
    let declares = |name: &str| properties.is_some_and(|properties| properties.get(name).is_some());
    match Shaping::take(arguments, &rules, declares) {
        Ok(shaping) => Ok((shaping, rules)),
        Err(mistakes) => Err(Box::new(mistaken(&mistakes))),
    }
}

/// The answer as its caller wants it; the whole is kept if anything is missing.
pub(crate) async fn shape(
    door: &Dispatcher,
    principal: &Principal,
    mut result: CallToolResult,
    (shaping, mut rules): (Shaping, Rules),
) -> CallToolResult {
    if result.is_error == Some(true) {
        return result;
    }
    let Some(answer) = result.structured_content.take() else { return result };
    let whole = Bytes::from(answer.to_string());
    // Keeping only fails where nothing can be kept; then nothing is summed up that could not be asked about.
    let can_keep = door.can_keep_results();
    rules.summaries &= can_keep;
    let cut = shaping.apply(answer, &rules);
    let kept = if cut.wants_keeping() && can_keep { door.keep_result(principal, whole).await.ok() } else { None };
    let kept = kept.map(|kept| Kept { uri: Some(format!("/api/v1/results/{}", kept.id)), id: kept.id });
    put(&mut result, cut.finish(kept.as_ref()));
    result
}

/// What is asked about an answer that was kept.
pub(crate) async fn search(door: &Dispatcher, principal: &Principal, arguments: JsonObject) -> CallToolResult {
    let rules = Rules::default();
    let search = match Search::parse(arguments, &rules) {
        Ok(search) => search,
        Err(mistakes) => return mistaken(&mistakes),
    };
    let missing = || {
        let mut result = CallToolResult::error(vec![ContentBlock::text(nothing_kept().to_string())]);
        result.structured_content = Some(nothing_kept());
        result
    };
    let Some(id) = search.response_id().map(ToOwned::to_owned) else { return missing() };
    let Ok(whole) = door.result(principal, &id).await else { return missing() };
    let Ok(whole) = serde_json::from_slice::<Value>(&whole) else { return missing() };
    let kept = Kept { uri: Some(format!("/api/v1/results/{id}")), id };
    match search.run(&whole, &kept, &rules) {
        Ok(shaped) => {
            let mut result = CallToolResult::success(Vec::new());
            put(&mut result, shaped);
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

fn mistaken(mistakes: &Mistakes) -> CallToolResult {
    let lines: Vec<_> =
        mistakes.mistakes.iter().map(|mistake| format!("- {}: {}", mistake.pointer, mistake.message)).collect();
    convert::failed(Code::InvalidInput, format!("The arguments do not fit:\n{}", lines.join("\n")))
}
