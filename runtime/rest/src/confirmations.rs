//! Calls that a person must confirm, for administrators.

use axum::{Json, extract::State as Shared};
use fumehood_dispatch::{Confirmation, ConfirmationState, Confirmations, Decided, Dispatcher, MAX_CONFIRMATIONS};
use fumehood_http::{Caller, Path, Problem, Query};
use fumehood_model::{KeyId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::jobs::{malformed, tool};

/// Which to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selection {
    /// Those too that were decided, or that are too old to be.
    #[serde(default)]
    all: bool,
    /// Only of this tool, as `calculator.add` or `calculator__add`.
    tool: Option<String>,
    /// Only of the key with this id.
    key: Option<String>,
    /// Only those after this one in the list, as `next` of the page before says.
    before: Option<u64>,
    /// Confirmations on a page, at most 1,000; 100 unless said.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<usize>,
}

/// Calls that must be confirmed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConfirmationList {
    /// The newest first.
    confirmations: Vec<ConfirmationEntry>,
    /// Where the next page begins: its parameter `before`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
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
    /// The first 4 KiB of the arguments without needless space, as long as they are of use.
    #[serde(skip_serializing_if = "String::is_empty")]
    arguments: String,
    /// Bytes of all of them: more than are in `arguments`, if there is more to see.
    arguments_bytes: u64,
    /// `waiting`; `confirmed`, by an administrator, and not used; `refused`; `used`; `expired`.
    #[schema(example = "waiting")]
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    asked_at: Timestamp,
    /// Until when it can be decided and used; of one that is refused, until when it stays so.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Name of the key with which it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<String>,
    /// Its id: the caller's own, or that of an administrator's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by_key: Option<String>,
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
    Query(selection): Query<Selection>,
) -> Result<Json<ConfirmationList>, Problem> {
    let Selection { all, tool: named, key, before, limit } = selection;
    let most = limit.unwrap_or(100);
    if !(1..=MAX_CONFIRMATIONS).contains(&most) {
        return Err(malformed(&format!("`limit` is 1 to {MAX_CONFIRMATIONS}")));
    }
    let tool = named.map(|text| tool::written_down(&door, &principal, &text)).transpose()?;
    let which = Confirmations { all, tool, key: key.map(|key| KeyId(key.into())), before, most };
    let found = door.confirmations(&principal, which).await?;
    let next = (found.len() == most).then(|| found.last().map(|last| last.seq)).flatten();
    Ok(Json(ConfirmationList { confirmations: found.into_iter().map(entry).collect(), next }))
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
    let expired = confirmation.until <= Timestamp::now();
    let state = match confirmation.state {
        ConfirmationState::Waiting | ConfirmationState::Confirmed if expired => "expired",
        ConfirmationState::Waiting => "waiting",
        ConfirmationState::Confirmed => "confirmed",
        ConfirmationState::Refused => "refused",
        ConfirmationState::Used => "used",
    };
    let is_open = matches!(state, "waiting" | "confirmed");
    let Confirmation { id, call, caller, shown, arguments_bytes, asked_at, until, decided, used_at, .. } = confirmation;
    let (decided_by, decided_by_key, decided_at) = match decided {
        Some(Decided { key, by, at }) => (Some(by), Some(key.to_string()), Some(at)),
        None => (None, None, None),
    };
    ConfirmationEntry {
        id,
        tool: call.tool,
        key: call.key.to_string(),
        caller,
        component: call.component.to_string(),
        arguments_digest: call.arguments.to_string(),
        arguments: if is_open { shown } else { String::new() },
        arguments_bytes,
        state,
        asked_at,
        expires_at: until,
        decided_by,
        decided_by_key,
        decided_at,
        used_at,
    }
}
