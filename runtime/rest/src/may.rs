//! Refuses who may not do something before anything of the request is read.

use std::marker::PhantomData;

use axum::extract::{FromRef, FromRequestParts};
use fumehood_dispatch::DispatchError;
use fumehood_http::{Gate, Problem};
use fumehood_policy::Action;
use http::request::Parts;

/// What a handler is about.
pub(crate) trait About {
    /// What its caller must be allowed to do.
    const ACTION: Action;
}

/// Give or take away permissions.
pub(crate) struct Granting;

impl About for Granting {
    const ACTION: Action = Action::Grant;
}

/// Install modules.
pub(crate) struct Installing;

impl About for Installing {
    const ACTION: Action = Action::Install;
}

/// Make and revoke keys.
pub(crate) struct KeyKeeping;

impl About for KeyKeeping {
    const ACTION: Action = Action::ManageKeys;
}

/// Set and remove secrets.
pub(crate) struct SecretKeeping;

impl About for SecretKeeping {
    const ACTION: Action = Action::ManageSecrets;
}

/// The caller may do what the handler is about. Who may not hears that, and not what else is wrong with the request.
pub(crate) struct May<A>(PhantomData<A>);

impl<S, A> FromRequestParts<S> for May<A>
where
    S: Send + Sync,
    A: About,
    Gate: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Gate::from_ref(state).principal(&parts.headers)?;
        A::ACTION.check(&principal).map_err(|forbidden| Problem::from(DispatchError::from(forbidden)))?;
        Ok(Self(PhantomData))
    }
}
