//! Who listens to a call while it runs.

use std::{fmt, future::Future, pin::Pin};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{call::Progress, logging::Level};

/// Listens to one call while it runs, and keeps its checkpoint if the call is an attempt of a job.
///
/// What it hears is within the bounds of the call and without the secrets that the guest was handed, and otherwise just
/// as the guest made it: escape it before anyone sees it. It is called on threads that serve others too: it must not
/// block.
pub trait Listener: Send + Sync {
    /// The guest told how far it is; ten times a second at most.
    fn progress(&self, progress: Progress);

    /// Whether it wants to hear what the guest logs and prints. Asked once, before the call begins.
    fn wants_told(&self) -> bool {
        false
    }

    /// The guest has logged and printed this since the last time; ten times a second at most.
    ///
    /// All of it together is the beginning of what is kept at the end.
    fn told(&self, _told: Vec<Told>) {}

    /// Which attempt of its job the call is, from 1; none if it is no job. Asked once, before the call begins.
    fn attempt(&self) -> Option<u32> {
        None
    }

    /// Keep `state` for a later attempt; whether it is kept for good. At most [`crate::job::MAX_STATE`] bytes.
    ///
    /// # Cancellation
    ///
    /// Dropping the future may leave the state kept or not.
    fn checkpoint(&self, _state: Bytes) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(std::future::ready(false))
    }

    /// What an earlier attempt left, if it did.
    fn resumed(&self) -> Option<Bytes> {
        None
    }
}

/// Something that a guest said on the side. All text is the guest's: escape it before anyone sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A line that it logged.
    Log {
        /// How much it matters, as the guest says.
        level: Level,
        /// The text.
        message: String,
        /// What groups lines that belong together; often empty.
        context: String,
    },
    /// What it printed: some bytes on their way, which need not end with a line.
    Output {
        /// Where to.
        stream: Stream,
        /// The text; what is not UTF-8 is replaced.
        text: String,
    },
}

/// Where a guest prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

impl Stream {
    /// Its name, as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the guest side knows of who listens. By default nobody does, and the call is no job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Whether what the guest logs and prints is wanted while it runs.
    pub told: bool,
    /// Which attempt of its job the call is, from 1.
    pub attempt: Option<u32>,
}
