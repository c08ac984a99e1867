use std::{convert::Infallible, future::pending, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Body, Incoming},
    client::conn::http1::Builder,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};

use super::{MAX_HEADER_BYTES, MAX_HEADERS, Refused, Response, headers, held::Share, target::Target};

/// One request and its answer, on a connection of its own.
pub(crate) struct Exchange<'a> {
    pub(crate) target: &'a Target,
    /// The headers without ours.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) patience: Patience,
    /// Most bytes of the answer: headers and body.
    pub(crate) most: usize,
    /// Counts what the answer makes us hold.
    pub(crate) share: &'a mut Share,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// When everything must have ended.
    pub(crate) deadline: Instant,
    /// Until the answer begins.
    pub(crate) first_byte: Option<Duration>,
    /// From one piece of the answer to the next.
    pub(crate) between_bytes: Option<Duration>,
}

impl Patience {
    /// `wait` from now, but no longer than until the deadline.
    pub(crate) fn until(&self, wait: Option<Duration>) -> Instant {
        let then = wait.and_then(|wait| Instant::now().checked_add(wait));
        then.map_or(self.deadline, |then| then.min(self.deadline))
    }
}

impl Exchange<'_> {
    /// Send the request over `stream` and read the answer whole.
    ///
    /// Nothing is followed, remembered, decompressed or tried again, and the connection is used for nothing else.
    pub(crate) async fn over(self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<Response, Refused> {
        let mut builder = Builder::new();
        builder.max_buf_size(MAX_HEADER_BYTES).max_header_size(MAX_HEADER_BYTES).max_headers(MAX_HEADERS);
        let (mut sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(|error| refused(&error))?;
        let request = request(self.target, self.headers, self.body)?;
        let (patience, most, share) = (self.patience, self.most, self.share);
        let work = async move {
            let until = patience.until(patience.first_byte);
            let answer = timeout_at(until, sender.send_request(request)).await.map_err(|_| Refused::TimedOut)?;
            read(answer.map_err(|error| refused(&error))?, patience, most, share).await
        };
        let drive = async {
            // How it ends is told to whoever waits for the answer.
            drop(connection.await);
            pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            answer = work => answer,
            never = drive => match never {},
        }
    }
}

fn request(target: &Target, guest: HeaderMap, body: Vec<u8>) -> Result<http::Request<Full<Bytes>>, Refused> {
    let host = HeaderValue::try_from(target.host_header()).map_err(|_| Refused::BadUrl)?;
    let mut request = http::Request::builder()
        .method(target.method)
        .uri(target.path_and_query.as_str())
        .body(Full::from(body))
        .map_err(|_| Refused::BadUrl)?;
    request.headers_mut().insert(header::HOST, host);
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    request.headers_mut().extend(guest);
    Ok(request)
}

async fn read(
    answer: http::Response<Incoming>,
    patience: Patience,
    most: usize,
    share: &mut Share,
) -> Result<Response, Refused> {
    // Nothing was offered that another protocol could be spoken in.
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS || answer.status().is_informational() {
        return Err(Refused::Upgrade);
    }
    let (headers, header_bytes) = headers::incoming(answer.headers())?;
    let status = answer.status().as_u16();
    let most = most.saturating_sub(header_bytes);
    let mut incoming = answer.into_body();
    if incoming.size_hint().lower() > most as u64 || !share.grow(header_bytes) {
        return Err(Refused::ResponseTooLarge);
    }
    let mut body = Vec::new();
    loop {
        let until = patience.until(patience.between_bytes);
        let frame = timeout_at(until, incoming.frame()).await.map_err(|_| Refused::TimedOut)?;
        let Some(frame) = frame else { break };
        // Trailers are left out: nobody waits for them.
        let Ok(piece) = frame.map_err(|error| refused(&error))?.into_data() else { continue };
        if body.len() + piece.len() > most || !share.grow(piece.len()) {
            return Err(Refused::ResponseTooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Response { status, headers, body })
}

/// What a failure of the conversation means.
fn refused(error: &hyper::Error) -> Refused {
    if error.is_parse_too_large() {
        Refused::ResponseHeadersTooLarge
    } else if error.is_parse() {
        Refused::NotHttp
    } else {
        Refused::Broken
    }
}
