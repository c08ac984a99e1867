//! How a tool says no.

use std::{fmt::Display, time::Duration};

use serde_json::{Value, json};

use crate::{Answer, Asks};

/// Why a tool has no answer: written for the model that called, which may mend it.
///
/// ```
/// use fumehood::ToolError;
///
/// let error = ToolError::invalid("/amount", "give an amount of at least 0");
/// assert_eq!(error.to_string(), "/amount: give an amount of at least 0");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ToolError(pub(crate) Inner);

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Inner {
    Said {
        kind: Kind,
        message: String,
        pointer: Option<String>,
        retry_after: Option<Duration>,
    },
    /// Not an error for whoever calls: the tool is called again with the answers.
    Asks(Asks),
}

/// What kind of a no it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// An argument makes no sense.
    Invalid,
    /// What is asked for is not there.
    NotFound,
    /// The tool may not do that.
    Denied,
    /// Too often; later it may do.
    RateLimited,
    /// Something that the tool needs is not there now; later it may do.
    Unavailable,
    /// Whoever called wants no more of it.
    Cancelled,
    /// Anything else.
    Failed,
}

impl Kind {
    /// Its name in what is told.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Denied => "denied",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

impl ToolError {
    /// The argument at `pointer`, a JSON pointer such as `/amount`, makes no sense.
    pub fn invalid(pointer: &str, message: impl Display) -> Self {
        let pointer = Some(pointer.to_owned());
        Self(Inner::Said { kind: Kind::Invalid, message: message.to_string(), pointer, retry_after: None })
    }

    /// What is asked for is not there.
    pub fn not_found(message: impl Display) -> Self {
        Self::said(Kind::NotFound, message)
    }

    /// The tool may not do that.
    pub fn denied(message: impl Display) -> Self {
        Self::said(Kind::Denied, message)
    }

    /// Too often: it may do after so long.
    pub fn rate_limited(retry_after: Duration, message: impl Display) -> Self {
        let message = message.to_string();
        Self(Inner::Said { kind: Kind::RateLimited, message, pointer: None, retry_after: Some(retry_after) })
    }

    /// Something that the tool needs is not there now.
    pub fn unavailable(message: impl Display) -> Self {
        Self::said(Kind::Unavailable, message)
    }

    /// Whoever called wants no more of it.
    pub fn cancelled(message: impl Display) -> Self {
        Self::said(Kind::Cancelled, message)
    }

    /// Anything else.
    pub fn failed(message: impl Display) -> Self {
        Self::said(Kind::Failed, message)
    }

    fn said(kind: Kind, message: impl Display) -> Self {
        Self(Inner::Said { kind, message: message.to_string(), pointer: None, retry_after: None })
    }

    /// What kind of a no it is; none if the tool asks its user.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match &self.0 {
            Inner::Said { kind, .. } => Some(*kind),
            Inner::Asks(_) => None,
        }
    }

    /// What the tool asks its user, if that is why there is no answer.
    #[must_use]
    pub fn asks(&self) -> Option<&Asks> {
        match &self.0 {
            Inner::Asks(asks) => Some(asks),
            Inner::Said { .. } => None,
        }
    }

    /// What whoever called is told of it.
    ///
    /// # Errors
    ///
    /// With what the tool asks, if that is why there is no answer.
    pub fn into_answer(self) -> Result<Answer, Asks> {
        let Inner::Said { kind, pointer, retry_after, .. } = &self.0 else {
            let Inner::Asks(asks) = self.0 else { unreachable!("one of two") };
            return Err(asks);
        };
        let mut told = json!({ "kind": kind.name() });
        if let Some(pointer) = pointer {
            told["pointer"] = pointer.as_str().into();
        }
        if let Some(after) = retry_after {
            told["retry_after_ms"] = Value::from(after.as_millis() as u64);
        }
        Ok(Answer { is_error: true, meta: Some(json!({ "fumehood/error": told })), ..Answer::text(self.to_string()) })
    }
}

impl Display for ToolError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Inner::Said { message, pointer: Some(pointer), .. } if !pointer.is_empty() => {
                f.write_str(pointer)?;
                f.write_str(": ")?;
                f.write_str(message)
            }
            Inner::Said { message, .. } => f.write_str(message),
            Inner::Asks(_) => f.write_str("the tool needs an answer of its user"),
        }
    }
}

impl std::error::Error for ToolError {}

impl From<String> for ToolError {
    fn from(message: String) -> Self {
        Self::failed(message)
    }
}

impl From<&str> for ToolError {
    fn from(message: &str) -> Self {
        Self::failed(message)
    }
}

impl From<serde_json::Error> for ToolError {
    fn from(error: serde_json::Error) -> Self {
        Self::failed(error)
    }
}

impl From<Asks> for ToolError {
    fn from(asks: Asks) -> Self {
        Self(Inner::Asks(asks))
    }
}
