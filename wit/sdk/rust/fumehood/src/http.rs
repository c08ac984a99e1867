//! Requests to the outside.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::ToolError;
#[cfg(not(target_family = "wasm"))]
use crate::fake::Host;
#[cfg(target_family = "wasm")]
use crate::host::Host;

/// A method of HTTP that can be granted and is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
}

impl Method {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A request that is not sent yet.
///
/// ```
/// use fumehood::{Response, prelude::*};
///
/// let ctx = Ctx::fake().answers("https://api.example.com/v1?q=a%20b", Response::json_of(200, &json!({ "n": 1 })));
/// let answer = ctx.get("https://api.example.com/v1").query("q", "a b").send().unwrap();
/// assert_eq!(answer.json::<Value>().unwrap()["n"], 1);
/// ```
#[derive(Debug)]
#[must_use = "nothing leaves before `send`"]
pub struct Request<'a> {
    host: &'a Host,
    pub(crate) parts: Parts,
}

/// What a request consists of.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(host: &'a Host, method: Method, url: &str) -> Self {
        Self { host, parts: Parts { method, url: url.to_owned(), headers: Vec::new(), body: Vec::new() } }
    }

    /// Add `name=value` to the query, escaped.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        let before = if self.parts.url.contains('?') { '&' } else { '?' };
        self.parts.url.push(before);
        escape(&mut self.parts.url, name);
        self.parts.url.push('=');
        escape(&mut self.parts.url, value);
        self
    }

    /// Add a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.parts.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Send these bytes.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.parts.body = bytes.into();
        self
    }

    /// Send this as JSON.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON.
    pub fn json(self, value: &impl Serialize) -> Result<Self, ToolError> {
        let bytes = serde_json::to_vec(value)?;
        Ok(self.header("content-type", "application/json").body(bytes))
    }

    /// Send it, and wait for the whole answer, whatever its status is.
    ///
    /// # Errors
    ///
    /// `denied` when no grant covers it, `unavailable` when there is no answer.
    pub fn send(self) -> Result<Response, ToolError> {
        self.host.send(self.parts)
    }
}

impl Response {
    /// An answer with this JSON, for tests.
    ///
    /// # Panics
    ///
    /// When `value` cannot be written as JSON.
    #[must_use]
    pub fn json_of(status: u16, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("what a test answers can be written as JSON");
        Self { status, headers: vec![("content-type".to_owned(), "application/json".to_owned())], body }
    }

    /// Itself, if its status is one of success.
    ///
    /// # Errors
    ///
    /// With what kind of a no the status is.
    pub fn ok(self) -> Result<Self, ToolError> {
        let told = format!("the service answered with the status {}", self.status);
        Err(match self.status {
            200..=299 => return Ok(self),
            401 | 403 => ToolError::denied(told),
            404 | 410 => ToolError::not_found(told),
            429 => ToolError::rate_limited(self.retry_after(), told),
            500..=599 => ToolError::unavailable(told),
            _ => ToolError::failed(told),
        })
    }

    /// Its body, read as JSON.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ToolError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| ToolError::unavailable(format!("what the service answered is not as expected: {error}")))
    }

    /// Its body, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first header of this name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn retry_after(&self) -> Duration {
        let seconds = self.header("retry-after").and_then(|text| text.parse().ok());
        Duration::from_secs(seconds.unwrap_or(60))
    }
}

/// Write `text` as RFC 3986 wants it within a query.
fn escape(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(byte.into());
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            url.push('%');
            url.push(DIGITS[usize::from(byte >> 4)].into());
            url.push(DIGITS[usize::from(byte & 15)].into());
        }
    }
}
