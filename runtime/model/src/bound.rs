use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};

use crate::ByteSize;

/// What of a call is bounded.
///
/// The configuration sets every bound; a module, a key and a call may each lower it, and none can raise it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Executed instructions, in the engine's units.
    FuelUnits,
    /// Wall-clock time in milliseconds.
    DeadlineMs,
    /// Linear memory, in bytes.
    Memory,
    /// Elements of tables.
    TableElements,
    /// Bytes of the answer's JSON.
    Result,
    /// Bytes of standard output, and of standard error.
    Output,
    /// Bytes that the guest logs.
    Log,
    /// Bytes that the server holds for it.
    HostMemory,
    /// Calls of the host.
    HostCalls,
    /// Bytes handed to the host.
    HostBytes,
    /// Handles held at a time.
    Handles,
    /// Random bytes.
    Random,
    /// Requests to the outside.
    HttpRequests,
    /// Bytes of a request to the outside, and of its answer.
    HttpBody,
    /// How deep tools that call tools go.
    InvokeDepth,
}

/// In what a bound is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Bytes, which may be written as `64 MiB`.
    Bytes,
}

impl Bound {
    /// Every bound, in the order of their declaration.
    pub const ALL: [Self; 15] = [
        Self::FuelUnits,
        Self::DeadlineMs,
        Self::Memory,
        Self::TableElements,
        Self::Result,
        Self::Output,
        Self::Log,
        Self::HostMemory,
        Self::HostCalls,
        Self::HostBytes,
        Self::Handles,
        Self::Random,
        Self::HttpRequests,
        Self::HttpBody,
        Self::InvokeDepth,
    ];

    /// Its name in the configuration, in `tool.toml`, in the limits of keys and calls, and in what a stopped call is told.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::FuelUnits => "fuel_units",
            Self::DeadlineMs => "deadline_ms",
            Self::Memory => "memory",
            Self::TableElements => "table_elements",
            Self::Result => "result",
            Self::Output => "output",
            Self::Log => "log",
            Self::HostMemory => "host_memory",
            Self::HostCalls => "host_calls",
            Self::HostBytes => "host_bytes",
            Self::Handles => "handles",
            Self::Random => "random",
            Self::HttpRequests => "http_requests",
            Self::HttpBody => "http_body",
            Self::InvokeDepth => "invoke_depth",
        }
    }

    /// In what it is counted.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::FuelUnits
            | Self::DeadlineMs
            | Self::TableElements
            | Self::HostCalls
            | Self::Handles
            | Self::HttpRequests
            | Self::InvokeDepth => Unit::Count,
            Self::Memory
            | Self::Result
            | Self::Output
            | Self::Log
            | Self::HostMemory
            | Self::HostBytes
            | Self::Random
            | Self::HttpBody => Unit::Bytes,
        }
    }

    /// A value of it, as a caller writes it: a whole number, or a size where it is counted in bytes.
    ///
    /// # Errors
    ///
    /// With what should stand there instead.
    pub fn parse(self, text: &str) -> Result<u64, String> {
        match self.unit() {
            Unit::Bytes => text.parse().map(|ByteSize(bytes)| bytes),
            Unit::Count => text.parse().map_err(|_| format!("`{}` is not a whole number", text.escape_debug())),
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::key).join(", ")
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|bound| bound.key() == text)
            .ok_or_else(|| format!("`{}` is not a bound of calls: there is {}", text.escape_debug(), Self::names()))
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// Bounds that a module, a key or a call sets for itself; each can only lower what the configuration allows.
///
/// As JSON an object of those that are set: `{"fuel_units": 1000000, "memory": "8 MiB"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lowered {
    /// By the number of the bound; the largest number for those that are left as they are.
    most: [u64; Bound::ALL.len()],
}

impl Default for Lowered {
    fn default() -> Self {
        Self { most: [u64::MAX; Bound::ALL.len()] }
    }
}

impl Lowered {
    /// The same with `bound` at `most`.
    #[must_use]
    pub fn with(mut self, bound: Bound, most: u64) -> Self {
        self.most[bound as usize] = most;
        self
    }

    /// What `bound` was lowered to, if it was.
    #[must_use]
    pub fn get(&self, bound: Bound) -> Option<u64> {
        Some(self.most[bound as usize]).filter(|most| *most != u64::MAX)
    }

    /// Those that are set.
    pub fn iter(&self) -> impl Iterator<Item = (Bound, u64)> {
        Bound::ALL.into_iter().filter_map(|bound| Some((bound, self.get(bound)?)))
    }

    /// Whether none is set.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The lower of both, bound by bound.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (own, other) in self.most.iter_mut().zip(other.most) {
            *own = (*own).min(other);
        }
        self
    }
}

impl Serialize for Lowered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (bound, most) in self.iter() {
            match bound.unit() {
                Unit::Count => map.serialize_entry(bound.key(), &most)?,
                Unit::Bytes => map.serialize_entry(bound.key(), &ByteSize(most))?,
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Lowered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounds;
        impl<'de> de::Visitor<'de> for Bounds {
            type Value = Lowered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of bounds, such as {\"fuel_units\": 1000000}")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Lowered, A::Error> {
                let mut lowered = Lowered::default();
                while let Some(key) = map.next_key::<String>()? {
                    let bound: Bound = key.parse().map_err(de::Error::custom)?;
                    let most = match bound.unit() {
                        Unit::Count => map.next_value::<Option<u64>>()?,
                        Unit::Bytes => map.next_value::<Option<ByteSize>>()?.map(|ByteSize(bytes)| bytes),
                    };
                    lowered = lowered.with(bound, most.unwrap_or(u64::MAX));
                }
                Ok(lowered)
            }
        }
        deserializer.deserialize_map(Bounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_bounds_the_lower_one_holds() {
        let one = Lowered::default().with(Bound::FuelUnits, 5).with(Bound::DeadlineMs, 7);
        let two = Lowered::default().with(Bound::FuelUnits, 3).with(Bound::Log, 9);

        let both = Lowered::default().with(Bound::FuelUnits, 3).with(Bound::DeadlineMs, 7).with(Bound::Log, 9);
        assert_eq!((one.and(two), two.and(one)), (both, both));
    }

    #[test]
    fn every_bound_has_its_own_number_and_name() {
        for (number, bound) in Bound::ALL.into_iter().enumerate() {
            assert_eq!(bound as usize, number);
            assert_eq!(bound.key().parse(), Ok(bound));
        }
    }

    #[test]
    fn what_is_written_reads_back_and_what_is_unknown_is_refused() {
        let lowered = Lowered::default().with(Bound::HttpRequests, 3).with(Bound::Random, 2_048);

        let text = serde_json::to_string(&lowered).unwrap();
        assert_eq!(text, r#"{"random":"2 KiB","http_requests":3}"#);
        assert_eq!(serde_json::from_str::<Lowered>(&text).unwrap(), lowered);

        let error = serde_json::from_str::<Lowered>(r#"{"feul_units": 1}"#).unwrap_err().to_string();
        assert!(error.starts_with("`feul_units` is not a bound of calls: there is fuel_units, "), "{error}");
    }
}
