//! JSON Schemas that every client understands: an object at the root, one type in each place.

use schemars::{
    JsonSchema, Schema,
    generate::SchemaSettings,
    transform::{Transform, transform_subschemas},
};
use serde_json::{Map, Value, json};

/// The schema of arguments, with examples.
pub(crate) fn input<T: JsonSchema>(examples: Vec<Value>) -> Value {
    let mut schema = root::<T>(SchemaSettings::draft2020_12());
    if !examples.is_empty() {
        schema["examples"] = examples.into();
    }
    // What has no arguments says so.
    if schema.get("properties").is_none() {
        schema["properties"] = json!({});
    }
    schema
}

/// The schema of an answer. What is no object stands under `result`, and nothing is an empty object.
pub(crate) fn output<T: JsonSchema>() -> Value {
    let mut schema = root::<T>(SchemaSettings::draft2020_12().for_serialize());
    let can_be_nothing = without_null(&mut schema);
    let definitions = schema.get("$defs").cloned();
    match (objects(&schema, definitions.as_ref()), can_be_nothing) {
        (Objects::Only, false) => schema["type"] = "object".into(),
        (Objects::Never, _) => {
            if let Some(members) = schema.as_object_mut() {
                members.remove("$defs");
            }
            let is_nothing = schema["type"] == "null";
            let properties = if is_nothing { json!({}) } else { json!({ "result": schema }) };
            schema = json!({ "type": "object", "properties": properties });
            if !is_nothing && !can_be_nothing {
                schema["required"] = json!(["result"]);
            }
            if let Some(definitions) = definitions {
                schema["$defs"] = definitions;
            }
        }
        // Which of the two it is, only the answer tells.
        (Objects::Only | Objects::Sometimes, _) => schema = json!({ "type": "object" }),
    }
    schema
}

/// Whether what a schema describes is an object.
#[derive(Clone, Copy, PartialEq)]
enum Objects {
    Only,
    Never,
    Sometimes,
}

fn objects(schema: &Value, definitions: Option<&Value>) -> Objects {
    if let Some(kind) = schema.get("type") {
        return if kind == "object" { Objects::Only } else { Objects::Never };
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|target| target.strip_prefix("#/$defs/")) {
        let target = definitions.and_then(|definitions| definitions.get(name));
        return target.map_or(Objects::Sometimes, |target| objects(target, definitions));
    }
    if let Some(value) = schema.get("const") {
        return if value.is_object() { Objects::Only } else { Objects::Never };
    }
    let choices = ["oneOf", "anyOf"].iter().find_map(|key| schema[key].as_array());
    let mut kinds = choices.into_iter().flatten().map(|choice| objects(choice, definitions));
    let Some(first) = kinds.next() else { return Objects::Sometimes };
    if kinds.all(|kind| kind == first) { first } else { Objects::Sometimes }
}

/// The schema of a form: a flat object without references.
pub(crate) fn form<T: JsonSchema>() -> Value {
    let mut schema = root::<T>(SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true));
    // MCP allows neither beside the fields.
    if let Some(members) = schema.as_object_mut() {
        members.retain(|name, _| name != "description" && name != "additionalProperties");
    }
    schema
}

fn root<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let settings = settings.with(|settings| settings.meta_schema = None);
    let mut schema = settings.with_transform(Plain).into_generator().into_root_schema_for::<T>();
    // The name of a Rust type tells a caller nothing.
    schema.remove("title");
    schema.to_value()
}

/// Says in one type what types of Rust say in two: what can be nothing may be left out.
#[derive(Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        if schema.as_bool() == Some(true) {
            schema.ensure_object();
        }
        if let Some(object) = schema.as_object_mut() {
            optional_members(object);
            one_type(object);
            // How Rust keeps a number: the bounds beside it say all that a caller has to know.
            if object.get("type").is_some_and(|kind| kind == "integer" || kind == "number") {
                object.remove("format");
            }
        }
        transform_subschemas(self, schema);
    }
}

/// Members that can be nothing are not required, and have the type that they have when they are there.
fn optional_members(schema: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    let mut optional = Vec::new();
    for (name, property) in properties {
        if without_null(property) {
            optional.push(name.clone());
        }
        if let Some(property) = property.as_object_mut()
            && property.get("default").is_some_and(Value::is_null)
        {
            property.remove("default");
        }
    }
    let Some(Value::Array(required)) = schema.get_mut("required") else { return };
    required.retain(|name| !optional.iter().any(|optional| *name == **optional));
    if required.is_empty() {
        schema.remove("required");
    }
}

/// What may be of several types, and cannot be left out, is a choice.
fn one_type(schema: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = schema.get("type") else { return };
    let types = types.clone();
    schema.remove("type");
    let described = schema.remove("description");
    let rest = std::mem::take(schema);
    let choice = |kind| {
        let mut choice = if kind == "null" { Map::new() } else { rest.clone() };
        choice.insert("type".to_owned(), kind);
        Value::Object(choice)
    };
    schema.insert("anyOf".to_owned(), types.into_iter().map(choice).collect());
    schema.extend(described.map(|text| ("description".to_owned(), text)));
}

/// Take "or null" out of a schema. Whether it was there.
fn without_null(schema: &mut Value) -> bool {
    let Some(members) = schema.as_object_mut() else { return false };
    let mut was_there = false;
    if let Some(Value::Array(types)) = members.get_mut("type") {
        let before = types.len();
        types.retain(|kind| kind != "null");
        was_there = types.len() < before;
        if let [only] = &types[..] {
            let only = only.clone();
            members.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = members.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let Some(Value::Array(choices)) = members.get_mut("anyOf") else { return was_there };
    let before = choices.len();
    choices.retain(|choice| choice["type"] != "null");
    was_there |= choices.len() < before;
    if choices.len() == 1
        && let Some(Value::Object(only)) = choices.pop()
    {
        members.remove("anyOf");
        for (name, value) in only {
            // What is said of the member counts before what is said of its type.
            members.entry(name).or_insert(value);
        }
    }
    was_there
}
