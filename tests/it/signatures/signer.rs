//! Keys that sign, as `cosign sign-blob --key` does.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};

use super::der;

/// A private key.
pub(super) enum Signer {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    pub(super) fn ecdsa() -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        Self::Ecdsa(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random).unwrap())
    }

    pub(super) fn ed25519() -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ecdsa(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// The bare signature, as text.
    pub(super) fn signature(&self, message: &[u8]) -> String {
        STANDARD.encode(self.sign(message)) + "\n"
    }

    /// The public key, with its algorithm.
    pub(super) fn public(&self) -> Vec<u8> {
        let (algorithm, key) = match self {
            Self::Ecdsa(key) => {
                let curve = [der::object("1.2.840.10045.2.1"), der::object("1.2.840.10045.3.1.7")];
                (der::sequence(&curve), key.public_key().as_ref())
            }
            Self::Ed25519(key) => (der::sequence(&[der::object("1.3.101.112")]), key.public_key().as_ref()),
        };
        der::sequence(&[algorithm, der::bits(0, key)])
    }

    pub(super) fn pem(&self) -> String {
        pem("PUBLIC KEY", &self.public())
    }
}

pub(super) fn pem(title: &str, content: &[u8]) -> String {
    let text = STANDARD.encode(content);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {title}-----\n{}\n-----END {title}-----\n", lines.join("\n"))
}

pub(super) fn sha256(content: &[u8]) -> Vec<u8> {
    digest(&SHA256, content).as_ref().to_vec()
}
