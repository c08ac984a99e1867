use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fumehood_dispatch::{
    Answer, Arguments, Called as Ended, Catalogue, Dispatcher, Listener, Mode, Offers, Order, OwnResource, Shape,
    Terms, Tool as OurTool, Update, Via, rich::Tasks,
};
use fumehood_model::{Code, Job, JobState, Principal};
use http::request::Parts;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientCapabilities,
        CompleteRequestParams, CompleteResult, DiscoverResult, GetPromptRequestParams, GetPromptResponse,
        GetTaskParams, GetTaskResult, Implementation, ListPromptsResult, ListResourceTemplatesResult,
        ListResourcesResult, ListToolsResult, LoggingLevel, PaginatedRequestParams, ReadResourceRequestParams,
        ReadResourceResponse, ServerCapabilities, ServerConfig, SetLevelRequestMethod, SetLevelRequestParams,
        SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::Value;

use crate::{
    confirm::Said,
    convert,
    input::{self, Given, Step, rounds},
    listing::Turned,
    offers,
    page::{self, PAGE},
    pages::Pages,
    reports::{Reports, Wanted},
    shaped,
    subscriptions::{self, Followed, Followers},
    tasks,
    transport::ProfileName,
    view::{Profile, Profiles},
};

/// How long a client may use a list of tools before it asks again.
///
/// Not every client hears that the list has changed; a minute bounds how long one can be wrong.
pub(crate) const LIST_TTL: Duration = Duration::from_secs(60);

/// How often a listener looks whether its client is still there.
const LIVENESS: Duration = Duration::from_secs(30);

/// How long a tool that is always a task may take until it is one: what it must ask before, it asks by then.
const GRACE: Duration = Duration::from_millis(250);

/// Answers the requests of one client. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Handler {
    pub(crate) dispatcher: Dispatcher,
    /// Who is at the other end, where the transport has only one: over HTTP every request says so itself.
    pub(crate) principal: Option<Principal>,
    pub(crate) profiles: Profiles,
    /// From which level on a client of the older eras wants to hear logs; none before it says so.
    pub(crate) logs: Arc<Mutex<Option<LoggingLevel>>>,
    /// Whether a client of the older eras hears of changes already.
    pub(crate) hears: Arc<AtomicBool>,
    /// What a client of the older eras follows.
    pub(crate) followed: Followed,
    /// How many jobs all clients follow.
    pub(crate) followers: Followers,
    /// What has been written of the lists of tools.
    pub(crate) pages: Pages,
}

impl Handler {
    /// For a client that is always `principal`, or whose requests say who sends them.
    pub(crate) fn new(dispatcher: Dispatcher, principal: Option<Principal>, profiles: Profiles) -> Self {
        Self {
            dispatcher,
            principal,
            profiles,
            logs: Arc::default(),
            hears: Arc::default(),
            followed: Followed::default(),
            followers: Followers::default(),
            pages: Pages::default(),
        }
    }

    /// The same for another client.
    pub(crate) fn anew(&self) -> Self {
        Self { logs: Arc::default(), hears: Arc::default(), followed: Followed::default(), ..self.clone() }
    }

    /// The same for another client, which is always `principal`.
    pub(crate) fn anew_for(&self, principal: Principal) -> Self {
        Self { principal: Some(principal), ..self.anew() }
    }

    pub(crate) fn profile(&self, context: &RequestContext<RoleServer>) -> Result<&Profile, ErrorData> {
        context.extensions.get().map_or(Ok(Profile::EVERYTHING), |parts| self.profile_of(parts))
    }

    /// The profile at whose address a request came.
    pub(crate) fn profile_of(&self, parts: &Parts) -> Result<&Profile, ErrorData> {
        let Some(ProfileName(name)) = parts.extensions.get() else { return Ok(Profile::EVERYTHING) };
        let unknown = || ErrorData::invalid_request("this server has no such profile: its operator names them", None);
        self.profiles.get(name).ok_or_else(unknown)
    }

    pub(crate) fn catalogue(&self, principal: &Principal) -> Result<Arc<Catalogue>, ErrorData> {
        self.dispatcher.catalogue(principal).map_err(|error| ErrorData::invalid_request(error.to_string(), None))
    }

    pub(crate) fn principal(&self, context: &RequestContext<RoleServer>) -> Result<Principal, ErrorData> {
        let sent = context.extensions.get().and_then(Self::sender);
        sent.or(self.principal.as_ref())
            .cloned()
            .ok_or_else(|| ErrorData::internal_error("the request came without a principal", None))
    }

    /// Who has sent a request.
    pub(crate) fn sender(parts: &Parts) -> Option<&Principal> {
        parts.extensions.get()
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
    /// A call that is waited for; with `patience`, one that becomes a task when it takes longer.
    async fn waited(
        &self,
        principal: &Principal,
        tool: &Arc<OurTool>,
        Called { mut arguments, given, call, mut confirmation }: Called,
        patience: Option<Duration>,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let door = &self.dispatcher;
        let (listener, mut reports) = self.listener(context);
        let calls = rounds(door, principal, call.as_deref(), given, context, |told| {
            // Only a tool that can ask is called twice.
            let arguments = if call.is_some() { arguments.clone() } else { std::mem::take(&mut arguments) };
            let arguments = Arguments::Parsed(arguments);
            let confirmation = confirmation.take();
            let terms =
                Terms { via: Via::Mcp, listener: listener.clone(), context: told, confirmation, ..Terms::default() };
            async move {
                let called = match patience {
                    None => door.call(principal, tool, arguments, terms).await.map(Ended::Answered),
                    Some(patience) => door.call_or_defer(principal, tool, arguments, terms, patience).await,
                };
                match called {
                    Ok(Ended::Answered(Answer { aside: Some(aside), .. })) => Ok(Err(aside)),
                    Ok(Ended::Answered(answer)) => Ok(Ok(convert::answered(&answer, tool).into())),
                    Ok(Ended::Deferred(ticket)) => {
                        tasks::created(door, principal, ticket).await.map(Into::into).map(Ok)
                    }
                    Err(error) => convert::refused(&error).map(Into::into).map(Ok),
                }
            }
        });
        // Dropping the call stops the guest.
        let step = tokio::select! {
            step = calls => step,
            () = context.ct.cancelled() => return Err(cancelled()),
            () = reported(&mut reports, context) => unreachable!("reports are passed on for ever"),
        };
        if let Some(reports) = &mut reports {
            reports.finish(&context.peer).await;
        }
        Ok(match step? {
            Step::Done(result) => result,
            Step::Asks(asks) => asks.into(),
        })
    }

    /// A call that is a job: a task for clients that know them, waited for with the others.
    async fn queued(
        &self,
        principal: &Principal,
        tool: &Arc<OurTool>,
        Called { arguments, confirmation, .. }: Called,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let door = &self.dispatcher;
        let order = Order { confirmation, ..Order::default() };
        let ticket = match door.submit(principal, tool, Arguments::Parsed(arguments), order).await {
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

    /// The job `id` as it ended, with its progress told on the way.
    async fn ended(
        &self,
        principal: &Principal,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<Job, ErrorData> {
        let failed = |error| convert::refused(&error).err().unwrap_or_else(cancelled);
        let mut follow = self.dispatcher.follow_job(principal, id, 0).await.map_err(failed)?;
        let wanted = Wanted { progress: context.meta.get_progress_token(), logs: None };
        let mut reports = wanted.listen().map(|(_, reports)| reports);
        loop {
            let Some(news) = follow.next().await.map_err(failed)? else { return Err(cancelled()) };
            for update in news {
                let Update::Now(job) = update else { continue };
                if job.state.is_final() {
                    return Ok(*job);
                }
                if job.state == JobState::InputRequired {
                    // Whoever knows no tasks cannot answer, and would wait for ever.
                    let _ = self.dispatcher.cancel_job(principal, id).await;
                    let what =
                        "the tool asks its user, which a call that is a job can do for clients alone that know tasks";
                    return Err(ErrorData::invalid_request(what, None));
                }
                if let (Some(reports), Some(progress)) = (&mut reports, &job.progress) {
                    reports.progress(&context.peer, progress).await;
                }
            }
        }
    }
}

/// How a call is made.
enum Way {
    /// It is waited for; with a time, until it becomes a task.
    Wait(Option<Duration>),
    /// It is a job from the beginning.
    Queue,
}

/// A call as it comes in.
struct Called {
    arguments: Value,
    given: Given,
    /// What tells it from every other, if its tool can ask.
    call: Option<String>,
    /// That its user has confirmed it.
    confirmation: Option<String>,
}

impl Handler {
    /// Who hears a call for the client that makes it, and where what is heard comes out, if it wants to hear anything.
    fn listener(&self, context: &RequestContext<RoleServer>) -> (Option<Arc<dyn Listener>>, Option<Reports>) {
        let logs = match context.meta.log_level() {
            // A request of the newer era says so itself, or wants none.
            None if input::is_modern(context) => None,
            None => *self.logs.lock().unwrap_or_else(PoisonError::into_inner),
            level => level,
        };
        Wanted { progress: context.meta.get_progress_token(), logs }.listen().unzip()
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
        let tools = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_completions()
            .enable_logging();
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
        let (principal, profile) = (self.principal(&context)?, self.profile(&context)?);
        let catalogue = self.catalogue(&principal)?;
        Ok(profile.list_tools(&catalogue, &page::start(request)?).0)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let (principal, profile) = (self.principal(&context)?, self.profile(&context)?);
        let catalogue = self.catalogue(&principal)?;
        let mut arguments = request.arguments.unwrap_or_default();
        if profile.may_shape() && request.name == fumehood_shape::SEARCH {
            return Ok(shaped::search(&self.dispatcher, &principal, arguments).await.into());
        }
        let tool = match profile.list.turn(profile, &catalogue, &request.name, &arguments)? {
            Some(Turned::Answer(answer)) => return Ok(answer.into()),
            Some(Turned::Call(tool, inner)) => {
                arguments = inner;
                Some(tool)
            }
            None => profile.tool(&catalogue, &request.name),
        };
        let Some(tool) = tool.cloned() else {
            if profile == Profile::EVERYTHING {
                return convert::refused(&self.dispatcher.no_tool(&request.name)).map(Into::into);
            }
            // Names that this address does not show are not told either.
            let what = format!("there is no tool `{}` here", request.name.escape_debug().take(100).collect::<String>());
            return Err(ErrorData::invalid_params(what, None));
        };
        if let Err(name) = profile.settle(&tool, &mut arguments) {
            let told = format!("`{}` is settled here: make the call without it", name.escape_debug());
            return Ok(convert::failed(Code::InvalidInput, told).into());
        }
        let wanted = match profile.shapes(&tool).then(|| Shape::take(&tool, &mut arguments)).transpose() {
            Ok(wanted) => wanted,
            Err(mistakes) => return Ok(shaped::mistaken(&mistakes).into()),
        };
        let arguments = Value::Object(arguments);
        let mut given = Given { responses: request.input_responses, state: request.request_state };
        let mut confirmation = None;
        if tool.requires_confirmation {
            let said = Box::pin(self.confirmed(&principal, &tool, &arguments, &mut given, &context)).await?;
            match said {
                Step::Asks(asks) => return Ok(asks.into()),
                Step::Done(Err(error)) => return convert::refused(&error).map(Into::into),
                Step::Done(Ok(Said::No(why))) => return Ok(convert::unconfirmed(&tool, &why).into()),
                Step::Done(Ok(Said::Yes(token))) => confirmation = token,
            }
        }
        let call = tool.rich.as_ref().map(|_| format!("tools/call {} {} {arguments}", tool.name, tool.digest_text));
        let called = Called { arguments, given, call, confirmation };
        let tasks = knows_tasks(&context) && self.dispatcher.keeps_jobs();
        let way = match tool.rich.as_ref().map(|rich| rich.tasks) {
            Some(Tasks::Required) if tasks => Way::Wait(Some(GRACE)),
            Some(Tasks::Required) if input::is_modern(&context) => {
                let needed = ClientCapabilities::builder().enable_tasks().build();
                return Err(ErrorData::missing_required_client_capability(needed));
            }
            Some(Tasks::Optional) if tasks => Way::Queue,
            _ => match self.dispatcher.mode(&tool) {
                Mode::Direct => Way::Wait(None),
                Mode::Queue => Way::Queue,
                Mode::Auto if tasks => Way::Wait(Some(self.dispatcher.auto_after())),
                Mode::Auto => Way::Wait(Some(Duration::MAX)),
            },
        };
        // On the heap: rmcp moves the future of a request about, and these are large.
        let response = match way {
            Way::Wait(patience) => Box::pin(self.waited(&principal, &tool, called, patience, &context)).await,
            Way::Queue => Box::pin(self.queued(&principal, &tool, called, &context)).await,
        };
        match (response?, wanted) {
            (CallToolResponse::Complete(result), Some(wanted)) => {
                Ok(Box::pin(shaped::shape(&self.dispatcher, &principal, result, wanted)).await.into())
            }
            (response, _) => Ok(response),
        }
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let (principal, profile) = (self.principal(&context)?, self.profile(&context)?);
        let (catalogue, after) = (self.catalogue(&principal)?, page::start(request)?);
        let mut prompts = profile.prompts(&catalogue);
        prompts.retain(|(name, ..)| *name > after);
        let more = prompts.len() > PAGE;
        let prompts = prompts.into_iter().take(PAGE).map(|(name, _, prompt)| offers::prompt(name, prompt));
        let mut result = ListPromptsResult::with_all_items(prompts.collect());
        result.next_cursor = result.prompts.last().filter(|_| more).map(|prompt| page::after(&prompt.name));
        result.ttl_ms = Some(millis(LIST_TTL));
        result.cache_scope = Some(CacheScope::Private);
        Ok(result)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        Box::pin(self.messages(request, context)).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let (principal, profile) = (self.principal(&context)?, self.profile(&context)?);
        let (catalogue, after) = (self.catalogue(&principal)?, page::start(request)?);
        let own = profile.shows_all().then(OwnResource::system);
        let mut resources: Vec<_> = profile.modules(&catalogue).flat_map(|module| &module.resources).collect();
        resources.extend(&own);
        resources.sort_by(|a, b| a.uri.cmp(&b.uri));
        // Of two modules that have the same, the first one answers.
        resources.dedup_by(|a, b| a.uri == b.uri);
        resources.retain(|resource| resource.uri > after);
        let more = resources.len() > PAGE;
        let resources = resources.into_iter().take(PAGE).map(offers::resource);
        let mut result = ListResourcesResult::with_all_items(resources.collect());
        result.next_cursor = result.resources.last().filter(|_| more).map(|resource| page::after(&resource.uri));
        result.ttl_ms = Some(millis(LIST_TTL));
        result.cache_scope = Some(CacheScope::Private);
        Ok(result)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let (principal, profile) = (self.principal(&context)?, self.profile(&context)?);
        let (catalogue, after) = (self.catalogue(&principal)?, page::start(request)?);
        let own = OwnResource::templates();
        let mut templates: Vec<_> = profile.modules(&catalogue).flat_map(|module| &module.templates).collect();
        templates.extend(own.iter().filter(|own| offers::is_shown(profile, own)));
        templates.sort_by(|a, b| a.uri_template.cmp(&b.uri_template));
        templates.dedup_by(|a, b| a.uri_template == b.uri_template);
        templates.retain(|template| template.uri_template > after);
        let more = templates.len() > PAGE;
        let templates = templates.into_iter().take(PAGE).map(offers::template);
        let mut result = ListResourceTemplatesResult::with_all_items(templates.collect());
        let last = result.resource_templates.last().filter(|_| more);
        result.next_cursor = last.map(|template| page::after(&template.uri_template));
        result.ttl_ms = Some(millis(LIST_TTL));
        result.cache_scope = Some(CacheScope::Private);
        Ok(result)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Box::pin(self.contents(request, context)).await
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Ok(CompleteResult::new(Box::pin(self.completion(request, context)).await?))
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if input::is_modern(&context) {
            return Err(ErrorData::method_not_found::<SetLevelRequestMethod>());
        }
        *self.logs.lock().unwrap_or_else(PoisonError::into_inner) = Some(request.level);
        Ok(())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Box::pin(self.follow(request, context)).await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.followed.end(&request.uri);
        Ok(())
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
        let UpdateTaskParams { task_id, input_responses, .. } = request;
        tasks::update(&self.dispatcher, &self.principal(&context)?, &task_id, input_responses).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        tasks::cancel(&self.dispatcher, &self.principal(&context)?, &request.task_id).await
    }

    /// Asked before a call for the headers that mirror arguments; has no request, so it cannot look at who asks, nor at which
    /// address.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        // Only a schema that an author wrote can ask for such headers.
        let catalogue = self.dispatcher.everything();
        let mut tools = self.profiles.all().filter_map(|profile| profile.tool(&catalogue, name));
        let tool = tools.find(|tool| tool.rich.as_ref().is_some_and(|rich| rich.wants_headers))?;
        Some(Tool::new(name.to_owned(), "", Arc::clone(&tool.input_schema)))
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let mut accepted = SubscriptionFilter::new();
        accepted.tools_list_changed = requested.tools_list_changed;
        accepted.prompts_list_changed = requested.prompts_list_changed;
        accepted.resources_list_changed = requested.resources_list_changed;
        // Only jobs move; whose a job is, is looked at when it is followed.
        accepted.resource_subscriptions = requested.resource_subscriptions.as_deref().map(subscriptions::followable);
        Some(accepted)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.dispatcher.changes();
        let mut before = self.dispatcher.offers();
        let principal = self.principal(context.request_context())?;
        let followed = context.accepted().resource_subscriptions.as_deref().unwrap_or_default();
        let mut moves = subscriptions::changes(&self.dispatcher, &self.followers, &principal, followed);
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                Some(uri) = moves.next() => {
                    if context.sink().notify_resource_updated(uri).await.is_err() {
                        return Ok(());
                    }
                }
                changed = changes.changed() => {
                    let (sink, offers) = (context.sink(), self.dispatcher.offers());
                    // What is not in the filter of this client is not sent.
                    if offers.prompts != before.prompts {
                        let _ = sink.notify_prompt_list_changed().await;
                    }
                    if offers.resources != before.resources {
                        let _ = sink.notify_resource_list_changed().await;
                    }
                    before = offers;
                    if changed.is_err() || sink.notify_tool_list_changed().await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The older eras push changes without being asked, for as long as the session lives.
    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        if self.hears.swap(true, Ordering::Relaxed) {
            return;
        }
        let (door, mut changes) = (self.dispatcher.clone(), self.dispatcher.changes());
        let (peer, mut before) = (context.peer, door.offers());
        tokio::spawn(async move {
            while !peer.is_transport_closed() {
                match tokio::time::timeout(LIVENESS, changes.changed()).await {
                    Ok(Ok(())) => {
                        let offers = door.offers();
                        if tell(&peer, before, offers).await.is_err() {
                            return;
                        }
                        before = offers;
                    }
                    Ok(Err(_)) => return,
                    Err(_) => {}
                }
            }
        });
    }
}

/// Tell a client of the older eras what has changed.
async fn tell(peer: &rmcp::Peer<RoleServer>, before: Offers, now: Offers) -> Result<(), rmcp::ServiceError> {
    peer.notify_tool_list_changed().await?;
    if before.prompts != now.prompts {
        peer.notify_prompt_list_changed().await?;
    }
    if before.resources != now.resources {
        peer.notify_resource_list_changed().await?;
    }
    Ok(())
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
