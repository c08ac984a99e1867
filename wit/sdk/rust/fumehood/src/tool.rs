//! What a tool is, as `#[tool]` writes it.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Answer, Ctx, Reply, ToolError, schema};

/// A function that is offered as a tool. [`macro@crate::tool`] implements it, for a type with the name of the function.
///
/// ```
/// use fumehood::{Tool, prelude::*};
///
/// /// Say hello.
/// #[tool]
/// fn hello(name: String) -> String {
///     format!("Hello, {name}!")
/// }
///
/// let answer = hello::call(&Ctx::fake(), r#"{"name": "Ada"}"#).unwrap();
/// assert_eq!(answer.structured, Some(json!({ "result": "Hello, Ada!" })));
/// ```
pub trait Tool {
    /// Its name.
    const NAME: &'static str;

    /// What models and people are told of it.
    fn describe() -> Description;

    /// Call it with arguments as JSON.
    ///
    /// # Errors
    ///
    /// When the arguments do not fit the types, or with what the tool says.
    fn call(ctx: &Ctx, arguments: &str) -> Result<Answer, ToolError>;
}

/// One tool in the list that [`crate::tools!`] makes.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it is told to be.
    pub describe: fn() -> Description,
    /// How it is called.
    pub call: fn(&Ctx, &str) -> Result<Answer, ToolError>,
}

impl Entry {
    /// The entry of a tool.
    #[must_use]
    pub const fn of<T: Tool>() -> Self {
        Self { name: T::NAME, describe: T::describe, call: T::call }
    }
}

/// What models and people are told of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// Its name for people.
    pub title: Option<&'static str>,
    /// What it does.
    pub description: &'static str,
    /// The JSON Schema of its arguments.
    pub input: Value,
    /// The JSON Schema of its structured answer; none if it answers with content alone.
    pub output: Option<Value>,
    /// What a client may expect of it.
    pub hints: Hints,
    /// Whether a call of it becomes a job.
    pub tasks: Tasks,
}

/// What a client may expect of a tool. What is not said is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hints {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// It may destroy something.
    pub destructive: Option<bool>,
    /// Twice does no more than once.
    pub idempotent: Option<bool>,
    /// It reaches beyond the server.
    pub open_world: Option<bool>,
}

/// Whether a call of a tool becomes a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tasks {
    /// Its caller waits.
    #[default]
    Forbidden,
    /// As its caller wants it.
    Optional,
    /// Always.
    Required,
}

/// The description of a tool with arguments `A` that answers with `R`.
#[doc(hidden)]
#[must_use]
pub fn description<A: JsonSchema, R: Reply>(mut description: Description, examples: Vec<Value>) -> Description {
    description.input = schema::input::<A>(examples);
    description.output = R::schema();
    description
}

/// An argument's name, and what is wrong with a value for it.
#[doc(hidden)]
pub type Fits<'a> = (&'a str, fn(&Value) -> Option<String>);

/// The arguments of a call.
///
/// # Errors
///
/// With where they do not fit, for a model to mend.
#[doc(hidden)]
pub fn arguments<A: DeserializeOwned>(json: &str, fits: &[Fits<'_>]) -> Result<A, ToolError> {
    let whole = match serde_json::from_str(json) {
        Ok(arguments) => return Ok(arguments),
        Err(error) => error,
    };
    // Only now is it worth looking for the one that is wrong.
    let given: Value = serde_json::from_str(json).unwrap_or_default();
    let wrong = fits.iter().find_map(|(name, fits)| Some((name, fits(given.get(name)?)?)));
    Err(match wrong {
        Some((name, message)) => ToolError::invalid(&format!("/{name}"), message),
        None => ToolError::invalid("", without_place(&whole.to_string())),
    })
}

/// What serde says, without the place in a text that nobody sees.
fn without_place(message: &str) -> String {
    message.split_once(" at line ").map_or(message, |(what, _)| what).to_owned()
}
