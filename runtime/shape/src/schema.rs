//! Schemas of tools whose answers are shaped: what is advertised is what may be sent and what may come.

use serde_json::{Map, Value, json};

use crate::{bounds::MAX_LIMIT, filter::FILTER_PREFIX};

/// Keywords that ask for something to be there or to be whole, which a shaped answer need not be.
const ASKING: [&str; 20] = [
    "required",
    "minItems",
    "minLength",
    "minProperties",
    "minContains",
    "contains",
    "pattern",
    "format",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedProperties",
    "unevaluatedItems",
];

/// Keywords whose value is one schema.
const ONE: [&str; 4] = ["additionalProperties", "items", "additionalItems", "propertyNames"];

/// Keywords whose value is a list of schemas.
const SEVERAL: [&str; 4] = ["anyOf", "allOf", "prefixItems", "items"];

/// Keywords whose value is an object of schemas.
const NAMED: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];

/// Keywords that stay at the root of an answer.
const AT_ROOT: [&str; 6] = ["$schema", "$id", "title", "description", "$defs", "definitions"];

/// Members of a summary that a tool could have too, as something else.
const OF_SUMMARIES: [&str; 16] = [
    "total_count",
    "by_status",
    "critical_items",
    "critical_count",
    "errors_found",
    "error_samples",
    "sample_items",
    "available_fields",
    "summary_type",
    "sample",
    "status_distribution",
    "type_distribution",
    "error_count",
    "errors",
    "paths",
    "other_members",
];

/// Texts in `enum` and `const` that are longer could be cut.
const SAFE_TEXT_BYTES: usize = 40;

/// Deepest that a schema is rewritten; what is below accepts anything.
const MAX_DEPTH: usize = 64;

/// Add the shaping parameters to the schema of a tool's arguments, which must be one of an object. What the tool itself
/// takes stays as it is, and stays the tool's in [`Shaping::take`](crate::Shaping::take).
#[must_use]
pub fn extend_input(schema: &Value) -> Value {
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    schema.entry("type").or_insert_with(|| "object".into());
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(properties) = properties {
        for (name, parameter) in parameters() {
            properties.entry(name).or_insert(parameter);
        }
    }
    let patterns = schema.entry("patternProperties").or_insert_with(|| json!({}));
    if let Value::Object(patterns) = patterns {
        patterns.entry(format!("^{FILTER_PREFIX}")).or_insert_with(|| {
            json!({
                "description": "Keep only items whose field (dotted path after _filter_) fits: value, [values], \
                                ~pattern, >n >=n <n <=n !=v. Also _filter_field__contains."
            })
        });
    }
    Value::Object(schema)
}

fn parameters() -> [(&'static str, Value); 10] {
    [
        ("_filter__text", json!({"type": "string", "description": "Keep only items with this text anywhere."})),
        ("_filter__has", json!({"description": "Keep only items that have this field, or all of these."})),
        (
            "fields",
            json!({"type": "array", "items": {"type": "string"}, "description": "Only these fields of each item."}),
        ),
        ("limit", json!({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "description": "Items to return."})),
        ("offset", json!({"type": "integer", "minimum": 0, "description": "Items to skip."})),
        ("cursor", json!({"type": "string", "description": "next_cursor of the answer before."})),
        ("sort", json!({"type": "string", "description": "Field to sort by."})),
        ("order", json!({"enum": ["asc", "desc"]})),
        ("summary", json!({"enum": ["count", "stats", "errors_only", "none"], "description": "Instead of the items."})),
        ("no_optimize", json!({"type": "boolean", "description": "The whole answer, however long."})),
    ]
}

/// The schema of a tool's answers, shaped or not, from that of its own: nothing is required any more, and the root may
/// have what is told of the cut or a summary.
///
/// Every answer that fits `schema` fits the result, and so does whatever [`Cut::finish`](crate::Cut::finish) makes of it.
/// The schema of an object stays one, as MCP wants it.
#[must_use]
pub fn extend_output(schema: &Value) -> Value {
    let Value::Object(root) = schema else { return json!({}) };
    let is_object = root.get("type").and_then(Value::as_str) == Some("object") || root.contains_key("properties");
    if is_object {
        return Value::Object(shaped_object(root));
    }
    let mut relaxed = relax(root, 0);
    let around: Map<_, _> = AT_ROOT.iter().filter_map(|key| relaxed.shift_remove_entry(*key)).collect();
    let mut shaped = shaped_object(&Map::new());
    if let Some(properties) = shaped.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("data".to_owned(), json!({}));
    }
    let mut extended = around;
    extended.insert("anyOf".to_owned(), json!([relaxed, shaped]));
    Value::Object(extended)
}

/// An object with the members of `root`, all optional, and anything beside them.
fn shaped_object(root: &Map<String, Value>) -> Map<String, Value> {
    let mut relaxed = relax(root, 0);
    let mut shaped: Map<_, _> = AT_ROOT.iter().filter_map(|key| relaxed.shift_remove_entry(*key)).collect();
    shaped.insert("type".to_owned(), "object".into());
    let mut properties = match relaxed.shift_remove("properties") {
        Some(Value::Object(properties)) => properties,
        _ => Map::new(),
    };
    for name in OF_SUMMARIES {
        if let Some(property) = properties.get_mut(name) {
            *property = described_only(property);
        }
    }
    for (name, schema) in told() {
        properties.insert(name.to_owned(), schema);
    }
    shaped.insert("properties".to_owned(), properties.into());
    shaped
}

/// What is told most often. The rest is not advertised: it would cost more tokens in every list of tools than it helps.
fn told() -> [(&'static str, Value); 3] {
    [
        ("_summary", json!({"description": "This is a summary in place of a long answer."})),
        ("_response_id", json!({"description": "Names the whole answer for search_last_result."})),
        ("_truncation_metadata", json!({"description": "What was cut off."})),
    ]
}

fn described_only(schema: &Value) -> Value {
    match schema.get("description") {
        Some(description) => json!({"description": description}),
        None => json!({}),
    }
}

fn relaxed(schema: &Value, depth: usize) -> Value {
    match schema {
        Value::Object(_) if depth > MAX_DEPTH => json!({}),
        Value::Object(schema) => Value::Object(relax(schema, depth)),
        other => other.clone(),
    }
}

fn relax(schema: &Map<String, Value>, depth: usize) -> Map<String, Value> {
    let mut kept = Map::new();
    for (key, value) in schema {
        let key = key.as_str();
        if ASKING.contains(&key) || matches!(key, "enum" | "const") && has_long_text(value) {
            continue;
        }
        // Without what is required, more than one of the cases may fit.
        let key = if key == "oneOf" && !schema.contains_key("anyOf") { "anyOf" } else { key };
        if key == "oneOf" {
            continue;
        }
        kept.insert(key.to_owned(), relaxed_keyword(key, value, depth));
    }
    kept
}

fn relaxed_keyword(key: &str, value: &Value, depth: usize) -> Value {
    match value {
        Value::Object(members) if NAMED.contains(&key) => {
            members.iter().map(|(name, schema)| (name.clone(), relaxed(schema, depth + 1))).collect()
        }
        Value::Array(list) if SEVERAL.contains(&key) => list.iter().map(|schema| relaxed(schema, depth + 1)).collect(),
        value if ONE.contains(&key) => relaxed(value, depth + 1),
        value => value.clone(),
    }
}

fn has_long_text(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() > SAFE_TEXT_BYTES,
        Value::Array(list) => list.iter().any(has_long_text),
        Value::Object(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
