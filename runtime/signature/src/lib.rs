//! Who has signed a component, and whether that is somebody whom the operator trusts.
//!
//! A signature is what `cosign sign-blob` writes: the bare signature of a key, or a bundle, made with a key or with an identity
//! that Sigstore vouches for. It is over the bytes of the component and nothing else. Everything that is needed to check one is
//! in the configuration and read once: no network, no lookup.
//!
//! [`Trust::check`] tells what a signature is worth as a [`Standing`](fumehood_model::Standing); [`Trust::admit`] tells whether that is enough.

mod bundle;
mod config;
mod crypto;
mod keys;
mod pattern;
mod trust;

pub use config::{ConfigError, Identity, Key, Policy, Signatures};
pub use trust::{MAX_SIGNATURE_BYTES, Trust, Unproven};
