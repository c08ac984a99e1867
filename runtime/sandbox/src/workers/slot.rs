//! A place for a worker process, with one in it most of the time.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fumehood_model::Digest;

use crate::{
    error::SandboxError,
    loader::Source,
    workers::{
        Settings,
        process::{Bounds, Process},
        protocol::Setup,
        suspects::Suspects,
    },
};

/// How long after a process could not be started it is tried again, at first; each time twice as long, up to a minute.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Longest that the successor of a process waits for the components that it is sent before it takes over.
const WARMING: Duration = Duration::from_secs(5);

/// What all places have in common.
#[derive(Default)]
pub(crate) struct Common {
    /// Where components come from.
    pub(crate) source: OnceLock<Source>,
    pub(crate) suspects: Suspects,
    /// Whether the server is about to end.
    pub(crate) stopping: AtomicBool,
}

/// Keeps one process running: starts it when it is needed, and again when it has died or served long enough.
pub(crate) struct Slot {
    settings: Settings,
    setup: Setup,
    bounds: Bounds,
    common: Arc<Common>,
    current: Mutex<Option<Arc<Process>>>,
    starting: tokio::sync::Mutex<()>,
    /// What the process that died had been called for of late.
    missed: Mutex<Vec<Digest>>,
}

impl Slot {
    pub(crate) fn new(settings: Settings, setup: Setup, bounds: Bounds, common: Arc<Common>) -> Self {
        let (current, starting, missed) = (Mutex::default(), tokio::sync::Mutex::default(), Mutex::default());
        Self { settings, setup, bounds, common, current, starting, missed }
    }

    /// Whether the server is about to end, and its processes with it.
    pub(crate) fn is_stopping(&self) -> bool {
        self.common.stopping.load(Ordering::Acquire)
    }

    /// Calls that run here, a long one for `long` of them. A process that is yet to start counts as very busy.
    pub(crate) fn busyness(&self, long: usize) -> usize {
        match &*self.current() {
            Some(process) if !process.is_gone() => process.busyness(long),
            Some(_) | None => usize::MAX / 2,
        }
    }

    /// Whether no call runs here.
    pub(crate) fn is_idle(&self) -> bool {
        self.current().as_ref().is_none_or(|process| process.is_gone() || process.is_idle())
    }

    /// The process, started if there is none.
    pub(crate) async fn process(self: &Arc<Self>) -> Result<Arc<Process>, SandboxError> {
        if let Some(process) = self.usable() {
            return Ok(process);
        }
        let _turn = self.starting.lock().await;
        if let Some(process) = self.usable() {
            return Ok(process);
        }
        let process = self.start().await?;
        *self.current() = Some(Arc::clone(&process));
        let missed = std::mem::take(&mut *lock(&self.missed));
        if !missed.is_empty() {
            let (slot, process) = (Arc::clone(self), Arc::clone(&process));
            tokio::spawn(async move { slot.warm(&process, missed).await });
        }
        Ok(process)
    }

    /// Start the process in the background if there is none, and try until it starts.
    pub(crate) fn start_soon(self: &Arc<Self>) {
        self.persist("A worker process does not start", |slot| async move { slot.process().await.map(drop) });
    }

    /// Start another process for one that died while it worked on calls of `crashed`. It was called for `recent` of late.
    pub(crate) fn start_after_crash(self: &Arc<Self>, crashed: &[Digest], mut recent: Vec<Digest>) {
        self.common.suspects.accuse(crashed);
        recent.retain(|digest| !crashed.contains(digest));
        *lock(&self.missed) = recent;
        self.start_soon();
    }

    pub(crate) fn forget(&self, digest: &Digest) {
        lock(&self.missed).retain(|missed| missed != digest);
        if let Some(process) = &*self.current() {
            process.forget(digest);
        }
    }

    fn usable(self: &Arc<Self>) -> Option<Arc<Process>> {
        let process = self.current().clone().filter(|process| !process.is_gone())?;
        // One that has served long enough goes on until another has started.
        if process.served() >= self.settings.recycle_after && process.is_due() {
            self.persist("A worker process cannot be replaced", |slot| async move { slot.renew().await });
        }
        Some(process)
    }

    /// Put a fresh process in the place of the one that has served long enough.
    pub(crate) async fn renew(self: Arc<Self>) -> Result<(), SandboxError> {
        let _turn = self.starting.lock().await;
        let old = self.current().clone().filter(|process| !process.is_gone());
        // Whoever needs one that died starts another.
        let Some(old) = old else { return Ok(()) };
        let fresh = self.start().await?;
        self.warm(&fresh, old.recent()).await;
        if let Some(old) = self.current().replace(fresh) {
            old.retire();
        }
        Ok(())
    }

    async fn start(self: &Arc<Self>) -> Result<Arc<Process>, SandboxError> {
        Process::start(&self.settings, &self.setup, self.bounds, self).await
    }

    /// Send a process what it will be called for, so that the first calls find it there.
    async fn warm(&self, process: &Process, digests: Vec<Digest>) {
        let Some(sandbox) = self.common.source.get().and_then(Source::sandbox) else { return };
        let sending = async {
            for digest in digests {
                // One that cannot be loaded any more is told when it is called.
                let _ = process.load(&sandbox, &digest, true).await;
            }
        };
        let _ = tokio::time::timeout(WARMING, sending).await;
    }

    /// Do `work` in the background, and again after a while for as long as it fails and the place is there.
    fn persist<W>(self: &Arc<Self>, failure: &'static str, work: impl Fn(Arc<Self>) -> W + Send + 'static)
    where
        W: Future<Output = Result<(), SandboxError>> + Send,
    {
        let slot = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut pause = PAUSE;
            while let Some(slot) = slot.upgrade() {
                let Err(error) = work(slot).await else { return };
                tracing::error!(error = &error as &dyn std::error::Error, "{failure}: {error}");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    #[cfg(test)]
    pub(crate) fn running(&self) -> Option<Arc<Process>> {
        self.current().clone().filter(|process| !process.is_gone())
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Process>>> {
        lock(&self.current)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(process) = self.current().take() {
            process.retire();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
