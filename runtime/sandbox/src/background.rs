//! Threads for calls that take long.

use std::{future::Future, sync::Arc, time::Duration};

use fumehood_capabilities::Cancelled;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::{AbortHandle, JoinHandle},
};

/// How much lower the priority of a background thread is, as `nice` counts.
///
/// Ten gives a thread that answers requests about ten times the share of one that runs a loop.
const NICENESS: i32 = 10;

/// How many turns of guests a thread takes before it looks at timers and sockets again.
const TURNS_BETWEEN_EVENTS: u32 = 5;

/// How long a guest whose caller has gone may go on, so that it can end by itself.
///
/// Long enough to remove a file or write a last value; short beside the second within which a cancelled call has ended.
pub(crate) const GRACE: Duration = Duration::from_millis(100);

/// Runs calls that did not end within their first slice, away from the threads that answer requests.
///
/// A call starts on the thread that received it: a short one, by far the most common, never changes threads. One that
/// is still running after its first slice moves here, where calls take turns and the operating system prefers the
/// threads that answer requests. However many tools loop, requests are read and short calls are run at once.
#[derive(Clone)]
pub(crate) struct Background {
    runtime: Arc<Owned>,
}

struct Owned(Option<Runtime>);

impl Background {
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("fumehood-guest")
            .event_interval(TURNS_BETWEEN_EVENTS)
            .enable_all()
            .on_thread_start(lower_priority)
            .build()?;
        Ok(Self { runtime: Arc::new(Owned(Some(runtime))) })
    }

    /// Run `work` to its end; nothing comes of it if it panics. When the returned future is dropped, `cancelled` tells it
    /// so, and it is stopped soon after.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        cancelled: Cancelled,
    ) -> Option<T> {
        let mut task = self.spawn(work, cancelled);
        (&mut task.task).await.ok()
    }

    /// Run `work`, until its end or until what is returned is dropped.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        cancelled: Cancelled,
    ) -> Working<T> {
        let task = self.handle().spawn(work);
        let stop = Stop { task: task.abort_handle(), cancelled, handle: self.handle().clone(), armed: true };
        Working { task, stop }
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.0.as_ref().expect("the runtime is only taken when this is dropped").handle()
    }
}

/// A call that runs in the background, until its end or until this is dropped.
pub(crate) struct Working<T> {
    task: JoinHandle<T>,
    stop: Stop,
}

impl<T> Working<T> {
    /// Say that it has ended, or is about to.
    pub(crate) fn over(mut self) {
        self.stop.armed = false;
    }
}

struct Stop {
    task: AbortHandle,
    cancelled: Cancelled,
    handle: Handle,
    armed: bool,
}

impl Drop for Stop {
    fn drop(&mut self) {
        if !self.armed || self.task.is_finished() {
            return;
        }
        self.cancelled.cancel();
        let task = self.task.clone();
        self.handle.spawn(async move {
            tokio::time::sleep(GRACE).await;
            task.abort();
        });
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // A runtime may not be dropped on a thread of another: let it end by itself.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(Duration::ZERO);
        }
    }
}

fn lower_priority() {
    // On Linux the priority belongs to the thread. Without the right to change it, calls still take turns.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "Background threads keep their priority");
    }
}
