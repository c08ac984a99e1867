use serde::Serialize;
use serde_json::Value;

use crate::bounds::{MAX_MISTAKES, MAX_NAME_CHARS};

/// One thing that is wrong with what a caller asked for, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// Where, as a JSON pointer (RFC 6901) into the arguments.
    pub pointer: String,
    /// What is wrong and what was expected, in words for the caller.
    pub message: String,
}

/// Everything that is wrong with what a caller asked for; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("the answer cannot be shaped so: {}", summary(.mistakes))]
pub struct Mistakes {
    /// In the order of the arguments.
    pub mistakes: Vec<Mistake>,
}

impl Mistakes {
    pub(crate) fn one(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { mistakes: vec![Mistake { pointer: pointer.into(), message: message.into() }] }
    }
}

/// Where mistakes are collected, up to a bound.
#[derive(Debug, Default)]
pub(crate) struct Collected(Vec<Mistake>);

impl Collected {
    /// Note that the argument `key` is wrong, and why.
    pub(crate) fn add(&mut self, base: &str, key: &str, message: impl Into<String>) {
        if self.0.len() < MAX_MISTAKES {
            let pointer = format!("{base}/{}", escaped(&shown(key)));
            self.0.push(Mistake { pointer, message: message.into() });
        }
    }

    /// Keep what is right, note what is not.
    pub(crate) fn keep<T>(&mut self, base: &str, key: &str, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|message| self.add(base, key, message)).ok()
    }

    pub(crate) fn into_result<T>(self, right: T) -> Result<T, Mistakes> {
        if self.0.is_empty() { Ok(right) } else { Err(Mistakes { mistakes: self.0 }) }
    }
}

/// A name as one step of a JSON pointer.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A name or text that others chose, short enough to be repeated.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_NAME_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What kind of JSON this is, with its article.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn summary(mistakes: &[Mistake]) -> String {
    let first: Vec<_> = mistakes.iter().take(3).map(|m| format!("{}: {}", m.pointer, m.message)).collect();
    let more = mistakes.len().saturating_sub(first.len());
    if more == 0 { first.join("; ") } else { format!("{}; and {more} more", first.join("; ")) }
}
