use axum::{Json, extract::State as Shared};
use fumehood_dispatch::{Dispatcher, SecretEntry};
use fumehood_http::{Body, Caller, Path, Problem};
use fumehood_model::{Code, Timestamp};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::may::{May, SecretKeeping};

/// All secrets, without their values.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecretList {
    secrets: Vec<ListedSecret>,
}

/// A secret, without its value.
#[derive(Serialize, ToSchema)]
pub(crate) struct ListedSecret {
    #[schema(example = "API_TOKEN")]
    name: String,
    /// Name of the key that set it last.
    set_by: String,
    #[schema(value_type = String, format = DateTime)]
    set_at: Timestamp,
}

/// The value of a secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedSecret {
    /// At most 64 KiB. It is never shown again.
    #[schema(min_length = 1, format = Password)]
    value: String,
}

/// List the secrets by name.
#[utoipa::path(get, path = "/api/v1/secrets", tag = "secrets", operation_id = "listSecrets", responses(
    (status = 200, description = "All secrets by name, without their values", body = SecretList),
))]
pub(crate) async fn list(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
) -> Result<Json<SecretList>, Problem> {
    let secrets = door.secrets(&principal).await?;
    let listed = |SecretEntry { name, set_by, set_at }| ListedSecret { name, set_by, set_at };
    Ok(Json(SecretList { secrets: secrets.into_iter().map(listed).collect() }))
}

/// Set or replace a secret.
#[utoipa::path(put, path = "/api/v1/secrets/{name}", tag = "secrets", operation_id = "setSecret", request_body = WantedSecret,
    params(("name" = String, Path, description = "Letters, digits, `_`, `.` and `-`, at most 64, the first a letter or `_`")),
    responses(
        (status = 201, description = "The secret is set"),
        (status = 204, description = "The secret is replaced"),
    ))]
pub(crate) async fn set(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    _: May<SecretKeeping>,
    Body(bytes): Body,
) -> Result<StatusCode, Problem> {
    let wanted: WantedSecret = serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?;
    let made = door.set_secret(&principal, name, wanted.value).await?;
    Ok(if made { StatusCode::CREATED } else { StatusCode::NO_CONTENT })
}

/// Forget a secret.
#[utoipa::path(delete, path = "/api/v1/secrets/{name}", tag = "secrets", operation_id = "removeSecret",
    params(("name" = String, Path, description = "The name of the secret")),
    responses((status = 204, description = "The secret is forgotten")))]
pub(crate) async fn remove(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    door.remove_secret(&principal, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The parser's own words would quote the value.
fn unreadable(error: &serde_json::Error) -> Problem {
    let what = "the body must be a JSON object with the text `value`";
    Problem::new(Code::Malformed, format!("{what}: see line {} column {}", error.line(), error.column()))
}
