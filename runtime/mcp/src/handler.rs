use std::time::Duration;

use fumehood_dispatch::{Arguments, Dispatcher};
use fumehood_model::Principal;
use fumehood_policy::Lowered;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, DiscoverResult, Implementation, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, SubscriptionFilter, Tool,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::Value;

use crate::{
    convert,
    page::{self, PAGE},
};

/// How long a client may use a list of tools before it asks again.
///
/// Not every client hears that the list has changed; a minute bounds how long one can be wrong.
const LIST_TTL: Duration = Duration::from_secs(60);

/// How often a listener looks whether its client is still there.
const LIVENESS: Duration = Duration::from_secs(30);

/// Answers the requests of one client. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Handler {
    pub(crate) dispatcher: Dispatcher,
    /// Who is at the other end, where the transport has only one: over HTTP every request says so itself.
    pub(crate) principal: Option<Principal>,
}

impl Handler {
    fn principal(&self, context: &RequestContext<RoleServer>) -> Result<Principal, ErrorData> {
        let sent =
            context.extensions.get::<http::request::Parts>().and_then(|parts| parts.extensions.get::<Principal>());
        sent.or(self.principal.as_ref())
            .cloned()
            .ok_or_else(|| ErrorData::internal_error("the request came without a principal", None))
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build();
        let mut config = ServerConfig::new(capabilities);
        config.server_info = Implementation::new("fumehood", env!("CARGO_PKG_VERSION"));
        config.instructions = Some(
            "Tools compiled to WebAssembly. Each call runs in a sandbox of its own and is stopped when it exceeds its \
             limits of fuel, time or memory; it keeps nothing from earlier calls."
                .to_owned(),
        );
        config
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let versions = self.supported_protocol_versions().into_owned();
        let mut result = DiscoverResult::from_server_info(versions, self.get_info());
        result.ttl_ms = millis(LIST_TTL);
        result.cache_scope = CacheScope::Private;
        Ok(result)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let principal = self.principal(&context)?;
        let catalogue = self
            .dispatcher
            .catalogue(&principal)
            .map_err(|error| ErrorData::invalid_request(error.to_string(), None))?;
        let after = match request.and_then(|request| request.cursor) {
            None => String::new(),
            Some(cursor) => {
                page::name(&cursor).ok_or_else(|| ErrorData::invalid_params("this cursor is not one of ours", None))?
            }
        };
        let mut tools: Vec<Tool> =
            catalogue.tools_after(&after).take(PAGE + 1).map(|tool| convert::tool(tool)).collect();
        let more = tools.len() > PAGE;
        tools.truncate(PAGE);
        let mut result = ListToolsResult::with_all_items(tools);
        result.next_cursor = result.tools.last().filter(|_| more).map(|tool| page::after(&tool.name));
        result.ttl_ms = Some(millis(LIST_TTL));
        // What is listed depends on who asks.
        result.cache_scope = Some(CacheScope::Private);
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let principal = self.principal(&context)?;
        let tool = match self.dispatcher.tool(&principal, &request.name) {
            Ok(tool) => tool,
            Err(error) => return convert::refused(&error).map(Into::into),
        };
        let arguments = Arguments::Parsed(Value::Object(request.arguments.unwrap_or_default()));
        // On the heap: rmcp moves the future of a request about, and this one is large.
        let call = Box::pin(self.dispatcher.call(&principal, &tool, arguments, Lowered::default()));
        // Dropping the call stops the guest.
        let result = tokio::select! {
            result = call => result,
            () = context.ct.cancelled() => return Err(ErrorData::internal_error("the call was cancelled", None)),
        };
        match result {
            Ok(answer) => Ok(convert::answered(&answer, &tool).into()),
            Err(error) => convert::refused(&error).map(Into::into),
        }
    }

    /// Asked before a call for the headers that mirror arguments; has no request, so it cannot look at who asks.
    fn get_tool(&self, _: &str) -> Option<Tool> {
        // No tool of ours has such headers: its schemas come from WIT types.
        None
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let mut accepted = SubscriptionFilter::new();
        accepted.tools_list_changed = requested.tools_list_changed;
        Some(accepted)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.dispatcher.changes();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                changed = changes.changed() => {
                    if changed.is_err() || context.sink().notify_tool_list_changed().await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The older eras push changes without being asked, for as long as the session lives.
    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let mut changes = self.dispatcher.changes();
        let peer = context.peer;
        tokio::spawn(async move {
            while !peer.is_transport_closed() {
                match tokio::time::timeout(LIVENESS, changes.changed()).await {
                    Ok(Ok(())) if peer.notify_tool_list_changed().await.is_err() => return,
                    Ok(Err(_)) => return,
                    Ok(Ok(())) | Err(_) => {}
                }
            }
        });
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
