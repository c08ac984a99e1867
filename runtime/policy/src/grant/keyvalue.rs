use std::time::Duration;

use super::Quota;

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
}
