//! Any bytes as what the other side answers: reading ends, what a guest gets is within its bound, and nothing in it is about
//! the connection.

#![no_main]

use fumehood_capabilities::http::fuzzing::answer;
use libfuzzer_sys::fuzz_target;

/// Most bytes of an answer.
const MOST: usize = 4 << 10;

fuzz_target!(|bytes: &[u8]| {
    let Some(response) = answer(bytes, MOST) else { return };
    let headers: usize = response.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(headers + response.body.len() <= MOST, "{headers} and {}", response.body.len());
    assert!(response.status >= 200, "{}", response.status);
    for (name, value) in &response.headers {
        assert!(!["connection", "transfer-encoding", "upgrade", "keep-alive"].contains(&name.as_str()), "{name}");
        assert!(!value.contains(&b'\r') && !value.contains(&b'\n'), "{value:?}");
    }
});
