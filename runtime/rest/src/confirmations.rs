//! Calls that a person must confirm, for administrators.

use axum::{Json, extract::State as Shared};
use fumehood_dispatch::{Confirmation, ConfirmationState, Dispatcher};
use fumehood_http::{Caller, Path, Problem, Query};
use fumehood_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::jobs::malformed;

/// Most confirmations in one answer.
const MAX_LIMIT: usize = 1_000;

/// Which to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selection {
    /// Those too that were decided, or that are too old to be.
    #[serde(default)]
    all: bool,
    /// At most so many, up to 1,000; 100 unless said.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<usize>,
}

/// Calls that must be confirmed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConfirmationList {
    /// The newest first.
    confirmations: Vec<ConfirmationEntry>,
}

/// A call that must be confirmed, and what became of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConfirmationEntry {
    id: String,
    tool: String,
    /// Id of the key that calls.
    key: String,
    /// Its name.
    caller: String,
    /// The digest of the component: another version is another call.
    component: String,
    /// The digest of the arguments, without needless space.
    arguments_digest: String,
    /// The first 4 KiB of the arguments, as long as they are of use.
    #[serde(skip_serializing_if = "String::is_empty")]
    arguments: String,
    /// `waiting`; `confirmed`, by an administrator, and not used; `refused`; `used`; `expired`.
    #[schema(example = "waiting")]
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    asked_at: Timestamp,
    /// Until when it can be decided and used.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Name of the key with which it was decided: that of an administrator, or of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<Timestamp>,
    /// When the call took place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    used_at: Option<Timestamp>,
}

/// List calls that must be confirmed.
#[utoipa::path(get, path = "/api/v1/confirmations", tag = "confirmations", operation_id = "listConfirmations",
    params(Selection),
    responses((status = 200, description = "The calls that wait to be confirmed, the newest first", body = ConfirmationList)))]
pub(crate) async fn list(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Query(Selection { all, limit }): Query<Selection>,
) -> Result<Json<ConfirmationList>, Problem> {
    let most = limit.unwrap_or(100);
    if !(1..=MAX_LIMIT).contains(&most) {
        return Err(malformed(&format!("`limit` is 1 to {MAX_LIMIT}")));
    }
    let found = door.confirmations(&principal, all, most).await?;
    Ok(Json(ConfirmationList { confirmations: found.into_iter().map(entry).collect() }))
}

/// Confirm a call of somebody else: it takes place when it is made again.
#[utoipa::path(post, path = "/api/v1/confirmations/{id}/confirm", tag = "confirmations", operation_id = "confirmCall",
    params(("id" = String, Path, description = "The id of the confirmation")),
    responses((status = 200, description = "The call is confirmed", body = ConfirmationEntry)))]
pub(crate) async fn confirm(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<Json<ConfirmationEntry>, Problem> {
    Ok(Json(entry(door.decide_confirmation(&principal, &id, true).await?)))
}

/// Refuse a call of somebody else: it is refused when it is made again, for a day.
#[utoipa::path(post, path = "/api/v1/confirmations/{id}/refuse", tag = "confirmations", operation_id = "refuseCall",
    params(("id" = String, Path, description = "The id of the confirmation")),
    responses((status = 200, description = "The call is refused", body = ConfirmationEntry)))]
pub(crate) async fn refuse(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<Json<ConfirmationEntry>, Problem> {
    Ok(Json(entry(door.decide_confirmation(&principal, &id, false).await?)))
}

fn entry(confirmation: Confirmation) -> ConfirmationEntry {
    let Confirmation { id, call, caller, shown, asked_at, until, state, decided_by, decided_at, used_at } =
        confirmation;
    let expired = until <= Timestamp::now();
    let state = match state {
        ConfirmationState::Waiting | ConfirmationState::Confirmed if expired => "expired",
        ConfirmationState::Waiting => "waiting",
        ConfirmationState::Confirmed => "confirmed",
        ConfirmationState::Refused => "refused",
        ConfirmationState::Used => "used",
    };
    ConfirmationEntry {
        id,
        tool: call.tool,
        key: call.key.to_string(),
        caller,
        component: call.component.to_string(),
        arguments_digest: call.arguments.to_string(),
        arguments: if expired { String::new() } else { shown },
        state,
        asked_at,
        expires_at: until,
        decided_by,
        decided_at,
        used_at,
    }
}
