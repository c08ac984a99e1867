//! Bundles of Sigstore, and the identities in them.

use fumehood_model::{Digest, Signer};
use sigstore_verify::{
    VerificationPolicy, Verifier,
    trust_root::TrustedRoot,
    types::{
        Bundle, HashAlgorithm, SignatureContent,
        bundle::{MessageSignature, VerificationMaterialContent},
    },
};

use crate::{ConfigError, Identity, Signatures, keys::read, pattern::Pattern};

/// Largest trust root: that of the public Sigstore has a hundredth of that.
const MAX_ROOT_BYTES: u64 = 1 << 20;

/// A bundle that was read and that nobody has checked.
pub(crate) struct Claimed {
    bundle: Bundle,
    /// Whether it names an identity, and not a key.
    pub(crate) is_keyless: bool,
}

impl Claimed {
    /// Read a bundle.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let bundle = Bundle::from_json(text)
            .map_err(|error| format!("it is no bundle of Sigstore: {}", shown(&error.to_string())))?;
        let is_keyless = match &bundle.verification_material.content {
            VerificationMaterialContent::PublicKey(_) => false,
            VerificationMaterialContent::Certificate(_) | VerificationMaterialContent::X509CertificateChain { .. } => {
                true
            }
            _ => return Err("it holds neither a certificate nor the name of a key".to_owned()),
        };
        Ok(Self { bundle, is_keyless })
    }

    /// What it says to be the signature of this component.
    pub(crate) fn of(&self, component: &[u8]) -> Result<&MessageSignature, String> {
        let SignatureContent::MessageSignature(message) = &self.bundle.content else {
            // Whoever attests that a test has failed has not signed for the component.
            let what = "it is an attestation, which says something about a component and does not sign it: use cosign sign-blob";
            return Err(what.to_owned());
        };
        if let Some(signed) =
            message.message_digest.as_ref().filter(|signed| signed.algorithm == HashAlgorithm::Sha2256)
        {
            let here = Digest::of(component);
            if signed.digest.as_bytes() != here.as_bytes() {
                let of = signed.digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                return Err(format!(
                    "it was made for sha256:{of}, and the component is {here}: it was changed, or is another one"
                ));
            }
        }
        Ok(message)
    }
}

/// The identities that are trusted, and who vouches for them.
pub(crate) struct Identities {
    verifier: Verifier,
    policy: VerificationPolicy,
    trusted: Vec<TrustedIdentity>,
}

struct TrustedIdentity {
    issuer: String,
    subject: Subject,
}

enum Subject {
    Exact(String),
    Like(Pattern),
}

impl Identities {
    /// Read the trust root. Blocking.
    pub(crate) fn read(config: &Signatures) -> Result<Option<Self>, ConfigError> {
        let trusted = config.identities.iter().map(TrustedIdentity::new).collect::<Result<Vec<_>, _>>()?;
        let path = match &config.trust_root {
            Some(path) => path.clone(),
            None if trusted.is_empty() => return Ok(None),
            None => return Err(ConfigError::NoRoot),
        };
        let text = read(&path, MAX_ROOT_BYTES).map_err(|error| ConfigError::Unreadable {
            what: "signatures.trust_root".to_owned(),
            path: path.clone(),
            why: error.to_string(),
        })?;
        let bad = |why: String| ConfigError::BadRoot { path: path.clone(), why };
        let root = TrustedRoot::from_json(&text).map_err(|error| bad(error.to_string()))?;
        if root.certificate_authorities.is_empty() {
            return Err(bad("it names no certificate authority".to_owned()));
        }
        if root.tlogs.is_empty() && root.timestamp_authorities.is_empty() {
            return Err(bad(
                "it names neither a log nor an authority of time: nobody could tell when was signed".to_owned()
            ));
        }
        let verifier = Verifier::new(&root).map_err(|error| bad(error.to_string()))?;
        // A Sigstore of one's own may do without logs. What the root names is asked for.
        let mut policy = VerificationPolicy::any_identity();
        if root.tlogs.is_empty() {
            policy = policy.skip_tlog_unsafe();
        }
        if root.ctlogs.is_empty() {
            policy = policy.skip_sct();
        }
        Ok(Some(Self { verifier, policy, trusted }))
    }

    /// Who has signed the component, if that is somebody who is trusted.
    pub(crate) fn signer(&self, component: &[u8], claimed: &Claimed) -> Result<Signer, String> {
        claimed.of(component)?;
        let verified = self.verifier.verify(component, &claimed.bundle, &self.policy);
        let verified = verified.map_err(|error| told(&error.to_string()))?;
        // Asked for above, and worth a second look: without it, an identity is a claim.
        if !verified.certificate_verified() {
            return Err("its certificate was not checked".to_owned());
        }
        let (Some(subject), Some(issuer)) = (verified.identity(), verified.issuer()) else {
            return Err("its certificate names no identity with an issuer".to_owned());
        };
        let subject = subject.as_str();
        if self.trusted.iter().any(|trusted| trusted.is(subject, issuer)) {
            return Ok(Signer::Identity { subject: shown(subject), issuer: shown(issuer) });
        }
        let (subject, issuer) = (shown(subject), shown(issuer));
        Err(format!("it is that of {subject} (issuer {issuer}), whom signatures.identities does not name"))
    }
}

impl TrustedIdentity {
    fn new(identity: &Identity) -> Result<Self, ConfigError> {
        let Identity { issuer, subject, subject_pattern } = identity;
        let bad = |what| ConfigError::BadIdentity { issuer: issuer.clone(), what };
        if issuer.is_empty() {
            return Err(bad("has no issuer"));
        }
        let subject = match (subject, subject_pattern) {
            (Some(subject), None) if !subject.is_empty() => Subject::Exact(subject.clone()),
            (None, Some(pattern)) => {
                let pattern = Pattern::new(pattern);
                if pattern.is_anything() {
                    return Err(bad("has a subject_pattern that is anybody: an issuer vouches for all the world"));
                }
                Subject::Like(pattern)
            }
            _ => return Err(bad("needs either a subject or a subject_pattern")),
        };
        Ok(Self { issuer: issuer.clone(), subject })
    }

    fn is(&self, subject: &str, issuer: &str) -> bool {
        let is_subject = match &self.subject {
            Subject::Exact(exact) => exact == subject,
            Subject::Like(pattern) => pattern.matches(subject),
        };
        is_subject && self.issuer == issuer
    }
}

/// Why a bundle does not hold, in words for who knows no parser of certificates.
fn told(error: &str) -> String {
    let words = [
        ("CertExpired", "its certificate had expired when it was made"),
        ("CertNotValidYet", "its certificate was not valid yet when it was made"),
        ("UnknownIssuer", "its certificate is from no authority that signatures.trust_root names"),
    ];
    let known = words.into_iter().find(|(name, _)| error.contains(name));
    known.map_or_else(|| shown(error), |(_, words)| words.to_owned())
}

/// Text that a stranger may have written, fit for a log line.
fn shown(text: &str) -> String {
    text.chars()
        .take(300)
        .flat_map(|c| if c == '\'' || c == '"' { vec![c] } else { c.escape_debug().collect() })
        .collect()
}
