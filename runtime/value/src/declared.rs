//! Schemas that an author wrote, where no types say what fits.

use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::{
    mistake::{MAX_MISTAKES, Mistake},
    schema::Object,
};

/// Largest schema: a page that a model is meant to read.
const MAX_SCHEMA: usize = 64 << 10;

/// Most memory of one compiled pattern: some thousand characters, or a few hundred repetitions.
const MAX_PATTERN: usize = 256 << 10;

/// Deepest nesting of a schema, well below what its compiler takes from the stack.
const MAX_DEPTH: usize = 64;

/// Longest sentence about a mistake, in characters: values that it quotes may be long.
const MAX_SENTENCE: usize = 300;

/// A JSON Schema of an object that an author wrote, ready to check values with.
///
/// Patterns are matched in linear time, and references lead nowhere but into the schema itself.
#[derive(Clone)]
pub struct Declared {
    document: Arc<Object>,
    validator: Arc<Validator>,
}

impl std::fmt::Debug for Declared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Declared").field(&self.document).finish()
    }
}

impl Declared {
    /// The schema in `text`.
    ///
    /// # Errors
    ///
    /// With a sentence for its author when it is no JSON Schema of an object, too large, or refers to anything outside.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_SCHEMA {
            return Err(format!("it has {} bytes, and may have {MAX_SCHEMA}", text.len()));
        }
        let schema: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        if depth(&schema) > MAX_DEPTH {
            return Err(format!("it is nested deeper than {MAX_DEPTH} levels"));
        }
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err("it must be of an object: its `type` must be \"object\"".to_owned());
        }
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN);
        let options = jsonschema::options().with_draft(Draft::Draft202012).with_pattern_options(patterns).offline();
        let validator = options.build(&schema).map_err(|error| sentence(&error.to_string()))?;
        let Value::Object(document) = schema else { return Err("it must be an object".to_owned()) };
        Ok(Self { document: Arc::new(document), validator: Arc::new(validator) })
    }

    /// The schema as it was written.
    #[must_use]
    pub fn document(&self) -> &Arc<Object> {
        &self.document
    }

    /// Everything in which `value` does not fit; nothing if it does.
    #[must_use]
    pub fn mistakes(&self, value: &Value) -> Vec<Mistake> {
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        let errors = self.validator.iter_errors(value).take(MAX_MISTAKES);
        errors
            .map(|error| Mistake { pointer: error.instance_path().to_string(), message: sentence(&error.to_string()) })
            .collect()
    }
}

fn sentence(text: &str) -> String {
    text.chars().take(MAX_SENTENCE).collect()
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or_default(),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declared(schema: &Value) -> Result<Declared, String> {
        Declared::parse(&schema.to_string())
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let schema = json!({
            "type": "object",
            "properties": { "name": { "type": "string", "maxLength": 3 }, "age": { "$ref": "#/$defs/age" } },
            "required": ["name"],
            "$defs": { "age": { "type": "integer", "minimum": 0 } },
        });
        let declared = declared(&schema).unwrap();

        assert_eq!(declared.mistakes(&json!({ "name": "ann", "age": 7 })), []);
        let found = declared.mistakes(&json!({ "name": "anna", "age": -1 }));
        let mut places: Vec<_> = found.iter().map(|mistake| mistake.pointer.as_str()).collect();
        places.sort_unstable();
        assert_eq!(places, ["/age", "/name"]);
        assert_eq!(Value::Object(Object::clone(declared.document())), schema);
    }

    #[test]
    fn what_is_no_schema_of_an_object_is_refused() {
        for (schema, what) in [
            (json!([]), "must be of an object"),
            (json!({ "type": "string" }), "must be of an object"),
            (json!({ "type": "object", "properties": 7 }), "7 is not of type"),
            (json!({ "type": "object", "$ref": "http://127.0.0.1:1/x" }), "http://127.0.0.1:1/x"),
            (json!({ "type": "object", "$ref": "file:///etc/passwd" }), "file:///etc/passwd"),
            (json!({ "type": "object", "properties": { "a": { "pattern": "(" } } }), "regex"),
            (json!({ "type": "object", "x": "y".repeat(MAX_SCHEMA) }), "bytes"),
        ] {
            let refused = declared(&schema).unwrap_err();
            assert!(refused.contains(what), "{what}: {refused}");
        }
        let deep = (0..=MAX_DEPTH).fold(json!(true), |inner, _| json!({ "type": "object", "not": inner }));
        assert!(declared(&deep).unwrap_err().contains("nested"));
    }

    #[test]
    fn patterns_that_explode_elsewhere_take_linear_time() {
        let schema = json!({ "type": "object", "properties": { "a": { "type": "string", "pattern": "^(a+)+$" } } });
        let declared = declared(&schema).unwrap();

        assert_eq!(declared.mistakes(&json!({ "a": "a".repeat(50_000) + "!" })).len(), 1);
        assert!(
            self::declared(&json!({ "type": "object", "properties": { "a": { "pattern": "((a{90}){90}){90}" } } }))
                .is_err()
        );
    }
}
