//! Tools that their component describes itself.

use std::sync::Arc;

use bytes::Bytes;
use fumehood_model::{Crash, Outcome, StopReason, Stopped};
use fumehood_value::{Arguments, InputError, Mistake};
use serde_json::{Map, Value, json};

use super::Tool;
use crate::rich::{Aside, CallContext, RichTool, tool_result};

/// What a call has come to, for whoever made it.
#[derive(Debug)]
pub struct Told {
    /// Its outcome; of a tool that its component describes itself, an object with content blocks.
    pub outcome: Outcome<Bytes>,
    /// What the outcome cannot say.
    pub aside: Option<Aside>,
    /// What is wrong with the answer, for the operator.
    pub fault: Option<String>,
}

impl Tool {
    /// Whether `arguments` fit.
    ///
    /// # Errors
    ///
    /// With everything in which they do not.
    pub fn check(&self, arguments: Arguments) -> Result<(), InputError> {
        match &self.rich {
            None => self.plan.accept(arguments).map(drop),
            Some(rich) => fitting(rich, arguments).map(drop),
        }
    }

    /// The arguments as the guest takes them.
    ///
    /// # Errors
    ///
    /// With everything in which they do not fit, as far as it is told before the guest is reached.
    pub fn for_guest(&self, arguments: Arguments, context: &CallContext) -> Result<Arguments, InputError> {
        let Some(rich) = &self.rich else { return Ok(arguments) };
        let arguments = fitting(rich, arguments)?.to_string();
        Ok(Arguments::Parsed(json!({ "name": rich.name, "arguments": arguments, "context": context.to_json() })))
    }

    /// What the guest has answered, as its callers take it.
    #[must_use]
    pub fn from_guest(&self, outcome: Outcome<Bytes>) -> Told {
        let Some(rich) = &self.rich else { return Told { outcome, aside: None, fault: None } };
        let told = match outcome {
            Outcome::Stopped(stopped) => return Told { outcome: Outcome::Stopped(stopped), aside: None, fault: None },
            Outcome::Value(json) => tool_result(&json, rich.output.as_ref()),
            Outcome::ToolError(json) => Aside::of_error(&json).map(|aside| match aside {
                // What a model can mend is an answer.
                Aside::Refused(sentence) => Ok((failure(&sentence), true)),
                aside => Err(aside),
            }),
        };
        let outcome = |result: Value, is_error: bool| {
            let json = Bytes::from(result.to_string());
            if is_error { Outcome::ToolError(json) } else { Outcome::Value(json) }
        };
        match told {
            Ok(Ok((result, is_error))) => Told { outcome: outcome(result, is_error), aside: None, fault: None },
            Ok(Err(aside)) => {
                Told { outcome: outcome(failure(&aside.sentence()), true), aside: Some(aside), fault: None }
            }
            Err(fault) => {
                let reason = StopReason::Trap { crash: Crash::Value };
                Told { outcome: Outcome::Stopped(Stopped { reason }), aside: None, fault: Some(fault) }
            }
        }
    }

    /// An answer without what surrounds it: the structured one, if there is one, or else the object with content blocks. Of
    /// a tool that is a plain function, the answer as it is.
    #[must_use]
    pub fn bare(&self, json: Bytes) -> Bytes {
        if self.rich.is_none() {
            return json;
        }
        let Ok(Value::Object(mut result)) = serde_json::from_slice(&json) else { return json };
        if let Some(structured) = result.remove("structuredContent") {
            return structured.to_string().into();
        }
        if result.get("isError") == Some(&Value::Bool(true)) {
            return only_text(&result).map_or(json, |text| Value::from(text).to_string().into());
        }
        json
    }
}

/// The text of a result that holds nothing else.
fn only_text(result: &Map<String, Value>) -> Option<&str> {
    match result.get("content")?.as_array()?.as_slice() {
        [block] => block["text"].as_str(),
        _ => None,
    }
}

fn failure(sentence: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": sentence }], "isError": true })
}

fn fitting(rich: &Arc<RichTool>, arguments: Arguments) -> Result<Value, InputError> {
    let value = match arguments {
        Arguments::Parsed(value) => value,
        Arguments::Text(text) if text.trim_ascii().is_empty() => Value::Object(Map::new()),
        Arguments::Text(text) => {
            serde_json::from_slice(&text).map_err(|error| InputError::Malformed { what: error.to_string() })?
        }
    };
    if !value.is_object() {
        let message = "the arguments must be an object".to_owned();
        return Err(InputError::Mistakes { mistakes: vec![Mistake { pointer: String::new(), message }] });
    }
    let mistakes = rich.input.mistakes(&value);
    if mistakes.is_empty() { Ok(value) } else { Err(InputError::Mistakes { mistakes }) }
}
