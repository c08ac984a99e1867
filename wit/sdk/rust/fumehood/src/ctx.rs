//! What a tool knows of its call, and what it can reach.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

#[cfg(not(target_family = "wasm"))]
use crate::fake::Host;
#[cfg(target_family = "wasm")]
use crate::host::Host;
use crate::{
    Bucket, Method, Question, Request, ToolError,
    ask::{Answers, filled_in},
    schema,
};

/// The call that a tool is in. A function that wants it has an argument of this type, anywhere among the others, and no
/// caller sees that.
///
/// ```
/// use fumehood::prelude::*;
///
/// /// Count to a number.
/// #[tool]
/// fn count(ctx: &Ctx, to: u32) -> Result<u32, ToolError> {
///     for step in 1..=to {
///         if ctx.cancelled() {
///             return Err(ToolError::cancelled(format!("stopped at {step}")));
///         }
///         ctx.progress(step.into(), to.into(), "counting");
///     }
///     Ok(to)
/// }
///
/// let ctx = Ctx::fake();
/// assert_eq!(count(&ctx, 3).unwrap(), 3);
/// assert_eq!(ctx.told().progress.len(), 3);
/// ```
#[derive(Debug)]
pub struct Ctx {
    pub(crate) host: Host,
    pub(crate) answers: Answers,
}

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What helps to find a fault.
    Debug,
    /// What is worth knowing in good times.
    Info,
    /// What may go wrong.
    Warn,
    /// What has gone wrong.
    Error,
}

/// What needs no permission.
impl Ctx {
    /// Tell how far the work is: `done` of `total`, in units of your choice. At most ten a second are passed on.
    pub fn progress(&self, done: f64, total: f64, message: &str) {
        self.host.progress(done, total, message);
    }

    /// Whether whoever called wants the call to end. A tool that works long looks now and then, and returns what it has.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.host.cancelled()
    }

    /// How long it is until the call is stopped.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.host.remaining()
    }

    /// Write a line into the operator's log. Secrets that the tool has read are struck out.
    pub fn log(&self, level: Level, message: &str) {
        self.host.log(level, message);
    }

    /// Log what is worth knowing in good times.
    pub fn info(&self, message: &str) {
        self.log(Level::Info, message);
    }

    /// Log what may go wrong.
    pub fn warn(&self, message: &str) {
        self.log(Level::Warn, message);
    }

    /// Which attempt of its job the call is: 1 for the first, and for calls that are none.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.host.attempt()
    }

    /// Keep `state`, at most 1 MiB as JSON, for a later attempt of the job. Nothing is kept for a call that is no job.
    ///
    /// # Errors
    ///
    /// When it is too large, or cannot be kept.
    pub fn checkpoint(&self, state: &impl Serialize) -> Result<(), ToolError> {
        self.host.checkpoint(&serde_json::to_vec(state)?)
    }

    /// What was kept last, by this attempt or an earlier one.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn resumed<T: DeserializeOwned>(&self) -> Result<Option<T>, ToolError> {
        let state = self.host.resumed();
        let parsed = state.map(|state| serde_json::from_slice(&state)).transpose();
        parsed.map_err(|error| ToolError::failed(format!("the checkpoint is not as it was kept: {error}")))
    }
}

/// Questions to whoever calls. Ask with `?`: the tool ends there, and is called again from its beginning, with the same
/// arguments; then the same line has the answer. What was done before it is done again, so ask first.
impl Ctx {
    /// Show the user a form with the fields of `T`, a flat struct; nothing if the user declines.
    ///
    /// # Errors
    ///
    /// With the question, as long as there is no answer.
    pub fn ask<T: DeserializeOwned + JsonSchema>(&self, key: &str, message: &str) -> Result<Option<T>, ToolError> {
        let question = || Question::Form { message: message.to_owned(), schema: schema::form::<T>() };
        filled_in(key, self.answer(key, question)?)
    }

    /// Send the user to a URL. Whether the user went.
    ///
    /// # Errors
    ///
    /// With the question, as long as there is no answer.
    pub fn ask_to_visit(&self, key: &str, message: &str, url: &str) -> Result<bool, ToolError> {
        let question = || Question::Url { message: message.to_owned(), url: url.to_owned() };
        Ok(self.answer(key, question)?["action"] == "accept")
    }

    /// Ask the caller's model: the parameters of `sampling/createMessage` of MCP, answered with its result.
    ///
    /// # Errors
    ///
    /// With the question, as long as there is no answer.
    pub fn ask_model(&self, key: &str, params: &Value) -> Result<&Value, ToolError> {
        self.answer(key, || Question::Model(params.clone()))
    }

    fn answer(&self, key: &str, question: impl FnOnce() -> Question) -> Result<&Value, ToolError> {
        self.answers.get(key, || {
            let question = question();
            self.host.asked(&question);
            question
        })
    }
}

/// What needs a permission.
impl Ctx {
    /// The secret called `name`. Needs `secret:NAME`.
    ///
    /// # Errors
    ///
    /// When it is not granted or not set.
    pub fn secret(&self, name: &str) -> Result<String, ToolError> {
        self.host.secret(name)
    }

    /// The values of the bucket called `name`. Needs `keyvalue:NAME`.
    ///
    /// # Errors
    ///
    /// When it is not granted.
    pub fn bucket(&self, name: &str) -> Result<Bucket<'_>, ToolError> {
        Bucket::open(&self.host, name)
    }

    /// A request for what is at `url`. Needs `http:GET URL`.
    pub fn get(&self, url: &str) -> Request<'_> {
        self.request(Method::Get, url)
    }

    /// A request that sends something to `url`. Needs `http:POST URL`.
    pub fn post(&self, url: &str) -> Request<'_> {
        self.request(Method::Post, url)
    }

    /// Any request. Needs `http:METHOD URL`.
    pub fn request(&self, method: Method, url: &str) -> Request<'_> {
        Request::new(&self.host, method, url)
    }

    /// Call another tool, named `module.function`, with the rights of whoever called this one. Needs `invoke:TOOL`.
    ///
    /// # Errors
    ///
    /// When it is not granted, not there, or says no.
    pub fn call(&self, tool: &str, arguments: &impl Serialize) -> Result<Value, ToolError> {
        let answer = self.host.call(tool, &serde_json::to_string(arguments)?)?;
        Ok(serde_json::from_str(&answer)?)
    }
}
