//! One call of one tool with what it is granted, whoever called it: from outside, or another tool.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use fumehood_capabilities::{About, Granted, Listener, Together};
use fumehood_model::{ByteSize, Crash, Outcome, Principal, Reached, StopReason, Stopped};
use fumehood_policy::{Grant, Limits};
use fumehood_registry::{
    Told, Tool,
    rich::{Aside, CallContext},
};
use fumehood_sandbox::{Call, Finished};
use fumehood_store::ScratchFolder;
use fumehood_value::Arguments;

use crate::{DispatchError, Dispatcher, dispatcher::blocking, invoke::Onward, said};

/// Largest error that a tool may answer with, as JSON: it becomes part of a document of ours.
const MAX_TOOL_ERROR: ByteSize = ByteSize::kib(64);

/// Largest arguments that are checked against an author's schema where others wait.
const QUICK: usize = 64 << 10;

/// A call that may take place.
pub(crate) struct Run<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) tool: &'a Tool,
    pub(crate) arguments: Arguments,
    pub(crate) limits: Limits,
    pub(crate) deadline: Instant,
    /// How many calls of tools by tools stand between this call and the outside.
    pub(crate) depth: u64,
    /// What it uses together with those.
    pub(crate) together: Together,
    /// Who listens while it runs, if anybody does.
    pub(crate) listener: Option<Arc<dyn Listener>>,
    /// What its guest may know of whoever calls, where it describes its tools itself.
    pub(crate) context: CallContext,
}

/// What has come of it.
pub(crate) struct Ran {
    /// How it ended, with an outcome as callers take it.
    pub(crate) finished: Finished,
    /// What the outcome cannot say.
    pub(crate) aside: Option<Aside>,
    /// What kinds of things it was denied.
    pub(crate) denied: Vec<&'static str>,
    /// Which bounds refused it something.
    pub(crate) reached: Vec<Reached>,
}

impl Dispatcher {
    /// Run a call to its end, and drop `place` when nothing is left of it.
    pub(crate) async fn run(&self, run: Run<'_>, place: impl Send + 'static) -> Result<Ran, DispatchError> {
        let Run { principal, tool, arguments, limits, deadline, depth, together, listener, context } = run;
        let arguments = match arguments {
            // Checking much against a schema takes a while.
            Arguments::Text(text) if tool.rich.is_some() && text.len() > QUICK => {
                tokio::task::block_in_place(|| tool.for_guest(Arguments::Text(text), &context))?
            }
            arguments => tool.for_guest(arguments, &context)?,
        };
        let grants = self.grants_of(tool);
        let scratch = self.scratch(tool, &grants).await?;
        let granted = Granted::of(&grants, scratch.as_ref().map(ScratchFolder::path));
        let onward = Onward {
            dispatcher: self.clone(),
            principal: principal.clone(),
            limits,
            deadline,
            depth,
            together: together.clone(),
            fuel_spent: AtomicU64::new(0),
        };
        let visit = self.inner.desk.visit(About {
            module: tool.module.clone(),
            grants,
            limits,
            deadline,
            together,
            witness: self.inner.witness.clone(),
            invoke: Arc::new(onward),
            listener,
        });
        let call = Call {
            digest: tool.digest,
            function: tool.position,
            arguments,
            limits,
            deadline,
            granted,
            host: visit.clone(),
            heard: visit.heard(),
            trusted: self.inner.config.trusted.covers(&tool.module),
        };
        // The scratch folder goes when the guest has gone, however the call ends.
        let mut finished = self.inner.sandbox.call(call, (place, scratch)).await?;
        visit.over();
        let mut denied: Vec<_> = visit.denied().iter().map(Grant::kind).collect();
        denied.sort_unstable();
        denied.dedup();
        let reached = visit.reached();
        // One whose process died may have no part in that.
        if let Outcome::Stopped(Stopped { reason }) = &mut finished.outcome
            && let StopReason::Trap { crash } = reason
            && *crash != Crash::Process
        {
            // Most tools crash when they are refused what they cannot do without.
            if let [what, ..] = denied[..] {
                *reason = StopReason::Denied { what: what.to_owned() };
            } else if let [reached, ..] = &reached[..] {
                *reason = StopReason::Refused { reached: reached.clone() };
            }
        }
        let Told { outcome, aside, fault } = tool.from_guest(finished.outcome);
        finished.outcome = outcome;
        if let Outcome::ToolError(error) = &finished.outcome
            && error.len() > MAX_TOOL_ERROR.as_usize()
        {
            let reason = StopReason::ResultTooLarge { allowed: MAX_TOOL_ERROR };
            finished.outcome = Outcome::Stopped(Stopped { reason });
        }
        finished.said.faults.extend(fault);
        said::log(tool, &finished, &visit.secrets());
        let reached = visit.together().reached();
        Ok(Ran { finished, aside, denied, reached })
    }

    /// A folder for this call alone, if it is granted one.
    async fn scratch(&self, tool: &Tool, grants: &[Grant]) -> Result<Option<ScratchFolder>, DispatchError> {
        let Some(scratch) = self.inner.config.scratch.clone() else { return Ok(None) };
        if !grants.iter().any(|grant| matches!(grant, Grant::Scratch(_))) {
            return Ok(None);
        }
        let module = tool.module.clone();
        blocking(move || Ok(Some(scratch.create(&module)?))).await
    }
}
