use axum::extract::{FromRef, FromRequestParts};
use fumehood_dispatch::Dispatcher;
use fumehood_model::{Code, Principal};
use http::{HeaderMap, header, request::Parts};

use crate::Problem;

/// Where credentials become a principal. Cloning is cheap.
#[derive(Clone)]
pub struct Gate {
    dispatcher: Dispatcher,
    authenticate: bool,
}

impl Gate {
    /// A gate that asks for keys, or, without authentication, takes everyone for the operator.
    #[must_use]
    pub fn new(dispatcher: Dispatcher, authenticate: bool) -> Self {
        Self { dispatcher, authenticate }
    }

    /// Who sends a request with these headers.
    ///
    /// # Errors
    ///
    /// When there is no key, or none that is in force.
    pub fn principal(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        if !self.authenticate {
            return Ok(Principal::local());
        }
        let Some(key) = presented(headers) else {
            let how = "send a key as `Authorization: Bearer fh_…` or `X-API-Key: fh_…`";
            return Err(Problem::new(Code::Unauthenticated, how));
        };
        // One message for unknown, revoked and mistyped keys: it tells a guesser nothing.
        self.dispatcher
            .principal(key)
            .ok_or_else(|| Problem::new(Code::Unauthenticated, "this key is not valid, or has been revoked"))
    }
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| key.trim());
    }
    headers.get("x-api-key")?.to_str().ok().map(str::trim)
}

/// The principal of a request, for handlers that need one. Refuses the request where there is none.
#[derive(Debug, Clone)]
pub struct Caller(pub Principal);

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Gate: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Gate::from_ref(state).principal(&parts.headers).map(Self)
    }
}
