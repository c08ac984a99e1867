use std::collections::BTreeMap;

use axum::{Json, extract::State as Shared};
use fumehood_http::{Caller, Problem};
use fumehood_model::Code;
use serde::Serialize;
use utoipa::ToSchema;

use crate::State;

/// How the server is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`
    status: &'static str,
    version: &'static str,
    uptime_s: u64,
}

/// How the server is, in numbers.
#[derive(Serialize, ToSchema)]
pub(crate) struct DetailedHealth {
    #[serde(flatten)]
    health: Health,
    ready: bool,
    modules: usize,
    tools: usize,
    /// Files and stored modules that are not served.
    problems: usize,
    calls_running: usize,
    calls_waiting: usize,
    /// How many jobs are in each state that has any; for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<BTreeMap<&'static str, u64>>,
    /// How long the oldest job has waited for its turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_job_ms: Option<u64>,
}

impl Health {
    fn of(state: &State) -> Self {
        Self { status: "ok", version: env!("CARGO_PKG_VERSION"), uptime_s: state.started.elapsed().as_secs() }
    }
}

/// Whether the server answers.
#[utoipa::path(get, path = "/api/v1/health", tag = "health", operation_id = "health", security(), responses(
    (status = 200, description = "It does", body = Health),
))]
pub(crate) async fn health(Shared(state): Shared<State>) -> Json<Health> {
    Json(Health::of(&state))
}

/// Whether the server answers, for a supervisor that restarts it if not.
#[utoipa::path(get, path = "/api/v1/health/live", tag = "health", operation_id = "healthLive", security(), responses(
    (status = 200, description = "It does", body = Health),
))]
pub(crate) async fn live(Shared(state): Shared<State>) -> Json<Health> {
    Json(Health::of(&state))
}

/// Whether everything is loaded, for a balancer that sends requests only then.
#[utoipa::path(get, path = "/api/v1/health/ready", tag = "health", operation_id = "healthReady", security(), responses(
    (status = 200, description = "It is", body = Health),
))]
pub(crate) async fn ready(Shared(state): Shared<State>) -> Result<Json<Health>, Problem> {
    if state.dispatcher.is_ready() {
        return Ok(Json(Health::of(&state)));
    }
    Err(Problem::new(Code::Unavailable, "modules are still being loaded"))
}

/// What the server holds and does right now.
#[utoipa::path(get, path = "/api/v1/health/detailed", tag = "health", operation_id = "healthDetailed", responses(
    (status = 200, description = "In numbers", body = DetailedHealth),
))]
pub(crate) async fn detailed(
    Shared(state): Shared<State>,
    Caller(principal): Caller,
) -> Result<Json<DetailedHealth>, Problem> {
    let catalogue = state.dispatcher.catalogue(&principal)?;
    let (calls_running, calls_waiting) = state.dispatcher.load_now();
    // Not for everyone, and not in a process that keeps none.
    let counts = state.dispatcher.job_counts(&principal).await.ok();
    let oldest_job_ms = counts.as_ref().and_then(|counts| counts.oldest_available_ms);
    let jobs = counts.map(|counts| counts.states.into_iter().map(|(state, count)| (state.as_str(), count)).collect());
    Ok(Json(DetailedHealth {
        health: Health::of(&state),
        ready: state.dispatcher.is_ready(),
        modules: catalogue.modules().len(),
        tools: catalogue.tools().len(),
        problems: catalogue.problems().count(),
        calls_running,
        calls_waiting,
        jobs,
        oldest_job_ms,
    }))
}
