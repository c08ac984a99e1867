//! Any text as a manifest: reading never panics, and every mistake has a line of the text.

#![no_main]

use fumehood_registry::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Manifest::parse("tool.toml", text) {
        Ok(manifest) => assert!(manifest.permissions.iter().all(|wish| wish.grant.as_ask() == wish.grant)),
        Err(error) => {
            let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
            assert!(!error.mistakes.is_empty());
            assert!(error.mistakes.iter().all(|mistake| (1..=lines).contains(&mistake.line)));
        }
    }
});
