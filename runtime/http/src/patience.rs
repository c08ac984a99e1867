//! Ends connections whose client takes too long, at the cost of two looks at the clock a request.
//!
//! hyper has a timer for the head of a request, but sets it up anew for each one and counts the pause between two
//! requests as part of the second.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How often a connection is looked at, and so how late it may be ended.
const LOOK: Duration = Duration::from_millis(500);

/// What a connection is doing, in the two lowest bits of [`Watch::state`].
const HEAD: u64 = 0;
const SERVING: u64 = 1;
const IDLE: u64 = 2;

/// What one connection is doing and since when. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Watch {
    opened: Instant,
    /// Milliseconds since `opened`, times four, plus what it is doing.
    state: Arc<AtomicU64>,
}

impl Watch {
    /// A connection that was just opened, whose client now has to say what it wants.
    pub(crate) fn new() -> Self {
        Self { opened: Instant::now(), state: Arc::new(AtomicU64::new(HEAD)) }
    }

    /// A request has arrived.
    pub(crate) fn serving(&self) {
        self.enter(SERVING);
    }

    /// Its answer is made.
    pub(crate) fn idle(&self) {
        self.enter(IDLE);
    }

    fn received(&self) {
        // The first bytes after a pause begin the head of a request.
        if self.state.load(Ordering::Relaxed) & 3 == IDLE {
            self.enter(HEAD);
        }
    }

    fn sent(&self) {
        // A stream that goes on after its head was answered, such as server-sent events, is not a pause.
        if self.state.load(Ordering::Relaxed) & 3 == IDLE {
            self.enter(IDLE);
        }
    }

    fn enter(&self, phase: u64) {
        self.state.store(self.elapsed_ms() << 2 | phase, Ordering::Relaxed);
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX >> 2)
    }

    /// Completes when the client has used up its time.
    pub(crate) async fn exhausted(&self, head: Duration, idle: Duration) {
        loop {
            tokio::time::sleep(LOOK.min(head)).await;
            let state = self.state.load(Ordering::Relaxed);
            let spent = Duration::from_millis(self.elapsed_ms().saturating_sub(state >> 2));
            match state & 3 {
                HEAD if spent >= head => return,
                IDLE if spent >= idle => return,
                _ => {}
            }
        }
    }
}

/// A stream that tells its [`Watch`] when something was received or sent.
pub(crate) struct Watched<S> {
    pub(crate) stream: S,
    pub(crate) watch: Watch,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.watch.received();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if written.is_ready() {
            self.watch.sent();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if written.is_ready() {
            self.watch.sent();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(5);

    // Tokio's clock is paused and jumps ahead; the watch reads the real one, on which a millisecond passes anyway.

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_given_up() {
        Watch::new().exhausted(SHORT, LONG).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_served_may_take_its_time_and_a_pause_has_a_bound_of_its_own() {
        let watch = Watch::new();
        watch.serving();
        assert!(tokio::time::timeout(LONG, watch.exhausted(SHORT, SHORT)).await.is_err());

        watch.idle();
        watch.exhausted(SHORT, SHORT).await;
    }
}
