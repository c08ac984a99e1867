//! Streams of calls that broke off, and what came of those calls: for a client that comes back with the id of the last event
//! that it has seen.
//!
//! The session manager of rmcp keeps the last few events of a call, for a moment after its end. Here all of them are kept
//! while a call runs, and those of a call that took long for some minutes more: that its client has got the last one
//! cannot be known. When a client goes away before the end, the server listens in its place.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, stream};
use rmcp::{
    model::ServerJsonRpcMessage,
    transport::streamable_http_server::session::{
        ServerSseMessage, SessionId, SessionManager,
        local::{LocalSessionManager, LocalSessionManagerError},
    },
};
use tokio::{runtime::Handle, sync::watch};

/// How long the events of a call stay after its end.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// Shortest call whose events stay: a client that loses a quicker one does better to call again.
const SLOW: Duration = Duration::from_secs(1);

/// Most events of one call. Of more, the first ones go: they tell how far it was.
const MOST_EVENTS: usize = 256;

/// Most that the events of ended calls take, as JSON. The oldest make room.
const MOST_BYTES: usize = 64 << 20;

/// A stream: its session, and its part of the ids of its events.
type Key = (SessionId, String);

/// All streams whose events are kept.
pub(super) struct Streams {
    local: Arc<LocalSessionManager>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    logs: HashMap<Key, Arc<watch::Sender<Log>>>,
    /// Those whose calls have ended, in that order, with their sizes.
    ended: VecDeque<(Instant, Key, usize)>,
}

/// What has come on a stream.
#[derive(Debug, Default)]
struct Log {
    events: VecDeque<(u64, ServerSseMessage)>,
    is_over: bool,
    /// The server listens in the place of the client.
    is_taken: bool,
}

/// The position of an event, and the stream that it is part of; none of that of a session itself.
fn parts(event_id: &str) -> Option<(u64, &str)> {
    let (index, stream) = event_id.split_once('/')?;
    Some((index.parse().ok()?, stream))
}

/// Whether nothing comes after it.
fn is_answer(event: &ServerSseMessage) -> bool {
    matches!(event.message.as_deref(), Some(ServerJsonRpcMessage::Response(_) | ServerJsonRpcMessage::Error(_)))
}

impl Log {
    fn push(&mut self, event: &ServerSseMessage) {
        let Some((index, _)) = event.event_id.as_deref().and_then(parts) else { return };
        if self.events.back().is_some_and(|(last, _)| *last >= index) {
            return;
        }
        if self.events.len() == MOST_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back((index, event.clone()));
    }

    /// The first one after `index`.
    fn after(&self, index: u64) -> Option<&(u64, ServerSseMessage)> {
        self.events.iter().find(|(at, _)| *at > index)
    }

    fn bytes(&self) -> usize {
        let size = |event: &ServerSseMessage| serde_json::to_vec(&event.message).map_or(0, |json| json.len());
        self.events.iter().map(|(_, event)| size(event)).sum()
    }
}

impl Streams {
    pub(super) fn new(local: Arc<LocalSessionManager>) -> Arc<Self> {
        Arc::new(Self { local, kept: Mutex::default() })
    }

    /// `events` of a call, as they are sent to the client that makes it.
    pub(super) fn watched<S>(self: &Arc<Self>, session: &SessionId, events: S) -> Watched<S> {
        let log = Arc::new(watch::Sender::new(Log::default()));
        Watched {
            events,
            log,
            key: None,
            session: Arc::clone(session),
            began: Instant::now(),
            streams: Arc::clone(self),
        }
    }

    /// What came after the event `last` of a session, and what comes.
    ///
    /// # Errors
    ///
    /// There is no such session, or no such stream any more.
    pub(super) async fn resume(
        self: &Arc<Self>,
        session: &SessionId,
        last: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, LocalSessionManagerError> {
        if let Some((index, stream)) = parts(&last) {
            let key = (Arc::clone(session), stream.to_owned());
            let log = self.kept().logs.get(&key).cloned();
            if let Some(log) = log {
                // The connection on which it was sent may be dead without that anybody here knows.
                self.take(key, &log);
                return Ok(following(log.subscribe(), index).left_stream());
            }
        }
        let events = self.local.resume(session, last.clone()).await?;
        // rmcp begins with the one that the client has seen.
        Ok(events.skip_while(move |event| std::future::ready(event.event_id.as_ref() == Some(&last))).right_stream())
    }

    /// Forget the streams of a session that has ended.
    pub(super) fn forget(&self, session: &SessionId) {
        self.kept().logs.retain(|(of, _), _| of != session);
    }

    /// Listen to a stream in the place of its client, if nobody does so yet.
    fn take(self: &Arc<Self>, key: Key, log: &Arc<watch::Sender<Log>>) {
        let mut last = None;
        log.send_if_modified(|log| {
            if !log.is_over && !log.is_taken {
                log.is_taken = true;
                last = log.events.back().and_then(|(_, event)| event.event_id.clone());
            }
            false
        });
        // Without a runtime the server is at its end.
        let (Some(last), Ok(runtime)) = (last, Handle::try_current()) else { return };
        let (streams, log) = (Arc::clone(self), Arc::clone(log));
        runtime.spawn(async move {
            if let Ok(events) = streams.local.resume(&key.0, last).await {
                let mut events = std::pin::pin!(events);
                while let Some(event) = events.next().await {
                    log.send_modify(|log| log.push(&event));
                }
            }
            streams.end(key, &log);
        });
    }

    /// Note that nothing more comes on a stream, and let go of it after a while.
    fn end(self: &Arc<Self>, key: Key, log: &watch::Sender<Log>) {
        log.send_modify(|log| log.is_over = true);
        let bytes = log.borrow().bytes();
        {
            let mut kept = self.kept();
            kept.ended.push_back((Instant::now(), key, bytes));
            kept.sweep();
        }
        let streams = Arc::clone(self);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(KEPT_FOR).await;
                streams.kept().sweep();
            });
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Let go of what is too old or too much.
    fn sweep(&mut self) {
        let mut bytes: usize = self.ended.iter().map(|(_, _, bytes)| bytes).sum();
        while let Some((ended, key, size)) = self.ended.front() {
            if bytes <= MOST_BYTES && ended.elapsed() < KEPT_FOR {
                return;
            }
            bytes -= size;
            self.logs.remove(key);
            self.ended.pop_front();
        }
    }
}

/// The events of `log` after `index`, until the stream is over.
fn following(log: watch::Receiver<Log>, index: u64) -> impl Stream<Item = ServerSseMessage> + Send + Sync + 'static {
    stream::unfold((log, index), |(mut log, index)| async move {
        let (index, event) =
            log.wait_for(|log| log.is_over || log.after(index).is_some()).await.ok()?.after(index)?.clone();
        Some((event, (log, index)))
    })
}

/// A stream of events on its way to a client.
pub(super) struct Watched<S> {
    events: S,
    log: Arc<watch::Sender<Log>>,
    /// Known from the first event on.
    key: Option<Key>,
    session: SessionId,
    began: Instant,
    streams: Arc<Streams>,
}

impl<S: Stream<Item = ServerSseMessage> + Unpin> Stream for Watched<S> {
    type Item = ServerSseMessage;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = ready!(self.events.poll_next_unpin(context));
        let Some(event) = event else {
            self.ended();
            return Poll::Ready(None);
        };
        if self.key.is_none()
            && let Some((_, stream)) = event.event_id.as_deref().and_then(parts)
        {
            let key = (Arc::clone(&self.session), stream.to_owned());
            self.streams.kept().logs.insert(key.clone(), Arc::clone(&self.log));
            self.key = Some(key);
        }
        self.log.send_modify(|log| log.push(&event));
        // Who reads no further has got all.
        if is_answer(&event) {
            self.ended();
        }
        Poll::Ready(Some(event))
    }
}

impl<S> Watched<S> {
    /// Its call has ended, or the server listens to it now.
    fn ended(&mut self) {
        let Some(key) = self.key.take() else { return };
        if self.log.borrow().is_taken {
            return;
        }
        if self.began.elapsed() < SLOW {
            self.streams.kept().logs.remove(&key);
        } else {
            self.streams.end(key, &self.log);
        }
    }
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        // Its client has gone before the end.
        if let Some(key) = self.key.take() {
            self.streams.take(key, &self.log);
        }
    }
}
