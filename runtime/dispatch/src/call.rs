use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use fumehood_capabilities::{Granted, Nothing};
use fumehood_model::{Captured, Outcome, Principal, Usage};
use fumehood_policy::{Action, Lowered};
use fumehood_registry::Tool;
use fumehood_sandbox::{Call, Finished, Said};
use fumehood_value::Arguments;

use crate::{DispatchError, Dispatcher};

/// How a call ended, and what it used.
#[derive(Debug)]
pub struct Answer {
    /// Its outcome; values and errors of the tool are JSON text.
    pub outcome: Outcome<Bytes>,
    /// What it used; the duration counts from its arrival.
    pub usage: Usage,
}

/// Most characters of a guest's output that one log line quotes.
const LOGGED_OUTPUT: usize = 4_096;

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
        let call = Call {
            digest: tool.digest,
            function: tool.position,
            arguments,
            limits,
            deadline,
            granted: Granted::default(),
            host: Arc::new(Nothing),
            trusted: self.inner.config.trusted.covers(&tool.module),
        };
        let Finished { outcome, mut usage, said } = self.inner.sandbox.call(call, (place, turn)).await?;
        usage.duration_us = u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX);
        log(tool, &outcome, &said);
        tracing::debug!(
            tool.name = %tool.name, key.id = %principal.key, outcome = word(&outcome), usage.fuel_units,
            usage.memory_bytes, usage.duration_us, "Call of {} ended", tool.name
        );
        Ok(Answer { outcome, usage })
    }
}

fn word(outcome: &Outcome<Bytes>) -> &'static str {
    match outcome {
        Outcome::Value(_) => "value",
        Outcome::ToolError(_) => "tool_error",
        Outcome::Stopped(stopped) => stopped.reason.code().as_str(),
    }
}

/// What a guest said on the side, in the operator's log.
fn log(tool: &Tool, outcome: &Outcome<Bytes>, said: &Said) {
    log_output(tool, "stdout", &said.stdout);
    log_output(tool, "stderr", &said.stderr);
    if let (Outcome::Stopped(stopped), Some(trace)) = (outcome, &said.trace) {
        let trace: String = trace.chars().take(LOGGED_OUTPUT).flat_map(escaped).collect();
        tracing::warn!(
            tool.name = %tool.name, component.digest = %tool.digest, reason = %stopped.reason, blame = "guest",
            "{} was stopped: {}\n{trace}", tool.name, stopped.reason
        );
    }
}

/// A character of a guest, unable to drive a terminal; lines stay lines.
fn escaped(character: char) -> impl Iterator<Item = char> {
    let (kept, escaped) =
        if character == '\n' { (Some(character), None) } else { (None, Some(character.escape_debug())) };
    kept.into_iter().chain(escaped.into_iter().flatten())
}

/// What a guest printed, in the operator's log: bounded, attributed, and unable to forge a line of its own.
fn log_output(tool: &Tool, stream: &'static str, captured: &Captured) {
    if captured.bytes.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(&captured.bytes[..captured.bytes.len().min(LOGGED_OUTPUT)]);
    let text: String = text.trim_end().chars().flat_map(char::escape_debug).collect();
    let truncated = captured.truncated || captured.bytes.len() > LOGGED_OUTPUT;
    tracing::info!(tool.name = %tool.name, guest.stream = stream, guest.truncated = truncated, "{} printed: {text}", tool.name);
}
