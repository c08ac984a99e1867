//! Any bytes as a component: counting never panics, whatever the bytes are.

#![no_main]

use fumehood_value::Counts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Counts::of(bytes);
    // The same bytes as the rest of a component and of a core module: most inputs do not guess eight bytes.
    for header in [b"\0asm\x0d\0\x01\0", b"\0asm\x01\0\0\0"] {
        let _ = Counts::of(&[header.as_slice(), bytes].concat());
    }
});
