use axum::{Router, extract::FromRef, response::Redirect, routing::get};
use fumehood_dispatch::Dispatcher;
use fumehood_http::{Gate, MaxBody, Problem};
use fumehood_model::Code;
use http::{Method, Uri};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    calls, confirmations, docs, health, history, jobs, keys, modules, offers, openapi, permissions, results, schedules,
    secrets, tools, versions,
};

/// What handlers work with. Cloning is cheap.
#[derive(Clone)]
pub struct State {
    /// The door.
    pub dispatcher: Dispatcher,
    /// Where credentials become principals.
    pub gate: Gate,
    /// Largest body of an ordinary request.
    pub max_body: MaxBody,
    /// Moment at which the server started.
    pub started: std::time::Instant,
}

impl FromRef<State> for Dispatcher {
    fn from_ref(state: &State) -> Self {
        state.dispatcher.clone()
    }
}

impl FromRef<State> for Gate {
    fn from_ref(state: &State) -> Self {
        state.gate.clone()
    }
}

impl FromRef<State> for MaxBody {
    fn from_ref(state: &State) -> Self {
        state.max_body
    }
}

/// All routes of this front end.
pub fn router(state: State) -> Router {
    let (routes, api) = OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(modules::list))
        .routes(routes!(modules::inspect))
        .routes(routes!(modules::show, modules::put, modules::remove))
        .routes(routes!(versions::list))
        .routes(routes!(versions::promote))
        .routes(routes!(versions::roll_back))
        .routes(routes!(versions::pin, versions::unpin))
        .routes(routes!(permissions::review, permissions::grant, permissions::revoke))
        .routes(routes!(permissions::approve))
        .routes(routes!(permissions::reject))
        .routes(routes!(permissions::list))
        .routes(routes!(tools::list))
        .routes(routes!(tools::search))
        .routes(routes!(tools::show))
        .routes(routes!(tools::execute))
        .routes(routes!(offers::prompts))
        .routes(routes!(offers::messages))
        .routes(routes!(offers::shared_messages))
        .routes(routes!(offers::resources))
        .routes(routes!(offers::read))
        .routes(routes!(results::fetch, results::forget))
        .routes(routes!(results::search))
        .routes(routes!(jobs::list, jobs::submit))
        .routes(routes!(jobs::prune))
        .routes(routes!(jobs::import))
        .routes(routes!(jobs::show, jobs::cancel))
        .routes(routes!(jobs::result))
        .routes(routes!(jobs::input))
        .routes(routes!(jobs::stream::events))
        .routes(routes!(jobs::answer_asked))
        .routes(routes!(jobs::retry))
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::show, schedules::put, schedules::remove))
        .routes(routes!(history::calls))
        .routes(routes!(history::statistics))
        .routes(routes!(confirmations::list))
        .routes(routes!(confirmations::confirm))
        .routes(routes!(confirmations::refuse))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::set, secrets::remove))
        .routes(routes!(health::health))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::detailed))
        .split_for_parts();
    let document = openapi::Document::new(&api);
    routes
        .route("/api/{module}/{function}", axum::routing::post(calls::call))
        .route("/api/{module}/{function}/queue", axum::routing::post(jobs::queue))
        .route("/openapi.json", get(openapi::document))
        .route("/api/openapi.json", get(openapi::document))
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(docs::index))
        .route("/docs/{*file}", get(docs::file))
        .route("/", get(|| async { Redirect::temporary("/docs/") }))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(axum::Extension(document))
        .with_state(state)
}

async fn no_such_path(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).flat_map(char::escape_debug).collect();
    Problem::new(
        Code::NotFound,
        format!("there is nothing at {path}: tools are at /api/{{module}}/{{function}}, see /docs"),
    )
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    // The route of calls matches these too, but no module can be called `v1`.
    if uri.path().starts_with("/api/v1/") && !is_known(uri.path()) {
        return no_such_path(uri).await;
    }
    let path: String = uri.path().chars().take(200).flat_map(char::escape_debug).collect();
    Problem::new(Code::MethodNotAllowed, format!("{path} does not take {}", method.as_str().escape_debug()))
}

/// Whether administration has something at this path, for another method.
fn is_known(path: &str) -> bool {
    let resource = path.trim_start_matches("/api/v1/").split('/').next();
    matches!(
        resource,
        Some(
            "modules"
                | "permissions"
                | "tools"
                | "jobs"
                | "schedules"
                | "calls"
                | "statistics"
                | "keys"
                | "confirmations"
                | "secrets"
                | "health"
                | "results"
                | "prompts"
                | "resources"
        )
    )
}
