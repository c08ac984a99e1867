//! What a tool asks its user, and what came back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::ToolError;

/// What a tool needs before it can go on. The tool is called again with the answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Asks {
    /// What it asks.
    pub requests: Vec<Request>,
    /// What it remembers until then.
    pub state: Vec<u8>,
}

/// A question under its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The tool's name for it.
    pub key: String,
    /// What it asks.
    pub question: Question,
}

/// What a tool asks of a client.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Question {
    /// Show a form to the user.
    Form {
        /// What it is about.
        message: String,
        /// Its fields.
        schema: Value,
    },
    /// Send the user to a URL.
    Url {
        /// What it is about.
        message: String,
        /// Where to.
        url: String,
    },
    /// Ask the client's model: the parameters of `sampling/createMessage`.
    Model(Value),
}

/// What is remembered between the calls of one question and the next: the host seals it, so that an answer counts only if
/// its question was asked.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Answers {
    /// What was answered before.
    answered: BTreeMap<String, Value>,
    /// What was asked last.
    asked: Vec<String>,
}

impl Answers {
    /// What is known after the state of an earlier call came back with these responses.
    pub(crate) fn of(state: Option<&[u8]>, responses: impl IntoIterator<Item = (String, Value)>) -> Self {
        let mut known: Self = state.and_then(|state| serde_json::from_slice(state).ok()).unwrap_or_default();
        for (key, body) in responses {
            if known.asked.contains(&key) {
                known.answered.insert(key, body);
            }
        }
        known.asked.clear();
        known
    }

    /// The answer under `key`, or what asks for it.
    pub(crate) fn get(&self, key: &str, question: impl FnOnce() -> Question) -> Result<&Value, ToolError> {
        if let Some(body) = self.answered.get(key) {
            return Ok(body);
        }
        let known = Self { answered: self.answered.clone(), asked: vec![key.to_owned()] };
        let requests = vec![Request { key: key.to_owned(), question: question() }];
        Err(Asks { requests, state: serde_json::to_vec(&known)? }.into())
    }
}

/// What the user filled in; nothing if there is none who agreed to.
pub(crate) fn filled_in<T: DeserializeOwned>(key: &str, body: &Value) -> Result<Option<T>, ToolError> {
    if body["action"] != "accept" {
        return Ok(None);
    }
    let content = body.get("content").cloned().unwrap_or_else(|| Map::new().into());
    serde_json::from_value(content)
        .map(Some)
        .map_err(|error| ToolError::failed(format!("the answer to `{key}` is not as it was asked for: {error}")))
}
