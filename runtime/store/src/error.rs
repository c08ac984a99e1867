use std::{
    io,
    path::{Path, PathBuf},
};

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
    /// The disk has no room for what was to be written. Nothing of it was, and what was written before is safe.
    #[error("the disk of {} is full: make room there; nothing else is needed, the next change is tried anew", path.display())]
    Full {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// The file of the database does not hold what it should.
    #[error(
        "the database {} is damaged: stop the server, then put back a backup with `fumehood restore`, or save what can still be read with `fumehood salvage`",
        path.display()
    )]
    Corrupt {
        /// Its file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// Nothing at all can be saved of a database: what is in it cannot even be told.
    #[error(
        "nothing can be saved of the database {}, for its list of tables cannot be read: put back a backup with `fumehood restore`, or move the file away to begin anew",
        path.display()
    )]
    Lost {
        /// Its file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// This process may only read.
    #[error("the database {} is open for reading only: another process owns the data directory", path.display())]
    ReadOnly {
        /// Its file.
        path: PathBuf,
    },
    /// A read or a change panicked, which is a mistake of ours. Nothing of it was done.
    #[error("an access to the database broke off: this is a mistake in fumehood, and its log tells more")]
    BrokenOff,
    /// A checkpoint is larger than any may be.
    #[error("a checkpoint of {size} bytes is larger than the {} that one may have", crate::MAX_CHECKPOINT)]
    CheckpointTooLarge {
        /// Its size.
        size: usize,
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
    /// Something is where something new was to be.
    #[error("there is something at {} already: name a place where nothing is", path.display())]
    Taken {
        /// The place.
        path: PathBuf,
    },
    /// There is nothing where something was to be read.
    #[error("{} does not exist", path.display())]
    Absent {
        /// The place.
        path: PathBuf,
    },
    /// What was to be restored is not a backup.
    #[error("{} is not a backup of a data directory: it has no {lacks}", path.display())]
    NoBackup {
        /// The folder.
        path: PathBuf,
        /// What every backup has and this has not.
        lacks: &'static str,
    },
    /// What was to be restored has changes that are not in its database: it was copied by other means than a backup.
    #[error(
        "{} is not a whole backup: beside its database there is a log with changes, {}; make a backup of the data directory with `fumehood backup` and restore that",
        path.display(),
        log.display()
    )]
    Unfinished {
        /// The folder.
        path: PathBuf,
        /// The log.
        log: PathBuf,
    },
    /// The database of a backup does not hold what it should.
    #[error("the backup {} is damaged and was not restored: take another one", path.display())]
    DamagedBackup {
        /// The folder.
        path: PathBuf,
        /// What SQLite said of its database.
        #[source]
        source: rusqlite::Error,
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

    /// What an error of SQLite means for whoever runs the server.
    pub(crate) fn database(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full { path, source },
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Corrupt { path, source }
            }
            _ => Self::Database { path, source },
        }
    }
}
