use std::time::Duration;

use fumehood_model::{ByteSize, ModuleName, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{Database, StoreError, writer::Undo};

/// Most expired values that one write clears away; the rest is left to the next one.
const SWEEP: i64 = 1_000;

/// One bucket of one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketName {
    /// The module: others never see its buckets.
    pub module: ModuleName,
    /// The bucket.
    pub bucket: String,
}

/// What a bucket may hold, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Keys and values together.
    pub bytes: ByteSize,
    /// Keys.
    pub keys: u64,
    /// After which time a value that is written now is gone.
    pub ttl: Option<Duration>,
}

/// One page of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPage {
    /// The keys, in the order of their bytes.
    pub keys: Vec<String>,
    /// Whether there are more.
    pub more: bool,
}

/// Why nothing was changed. It never shows a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyValueError {
    /// The bucket has no room for it.
    #[error("the bucket is full")]
    Full,
    /// What is there is not a whole number, or the sum is too large for one.
    #[error("what is there is not a number of 64 bits")]
    NotANumber,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a bucket holds, counted in the transaction that changes it.
#[derive(Clone, Copy)]
struct Used {
    bytes: i64,
    keys: i64,
}

/// Why a change is taken back.
type Refusal = Undo<KeyValueError>;

impl Database {
    /// The values of `keys` at `now`, in their order; none for each that is not there or has expired.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn keyvalue_get(
        &self,
        name: &BucketName,
        keys: &[String],
        now: Timestamp,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.with(|db| keys.iter().map(|key| value(db, name, key, now)).collect())
    }

    /// Write all values, or none if there is no room.
    ///
    /// # Errors
    ///
    /// When the bucket is full or the database fails.
    pub fn keyvalue_set(
        &self,
        name: &BucketName,
        values: &[(String, impl AsRef<[u8]>)],
        room: Room,
        now: Timestamp,
    ) -> Result<(), KeyValueError> {
        let values: Vec<_> = values.iter().map(|(key, value)| (key.clone(), value.as_ref().to_vec())).collect();
        self.change_bucket(name, room, now, move |db, name, used| {
            Ok(values.iter().try_for_each(|(key, value)| put(db, name, key, value, room, now, used))?)
        })
    }

    /// Forget keys, those that are there.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn keyvalue_delete(&self, name: &BucketName, keys: &[String]) -> Result<(), StoreError> {
        let (name, keys) = (name.clone(), keys.to_vec());
        self.write(move |db| {
            let mut used = used(db, &name)?;
            keys.iter().try_for_each(|key| take(db, &name, key, &mut used))?;
            keep_used(db, &name, used)
        })
    }

    /// At most `most` keys at `now`, after the one that is named.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn keyvalue_keys(
        &self,
        name: &BucketName,
        after: Option<&str>,
        most: usize,
        now: Timestamp,
    ) -> Result<KeyPage, StoreError> {
        let asked = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
        let mut keys: Vec<String> = self.with(|db| {
            db.prepare_cached(
                "SELECT key FROM keyvalue WHERE module = ?1 AND bucket = ?2 AND key > ?3
                 AND (expires_at_ms IS NULL OR expires_at_ms > ?4) ORDER BY key LIMIT ?5",
            )?
            // No key is empty, so that every key comes after the empty one.
            .query_map(params![name.module.as_str(), name.bucket, after.unwrap_or(""), ms(now), asked], |row| {
                row.get(0)
            })?
            .collect()
        })?;
        let more = keys.len() > most;
        keys.truncate(most);
        Ok(KeyPage { keys, more })
    }

    /// Add `by` to the number under `key`, which is zero if nothing is there, and read the sum.
    ///
    /// Numbers are kept as decimal text, which is what reading the key gives.
    ///
    /// # Errors
    ///
    /// When there is something else, the sum does not fit, the bucket is full or the database fails.
    pub fn keyvalue_increment(
        &self,
        name: &BucketName,
        key: &str,
        by: i64,
        room: Room,
        now: Timestamp,
    ) -> Result<i64, KeyValueError> {
        let key = key.to_owned();
        self.change_bucket(name, room, now, move |db, name, used| {
            let found = value(db, name, &key, now)?;
            let sum = found.map_or(Some(0), |bytes| number(&bytes)).and_then(|number| number.checked_add(by));
            let sum = sum.ok_or(Undo::Refused(KeyValueError::NotANumber))?;
            put(db, name, &key, sum.to_string().as_bytes(), room, now, used)?;
            Ok(sum)
        })
    }

    /// Write `to` under `key` if `from` is still there; whether it was.
    ///
    /// # Errors
    ///
    /// When the bucket is full or the database fails.
    pub fn keyvalue_swap(
        &self,
        name: &BucketName,
        key: &str,
        from: Option<&[u8]>,
        to: &[u8],
        room: Room,
        now: Timestamp,
    ) -> Result<bool, KeyValueError> {
        let (key, from, to) = (key.to_owned(), from.map(<[u8]>::to_vec), to.to_vec());
        self.change_bucket(name, room, now, move |db, name, used| {
            let same = value(db, name, &key, now)? == from;
            if same {
                put(db, name, &key, &to, room, now, used)?;
            }
            Ok(same)
        })
    }

    /// Run `work` as one change that also clears away what has expired, and keeps the bucket within its room.
    fn change_bucket<T: Send + 'static>(
        &self,
        name: &BucketName,
        room: Room,
        now: Timestamp,
        work: impl FnOnce(&Connection, &BucketName, &mut Used) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, KeyValueError> {
        let name = name.clone();
        self.change(move |db| {
            let mut used = used(db, &name)?;
            sweep(db, &name, now, &mut used)?;
            let before = used;
            let done = work(db, &name, &mut used)?;
            // A bucket whose room was made smaller can still shrink.
            let fits = |after: i64, before: i64, most: u64| after <= before || after.cast_unsigned() <= most;
            if !fits(used.bytes, before.bytes, room.bytes.0) || !fits(used.keys, before.keys, room.keys) {
                return Err(Undo::Refused(KeyValueError::Full));
            }
            keep_used(db, &name, used)?;
            Ok(done)
        })
    }
}

fn value(db: &Connection, name: &BucketName, key: &str, now: Timestamp) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached(
        "SELECT value FROM keyvalue WHERE module = ?1 AND bucket = ?2 AND key = ?3
         AND (expires_at_ms IS NULL OR expires_at_ms > ?4)",
    )?
    .query_row(params![name.module.as_str(), name.bucket, key, ms(now)], |row| row.get(0))
    .optional()
}

fn put(
    db: &Connection,
    name: &BucketName,
    key: &str,
    value: &[u8],
    room: Room,
    now: Timestamp,
    used: &mut Used,
) -> rusqlite::Result<()> {
    take(db, name, key, used)?;
    let ttl_ms = room.ttl.map(|ttl| i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
    let expires_at_ms = ttl_ms.map(|ttl_ms| ms(now).saturating_add(ttl_ms));
    db.prepare_cached("INSERT INTO keyvalue (module, bucket, key, value, expires_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![name.module.as_str(), name.bucket, key, value, expires_at_ms])?;
    used.bytes += size(key.len()) + size(value.len());
    used.keys += 1;
    Ok(())
}

/// Remove what is under `key`, expired or not.
fn take(db: &Connection, name: &BucketName, key: &str, used: &mut Used) -> rusqlite::Result<()> {
    let bytes: Option<i64> = db
        .prepare_cached(
            "DELETE FROM keyvalue WHERE module = ?1 AND bucket = ?2 AND key = ?3
             RETURNING octet_length(key) + octet_length(value)",
        )?
        .query_row(params![name.module.as_str(), name.bucket, key], |row| row.get(0))
        .optional()?;
    if let Some(bytes) = bytes {
        used.bytes -= bytes;
        used.keys -= 1;
    }
    Ok(())
}

/// Remove what has expired, the oldest first.
fn sweep(db: &Connection, name: &BucketName, now: Timestamp, used: &mut Used) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "DELETE FROM keyvalue WHERE rowid IN (
             SELECT rowid FROM keyvalue WHERE module = ?1 AND bucket = ?2 AND expires_at_ms <= ?3
             ORDER BY expires_at_ms LIMIT ?4
         ) RETURNING octet_length(key) + octet_length(value)",
    )?;
    let parameters = params![name.module.as_str(), name.bucket, ms(now), SWEEP];
    for bytes in statement.query_map(parameters, |row| row.get::<_, i64>(0))? {
        used.bytes -= bytes?;
        used.keys -= 1;
    }
    Ok(())
}

fn used(db: &Connection, name: &BucketName) -> rusqlite::Result<Used> {
    let found = db
        .prepare_cached("SELECT bytes, keys FROM keyvalue_used WHERE module = ?1 AND bucket = ?2")?
        .query_row(params![name.module.as_str(), name.bucket], |row| Ok(Used { bytes: row.get(0)?, keys: row.get(1)? }))
        .optional()?;
    Ok(found.unwrap_or(Used { bytes: 0, keys: 0 }))
}

fn keep_used(db: &Connection, name: &BucketName, used: Used) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO keyvalue_used (module, bucket, bytes, keys) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![name.module.as_str(), name.bucket, used.bytes, used.keys])
        .map(drop)
}

fn number(bytes: &[u8]) -> Option<i64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn ms(at: Timestamp) -> i64 {
    i64::try_from(at.unix_ms).unwrap_or(i64::MAX)
}

fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Access;

    const ROOM: Room = Room { bytes: ByteSize(100), keys: 3, ttl: None };
    const NOW: Timestamp = Timestamp { unix_ms: 1_000 };

    struct Fixture {
        database: Database,
        folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self { database: Database::open(&folder.path().join("db"), Access::Own).unwrap(), folder }
        }

        fn set(&self, name: &BucketName, key: &str, value: &str) -> Result<(), KeyValueError> {
            self.database.keyvalue_set(name, &[(key.to_owned(), value)], ROOM, NOW)
        }

        fn get(&self, name: &BucketName, key: &str) -> Option<String> {
            let mut values = self.database.keyvalue_get(name, &[key.to_owned()], NOW).unwrap();
            values.pop().unwrap().map(|value| String::from_utf8(value).unwrap())
        }

        fn used(&self, name: &BucketName) -> (i64, i64) {
            let used = self.database.with(|db| used(db, name)).unwrap();
            (used.bytes, used.keys)
        }
    }

    fn bucket(module: &str, bucket: &str) -> BucketName {
        BucketName { module: module.parse().unwrap(), bucket: bucket.to_owned() }
    }

    #[test]
    fn a_value_is_seen_in_its_own_bucket_only() {
        let fixture = Fixture::new();
        let (own, other, stranger) = (bucket("a", "x"), bucket("a", "y"), bucket("b", "x"));

        fixture.set(&own, "k", "v").unwrap();

        assert_eq!(fixture.get(&own, "k").as_deref(), Some("v"));
        assert_eq!((fixture.get(&other, "k"), fixture.get(&stranger, "k")), (None, None));
        assert_eq!(fixture.database.keyvalue_keys(&stranger, None, 9, NOW).unwrap().keys, Vec::<String>::new());
    }

    #[test]
    fn any_text_is_just_the_bytes_of_a_key() {
        let fixture = Fixture::new();
        let name = bucket("a", "x");
        let wide = Room { keys: 10, ..ROOM };
        let keys = ["../b/key", "nul\0one", "nul\0two", "e\u{301}", "\u{e9}", "%", "_", "'; --"];

        for key in keys {
            fixture.database.keyvalue_set(&name, &[(key.to_owned(), key)], wide, NOW).unwrap();
        }

        for key in keys {
            assert_eq!(fixture.get(&name, key).as_deref(), Some(key));
        }
        let twice: usize = keys.iter().map(|key| 2 * key.len()).sum();
        assert_eq!(fixture.used(&name), (size(twice), 8));
    }

    #[test]
    fn a_full_bucket_takes_nothing_more_and_can_be_emptied() {
        let fixture = Fixture::new();
        let name = bucket("a", "x");
        fixture.set(&name, "a", &"v".repeat(98)).unwrap();

        let bytes = fixture.set(&name, "b", "v");
        fixture.database.keyvalue_delete(&name, &["a".into(), "absent".into()]).unwrap();
        for key in ["a", "b", "c"] {
            fixture.set(&name, key, "v").unwrap();
        }
        let keys = fixture.set(&name, "d", "v");
        let all_or_none = fixture.database.keyvalue_set(&name, &[("a".into(), "new"), ("e".into(), "v")], ROOM, NOW);

        for refused in [bytes, keys, all_or_none] {
            assert!(matches!(refused, Err(KeyValueError::Full)), "{refused:?}");
        }
        assert_eq!(fixture.get(&name, "a").as_deref(), Some("v"));
        assert_eq!(fixture.used(&name), (6, 3));
    }

    #[test]
    fn a_bucket_that_has_become_too_small_can_still_shrink() {
        let fixture = Fixture::new();
        let name = bucket("a", "x");
        fixture.set(&name, "a", &"v".repeat(90)).unwrap();
        let small = Room { bytes: ByteSize(10), ..ROOM };

        let shrunk = fixture.database.keyvalue_set(&name, &[("a".into(), "v".repeat(50))], small, NOW);
        let grown = fixture.database.keyvalue_set(&name, &[("a".into(), "v".repeat(60))], small, NOW);

        assert!(shrunk.is_ok());
        assert!(matches!(grown, Err(KeyValueError::Full)));
        assert_eq!(fixture.used(&name), (51, 1));
    }

    #[test]
    fn an_expired_value_is_not_read_not_listed_and_makes_room() {
        let fixture = Fixture::new();
        let name = bucket("a", "x");
        let brief = Room { ttl: Some(Duration::from_millis(10)), ..ROOM };
        for key in ["a", "b", "c"] {
            fixture.database.keyvalue_set(&name, &[(key.to_owned(), "5")], brief, NOW).unwrap();
        }
        let later = |ms| Timestamp { unix_ms: NOW.unix_ms + ms };
        let get = |now| fixture.database.keyvalue_get(&name, &["a".to_owned()], now).unwrap();

        assert_eq!(get(later(9)), [Some(b"5".to_vec())]);
        assert_eq!(get(later(10)), [None]);
        assert_eq!(fixture.database.keyvalue_keys(&name, None, 9, later(10)).unwrap().keys, Vec::<String>::new());
        assert_eq!(fixture.database.keyvalue_increment(&name, "a", 2, ROOM, later(10)).unwrap(), 2);
        assert_eq!(fixture.used(&name), (2, 1));
    }

    #[test]
    fn numbers_are_added_up_and_nothing_else_is_taken_for_one() {
        let fixture = Fixture::new();
        let name = bucket("a", "x");
        let add = |by| fixture.database.keyvalue_increment(&name, "n", by, ROOM, NOW);

        let sums = [add(5).unwrap(), add(-7).unwrap()];
        let overflow = add(i64::MIN);
        fixture.set(&name, "n", "five").unwrap();

        assert_eq!(sums, [5, -2]);
        assert!(matches!(overflow, Err(KeyValueError::NotANumber)));
        assert!(matches!(add(1), Err(KeyValueError::NotANumber)));
        assert_eq!(fixture.get(&name, "n").as_deref(), Some("five"));
    }

    #[test]
    fn a_swap_takes_place_only_if_nobody_was_faster() {
        let fixture = Fixture::new();
        let name = bucket("a", "x");
        let swap = |from: Option<&[u8]>, to: &[u8]| fixture.database.keyvalue_swap(&name, "k", from, to, ROOM, NOW);

        let took = [swap(Some(b"x"), b"1"), swap(None, b"1"), swap(None, b"2"), swap(Some(b"1"), b"2")];

        assert_eq!(took.map(Result::unwrap), [false, true, false, true]);
        assert_eq!(fixture.get(&name, "k").as_deref(), Some("2"));
    }

    #[test]
    fn many_threads_that_count_lose_nothing() {
        let fixture = Fixture::new();
        let name = bucket("a", "x");

        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        fixture.database.keyvalue_increment(&name, "n", 1, ROOM, NOW).unwrap();
                    }
                });
            }
        });

        assert_eq!(fixture.get(&name, "n").as_deref(), Some("20"));
    }

    #[test]
    fn keys_are_listed_page_by_page_in_order() {
        let fixture = Fixture::new();
        let name = bucket("a", "x");
        for key in ["c", "a", "b"] {
            fixture.set(&name, key, "v").unwrap();
        }
        let page = |after| fixture.database.keyvalue_keys(&name, after, 2, NOW).unwrap();

        assert_eq!(page(None), KeyPage { keys: vec!["a".into(), "b".into()], more: true });
        assert_eq!(page(Some("b")), KeyPage { keys: vec!["c".into()], more: false });
    }

    #[test]
    fn values_and_what_they_count_survive_reopening_and_go_with_their_module() {
        let fixture = Fixture::new();
        let name = bucket("a", "x");
        fixture.set(&name, "k", "v").unwrap();

        let Fixture { database, folder } = fixture;
        drop(database);
        let fixture = Fixture { database: Database::open(&folder.path().join("db"), Access::Own).unwrap(), folder };

        assert_eq!((fixture.get(&name, "k").as_deref(), fixture.used(&name)), (Some("v"), (2, 1)));
        fixture.database.remove_module(&name.module).unwrap();
        assert_eq!((fixture.get(&name, "k"), fixture.used(&name)), (None, (0, 0)));
    }
}
