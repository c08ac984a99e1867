//! What cosign and the public Sigstore have really written is understood, and nothing that was changed in it.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test, in helpers of tests as in tests")]

use std::{fs, path::PathBuf};

use fumehood_model::Standing;
use fumehood_signature::{Identity, Key, Policy, Signatures, Trust};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/real").join(name)
}

fn trust(subject_pattern: &str) -> Trust {
    let identity = Identity {
        issuer: "https://token.actions.githubusercontent.com".to_owned(),
        subject: None,
        subject_pattern: Some(subject_pattern.to_owned()),
    };
    let config = Signatures {
        policy: Policy::Enforce,
        keys: vec![Key { name: "theirs".to_owned(), path: path("key.pub") }],
        identities: vec![identity],
        trust_root: Some(path("trusted_root.json")),
    };
    Trust::read(&config).unwrap()
}

fn said(trust: &Trust, content: &[u8], bundle: &str) -> String {
    let bundle = fs::read_to_string(path(bundle)).unwrap();
    let standing = trust.check(content, Some(&bundle));
    assert_eq!(trust.admit(&standing).is_ok(), matches!(standing, Standing::Signed(_)));
    standing.to_string()
}

#[test]
fn an_identity_that_the_public_sigstore_vouches_for_is_named() {
    let content = fs::read(path("identity.txt")).unwrap();
    let workflow = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/\
        extremely-dangerous-oidc-beacon.yml@refs/heads/main";

    let named = said(&trust("https://github.com/sigstore-conformance/*"), &content, "identity.sigstore.json");
    assert_eq!(named, format!("signed by {workflow} (issuer https://token.actions.githubusercontent.com)"));

    let other = said(&trust("https://github.com/acme/*"), &content, "identity.sigstore.json");
    assert!(other.contains("whom signatures.identities does not name"), "{other}");
    let changed = [&content[..], b"."].concat();
    let changed = said(&trust("https://github.com/sigstore-conformance/*"), &changed, "identity.sigstore.json");
    assert!(changed.contains("it was changed, or is another one"), "{changed}");
}

#[test]
fn a_bundle_of_a_key_is_that_of_the_key() {
    let content = fs::read(path("key.txt")).unwrap();
    let trust = trust("https://github.com/acme/*");

    assert_eq!(said(&trust, &content, "key.sigstore.json"), "signed by key \"theirs\"");
    let changed = said(&trust, &[&content[..], b"."].concat(), "key.sigstore.json");
    assert!(changed.contains("it was changed, or is another one"), "{changed}");
}
