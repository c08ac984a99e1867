//! The stable codes under which every failure is known, on every front end.

use serde::{Deserialize, Serialize};

/// What went wrong, in one word that never changes.
///
/// A caller may match on it, the documentation has a section for each, and every front end derives its own form
/// (an HTTP status, a JSON-RPC error, an exit code) from it in one exhaustive `match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request could not be parsed at all.
    Malformed,
    /// No usable credentials came with the request.
    Unauthenticated,
    /// The credentials do not allow this.
    Forbidden,
    /// Nothing is known under this name.
    NotFound,
    /// The name is taken, or the thing is in the wrong state.
    Conflict,
    /// The method does not exist on this path.
    MethodNotAllowed,
    /// The body or component is larger than allowed.
    TooLarge,
    /// The content type is not one that is understood here.
    UnsupportedMediaType,
    /// The arguments do not fit the tool's input schema.
    InvalidInput,
    /// The uploaded bytes are not a component that can be served.
    InvalidComponent,
    /// The component is not signed by anybody who is trusted.
    Signature,
    /// The tool itself answered with an error.
    ToolError,
    /// Too many calls are running or waiting.
    Busy,
    /// The server is starting or draining.
    Unavailable,
    /// The call ran out of time.
    Deadline,
    /// The call ran out of memory.
    Memory,
    /// The call ran out of fuel.
    Fuel,
    /// The tool crashed.
    Trap,
    /// The tool tried something that it was not granted.
    Denied,
    /// The caller went away or cancelled.
    Cancelled,
    /// The tool's answer was larger than allowed.
    ResultTooLarge,
    /// The call used up another bound: calls of the host, handles, random bytes.
    QuotaExceeded,
    /// What the job was to run was removed before it did.
    Gone,
    /// The server ended while the job ran, and running it twice might do harm.
    Interrupted,
    /// A person must confirm the call first.
    #[serde(rename = "confirmation_required")]
    Unconfirmed,
    /// There is no room left to keep anything.
    StorageFull,
    /// We failed.
    Internal,
}

impl Code {
    /// The code as it is written in answers and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::InvalidInput => "invalid_input",
            Self::InvalidComponent => "invalid_component",
            Self::Signature => "signature",
            Self::ToolError => "tool_error",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Fuel => "fuel",
            Self::Trap => "trap",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::ResultTooLarge => "result_too_large",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Gone => "gone",
            Self::Interrupted => "interrupted",
            Self::Unconfirmed => "confirmation_required",
            Self::StorageFull => "storage_full",
            Self::Internal => "internal",
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
