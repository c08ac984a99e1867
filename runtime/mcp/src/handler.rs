use std::{sync::Arc, time::Duration};

use fumehood_dispatch::{Arguments, Called, Dispatcher, Mode, Order, Terms, Tool as OurTool, Update, Via};
use fumehood_model::{Job, Principal};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams, DiscoverResult, GetTaskParams,
        GetTaskResult, Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
        SubscriptionFilter, Tool, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::Value;

use crate::{
    convert,
    page::{self, PAGE},
    progress::{self, Reports},
    tasks,
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

/// The extension for calls that outlast their request is known to the client that made this one.
fn knows_tasks(context: &RequestContext<RoleServer>) -> bool {
    context.client_capabilities().is_some_and(|capabilities| capabilities.supports_tasks())
}

fn cancelled() -> ErrorData {
    ErrorData::internal_error("the call was cancelled", None)
}

impl Handler {
    /// A call that is waited for.
    async fn direct(
        &self,
        principal: &Principal,
        tool: &Arc<OurTool>,
        arguments: Arguments,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let (terms, mut reports) = terms(context);
        let call = self.dispatcher.call(principal, tool, arguments, terms);
        // Dropping the call stops the guest.
        let result = tokio::select! {
            result = call => result,
            () = context.ct.cancelled() => return Err(cancelled()),
            () = reported(&mut reports, context) => unreachable!("reports are passed on for ever"),
        };
        match result {
            Ok(answer) => Ok(convert::answered(&answer, tool).into()),
            Err(error) => convert::refused(&error).map(Into::into),
        }
    }

    /// A call that is a job: a task for clients that know them, waited for with the others.
    async fn queued(
        &self,
        principal: &Principal,
        tool: &Arc<OurTool>,
        arguments: Arguments,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let door = &self.dispatcher;
        let ticket = match door.submit(principal, tool, arguments, Order::default()).await {
            Ok(ticket) => ticket,
            Err(error) => return convert::refused(&error).map(Into::into),
        };
        if knows_tasks(context) {
            return tasks::created(door, principal, ticket).await.map(Into::into);
        }
        let id = ticket.id.to_string();
        let job = tokio::select! {
            job = self.ended(principal, &id, context) => job?,
            () = context.ct.cancelled() => {
                // Whoever waited has gone, and nobody else knows of the job.
                let _ = door.cancel_job(principal, &id).await;
                return Err(cancelled());
            }
        };
        tasks::result(door, principal, &job, Some(tool)).await.map(Into::into)
    }

    /// A call that becomes a task when it takes long, for clients that know them; waited for with the others.
    async fn either(
        &self,
        principal: &Principal,
        tool: &Arc<OurTool>,
        arguments: Arguments,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let door = &self.dispatcher;
        let patience = if knows_tasks(context) { door.auto_after() } else { Duration::MAX };
        let (terms, mut reports) = terms(context);
        let call = door.call_or_defer(principal, tool, arguments, terms, patience);
        let called = tokio::select! {
            called = call => called,
            () = context.ct.cancelled() => return Err(cancelled()),
            () = reported(&mut reports, context) => unreachable!("reports are passed on for ever"),
        };
        match called {
            Ok(Called::Answered(answer)) => Ok(convert::answered(&answer, tool).into()),
            Ok(Called::Deferred(ticket)) => tasks::created(door, principal, ticket).await.map(Into::into),
            Err(error) => convert::refused(&error).map(Into::into),
        }
    }

    /// The job `id` as it ended, with its progress told on the way.
    async fn ended(
        &self,
        principal: &Principal,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<Job, ErrorData> {
        let failed = |error| convert::refused(&error).err().unwrap_or_else(cancelled);
        let mut follow = self.dispatcher.follow_job(principal, id, 0).await.map_err(failed)?;
        let mut reports = context.meta.get_progress_token().map(|token| progress::listener(token).1);
        loop {
            let Some(news) = follow.next().await.map_err(failed)? else { return Err(cancelled()) };
            for update in news {
                let Update::Now(job) = update else { continue };
                if job.state.is_final() {
                    return Ok(*job);
                }
                if let (Some(reports), Some(progress)) = (&mut reports, &job.progress) {
                    reports.notify(&context.peer, progress).await;
                }
            }
        }
    }
}

/// How a call over this protocol is made, and where its progress comes out if the client wants to hear of it.
fn terms(context: &RequestContext<RoleServer>) -> (Terms, Option<Reports>) {
    let via = Via::Mcp;
    match context.meta.get_progress_token() {
        Some(token) => {
            let (listener, reports) = progress::listener(token);
            (Terms { via, listener: Some(listener), ..Terms::default() }, Some(reports))
        }
        None => (Terms { via, ..Terms::default() }, None),
    }
}

/// Pass on progress, for ever.
async fn reported(reports: &mut Option<Reports>, context: &RequestContext<RoleServer>) {
    match reports {
        Some(reports) => reports.pass_on(&context.peer).await,
        None => std::future::pending().await,
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let tools = ServerCapabilities::builder().enable_tools().enable_tool_list_changed();
        let capabilities = if self.dispatcher.keeps_jobs() { tools.enable_tasks().build() } else { tools.build() };
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
        // On the heap: rmcp moves the future of a request about, and these are large.
        match self.dispatcher.mode(&tool) {
            Mode::Direct => Box::pin(self.direct(&principal, &tool, arguments, &context)).await,
            Mode::Queue => Box::pin(self.queued(&principal, &tool, arguments, &context)).await,
            Mode::Auto => Box::pin(self.either(&principal, &tool, arguments, &context)).await,
        }
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        tasks::show(&self.dispatcher, &self.principal(&context)?, &request.task_id).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        tasks::update(&self.dispatcher, &self.principal(&context)?, &request.task_id).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        tasks::cancel(&self.dispatcher, &self.principal(&context)?, &request.task_id).await
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
