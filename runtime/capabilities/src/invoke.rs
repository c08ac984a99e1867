//! `fumehood:host/invoke`: calls of other tools.

use serde::{Deserialize, Serialize};

/// A call of another tool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// The tool, as `module.function`.
    pub tool: String,
    /// Its arguments, a JSON object.
    pub arguments: String,
    /// Fuel that the calling tool has left: the called one gets no more.
    pub fuel_units: u64,
}

/// How it ended, when it ended well.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Response {
    /// The answer as JSON, or the error that the tool itself answered with.
    pub answer: Result<String, String>,
    /// Fuel that it burnt, and the calling tool pays for.
    pub fuel_units: u64,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// No grant covers it, or the caller may not call it.
    Denied,
    /// There is no such tool.
    NotFound,
    /// The arguments do not fit; why, in words.
    BadArguments(String),
    /// Tools that call tools have gone as deep as they may.
    TooDeep,
    /// It was stopped; why, in words, and the fuel that it burnt.
    Stopped(String, u64),
    /// There is no place for it, or we failed.
    Unavailable,
}

#[expect(clippy::unused_async, reason = "a stand-in that refuses")]
pub(crate) async fn answer(_visit: &crate::Visit, _request: Request) -> Result<Response, Refused> {
    Err(Refused::Denied)
}
