//! What was called, written down in the background.
//!
//! A call only puts its record into a channel. A task writes what has come together, at the latest every [`PERIOD`]: a
//! crash loses what was not written yet, and a server that is called faster than it can write drops records and says how
//! many, rather than wait.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fumehood_model::{Code, JobId, Outcome, Principal, Timestamp, Usage};
use fumehood_policy::Action;
use fumehood_registry::Tool;
use fumehood_store::{CallFilter, CallRecord, History, StoredCall, ToolStatistics};
use tokio::sync::{mpsc, oneshot};

use crate::{DispatchError, Dispatcher};

/// How long a record may wait to be written; a crash loses as much.
const PERIOD: Duration = Duration::from_millis(500);

/// Most records that wait; at 20,000 calls a second, that of a second and a half.
const WAITING: usize = 32_768;

/// Most records of one transaction.
const BATCH: usize = 4_096;

/// Most calls that one page holds.
pub const MAX_CALLS: usize = 10_000;

/// Most calls that one transaction forgets.
const PRUNED_AT_ONCE: usize = 5_000;

/// By which way a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Via {
    /// From within, by nobody's request.
    #[default]
    Local,
    /// Over REST.
    Rest,
    /// Over MCP.
    Mcp,
    /// From another tool.
    Tool,
    /// As an attempt of this job.
    Job(JobId),
}

impl Via {
    fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Rest => "rest",
            Self::Mcp => "mcp",
            Self::Tool => "tool",
            Self::Job(_) => "job",
        }
    }
}

/// How long calls are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryConfig {
    /// How long a call is kept.
    pub keep_for: Duration,
    /// How many calls are kept, the newest.
    pub keep_most: u64,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { keep_for: Duration::from_secs(30 * 24 * 3600), keep_most: 1_000_000 }
    }
}

/// What the task that writes takes from; given away once.
type Receivers = (mpsc::Receiver<CallRecord>, mpsc::Receiver<oneshot::Sender<()>>);

/// Where calls are written down.
pub(crate) struct Recorder {
    store: Option<Arc<dyn History>>,
    config: HistoryConfig,
    sender: mpsc::Sender<CallRecord>,
    flush: mpsc::Sender<oneshot::Sender<()>>,
    receivers: Mutex<Option<Receivers>>,
    dropped: AtomicU64,
}

impl Recorder {
    /// A recorder that writes to `store`; to nothing without one.
    pub(crate) fn new(store: Option<Arc<dyn History>>, config: HistoryConfig) -> Self {
        let ((sender, records), (flush, flushes)) = (mpsc::channel(WAITING), mpsc::channel(1));
        // Without a store nothing is ever taken out, and asking for it comes to an end at once.
        let receivers = Mutex::new(store.is_some().then_some((records, flushes)));
        Self { store, config, sender, flush, receivers, dropped: AtomicU64::new(0) }
    }

    /// Whether somebody takes out what is put in.
    fn has_begun(&self) -> bool {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Begin to write down a call. Whatever becomes of it is noted, also if nobody waits for its end any more.
    pub(crate) fn begin<'a>(&'a self, tool: &'a Tool, principal: &'a Principal, via: Via) -> Note<'a> {
        Note { recorder: self, tool, principal, via, at: Timestamp::now(), began: Instant::now(), is_written: false }
    }

    fn lost(&self) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(
                calls = dropped,
                "{dropped} calls are missing from the history: they came faster than it is written"
            );
        }
    }
}

/// A call that is yet to be written down.
pub(crate) struct Note<'a> {
    recorder: &'a Recorder,
    tool: &'a Tool,
    principal: &'a Principal,
    via: Via,
    at: Timestamp,
    began: Instant,
    is_written: bool,
}

impl Note<'_> {
    /// The call has ended.
    pub(crate) fn ended<T>(mut self, outcome: &Outcome<T>, usage: Usage) {
        let code = match outcome {
            Outcome::Value(_) => None,
            Outcome::ToolError(_) => Some(Code::ToolError),
            Outcome::Stopped(stopped) => Some(stopped.reason.code()),
        };
        self.write(code, usage);
    }

    /// The call did not take place.
    pub(crate) fn refused(mut self, code: Code) {
        self.write(Some(code), Usage::default());
    }

    fn write(&mut self, code: Option<Code>, usage: Usage) {
        self.is_written = true;
        if self.recorder.store.is_none() {
            return;
        }
        let record = CallRecord {
            at: self.at,
            tool: self.tool.name.to_string(),
            digest: self.tool.digest,
            key: self.principal.key.clone(),
            via: self.via.as_str().to_owned(),
            code,
            usage,
            job: match self.via {
                Via::Job(id) => Some(id),
                _ => None,
            },
        };
        if self.recorder.sender.try_send(record).is_err() {
            self.recorder.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Note<'_> {
    /// The call was given up: by its caller, or because its job was cancelled or the server ends.
    fn drop(&mut self) {
        if !self.is_written {
            let duration_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.write(Some(Code::Cancelled), Usage { duration_us, ..Usage::default() });
        }
    }
}

impl Dispatcher {
    /// Write down calls, for as long as this door is there. Begins once.
    pub(crate) fn start_recording(&self) {
        let recorder = &self.inner.history;
        let receivers = recorder.receivers.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(store), Some((mut receiver, mut flushes))) = (recorder.store.clone(), receivers) else { return };
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            loop {
                // Sooner only when everything there is shall be on disk.
                let asked = tokio::time::timeout(PERIOD, flushes.recv()).await;
                let Some(inner) = inner.upgrade() else { return };
                let mut batch = Vec::new();
                while let Ok(record) = receiver.try_recv() {
                    batch.push(record);
                    if batch.len() >= BATCH {
                        write(&*store, &mut batch).await;
                    }
                }
                write(&*store, &mut batch).await;
                inner.history.lost();
                match asked {
                    Ok(Some(written)) => drop(written.send(())),
                    Ok(None) => return,
                    Err(_) => {}
                }
            }
        });
    }

    /// Write down every call that has ended so far.
    pub(crate) async fn write_history(&self) {
        // Nobody listens before it has begun.
        if !self.inner.history.has_begun() {
            return;
        }
        let (written, waiting) = oneshot::channel();
        if self.inner.history.flush.send(written).await.is_ok() {
            let _ = waiting.await;
        }
    }

    /// Calls of `principal`, or of everyone for who may see them, the newest first.
    ///
    /// # Errors
    ///
    /// When it may see none.
    pub async fn calls(&self, principal: &Principal, filter: CallFilter) -> Result<Vec<StoredCall>, DispatchError> {
        let (store, filter) = self.history_for(principal, filter)?;
        let most = filter.most.clamp(1, MAX_CALLS);
        Ok(store.calls(CallFilter { most, ..filter }).await?)
    }

    /// Figures for each tool over the calls that `filter` lets through: over as many as the store takes, whatever `filter`
    /// says of pages.
    ///
    /// # Errors
    ///
    /// When `principal` may see none.
    pub async fn statistics(
        &self,
        principal: &Principal,
        filter: CallFilter,
    ) -> Result<Vec<ToolStatistics>, DispatchError> {
        let (store, filter) = self.history_for(principal, filter)?;
        Ok(store.statistics(CallFilter { before: None, most: 0, ..filter }).await?)
    }

    /// Forget calls that need not be kept any longer.
    pub(crate) async fn retire_calls(&self) -> Result<(), DispatchError> {
        let Some(store) = &self.inner.history.store else { return Ok(()) };
        let HistoryConfig { keep_for, keep_most } = self.inner.history.config;
        let before = Timestamp::now().earlier(keep_for);
        while store.prune_calls(before, keep_most, PRUNED_AT_ONCE).await? >= PRUNED_AT_ONCE as u64 {}
        Ok(())
    }

    fn history_for(
        &self,
        principal: &Principal,
        filter: CallFilter,
    ) -> Result<(&Arc<dyn History>, CallFilter), DispatchError> {
        Action::Call.check(principal)?;
        let store = self.inner.history.store.as_ref().ok_or(DispatchError::ReadOnly)?;
        let sees_all = Action::ReadHistory.check(principal).is_ok();
        let key = if sees_all { filter.key } else { Some(principal.key.clone()) };
        Ok((store, CallFilter { key, ..filter }))
    }
}

async fn write(store: &dyn History, batch: &mut Vec<CallRecord>) {
    if batch.is_empty() {
        return;
    }
    let calls = batch.len();
    if let Err(error) = store.record(std::mem::take(batch)).await {
        tracing::warn!(%error, calls, "{calls} calls could not be written to the history");
    }
}
