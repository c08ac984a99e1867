use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sigstore_verify::{
    crypto::{KeyAlgorithm, SigningScheme, VerificationKey},
    types::{DerPublicKey, SignatureBytes},
};

use crate::{ConfigError, Key};

/// Largest file of a key: even the longest RSA key in PEM has a fifth of that.
const MAX_KEY_BYTES: u64 = 16 << 10;

/// A public key that is trusted, ready to be used.
pub(crate) struct TrustedKey {
    pub(crate) name: String,
    /// The ways in which it signs.
    ways: Vec<VerificationKey>,
}

impl TrustedKey {
    /// Read it from its file. Blocking.
    pub(crate) fn read(key: &Key) -> Result<Self, ConfigError> {
        let Key { name, path } = key;
        if !(1..=64).contains(&name.chars().count()) || name.chars().any(|c| c.is_control() || c == '"') {
            return Err(ConfigError::BadName { name: name.clone() });
        }
        let text = read(path, MAX_KEY_BYTES).map_err(|error| ConfigError::Unreadable {
            what: format!("signatures.keys, {name:?}"),
            path: path.clone(),
            why: error.to_string(),
        })?;
        let bad = |why: String| ConfigError::BadKey { name: name.clone(), path: path.clone(), why };
        let key = DerPublicKey::from_pem(&text).map_err(|error| bad(error.to_string()))?;
        let algorithm = KeyAlgorithm::from_spki(&key).map_err(|error| bad(error.to_string()))?;
        let schemes: &[SigningScheme] = match algorithm {
            KeyAlgorithm::EcdsaP256 => &[SigningScheme::EcdsaP256Sha256],
            // The older cosign hashes with SHA-256 whatever the curve.
            KeyAlgorithm::EcdsaP384 => &[SigningScheme::EcdsaP384Sha384, SigningScheme::EcdsaP384Sha256],
            KeyAlgorithm::Ed25519 => &[SigningScheme::Ed25519],
            KeyAlgorithm::Rsa => &[SigningScheme::RsaPkcs1Sha256],
            other => return Err(bad(format!("keys of the kind {other:?} are not known here"))),
        };
        let ways = schemes.iter().map(|scheme| VerificationKey::from_spki_with_scheme(&key, *scheme));
        let ways = ways.collect::<Result<_, _>>().map_err(|error| bad(error.to_string()))?;
        Ok(Self { name: name.clone(), ways })
    }

    /// Whether it has signed these bytes.
    pub(crate) fn has_signed(&self, component: &[u8], signature: &SignatureBytes) -> bool {
        self.ways.iter().any(|way| way.verify(component, signature).is_ok())
    }
}

/// The text of a file of at most `most` bytes. Blocking.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    let count = File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if count as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(text)
}
