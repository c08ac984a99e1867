use std::{io, path::PathBuf};

use fumehood_model::Digest;

/// Why durable state could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process serves from this directory.
    #[error("the data directory {} is in use by another fumehood server: stop it, or choose another with --data-dir", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A file or directory could not be used.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The database refused.
    #[error("the database {} failed", path.display())]
    Database {
        /// Its file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// The database is of a newer version than this program.
    #[error("the database {} is of version {found}, newer than the {known} that this program knows: use a newer fumehood", path.display())]
    Newer {
        /// Its file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// Stored bytes are not what they are named.
    #[error("the stored component {expected} is damaged: its bytes hash to {actual}")]
    Damaged {
        /// Its name.
        expected: Digest,
        /// What its bytes hash to.
        actual: Digest,
    },
    /// No component of this digest is stored.
    #[error("component {digest} is not in the data directory")]
    Missing {
        /// The digest that was asked for.
        digest: Digest,
    },
    /// A small file of ours does not hold what it should.
    #[error("{} is damaged: {what}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A secret cannot be opened with the key of this data directory.
    #[error("the secret {name} cannot be opened: it was sealed by another data directory, or is damaged; set it again")]
    Unsealable {
        /// Its name.
        name: String,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

impl StoreError {
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}
