use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment of wall-clock time, written as RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

impl Timestamp {
    /// Now, by the machine's clock.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX) }
    }

    /// So much later.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        Self { unix_ms: self.unix_ms.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)) }
    }

    /// So much earlier, but not before 1970.
    #[must_use]
    pub fn earlier(self, by: Duration) -> Self {
        Self { unix_ms: self.unix_ms.saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)) }
    }
}

/// A text is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a moment: write it as RFC 3339, as 2026-11-20T23:59:59Z or 2026-11-20T23:59:59.5+01:00")]
pub struct TimestampError {
    text: String,
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What lies beyond the calendar is shown as its last moment.
        let millis = i64::try_from(self.unix_ms).ok().and_then(DateTime::from_timestamp_millis);
        f.write_str(&millis.unwrap_or(DateTime::<chrono::Utc>::MAX_UTC).to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let millis = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.timestamp_millis());
        let error = || TimestampError { text: text.chars().take(80).flat_map(char::escape_debug).collect() };
        millis.and_then(|millis| u64::try_from(millis).ok()).map(|unix_ms| Self { unix_ms }).ok_or_else(error)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_written_as_rfc_3339() {
        let text = |unix_ms| Timestamp { unix_ms }.to_string();

        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_782_400_123), "2000-02-29T00:00:00.123Z");
        assert_eq!(text(1_795_219_199_999), "2026-11-20T23:59:59.999Z");
        assert!(text(u64::MAX).starts_with('+'));
    }

    #[test]
    fn moments_are_read_with_their_zone() {
        let read = |text: &str| text.parse::<Timestamp>().map(|at| at.unix_ms).ok();

        assert_eq!(read("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("2000-02-29T01:00:00.123+01:00"), Some(951_782_400_123));
        assert_eq!((read("2000-02-30T00:00:00Z"), read("tomorrow"), read("1969-12-31T23:59:59Z")), (None, None, None));
    }
}
