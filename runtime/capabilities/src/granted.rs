//! What a call is granted, as far as its guest side must know.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What the guest side sets up before the guest starts. Everything else is asked of the [`crate::Host`] when needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Values of `wasi:config`.
    pub config: Vec<(String, String)>,
    /// Folders.
    pub folders: Vec<Folder>,
}

/// A folder that the guest sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// The same folder or one above it, for all calls of its module: what the process that runs them must reach.
    pub within: PathBuf,
    /// Where the guest sees it.
    pub at: String,
    /// Whether the guest may change what is there.
    pub writable: bool,
    /// Most bytes that may be in it.
    pub max_bytes: u64,
    /// Most files and folders that may be in it.
    pub max_files: u64,
}
