use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use fumehood_model::{ByteSize, Captured};
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::{Stream, told::Teller};

/// How much a guest may hand over in one write.
const WRITE: usize = 64 << 10;

/// Where a guest's standard output goes: a buffer that keeps its beginning and drops the rest.
///
/// Dropping rather than failing: a tool should not crash because it talks too much.
#[derive(Clone)]
pub(crate) struct Output {
    most: usize,
    kept: Arc<Mutex<Captured>>,
    /// Who tells of it while the call runs, and as what.
    teller: Option<(Arc<Teller>, Stream)>,
}

impl Output {
    pub(crate) fn new(most: ByteSize, teller: Option<(Arc<Teller>, Stream)>) -> Self {
        Self { most: most.as_usize(), kept: Arc::default(), teller }
    }

    pub(crate) fn captured(&self) -> Captured {
        self.kept().clone()
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.kept();
        let room = self.most.saturating_sub(kept.bytes.len());
        let fits = &bytes[..bytes.len().min(room)];
        kept.bytes.extend_from_slice(fits);
        kept.truncated |= bytes.len() > room;
        if let Some((teller, stream)) = &self.teller {
            teller.print(*stream, fits);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Captured> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.keep(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE)
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.keep(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
