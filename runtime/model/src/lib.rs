//! The nouns of the product: names, digests, principals, outcomes and the codes of failures.
//!
//! Every other crate speaks in these words. This crate deliberately knows nothing of WebAssembly engines, HTTP,
//! databases or async runtimes, so that a name means the same in a log line, a SQL row and a JSON answer.
//!
//! ```
//! use fumehood_model::{ModuleName, ToolName};
//!
//! let module: ModuleName = "text-stats".parse()?;
//! let tool = ToolName::of(&module, "count-words");
//! assert_eq!(tool.as_str(), "text-stats__count-words");
//! # Ok::<(), fumehood_model::NameError>(())
//! ```

mod bound;
mod code;
mod composition;
mod digest;
mod job;
mod name;
mod outcome;
mod principal;
mod size;
mod standing;
mod timestamp;

pub use bound::{Bound, Lowered, Unit};
pub use code::Code;
pub use composition::{Composition, Part};
pub use digest::{Digest, DigestError};
pub use job::{Asked, Failure, Job, JobId, JobIdError, JobOutcome, JobState, JobTool, Priority, Progress};
pub use name::{ModuleName, NameError, ToolName};
pub use outcome::{Captured, Crash, Outcome, Reached, StopReason, Stopped, Usage};
pub use principal::{KeyId, KeyLimits, Principal, Role};
pub use size::ByteSize;
pub use standing::{Signer, Standing};
pub use timestamp::{Timestamp, TimestampError};
