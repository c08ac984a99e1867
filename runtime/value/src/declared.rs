//! Schemas that an author wrote, where no types say what fits.

use std::{collections::HashMap, sync::Arc};

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::{
    mistake::{MAX_MISTAKES, Mistake},
    schema::Object,
};

/// Largest schema: a page that a model is meant to read.
const MAX_SCHEMA: usize = 64 << 10;

/// Most memory of one compiled pattern: some hundred characters, or a few dozen repetitions.
const MAX_PATTERN: usize = 64 << 10;

/// Most patterns of one schema.
const MAX_PATTERNS: usize = 16;

/// Deepest nesting of a schema with what it refers to, well below what its compiler takes from the stack.
const MAX_DEPTH: usize = 64;

/// Most parts of a schema with what it refers to: each is looked at for each part of a value.
const MAX_PARTS: usize = 10_000;

/// Most parts of a schema times parts of a value: about a second.
const MAX_CHECKS: usize = 50_000_000;

/// The same, up to which every mistake is told and not only the first: each takes memory.
const MAX_TOLD_CHECKS: usize = 1_000_000;

/// Longest sentence about a mistake, in characters: values that it quotes may be long.
const MAX_SENTENCE: usize = 300;

/// A JSON Schema of an object that an author wrote, ready to check values with.
///
/// Patterns are matched in linear time, and references lead nowhere but into the schema itself, and never in a circle: what a
/// check costs is bounded by the sizes of schema and value.
#[derive(Clone)]
pub struct Declared {
    document: Arc<Object>,
    validator: Arc<Validator>,
    parts: usize,
    patterns: usize,
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
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err("it must be of an object: its `type` must be \"object\"".to_owned());
        }
        let mut walk = Walk::new(&schema);
        let Extent { parts, .. } = walk.extent(&schema, 0)?;
        let patterns = walk.patterns;
        if patterns > MAX_PATTERNS {
            return Err(format!("it has {patterns} patterns, and may have {MAX_PATTERNS}"));
        }
        let regex = PatternOptions::regex().size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN);
        let options = jsonschema::options().with_draft(Draft::Draft202012).with_pattern_options(regex).offline();
        let validator = options.build(&schema).map_err(|error| sentence(&error.to_string()))?;
        let Value::Object(document) = schema else { return Err("it must be an object".to_owned()) };
        Ok(Self { document: Arc::new(document), validator: Arc::new(validator), parts, patterns })
    }

    /// The schema as it was written.
    #[must_use]
    pub fn document(&self) -> &Arc<Object> {
        &self.document
    }

    /// How many patterns it has: each takes memory.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.patterns
    }

    /// Everything in which `value` does not fit; nothing if it does.
    #[must_use]
    pub fn mistakes(&self, value: &Value) -> Vec<Mistake> {
        let checks = self.parts.saturating_mul(parts(value));
        if checks > MAX_CHECKS {
            let message = "it has too many values to be checked against so large a schema".to_owned();
            return vec![Mistake { pointer: String::new(), message }];
        }
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        let told = |error: jsonschema::ValidationError<'_>| Mistake {
            pointer: error.instance_path().to_string(),
            message: sentence(&error.to_string()),
        };
        if checks > MAX_TOLD_CHECKS {
            return self.validator.validate(value).err().map(told).into_iter().collect();
        }
        self.validator.iter_errors(value).take(MAX_MISTAKES).map(told).collect()
    }
}

/// How large a schema is with what it refers to.
#[derive(Clone, Copy)]
struct Extent {
    parts: usize,
    depth: usize,
}

/// A walk through a schema and along its references.
struct Walk<'a> {
    root: &'a Value,
    anchors: HashMap<&'a str, &'a Value>,
    /// By the places of what was referred to; none while it is walked through.
    known: HashMap<*const Value, Option<Extent>>,
    patterns: usize,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Value) -> Self {
        let mut walk = Self { root, anchors: HashMap::new(), known: HashMap::new(), patterns: 0 };
        walk.name(root, 0);
        walk
    }

    /// Remember what is called by an anchor.
    fn name(&mut self, value: &'a Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.name(value, depth + 1)),
            Value::Object(members) => {
                if let Some(anchor) = members.get("$anchor").and_then(Value::as_str) {
                    self.anchors.entry(anchor).or_insert(value);
                }
                members.values().for_each(|value| self.name(value, depth + 1));
            }
            _ => {}
        }
    }

    fn extent(&mut self, value: &'a Value, depth: usize) -> Result<Extent, String> {
        if depth > MAX_DEPTH {
            return Err(format!("it is nested deeper than {MAX_DEPTH} levels"));
        }
        let mut extent = Extent { parts: 1, depth: 0 };
        let mut add = |inner: Extent| {
            extent.parts = extent.parts.saturating_add(inner.parts);
            extent.depth = extent.depth.max(inner.depth + 1);
        };
        match value {
            Value::Array(values) => {
                for value in values {
                    add(self.extent(value, depth + 1)?);
                }
            }
            Value::Object(members) => {
                for (key, value) in members {
                    match (key.as_str(), value) {
                        ("$ref", Value::String(to)) => add(self.reference(to)?),
                        ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                            return Err(format!("it uses `{key}`, which is not offered"));
                        }
                        ("$id", Value::String(_)) if depth > 0 => {
                            return Err("it gives a part of itself an `$id`, which is not offered".to_owned());
                        }
                        ("pattern", Value::String(_)) => self.patterns += 1,
                        ("patternProperties", Value::Object(patterns)) => {
                            self.patterns += patterns.len();
                            add(self.extent(value, depth + 1)?);
                        }
                        _ => add(self.extent(value, depth + 1)?),
                    }
                }
            }
            _ => {}
        }
        if extent.depth > MAX_DEPTH {
            return Err(format!("it is nested deeper than {MAX_DEPTH} levels with what it refers to"));
        }
        if extent.parts > MAX_PARTS {
            return Err(format!("it has more than {MAX_PARTS} parts with what it refers to"));
        }
        Ok(extent)
    }

    /// What a reference leads to, which is walked through once.
    fn reference(&mut self, to: &'a str) -> Result<Extent, String> {
        let missing = || format!("it refers to `{}`, which is not in it", to.chars().take(100).collect::<String>());
        let place = to.strip_prefix('#').ok_or_else(missing)?;
        let target = if place.is_empty() || place.starts_with('/') {
            self.root.pointer(place)
        } else {
            self.anchors.get(place).copied()
        };
        let target = target.ok_or_else(missing)?;
        match self.known.get(&std::ptr::from_ref(target)) {
            Some(Some(extent)) => return Ok(*extent),
            Some(None) => return Err("it refers to itself in a circle, which is not offered".to_owned()),
            None => {}
        }
        self.known.insert(target, None);
        let extent = self.extent(target, 0)?;
        self.known.insert(target, Some(extent));
        Ok(extent)
    }
}

/// How many values there are in a value, itself included.
fn parts(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(parts).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(parts).sum::<usize>(),
        _ => 1,
    }
}

fn sentence(text: &str) -> String {
    text.chars().take(MAX_SENTENCE).collect()
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
            (json!({ "type": "object", "$ref": "https://json-schema.org/draft/2020-12/schema" }), "not in it"),
            (json!({ "type": "object", "properties": { "a": { "$ref": "#" } } }), "in a circle"),
            (json!({ "type": "object", "properties": { "a": { "$dynamicRef": "#x" } } }), "$dynamicRef"),
            (json!({ "type": "object", "properties": { "a": { "$id": "x" } } }), "`$id`"),
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
    fn a_schema_that_grows_along_its_references_is_refused() {
        let doubling = |levels: usize| {
            let both = |to: usize| json!({ "allOf": [{ "$ref": format!("#/$defs/a{to}") }, { "$ref": format!("#/$defs/a{to}") }] });
            let defs: Object = (0..levels).map(|level| (format!("a{level}"), both(level + 1))).collect();
            let mut defs = Value::Object(defs);
            defs[format!("a{levels}")] = json!(true);
            json!({ "type": "object", "$ref": "#/$defs/a0", "$defs": defs })
        };
        let chain: Object =
            (0..500).map(|at| (format!("a{at}"), json!({ "$ref": format!("#/$defs/a{}", at + 1) }))).collect();

        assert!(declared(&doubling(4)).is_ok());
        assert!(declared(&doubling(40)).unwrap_err().contains("with what it refers to"));
        let chain = json!({ "type": "object", "$ref": "#/$defs/a0", "$defs": chain });
        assert!(declared(&chain).is_err());
        let patterns: Object = (0..17).map(|at| (format!("p{at}"), json!({ "pattern": "x" }))).collect();
        assert!(declared(&json!({ "type": "object", "properties": patterns })).unwrap_err().contains("17 patterns"));
    }

    #[test]
    fn a_value_that_is_too_large_for_its_schema_is_refused_before_it_is_checked() {
        let many: Vec<Value> = (0..900).map(|at| json!({ "not": { "const": at } })).collect();
        let declared = declared(
            &json!({ "type": "object", "properties": { "a": { "type": "array", "items": { "allOf": many } } } }),
        )
        .unwrap();

        let refused = declared.mistakes(&json!({ "a": vec![-1; 60_000] }));
        assert!(refused[0].message.contains("too many values"), "{refused:?}");
        assert_eq!(declared.mistakes(&json!({ "a": vec![7; 10_000] })).len(), 1, "of many mistakes the first is told");
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
