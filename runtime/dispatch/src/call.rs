use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use fumehood_capabilities::{Listener, Together};
use fumehood_model::{Outcome, Principal, Reached, Usage};
use fumehood_policy::{Action, Limits, Lowered};
use fumehood_registry::{
    Tool,
    rich::{Aside, CallContext},
};
use fumehood_sandbox::Finished;
use fumehood_scheduler::Kind;
use fumehood_value::Arguments;

use crate::{
    DispatchError, Dispatcher,
    history::Via,
    limits::Bounds,
    run::{Ran, Run},
};

/// How a call ended, and what it used.
#[derive(Debug)]
pub struct Answer {
    /// Its outcome; values and errors of the tool are JSON text.
    pub outcome: Outcome<Bytes>,
    /// What it used; the duration counts from its arrival.
    pub usage: Usage,
    /// How else it ended, if its component describes its tools itself: it asks for something, say. The outcome is then an
    /// error for callers who can do nothing with that.
    pub aside: Option<Aside>,
    /// Kinds of things (`http`, `secret`, …) that the tool tried to reach and was not granted, each once.
    pub denied: Vec<&'static str>,
    /// Bounds that refused the tool something while it went on, each once, and who has set them.
    pub reached: Vec<(Reached, Option<&'static str>)>,
    /// Who has set the bound that it hit: `configuration`, `module`, `key` or `request`. Nothing if it hit none.
    pub set_by: Option<&'static str>,
}

/// How a call is to be made.
#[derive(Default)]
pub struct Terms {
    /// Bounds that the caller lowers for it.
    pub lowered: Lowered,
    /// By which way it came.
    pub via: Via,
    /// Who hears how far it is.
    pub listener: Option<Arc<dyn Listener>>,
    /// What its guest may know of whoever calls, where it describes its tools itself.
    pub context: CallContext,
    /// That a person has confirmed it: what the refusal brought.
    pub confirmation: Option<String>,
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
        terms: Terms,
    ) -> Result<Answer, DispatchError> {
        self.call_within(self.inner.config.limits, principal, tool, arguments, terms).await
    }

    /// The same with other limits than those of direct calls.
    pub(crate) async fn call_within(
        &self,
        ceiling: Limits,
        principal: &Principal,
        tool: &Tool,
        arguments: Arguments,
        terms: Terms,
    ) -> Result<Answer, DispatchError> {
        let note = self.inner.history.begin(tool, principal, terms.via);
        let result = self.take_place(ceiling, principal, tool, arguments, terms).await;
        match &result {
            Ok(answer) => note.ended(&answer.outcome, answer.usage),
            Err(error) => note.refused(error.code()),
        }
        result
    }

    async fn take_place(
        &self,
        ceiling: Limits,
        principal: &Principal,
        tool: &Tool,
        arguments: Arguments,
        terms: Terms,
    ) -> Result<Answer, DispatchError> {
        let arrived = Instant::now();
        Action::Call.check(principal)?;
        // A tool that asks its user has begun, which it could not before it was confirmed.
        let begins = terms.context.resumption.as_ref().is_none_or(|resumption| resumption.state.is_none());
        let mut confirmed = None;
        if tool.requires_confirmation && begins {
            confirmed =
                Some(Box::pin(self.confirmed(principal, tool, &arguments, terms.confirmation.as_deref())).await?);
        }
        let bounds =
            Bounds { configuration: ceiling, module: tool.limits, key: principal.limits.call, request: terms.lowered };
        let limits = bounds.lowest();
        let deadline = arrived + limits.deadline();
        let turn = self.turn(tool, &limits, deadline).await?;
        let waiting = tokio::time::timeout_at(deadline.into(), self.inner.admission.enter(&principal.key, Kind::Call));
        let place = waiting.await.map_err(|_| DispatchError::WaitedTooLong { waited: limits.deadline() })??;
        if let Some(confirmed) = confirmed {
            Box::pin(self.use_confirmation(principal, tool, confirmed)).await?;
        }
        let together = Together::default();
        let Terms { listener, context, .. } = terms;
        let run = Run { principal, tool, arguments, limits, deadline, depth: 0, together, listener, context };
        let Ran { finished: Finished { outcome, mut usage, .. }, aside, denied, reached } =
            self.run(run, (place, turn)).await?;
        usage.duration_us = u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(
            tool.name = %tool.name, key.id = %principal.key, outcome = word(&outcome), usage.fuel_units,
            usage.memory_bytes, usage.duration_us, "Call of {} ended", tool.name
        );
        let set_by = match &outcome {
            Outcome::Stopped(stopped) => stopped.reason.limit().and_then(|limit| bounds.set_by(limit)),
            Outcome::Value(_) | Outcome::ToolError(_) => None,
        };
        let reached = reached.into_iter().map(|reached| {
            let set_by = reached.limit().and_then(|limit| bounds.set_by(limit));
            (reached, set_by)
        });
        Ok(Answer { outcome, usage, aside, denied, reached: reached.collect(), set_by })
    }
}

fn word(outcome: &Outcome<Bytes>) -> &'static str {
    match outcome {
        Outcome::Value(_) => "value",
        Outcome::ToolError(_) => "tool_error",
        Outcome::Stopped(stopped) => stopped.reason.code().as_str(),
    }
}
