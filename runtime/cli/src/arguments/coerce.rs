//! Text to JSON values, as a schema wants them.

use serde_json::{Value, json};

/// Most references that are followed from one schema to the next.
const MAX_REFERENCES: usize = 16;

/// Most of a schema that a message shows.
const MAX_SHOWN: usize = 200;

/// The first integer that a JSON number does not hold exactly everywhere (RFC 8259 §6).
const EXACT: u64 = 1 << 53;

/// The types that a schema lets through.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Kinds {
    string: bool,
    integer: bool,
    number: bool,
    boolean: bool,
    array: bool,
    object: bool,
    null: bool,
}

/// `text` as `wanted`, a part of the document `root`, wants it.
///
/// # Errors
///
/// In words for the caller, with what the schema wants.
pub(super) fn coerce(root: &Value, wanted: &Value, text: &str) -> Result<Value, String> {
    let wanted = resolve(root, wanted);
    let kinds = kinds(root, wanted, MAX_REFERENCES);
    if kinds == Kinds::default() {
        return Ok(serde_json::from_str(text).unwrap_or_else(|_| text.into()));
    }
    value(kinds, text).ok_or_else(|| {
        let shown: String = wanted.to_string().chars().take(MAX_SHOWN).collect();
        let text: String = text.chars().take(MAX_SHOWN).collect();
        format!("`{text}` is not {}; the tool wants {shown}", kinds.name())
    })
}

/// What `wanted` lets through beside text, in words; nothing if it says nothing of the kind.
pub(super) fn kinds_of(root: &Value, wanted: &Value) -> Option<String> {
    Some(kinds(root, resolve(root, wanted), MAX_REFERENCES).name()).filter(|name| !name.is_empty())
}

/// Whether `wanted` is bytes, written as base64.
pub(super) fn is_base64(root: &Value, wanted: &Value) -> bool {
    resolve(root, wanted)["contentEncoding"] == "base64"
}

/// The schema that `schema` refers to in the document `root`; itself if it refers to nothing.
pub(super) fn resolve<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..MAX_REFERENCES {
        let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        let Some(target) = pointer.and_then(|pointer| root.pointer(pointer)) else { break };
        schema = target;
    }
    schema
}

fn kinds(root: &Value, schema: &Value, depth: usize) -> Kinds {
    let schema = resolve(root, schema);
    let mut kinds = Kinds::default();
    match &schema["type"] {
        Value::String(name) => kinds.add(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).for_each(|name| kinds.add(name)),
        _ => {}
    }
    for literal in schema["enum"].as_array().into_iter().flatten().chain(schema.get("const")) {
        kinds.add(kind_of(literal));
    }
    let alternatives = ["anyOf", "oneOf"].iter().filter_map(|key| schema[*key].as_array()).flatten();
    for alternative in alternatives.take_while(|_| depth > 0) {
        kinds = kinds.or(self::kinds(root, alternative, depth - 1));
    }
    kinds
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Kinds {
    fn add(&mut self, name: &str) {
        match name {
            "string" => self.string = true,
            "integer" => self.integer = true,
            "number" => self.number = true,
            "boolean" => self.boolean = true,
            "array" => self.array = true,
            "object" => self.object = true,
            "null" => self.null = true,
            _ => {}
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            string: self.string || other.string,
            integer: self.integer || other.integer,
            number: self.number || other.number,
            boolean: self.boolean || other.boolean,
            array: self.array || other.array,
            object: self.object || other.object,
            null: self.null || other.null,
        }
    }

    fn name(self) -> String {
        let names = [
            (self.integer && !self.number, "an integer"),
            (self.number, "a number"),
            (self.boolean, "true or false"),
            (self.array, "a JSON array"),
            (self.object, "a JSON object"),
            (self.null, "null"),
        ];
        names.iter().filter(|(holds, _)| *holds).map(|(_, name)| *name).collect::<Vec<_>>().join(" or ")
    }
}

/// `text` as the first of `kinds` that it can be, with plain text last.
fn value(kinds: Kinds, text: &str) -> Option<Value> {
    let trimmed = text.trim();
    let parsed = |is: fn(&Value) -> bool| serde_json::from_str::<Value>(trimmed).ok().filter(is);
    None.or_else(|| kinds.integer.then(|| integer(trimmed, kinds.string)).flatten())
        .or_else(|| kinds.number.then(|| number(trimmed)).flatten())
        .or_else(|| kinds.boolean.then(|| parsed(Value::is_boolean)).flatten())
        .or_else(|| kinds.array.then(|| parsed(Value::is_array)).flatten())
        .or_else(|| kinds.object.then(|| parsed(Value::is_object)).flatten())
        .or_else(|| kinds.string.then(|| text.into()))
        .or_else(|| kinds.null.then(|| parsed(Value::is_null)).flatten())
}

/// A large integer stays text where text is welcome: a 64-bit number that not every JSON reader holds exactly.
fn integer(text: &str, may_stay_text: bool) -> Option<Value> {
    let is_large = |magnitude: u64| may_stay_text && magnitude >= EXACT;
    if let Ok(number) = text.parse::<u64>() {
        return (!is_large(number)).then(|| json!(number));
    }
    text.parse::<i64>().ok().filter(|number| !is_large(number.unsigned_abs())).map(|number| json!(number))
}

fn number(text: &str) -> Option<Value> {
    integer(text, false)
        .or_else(|| text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| json!(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_type(name: &str, text: &str) -> Option<Value> {
        coerce(&Value::Null, &json!({ "type": name }), text).ok()
    }

    #[test]
    fn text_stays_text_whatever_it_looks_like() {
        assert_eq!(as_type("string", "12"), Some(json!("12")));
        assert_eq!(as_type("string", " true "), Some(json!(" true ")));
    }

    #[test]
    fn numbers_and_booleans_are_parsed_or_refused() {
        assert_eq!(as_type("integer", "-5"), Some(json!(-5)));
        assert_eq!(as_type("integer", "18446744073709551615"), Some(json!(u64::MAX)));
        assert_eq!(as_type("integer", "1.5"), None);
        assert_eq!(as_type("number", "1.5"), Some(json!(1.5)));
        assert_eq!(as_type("number", "3"), Some(json!(3)));
        assert_eq!(as_type("number", "inf"), None);
        assert_eq!(as_type("boolean", "true"), Some(json!(true)));
        assert_eq!(as_type("boolean", "yes"), None);
    }

    #[test]
    fn arrays_and_objects_are_json_of_the_right_kind() {
        assert_eq!(as_type("array", "[1, 2]"), Some(json!([1, 2])));
        assert_eq!(as_type("array", "{}"), None);
        assert_eq!(as_type("object", "{\"a\": null}"), Some(json!({ "a": null })));
    }

    #[test]
    fn a_64_bit_integer_is_a_number_while_that_is_exact_and_text_beyond() {
        let schema = json!({ "anyOf": [{ "type": "integer" }, { "type": "string" }] });
        let of = |text| coerce(&Value::Null, &schema, text).unwrap();

        assert_eq!(of("9007199254740991"), json!(9_007_199_254_740_991_u64));
        assert_eq!(of("9007199254740992"), json!("9007199254740992"));
        assert_eq!(of("-9223372036854775808"), json!("-9223372036854775808"));
    }

    #[test]
    fn a_variant_is_an_object_and_references_are_followed() {
        let root =
            json!({ "$defs": { "shape": { "anyOf": [{ "type": "object" }] }, "loop": { "$ref": "#/$defs/loop" } } });

        let shape = coerce(&root, &json!({ "$ref": "#/$defs/shape" }), "{\"tag\": \"dot\"}");
        let endless = coerce(&root, &json!({ "$ref": "#/$defs/loop" }), "x");

        assert_eq!(shape, Ok(json!({ "tag": "dot" })));
        assert_eq!(endless, Ok(json!("x")));
    }

    #[test]
    fn a_refusal_says_what_the_schema_wants() {
        let refusal = coerce(&Value::Null, &json!({ "type": "integer", "minimum": 0 }), "many").unwrap_err();

        assert_eq!(refusal, "`many` is not an integer; the tool wants {\"type\":\"integer\",\"minimum\":0}");
    }
}
