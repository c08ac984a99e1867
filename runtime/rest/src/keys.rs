use axum::{Json, extract::State as Shared};
use fumehood_dispatch::{ApiKey, Dispatcher, KeyRequest};
use fumehood_http::{Caller, Json as Sent, Path, Problem};
use fumehood_model::{KeyLimits, Role, Timestamp};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::may::{KeyKeeping, May};

/// All keys.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyList {
    keys: Vec<KeyEntry>,
}

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyEntry {
    /// The public part, which also names it in logs.
    id: String,
    name: String,
    #[schema(value_type = Vec<String>, example = json!(["call"]))]
    roles: Vec<Role>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// Bounds on each of its calls, by their keys in the configuration, and `concurrent_calls`.
    #[serde(skip_serializing_if = "is_none")]
    #[schema(value_type = Option<Object>)]
    limits: KeyLimits,
}

/// A key that is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedKey {
    /// What to call it.
    #[schema(example = "ci", min_length = 1, max_length = 100)]
    name: String,
    /// What it may do: `admin` or `call`.
    #[schema(value_type = Vec<String>, example = json!(["call"]))]
    roles: Vec<Role>,
    /// Bounds on each of its calls, by their keys below `limits` in the configuration, and `concurrent_calls`: how many run
    /// at a time. They only lower what the server allows.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({ "fuel_units": 1_000_000, "deadline_ms": 500, "memory": "8 MiB" }))]
    limits: KeyLimits,
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeKey {
    #[serde(flatten)]
    entry: KeyEntry,
    /// The whole key. It is shown here and never again.
    key: String,
}

/// List all keys, revoked ones too.
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", operation_id = "listKeys", responses(
    (status = 200, description = "All keys, oldest first", body = KeyList),
))]
pub(crate) async fn list(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
) -> Result<Json<KeyList>, Problem> {
    let keys = door.keys(&principal).await?;
    Ok(Json(KeyList { keys: keys.into_iter().map(entry).collect() }))
}

/// Make a key.
#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", operation_id = "createKey", request_body = WantedKey, responses(
    (status = 201, description = "The key; its secret is shown only here", body = MadeKey),
))]
pub(crate) async fn create(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    _: May<KeyKeeping>,
    Sent(wanted): Sent<WantedKey>,
) -> Result<(StatusCode, Json<MadeKey>), Problem> {
    let WantedKey { name, roles, limits } = wanted;
    let new = door.create_key(&principal, KeyRequest { name, roles, limits }).await?;
    Ok((StatusCode::CREATED, Json(MadeKey { entry: entry(new.key), key: new.text })))
}

/// Revoke a key, at once and for good.
#[utoipa::path(delete, path = "/api/v1/keys/{id}", tag = "keys", operation_id = "revokeKey",
    params(("id" = String, Path, description = "The public part of the key")),
    responses((status = 204, description = "The key is revoked")))]
pub(crate) async fn revoke(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    door.revoke_key(&principal, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn entry(key: ApiKey) -> KeyEntry {
    let ApiKey { id, name, roles, limits, created_at, revoked_at } = key;
    KeyEntry { id: id.to_string(), name, roles, created_at, revoked_at, limits }
}

fn is_none(limits: &KeyLimits) -> bool {
    *limits == KeyLimits::default()
}
