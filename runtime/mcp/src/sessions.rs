//! Sessions of the eras that shake hands: who owns them, how many there are, and what of them outlives the process.
//!
//! rmcp keeps what a session needs while it is used, in memory. What is kept in the store is what its client said in the
//! handshake, which is enough to shake hands once more in its place when it comes back after a restart.

mod streams;

use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use fumehood_model::{KeyId, Principal, Timestamp};
use fumehood_store::{Database, SessionBounds, SessionChange, SessionRow, StoreError};
use futures::Stream;
use http::request::Parts;
use rmcp::{
    model::{ClientJsonRpcMessage, ClientRequest, ServerJsonRpcMessage},
    transport::streamable_http_server::session::{
        RestoreOutcome, ServerSseMessage, SessionId, SessionManager, SessionState, SessionStore, SessionStoreError,
        local::{LocalSessionManager, LocalSessionManagerError, SessionConfig},
    },
};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use self::streams::Streams;
use crate::{transport::ProfileName, view::Profile};

/// How long a session may be idle before it is let go from memory.
///
/// Longer than any call may take: an idle session is let go even while its call runs. It is still in the store, so that
/// its client notices nothing.
const IDLE: Duration = Duration::from_secs(1_800);

/// How long the session manager keeps the answer of a finished call for a client that reconnects.
///
/// It looks through all that it keeps for every message. Those of calls that took long are kept in `streams`.
const KEPT_ANSWERS: Duration = Duration::from_secs(1);

/// Most sessions that are held in memory, of all keys and of one. The one that was used the longest ago makes room.
///
/// Each takes tens of kilobytes and three tasks.
const LIVE: usize = 4_096;
const LIVE_OF_A_KEY: usize = 1_024;

/// Largest handshake, as JSON, that is kept: names, versions and capabilities take a few hundred bytes.
///
/// A session whose client says more of itself ends with the process.
const MAX_HELLO: usize = 16 << 10;

/// Length of the ids that rmcp makes: UUIDs. Nothing else is looked for.
const ID_LEN: usize = 36;

/// How often it is written down that a session is used. Sessions are kept for days: an hour does not matter.
const NOTED_EVERY: Duration = Duration::from_secs(3_600);

/// Changes that wait to be written down. Of more, some are left out: those sessions end with the process.
const WAITING: usize = 1_024;

/// Changes that are written down together.
const BATCH: usize = 256;

/// Changes after which is looked for sessions that are too many or too old, so that there may be this many more for a while.
const PRUNED_EVERY: usize = 256;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What of sessions outlives the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Most sessions that are kept, those that were used last.
    pub sessions: u64,
    /// Most sessions of one key.
    pub sessions_per_key: u64,
    /// How long a session is kept that nobody uses.
    pub session_days: u64,
    /// What else is served, each at `/mcp/NAME`.
    pub profiles: BTreeMap<String, Profile>,
}

impl Default for Config {
    fn default() -> Self {
        Self { sessions: 10_000, sessions_per_key: 2_500, session_days: 30, profiles: BTreeMap::new() }
    }
}

/// Whose a session is: it cannot be used with another key, or at another address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    key: KeyId,
    profile: Option<String>,
}

impl Owner {
    /// Who sends a request, if it has passed the gate.
    pub(crate) fn of(parts: &Parts) -> Option<Self> {
        let key = parts.extensions.get::<Principal>()?.key.clone();
        let profile = parts.extensions.get::<ProfileName>().map(|profile| profile.0.clone());
        Some(Self { key, profile })
    }
}

/// The sessions of all clients.
pub(crate) struct Sessions {
    local: Arc<LocalSessionManager>,
    streams: Arc<Streams>,
    live: Mutex<HashMap<SessionId, Live>>,
    database: Database,
    writes: mpsc::Sender<Write>,
    config: Config,
}

/// A session that is in memory.
#[derive(Debug)]
struct Live {
    owner: Owner,
    used: Instant,
    /// When that was written down last.
    noted: Instant,
}

/// Something to be written down, and who waits for that.
struct Write {
    change: SessionChange,
    done: Option<oneshot::Sender<()>>,
}

impl Sessions {
    /// Sessions that are kept in `database`. To be called within a runtime: a task of it writes.
    pub(crate) fn new(database: Database, config: Config) -> Self {
        let mut session = SessionConfig::default();
        session.keep_alive = Some(IDLE);
        session.completed_cache_ttl = KEPT_ANSWERS;
        let mut local = LocalSessionManager::default();
        local.session_config = session;
        let (writes, waiting) = mpsc::channel(WAITING);
        tokio::spawn(write_down(database.clone(), waiting, config.clone()));
        let local = Arc::new(local);
        let streams = Streams::new(Arc::clone(&local));
        Self { local, streams, live: Mutex::default(), database, writes, config }
    }

    /// Whether there is a session `id` of this owner. If so, it is used now.
    pub(crate) async fn admit(&self, id: &str, owner: &Owner) -> bool {
        if let Some(is_theirs) = self.used(id, owner) {
            return is_theirs;
        }
        if id.len() != ID_LEN {
            return false;
        }
        match self.row(id).await {
            Ok(row) => row.is_some_and(|row| row.key == owner.key && row.profile == owner.profile),
            Err(error) => {
                tracing::error!(%error, "A session could not be looked up");
                false
            }
        }
    }

    /// Whether a session in memory is this owner's. If so, it is used now.
    fn used(&self, id: &str, owner: &Owner) -> Option<bool> {
        let now = Instant::now();
        let mut live = self.live();
        let session = live.get_mut(id)?;
        if session.owner != *owner {
            return Some(false);
        }
        session.used = now;
        if now.duration_since(session.noted) >= NOTED_EVERY {
            session.noted = now;
            drop(live);
            self.note(SessionChange::Used { id: id.to_owned(), at: Timestamp::now() });
        }
        Some(true)
    }

    /// Take a session in; which ones make room for it.
    fn enter(&self, id: &SessionId, owner: Owner) -> Vec<SessionId> {
        let mut live = self.live();
        let of_key = live.values().filter(|session| session.owner.key == owner.key).count();
        let oldest = |key: Option<&KeyId>| {
            let theirs = live.iter().filter(|(_, session)| key.is_none_or(|key| session.owner.key == *key));
            theirs.min_by_key(|(_, session)| session.used).map(|(id, _)| Arc::clone(id))
        };
        let make_room = if of_key >= bound(LIVE_OF_A_KEY, self.config.sessions_per_key) {
            oldest(Some(&owner.key))
        } else if live.len() >= bound(LIVE, self.config.sessions) {
            oldest(None)
        } else {
            None
        };
        if let Some(id) = &make_room {
            live.remove(id);
        }
        let now = Instant::now();
        live.insert(Arc::clone(id), Live { owner, used: now, noted: now });
        make_room.into_iter().collect()
    }

    fn row(&self, id: &str) -> fumehood_store::Verb<'_, Option<SessionRow>> {
        self.database.session(id, used_since(&self.config))
    }

    /// Have something written down soon. Nobody waits for it.
    fn note(&self, change: SessionChange) {
        if self.writes.try_send(Write { change, done: None }).is_err() {
            tracing::warn!("A session will not outlive the server: too many wait to be written down");
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<SessionId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lower of what we can hold and what is configured.
fn bound(most: usize, configured: u64) -> usize {
    usize::try_from(configured).unwrap_or(usize::MAX).clamp(1, most)
}

/// Since when a session must have been used to be kept.
fn used_since(config: &Config) -> Timestamp {
    let keep_for = DAY.saturating_mul(u32::try_from(config.session_days).unwrap_or(u32::MAX));
    Timestamp::now().earlier(keep_for)
}

/// Write down what happens to sessions, in the order in which it does, until there are none any more.
async fn write_down(database: Database, mut waiting: mpsc::Receiver<Write>, config: Config) {
    let mut unpruned = PRUNED_EVERY;
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let (changes, done): (Vec<_>, Vec<_>) = batch.drain(..).map(|write: Write| (write.change, write.done)).unzip();
        unpruned += changes.len();
        let mut written = database.change_sessions(changes).await;
        if unpruned >= PRUNED_EVERY {
            unpruned = 0;
            let (most, most_of_a_key) = (config.sessions, config.sessions_per_key);
            let bounds = SessionBounds { used_since: used_since(&config), most, most_of_a_key };
            written = written.and(database.prune_sessions(bounds).await.map(drop));
        }
        if let Err(error) = written {
            tracing::warn!(%error, "Sessions could not be written down");
        }
        for done in done.into_iter().flatten() {
            // Who has gone meanwhile need not know.
            let _ = done.send(());
        }
    }
}

impl SessionManager for Sessions {
    type Error = LocalSessionManagerError;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        self.local.create_session().await
    }

    /// Both for a handshake and for one that is done once more in the place of a client that comes back.
    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        let Some(owner) = owner(&message) else { return Err(LocalSessionManagerError::SessionNotFound(id.clone())) };
        for oldest in self.enter(id, owner) {
            // It may have ended by itself meanwhile.
            let _ = self.local.close_session(&oldest).await;
            self.streams.forget(&oldest);
        }
        self.local.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        self.local.has_session(id).await
    }

    /// From memory only: for an idle session too.
    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        self.live().remove(id);
        self.streams.forget(id);
        self.local.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        Ok(self.streams.watched(id, self.local.create_stream(id, message).await?))
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Self::Error> {
        self.local.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.local.create_standalone_stream(id).await
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        Ok(self.streams.resume(id, last_event_id).await)
    }

    async fn restore_session(&self, id: SessionId) -> Result<RestoreOutcome<Self::Transport>, Self::Error> {
        let outcome = self.local.restore_session(id.clone()).await?;
        self.note(SessionChange::Used { id: id.to_string(), at: Timestamp::now() });
        Ok(outcome)
    }
}

/// Who sends a handshake.
fn owner(message: &ClientJsonRpcMessage) -> Option<Owner> {
    let ClientJsonRpcMessage::Request(request) = message else { return None };
    let ClientRequest::InitializeRequest(initialize) = &request.request else { return None };
    initialize.extensions.get::<Parts>().and_then(Owner::of)
}

/// What comes of a verb of rmcp's store.
type Stored<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

// The trait is made with a macro that we do without: these are the signatures that it makes.
impl SessionStore for Sessions {
    fn load<'a, 'b, 'c>(&'a self, id: &'b str) -> Stored<'c, Option<SessionState>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async move {
            let row = self.row(id).await.map_err(|error: StoreError| SessionStoreError::from(error))?;
            // What a later version has written may be more than this one knows: then the client shakes hands anew.
            Ok(row.and_then(|row| serde_json::from_str(&row.hello).ok()).map(SessionState::new))
        })
    }

    fn store<'a, 'b, 'd, 'c>(&'a self, id: &'b str, state: &'d SessionState) -> Stored<'c, ()>
    where
        'a: 'c,
        'b: 'c,
        'd: 'c,
        Self: 'c,
    {
        Box::pin(async move {
            let Some(owner) = self.live().get(id).map(|session| session.owner.clone()) else { return Ok(()) };
            let hello = serde_json::to_string(&state.initialize_params)?;
            if hello.len() > MAX_HELLO {
                tracing::debug!("A session will not outlive the server: its client says {} bytes", hello.len());
                return Ok(());
            }
            let Owner { key, profile } = owner;
            let row = SessionRow { id: id.to_owned(), key, profile, hello, used_at: Timestamp::now() };
            self.note(SessionChange::Opened(row));
            Ok(())
        })
    }

    /// Waits: a session that its client has ended must not come back.
    fn delete<'a, 'b, 'c>(&'a self, id: &'b str) -> Stored<'c, ()>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async move {
            let (done, is_done) = oneshot::channel();
            let write = Write { change: SessionChange::Closed { id: id.to_owned() }, done: Some(done) };
            self.writes.send(write).await.map_err(|_| "nothing is written any more")?;
            Ok(is_done.await?)
        })
    }
}
