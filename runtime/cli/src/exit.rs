//! What the process exits with, and how a failure is told.

use std::{fmt, process::ExitCode};

use fumehood_model::Code;
use fumehood_sources::SourceError;
use serde_json::{Value, json};

use crate::output::{Format, Output, pretty, single_line, terminal_safe};

/// The exit codes of every command. They are documented and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The tool itself answered with an error.
    ToolError = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Nothing is known under this name, or no server answers.
    NotFound = 3,
    /// The credentials do not allow this, or the tool was not granted what it needs.
    Denied = 4,
    /// The call was stopped by a limit.
    Stopped = 5,
    /// What was passed in is not valid.
    Invalid = 6,
    /// We failed.
    Internal = 70,
}

impl Exit {
    /// The exit code of a stable error code.
    pub(crate) fn of(code: Code) -> Self {
        match code {
            Code::ToolError => Self::ToolError,
            Code::NotFound | Code::Unavailable | Code::Gone | Code::StorageFull => Self::NotFound,
            Code::Unauthenticated | Code::Forbidden | Code::Denied | Code::Unconfirmed => Self::Denied,
            Code::Busy
            | Code::Deadline
            | Code::Memory
            | Code::Fuel
            | Code::Trap
            | Code::Cancelled
            | Code::ResultTooLarge
            | Code::QuotaExceeded
            | Code::Interrupted => Self::Stopped,
            Code::Malformed
            | Code::Conflict
            | Code::MethodNotAllowed
            | Code::TooLarge
            | Code::UnsupportedMediaType
            | Code::InvalidInput
            | Code::InvalidComponent
            | Code::Signature => Self::Invalid,
            Code::Internal => Self::Internal,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked.
///
/// Any other error that reaches `main` counts as our own failure and exits with 70.
#[derive(Debug)]
pub(crate) struct Failure(Box<Told>);

/// Boxed, so that every `Result` on the way is small.
#[derive(Debug)]
struct Told {
    exit: Exit,
    code: String,
    message: String,
    /// One line for each thing that is wrong.
    lines: Vec<String>,
    /// What to do about it.
    hint: Option<String>,
    /// The server's own words, for `-o json`.
    document: Option<Value>,
}

impl Failure {
    /// A failure that is known under a stable code.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self::with_exit(Exit::of(code), code.as_str(), message)
    }

    /// The command line makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::with_exit(Exit::Usage, "usage", message)
    }

    /// A failure with a code that this build may not know.
    pub(crate) fn with_exit(exit: Exit, code: impl Into<String>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self(Box::new(Told { exit, code, message, lines: Vec::new(), hint: None, document: None }))
    }

    /// This failure with one line for each thing that is wrong.
    pub(crate) fn lines(mut self, lines: Vec<String>) -> Self {
        self.0.lines = lines;
        self
    }

    /// This failure with a next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// This failure with the document that `-o json` prints for it.
    pub(crate) fn document(mut self, document: Value) -> Self {
        self.0.document = Some(document);
        self
    }

    /// All of it in one sentence, for where it is one of many.
    pub(crate) fn told(&self) -> String {
        let Told { message, lines, .. } = &*self.0;
        if lines.is_empty() { message.clone() } else { format!("{message}: {}", lines.join("; ")) }
    }

    /// What the process exits with.
    pub(crate) fn exit(&self) -> Exit {
        self.0.exit
    }

    /// Whether the failure is known under `code`.
    pub(crate) fn is(&self, code: Code) -> bool {
        self.0.code == code.as_str()
    }

    /// What the server said of it beside its message.
    pub(crate) fn detail(&self, name: &str) -> Option<&str> {
        self.0.document.as_ref()?["details"][name].as_str()
    }

    /// Whether nobody answered at all.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.0.code == "unreachable"
    }

    fn to_json(&self) -> Value {
        let own =
            || json!({ "error": self.0.code, "message": self.0.message, "details": self.0.lines, "hint": self.0.hint });
        self.0.document.clone().unwrap_or_else(own)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&single_line(&self.0.message))?;
        for line in &self.0.lines {
            write!(f, "\n  {}", terminal_safe(line).replace('\n', "\n  "))?;
        }
        match &self.0.hint {
            Some(hint) => write!(f, "\nhint: {}", single_line(hint)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let failure = Self::new(error.code(), error.told());
        match error {
            SourceError::NotForUs { .. } => failure.hint(
                "look at the name, or log in to the registry: docker login REGISTRY, or write ~/.docker/config.json",
            ),
            SourceError::NotASource { .. } => {
                failure.hint("a source is a file, https://HOST/PATH or oci://REGISTRY/REPOSITORY[:TAG][@sha256:…]")
            }
            SourceError::TooLarge { .. } => failure.hint("the bound of components is components.max_size"),
            _ => failure,
        }
    }
}

/// Tell why a command failed, and say what the process exits with.
pub(crate) fn report(error: &anyhow::Error, output: &Output) -> ExitCode {
    let failure = error.downcast_ref::<Failure>();
    let text = match (output.format(), failure) {
        (Format::Text, Some(failure)) => format!("error: {failure}"),
        (Format::Text, None) => format!("error: {}", single_line(&format!("{error:#}"))),
        (Format::Json, Some(failure)) => pretty(&failure.to_json()),
        (Format::Json, None) => pretty(&json!({ "error": Code::Internal, "message": format!("{error:#}") })),
    };
    output.error(&text);
    failure.map_or(Exit::Internal, Failure::exit).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_said_no_is_not_the_sandbox_stopped_it_is_not_we_failed() {
        assert_eq!(Exit::of(Code::ToolError) as u8, 1);
        assert_eq!(Exit::of(Code::Fuel) as u8, 5);
        assert_eq!(Exit::of(Code::Internal) as u8, 70);
    }

    #[test]
    fn a_guest_without_the_grant_is_denied_as_a_caller_without_the_right_is() {
        assert_eq!(Exit::of(Code::Denied), Exit::Denied);
        assert_eq!(Exit::of(Code::Forbidden), Exit::Denied);
        assert_eq!(Exit::of(Code::Unauthenticated), Exit::Denied);
    }

    #[test]
    fn what_is_missing_and_what_is_invalid_have_codes_of_their_own() {
        assert_eq!(Exit::of(Code::NotFound) as u8, 3);
        assert_eq!(Exit::of(Code::InvalidComponent) as u8, 6);
        assert_eq!(Failure::usage("x").exit() as u8, 2);
    }

    #[test]
    fn a_failure_cannot_drive_the_terminal() {
        let failure = Failure::new(Code::Trap, "a\u{1b}[2Jb\nc").lines(vec!["d\u{9b}2J".to_owned()]);

        assert_eq!(failure.to_string(), "a\\u{1b}[2Jb\\nc\n  d\\u{9b}2J");
    }
}
