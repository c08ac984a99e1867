use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use fumehood_model::{KeyId, KeyLimits, Principal, Role, Timestamp};
use rusqlite::{Row, params};
use subtle::ConstantTimeEq;

use crate::{Database, StoreError};

/// What every key starts with, so that scanners for leaked secrets can recognise it.
const PREFIX: &str = "fh_";

/// Characters of the public part and of the secret part of a key.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Length of the public part: enough that 100,000 keys hardly ever collide, short enough for a list.
const ID_LEN: usize = 10;

/// Length of the secret part: 32 characters of 62 are 190 bits.
const SECRET_LEN: usize = 32;

/// A key as lists show it: without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part.
    pub id: KeyId,
    /// The name that its owner gave it.
    pub name: String,
    /// What it may do.
    pub roles: Vec<Role>,
    /// What it is held to.
    pub limits: KeyLimits,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// A key that was just made: the only time that its secret is known.
#[derive(Clone)]
pub struct NewKey {
    /// What is kept of it.
    pub key: ApiKey,
    /// What its owner presents: `fh_<id>_<secret>`.
    pub text: String,
}

/// The keys that open the API, in memory for every request and in the database for good. Cloning is cheap.
///
/// Only a keyed hash of each secret is kept. The secrets have 190 random bits, so that a fast hash is right: there is
/// no dictionary to try.
#[derive(Clone)]
pub struct KeyRing {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    pepper: [u8; 32],
    known: RwLock<HashMap<Box<str>, Known>>,
    /// Serialises changes: database first, memory after.
    changing: Mutex<()>,
}

struct Known {
    hash: [u8; 32],
    principal: Principal,
}

impl KeyRing {
    pub(crate) fn load(database: Database, pepper: [u8; 32]) -> Result<Self, StoreError> {
        let rows = database.with(|db| {
            db.prepare(
                "SELECT id, name, roles, created_at_ms, revoked_at_ms, limits, hash FROM keys WHERE revoked_at_ms IS NULL",
            )?
            .query_map([], |row| Ok((key_row(row)?, row.get::<_, [u8; 32]>(6)?)))?
            .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let known = rows.into_iter().map(|(key, hash)| (key.id.0.as_ref().into(), known(&key, hash))).collect();
        Ok(Self { inner: Arc::new(Inner { database, pepper, known: RwLock::new(known), changing: Mutex::new(()) }) })
    }

    /// Who presents `text`, if it is a key that is in force.
    #[must_use]
    pub fn verify(&self, text: &str) -> Option<Principal> {
        let (id, _) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let hash = self.hash(text);
        let known = self.inner.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(id)?;
        bool::from(hash.ct_eq(&known.hash)).then(|| known.principal.clone())
    }

    /// Whose the key `id` is, if it is in force.
    #[must_use]
    pub fn principal(&self, id: &KeyId) -> Option<Principal> {
        let known = self.inner.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&*id.0).map(|known| known.principal.clone())
    }

    /// Make a key with these roles, whose calls are held to `limits`.
    ///
    /// # Errors
    ///
    /// When there is no randomness or the database fails.
    pub fn create(&self, name: &str, roles: &[Role], limits: KeyLimits) -> Result<NewKey, StoreError> {
        let (id, secret) = (random_text::<ID_LEN>()?, random_text::<SECRET_LEN>()?);
        let text = format!("{PREFIX}{id}_{secret}");
        let hash = self.hash(&text);
        let key = ApiKey {
            id: KeyId(id.as_str().into()),
            name: name.to_owned(),
            roles: roles.to_vec(),
            limits,
            created_at: Timestamp::now(),
            revoked_at: None,
        };
        let _changing = self.inner.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let roles: Vec<_> = roles.iter().map(ToString::to_string).collect();
        let limits = (limits != KeyLimits::default()).then(|| serde_json::to_string(&limits).unwrap_or_default());
        let (kept, row_id) = (key.clone(), id.clone());
        self.inner.database.write(move |db| {
            db.execute(
                "INSERT INTO keys (id, name, hash, roles, created_at_ms, limits) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![row_id, kept.name, hash, roles.join(","), kept.created_at.unix_ms.cast_signed(), limits],
            )
        })?;
        let mut known_keys = self.inner.known.write().unwrap_or_else(PoisonError::into_inner);
        known_keys.insert(id.into(), known(&key, hash));
        Ok(NewKey { key, text })
    }

    /// All keys, revoked ones too, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.inner.database.with(|db| {
            db.prepare(
                "SELECT id, name, roles, created_at_ms, revoked_at_ms, limits FROM keys ORDER BY created_at_ms, id",
            )?
            .query_map([], key_row)?
            .collect()
        })
    }

    /// Revoke a key, from now on and for good; whether there was one in force.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn revoke(&self, id: &str) -> Result<bool, StoreError> {
        let _changing = self.inner.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::now().unix_ms.cast_signed();
        let row_id = id.to_owned();
        let rows = self.inner.database.write(move |db| {
            let statement = "UPDATE keys SET revoked_at_ms = ?1 WHERE id = ?2 AND revoked_at_ms IS NULL";
            db.execute(statement, params![now, row_id])
        })?;
        self.inner.known.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(rows > 0)
    }

    /// The key in `file`, making an administrator's key when there is none in force: on first use, or when what was salvaged
    /// of a damaged database has none. The text only if it was made now.
    ///
    /// # Errors
    ///
    /// When the key cannot be made or written.
    pub fn first_admin(&self, file: &std::path::Path) -> Result<Option<String>, StoreError> {
        let is_admin = |key: &ApiKey| key.revoked_at.is_none() && key.roles.contains(&Role::Admin);
        if self.list()?.iter().any(is_admin) {
            return Ok(None);
        }
        let new = self.create("admin", &[Role::Admin], KeyLimits::default())?;
        crate::directory::write_private(file, new.text.as_bytes())?;
        Ok(Some(new.text))
    }

    fn hash(&self, text: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.inner.pepper, text.as_bytes()).as_bytes()
    }
}

fn known(key: &ApiKey, hash: [u8; 32]) -> Known {
    let principal = Principal {
        key: key.id.clone(),
        name: key.name.as_str().into(),
        roles: key.roles.as_slice().into(),
        limits: key.limits,
    };
    Known { hash, principal }
}

fn key_row(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    let roles: String = row.get(2)?;
    Ok(ApiKey {
        id: KeyId(row.get::<_, String>(0)?.into()),
        name: row.get(1)?,
        // A role that this version does not know grants nothing.
        roles: roles.split(',').filter_map(|role| role.parse().ok()).collect(),
        created_at: Timestamp { unix_ms: row.get::<_, i64>(3)?.cast_unsigned() },
        revoked_at: row.get::<_, Option<i64>>(4)?.map(|ms| Timestamp { unix_ms: ms.cast_unsigned() }),
        limits: limits(row, 5)?,
    })
}

/// What a key is held to. Limits that cannot be read are an error: a key must not be held to less than it was made with.
fn limits(row: &Row<'_>, column: usize) -> rusqlite::Result<KeyLimits> {
    let text: Option<String> = row.get(column)?;
    text.map_or(Ok(KeyLimits::default()), |text| serde_json::from_str(&text)).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn random_text<const LEN: usize>() -> Result<String, StoreError> {
    let mut text = String::with_capacity(LEN);
    while text.len() < LEN {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes).map_err(|_| StoreError::NoRandomness)?;
        // 248 is the largest multiple of 62 in a byte: taking more would favour some characters.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        text.extend(fair.take(LEN - text.len()).map(|byte| char::from(ALPHABET[usize::from(byte % 62)])));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use fumehood_model::{Bound, Lowered};

    use super::*;
    use crate::{Access, DataDirectory};

    fn ring(folder: &std::path::Path) -> KeyRing {
        let directory = DataDirectory::open(folder, Access::Own).unwrap();
        directory.keys(&directory.database().unwrap()).unwrap()
    }

    #[test]
    fn a_key_opens_until_it_is_revoked_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let made = ring(folder.path()).create("ci", &[Role::Call], KeyLimits::default()).unwrap();

        let reopened = ring(folder.path());
        assert_eq!(&*reopened.verify(&made.text).unwrap().name, "ci");
        assert!(reopened.revoke(&made.key.id.0).unwrap());
        assert_eq!(reopened.verify(&made.text), None);
        drop(reopened);
        assert_eq!(ring(folder.path()).verify(&made.text), None);
    }

    #[test]
    fn an_administrators_key_is_made_when_none_is_left_and_not_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let (ring, file) = (ring(folder.path()), folder.path().join("admin.key"));
        ring.create("ci", &[Role::Call], KeyLimits::default()).unwrap();

        let first = ring.first_admin(&file).unwrap().unwrap();
        assert_eq!(ring.first_admin(&file).unwrap(), None);
        ring.revoke(&ring.verify(&first).unwrap().key.0).unwrap();
        let second = ring.first_admin(&file).unwrap().unwrap();

        assert!(ring.verify(&second).unwrap().roles.contains(&Role::Admin));
        assert_eq!(std::fs::read_to_string(file).unwrap(), second);
    }

    #[test]
    fn the_bounds_of_a_key_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let call = Lowered::default().with(Bound::FuelUnits, 7).with(Bound::Memory, 3 << 20);
        let limits = KeyLimits { call, concurrent_calls: Some(2) };
        let made = ring(folder.path()).create("ci", &[Role::Call], limits).unwrap();

        let reopened = ring(folder.path());

        assert_eq!(reopened.verify(&made.text).unwrap().limits, limits);
        assert_eq!(reopened.list().unwrap(), [made.key]);
    }

    #[test]
    fn nothing_but_the_whole_key_opens() {
        let folder = tempfile::tempdir().unwrap();
        let ring = ring(folder.path());
        let text = ring.create("ci", &[Role::Call], KeyLimits::default()).unwrap().text;

        let other = format!("{}x", &text[..text.len() - 1]);
        for wrong in ["", "fh_", "fh__", &text[..20], &other, &text.to_lowercase(), &format!(" {text}")] {
            assert_eq!(ring.verify(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_secret_is_nowhere_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let made = ring(folder.path()).create("ci", &[Role::Call], KeyLimits::default()).unwrap();
        let secret = made.text.rsplit('_').next().unwrap().as_bytes().to_vec();

        for file in std::fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", path.display());
            }
        }
    }
}
