use axum::extract::{FromRef, FromRequest, Request};
use bytes::Bytes;
use fumehood_model::{ByteSize, Code};
use http::header;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::Problem;

/// Largest body that ordinary requests may have.
#[derive(Debug, Clone, Copy)]
pub struct MaxBody(pub ByteSize);

/// The whole body of a request, bounded by [`MaxBody`].
#[derive(Debug, Clone)]
pub struct Body(pub Bytes);

impl Body {
    /// The whole body of `request`, if it has at most `most` bytes.
    ///
    /// # Errors
    ///
    /// When it is larger, or the connection broke.
    pub async fn read(request: Request, most: ByteSize) -> Result<Self, Problem> {
        let too_large = || Problem::new(Code::TooLarge, format!("the body is larger than {most}"));
        let declared =
            request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|declared: u64| declared > most.0) {
            return Err(too_large());
        }
        match Limited::new(request.into_body(), most.as_usize()).collect().await {
            Ok(body) => Ok(Self(body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(_) => Err(Problem::new(Code::Malformed, "the body broke off")),
        }
    }
}

impl<S> FromRequest<S> for Body
where
    S: Send + Sync,
    MaxBody: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Self::read(request, MaxBody::from_ref(state).0).await
    }
}
