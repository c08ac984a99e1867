use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What becomes of a component that nobody who is trusted has signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// It is served, and nobody looks at its signature.
    #[default]
    Off,
    /// It is served, and said to be what it is.
    Warn,
    /// It is refused.
    Enforce,
}

/// `[signatures]`: whose components are served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signatures {
    /// What becomes of all others.
    pub policy: Policy,
    /// Public keys whose signatures are trusted.
    pub keys: Vec<Key>,
    /// Identities whose signatures are trusted.
    pub identities: Vec<Identity>,
    /// The `trusted_root.json` that tells which authorities of Sigstore vouch for identities.
    pub trust_root: Option<PathBuf>,
}

/// A public key that is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// What it is called wherever it is told who has signed.
    pub name: String,
    /// Its file, in PEM.
    pub path: PathBuf,
}

/// An identity that is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Who vouches for it.
    pub issuer: String,
    /// Who it is, to the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Or what it is like: `*` stands for any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_pattern: Option<String>,
}

/// Why the configuration of signatures cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Nobody is trusted.
    #[error(
        "signatures.policy is enforce, and neither signatures.keys nor signatures.identities names anybody: nothing could be served"
    )]
    Nobody,
    /// A key has no name that can be shown.
    #[error(
        "signatures.keys: a key is called by 1 to 64 characters without quotes and control characters, not {name:?}"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// Two keys have one name.
    #[error("signatures.keys: two keys are called {name:?}: nobody could tell who has signed")]
    NameTwice {
        /// The name.
        name: String,
    },
    /// A file cannot be read.
    #[error("{what}: {} cannot be read: {why}", .path.display())]
    Unreadable {
        /// What it is for.
        what: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A file is not a public key.
    #[error(
        "signatures.keys: {} is no public key for {name:?}: {why}; it must be PEM with `BEGIN PUBLIC KEY`, as `cosign public-key` writes it",
        .path.display()
    )]
    BadKey {
        /// What the key is called.
        name: String,
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Identities are trusted, and nothing says who vouches for them.
    #[error(
        "signatures.identities needs signatures.trust_root: the trusted_root.json of the Sigstore that vouches for them"
    )]
    NoRoot,
    /// A file is not a trust root.
    #[error("signatures.trust_root: {} is no trusted_root.json: {why}", .path.display())]
    BadRoot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An identity is nobody in particular.
    #[error("signatures.identities: the one with the issuer {issuer:?} {what}")]
    BadIdentity {
        /// Who vouches for it.
        issuer: String,
        /// What is wrong with it.
        what: &'static str,
    },
}
