//! Prompts and resources of modules that describe themselves.

use axum::{Json, extract::State as Shared};
use fumehood_dispatch::{
    Dispatcher, Module, OwnResource, Terms, Via,
    rich::{Aside, Prompt, Resource, Template},
};
use fumehood_http::{Caller, Json as Sent, Path, Problem, Query};
use fumehood_model::Code;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

/// All prompts.
#[derive(Serialize, ToSchema)]
pub(crate) struct PromptList {
    prompts: Vec<PromptEntry>,
}

/// A prompt.
#[derive(Serialize, ToSchema)]
pub(crate) struct PromptEntry {
    /// Absent for those that belong to no module.
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    arguments: Vec<ArgumentEntry>,
}

/// What can be filled into a prompt.
#[derive(Serialize, ToSchema)]
pub(crate) struct ArgumentEntry {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    required: bool,
    /// What alone it may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
}

/// The texts that came; none without a body.
fn given(filling: Option<Sent<Filling>>) -> Map<String, Value> {
    filling.map(|Sent(filling)| filling.arguments).unwrap_or_default()
}

/// What a prompt is filled with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filling {
    /// Texts by the names of the arguments.
    #[serde(default)]
    #[schema(value_type = Object)]
    arguments: Map<String, Value>,
}

/// All resources.
#[derive(Serialize, ToSchema)]
pub(crate) struct ResourceList {
    resources: Vec<ResourceEntry>,
    /// Resources whose URIs look alike.
    templates: Vec<TemplateEntry>,
}

/// A resource.
#[derive(Serialize, ToSchema)]
pub(crate) struct ResourceEntry {
    /// Absent for those of the server itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    uri: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<String>,
    /// In bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

/// Resources whose URIs look alike.
#[derive(Serialize, ToSchema)]
pub(crate) struct TemplateEntry {
    /// Absent for those of the server itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    #[schema(example = "notes://{year}/{name}")]
    uri_template: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<String>,
}

/// Which resource to read.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Its URI.
    uri: String,
}

/// List all prompts.
#[utoipa::path(get, path = "/api/v1/prompts", tag = "prompts", operation_id = "listPrompts", responses(
    (status = 200, description = "All prompts: those of no module, then by module", body = PromptList),
))]
pub(crate) async fn prompts(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
) -> Result<Json<PromptList>, Problem> {
    let catalogue = door.catalogue(&principal)?;
    let shelved = catalogue.library().prompts().map(|entry| prompt(None, entry));
    let of = |module: &Module| module.prompts.iter().map(|entry| prompt(Some(module), entry)).collect::<Vec<_>>();
    Ok(Json(PromptList { prompts: shelved.chain(catalogue.modules().flat_map(|module| of(module))).collect() }))
}

/// The messages of a prompt, as `prompts/get` of MCP answers them.
#[utoipa::path(post, path = "/api/v1/prompts/{module}/{name}", tag = "prompts", operation_id = "getPrompt",
    params(("module" = String, Path, description = "The module"), ("name" = String, Path, description = "The prompt")),
    request_body = Filling,
    responses((status = 200, description = "Its messages, with `description` and `messages`", body = Object)))]
pub(crate) async fn messages(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path((module, name)): Path<(String, String)>,
    filling: Option<Sent<Filling>>,
) -> Result<Json<Value>, Problem> {
    let module = door.module(&principal, &module)?;
    let prompt = module.prompts.iter().find(|prompt| prompt.name == name);
    let prompt = prompt
        .ok_or_else(|| Problem::new(Code::NotFound, "the module has no such prompt: GET /api/v1/prompts lists them"))?;
    let arguments = prompt.filled(given(filling)).map_err(|what| Problem::new(Code::InvalidInput, what))?;
    told(door.prompt(&principal, Some(&*module), prompt, &arguments, terms()).await?)
}

/// The messages of a prompt that belongs to no module.
#[utoipa::path(post, path = "/api/v1/prompts/{name}", tag = "prompts", operation_id = "getSharedPrompt",
    params(("name" = String, Path, description = "The prompt")),
    request_body = Filling,
    responses((status = 200, description = "Its messages, with `description` and `messages`", body = Object)))]
pub(crate) async fn shared_messages(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    filling: Option<Sent<Filling>>,
) -> Result<Json<Value>, Problem> {
    let catalogue = door.catalogue(&principal)?;
    let prompt = catalogue.library().prompt(&name);
    let prompt = prompt
        .ok_or_else(|| Problem::new(Code::NotFound, "there is no such prompt: GET /api/v1/prompts lists them"))?;
    let arguments = prompt.filled(given(filling)).map_err(|what| Problem::new(Code::InvalidInput, what))?;
    told(door.prompt(&principal, None, prompt, &arguments, terms()).await?)
}

/// List all resources and templates.
#[utoipa::path(get, path = "/api/v1/resources", tag = "resources", operation_id = "listResources", responses(
    (status = 200, description = "All resources: by module, then those of the server", body = ResourceList),
))]
pub(crate) async fn resources(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
) -> Result<Json<ResourceList>, Problem> {
    let catalogue = door.catalogue(&principal)?;
    let mut list = ResourceList { resources: Vec::new(), templates: Vec::new() };
    for module in catalogue.modules() {
        list.resources.extend(module.resources.iter().map(|entry| resource(Some(module), entry)));
        list.templates.extend(module.templates.iter().map(|entry| template(Some(module), entry)));
    }
    list.resources.push(resource(None, &OwnResource::system()));
    list.templates.extend(OwnResource::templates().iter().map(|entry| template(None, entry)));
    Ok(Json(list))
}

/// What is in a resource, as `resources/read` of MCP answers it.
#[utoipa::path(get, path = "/api/v1/resources/read", tag = "resources", operation_id = "readResource", params(Wanted),
    responses((status = 200, description = "Its `contents`: text, or base64 as `blob`", body = Object)))]
pub(crate) async fn read(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    if let Some(own) = OwnResource::at(&wanted.uri) {
        return Ok(Json(door.own_resource(&principal, &wanted.uri, own).await?));
    }
    let catalogue = door.catalogue(&principal)?;
    let modules: Vec<_> = catalogue.modules().collect();
    let module = Module::with_resource(modules.iter().copied(), &wanted.uri);
    let module = module.ok_or_else(|| Problem::new(Code::NotFound, "there is no such resource"))?;
    told(door.resource(&principal, module, &wanted.uri, terms()).await?)
}

fn terms() -> Terms {
    Terms { via: Via::Rest, ..Terms::default() }
}

fn told(told: Result<Value, Aside>) -> Result<Json<Value>, Problem> {
    told.map(Json).map_err(|aside| Problem::tool_error(&aside.sentence().into()))
}

fn prompt(module: Option<&Module>, prompt: &Prompt) -> PromptEntry {
    let Prompt { name, title, description, arguments, .. } = prompt.clone();
    let argument = |argument: fumehood_dispatch::rich::Argument| ArgumentEntry {
        name: argument.name,
        description: argument.description,
        required: argument.required,
        values: argument.values,
    };
    let arguments = arguments.into_iter().map(argument).collect();
    PromptEntry { module: module.map(|module| module.name.to_string()), name, title, description, arguments }
}

fn resource(module: Option<&Module>, resource: &Resource) -> ResourceEntry {
    let Resource { uri, name, title, description, mime_type, size, .. } = resource.clone();
    ResourceEntry {
        module: module.map(|module| module.name.to_string()),
        uri,
        name,
        title,
        description,
        mime_type,
        size,
    }
}

fn template(module: Option<&Module>, template: &Template) -> TemplateEntry {
    let Template { uri_template, name, description, mime_type, .. } = template.clone();
    TemplateEntry { module: module.map(|module| module.name.to_string()), uri_template, name, description, mime_type }
}
