//! A place for a worker process, with one in it most of the time.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use fumehood_model::Digest;

use crate::{
    error::SandboxError,
    workers::{
        Settings,
        process::{Bounds, Process},
        protocol::Setup,
    },
};

/// Keeps one process running: starts it when it is needed, and again when it has died or served long enough.
pub(crate) struct Slot {
    settings: Settings,
    setup: Setup,
    bounds: Bounds,
    current: Mutex<Option<Arc<Process>>>,
    starting: tokio::sync::Mutex<()>,
    /// Whether the server is about to end.
    stopping: Arc<AtomicBool>,
}

impl Slot {
    pub(crate) fn new(settings: Settings, setup: Setup, bounds: Bounds, stopping: Arc<AtomicBool>) -> Self {
        let (current, starting) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { settings, setup, bounds, current, starting, stopping }
    }

    /// Whether the server is about to end, and its processes with it.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Calls that run here, for choosing the least busy. A process that is yet to start counts as very busy.
    pub(crate) fn load(&self) -> usize {
        match &*self.current() {
            Some(process) if !process.is_gone() => process.calls(),
            Some(_) | None => usize::MAX / 2,
        }
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
        let process = Process::start(&self.settings, &self.setup, self.bounds, self).await?;
        *self.current() = Some(Arc::clone(&process));
        Ok(process)
    }

    /// Start the process in the background, if there is none.
    pub(crate) fn start_soon(self: &Arc<Self>) {
        let slot = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = slot.process().await {
                tracing::error!(error = &error as &dyn std::error::Error, "A worker process does not start: {error}");
            }
        });
    }

    pub(crate) fn forget(&self, digest: &Digest) {
        if let Some(process) = &*self.current() {
            process.forget(digest);
        }
    }

    fn usable(self: &Arc<Self>) -> Option<Arc<Process>> {
        let process = self.current().clone().filter(|process| !process.is_gone())?;
        // One that has served long enough goes on until another has started.
        if process.served() >= self.settings.recycle_after && process.is_due() {
            let slot = Arc::clone(self);
            tokio::spawn(async move { slot.renew().await });
        }
        Some(process)
    }

    async fn renew(self: Arc<Self>) {
        let _turn = self.starting.lock().await;
        match Process::start(&self.settings, &self.setup, self.bounds, &self).await {
            Ok(process) => {
                if let Some(old) = self.current().replace(process) {
                    old.retire();
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "A worker process cannot be replaced: {error}"
                );
            }
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Process>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(process) = self.current().take() {
            process.retire();
        }
    }
}
