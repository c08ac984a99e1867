//! Extractors that refuse with a [`Problem`], where axum's own refuse with plain text.

use axum::extract::{FromRef, FromRequest, FromRequestParts, OptionalFromRequest, Request};
use fumehood_model::Code;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::{Body, MaxBody, Problem};

/// The parameters in the path.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(path) => Ok(Self(path.0)),
            Err(rejection) => Err(Problem::new(Code::Malformed, rejection.body_text())),
        }
    }
}

/// The parameters after `?`.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(query) => Ok(Self(query.0)),
            Err(rejection) => {
                let said = rejection.body_text();
                let what = said.strip_prefix("Failed to deserialize query string: ").unwrap_or(&said);
                Err(Problem::new(Code::Malformed, format!("after `?` is not what is expected here: {what}")))
            }
        }
    }
}

/// A JSON body.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S, T: DeserializeOwned> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    MaxBody: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Body(bytes) = Body::from_request(request, state).await?;
        Self::parse(&bytes)
    }
}

/// A body of no bytes is nothing.
impl<S, T: DeserializeOwned> OptionalFromRequest<S> for Json<T>
where
    S: Send + Sync,
    MaxBody: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        let Body(bytes) = Body::from_request(request, state).await?;
        if bytes.is_empty() { Ok(None) } else { Self::parse(&bytes).map(Some) }
    }
}

impl<T: DeserializeOwned> Json<T> {
    fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(bytes).map(Self).map_err(|error| {
            Problem::new(Code::Malformed, format!("the body is not the JSON that is expected here: {error}"))
        })
    }
}
