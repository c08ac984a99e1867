use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use crate::{Blobs, Cache, Database, KeyRing, Results, Scratch, Seals, Secrets, StoreError, backup::DATABASE};

/// What a process wants with a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Serve from it: only one process at a time can.
    Own,
    /// Read modules from it beside a process that serves, adding nothing but caches.
    Share,
}

/// An open data directory.
///
/// As long as it lives, no other process can open the same directory with [`Access::Own`].
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    secret: [u8; 32],
    access: Access,
    /// Held for the lock on it.
    _lock: File,
}

impl DataDirectory {
    /// Open the directory, making it on first use.
    ///
    /// # Errors
    ///
    /// When another process owns it, or it cannot be made or read.
    pub fn open(path: &Path, access: Access) -> Result<Self, StoreError> {
        private_directory(path)?;
        if access == Access::Own && is_open_to_others(path) {
            let path = path.display();
            tracing::warn!("Other users of this machine can enter the data directory {path}: chmod 700 {path}");
        }
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(StoreError::io("open", &lock_path))?;
        if access == Access::Own && flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(StoreError::InUse { path: path.to_owned() });
        }
        if access == Access::Own {
            sweep(&[path, &path.join("components"), &path.join("cache")]);
        }
        let secret = secret(&path.join("secret"))?;
        Ok(Self { path: path.to_owned(), secret, access, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file with the first administrator's key.
    #[must_use]
    pub fn admin_key_file(path: &Path) -> PathBuf {
        path.join("admin.key")
    }

    /// The database of modules and keys.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or migrated.
    pub fn database(&self) -> Result<Database, StoreError> {
        let path = self.path.join(DATABASE);
        if self.access == Access::Own {
            // SQLite makes its files for everyone, and those beside the database as the database is.
            let made = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
            made.map_err(StoreError::io("open", &path))?;
            for beside in ["", "-wal", "-shm"] {
                close_to_others(&self.path.join(format!("{DATABASE}{beside}")))?;
            }
        }
        Database::open(&path, self.access)
    }

    /// The bytes of components.
    ///
    /// # Errors
    ///
    /// When its folder cannot be made.
    pub fn blobs(&self) -> Result<Blobs, StoreError> {
        let path = self.path.join("components");
        private_directory(&path)?;
        Ok(Blobs::new(path))
    }

    /// Files that can be made again.
    ///
    /// # Errors
    ///
    /// When its folder cannot be made.
    pub fn cache(&self) -> Result<Cache, StoreError> {
        let path = self.path.join("cache");
        private_directory(&path)?;
        Ok(Cache::new(path, blake3::derive_key("fumehood 2026-11 cache seal", &self.secret)))
    }

    /// Folders that calls have for themselves. Those that a killed process left are swept. Open it once.
    ///
    /// # Errors
    ///
    /// When its folder cannot be made.
    pub fn scratch(&self) -> Result<Scratch, StoreError> {
        Scratch::open(self.path.join("scratch"))
    }

    /// Results that callers fetch later, for the process that owns this. Those of a former process are removed. Open it once.
    ///
    /// # Errors
    ///
    /// When its folder cannot be made.
    pub fn results(&self) -> Result<Results, StoreError> {
        Results::open(self.path.join("results"))
    }

    /// The keys that open the API.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn keys(&self, database: &Database) -> Result<KeyRing, StoreError> {
        KeyRing::load(database.clone(), blake3::derive_key("fumehood 2026-11 api key hash", &self.secret))
    }

    /// What strangers keep for us.
    #[must_use]
    pub fn seals(&self) -> Seals {
        Seals::new(blake3::derive_key("fumehood 2026-11 state that others keep", &self.secret))
    }

    /// The secrets that guests may be granted.
    #[must_use]
    pub fn secrets(&self, database: &Database) -> Secrets {
        Secrets::new(database.clone(), blake3::derive_key("fumehood 2026-11 guest secret seal", &self.secret))
    }
}

/// Make `path` a directory that only its owner can enter. One that was there stays as it is: it may be another's as well.
pub(crate) fn private_directory(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StoreError::io("create directory", path))
}

/// Take from others what they may do with the file `path`, if it is there.
fn close_to_others(path: &Path) -> Result<(), StoreError> {
    if !path.is_file() || !is_open_to_others(path) {
        return Ok(());
    }
    tracing::warn!("{} was open to other users of this machine, and is not any more", path.display());
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(StoreError::io("close to other users", path))
}

fn is_open_to_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

/// How the names of files begin that are still being written.
pub(crate) const UNFINISHED: &str = ".unfinished-";

/// Remove what a killed process left half written.
fn sweep(folders: &[&Path]) {
    for folder in folders {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes())) {
            // A folder is what is left of a backup.
            let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
        }
    }
}

/// The secret of this data directory, made on first use.
fn secret(path: &Path) -> Result<[u8; 32], StoreError> {
    if !path.exists() {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(|_| StoreError::NoRandomness)?;
        write_private(path, &fresh)?;
    }
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let mut secret = Vec::new();
    file.take(64).read_to_end(&mut secret).map_err(StoreError::io("read", path))?;
    secret.try_into().map_err(|_| StoreError::BadFile { path: path.to_owned(), what: "it must hold exactly 32 bytes" })
}

/// Write a file that only its owner can read, all of it or nothing.
///
/// # Errors
///
/// When the file cannot be written.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    copy_private(&mut &*bytes, path)
}

/// Write what can be read to a file that only its owner can read, all of it or nothing. Only a little of it is in memory.
///
/// # Errors
///
/// When it cannot be read, or the file cannot be written.
pub(crate) fn copy_private(from: &mut impl Read, path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Temporary files are made with mode 0600, and the name appears only once all bytes are on disk.
    let unfinished = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder);
    let mut file = unfinished.map_err(StoreError::io("create a file in", folder))?;
    io::copy(from, &mut file).and_then(|_| file.as_file().sync_all()).map_err(StoreError::io("write", path))?;
    file.persist(path).map_err(|error| StoreError::Io {
        doing: "write",
        path: path.to_owned(),
        source: error.error,
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_owners_cannot_share_a_directory_but_a_reader_can_join() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDirectory::open(folder.path(), Access::Own).unwrap();

        assert!(matches!(DataDirectory::open(folder.path(), Access::Own), Err(StoreError::InUse { .. })));
        assert!(DataDirectory::open(folder.path(), Access::Share).is_ok());
        drop(first);
        assert!(DataDirectory::open(folder.path(), Access::Own).is_ok());
    }

    #[test]
    fn what_a_killed_process_left_half_written_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(".unfinished-abc");
        fs::write(&left, b"half").unwrap();

        let _directory = DataDirectory::open(folder.path(), Access::Own).unwrap();

        assert!(!left.exists());
    }

    #[test]
    fn a_damaged_secret_is_reported_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), b"short").unwrap();

        assert!(matches!(DataDirectory::open(folder.path(), Access::Own), Err(StoreError::BadFile { .. })));
    }
}
