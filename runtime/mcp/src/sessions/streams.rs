//! Streams of calls that broke off, and what came of those calls: for a client that comes back with the id of the last event
//! that it has seen.
//!
//! The session manager of rmcp keeps the last few events of a call, for a moment after its end. Here more of them are kept
//! while a call runs, and those of a call that took long for some minutes more: that its client has got the last one
//! cannot be known. When a client goes away before the end, the server listens in its place.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use fumehood_model::Timestamp;
use futures::{Stream, StreamExt, stream};
use rmcp::{
    model::ServerJsonRpcMessage,
    transport::streamable_http_server::session::{
        ServerSseMessage, SessionId, SessionManager, local::LocalSessionManager,
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
///
/// rmcp counts the streams of a session from 0, and anew when the session comes back after a restart. What a client is shown
/// as the id of an event ends with a mark of its stream, which no other has.
pub(super) struct Streams {
    local: Arc<LocalSessionManager>,
    kept: Mutex<Kept>,
    /// When this process began, in milliseconds, and how many streams there were since.
    marks: (u64, AtomicU64),
}

#[derive(Default)]
struct Kept {
    logs: HashMap<Key, Arc<watch::Sender<Log>>>,
    /// Those whose calls have ended, in that order, with their sizes.
    ended: VecDeque<Ended>,
}

/// A stream whose call has ended.
struct Ended {
    at: Instant,
    key: Key,
    log: Arc<watch::Sender<Log>>,
    bytes: usize,
}

/// What has come on a stream.
#[derive(Debug, Default)]
struct Log {
    /// What tells it from all other streams.
    mark: String,
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
        let marks = (Timestamp::now().unix_ms, AtomicU64::new(0));
        Arc::new(Self { local, kept: Mutex::default(), marks })
    }

    /// `events` of a call, as they are sent to the client that makes it.
    pub(super) fn watched<S>(self: &Arc<Self>, session: &SessionId, events: S) -> Watched<S> {
        let (epoch, count) = &self.marks;
        let mark = format!("{epoch:x}-{:x}", count.fetch_add(1, Ordering::Relaxed));
        let log = Arc::new(watch::Sender::new(Log { mark: mark.clone(), ..Log::default() }));
        Watched {
            mark,
            events,
            log,
            key: None,
            session: Arc::clone(session),
            began: Instant::now(),
            streams: Arc::clone(self),
        }
    }

    /// What came after the event `last` of a session, and what comes; nothing where that is not known any more.
    pub(super) async fn resume(
        self: &Arc<Self>,
        session: &SessionId,
        last: String,
    ) -> impl Stream<Item = ServerSseMessage> + Send + Sync + 'static {
        let Some((event, mark)) = last.rsplit_once('/') else {
            // Of the session itself. rmcp begins with the one that the client has seen.
            let events = self.local.resume(session, last.clone()).await.ok();
            let events = events.into_iter().map(StreamExt::fuse);
            let events = stream::iter(events).flatten();
            let is_seen = move |event: &ServerSseMessage| std::future::ready(event.event_id.as_ref() == Some(&last));
            return events.skip_while(is_seen).left_stream();
        };
        let known = parts(event).and_then(|(index, stream)| {
            let key = (Arc::clone(session), stream.to_owned());
            let log = self.kept().logs.get(&key).cloned()?;
            let is_it = log.borrow().mark == mark;
            is_it.then_some((index, key, log))
        });
        let following = known.map(|(index, key, log)| {
            // The connection on which it was sent may be dead without that anybody here knows.
            self.take(key, &log);
            following(log.subscribe(), index)
        });
        stream::iter(following).flatten().right_stream()
    }

    /// Forget the streams of a session that has ended.
    pub(super) fn forget(&self, session: &SessionId) {
        let mut kept = self.kept();
        kept.logs.retain(|(of, _), _| of != session);
        kept.ended.retain(|ended| ended.key.0 != *session);
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
    fn end(self: &Arc<Self>, key: Key, log: &Arc<watch::Sender<Log>>) {
        log.send_modify(|log| log.is_over = true);
        let bytes = log.borrow().bytes();
        {
            let mut kept = self.kept();
            kept.ended.push_back(Ended { at: Instant::now(), key, log: Arc::clone(log), bytes });
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
        let mut bytes: usize = self.ended.iter().map(|ended| ended.bytes).sum();
        while let Some(oldest) = self.ended.front() {
            if bytes <= MOST_BYTES && oldest.at.elapsed() < KEPT_FOR {
                return;
            }
            bytes -= oldest.bytes;
            // A session that came back counts its streams anew: what has the same key may be another one.
            if self.logs.get(&oldest.key).is_some_and(|log| Arc::ptr_eq(log, &oldest.log)) {
                self.logs.remove(&oldest.key);
            }
            self.ended.pop_front();
        }
    }
}

/// The events of `log` after `index`, until the stream is over.
fn following(log: watch::Receiver<Log>, index: u64) -> impl Stream<Item = ServerSseMessage> + Send + Sync + 'static {
    stream::unfold((log, index), |(mut log, index)| async move {
        let (index, event) = {
            let log = log.wait_for(|log| log.is_over || log.after(index).is_some()).await.ok()?;
            let (index, event) = log.after(index)?;
            (*index, marked(event.clone(), &log.mark))
        };
        Some((event, (log, index)))
    })
}

/// An event as its client is shown it.
fn marked(event: ServerSseMessage, mark: &str) -> ServerSseMessage {
    let mut event = event;
    event.event_id = event.event_id.map(|id| format!("{id}/{mark}"));
    event
}

/// A stream of events on its way to a client.
pub(super) struct Watched<S> {
    mark: String,
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
        Poll::Ready(Some(marked(event, &self.mark)))
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
