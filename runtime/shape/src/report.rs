use std::io;

use serde::Serialize;
use serde_json::Value;

/// Bytes of JSON that are taken for one token: what is usual for English text, and what the source of these rules uses.
/// An estimate: numbers and other scripts take more tokens.
pub const BYTES_PER_TOKEN: usize = 4;

/// What shaping an answer saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Bytes of the tool's answer as compact JSON.
    pub bytes_before: usize,
    /// Bytes of what the caller gets.
    pub bytes_after: usize,
}

impl Report {
    /// About how many tokens the caller was spared, at [`BYTES_PER_TOKEN`]; none if the answer grew.
    #[must_use]
    pub fn tokens_saved(&self) -> usize {
        self.bytes_before.saturating_sub(self.bytes_after) / BYTES_PER_TOKEN
    }
}

/// Bytes of `value` as compact JSON, without writing them anywhere.
#[must_use]
pub fn size_of(value: &Value) -> usize {
    let mut counted = Counted(0);
    serde_json::to_writer(&mut counted, value)
        .expect("a JSON value is written without failing, and counting does not fail");
    counted.0
}

struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_size_is_that_of_the_text() {
        let value = json!({"a": [1, "ü\n", null, 1.5]});

        assert_eq!(size_of(&value), value.to_string().len());
    }

    #[test]
    fn four_bytes_are_one_token() {
        assert_eq!(Report { bytes_before: 12_128, bytes_after: 1_856 }.tokens_saved(), 2_568);
        assert_eq!(Report { bytes_before: 10, bytes_after: 20 }.tokens_saved(), 0);
    }
}
