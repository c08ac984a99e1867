//! Bare axum: one typed route and nothing else.

use std::net::SocketAddr;

use anyhow::Result;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Number;

use super::{Addends, serve_routes};

/// Serve `POST /add` until the process is killed.
pub(crate) async fn serve(address: SocketAddr) -> Result<()> {
    serve_routes(address, Router::new().route("/add", post(add))).await
}

async fn add(Json(addends): Json<Addends>) -> Result<Json<Number>, StatusCode> {
    addends.sum().map(Json).ok_or(StatusCode::UNPROCESSABLE_ENTITY)
}
