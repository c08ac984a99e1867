use serde::{Deserialize, Serialize};

/// Most mistakes that one refused input reports.
pub(crate) const MAX_MISTAKES: usize = 50;

/// One thing that is wrong with an input, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistake {
    /// Where, as a JSON pointer (RFC 6901) into the arguments; empty for the arguments as a whole.
    pub pointer: String,
    /// What is wrong and what was expected, in words for the caller.
    pub message: String,
}

/// Why an input was refused before any guest started.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The text is not JSON.
    #[error("the arguments are not valid JSON: {what}")]
    Malformed {
        /// What the parser says, with line and column.
        what: String,
    },
    /// The JSON does not fit the tool's input schema.
    #[error("the arguments do not fit the tool: {}", summary(.mistakes))]
    Mistakes {
        /// Everything that is wrong, in document order.
        mistakes: Vec<Mistake>,
    },
    /// The arguments would take more memory than one call may make the server hold.
    #[error("the arguments are too large: their values would take more than {most_bytes} bytes")]
    TooLarge {
        /// The bound.
        most_bytes: usize,
    },
    /// There is no room for the arguments beside those of other calls.
    #[error("there is no memory for arguments of this size now: try again in a while, or send less at a time")]
    NoMemory,
}

fn summary(mistakes: &[Mistake]) -> String {
    let first: Vec<_> = mistakes
        .iter()
        .take(3)
        .map(|m| if m.pointer.is_empty() { m.message.clone() } else { format!("{}: {}", m.pointer, m.message) })
        .collect();
    let more = mistakes.len().saturating_sub(first.len());
    if more == 0 { first.join("; ") } else { format!("{}; and {more} more", first.join("; ")) }
}
