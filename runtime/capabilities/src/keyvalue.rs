//! `wasi:keyvalue`: values that last from call to call.
//!
//! A bucket belongs to one module: the host adds the module's name, which no guest can choose, so that two modules that
//! use a bucket of the same name never meet. Keys are just bytes: nothing in them leads anywhere.

mod guest;

use std::{fmt, sync::Arc};

use fumehood_model::{ByteSize, Timestamp};
use fumehood_policy::{Grant, KeyValueGrant, Quota};
use fumehood_store::{BucketName, Database, KeyValueError, Room, StoreError};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use tokio::sync::Semaphore;

use crate::Visit;

pub(crate) use guest::{IMPORTS, State, link};

/// The bucket that is meant by an empty name.
const DEFAULT_BUCKET: &str = "default";

/// Longest name of a bucket, in bytes; no grant has a longer one.
const MAX_BUCKET: usize = 64;

/// Longest key, in bytes.
const MAX_KEY: usize = 256;

/// Largest value, in bytes. Larger things belong into files.
const MAX_VALUE: usize = 256 << 10;

/// Most keys in one request.
const MAX_KEYS: usize = 256;

/// Most bytes of values in one request or its answer: what host and guest side hold of it at a time.
const MAX_BATCH: usize = 4 << 20;

/// Keys of one page: 256 KiB of the longest.
const PAGE: usize = 1_000;

/// What is asked of a bucket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Which bucket.
    pub bucket: String,
    /// What to do there.
    pub verb: Verb,
}

/// What to do in a bucket. Its `Debug` form does not show keys or values.
#[derive(Clone, Serialize, Deserialize)]
pub enum Verb {
    /// Whether the bucket may be used at all.
    Open,
    /// Read values; those that are not there are none.
    Get(Vec<String>),
    /// Write values, all or none.
    Set(Vec<(String, ByteBuf)>),
    /// Remove keys; those that are not there are no mistake.
    Delete(Vec<String>),
    /// List keys in order, after the one that is named.
    Keys {
        /// Where the page before this one ended.
        after: Option<String>,
    },
    /// Add to a number and read it, in one step. What is not there is zero.
    Increment {
        /// The key.
        key: String,
        /// What to add.
        by: i64,
    },
    /// Write a value if the one that is there is still this one.
    Swap {
        /// The key.
        key: String,
        /// What must be there; none if nothing.
        from: Option<ByteBuf>,
        /// What to write.
        to: ByteBuf,
    },
}

/// What a bucket says. Its `Debug` form does not show keys or values.
#[derive(Clone, Serialize, Deserialize)]
pub enum Response {
    /// It is done.
    Done,
    /// To [`Verb::Get`], in the order of its keys.
    Values(Vec<Option<ByteBuf>>),
    /// To [`Verb::Keys`].
    Keys {
        /// The keys of this page.
        keys: Vec<String>,
        /// Whether there are more.
        more: bool,
    },
    /// To [`Verb::Increment`].
    Number(i64),
    /// To [`Verb::Swap`]: whether it took place.
    Swapped(bool),
}

/// Why nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// No grant covers the bucket.
    Denied,
    /// A key is empty or too long, or a value too large.
    Invalid,
    /// It is too much for one request.
    TooMuch,
    /// What is there is not a number.
    NotANumber,
    /// The bucket is full.
    Full,
    /// The store failed.
    Failed,
}

impl fmt::Debug for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Get(_) => "Get(…)",
            Self::Set(_) => "Set(…)",
            Self::Delete(_) => "Delete(…)",
            Self::Keys { .. } => "Keys(…)",
            Self::Increment { .. } => "Increment(…)",
            Self::Swap { .. } => "Swap(…)",
        })
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "Done",
            Self::Values(_) => "Values(…)",
            Self::Keys { .. } => "Keys(…)",
            Self::Number(_) => "Number(…)",
            Self::Swapped(_) => "Swapped(…)",
        })
    }
}

impl Verb {
    /// How many bytes a guest hands over with it.
    fn handed_bytes(&self) -> usize {
        match self {
            Self::Open => 0,
            Self::Get(keys) | Self::Delete(keys) => keys.iter().map(String::len).sum(),
            Self::Set(values) => values.iter().map(|(key, value)| key.len() + value.len()).sum(),
            Self::Keys { after } => after.as_ref().map_or(0, String::len),
            Self::Increment { key, .. } => key.len(),
            // What was there had come from the server.
            Self::Swap { key, to, .. } => key.len() + to.len(),
        }
    }

    /// Whether it stays within the bounds of one request.
    fn check(&self) -> Result<(), Refused> {
        match self {
            Self::Open => Ok(()),
            Self::Get(keys) | Self::Delete(keys) => {
                few(keys.len())?;
                keys.iter().try_for_each(|key| check_key(key))
            }
            Self::Set(values) => {
                few(values.len())?;
                let bytes: usize = values.iter().map(|(_, value)| value.len()).sum();
                if bytes > MAX_BATCH {
                    return Err(Refused::TooMuch);
                }
                values.iter().try_for_each(|(key, value)| check_key(key).and_then(|()| check_value(value)))
            }
            Self::Keys { after } => after.as_deref().map_or(Ok(()), check_key),
            Self::Increment { key, .. } => check_key(key),
            Self::Swap { key, from, to } => {
                check_key(key)?;
                from.as_deref().map_or(Ok(()), |from| check_value(from))?;
                check_value(to)
            }
        }
    }
}

fn few(keys: usize) -> Result<(), Refused> {
    if keys <= MAX_KEYS { Ok(()) } else { Err(Refused::TooMuch) }
}

fn check_key(key: &str) -> Result<(), Refused> {
    if (1..=MAX_KEY).contains(&key.len()) { Ok(()) } else { Err(Refused::Invalid) }
}

fn check_value(value: &[u8]) -> Result<(), Refused> {
    if value.len() <= MAX_VALUE { Ok(()) } else { Err(Refused::Invalid) }
}

impl From<KeyValueError> for Refused {
    fn from(error: KeyValueError) -> Self {
        match error {
            KeyValueError::Full => Self::Full,
            KeyValueError::NotANumber => Self::NotANumber,
            KeyValueError::Store(error) => error.into(),
            // What is added to it later is no fault of the guest.
            _ => Self::Failed,
        }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, blame = "host", "A bucket could not be used");
        Self::Failed
    }
}

/// The buckets of all modules. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Buckets {
    database: Database,
    /// The database does one thing at a time: whoever waits for it should not wait on a thread.
    turn: Arc<Semaphore>,
}

impl Buckets {
    /// The buckets in `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, turn: Arc::new(Semaphore::new(1)) }
    }

    pub(crate) async fn answer(&self, visit: &Visit, request: Request) -> Result<Response, Refused> {
        let Request { bucket, verb } = request;
        let bucket = if bucket.is_empty() { DEFAULT_BUCKET.to_owned() } else { bucket };
        let grants = visit.about().grants.iter();
        let Some(grant) =
            grants.into_iter().find(|grant| matches!(grant, Grant::KeyValue(own) if own.permits(&bucket)))
        else {
            if is_bucket_name(&bucket) {
                visit.note(&wanted(bucket), false);
            }
            return Err(Refused::Denied);
        };
        verb.check()?;
        visit.note(grant, true);
        let Grant::KeyValue(KeyValueGrant { quota, ttl, .. }) = grant else { return Err(Refused::Denied) };
        let room = Room { bytes: quota.bytes, keys: quota.count, ttl: *ttl };
        let name_of_bucket = bucket.clone();
        let name = BucketName { module: visit.about().module.clone(), bucket };
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| Refused::Failed)?;
        let database = self.database.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Kept until the work is done, also when nobody waits for it any more.
            let _turn = turn;
            perform(&database, &name, verb, room, Timestamp::now())
        });
        let done = done.await.map_err(|_| Refused::Failed)?;
        if done.as_ref().is_err_and(|refused| *refused == Refused::Full) {
            let Quota { bytes, count } = quota;
            let size = bytes.to_string().replace(' ', "");
            visit.spent(grant.kind(), format!("bytes={size},keys={count}"), &format!("bucket {name_of_bucket}"));
        }
        done
    }
}

fn perform(
    database: &Database,
    name: &BucketName,
    verb: Verb,
    room: Room,
    now: Timestamp,
) -> Result<Response, Refused> {
    Ok(match verb {
        Verb::Open => Response::Done,
        Verb::Get(keys) => Response::Values(values(database, name, keys, now)?),
        Verb::Set(values) => database.keyvalue_set(name, &values, room, now).map(|()| Response::Done)?,
        Verb::Delete(keys) => database.keyvalue_delete(name, &keys).map(|()| Response::Done)?,
        Verb::Keys { after } => {
            let page = database.keyvalue_keys(name, after.as_deref(), PAGE, now)?;
            Response::Keys { keys: page.keys, more: page.more }
        }
        Verb::Increment { key, by } => Response::Number(database.keyvalue_increment(name, &key, by, room, now)?),
        Verb::Swap { key, from, to } => {
            let from = from.as_ref().map(|from| from.as_slice());
            Response::Swapped(database.keyvalue_swap(name, &key, from, &to, room, now)?)
        }
    })
}

/// One by one, so that too much is noticed before it is in memory.
fn values(
    database: &Database,
    name: &BucketName,
    keys: Vec<String>,
    now: Timestamp,
) -> Result<Vec<Option<ByteBuf>>, Refused> {
    let mut values = Vec::with_capacity(keys.len());
    let mut bytes = 0;
    for key in keys {
        let value = database.keyvalue_get(name, &[key], now)?.pop().flatten();
        bytes += value.as_ref().map_or(0, Vec::len);
        if bytes > MAX_BATCH {
            return Err(Refused::TooMuch);
        }
        values.push(value.map(ByteBuf::from));
    }
    Ok(values)
}

/// Whether a grant can name it: only that is fit to be noted.
fn is_bucket_name(bucket: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
    (1..=MAX_BUCKET).contains(&bucket.len()) && bucket.bytes().all(fits)
}

/// What a guest that opens `bucket` would need.
fn wanted(bucket: String) -> Grant {
    Grant::KeyValue(KeyValueGrant { bucket, quota: Quota { bytes: ByteSize::mib(1), count: 1_000 }, ttl: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_values_and_requests_are_bounded() {
        let key = |length| "k".repeat(length);
        let set = |count, bytes| Verb::Set(vec![(key(1), ByteBuf::from(vec![0; bytes])); count]);

        assert_eq!(Verb::Get(vec![key(0)]).check(), Err(Refused::Invalid));
        assert_eq!(Verb::Get(vec![key(256); 256]).check(), Ok(()));
        assert_eq!(Verb::Delete(vec![key(257)]).check(), Err(Refused::Invalid));
        assert_eq!(Verb::Get(vec![key(1); 257]).check(), Err(Refused::TooMuch));
        assert_eq!(set(16, 256 << 10).check(), Ok(()));
        assert_eq!(set(17, 256 << 10).check(), Err(Refused::TooMuch));
        assert_eq!(set(1, (256 << 10) + 1).check(), Err(Refused::Invalid));
    }

    #[test]
    fn debugging_shows_no_key_and_no_value() {
        let request = Request { bucket: "b".into(), verb: Verb::Set(vec![("key".into(), ByteBuf::from("value"))]) };
        let response = Response::Values(vec![Some(ByteBuf::from("value"))]);

        let shown = format!("{request:?} {response:?}");

        assert_eq!(shown, r#"Request { bucket: "b", verb: Set(…) } Values(…)"#);
    }

    #[test]
    fn only_what_a_grant_can_name_is_noted() {
        assert!(is_bucket_name("default") && is_bucket_name("a.b_c-1"));
        for strange in ["", "A", "a b", "../x", "a\0", "ä", &"a".repeat(65)] {
            assert!(!is_bucket_name(strange), "{strange:?}");
        }
    }
}
