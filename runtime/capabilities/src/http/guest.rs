use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use fumehood_model::ByteSize;
use fumehood_policy::Limits;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request::Parts, uri::Scheme};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use serde_bytes::ByteBuf;
use tokio::{
    sync::Semaphore,
    time::{Instant as Moment, timeout_at},
};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks, WasiHttpView,
};

use super::{
    MAX_HEADER_BYTES, Refused, Request, Response,
    fields::{Fields, weight},
    headers,
    held::{Held, Share},
};
use crate::{
    Guest,
    host::{Ask, Host, Reply},
    still::Still,
};

/// Requests of one call that are under way at a time; more wait. What browsers allow for one host.
const AT_A_TIME: usize = 6;

/// Most that a guest hands over in one write of a body, of which two can wait.
pub(crate) const CHUNK: usize = 16 << 10;

/// How much of a body is handed to the guest at a time.
const PIECE: usize = 64 << 10;

/// Bounds on what requests to the outside make us hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// What one call can make us hold in all: a quarter of it in headers, the rest in bodies.
    pub host_memory: ByteSize,
    /// Each of a request and its answer.
    pub http_body: ByteSize,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        Self { host_memory: limits.host_memory, http_body: limits.http_body }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::from(&Limits::default())
    }
}

/// What one guest has of `wasi:http`.
pub(crate) struct Outgoing {
    context: WasiHttpCtx,
    sender: Sender,
    pub(crate) fields: Fields,
}

/// Collects requests, asks for them, and hands out the answers.
struct Sender {
    host: Arc<dyn Host>,
    held: Held,
    turns: Arc<Semaphore>,
    most: usize,
    deadline: Moment,
    forbidden: ForbiddenHeaderFilter,
    /// The clock that waits for answers, where it stands still.
    still: Option<Arc<Still>>,
}

impl Outgoing {
    pub(crate) fn new(host: Arc<dyn Host>, deadline: Instant, bounds: Bounds, still: Option<Arc<Still>>) -> Self {
        let memory = bounds.host_memory.as_usize();
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(MAX_HEADER_BYTES);
        let sender = Sender {
            host,
            held: Held::up_to(memory - memory / 4),
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            most: bounds.http_body.as_usize(),
            deadline: deadline.into(),
            forbidden: Arc::new(is_forbidden),
            still,
        };
        Self { context, sender, fields: Fields::up_to(memory / 4) }
    }
}

impl<X: Send> WasiHttpView for Guest<X> {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Outgoing { context, sender, .. } = &mut self.http;
        WasiHttpCtxView { hooks: sender, table: &mut self.table, ctx: context }
    }
}

/// A guest may state how long its body is; that is checked and then forgotten.
fn is_forbidden(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name) || (headers::is_ours(name) && *name != http::header::CONTENT_LENGTH)
}

/// What `send_request` gives: an answer, and a future that nothing comes out of.
type Sending = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Rest), Error>> + Send>;
type Rest = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Sender {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::clone(&self.forbidden)
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _errors: Rest,
    ) -> Sending {
        let (parts, body) = request.into_parts();
        // Taken here and now: a request that waits for its turn holds this much already.
        let waiting = self.held.take(weight(&parts.headers) + 2 * CHUNK);
        let (host, held, turns) = (Arc::clone(&self.host), self.held.clone(), Arc::clone(&self.turns));
        let (most, deadline) = (self.most, self.deadline);
        let still = self.still.clone();
        if let Some(still) = &still {
            still.asked();
        }
        let answer = async move {
            let mut share = waiting.ok_or(Error::ConnectionLimitReached)?;
            let body = match collect(body, most, &mut share).await {
                // With a number it is the bound on bodies, and without one that on all that is held.
                Err(too_large @ Error::HttpRequestBodySize(Some(_))) => {
                    host.ask(Ask::BodyTooLarge).await;
                    return Err(too_large);
                }
                body => body?,
            };
            // Until here it may be the guest that is waited for.
            let _under_way = still.as_ref().map(Still::under_way);
            let request = request_of(&parts, body, options.unwrap_or_default());
            let turn = turns.acquire().await;
            let reply = host.ask(Ask::Http(request)).await;
            drop((turn, share));
            let Reply::Http(answer) = reply else { return Err(Error::InternalError(None)) };
            response_of(answer.map_err(error)?, &held)
        };
        Box::new(async move {
            let answer = timeout_at(deadline, answer).await.map_err(|_| Error::HttpResponseTimeout)??;
            let nothing: Rest = Box::new(std::future::ready(Ok(())));
            Ok((answer, nothing))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }
}

/// The whole body of a request.
async fn collect(mut body: WasiBody, most: usize, share: &mut Share) -> Result<Vec<u8>, Error> {
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { return Err(Error::HttpRequestTrailerSectionSize(Some(0))) };
        if collected.len() + piece.len() > most {
            return Err(Error::HttpRequestBodySize(u64::try_from(most).ok()));
        }
        if !share.grow(piece.len()) {
            return Err(Error::HttpRequestBodySize(None));
        }
        collected.extend_from_slice(&piece);
    }
    Ok(collected)
}

fn request_of(parts: &Parts, body: Vec<u8>, options: RequestOptions) -> Request {
    let headers = parts.headers.iter();
    Request {
        method: parts.method.as_str().to_owned(),
        https: parts.uri.scheme() == Some(&Scheme::HTTPS),
        authority: parts.uri.authority().map(ToString::to_string).unwrap_or_default(),
        path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: headers.map(|(name, value)| (name.to_string(), ByteBuf::from(value.as_bytes()))).collect(),
        body,
        connect_ms: options.connect_timeout.map(millis),
        first_byte_ms: options.first_byte_timeout.map(millis),
        between_bytes_ms: options.between_bytes_timeout.map(millis),
    }
}

/// Rounded up: the shortest wait is one, and only none is none.
fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn response_of(response: Response, held: &Held) -> Result<http::Response<WasiBody>, Error> {
    let share = held.take(response.body.len()).ok_or(Error::HttpResponseBodySize(None))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &response.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Error::HttpProtocolError)?;
        headers.append(name, HeaderValue::from_bytes(value).map_err(|_| Error::HttpProtocolError)?);
    }
    let body = Pieces(Bytes::from_owner(Kept { bytes: response.body, _share: share }));
    let mut answer = http::Response::new(body.map_err(|never: Infallible| match never {}).boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(response.status).map_err(|_| Error::HttpProtocolError)?;
    *answer.headers_mut() = headers;
    Ok(answer)
}

/// A body that is counted until its last byte was read.
struct Kept {
    bytes: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body in pieces, so that no read of the guest copies all of it at once.
struct Pieces(Bytes);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.len().min(PIECE);
        Poll::Ready((next > 0).then(|| Ok(Frame::data(self.0.split_to(next)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// What a guest is told.
fn error(refused: Refused) -> Error {
    match refused {
        Refused::Denied => Error::HttpRequestDenied,
        Refused::AddressProhibited => Error::DestinationIpProhibited,
        Refused::NotResolved => Error::DnsError { rcode: None, info_code: None },
        Refused::LookupTimedOut => Error::DnsTimeout,
        Refused::NotReached => Error::ConnectionRefused,
        Refused::ConnectTimedOut => Error::ConnectionTimeout,
        Refused::TimedOut => Error::HttpResponseTimeout,
        Refused::Broken => Error::ConnectionTerminated,
        Refused::NotHttp => Error::HttpProtocolError,
        Refused::Upgrade => Error::HttpUpgradeFailed,
        Refused::NotTrusted => Error::TlsCertificateError,
        Refused::BadMethod => Error::HttpRequestMethodInvalid,
        Refused::BadUrl => Error::HttpRequestUriInvalid,
        Refused::UrlTooLong => Error::HttpRequestUriTooLong,
        Refused::BadHeader => Error::HttpRequestHeaderSize { field_name: None, field_size: None },
        Refused::HeadersTooLarge => Error::HttpRequestHeaderSectionSize(u32::try_from(MAX_HEADER_BYTES).ok()),
        Refused::BodyTooLarge => Error::HttpRequestBodySize(None),
        Refused::ResponseHeadersTooLarge => Error::HttpResponseHeaderSectionSize(u32::try_from(MAX_HEADER_BYTES).ok()),
        Refused::ResponseTooLarge => Error::HttpResponseBodySize(None),
        Refused::TooMany => Error::ConnectionLimitReached,
        Refused::NoCredential => Error::ConfigurationError,
    }
}
