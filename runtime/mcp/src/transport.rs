use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRef, Path, Request, State as Shared},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use bytes::Bytes;
use fumehood_dispatch::Dispatcher;
use fumehood_http::{Body, Caller, Gate, MaxBody, Problem};
use fumehood_model::Principal;
use fumehood_store::Database;
use http::{HeaderMap, HeaderName, Method, StatusCode, header, request::Parts};
use rmcp::{
    ServiceExt,
    model::ProtocolVersion,
    service::ServerInitializeError,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService,
        streamable_http_server::session::{SessionStore, never::NeverSessionManager},
    },
};

use crate::{
    commit::{self, Envelope, KEEP_ALIVE},
    compat::{self, Connected},
    direct::Direct,
    handler::Handler,
    sessions::{Config, Owner, Sessions},
    view::Profiles,
};

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// Longest name of a profile.
const MAX_PROFILE: usize = 64;

/// What this front end works with.
#[derive(Clone)]
pub struct State {
    /// The door.
    pub dispatcher: Dispatcher,
    /// Where credentials become principals.
    pub gate: Gate,
    /// Largest request.
    pub max_body: MaxBody,
    /// Where sessions are kept.
    pub database: Database,
    /// How many sessions are kept, and how long.
    pub config: Config,
}

/// The profile at whose address a request came: `/mcp/{profile}`. The handler finds it beside the [`Principal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProfileName(pub(crate) String);

/// Answers the requests of all clients. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Served {
    inner: Arc<Inner>,
}

struct Inner {
    handler: Handler,
    sessions: Arc<Sessions>,
    /// For clients that shake hands, and those of the era without handshakes.
    keeping: StreamableHttpService<Handler, Sessions>,
    /// For clients of the older eras that keep no session, as if each of their requests were the first.
    forgetting: StreamableHttpService<Handler, NeverSessionManager>,
    gate: Gate,
    max_body: MaxBody,
    connected: Connected,
}

impl Served {
    pub(crate) fn handler(&self) -> &Handler {
        &self.inner.handler
    }

    pub(crate) fn door(&self) -> &Dispatcher {
        &self.inner.handler.dispatcher
    }

    pub(crate) fn connected(&self) -> &Connected {
        &self.inner.connected
    }

    /// Largest message, in bytes.
    pub(crate) fn max_body(&self) -> usize {
        self.inner.max_body.0.as_usize()
    }
}

/// Which of the two a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Keeping,
    Forgetting,
}

impl FromRef<Served> for MaxBody {
    fn from_ref(served: &Served) -> Self {
        served.inner.max_body
    }
}

impl FromRef<Served> for Gate {
    fn from_ref(served: &Served) -> Self {
        served.inner.gate.clone()
    }
}

/// `/mcp` and `/mcp/{profile}` over Streamable HTTP. To be called within a runtime.
pub fn router(state: State) -> Router {
    let State { dispatcher, gate, max_body, database, config } = state;
    let profiles = Profiles::new(config.profiles.clone());
    tokio::spawn(profiles.clone().watch(dispatcher.clone()));
    let handler = Handler::new(dispatcher, None, profiles);
    let sessions = Arc::new(Sessions::new(database, config));
    let make = {
        let handler = handler.clone();
        move || Ok(handler.anew())
    };
    let mut keeping = settings(max_body);
    keeping.session_store = Some(Arc::clone(&sessions) as Arc<dyn SessionStore>);
    let keeping = StreamableHttpService::new(make, Arc::clone(&sessions), keeping);
    let forgetting = settings(max_body).with_legacy_session_mode(false);
    let make = {
        let handler = handler.clone();
        move || Ok(handler.anew())
    };
    let forgetting = StreamableHttpService::new(make, Arc::default(), forgetting);
    let inner =
        Arc::new(Inner { handler, sessions, keeping, forgetting, gate, max_body, connected: Connected::default() });
    Router::new()
        .route("/mcp", any(answer))
        .route("/mcp/{profile}", any(answer))
        .route("/modelcontextprotocol/invoke", post(answer))
        .route(compat::SOCKET, get(compat::websocket))
        .route(compat::STREAM, get(compat::events))
        .route(compat::MESSAGES, post(compat::message))
        .with_state(Served { inner })
}

fn settings(max_body: MaxBody) -> StreamableHttpServerConfig {
    // The edge has checked host and origin already, for every path alike.
    StreamableHttpServerConfig::default()
        .with_json_response(true)
        .with_sse_keep_alive(Some(KEEP_ALIVE))
        .with_max_request_body_bytes(max_body.0.as_usize())
        .disable_allowed_hosts()
        .disable_allowed_origins()
}

async fn answer(
    Shared(served): Shared<Served>,
    Caller(principal): Caller,
    profile: Option<Path<String>>,
    request: Request,
) -> Response {
    let (mut parts, body) = request.into_parts();
    // The handler finds both in the parts of the request.
    parts.extensions.insert(principal);
    if let Some(Path(profile)) = profile {
        if profile.len() > MAX_PROFILE {
            return (StatusCode::NOT_FOUND, "Not Found: no profile has so long a name").into_response();
        }
        parts.extensions.insert(ProfileName(profile));
    }
    // All of it is read before its answer is waited for: a slow upload is no slow call.
    let message = match whole(&parts, body, served.inner.max_body).await {
        Ok(message) => message,
        Err(problem) => return problem.into_response(),
    };
    let Some(way) = served.inner.way(&mut parts, &message).await else {
        // The same words as rmcp's for a session that is not there: whose it is, a stranger does not learn.
        return (StatusCode::NOT_FOUND, "Not Found: Session not found").into_response();
    };
    let handler = &served.inner.handler;
    let enters_session = parts.headers.contains_key(SESSION_ID);
    if let Some(direct) = (!enters_session).then(|| Direct::of(handler, &parts, &message)).flatten() {
        let door = handler.dispatcher.clone();
        return commit::in_time(Box::pin(async move { direct.answer(&door).await }), message).await;
    }
    let request = Request::from_parts(parts, axum::body::Body::from(message.clone()));
    let answer = async move {
        match way {
            Way::Keeping => served.inner.keeping.handle(request).await.into_response(),
            Way::Forgetting => served.inner.forgetting.handle(request).await.into_response(),
        }
    };
    commit::in_time(Box::pin(answer), message).await
}

/// The body of a request whose `parts` are needed further on.
async fn whole(parts: &Parts, body: axum::body::Body, most: MaxBody) -> Result<Bytes, Problem> {
    let mut carrier = Request::new(body);
    if let Some(length) = parts.headers.get(header::CONTENT_LENGTH) {
        carrier.headers_mut().insert(header::CONTENT_LENGTH, length.clone());
    }
    Body::read(carrier, most.0).await.map(|body| body.0)
}

impl Inner {
    /// Which way a request goes; none if it names a session that its sender has not.
    async fn way(&self, parts: &mut Parts, message: &[u8]) -> Option<Way> {
        if is_modern(&parts.headers) {
            // 2026-07-28 knows no sessions: whatever it names, it enters none.
            parts.headers.remove(SESSION_ID);
            return Some(Way::Keeping);
        }
        if let Some(id) = parts.headers.get(SESSION_ID).and_then(|id| id.to_str().ok()) {
            let owner = Owner::of(parts)?;
            return self.sessions.admit(id, &owner).await.then_some(Way::Keeping);
        }
        let opens = parts.method == Method::POST && Envelope::of(message).is_none_or(|sent| sent.is_initialize());
        Some(if opens { Way::Keeping } else { Way::Forgetting })
    }
}

/// Whether a request is of the era without handshakes. Dates of versions are compared as text, as rmcp does.
fn is_modern(headers: &HeaderMap) -> bool {
    let version = headers.get(PROTOCOL_VERSION).and_then(|version| version.to_str().ok());
    version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28.as_str())
}

/// Serve one client on standard input and output, until it goes away.
///
/// # Errors
///
/// When the client does not open the conversation as the protocol asks.
pub async fn stdio(dispatcher: Dispatcher, principal: Principal) -> Result<(), ServerInitializeError> {
    let handler = Handler::new(dispatcher, Some(principal), Profiles::default());
    let running = handler.serve(rmcp::transport::stdio()).await?;
    // A client that goes away ends the conversation; nothing is left to report.
    let _ = running.waiting().await;
    Ok(())
}
