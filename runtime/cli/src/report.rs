//! What a call used, on one line.

use fumehood_model::{Digest, Usage};
use serde_json::Value;
use ureq::http::HeaderMap;

use crate::output::{duration, grouped, single_line, size};

/// What a call used, as far as it is known.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    duration_us: Option<u64>,
    fuel_units: Option<u64>,
    memory_bytes: Option<u64>,
    digest: Option<String>,
}

impl Report {
    /// What the server says in the headers of its answer.
    pub(crate) fn of_headers(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let number = |name: &str| text(name).and_then(|text| text.parse().ok());
        Self {
            duration_us: number("fumehood-duration-us"),
            fuel_units: number("fumehood-fuel"),
            memory_bytes: number("fumehood-memory-bytes"),
            digest: text("fumehood-digest").map(single_line),
        }
    }

    /// What the last attempt of a job used.
    pub(crate) fn of_job(job: &Value) -> Self {
        let number = |name: &str| job["usage"][name].as_u64();
        Self {
            duration_us: number("duration_us"),
            fuel_units: number("fuel_units"),
            memory_bytes: number("memory_bytes"),
            digest: job["digest"].as_str().map(single_line),
        }
    }

    /// What a call in this process used.
    pub(crate) fn of_usage(usage: &Usage, digest: Digest) -> Self {
        Self {
            duration_us: Some(usage.duration_us),
            fuel_units: Some(usage.fuel_units),
            memory_bytes: Some(usage.memory_bytes),
            digest: Some(digest.to_string()),
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            self.duration_us.map(|us| format!("duration {}", duration(us))),
            self.fuel_units.map(|units| format!("fuel {}", grouped(units))),
            self.memory_bytes.map(|bytes| format!("memory {}", size(bytes))),
            self.digest.clone(),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(" · "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_one_line_and_leaves_out_what_is_unknown() {
        let mut headers = HeaderMap::new();
        headers.insert("fumehood-duration-us", 1200.into());
        headers.insert("fumehood-fuel", 1234.into());

        assert_eq!(Report::of_headers(&headers).to_string(), "duration 1.2 ms · fuel 1,234");
    }
}
