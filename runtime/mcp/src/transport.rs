use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{FromRef, Request, State as Shared},
    response::{IntoResponse, Response},
    routing::any,
};
use fumehood_dispatch::Dispatcher;
use fumehood_http::{Caller, Gate, MaxBody};
use fumehood_model::Principal;
use rmcp::{
    ServiceExt,
    service::ServerInitializeError,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService,
        streamable_http_server::session::local::{LocalSessionManager, SessionConfig},
    },
};

use crate::handler::Handler;

/// How long a session of the older eras may be idle.
///
/// Longer than any call may take: an idle session is ended even while its call runs.
const SESSION_IDLE: Duration = Duration::from_secs(1_800);

/// How long the answer of a finished call stays for a client that reconnects.
///
/// The session manager looks through all that it keeps for every message, so little is kept.
const KEPT_ANSWERS: Duration = Duration::from_secs(1);

/// How often an open stream shows that it is alive: below the idle time of common proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

type Service = StreamableHttpService<Handler, LocalSessionManager>;

/// What this front end works with.
#[derive(Clone)]
pub struct State {
    /// The door.
    pub dispatcher: Dispatcher,
    /// Where credentials become principals.
    pub gate: Gate,
    /// Largest request.
    pub max_body: MaxBody,
}

#[derive(Clone)]
struct Served {
    service: Service,
    gate: Gate,
}

impl FromRef<Served> for Gate {
    fn from_ref(served: &Served) -> Self {
        served.gate.clone()
    }
}

/// `/mcp` over Streamable HTTP.
pub fn router(state: State) -> Router {
    let handler = Handler { dispatcher: state.dispatcher, principal: None };
    // The edge has checked host and origin already, for every path alike.
    let config = StreamableHttpServerConfig::default()
        .with_json_response(true)
        .with_sse_keep_alive(Some(KEEP_ALIVE))
        .with_max_request_body_bytes(state.max_body.0.as_usize())
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let mut sessions = LocalSessionManager::default();
    let mut session = SessionConfig::default();
    session.keep_alive = Some(SESSION_IDLE);
    session.completed_cache_ttl = KEPT_ANSWERS;
    sessions.session_config = session;
    let service = StreamableHttpService::new(move || Ok(handler.clone()), Arc::new(sessions), config);
    Router::new().route("/mcp", any(answer)).with_state(Served { service, gate: state.gate })
}

async fn answer(Shared(served): Shared<Served>, Caller(principal): Caller, mut request: Request) -> Response {
    // The handler finds it in the parts of the request.
    request.extensions_mut().insert(principal);
    served.service.handle(request).await.into_response()
}

/// Serve one client on standard input and output, until it goes away.
///
/// # Errors
///
/// When the client does not open the conversation as the protocol asks.
pub async fn stdio(dispatcher: Dispatcher, principal: Principal) -> Result<(), ServerInitializeError> {
    let handler = Handler { dispatcher, principal: Some(principal) };
    let running = handler.serve(rmcp::transport::stdio()).await?;
    // A client that goes away ends the conversation; nothing is left to report.
    let _ = running.waiting().await;
    Ok(())
}
