//! The page that shows the OpenAPI document, from the binary alone: it works without a network.

use std::sync::Arc;

use axum::response::{Html, IntoResponse, Response};
use fumehood_http::{Path, Problem};
use fumehood_model::Code;
use http::{HeaderName, HeaderValue, header};
use utoipa_swagger_ui::Config;

const PAGE: &str = include_str!("../assets/docs.html");
const SCRIPT: &str = include_str!("../assets/docs.js");
const STYLE: &str = include_str!("../assets/docs.css");

/// Scripts only from here: text that comes with a tool cannot run. Swagger UI needs inline styles.
const POLICY: (HeaderName, HeaderValue) = (
    header::CONTENT_SECURITY_POLICY,
    HeaderValue::from_static(
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; \
         base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
    ),
);
const NO_SNIFF: (HeaderName, HeaderValue) = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

/// The page itself.
pub(crate) async fn index() -> impl IntoResponse {
    ([POLICY, NO_SNIFF], Html(PAGE))
}

/// A file of the page.
pub(crate) async fn file(Path(file): Path<String>) -> Result<Response, Problem> {
    let typed = |content_type: &str, bytes: Vec<u8>| {
        let content_type =
            HeaderValue::from_str(content_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
        ([POLICY, NO_SNIFF, (header::CONTENT_TYPE, content_type)], bytes).into_response()
    };
    match file.as_str() {
        "docs.js" => return Ok(typed("text/javascript; charset=utf-8", SCRIPT.into())),
        "docs.css" => return Ok(typed("text/css; charset=utf-8", STYLE.into())),
        _ => {}
    }
    match utoipa_swagger_ui::serve(&file, Arc::new(Config::from("/openapi.json"))) {
        Ok(Some(asset)) => Ok(typed(&asset.content_type, asset.bytes.into_owned())),
        _ => Err(Problem::new(Code::NotFound, "the page has no such file")),
    }
}
