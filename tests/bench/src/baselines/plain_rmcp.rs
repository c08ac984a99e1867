//! Bare rmcp: one tool (and others that are only listed), described by hand as a dynamic host has to, without sessions and answering in plain JSON.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, JsonObject, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};

use super::{Addends, serve_routes};

/// Serve the tool `add` at `/mcp` until the process is killed, and list so many.
pub(crate) async fn serve(address: SocketAddr, tools: usize) -> Result<()> {
    let other = |number| {
        let mut other = add();
        other.name = format!("add_{number:04}").into();
        other
    };
    let listed = std::iter::once(add()).chain((1..tools).map(other)).collect();
    let calculator = Calculator { add: Arc::new(add()), listed };
    let config = StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(true);
    let service =
        StreamableHttpService::new(move || Ok(calculator.clone()), Arc::new(LocalSessionManager::default()), config);
    serve_routes(address, Router::new().route_service("/mcp", service)).await
}

/// A server with the one tool `add`.
#[derive(Debug, Clone)]
struct Calculator {
    add: Arc<Tool>,
    listed: Arc<[Tool]>,
}

impl ServerHandler for Calculator {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        (name == self.add.name).then(|| (*self.add).clone())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.listed.to_vec()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name != self.add.name {
            return Err(ErrorData::invalid_params(format!("unknown tool {}", request.name), None));
        }
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let addends: Addends =
            serde_json::from_value(arguments).map_err(|error| ErrorData::invalid_params(error.to_string(), None))?;
        let sum = addends.sum().ok_or_else(|| ErrorData::invalid_params("the sum is not finite", None))?;
        Ok(CallToolResult::structured(json!({ "result": sum })).into())
    }
}

/// The description of the tool.
fn add() -> Tool {
    let number = json!({ "type": "number" });
    let input = schema(json!({ "a": number, "b": number }), json!(["a", "b"]));
    let output = schema(json!({ "result": number }), json!(["result"]));
    Tool::new("add", "Add two numbers.", input).with_raw_output_schema(output)
}

/// A closed object schema.
fn schema(properties: Value, required: Value) -> Arc<JsonObject> {
    let mut schema = JsonObject::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), properties);
    schema.insert("required".into(), required);
    schema.insert("additionalProperties".into(), false.into());
    Arc::new(schema)
}
