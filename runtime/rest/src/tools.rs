use std::sync::Arc;

use axum::{
    Json,
    extract::State as Shared,
    response::{IntoResponse, Response},
};
use fumehood_dispatch::{Answer, Arguments, Dispatcher, Mode, Terms, Tool, Via, Words, rich::Aside};
use fumehood_http::{Caller, Json as Sent, Path, Problem, Query};
use fumehood_model::{Code, Digest, Lowered, Outcome, Principal, Usage};
use fumehood_value::Object;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    asks,
    calls::{Bounds, JsonBody, confirmation, deprecated, parsed, saved, used, wanted},
};

/// Most tools on one page.
const MAX_LIMIT: usize = 500;

/// One page of tools.
#[derive(Serialize, ToSchema)]
pub(crate) struct ToolList {
    tools: Vec<ToolEntry>,
    /// How many there are on all pages.
    total: usize,
    page: usize,
    limit: usize,
}

/// A tool.
#[derive(Serialize, ToSchema)]
pub(crate) struct ToolEntry {
    /// Its name for MCP clients.
    #[schema(example = "calculator__add")]
    name: String,
    module: String,
    function: String,
    /// Its signature in WIT.
    signature: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// That it is not to be used any more, and what instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecated: Option<String>,
    /// How it is meant to be called: `direct`, `queue` or `auto`.
    mode: &'static str,
    /// Whether running it twice does no more than running it once.
    idempotent: bool,
    /// Whether it does nothing until a person has confirmed the call.
    requires_confirmation: bool,
    /// A hash of its name, its description and its schemas: it changes when what a model reads of the tool changes.
    definition: String,
    /// Whether that is another one than when somebody reviewed the module.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    redefined: bool,
    #[serde(flatten)]
    #[schema(inline)]
    schemas: Schemas,
}

/// What a tool takes and gives back, as JSON Schema 2020-12.
#[derive(Serialize, ToSchema)]
pub(crate) struct Schemas {
    #[schema(value_type = Object)]
    input_schema: Shown,
    /// Of the answer as an object: what is not one is inside `result`.
    #[schema(value_type = Object)]
    output_schema: Shown,
}

/// A schema that is shared rather than copied for each answer.
pub(crate) struct Shown(Arc<Object>);

impl Serialize for Shown {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Schemas {
    pub(crate) fn of(tool: &Tool) -> Self {
        Self {
            input_schema: Shown(Arc::clone(&tool.input_schema)),
            output_schema: Shown(Arc::clone(&tool.output_schema)),
        }
    }
}

/// Which tools to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selection {
    /// Page, from 1.
    #[param(minimum = 1)]
    page: Option<usize>,
    /// Tools on a page, at most 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// Only tools whose name, description or signature holds all of these words.
    search: Option<String>,
    /// Only tools of this module.
    module: Option<String>,
}

/// What to look for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Words that the name, description or signature must hold.
    q: String,
    /// Most tools to return, at most 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

/// A call.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Execution {
    /// The arguments object.
    #[serde(default)]
    #[schema(value_type = Object)]
    input: Option<Value>,
}

/// A call that ended with a value.
#[derive(Serialize, ToSchema)]
pub(crate) struct Executed {
    tool: String,
    /// Always `completed`: everything else is a problem.
    status: &'static str,
    /// The bare result.
    result: Value,
    /// Which component ran.
    #[schema(value_type = String)]
    digest: Digest,
    usage: UsageEntry,
}

/// What a call used.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub(crate) struct UsageEntry {
    pub(crate) fuel_units: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) duration_us: u64,
}

impl From<Usage> for UsageEntry {
    fn from(usage: Usage) -> Self {
        let Usage { fuel_units, memory_bytes, duration_us } = usage;
        Self { fuel_units, memory_bytes, duration_us }
    }
}

/// List tools, in a stable order.
#[utoipa::path(get, path = "/api/v1/tools", tag = "tools", operation_id = "listTools", params(Selection), responses(
    (status = 200, description = "One page of tools", body = ToolList),
))]
pub(crate) async fn list(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Query(selection): Query<Selection>,
) -> Result<Json<ToolList>, Problem> {
    let (page, limit) = (selection.page.unwrap_or(1), selection.limit.unwrap_or(100));
    if page == 0 || limit == 0 || limit > MAX_LIMIT {
        let message = format!("page counts from 1, and limit is from 1 to {MAX_LIMIT}");
        return Err(Problem::new(Code::Malformed, message));
    }
    let catalogue = door.catalogue(&principal)?;
    let of_module = |tool: &&Arc<Tool>| selection.module.as_deref().is_none_or(|module| tool.module.as_str() == module);
    let told = |tool: &&Arc<Tool>| (tool.name.to_string(), format!("{} {}", tool.description, tool.signature));
    let search = Words::of(selection.search.as_deref().unwrap_or_default());
    let chosen = search.best(catalogue.tools().filter(of_module), told);
    let total = chosen.len();
    let first = (page - 1).saturating_mul(limit);
    let tools = chosen.into_iter().skip(first).take(limit).map(|tool| entry(tool)).collect();
    Ok(Json(ToolList { tools, total, page, limit }))
}

/// Find tools by words of their name, description or signature.
#[utoipa::path(get, path = "/api/v1/tools/search", tag = "tools", operation_id = "searchTools", params(Wanted), responses(
    (status = 200, description = "The tools that match", body = ToolList),
))]
pub(crate) async fn search(
    shared: Shared<Dispatcher>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<ToolList>, Problem> {
    let selection = Selection { page: None, limit: wanted.limit, search: Some(wanted.q), module: None };
    list(shared, caller, Query(selection)).await
}

/// Show one tool.
#[utoipa::path(get, path = "/api/v1/tools/{name}", tag = "tools", operation_id = "showTool",
    params(("name" = String, Path, description = "Name of the tool, as `calculator__add`")),
    responses((status = 200, description = "The tool", body = ToolEntry)))]
pub(crate) async fn show(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<Json<ToolEntry>, Problem> {
    Ok(Json(entry(&*door.tool(&principal, &name)?)))
}

/// Run a tool and wait for its outcome.
#[utoipa::path(post, path = "/api/v1/tools/{name}/execute", tag = "tools", operation_id = "executeTool",
    params(
        ("name" = String, Path, description = "Name of the tool, as `calculator__add`"),
        ("Fumehood-Confirm" = Option<String>, Header, description = "That a person has confirmed the call: `details.confirmation` of the 428 with which it was answered before."),
    ),
    request_body = Execution,
    responses((status = 200, description = "The tool answered", body = Executed)))]
pub(crate) async fn execute(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    Bounds(lowered): Bounds,
    headers: HeaderMap,
    _: JsonBody,
    Sent(execution): Sent<Execution>,
) -> Result<Response, Problem> {
    let tool = door.tool(&principal, &name)?;
    let answer = execute_tool(&door, &principal, &tool, lowered, &headers, execution).await;
    Ok(deprecated(answer.into_response(), &tool))
}

async fn execute_tool(
    door: &Dispatcher,
    principal: &Principal,
    tool: &Tool,
    lowered: Lowered,
    headers: &HeaderMap,
    execution: Execution,
) -> Result<Response, Problem> {
    let input = execution.input.unwrap_or_else(|| Value::Object(Object::new()));
    let (arguments, wanted) = wanted(headers, tool, Arguments::Parsed(input))?;
    let (arguments, context) = asks::brought(door, principal, tool, arguments, headers)?;
    let again = tool.rich.is_some().then(|| arguments.clone());
    let terms = Terms { lowered, via: Via::Rest, context, confirmation: confirmation(headers), ..Terms::default() };
    let called = door.call(principal, tool, arguments, terms).await?;
    if let (Some(Aside::Asks(asks)), Some(Arguments::Parsed(arguments))) = (&called.aside, &again) {
        return asks::asked(door, principal, tool, arguments, asks);
    }
    let Answer { usage, set_by, .. } = called;
    let mut response = match &called.outcome {
        Outcome::Value(json) => {
            let mut result = parsed(&tool.bare(json.clone()));
            let mut report = None;
            if let Some(wanted) = wanted {
                let shaped = door.shape(principal, result, wanted).await;
                (result, report) = (shaped.value, Some(shaped.report));
            }
            let executed = Executed {
                tool: tool.name.to_string(),
                status: "completed",
                result,
                digest: tool.digest,
                usage: usage.into(),
            };
            let response = Json(executed).into_response();
            match report {
                Some(report) => saved(response, &report),
                None => response,
            }
        }
        Outcome::ToolError(json) => {
            Problem::tool_error(&parsed(&tool.bare(json.clone()))).on_the_way(&called).into_response()
        }
        Outcome::Stopped(stopped) => {
            Problem::stopped(&stopped.reason, &usage, &called.denied).set_by(set_by).into_response()
        }
    };
    used(response.headers_mut(), usage, &tool.digest_text);
    Ok(response)
}

fn entry(tool: &Tool) -> ToolEntry {
    ToolEntry {
        name: tool.name.to_string(),
        module: tool.module.to_string(),
        function: tool.function.clone(),
        signature: tool.signature.clone(),
        description: tool.documented.then(|| tool.description.clone()),
        deprecated: tool.deprecated.as_ref().map(|deprecated| deprecated.words.clone()),
        mode: match tool.mode {
            Mode::Direct => "direct",
            Mode::Queue => "queue",
            Mode::Auto => "auto",
        },
        idempotent: tool.is_idempotent,
        requires_confirmation: tool.requires_confirmation,
        definition: tool.definition.clone(),
        redefined: tool.is_redefined,
        schemas: Schemas::of(tool),
    }
}
