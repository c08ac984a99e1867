//! `wasi:keyvalue`: values that last from call to call.

use serde::{Deserialize, Serialize};

/// What is asked of a bucket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Which bucket.
    pub bucket: String,
    /// What to do there.
    pub verb: Verb,
}

/// What to do in a bucket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Verb {
    /// Whether the bucket may be used at all.
    Open,
    /// Read values; those that are not there are none.
    Get(Vec<String>),
    /// Write values, all or none.
    Set(Vec<(String, serde_bytes::ByteBuf)>),
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
        from: Option<serde_bytes::ByteBuf>,
        /// What to write.
        to: serde_bytes::ByteBuf,
    },
}

/// What a bucket says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Response {
    /// It is done.
    Done,
    /// To [`Verb::Get`], in the order of its keys.
    Values(Vec<Option<serde_bytes::ByteBuf>>),
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
    /// The key is empty or too long, or the value too large.
    Invalid,
    /// What is there is not a number.
    NotANumber,
    /// The bucket is full.
    Full,
    /// The store failed.
    Failed,
}

/// The buckets of all modules. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Buckets {
    #[expect(dead_code, reason = "a stand-in that refuses")]
    database: fumehood_store::Database,
}

impl Buckets {
    /// The buckets in `database`.
    #[must_use]
    pub fn new(database: fumehood_store::Database) -> Self {
        Self { database }
    }

    #[expect(clippy::unused_async, reason = "a stand-in that refuses")]
    pub(crate) async fn answer(&self, _visit: &crate::Visit, _request: Request) -> Result<Response, Refused> {
        Err(Refused::Denied)
    }
}
