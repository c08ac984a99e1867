//! What the fuzz targets in `runtime/capabilities/fuzz` call: there for them, by `cfg(fuzzing)`, and for tests.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::HeaderMap;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    runtime::Builder,
    time::Instant,
};

use super::{
    Request, Response,
    exchange::{Exchange, Patience},
    held::Held,
    target::Target,
};

/// Longest that reading may take. All of the answer is there from the start.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a guest gets of the answer in `bytes`, of at most `most` bytes; nothing if it is refused.
///
/// # Panics
///
/// When reading does not end.
#[must_use]
pub fn answer(bytes: &[u8], most: usize) -> Option<Response> {
    let target = parsed("example.com", "/", false)?;
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime of one thread starts");
    runtime.block_on(async {
        let started = Instant::now();
        let patience = Patience { deadline: started + PATIENCE, first_byte: None, between_bytes: None };
        let mut share = Held::up_to(most).take(0)?;
        let headers = HeaderMap::new();
        let exchange = Exchange { target: &target, headers, body: Vec::new(), patience, most, share: &mut share };
        let response = exchange.over(Recorded { bytes, asked: false, reader: None }).await;
        assert!(started.elapsed() < PATIENCE, "reading did not end");
        response.ok()
    })
}

/// The `Host` header and the line of a request to `authority` and `path`; nothing if it is refused.
#[must_use]
pub fn target(authority: &str, path: &str, https: bool) -> Option<(String, String)> {
    parsed(authority, path, https).map(|target| (target.host_header(), target.path_and_query))
}

fn parsed(authority: &str, path: &str, https: bool) -> Option<Target> {
    Target::of(&Request {
        method: "GET".to_owned(),
        https,
        authority: authority.to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        connect_ms: None,
        first_byte_ms: None,
        between_bytes_ms: None,
    })
    .ok()
}

/// A connection whose other side says all that it has to say when it is asked, and listens to nothing.
struct Recorded<'a> {
    bytes: &'a [u8],
    asked: bool,
    reader: Option<Waker>,
}

impl AsyncRead for Recorded<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.asked {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (now, later) = self.bytes.split_at(self.bytes.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Recorded<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_answers_and_what_is_none_is_refused() {
        let read = |bytes: &[u8]| answer(bytes, 4096).map(|answer| (answer.status, answer.headers.len(), answer.body));
        let seed = |name: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/answer/");
            std::fs::read(folder.to_owned() + name).unwrap()
        };

        assert_eq!(read(&seed("whole")), Some((200, 2, b"hello".to_vec())));
        assert_eq!(read(&seed("chunked")), Some((200, 0, b"hello".to_vec())));
        assert_eq!(read(&seed("continued")), Some((204, 0, Vec::new())));
        assert_eq!(read(b"hello"), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn what_is_accepted_is_accepted_again_as_it_was_read() {
        let (host, line) = target("EXAMPLE.com.:80", "/a?b", false).unwrap();

        assert_eq!((host.as_str(), line.as_str()), ("example.com", "/a?b"));
        assert_eq!(target(&host, &line, false), Some((host, line)));
        assert_eq!(target("a@b", "/", false), None);
    }
}
