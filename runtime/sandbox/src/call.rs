use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fumehood_capabilities::{Granted, Heard, Host, logging::Logged};
use fumehood_model::{Captured, Digest, Outcome, StopReason, Stopped, Usage};
use fumehood_policy::Limits;
use fumehood_value::Arguments;

use crate::{error::SandboxError, loader::Sandbox};

/// One call, complete in itself.
pub struct Call {
    /// Which component.
    pub digest: Digest,
    /// Which of its functions, as its position in `Interface::functions`.
    pub function: usize,
    /// Its arguments, unchecked.
    pub arguments: Arguments,
    /// What it may use.
    pub limits: Limits,
    /// When it must have ended.
    pub deadline: Instant,
    /// What it is granted, as far as its sandbox must know.
    pub granted: Granted,
    /// Where it asks for everything else.
    pub host: Arc<dyn Host>,
    /// Who listens to it while it runs.
    pub heard: Heard,
    /// Whether an operator trusts the component enough to run it inside the server.
    pub trusted: bool,
}

/// How a call ended, and what it used.
#[derive(Debug)]
pub struct Finished {
    /// Its outcome, as JSON text.
    pub outcome: Outcome<Bytes>,
    /// What it used; the duration is that of the sandbox alone.
    pub usage: Usage,
    /// What the guest said on the side.
    pub said: Said,
}

/// What a guest said beside its answer. Bounded, and otherwise just as the guest made it.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Said {
    /// What it wrote to standard output.
    pub stdout: Captured,
    /// What it wrote to standard error.
    pub stderr: Captured,
    /// What it logged.
    pub logged: Logged,
    /// Where it was when it crashed: for its author and the operator.
    pub trace: Option<String>,
    /// What went wrong around it that is no fault of its own: for the operator.
    pub faults: Vec<String>,
}

impl Sandbox {
    /// Run one call to its end, and drop `place` only when nothing of the call is left.
    ///
    /// Whoever counts calls hands in what stands for one: a call that is dropped may hold its memory until its current
    /// slice ends, and must be counted for as long.
    ///
    /// # Errors
    ///
    /// When the arguments do not fit, the component cannot be loaded or there is no place. Whatever the guest does is an
    /// [`Outcome`].
    ///
    /// # Cancellation
    ///
    /// Dropping the future stops the guest, at the latest when its current slice ends.
    pub async fn call(&self, call: Call, place: impl Send + 'static) -> Result<Finished, SandboxError> {
        let started = Instant::now();
        match self.workers() {
            Some(workers) if !call.trusted => workers.call(self, call, place).await,
            _ => {
                let (deadline, allowed) = (call.deadline, call.limits.deadline());
                let ready = tokio::time::timeout_at(deadline.into(), self.ready(&call.digest)).await;
                let Ok(ready) = ready else { return Ok(Finished::stopped(StopReason::Deadline { allowed }, started)) };
                self.chamber()?.run(ready?, call, place).await
            }
        }
    }
}

impl Finished {
    /// A call that ended before its guest said anything.
    pub(crate) fn stopped(reason: StopReason, started: Instant) -> Self {
        let usage = Usage { duration_us: micros(started.elapsed()), ..Usage::default() };
        Self { outcome: Outcome::Stopped(Stopped { reason }), usage, said: Said::default() }
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
