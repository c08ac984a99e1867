//! One kept-alive connection on which requests follow one another.

use std::borrow::Cow;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::http1::{self, Body, Parsed};

/// First size of the receive buffer: no answer to a benchmark's call is longer, so one read takes it whole.
const BUFFER_BYTES: usize = 4096;
/// Longest response that is read.
const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;
/// Longest piece of a body that is quoted in an error.
const QUOTED_BYTES: usize = 500;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// The status line and the headers.
    pub(crate) head: &'a [u8],
    /// The body.
    pub(crate) body: Cow<'a, [u8]>,
}

impl Response<'_> {
    /// The number in a header, whose name is given in lower case and with its colon.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        std::str::from_utf8(http1::header(self.head, name.as_bytes())?).ok()?.parse().ok()
    }

    /// Refuse a response whose status is not 2xx.
    pub(crate) fn require_success(&self) -> Result<()> {
        ensure!((200..300).contains(&self.status), "{self}");
        Ok(())
    }
}

impl std::fmt::Display for Response<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let quoted = &self.body[..self.body.len().min(QUOTED_BYTES)];
        write!(formatter, "status {} with the body {}", self.status, String::from_utf8_lossy(quoted))
    }
}

impl Connection {
    /// Connect to the server.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES], filled: 0 })
    }

    /// Send a request, wait for its response.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Response<'_>> {
        self.send(request).await?;
        self.receive().await
    }

    /// Send a request.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await.context("cannot send the request")
    }

    /// Wait for the response to the request that was sent.
    pub(crate) async fn receive(&mut self) -> Result<Response<'_>> {
        self.filled = 0;
        let Parsed { status, head, body } = loop {
            self.read_more().await?;
            if let Some(parsed) = http1::parse(&self.buffer[..self.filled])? {
                break parsed;
            }
        };
        let body = match body {
            Body::Whole(range) => Cow::Borrowed(&self.buffer[range]),
            Body::Joined(bytes) => Cow::Owned(bytes),
        };
        Ok(Response { status, head: &self.buffer[..head], body })
    }

    async fn read_more(&mut self) -> Result<()> {
        if self.filled == self.buffer.len() {
            ensure!(self.filled < MAX_RESPONSE_BYTES, "the response is longer than {MAX_RESPONSE_BYTES} bytes");
            self.buffer.resize(self.filled * 2, 0);
        }
        let count = self.stream.read(&mut self.buffer[self.filled..]).await.context("cannot read the response")?;
        ensure!(count > 0, "the server closed the connection before its response ended");
        self.filled += count;
        Ok(())
    }
}
