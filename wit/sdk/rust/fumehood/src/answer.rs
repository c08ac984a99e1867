//! What a tool answers.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{ToolError, schema};

/// What can be an answer: anything that can be written as JSON and has a schema, and content.
pub trait Reply {
    /// The JSON Schema of the structured answer; none for content.
    fn schema() -> Option<Value>;

    /// The answer.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON.
    fn reply(self) -> Result<Answer, ToolError>;
}

/// An answer: structured, as content, or both.
///
/// ```
/// use fumehood::prelude::*;
///
/// let answer = Answer::text("a red dot").image(Image::png(b"\x89PNG".to_vec()));
/// assert_eq!(answer.content.len(), 2);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// What is shown to a model or a person. A client that is told nothing here is told what is structured.
    pub content: Vec<Content>,
    /// What a program reads.
    pub structured: Option<Value>,
    /// An object that is passed on as `_meta`.
    pub meta: Option<Value>,
    pub(crate) is_error: bool,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// Text.
    Text(String),
    /// An image.
    Image(Image),
    /// A sound: its bytes and their type, such as `audio/wav`.
    Audio(Vec<u8>, String),
    /// Where something is.
    Link(Link),
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their type, such as `image/png`.
    pub mime_type: String,
}

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its URI.
    pub uri: String,
    /// What it is called.
    pub name: String,
}

impl Answer {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: vec![Content::Text(text.into())], ..Self::default() }
    }

    /// This and an image.
    #[must_use]
    pub fn image(self, image: Image) -> Self {
        self.and(Content::Image(image))
    }

    /// This and another piece.
    #[must_use]
    pub fn and(mut self, content: Content) -> Self {
        self.content.push(content);
        self
    }

    /// Whether it tells an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.is_error
    }
}

impl Image {
    /// A PNG.
    #[must_use]
    pub fn png(bytes: Vec<u8>) -> Self {
        Self { bytes, mime_type: "image/png".to_owned() }
    }

    /// An SVG.
    #[must_use]
    pub fn svg(text: String) -> Self {
        Self { bytes: text.into_bytes(), mime_type: "image/svg+xml".to_owned() }
    }
}

impl<T: Serialize + JsonSchema> Reply for T {
    fn schema() -> Option<Value> {
        Some(schema::output::<T>())
    }

    fn reply(self) -> Result<Answer, ToolError> {
        let mut value = serde_json::to_value(self)?;
        without_nulls(&mut value);
        let structured = match value {
            Value::Object(_) => value,
            Value::Null => json!({}),
            _ => json!({ "result": value }),
        };
        Ok(Answer { structured: Some(structured), ..Answer::default() })
    }
}

impl Reply for Answer {
    fn schema() -> Option<Value> {
        None
    }

    fn reply(self) -> Result<Answer, ToolError> {
        Ok(self)
    }
}

impl Reply for Content {
    fn schema() -> Option<Value> {
        None
    }

    fn reply(self) -> Result<Answer, ToolError> {
        Ok(Answer::default().and(self))
    }
}

impl Reply for Image {
    fn schema() -> Option<Value> {
        None
    }

    fn reply(self) -> Result<Answer, ToolError> {
        Content::Image(self).reply()
    }
}

/// Nothing is left out, as everywhere here, and not written as `null`.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
