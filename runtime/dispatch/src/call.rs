use std::time::Instant;

use bytes::Bytes;
use fumehood_model::{Outcome, Principal, Usage};
use fumehood_policy::{Action, Lowered};
use fumehood_registry::Tool;
use fumehood_sandbox::Finished;
use fumehood_value::Arguments;

use crate::{DispatchError, Dispatcher, run::Run};

/// How a call ended, and what it used.
#[derive(Debug)]
pub struct Answer {
    /// Its outcome; values and errors of the tool are JSON text.
    pub outcome: Outcome<Bytes>,
    /// What it used; the duration counts from its arrival.
    pub usage: Usage,
    /// Kinds of things (`http`, `secret`, …) that the tool tried to reach and was not granted, each once.
    pub denied: Vec<&'static str>,
}

impl Dispatcher {
    /// Run `tool` with `arguments` for `principal`, and wait for its outcome.
    ///
    /// # Errors
    ///
    /// When the call did not take place: not allowed, arguments that do not fit, no place, a component that cannot be
    /// loaded. All of these are told before any guest starts.
    ///
    /// # Cancellation
    ///
    /// Dropping the future stops the guest.
    pub async fn call(
        &self,
        principal: &Principal,
        tool: &Tool,
        arguments: Arguments,
        lowered: Lowered,
    ) -> Result<Answer, DispatchError> {
        let arrived = Instant::now();
        Action::Call.check(principal)?;
        let limits = self.effective_limits(principal, tool, lowered);
        let deadline = arrived + limits.deadline();
        let turn = self.turn(tool, &limits, deadline).await?;
        let waiting = tokio::time::timeout_at(deadline.into(), self.inner.admission.enter(&principal.key));
        let place = waiting.await.map_err(|_| DispatchError::WaitedTooLong { waited: limits.deadline() })??;
        let run = Run { principal, tool, arguments, limits, deadline, depth: 0, listener: None };
        let (Finished { outcome, mut usage, .. }, denied) = self.run(run, (place, turn)).await?;
        usage.duration_us = u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(
            tool.name = %tool.name, key.id = %principal.key, outcome = word(&outcome), usage.fuel_units,
            usage.memory_bytes, usage.duration_us, "Call of {} ended", tool.name
        );
        Ok(Answer { outcome, usage, denied })
    }
}

fn word(outcome: &Outcome<Bytes>) -> &'static str {
    match outcome {
        Outcome::Value(_) => "value",
        Outcome::ToolError(_) => "tool_error",
        Outcome::Stopped(stopped) => stopped.reason.code().as_str(),
    }
}
