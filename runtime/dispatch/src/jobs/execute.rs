//! One attempt of one job: from what is kept of it to what came of it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fumehood_capabilities::{Listener, Together, Told, logging::Level};
use fumehood_model::{
    Asked, Code, Crash, Failure, JobOutcome, JobTool, Outcome, Progress, StopReason, Stopped, Timestamp, Usage,
};
use fumehood_policy::Limits;
use fumehood_registry::{
    Manifest, Module, Origin, Tool,
    rich::{Aside, CallContext, Capabilities, Resumption},
};
use fumehood_sandbox::{Finished, SandboxError};
use fumehood_scheduler::{Attempted, Execute, Mend, Telling};
use fumehood_store::{Claimed, Report, StoreError};
use fumehood_value::Arguments;
use serde_json::{Map, Value};

use crate::{
    DispatchError, Dispatcher,
    history::Via,
    run::{Ran, Run},
    said::one_line,
};

/// How soon a job is looked at again whose module runs as many calls as it may.
const TURN: Duration = Duration::from_millis(250);

/// How often a job may ask whoever submitted it.
const MOST_ROUNDS: u32 = 10;

/// Runs jobs through the same door as every call.
pub(crate) struct Executor(pub(crate) Dispatcher);

impl Execute for Executor {
    fn execute(&self, claimed: Claimed, telling: Telling) -> Pin<Box<dyn Future<Output = Attempted> + Send>> {
        let dispatcher = self.0.clone();
        Box::pin(async move { dispatcher.attempt(claimed, telling).await })
    }
}

impl Dispatcher {
    async fn attempt(&self, claimed: Claimed, telling: Telling) -> Attempted {
        let arrived = Instant::now();
        let (job, repeatable) = (claimed.job.id, claimed.job.is_repeatable);
        let Some(principal) = self.principal_of(&claimed.job.owner) else {
            let message = "the key that submitted the job was revoked before it ran".to_owned();
            return failed(Code::Forbidden, message, Mend::Never);
        };
        let Wanted { tool, gate } = match self.tool_of(&claimed.job.tool).await {
            Ok(wanted) => wanted,
            Err(error) => return refused(&error),
        };
        let Ok(Some(turn)) = self.turn_now(&gate).await else {
            return failed(Code::Unavailable, "the module runs as many calls as it may".into(), Mend::NotYet(TURN));
        };
        let limits = self.job_limits(&claimed);
        let round = claimed.job.asked.as_ref().map_or(0, |asked| asked.round);
        let resumption = claimed
            .job
            .asked
            .clone()
            .map(|Asked { responses, state, .. }| Resumption { state, responses: responses.into_iter().collect() });
        let place = telling.place();
        let deadline = arrived + limits.deadline();
        let listener = Arc::new(Watched { telling, attempt: claimed.job.attempt, checkpoint: claimed.checkpoint });
        let run = Run {
            principal: &principal,
            tool: &tool,
            arguments: Arguments::Text(claimed.input),
            limits,
            deadline,
            depth: 0,
            together: Together::default(),
            listener: Some(listener),
            context: CallContext { client: Capabilities::ALL, resumption, ..CallContext::default() },
        };
        let note = self.inner.history.begin(&tool, &principal, Via::Job(job));
        let result = self.run(run, (place, turn)).await;
        match &result {
            Ok(Ran { finished, .. }) => note.ended(&finished.outcome, finished.usage),
            Err(error) => note.refused(error.code()),
        }
        match result {
            Ok(Ran { finished: Finished { outcome, usage, .. }, aside, .. }) => {
                ended(outcome, aside.as_ref(), usage, repeatable, round)
            }
            Err(error) => refused(&error),
        }
    }

    /// What each attempt of a job may use.
    fn job_limits(&self, claimed: &Claimed) -> Limits {
        self.limits_of_jobs().lowered_by(&claimed.lowered)
    }

    /// What an attempt may use at the most: as a direct call, but for its time.
    pub(super) fn limits_of_jobs(&self) -> Limits {
        let deadline = self.inner.queue.as_ref().map(|queue| queue.config.deadline);
        let deadline_ms = deadline.map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
        let limits = self.inner.config.limits;
        Limits { deadline_ms: deadline_ms.unwrap_or(limits.deadline_ms), ..limits }
    }

    /// The tool of a job, on the component that it was submitted for.
    ///
    /// A module that was replaced meanwhile is run as it was; one that was removed is not.
    async fn tool_of(&self, wanted: &JobTool) -> Result<Wanted, DispatchError> {
        let current = self.inner.registry.current().module(wanted.module.as_str()).cloned();
        let gone = || DispatchError::Gone { module: wanted.module.clone(), function: wanted.function.clone() };
        let current = current.ok_or_else(gone)?;
        let gate = current.tools.first().cloned().ok_or_else(gone)?;
        if current.digest == wanted.digest {
            let tool = current.tool(&wanted.function).cloned().ok_or_else(gone)?;
            return Ok(Wanted { tool, gate });
        }
        self.admit_earlier(&wanted.module, wanted.digest).await?;
        let interface = match self.inner.sandbox.describe(&wanted.digest).await {
            Err(SandboxError::Store(StoreError::Missing { .. })) => return Err(gone()),
            described => described?,
        };
        let origin = Origin::Upload { by: String::new(), at: Timestamp { unix_ms: 0 } };
        // Its bounds were written down with the job, and its turns are those of the module as it is now.
        let module = Module::new(wanted.module.clone(), wanted.digest, 0, origin, interface, Manifest::default())?;
        let tool = module.tool(&wanted.function).cloned().ok_or_else(gone)?;
        Ok(Wanted { tool, gate })
    }

    /// A turn of a module that bounds its calls, if one is free now.
    async fn turn_now(&self, tool: &Tool) -> Result<Option<crate::limits::Turn>, DispatchError> {
        match self.turn(tool, &self.inner.config.limits, Instant::now()).await {
            Ok(turn) => Ok(Some(turn)),
            Err(DispatchError::WaitedTooLong { .. } | DispatchError::ModuleBusy { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What a job runs.
struct Wanted {
    tool: Arc<Tool>,
    /// A tool of the module that is served, whose turns this call needs too.
    gate: Arc<Tool>,
}

/// What comes of a guest that ran.
pub(super) fn ended(
    outcome: Outcome<Bytes>,
    aside: Option<&Aside>,
    usage: Usage,
    repeatable: bool,
    round: u32,
) -> Attempted {
    match aside {
        Some(Aside::Failed(message)) => {
            return Attempted { usage: Some(usage), ..failed(Code::Internal, message.clone(), Mend::Never) };
        }
        Some(Aside::Asks(_)) if round >= MOST_ROUNDS => {
            let message = format!("the tool asked more than {MOST_ROUNDS} times");
            return Attempted { usage: Some(usage), ..failed(Code::ToolError, message, Mend::Never) };
        }
        Some(Aside::Asks(asks)) => {
            let requests = match asks.to_json() {
                Value::Object(requests) => requests,
                _ => Map::new(),
            };
            let asked = Asked { requests, responses: Map::new(), state: asks.state.clone(), round: round + 1 };
            let waits = failed(Code::Unavailable, "the job waits for an answer".to_owned(), Mend::Never);
            return Attempted { usage: Some(usage), asks: Some(asked), ..waits };
        }
        Some(Aside::Lacks(_) | Aside::Refused(_)) | None => {}
    }
    let mend = match &outcome {
        Outcome::Stopped(Stopped { reason: StopReason::Trap { crash: Crash::Process } }) => Mend::Crashed,
        // What it waited for may be quicker next time; what it had done by then is done twice.
        Outcome::Stopped(Stopped { reason: StopReason::Deadline { .. } }) if repeatable => Mend::Later,
        _ => Mend::Never,
    };
    let text = |json: Bytes| String::from_utf8_lossy(&json).into_owned();
    let outcome = match outcome {
        Outcome::Value(json) => Outcome::Value(text(json)),
        Outcome::ToolError(json) => Outcome::ToolError(text(json)),
        Outcome::Stopped(stopped) => Outcome::Stopped(stopped),
    };
    Attempted { outcome: JobOutcome::Ended(outcome), usage: Some(usage), mend, asks: None }
}

/// What comes of a guest that did not run.
pub(super) fn refused(error: &DispatchError) -> Attempted {
    let code = error.code();
    let mend = match code {
        Code::Unavailable | Code::Busy | Code::Internal | Code::StorageFull => Mend::Later,
        _ => Mend::Never,
    };
    let message = if code == Code::Internal {
        tracing::error!(error = error as &dyn std::error::Error, "An attempt of a job failed: {error}");
        "the server failed; the operator's log has the reason".to_owned()
    } else {
        error.to_string()
    };
    failed(code, message, mend)
}

fn failed(code: Code, message: String, mend: Mend) -> Attempted {
    Attempted { outcome: JobOutcome::Failed(Failure { code, message }), usage: None, mend, asks: None }
}

/// Hears what the guest of a job tells.
struct Watched {
    telling: Telling,
    attempt: u32,
    checkpoint: Option<Bytes>,
}

impl Listener for Watched {
    fn wants_told(&self) -> bool {
        true
    }

    fn progress(&self, progress: Progress) {
        let message = progress.message.map(|text| one_line(&text));
        self.telling.tell(Report::Progress(Progress { message, ..progress }));
    }

    fn told(&self, told: Vec<Told>) {
        for told in told {
            self.telling.tell(Report::Told(shown(told)));
        }
    }

    fn checkpoint(&self, state: Bytes) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async move { self.telling.checkpoint(state).await.is_ok() })
    }

    fn resumed(&self) -> Option<Bytes> {
        self.checkpoint.clone()
    }

    fn attempt(&self) -> Option<u32> {
        Some(self.attempt)
    }
}

/// What a guest told, with nothing in it that could drive a terminal or pass for a line of ours.
fn shown(told: Told) -> fumehood_store::Told {
    match told {
        Told::Log { level, message, .. } => {
            fumehood_store::Told::Log { level: level_name(level).to_owned(), message: one_line(&message) }
        }
        Told::Output { stream, text } => fumehood_store::Told::Output {
            stream: stream.as_str().to_owned(),
            text: text
                .split_inclusive('\n')
                .map(|line| {
                    let (bare, end) = line.strip_suffix('\n').map_or((line, ""), |bare| (bare, "\n"));
                    one_line(bare) + end
                })
                .collect(),
        },
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
        Level::Critical => "critical",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mend_of(reason: StopReason, repeatable: bool) -> Mend {
        ended(Outcome::Stopped(Stopped { reason }), None, Usage::default(), repeatable, 0).mend
    }

    #[test]
    fn only_what_another_attempt_can_mend_is_tried_again() {
        let late = || StopReason::Deadline { allowed: Duration::from_secs(1) };

        assert_eq!(mend_of(StopReason::Trap { crash: Crash::Process }, false), Mend::Crashed);
        assert_eq!(mend_of(late(), true), Mend::Later);
        assert_eq!(mend_of(late(), false), Mend::Never);
        assert_eq!(mend_of(StopReason::Fuel { allowed: 1 }, true), Mend::Never);
        assert_eq!(refused(&DispatchError::ReadOnly).mend, Mend::Never);
        assert_eq!(refused(&DispatchError::Lost).mend, Mend::Later);
    }

    #[test]
    fn what_a_guest_writes_keeps_its_lines_and_loses_its_escapes() {
        let told = Told::Output { stream: fumehood_capabilities::Stream::Stdout, text: "a\u{1b}[2J\nb".into() };

        let fumehood_store::Told::Output { text, .. } = shown(told) else { panic!("it was output") };
        assert_eq!(text, "a\\u{1b}[2J\nb");
    }
}
