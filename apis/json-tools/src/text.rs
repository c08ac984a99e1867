//! From JSON text to values and back.

use serde::Serialize;
use serde_json::Value;

use crate::exports::fumehood::json_tools::json::{Problem, SyntaxError};

/// Read an argument as JSON.
///
/// Texts nested deeper than 128 levels are refused by `serde_json`, which is what makes recursion over a document safe.
pub fn parse(argument: &str, text: &str) -> Result<Value, Problem> {
    serde_json::from_str(text).map_err(|error| {
        Problem::InvalidJson(SyntaxError {
            argument: argument.to_owned(),
            message: without_position(&error),
            line: count(error.line()),
            column: count(error.column()),
        })
    })
}

/// Write a value as compact JSON.
pub fn write(value: &impl Serialize) -> String {
    serde_json::to_string(value)
        .expect("JSON values have string keys and writing to memory does not fail")
}

/// A length or position as it crosses the interface.
pub fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The position has fields of its own, so the message need not repeat it.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    message
        .strip_suffix(&position)
        .unwrap_or(&message)
        .to_owned()
}
