//! Any text as a grant: reading never panics, and what is read is written back as the same.

#![no_main]

use fumehood_policy::Grant;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(grant) = text.parse::<Grant>() else { return };
    let written = grant.to_string();
    assert_eq!(written.parse::<Grant>().as_ref(), Ok(&grant), "{written}");
    assert!(grant.covers(&grant));
    assert!(grant.covers(&grant.as_ask()));
});
