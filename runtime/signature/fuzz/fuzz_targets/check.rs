//! Any text as a signature: reading it never panics, and it never holds for bytes that nobody has signed.

#![no_main]

use std::{path::PathBuf, sync::LazyLock};

use fumehood_model::Standing;
use fumehood_signature::{Identity, Key, Policy, Signatures, Trust};
use libfuzzer_sys::fuzz_target;

static TRUST: LazyLock<Trust> = LazyLock::new(|| {
    let path = |name: &str| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/real").join(name);
    let identity = Identity {
        issuer: "https://token.actions.githubusercontent.com".to_owned(),
        subject: None,
        subject_pattern: Some("https://*".to_owned()),
    };
    let config = Signatures {
        policy: Policy::Enforce,
        keys: vec![Key { name: "theirs".to_owned(), path: path("key.pub") }],
        identities: vec![identity],
        trust_root: Some(path("trusted_root.json")),
    };
    Trust::read(&config).expect("the keys and the trust root are there")
});

fuzz_target!(|text: &str| {
    let standing = TRUST.check(b"nobody has signed this", Some(text));
    assert!(matches!(standing, Standing::Invalid { .. }), "{standing}");
    assert!(TRUST.admit(&standing).is_err());
});
