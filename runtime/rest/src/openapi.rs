//! The OpenAPI 3.1 document: fixed paths from the handlers, one path for each tool from the catalogue.

use std::sync::{Arc, Weak};

use axum::{Extension, extract::State as Shared, response::IntoResponse};
use bytes::Bytes;
use fumehood_dispatch::{Catalogue, Deprecated, Mode, Tool};
use fumehood_http::{Problem, status_of};
use fumehood_model::Code;
use fumehood_value::{Object, Schema};
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};
use tokio::{sync::Mutex, task::spawn_blocking};
use utoipa::openapi::OpenApi;

use crate::State;

/// Failures that any request can meet.
const COMMON: [Code; 5] = [Code::Malformed, Code::Unauthenticated, Code::Forbidden, Code::NotFound, Code::Internal];

/// Failures that a call can meet beside these.
const OF_CALLS: [Code; 15] = [
    Code::TooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidInput,
    Code::Busy,
    Code::Cancelled,
    Code::Trap,
    Code::Unavailable,
    Code::Deadline,
    Code::Memory,
    Code::Fuel,
    Code::ToolError,
    Code::ResultTooLarge,
    Code::QuotaExceeded,
    Code::Denied,
    Code::Unconfirmed,
];

/// Failures that jobs can meet beside those of calls.
const OF_JOBS: [Code; 3] = [Code::Gone, Code::Interrupted, Code::StorageFull];

/// Failures that administration can meet beside the common ones.
const OF_ADMINISTRATION: [Code; 5] =
    [Code::Conflict, Code::TooLarge, Code::UnsupportedMediaType, Code::InvalidComponent, Code::Signature];

/// What the document says of the product, before any path.
pub(crate) fn base() -> OpenApi {
    let mut document = OpenApi::default();
    document.info.title = "fumehood".to_owned();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.info.description =
        Some("Tools compiled to WebAssembly components, each call in a sandbox of its own.".to_owned());
    document
}

/// The document. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Document {
    /// The part that is the same for everyone, made once.
    fixed: Arc<Value>,
    /// The whole, as it was written last. Locked while it is written: however many ask, it is written once.
    written: Arc<Mutex<Written>>,
}

/// The whole document for what was served.
#[derive(Default)]
struct Written {
    catalogue: Weak<Catalogue>,
    text: Bytes,
}

impl Document {
    pub(crate) fn new(api: &OpenApi) -> Self {
        let mut document = serde_json::to_value(api).unwrap_or_default();
        document["info"]["license"] = json!({ "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" });
        document["servers"] = json!([{ "url": "/" }]);
        document["security"] = json!([{ "bearer": [] }, { "apiKey": [] }]);
        let components = object(&mut document, "components");
        components.insert(
            "securitySchemes".to_owned(),
            json!({
                "bearer": { "type": "http", "scheme": "bearer", "description": "A key: `fh_…`" },
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
            }),
        );
        object(components, "schemas").insert("Problem".to_owned(), problem_schema());
        object(components, "schemas").insert("Queued".to_owned(), queued_schema());
        for item in object(&mut document, "paths").values_mut() {
            for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
                let open = operation.get("security").is_some();
                let codes: &[Code] = if open { &[] } else { &OF_ADMINISTRATION };
                add_problems(operation, codes.iter().chain(&COMMON));
                if operation["operationId"] == "executeTool" {
                    add_problems(operation, &OF_CALLS);
                }
                let tags = operation["tags"].as_array().cloned().unwrap_or_default();
                if tags.iter().any(|tag| tag == "prompts" || tag == "resources") {
                    add_problems(operation, &OF_CALLS);
                }
                if tags.iter().any(|tag| tag == "jobs" || tag == "schedules") {
                    add_problems(operation, OF_CALLS.iter().chain(&OF_JOBS));
                }
                if operation["operationId"] == "healthReady" {
                    add_problems(operation, &[Code::Unavailable]);
                }
            }
        }
        Self { fixed: Arc::new(document), written: Arc::default() }
    }
}

trait Entry {
    fn entry_object(&mut self, key: &str) -> &mut Object;
}

impl Entry for Value {
    fn entry_object(&mut self, key: &str) -> &mut Object {
        if !self.is_object() {
            *self = json!({});
        }
        match self {
            Self::Object(object) => object.entry_object(key),
            _ => unreachable!("it was just made an object"),
        }
    }
}

impl Entry for Object {
    fn entry_object(&mut self, key: &str) -> &mut Object {
        let value = self.entry(key).or_insert_with(|| json!({}));
        if !value.is_object() {
            *value = json!({});
        }
        match value {
            Value::Object(object) => object,
            _ => unreachable!("it was just made an object"),
        }
    }
}

fn object<'a>(parent: &'a mut impl Entry, key: &str) -> &'a mut Object {
    parent.entry_object(key)
}

/// The document of what the caller may use: without a key, the fixed part.
pub(crate) async fn document(
    Shared(state): Shared<State>,
    Extension(document): Extension<Document>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    // A wrong key is told so; no key is no mistake here, because the page that shows this document starts without one.
    let anonymous = !headers.contains_key(header::AUTHORIZATION) && !headers.contains_key("x-api-key");
    let text = match state.gate.principal(&headers) {
        Ok(principal) => document.whole(state.dispatcher.catalogue(&principal)?).await?,
        Err(_) if anonymous => write(&document.fixed, &Catalogue::default()),
        Err(problem) => return Err(problem),
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], text))
}

impl Document {
    /// The document for what `catalogue` serves.
    async fn whole(&self, catalogue: Arc<Catalogue>) -> Result<Bytes, Problem> {
        let mut written = Arc::clone(&self.written).lock_owned().await;
        if written.catalogue.as_ptr() == Arc::as_ptr(&catalogue) {
            return Ok(written.text.clone());
        }
        let fixed = Arc::clone(&self.fixed);
        // Thousands of tools take a second. It stays locked meanwhile, also when nobody waits any more.
        let writing = spawn_blocking(move || {
            *written = Written { catalogue: Arc::downgrade(&catalogue), text: write(&fixed, &catalogue) };
            written.text.clone()
        });
        let failed = || Problem::new(Code::Internal, "the server failed; the operator's log has the reason");
        writing.await.map_err(|_| failed())
    }
}

fn write(fixed: &Value, catalogue: &Catalogue) -> Bytes {
    let mut document = fixed.clone();
    for tool in catalogue.tools() {
        let mut definitions = Object::new();
        let operation = operation(tool, &mut definitions);
        let path = format!("/api/{}/{}", tool.module, tool.function);
        let queue = queue_operation(tool, &operation);
        object(&mut document, "paths").insert(format!("{path}/queue"), json!({ "post": queue }));
        object(&mut document, "paths").insert(path, json!({ "post": operation }));
        object(object(&mut document, "components"), "schemas").append(&mut definitions);
    }
    document.to_string().into()
}

/// A schema that an author wrote, as a part of a larger document. One that refers to its own parts would refer to others there,
/// and is told as an object alone.
fn embedded(schema: &Object) -> Value {
    let mut schema = schema.clone();
    schema.remove("$schema");
    let text = Value::Object(schema.clone()).to_string();
    if ["\"$ref\"", "\"$id\"", "\"$anchor\"", "\"$dynamicRef\""].iter().any(|key| text.contains(key)) {
        return json!({ "type": "object", "description": "See the tool's own `input_schema` and `output_schema`." });
    }
    Value::Object(schema)
}

/// The description of one tool. The types that it shares within itself are added to `definitions`.
fn operation(tool: &Tool, definitions: &mut Object) -> Value {
    let mut place = |part: &str, schema: fn(&Tool, &str) -> Schema| {
        let prefix = format!("{}.{part}.", tool.name);
        let Schema { root, definitions: shared } = schema(tool, &format!("#/components/schemas/{prefix}"));
        definitions.extend(shared.into_iter().map(|(name, schema)| (format!("{prefix}{name}"), schema)));
        root
    };
    let mut input = match &tool.rich {
        Some(_) => embedded(&tool.input_schema),
        None => place("input", |tool, prefix| tool.plan.input_schema(prefix)),
    };
    if let Some(input) = input.as_object_mut() {
        tool.describe_params(input);
    }
    let output = match &tool.rich {
        Some(_) => embedded(&tool.output_schema),
        None => place("output", |tool, prefix| tool.plan.output_schema(prefix)),
    };
    let mut operation = json!({
        "tags": [tool.module, "Agentic"],
        "operationId": tool.name,
        "summary": tool.signature,
        "parameters": [
            bound("Fumehood-Max-Fuel", "Lowers the fuel that this call may burn."),
            bound("Fumehood-Deadline-Ms", "Lowers the time that this call may take."),
            bound("Fumehood-Max-Memory-Bytes", "Lowers the memory that this call may have."),
            {
                "name": "Fumehood-Limits", "in": "header", "required": false, "schema": { "type": "string" },
                "description": "Lowers any bounds of this call: `http_requests=2, log=4096`, by their keys in the configuration of the server.",
            },
            {
                "name": "Fumehood-Shape", "in": "header", "required": false, "schema": { "type": "boolean" },
                "description": "Whether the answer is shaped: then the arguments may also hold `_filter_…`, `fields`, `limit`, `offset`, `sort`, `order`, `summary` and `no_optimize`.",
            },
            {
                "name": "Prefer", "in": "header", "required": false, "schema": { "type": "string" },
                "description": "`return=minimal`: keep the result for an hour and answer where it is, with 201. `respond-async`: make a job of the call and answer where it is, with 202. `wait=N`: wait up to N seconds for a call that is or becomes a job.",
            },
        ],
        "requestBody": {
            "required": input.get("required").is_some(),
            "description": "As `multipart/form-data`, each argument is a part: bytes as a file, text as it is, all else as JSON. A part called `arguments` holds an object of the others.",
            "content": {
                "application/json": { "schema": input },
                "multipart/form-data": { "schema": form_schema(&input) },
            },
        },
        "responses": { "200": {
            "description": "The bare result",
            "headers": {
                "Fumehood-Fuel": used("Fuel that the call burnt."),
                "Fumehood-Memory-Bytes": used("Memory and tables that it held at the most."),
                "Fumehood-Duration-Us": used("Time that it took, in microseconds."),
                "Fumehood-Digest": { "description": "The component that ran.", "schema": { "type": "string" } },
            },
            "content": { "application/json": { "schema": output } },
        }, "201": {
            "description": "The result is kept for an hour, because of `Prefer: return=minimal`. The body tells its `size_bytes` and when it `expires_at`",
            "headers": { "Location": { "description": "Where it is fetched.", "schema": { "type": "string" } } },
        }, "202": accepted() },
    });
    // A generated client has one type for every answer that may come. Where only a header can ask for another one, whoever
    // sends it goes by `Location`, and all others have the result as it is.
    if tool.mode == Mode::Direct {
        object(&mut operation["responses"], "202").remove("content");
    }
    if tool.rich.is_none() && tool.plan.answers_bytes() {
        operation["responses"]["200"]["content"]["application/octet-stream"] = json!({});
    }
    if tool.documented {
        operation["description"] = tool.description.clone().into();
    }
    if let Some(Deprecated { words, .. }) = &tool.deprecated {
        operation["deprecated"] = true.into();
        operation["description"] = format!("Deprecated: {words}\n\n{}", tool.description).into();
        operation["responses"]["200"]["headers"]["Deprecation"] =
            json!({ "description": "Since when (RFC 9745).", "schema": { "type": "string" } });
    }
    if tool.requires_confirmation {
        add_parameter(&mut operation, confirmation());
    }
    add_problems(&mut operation, COMMON.iter().chain(&OF_CALLS));
    operation
}

fn add_parameter(operation: &mut Value, parameter: Value) {
    if let Some(parameters) = operation["parameters"].as_array_mut() {
        parameters.push(parameter);
    }
}

/// The header that says that a person agrees.
fn confirmation() -> Value {
    json!({
        "name": "Fumehood-Confirm", "in": "header", "required": false, "schema": { "type": "string" },
        "description": "That a person has confirmed this call: `details.confirmation` of the 428 with which it was answered before.",
    })
}

/// The description of one tool as a job: the same arguments, or the id of a job that was submitted here.
fn queue_operation(tool: &Tool, direct: &Value) -> Value {
    let arguments = &direct["requestBody"]["content"]["application/json"]["schema"];
    let mut operation = json!({
        "tags": direct["tags"],
        "operationId": format!("{}_queue", tool.name),
        "summary": format!("{}, as a job", tool.signature),
        "parameters": if tool.requires_confirmation { json!([confirmation()]) } else { json!([]) },
        "description": "With arguments: submits a job. With `queue_id` alone: the same while it has not ended, then what a direct call would have answered.",
        "requestBody": {
            "required": true,
            "content": { "application/json": { "schema": { "anyOf": [queued(), arguments] } } },
        },
        "responses": { "200": direct["responses"]["200"], "202": accepted() },
    });
    if tool.deprecated.is_some() {
        operation["deprecated"] = true.into();
    }
    add_problems(&mut operation, COMMON.iter().chain(&OF_CALLS).chain(&OF_JOBS));
    operation
}

/// That a job was submitted, or has not ended.
fn accepted() -> Value {
    json!({
        "description": "It is a job, which has not ended",
        "headers": { "Location": { "description": "Where the job is.", "schema": { "type": "string" } } },
        "content": { "application/json": { "schema": queued() } },
    })
}

fn queued() -> Value {
    json!({ "$ref": "#/components/schemas/Queued" })
}

fn queued_schema() -> Value {
    json!({
        "type": "object",
        "properties": { "queue_id": { "type": "string", "format": "uuid", "description": "The id of the job." } },
        "required": ["queue_id"],
        "additionalProperties": false,
    })
}

/// The same arguments as parts of a form: bytes are sent as they are.
fn form_schema(input: &Value) -> Value {
    let mut schema = input.clone();
    for property in object(&mut schema, "properties").values_mut() {
        if property.get("contentEncoding").is_some() {
            *property = json!({ "type": "string", "contentMediaType": "application/octet-stream" });
        }
    }
    schema
}

fn bound(name: &str, description: &str) -> Value {
    json!({ "name": name, "in": "header", "required": false, "description": description, "schema": { "type": "integer", "minimum": 1 } })
}

fn used(description: &str) -> Value {
    json!({ "description": description, "schema": { "type": "integer", "minimum": 0 } })
}

fn add_problems<'a>(operation: &mut Value, codes: impl IntoIterator<Item = &'a Code>) {
    let responses = object(operation, "responses");
    for code in codes {
        let status = status_of(*code).as_str().to_owned();
        let response = responses.entry(status).or_insert_with(|| {
            json!({ "description": "", "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } } })
        });
        let described = response["description"].as_str().unwrap_or_default().to_owned();
        if !described.split(", ").any(|known| known == format!("`{code}`")) {
            let separator = if described.is_empty() { "" } else { ", " };
            response["description"] = format!("{described}{separator}`{code}`").into();
        }
    }
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "description": "A failure: RFC 9457 with a stable code.",
        "properties": {
            "type": { "type": "string", "format": "uri" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "error": { "type": "string", "description": "The stable code." },
            "message": { "type": "string" },
            "details": { "description": "For `invalid_input` an array of `{pointer, message}`; for `tool_error` an object with the tool's own `error`; for `confirmation_required` one with `confirmation` and `expires_in_s`." },
            "timestamp": { "type": "string", "format": "date-time" },
            "request_id": { "type": "string" },
        },
        "required": ["type", "title", "status", "detail", "error", "message", "timestamp", "request_id"],
    })
}
