//! Results that are fetched later.

use axum::{
    extract::State as Shared,
    response::{IntoResponse, Response},
};
use fumehood_dispatch::{Dispatcher, KeptResult};
use fumehood_http::{Caller, Json as Sent, Path, Problem};
use fumehood_model::{Code, Timestamp};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::calls::{PREFERENCE_APPLIED, mistaken, saved};

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// A result that was kept instead of sent.
#[derive(Serialize)]
struct KeptEntry {
    /// Where it is fetched.
    result: String,
    size_bytes: u64,
    /// When it is removed.
    expires_at: Timestamp,
}

/// Tell where a result waits.
pub(crate) fn kept(kept: &KeptResult) -> Response {
    let result = format!("/api/v1/results/{}", kept.id);
    let location = HeaderValue::from_str(&result).unwrap_or(HeaderValue::from_static("/"));
    let entry = KeptEntry { result, size_bytes: kept.size_bytes, expires_at: kept.expires_at };
    let mut response = (StatusCode::CREATED, axum::Json(entry)).into_response();
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("return=minimal"));
    response
}

/// Bytes of a guest, which no browser may take for anything else.
pub(crate) fn attachment(name: &str, kind: &'static str, bytes: bytes::Bytes) -> Response {
    // Names of modules and functions hold neither quotes nor control characters; anything else is left out.
    let safe: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).collect();
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{safe}\""))
        .unwrap_or(HeaderValue::from_static("attachment"));
    let mut response = ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], bytes).into_response();
    response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}

/// Fetch a result that was kept with `Prefer: return=minimal`.
#[utoipa::path(get, path = "/api/v1/results/{id}", tag = "results", operation_id = "fetchResult",
    params(("id" = String, Path, description = "Name of the result, as the answer of the call told it")),
    responses((status = 200, description = "The bare result", content_type = "application/json", body = serde_json::Value)))]
pub(crate) async fn fetch(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let bytes = door.result(&principal, &id).await?;
    Ok(attachment(&format!("{id}.json"), "application/json", bytes))
}

/// Filter, sort and page through a result that was kept, without fetching all of it.
#[utoipa::path(post, path = "/api/v1/results/{id}/search", tag = "results", operation_id = "searchResult",
    params(("id" = String, Path, description = "Name of the result, as the answer of the call told it")),
    request_body = serde_json::Value,
    responses((status = 200, description = "What fits, as `search_last_result` over MCP answers it", body = serde_json::Value)))]
pub(crate) async fn search(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Sent(mut wanted): Sent<Map<String, Value>>,
) -> Result<Response, Problem> {
    // There is none of this name, or none for this key: told as by fetching it.
    door.result(&principal, &id).await?;
    wanted.insert("response_id".to_owned(), id.into());
    let shaped = door.search_kept(&principal, wanted).await.map_err(|mistakes| mistaken(&mistakes))?;
    let shaped = shaped.ok_or_else(|| Problem::new(Code::NotFound, "the result is gone"))?;
    Ok(saved(axum::Json(&shaped.value).into_response(), &shaped.report))
}

/// Remove a kept result before its hour is over.
#[utoipa::path(delete, path = "/api/v1/results/{id}", tag = "results", operation_id = "forgetResult",
    params(("id" = String, Path, description = "Name of the result, as the answer of the call told it")),
    responses((status = 204, description = "It is gone")))]
pub(crate) async fn forget(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    door.forget_result(&principal, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
