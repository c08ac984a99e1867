use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    os::fd::AsRawFd,
    path::PathBuf,
};

use crate::{StoreError, directory::write_private};

/// Files that can be made again: compiled code and what was read from components. Cloning is cheap.
///
/// Compiled code runs unchecked, so a file is used only if its seal shows that this data directory's owner wrote it
/// under this name. Anything else, whoever put it there, counts as absent.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    key: [u8; 32],
}

/// A cached file whose seal was checked.
#[derive(Debug)]
pub struct Sealed {
    /// The file, at its start.
    pub file: File,
    /// Its length in bytes.
    pub len: u64,
}

impl Sealed {
    /// A path that leads to this very file, whatever has happened to its name since its seal was checked.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

impl Cache {
    pub(crate) fn new(folder: PathBuf, key: [u8; 32]) -> Self {
        Self { folder, key }
    }

    /// Keep `bytes` under `name`.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut seal = self.seal_of(name);
        seal.update(bytes);
        write_private(&self.path(name), bytes)?;
        write_private(&self.seal_path(name), seal.finalize().as_bytes())
    }

    /// The file kept under `name`, if there is one and its seal is right.
    #[must_use]
    pub fn open(&self, name: &str) -> Option<Sealed> {
        let expected = fs::read(self.seal_path(name)).ok()?;
        let mut file = File::open(self.path(name)).ok()?;
        let mut seal = self.seal_of(name);
        let len = std::io::copy(&mut file, &mut seal).ok()?;
        let genuine = <[u8; 32]>::try_from(expected).is_ok_and(|expected| seal.finalize() == expected);
        if !genuine {
            tracing::warn!(cache.name = name, "Cached file {name} has a wrong seal and is not used");
            return None;
        }
        file.seek(SeekFrom::Start(0)).ok()?;
        Some(Sealed { file, len })
    }

    /// The bytes kept under `name`, as [`Cache::open`].
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let mut sealed = self.open(name)?;
        let mut bytes = Vec::with_capacity(usize::try_from(sealed.len).ok()?);
        sealed.file.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Forget what is kept under `name`. A file that cannot be removed is only unused.
    pub fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.seal_path(name));
        let _ = fs::remove_file(self.path(name));
    }

    /// The seal covers the name too: a file cannot be passed off as another.
    fn seal_of(&self, name: &str) -> blake3::Hasher {
        let mut seal = blake3::Hasher::new_keyed(&self.key);
        seal.update(&(name.len() as u64).to_le_bytes());
        seal.update(name.as_bytes());
        seal
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn seal_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.seal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_we_sealed_under_this_name_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned(), [7; 32]);
        cache.put("a", b"code").unwrap();
        assert_eq!(cache.read("a").as_deref(), Some(&b"code"[..]));

        fs::copy(cache.path("a"), cache.path("b")).unwrap();
        fs::copy(cache.seal_path("a"), cache.seal_path("b")).unwrap();
        assert_eq!(cache.read("b"), None, "renamed");

        fs::write(cache.path("a"), b"evil").unwrap();
        assert_eq!(cache.read("a"), None, "changed");

        let other = Cache::new(folder.path().to_owned(), [8; 32]);
        cache.put("a", b"code").unwrap();
        assert_eq!(other.read("a"), None, "sealed by somebody else");
    }
}
