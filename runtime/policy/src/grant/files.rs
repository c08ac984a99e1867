use std::path::PathBuf;

use super::Quota;

/// A folder of the server that a guest sees under a name of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FilesGrant {
    /// The folder on the server; none in a request of `tool.toml`, which knows only [`FilesGrant::at`].
    pub folder: Option<PathBuf>,
    /// Where the guest sees it: an absolute path.
    pub at: String,
    /// What it may do there.
    pub access: FileAccess,
    /// How much it may hold, counted from what is there already; only for writers.
    pub quota: Quota,
}

/// What may be done in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileAccess {
    /// Read and list.
    Read,
    /// Read, list, create, change and remove.
    ReadWrite,
}
