use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use fumehood_model::Code;
use futures::FutureExt;
use http::{HeaderName, HeaderValue, Request, header};
use hyper::body::Incoming;
use tower_service::Service;

use crate::{Hosts, Problem, linger::Lingering};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over from a client or proxy.
const MAX_ID: usize = 64;

/// What tells one request from all others, in its answer and in every log line about it.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id that the request brings along, if it is a harmless one.
    fn brought(value: &HeaderValue) -> Option<Self> {
        let harmless = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
        let bytes = value.as_bytes();
        let usable = !bytes.is_empty() && bytes.len() <= MAX_ID && bytes.iter().all(harmless);
        usable.then(|| Self(value.clone()))
    }
}

/// Everything between a connection and the router. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Edge {
    router: Router,
    hosts: Arc<Hosts>,
    ids: Arc<Ids>,
}

/// Makes ids: a random start for each process, then a counter. Unique without asking for randomness every time.
struct Ids {
    start: u64,
    next: AtomicU64,
}

impl Edge {
    pub(crate) fn new(router: Router, hosts: Hosts) -> Self {
        let mut random = [0; 8];
        // Without randomness ids are merely less unique between restarts.
        let _ = getrandom::fill(&mut random);
        let ids = Ids { start: u64::from_le_bytes(random), next: AtomicU64::new(0) };
        Self { router, hosts: Arc::new(hosts), ids: Arc::new(ids) }
    }

    pub(crate) async fn answer(mut self, mut request: Request<Incoming>) -> Result<Response, Infallible> {
        let id = request.headers().get(REQUEST_ID).and_then(RequestId::brought).unwrap_or_else(|| self.ids.make());
        let mut response = match self.hosts.check(request.uri(), request.headers()) {
            Err(problem) => problem.into_response(),
            Ok(()) => {
                request.extensions_mut().insert(id.clone());
                let answered = AssertUnwindSafe(self.router.call(lingering(request))).catch_unwind().await;
                answered.unwrap_or_else(|_| {
                    tracing::error!(request.id = id.as_str(), "A handler panicked; the request is answered with 500");
                    Ok(Problem::new(Code::Internal, "the server failed; the operator's log has the reason")
                        .into_response())
                })?
            }
        };
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            let mut kept = std::mem::take(response.headers_mut());
            response = problem.render(&id);
            // What the handler said beside the problem, such as what a stopped call used, stays.
            kept.remove(header::CONTENT_LENGTH);
            kept.extend(std::mem::take(response.headers_mut()));
            *response.headers_mut() = kept;
            let (status, code) = (response.status().as_u16(), problem.code());
            tracing::debug!(
                request.id = id.as_str(),
                status,
                code = code.as_str(),
                "Request {} was refused",
                id.as_str()
            );
        }
        response.headers_mut().insert(REQUEST_ID, id.0);
        Ok(response)
    }
}

/// The request with a body that is not cut off when nobody wants it.
fn lingering(request: Request<Incoming>) -> Request<Body> {
    let (parts, body) = request.into_parts();
    let body = Body::new(Lingering::new(body, &parts.headers));
    Request::from_parts(parts, body)
}

impl Ids {
    fn make(&self) -> RequestId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        // Spreads the counter over all digits, so that ids do not look like a sequence to be guessed along.
        let id = self.start ^ count.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut text = [0; 16];
        for (position, digit) in text.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(id >> (60 - 4 * position) & 15) as usize];
        }
        RequestId(HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("0")))
    }
}
