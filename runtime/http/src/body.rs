use std::time::Duration;

use axum::extract::{FromRef, FromRequest, Request};
use bytes::Bytes;
use fumehood_model::{ByteSize, Code};
use http::header;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::Problem;

/// Longest that a client may send nothing in the middle of a body.
///
/// Thirty seconds: a network that was lost and found again resends within that. Who has gone holds a connection and what
/// it has sent so far for no longer.
const SILENCE: Duration = Duration::from_secs(30);

/// Bytes of the allowed size for which a body may take one second more than [`SILENCE`]: half a megabit in a second.
///
/// Who sends a byte now and then is never silent, and would hold its connection for days.
const BYTES_PER_SECOND: u64 = 64 << 10;

/// Largest body that ordinary requests may have.
#[derive(Debug, Clone, Copy)]
pub struct MaxBody(pub ByteSize);

/// The whole body of a request, bounded by [`MaxBody`].
#[derive(Debug, Clone)]
pub struct Body(pub Bytes);

impl Body {
    /// The whole body of `request`, if it has at most `most` bytes and arrives in time.
    ///
    /// # Errors
    ///
    /// When it is larger, comes too slowly, or the connection broke.
    pub async fn read(request: Request, most: ByteSize) -> Result<Self, Problem> {
        let declared =
            request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|declared: u64| declared > most.0) {
            return Err(too_large(most));
        }
        let longest = SILENCE + Duration::from_secs(most.0 / BYTES_PER_SECOND);
        let body = Limited::new(request.into_body(), most.as_usize());
        let whole = timeout(longest, whole(body, most)).await;
        whole.unwrap_or_else(|_| {
            let longest = longest.as_secs();
            Err(Problem::too_slow(format!("the body came too slowly: it had not all arrived after {longest} s")))
        })
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

/// All of `body`, unless its client falls silent.
async fn whole(mut body: Limited<axum::body::Body>, most: ByteSize) -> Result<Body, Problem> {
    // Most bodies come in one piece, which is handed on as it is.
    let (mut first, mut joined) = (Bytes::new(), Vec::new());
    loop {
        let frame = timeout(SILENCE, body.frame()).await.map_err(|_| {
            let silence = SILENCE.as_secs();
            Problem::too_slow(format!("the body did not go on: nothing more of it came for {silence} s"))
        })?;
        match frame.map(|frame| frame.map(hyper::body::Frame::into_data)) {
            None => break,
            Some(Ok(Ok(bytes))) if first.is_empty() => first = bytes,
            Some(Ok(Ok(bytes))) => {
                if joined.is_empty() {
                    joined.extend_from_slice(&first);
                }
                joined.extend_from_slice(&bytes);
            }
            // Trailers, which nobody here wants.
            Some(Ok(Err(_))) => {}
            Some(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large(most)),
            Some(Err(_)) => return Err(Problem::new(Code::Malformed, "the body broke off")),
        }
    }
    Ok(Body(if joined.is_empty() { first } else { joined.into() }))
}

fn too_large(most: ByteSize) -> Problem {
    Problem::new(Code::TooLarge, format!("the body is larger than {most}"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::response::IntoResponse;
    use futures::{Stream, StreamExt, stream};
    use http::StatusCode;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// `count` pieces of a body, each so long after the one before.
    fn pieces(count: usize, pause: Duration) -> impl Stream<Item = Result<&'static str, Infallible>> + Send {
        stream::iter(0..count).then(move |_| async move {
            sleep(pause).await;
            Ok("ab")
        })
    }

    /// What comes of a body of at most 1 MiB, and after how many seconds.
    async fn read(
        pieces: impl Stream<Item = Result<&'static str, Infallible>> + Send + 'static,
    ) -> (Result<Bytes, (StatusCode, Code)>, u64) {
        let started = Instant::now();
        let request = Request::new(axum::body::Body::from_stream(pieces));
        let body = Body::read(request, ByteSize::mib(1)).await;
        let told = |problem: Problem| {
            let code = problem.code();
            (problem.into_response().status(), code)
        };
        (body.map(|body| body.0).map_err(told), started.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_is_given_up() {
        let (body, seconds) = read(pieces(2, Duration::ZERO).chain(stream::pending())).await;

        assert_eq!((body, seconds), (Err((StatusCode::REQUEST_TIMEOUT, Code::Malformed)), 30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_drop_by_drop_is_given_up() {
        let (body, seconds) = read(pieces(1_000, Duration::from_secs(4))).await;

        assert_eq!((body, seconds), (Err((StatusCode::REQUEST_TIMEOUT, Code::Malformed)), 30 + 16));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_slowly_and_in_time_is_whole() {
        let (body, seconds) = read(pieces(3, Duration::from_secs(14))).await;

        assert_eq!((body, seconds), (Ok(Bytes::from_static(b"ababab")), 42));
    }

    #[tokio::test]
    async fn a_body_may_have_as_many_bytes_as_it_may_and_no_more() {
        let of = |length: usize| Request::new(axum::body::Body::from(vec![1; length]));

        assert_eq!(Body::read(of(1 << 10), ByteSize::kib(1)).await.unwrap().0.len(), 1 << 10);
        assert_eq!(Body::read(of(1 + (1 << 10)), ByteSize::kib(1)).await.unwrap_err().code(), Code::TooLarge);
        assert_eq!(Body::read(of(0), ByteSize::kib(1)).await.unwrap().0.len(), 0);
    }
}
