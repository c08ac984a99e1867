use std::{fs, path::PathBuf};

use fumehood_model::Digest;

use crate::{StoreError, directory::write_private};

/// The bytes of components, each under its digest. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keep `bytes`, atomically; bytes that are kept already are not written again.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(digest);
        let kept = fs::metadata(&path).is_ok_and(|file| file.len() == bytes.len() as u64);
        if kept { Ok(()) } else { write_private(&path, bytes) }
    }

    /// How many bytes `digest` has.
    ///
    /// # Errors
    ///
    /// When they are missing.
    pub fn size(&self, digest: &Digest) -> Result<u64, StoreError> {
        let about = fs::metadata(self.path(digest)).map_err(|_| StoreError::Missing { digest: *digest })?;
        Ok(about.len())
    }

    /// The bytes of `digest`, checked against it.
    ///
    /// # Errors
    ///
    /// When they are missing, unreadable, or not what they were.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        if !path.exists() {
            return Err(StoreError::Missing { digest: *digest });
        }
        let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
        let actual = Digest::of(&bytes);
        if actual != *digest {
            return Err(StoreError::Damaged { expected: *digest, actual });
        }
        Ok(bytes)
    }

    /// Forget the bytes of `digest`.
    ///
    /// # Errors
    ///
    /// When the file cannot be removed.
    pub fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}.wasm", digest.hex()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_were_changed_on_disk_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().to_owned());
        let digest = Digest::of(b"good");
        blobs.put(&digest, b"good").unwrap();
        assert_eq!(blobs.read(&digest).unwrap(), b"good");

        fs::write(blobs.path(&digest), b"evil").unwrap();

        assert!(matches!(blobs.read(&digest), Err(StoreError::Damaged { .. })));
    }
}
