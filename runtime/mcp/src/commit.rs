//! Answers that take long: begun before they are there, and kept alive until they are.
//!
//! rmcp sends no header before it knows the first message of an answer, as the status depends on it. Clients and proxies
//! between them and us give up meanwhile, commonly after 60 seconds without a byte. So a call that is not answered soon is
//! answered with a stream, in which its answer then comes.

use std::{pin::Pin, time::Duration};

use axum::{
    body::{Body, BodyDataStream, to_bytes},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderName, StatusCode, header};
use rmcp::model::{ErrorData, JsonRpcError, RequestId};
use serde::Deserialize;
use tokio::time::timeout;

/// How long an answer is waited for before a stream is begun for it.
///
/// A second: most calls take milliseconds and keep their plain answer, with its length and its status. Those that take
/// longer notice nothing of the few bytes more, and every client and proxy waits longer than this.
const COMMIT_AFTER: Duration = Duration::from_secs(1);

/// How often an open stream shows that it is alive: below the idle time of common proxies.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A comment of an event stream, which clients pass over.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

const EVENT_STREAM: &str = "text/event-stream";

/// Tells a proxy of the nginx kind to pass on what comes when it comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// An answer that is being made. Dropping it ends the call.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// What a message of a client says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) method: Option<String>,
    pub(crate) id: Option<RequestId>,
}

impl Envelope {
    /// That of `message`, if it is one of JSON-RPC.
    pub(crate) fn of(message: &[u8]) -> Option<Self> {
        serde_json::from_slice(message).ok()
    }

    /// Whether it opens a conversation of the eras that shake hands.
    pub(crate) fn is_initialize(&self) -> bool {
        self.method.as_deref() == Some("initialize")
    }
}

/// The answer to `message`: itself if it is there soon, else a stream in which it comes.
///
/// Whoever accepts no stream has been refused by rmcp long before.
///
/// # Cancellation
///
/// Dropping this, or the response that it comes to, ends the call.
pub(crate) async fn in_time(mut answer: Answer, message: Bytes) -> Response {
    if let Ok(response) = timeout(COMMIT_AFTER, &mut answer).await {
        return response;
    }
    match Envelope::of(&message) {
        // The answer of a handshake brings the session's id in a header.
        Some(envelope) if !envelope.is_initialize() => match envelope.id {
            Some(id) if envelope.method.is_some() => begun(answer, id),
            _ => answer.await,
        },
        _ => answer.await,
    }
}

fn begun(answer: Answer, id: RequestId) -> Response {
    let headers =
        [(header::CONTENT_TYPE, EVENT_STREAM), (header::CACHE_CONTROL, "no-cache"), (X_ACCEL_BUFFERING, "no")];
    // Some proxies hold back a head until the first byte of its body.
    let first = stream::once(async { Ok(COMMENT) });
    let body = first.chain(stream::unfold(Stage::Waiting { answer, id }, next));
    (headers, Body::from_stream(body)).into_response()
}

/// How far a stream is that was begun early.
enum Stage {
    /// The answer is not there yet.
    Waiting { answer: Answer, id: RequestId },
    /// It is a stream itself, which keeps itself alive.
    Passing(BodyDataStream),
    /// All has been said.
    Over,
}

/// What comes next in the stream.
async fn next(stage: Stage) -> Option<(Result<Bytes, axum::Error>, Stage)> {
    let mut chunks = match stage {
        Stage::Waiting { mut answer, id } => match timeout(KEEP_ALIVE, &mut answer).await {
            Err(_) => return Some((Ok(COMMENT), Stage::Waiting { answer, id })),
            Ok(response) if is_of_kind(&response, EVENT_STREAM) => response.into_body().into_data_stream(),
            Ok(response) => return Some((event(response, id).await, Stage::Over)),
        },
        Stage::Passing(chunks) => chunks,
        Stage::Over => return None,
    };
    let chunk = chunks.next().await?;
    Some((chunk, Stage::Passing(chunks)))
}

/// An answer that is no stream, as an event of one.
async fn event(response: Response, id: RequestId) -> Result<Bytes, axum::Error> {
    let status = response.status();
    // rmcp has made all of it already, within the bounds of results.
    let message = if is_of_kind(&response, "application/json") {
        to_bytes(response.into_body(), usize::MAX).await?
    } else {
        refusal(status, id)
    };
    let mut event = Vec::with_capacity(message.len() + 8);
    // A line of data for each line of the message; rmcp writes it on one.
    for line in message.split(|byte| *byte == b'\n') {
        event.extend_from_slice(b"data: ");
        event.extend_from_slice(line);
        event.push(b'\n');
    }
    event.push(b'\n');
    Ok(event.into())
}

/// What is said in place of a status, for which it is too late.
fn refusal(status: StatusCode, id: RequestId) -> Bytes {
    let error = match status {
        StatusCode::NOT_FOUND => ErrorData::invalid_request("the session is not there any more", None),
        status if status.is_client_error() => ErrorData::invalid_request("the request cannot be answered", None),
        _ => ErrorData::internal_error("the server failed; the operator's log has the reason", None),
    };
    serde_json::to_vec(&JsonRpcError::new(Some(id), error)).unwrap_or_default().into()
}

fn is_of_kind(response: &Response, kind: &str) -> bool {
    let sent = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    sent.is_some_and(|sent| sent.starts_with(kind))
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    const CALL: Bytes = Bytes::from_static(br#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{}}"#);

    fn after(wait: Duration, response: impl IntoResponse + Send + 'static) -> Answer {
        Box::pin(async move {
            sleep(wait).await;
            response.into_response()
        })
    }

    fn json(status: StatusCode) -> Response {
        (status, [(header::CONTENT_TYPE, "application/json")], r#"{"id":"a"}"#).into_response()
    }

    async fn text(response: Response) -> String {
        String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_quick_answer_stays_as_it_is() {
        let response = in_time(after(Duration::from_millis(900), json(StatusCode::NOT_FOUND)), CALL).await;

        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(text(response).await, r#"{"id":"a"}"#);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_comes_in_a_stream_that_is_kept_alive() {
        let started = Instant::now();

        let response = in_time(after(Duration::from_secs(40), json(StatusCode::OK)), CALL).await;

        assert_eq!((response.status(), started.elapsed()), (StatusCode::OK, COMMIT_AFTER));
        let headers = response.headers();
        assert_eq!(
            (&headers[header::CONTENT_TYPE], &headers[header::CACHE_CONTROL], &headers[X_ACCEL_BUFFERING]),
            (
                &http::HeaderValue::from_static(EVENT_STREAM),
                &http::HeaderValue::from_static("no-cache"),
                &http::HeaderValue::from_static("no")
            )
        );
        assert_eq!(text(response).await, ":\n\n:\n\n:\n\ndata: {\"id\":\"a\"}\n\n");
        assert_eq!(started.elapsed(), Duration::from_secs(40));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_of_ten_minutes_is_never_silent_for_longer_than_proxies_wait() {
        let (started, minutes) = (Instant::now(), Duration::from_secs(600));
        let response = in_time(after(minutes, json(StatusCode::OK)), CALL).await;
        let (mut chunks, mut heard, mut longest) = (response.into_body().into_data_stream(), started, Duration::ZERO);
        let mut last = Bytes::new();

        while let Some(chunk) = chunks.next().await {
            longest = longest.max(heard.elapsed());
            (heard, last) = (Instant::now(), chunk.unwrap());
        }

        assert_eq!((started.elapsed(), longest), (minutes, KEEP_ALIVE));
        assert_eq!(last, "data: {\"id\":\"a\"}\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_that_is_a_stream_is_passed_on() {
        let inner = ([(header::CONTENT_TYPE, EVENT_STREAM)], "data: 1\n\ndata: 2\n\n");

        let response = in_time(after(Duration::from_secs(2), inner), CALL).await;

        assert_eq!(text(response).await, ":\n\ndata: 1\n\ndata: 2\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_comes_too_late_for_a_status_is_an_error_in_the_stream() {
        let inner = (StatusCode::INTERNAL_SERVER_ERROR, "Encounter an error at /secret/path");

        let response = in_time(after(Duration::from_secs(2), inner), CALL).await;

        let said = text(response).await;
        let message: serde_json::Value = said.trim_start_matches(":\n\ndata: ").parse().unwrap();
        assert_eq!((&message["id"], &message["error"]["code"]), (&"a".into(), &(-32603).into()));
        assert!(!said.contains("secret"), "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_wants_no_answer_and_handshakes_are_waited_for() {
        for message in [
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#,
            "",
        ] {
            let response = in_time(after(Duration::from_secs(5), StatusCode::ACCEPTED), message.into()).await;

            assert_eq!(response.status(), StatusCode::ACCEPTED, "{message}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_away_ends_the_call_before_and_after_its_stream_began() {
        struct Guard(tokio::sync::mpsc::UnboundedSender<()>);
        impl Drop for Guard {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
        let call = move || -> Answer {
            let guard = Guard(ended.clone());
            Box::pin(async move {
                let _guard = guard;
                std::future::pending().await
            })
        };

        drop(timeout(Duration::from_millis(500), in_time(call(), CALL)).await);
        ends.try_recv().unwrap();
        let mut stream = in_time(call(), CALL).await.into_body().into_data_stream();
        stream.next().await.unwrap().unwrap();
        assert!(ends.try_recv().is_err());
        drop(stream);

        ends.try_recv().unwrap();
    }
}
