//! Reads on for a moment after a request was answered before it was read.
//!
//! A client that sends a large body looks for the answer when all of it is sent. If the connection is closed with bytes
//! in it that nobody read, the kernel resets it, and the client hears of a broken connection in place of the answer.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// Most bytes that are read and dropped: four times what a request may have, unless it is configured.
const MOST: u64 = 64 << 20;

/// Longest that this may take.
const LONGEST: Duration = Duration::from_secs(5);

/// The body of a request. When it is dropped unread, what is left of it is read and thrown away, within bounds.
pub(crate) struct Lingering {
    body: Option<Incoming>,
    /// Whether the client waits to be asked for the body, and was not.
    waits: bool,
}

impl Lingering {
    pub(crate) fn new(body: Incoming, headers: &HeaderMap) -> Self {
        // RFC 9110 §10.1.1: who expects 100-continue sends nothing before it was asked to, and polling asks.
        Self { body: Some(body), waits: headers.contains_key(header::EXPECT) }
    }
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.waits = false;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Incoming::size_hint).unwrap_or_default()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let left = self.body.take().filter(|body| !self.waits && !body.is_end_stream());
        let (Some(body), Ok(runtime)) = (left, tokio::runtime::Handle::try_current()) else { return };
        runtime.spawn(tokio::time::timeout(LONGEST, read_away(body)));
    }
}

async fn read_away(mut body: Incoming) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
        if read > MOST {
            return;
        }
    }
}
