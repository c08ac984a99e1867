use std::fmt;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use fumehood_model::{ByteSize, Timestamp};
use rusqlite::{OptionalExtension, params};

use crate::{Database, StoreError};

/// Largest value of a secret: room for a chain of certificates with its key, and little enough to hold many in memory.
pub const MAX_SECRET: ByteSize = ByteSize::kib(64);

/// Longest name of a secret.
const MAX_NAME: usize = 64;

/// Bytes of the nonce that stand before each sealed value: XChaCha20 takes 192 bits, which may be random.
const NONCE: usize = 24;

/// Secrets that guests may be granted, sealed on disk. Cloning is cheap.
///
/// Each value is sealed together with its name, so that nobody who can write to the database can pass one secret for
/// another. Whoever can read the whole data directory can open them: the key is derived from its `secret` file.
#[derive(Clone)]
pub struct Secrets {
    database: Database,
    seal: XChaCha20Poly1305,
}

/// A secret as lists show it: without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretEntry {
    /// Its name.
    pub name: String,
    /// Name of the key that set it last.
    pub set_by: String,
    /// When.
    pub set_at: Timestamp,
}

/// Whether a secret can have this name: `[A-Za-z_][A-Za-z0-9_.-]{0,63}`.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    starts && name.len() <= MAX_NAME && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

impl Secrets {
    pub(crate) fn new(database: Database, key: [u8; 32]) -> Self {
        Self { database, seal: XChaCha20Poly1305::new(&key.into()) }
    }

    /// Set or replace a secret; whether there was none.
    ///
    /// # Errors
    ///
    /// When there is no randomness or the database fails.
    pub fn set(&self, name: &str, value: &str, by: &str) -> Result<bool, StoreError> {
        let sealed = self.seal(name, value)?;
        let now = Timestamp::now().unix_ms.cast_signed();
        let (name, by) = (name.to_owned(), by.to_owned());
        self.database.write(move |db| {
            let replaced = db.execute(
                "UPDATE secrets SET sealed = ?2, set_by = ?3, set_at_ms = ?4 WHERE name = ?1",
                params![name, sealed, by, now],
            )?;
            if replaced == 0 {
                db.execute(
                    "INSERT INTO secrets (name, sealed, set_by, set_at_ms) VALUES (?1, ?2, ?3, ?4)",
                    params![name, sealed, by, now],
                )?;
            }
            Ok(replaced == 0)
        })
    }

    /// Forget a secret; whether there was one.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.database.write(move |db| db.execute("DELETE FROM secrets WHERE name = ?1", [name]).map(|rows| rows > 0))
    }

    /// All secrets by name, without their values.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn list(&self) -> Result<Vec<SecretEntry>, StoreError> {
        self.database.with(|db| {
            db.prepare_cached("SELECT name, set_by, set_at_ms FROM secrets ORDER BY name")?
                .query_map([], |row| {
                    let unix_ms = row.get::<_, i64>(2)?.cast_unsigned();
                    Ok(SecretEntry { name: row.get(0)?, set_by: row.get(1)?, set_at: Timestamp { unix_ms } })
                })?
                .collect()
        })
    }

    /// The value of a secret, if it is set.
    ///
    /// # Errors
    ///
    /// When the database fails, or the value was not sealed by this data directory.
    pub fn read(&self, name: &str) -> Result<Option<String>, StoreError> {
        let sealed: Option<Vec<u8>> = self.database.with(|db| {
            db.prepare_cached("SELECT sealed FROM secrets WHERE name = ?1")?
                .query_row([name], |row| row.get(0))
                .optional()
        })?;
        sealed.map(|sealed| self.open(name, &sealed)).transpose()
    }

    fn seal(&self, name: &str, value: &str) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| StoreError::NoRandomness)?;
        let payload = Payload { msg: value.as_bytes(), aad: name.as_bytes() };
        // It fails only for more than 256 GiB.
        let sealed = self.seal.encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|_| StoreError::Unsealable { name: name.to_owned() })?;
        Ok([&nonce[..], &sealed].concat())
    }

    fn open(&self, name: &str, sealed: &[u8]) -> Result<String, StoreError> {
        let broken = || StoreError::Unsealable { name: name.to_owned() };
        let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or_else(broken)?;
        let payload = Payload { msg: sealed, aad: name.as_bytes() };
        let value = self.seal.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| broken())?;
        String::from_utf8(value).map_err(|_| broken())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, DataDirectory};

    fn secrets(folder: &tempfile::TempDir) -> (DataDirectory, Secrets) {
        let directory = DataDirectory::open(folder.path(), Access::Own).unwrap();
        let secrets = directory.secrets(&directory.database().unwrap());
        (directory, secrets)
    }

    #[test]
    fn a_secret_is_read_as_it_was_set_listed_by_name_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (_directory, secrets) = secrets(&folder);

        let made = (secrets.set("B", "two", "k").unwrap(), secrets.set("A", "", "k").unwrap());
        let replaced = secrets.set("B", "täter", "l").unwrap();

        assert_eq!((made, replaced), ((true, true), false));
        assert_eq!(secrets.read("B").unwrap().as_deref(), Some("täter"));
        assert_eq!(secrets.read("A").unwrap().as_deref(), Some(""));
        assert_eq!(secrets.read("C").unwrap(), None);
        let listed = secrets.list().unwrap();
        let listed: Vec<_> = listed.iter().map(|entry| (entry.name.as_str(), entry.set_by.as_str())).collect();
        assert_eq!(listed, [("A", "k"), ("B", "l")]);
        assert_eq!((secrets.remove("B").unwrap(), secrets.remove("B").unwrap()), (true, false));
        assert_eq!(secrets.read("B").unwrap(), None);
    }

    #[test]
    fn values_survive_reopening_and_are_nowhere_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let (directory, first) = secrets(&folder);
        first.set("TOKEN", "correct horse battery staple", "k").unwrap();
        drop((directory, first));

        let (_directory, second) = secrets(&folder);

        assert_eq!(second.read("TOKEN").unwrap().as_deref(), Some("correct horse battery staple"));
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(8).any(|window| window == b"battery "), "{}", path.display());
        }
    }

    #[test]
    fn a_value_that_was_moved_to_another_name_or_changed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (directory, secrets) = secrets(&folder);
        secrets.set("A", "one", "k").unwrap();
        secrets.set("B", "two", "k").unwrap();
        let change = |sql: &'static str| directory.database().unwrap().write(|db| db.execute(sql, [])).unwrap();

        change("UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'A') WHERE name = 'B'");
        change("UPDATE secrets SET sealed = x'00' WHERE name = 'A'");

        assert!(matches!(secrets.read("B"), Err(StoreError::Unsealable { name }) if name == "B"));
        assert!(matches!(secrets.read("A"), Err(StoreError::Unsealable { .. })));
    }

    #[test]
    fn only_plain_names_are_names() {
        for name in ["A", "_x", "api.token-1", &"a".repeat(64)] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["", "1a", ".a", "-a", "a b", "a/b", "ä", "a\0", &"a".repeat(65)] {
            assert!(!is_secret_name(name), "{name:?}");
        }
    }

    #[test]
    fn debugging_shows_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let (_directory, secrets) = secrets(&folder);

        assert_eq!(format!("{secrets:?}"), "Secrets { .. }");
    }
}
