use std::{fmt, time::Duration};

use fumehood_model::ByteSize;

use super::{
    Quota,
    syntax::{Options, Size, duration, shown},
};

/// The bucket that is meant when none is named.
const DEFAULT_BUCKET: &str = "default";

/// Longest name of a bucket.
const MAX_BUCKET: usize = 64;

/// What a bucket holds unless written: enough for a cache or counters, little enough for every module to have one.
const DEFAULT: Quota = Quota { bytes: ByteSize::mib(1), count: 1_000 };

/// A bucket of keys and values that lasts from call to call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyValueGrant {
    /// Its name; `default` unless written.
    pub bucket: String,
    /// How much it may hold.
    pub quota: Quota,
    /// After which time a value is gone; never, unless written.
    pub ttl: Option<Duration>,
}

impl KeyValueGrant {
    /// Whether it is about the bucket called `bucket`.
    #[must_use]
    pub fn permits(&self, bucket: &str) -> bool {
        self.bucket == bucket
    }

    /// The bucket of this name with the default quota; what a guest that opens it would need.
    #[must_use]
    pub fn named(bucket: &str) -> Self {
        Self { bucket: bucket.to_owned(), quota: DEFAULT, ttl: None }
    }

    pub(super) fn parsed(subject: Option<&str>, options: &mut Options<'_>) -> Result<Self, String> {
        let bucket = subject.unwrap_or(DEFAULT_BUCKET);
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
        if bucket.is_empty() || bucket.len() > MAX_BUCKET || !bucket.bytes().all(fits) {
            return Err(format!(
                "the name of a bucket has 1 to {MAX_BUCKET} of a-z, 0-9, `_`, `-` and `.`, unlike `{}`",
                shown(bucket)
            ));
        }
        let quota = options.quota("keys", DEFAULT)?;
        let ttl = options.one("ttl")?.map(duration).transpose()?;
        Ok(Self { bucket: bucket.to_owned(), quota, ttl })
    }

    pub(super) fn covers(&self, wanted: &Self) -> bool {
        self.bucket == wanted.bucket && self.quota.holds(&wanted.quota)
    }
}

impl fmt::Display for KeyValueGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},bytes={},keys={}", self.bucket, Size(self.quota.bytes), self.quota.count)?;
        match self.ttl {
            Some(ttl) => write!(f, ",ttl={}s", ttl.as_secs()),
            None => Ok(()),
        }
    }
}
