use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use fumehood_model::{ByteSize, KeyId};

use crate::{
    StoreError,
    directory::{private_directory, write_private},
};

/// How long a result is kept for its caller to fetch it.
pub const KEPT_FOR: Duration = Duration::from_secs(3_600);

/// Most that is kept for all keys together.
const MOST: Share = Share { count: 1_024, bytes: 1 << 30 };

/// Most that is kept for one key. When it is used up, the oldest of its results makes room.
const MOST_OF_A_KEY: Share = Share { count: 128, bytes: 128 << 20 };

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Share {
    count: u64,
    bytes: u64,
}

impl Share {
    fn with(self, size: u64) -> Self {
        Self { count: self.count + 1, bytes: self.bytes.saturating_add(size) }
    }

    fn fits(self, most: Self) -> bool {
        self.count <= most.count && self.bytes <= most.bytes
    }
}

/// Results of calls that their callers fetch later. Cloning is cheap.
///
/// They are as short-lived as the process: what a former one left is removed at the start.
#[derive(Debug, Clone)]
pub struct Results {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    kept: Mutex<HashMap<String, Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    key: KeyId,
    size: u64,
    until: Instant,
}

/// Why a result was not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The results of all keys together take all the room that there is.
    #[error("there is no room to keep another result")]
    Full,
    /// The result is larger than all that is kept for one key.
    #[error("the result is larger than the {allowed} that are kept for one key")]
    TooLarge {
        /// How much that is.
        allowed: ByteSize,
    },
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Results {
    pub(crate) fn open(folder: PathBuf) -> Result<Self, StoreError> {
        private_directory(&folder)?;
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
        Ok(Self { inner: Arc::new(Inner { folder, kept: Mutex::default() }) })
    }

    /// Keep `bytes` for `key`, for an hour. The answer is the name under which only this key finds them. Blocks.
    ///
    /// # Errors
    ///
    /// When there is no room, or they cannot be written.
    pub fn keep(&self, key: &KeyId, bytes: &[u8], now: Instant) -> Result<String, KeepError> {
        let size = bytes.len() as u64;
        if !Share::default().with(size).fits(MOST_OF_A_KEY) {
            return Err(KeepError::TooLarge { allowed: ByteSize(MOST_OF_A_KEY.bytes) });
        }
        let id = fresh_id()?;
        {
            let mut kept = self.kept();
            self.drop_those(&mut kept, |entry| entry.until <= now);
            while !share(&kept, |entry| entry.key == *key).with(size).fits(MOST_OF_A_KEY) {
                let of_key = kept.iter().filter(|(_, entry)| entry.key == *key);
                let Some(oldest) = of_key.min_by_key(|(_, entry)| entry.until).map(|(id, _)| id.clone()) else { break };
                kept.remove(&oldest);
                let _ = fs::remove_file(self.path(&oldest));
            }
            if !share(&kept, |_| true).with(size).fits(MOST) {
                return Err(KeepError::Full);
            }
            kept.insert(id.clone(), Kept { key: key.clone(), size, until: now + KEPT_FOR });
        }
        if let Err(error) = write_private(&self.path(&id), bytes) {
            self.kept().remove(&id);
            return Err(error.into());
        }
        Ok(id)
    }

    /// The result called `id`, if it is kept for `key`. Blocks.
    ///
    /// # Errors
    ///
    /// When it is there but cannot be read.
    pub fn read(&self, key: &KeyId, id: &str, now: Instant) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.is_kept(key, id, now) {
            return Ok(None);
        }
        let path = self.path(id);
        fs::read(&path).map(Some).map_err(StoreError::io("read", &path))
    }

    /// Remove the result called `id`, if it is kept for `key`; whether it was. Blocks.
    pub fn forget(&self, key: &KeyId, id: &str, now: Instant) -> bool {
        if !self.is_kept(key, id, now) {
            return false;
        }
        let removed = self.kept().remove(id).is_some();
        let _ = fs::remove_file(self.path(id));
        removed
    }

    fn is_kept(&self, key: &KeyId, id: &str, now: Instant) -> bool {
        let mut kept = self.kept();
        self.drop_those(&mut kept, |entry| entry.until <= now);
        kept.get(id).is_some_and(|entry| entry.key == *key)
    }

    fn drop_those(&self, kept: &mut HashMap<String, Kept>, ended: impl Fn(&Kept) -> bool) {
        kept.retain(|id, entry| {
            let ended = ended(entry);
            if ended {
                let _ = fs::remove_file(self.path(id));
            }
            !ended
        });
    }

    /// Only names that this made come here.
    fn path(&self, id: &str) -> PathBuf {
        self.inner.folder.join(id)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn share(kept: &HashMap<String, Kept>, of: impl Fn(&Kept) -> bool) -> Share {
    kept.values().filter(|entry| of(entry)).fold(Share::default(), |sum, entry| sum.with(entry.size))
}

/// A name that nobody guesses: 32 hexadecimal digits.
///
/// # Errors
///
/// When the system has no randomness.
pub fn fresh_id() -> Result<String, StoreError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| StoreError::NoRandomness)?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> KeyId {
        KeyId(name.into())
    }

    #[test]
    fn a_result_is_there_for_its_key_alone_until_it_is_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let results = Results::open(home.path().join("results")).unwrap();
        let now = Instant::now();

        let id = results.keep(&key("a"), b"[1]", now).unwrap();

        assert_eq!(results.read(&key("a"), &id, now).unwrap(), Some(b"[1]".to_vec()));
        assert_eq!(results.read(&key("b"), &id, now).unwrap(), None);
        assert_eq!(results.read(&key("a"), "../results", now).unwrap(), None);
        assert!(!results.forget(&key("b"), &id, now));
        assert!(results.forget(&key("a"), &id, now));
        assert!(!results.forget(&key("a"), &id, now));
        assert_eq!(fs::read_dir(home.path().join("results")).unwrap().count(), 0);
    }

    #[test]
    fn a_result_is_gone_after_its_hour_and_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let open = || Results::open(home.path().join("results")).unwrap();
        let (results, now) = (open(), Instant::now());

        let first = results.keep(&key("a"), b"1", now).unwrap();
        assert_eq!(results.read(&key("a"), &first, now + KEPT_FOR).unwrap(), None);
        let second = results.keep(&key("a"), b"2", now).unwrap();

        assert_eq!(open().read(&key("a"), &second, now).unwrap(), None);
        assert_eq!(fs::read_dir(home.path().join("results")).unwrap().count(), 0);
    }

    #[test]
    fn a_key_pushes_out_its_own_results_and_nobody_elses() {
        let home = tempfile::tempdir().unwrap();
        let results = Results::open(home.path().join("results")).unwrap();
        let now = Instant::now();
        let others = results.keep(&key("b"), b"b", now).unwrap();

        let ids: Vec<_> = (0..=MOST_OF_A_KEY.count)
            .map(|turn| results.keep(&key("a"), b"a", now + Duration::from_millis(turn)).unwrap())
            .collect();

        assert_eq!(results.read(&key("a"), &ids[0], now).unwrap(), None);
        assert!(results.read(&key("a"), &ids[1], now).unwrap().is_some());
        assert!(results.read(&key("b"), &others, now).unwrap().is_some());
    }
}
