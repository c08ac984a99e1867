//! The arithmetic that `sigstore-verify` asks for: of `ring`, which is here for TLS anyway, and where only a digest is at hand,
//! which `ring` does not take, of the curves in Rust. With its own choice, a large library of C would be built beside them.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use ring::{
    digest::{Context, SHA256, SHA384, SHA512},
    signature::{self, UnparsedPublicKey, VerificationAlgorithm},
};
use sigstore_verify::{
    crypto::{CryptoProvider, Error, HashContext, SigningScheme, install_default_provider},
    types::HashAlgorithm,
};

/// Verifies and hashes; it signs nothing.
#[derive(Debug)]
struct Arithmetic;

static ARITHMETIC: Arithmetic = Arithmetic;

/// Make `sigstore-verify` able to work. To be called before anything of it; once is enough.
pub(crate) fn ready() {
    // Whoever was first has put the same there.
    let _ = install_default_provider(&ARITHMETIC);
}

struct Hash(Context);

impl HashContext for Hash {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self: Box<Self>) -> Vec<u8> {
        self.0.finish().as_ref().to_vec()
    }
}

impl CryptoProvider for Arithmetic {
    fn hash(&self, algorithm: HashAlgorithm) -> Result<Box<dyn HashContext>, Error> {
        let algorithm = match algorithm {
            HashAlgorithm::Sha2256 => &SHA256,
            HashAlgorithm::Sha2384 => &SHA384,
            HashAlgorithm::Sha2512 => &SHA512,
            other => return Err(unsupported(&other.to_string())),
        };
        Ok(Box::new(Hash(Context::new(algorithm))))
    }

    fn verify_raw(&self, scheme: SigningScheme, key: &[u8], data: &[u8], signature: &[u8]) -> Result<(), Error> {
        let key = UnparsedPublicKey::new(of_messages(scheme)?, key);
        key.verify(data, signature).map_err(|_| wrong(scheme))
    }

    fn verify_prehashed(
        &self,
        scheme: SigningScheme,
        key: &[u8],
        digest: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        let holds = match scheme {
            SigningScheme::EcdsaP256Sha256 | SigningScheme::EcdsaP256Sha384 => {
                use p256::ecdsa::{Signature, VerifyingKey};
                let read =
                    VerifyingKey::from_sec1_bytes(key).and_then(|key| Ok((key, Signature::from_der(signature)?)));
                read.and_then(|(key, signature)| key.verify_prehash(digest, &signature)).is_ok()
            }
            SigningScheme::EcdsaP384Sha256 | SigningScheme::EcdsaP384Sha384 => {
                use p384::ecdsa::{Signature, VerifyingKey};
                let read =
                    VerifyingKey::from_sec1_bytes(key).and_then(|key| Ok((key, Signature::from_der(signature)?)));
                read.and_then(|(key, signature)| key.verify_prehash(digest, &signature)).is_ok()
            }
            other => return Err(unsupported(other.name())),
        };
        if holds { Ok(()) } else { Err(wrong(scheme)) }
    }
}

/// What verifies signatures over whole messages.
fn of_messages(scheme: SigningScheme) -> Result<&'static dyn VerificationAlgorithm, Error> {
    Ok(match scheme {
        SigningScheme::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
        SigningScheme::EcdsaP256Sha384 => &signature::ECDSA_P256_SHA384_ASN1,
        SigningScheme::EcdsaP384Sha256 => &signature::ECDSA_P384_SHA256_ASN1,
        SigningScheme::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
        SigningScheme::Ed25519 => &signature::ED25519,
        SigningScheme::RsaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
        SigningScheme::RsaPssSha384 => &signature::RSA_PSS_2048_8192_SHA384,
        SigningScheme::RsaPssSha512 => &signature::RSA_PSS_2048_8192_SHA512,
        SigningScheme::RsaPkcs1Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        SigningScheme::RsaPkcs1Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        SigningScheme::RsaPkcs1Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        other => return Err(unsupported(other.name())),
    })
}

fn unsupported(name: &str) -> Error {
    Error::UnsupportedAlgorithm(format!("{name} is not known here"))
}

fn wrong(scheme: SigningScheme) -> Error {
    Error::Verification(format!("{} signature invalid", scheme.name()))
}
