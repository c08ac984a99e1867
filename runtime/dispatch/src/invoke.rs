//! Tools that call tools.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use fumehood_capabilities::{
    Invoke, Together,
    invoke::{Permitted, Refused, Response},
};
use fumehood_model::{Outcome, Principal};
use fumehood_policy::{Action, Limits};
use fumehood_registry::{Tool, rich::CallContext};
use fumehood_sandbox::Finished;
use fumehood_value::Arguments;

use crate::{
    DispatchError, Dispatcher,
    run::{Ran, Run},
};

/// Most bytes of a sentence that a guest is told about a call of its own making.
const MAX_SENTENCE: usize = 2_048;

/// The way from a call to other tools: as whoever made the call, and within what the call has left.
///
/// A call that is made on the way takes no place of its own: the one that waits for it has one already, and would hold
/// it for nothing.
pub(crate) struct Onward {
    /// The door.
    pub(crate) dispatcher: Dispatcher,
    /// Whose rights count, at every depth.
    pub(crate) principal: Principal,
    /// The limits of the call that this is the way from.
    pub(crate) limits: Limits,
    /// When that call must have ended; what it calls ends then too.
    pub(crate) deadline: Instant,
    /// How many calls stand between that call and the outside: none for one that came from there.
    pub(crate) depth: u64,
    /// What all of them use together.
    pub(crate) together: Together,
    /// Fuel that those have used which were made from here: a guest counts it too, but its process is not believed.
    pub(crate) fuel_spent: AtomicU64,
}

impl Invoke for Onward {
    fn invoke(&self, call: Permitted) -> Pin<Box<dyn Future<Output = Result<Response, Refused>> + Send + '_>> {
        Box::pin(self.call(call))
    }
}

impl Onward {
    async fn call(&self, call: Permitted) -> Result<Response, Refused> {
        let Permitted { tools, arguments, fuel_units } = call;
        if self.depth >= self.limits.invoke_depth {
            return Err(Refused::TooDeep);
        }
        Action::Call.check(&self.principal).map_err(|_| Refused::Denied)?;
        let tool = self.find(&tools).ok_or(Refused::NotFound)?;
        if tool.requires_confirmation {
            // Nobody can be asked from here.
            tracing::warn!(tool.name = %tool.name, "A tool that must be confirmed could not be called by another");
            return Err(Refused::Denied);
        }
        let left = self.limits.fuel_units.saturating_sub(self.fuel_spent.load(Ordering::Relaxed));
        let limits = Limits { fuel_units: left.min(fuel_units), ..self.limits };
        let limits = limits.lowered_by(&tool.limits);
        // A turn that is free now, or none: who waited for it while its caller holds another could wait forever.
        let now = Instant::now();
        let turn = self.dispatcher.turn(&tool, &limits, now).await.map_err(|_| Refused::Unavailable)?;
        let run = Run {
            principal: &self.principal,
            tool: &tool,
            arguments: Arguments::Text(arguments.into()),
            limits,
            deadline: self.deadline.min(now + limits.deadline()),
            depth: self.depth + 1,
            together: self.together.clone(),
            // Whoever listens has called another tool, and knows nothing of this one.
            listener: None,
            // Nor can it be asked anything.
            context: CallContext::default(),
        };
        match self.dispatcher.run(run, turn).await {
            Ok(Ran { finished: Finished { outcome, usage, .. }, .. }) => {
                self.fuel_spent.fetch_add(usage.fuel_units, Ordering::Relaxed);
                let outcome = match outcome {
                    Outcome::Value(json) => Outcome::Value(tool.bare(json)),
                    Outcome::ToolError(json) => Outcome::ToolError(tool.bare(json)),
                    stopped => stopped,
                };
                answered(outcome, usage.fuel_units)
            }
            Err(DispatchError::Input(error)) => Err(Refused::BadArguments(sentence(&error.to_string()))),
            Err(error) => {
                tracing::warn!(tool.name = %tool.name, %error, "A tool could not be called by another");
                Err(Refused::Unavailable)
            }
        }
    }

    /// The first of `tools` that there is.
    fn find(&self, tools: &[(String, String)]) -> Option<Arc<Tool>> {
        let catalogue = self.dispatcher.inner.registry.current();
        tools.iter().find_map(|(module, function)| catalogue.module(module)?.tool(function).cloned())
    }
}

fn answered(outcome: Outcome<bytes::Bytes>, fuel_units: u64) -> Result<Response, Refused> {
    // What the sandbox hands over as JSON is text.
    let text = |json: bytes::Bytes| String::from_utf8(json.into()).map_err(|_| Refused::Unavailable);
    match outcome {
        Outcome::Value(json) => Ok(Response { answer: Ok(text(json)?), fuel_units }),
        Outcome::ToolError(json) => Ok(Response { answer: Err(text(json)?), fuel_units }),
        Outcome::Stopped(stopped) => Err(Refused::Stopped(sentence(&stopped.to_string()), fuel_units)),
    }
}

fn sentence(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_SENTENCE)].to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fumehood_model::{StopReason, Stopped};

    use super::*;

    #[test]
    fn what_the_tool_said_and_why_it_was_stopped_are_told_apart_and_paid_for() {
        let json = || bytes::Bytes::from_static(b"\"x\"");
        let late = StopReason::Deadline { allowed: Duration::from_secs(1) };

        let value = answered(Outcome::Value(json()), 5).unwrap();
        let error = answered(Outcome::ToolError(json()), 6).unwrap();
        let stopped = answered(Outcome::Stopped(Stopped { reason: late }), 7).unwrap_err();

        assert_eq!((value.answer, value.fuel_units), (Ok("\"x\"".to_owned()), 5));
        assert_eq!((error.answer, error.fuel_units), (Err("\"x\"".to_owned()), 6));
        assert_eq!(stopped, Refused::Stopped("the call was stopped at its deadline of 1000 ms".to_owned(), 7));
    }

    #[test]
    fn a_sentence_is_cut_at_a_character() {
        assert_eq!(sentence(&format!("x{}", "ä".repeat(2_000))).len(), MAX_SENTENCE - 1);
    }
}
