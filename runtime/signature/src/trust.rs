use base64::{Engine as _, engine::general_purpose::STANDARD};
use fumehood_model::{Signer, Standing};
use sigstore_verify::types::SignatureBytes;

use crate::{
    ConfigError, Policy, Signatures,
    bundle::{Claimed, Identities},
    crypto,
    keys::TrustedKey,
};

/// Most bytes of a signature. A bundle with everything in it has about ten thousand.
pub const MAX_SIGNATURE_BYTES: usize = 64 << 10;

/// Whom the operator trusts to sign components.
#[derive(Default)]
pub struct Trust {
    policy: Policy,
    keys: Vec<TrustedKey>,
    identities: Option<Identities>,
}

/// Why a component is not served: nobody who is trusted has signed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}, and signatures.policy = \"enforce\" serves only what a trusted signer has signed: {todo}")]
pub struct Unproven {
    what: String,
    todo: &'static str,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Trust {
    /// Read the keys and the trust root that `config` names. Blocking.
    ///
    /// # Errors
    ///
    /// With everything that is wrong, also where the policy is to look at nothing: a broken key is told before it is needed.
    pub fn read(config: &Signatures) -> Result<Self, Vec<ConfigError>> {
        crypto::ready();
        let mut errors = Vec::new();
        if config.policy == Policy::Enforce && config.keys.is_empty() && config.identities.is_empty() {
            errors.push(ConfigError::Nobody);
        }
        let mut keys: Vec<TrustedKey> = Vec::new();
        for key in &config.keys {
            match TrustedKey::read(key) {
                Ok(key) if keys.iter().any(|known| known.name == key.name) => {
                    errors.push(ConfigError::NameTwice { name: key.name });
                }
                Ok(key) => keys.push(key),
                Err(error) => errors.push(error),
            }
        }
        let identities = Identities::read(config).unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        if errors.is_empty() { Ok(Self { policy: config.policy, keys, identities }) } else { Err(errors) }
    }

    /// What becomes of a component that nobody who is trusted has signed.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// What `signature` is worth for `component`: nothing is looked at if the policy is off. Takes a few milliseconds.
    #[must_use]
    pub fn check(&self, component: &[u8], signature: Option<&str>) -> Standing {
        match (self.policy, signature) {
            (Policy::Off, _) => Standing::Unchecked,
            (_, None) => Standing::Unsigned,
            (_, Some(signature)) => match self.signer(component, signature) {
                Ok(signer) => Standing::Signed(signer),
                Err(reason) => Standing::Invalid { reason },
            },
        }
    }

    /// Whether a component of this standing may be served.
    ///
    /// # Errors
    ///
    /// When it may not, with why and with what to do.
    pub fn admit(&self, standing: &Standing) -> Result<(), Unproven> {
        if self.policy != Policy::Enforce {
            return Ok(());
        }
        match standing {
            Standing::Signed(_) => Ok(()),
            Standing::Unsigned | Standing::Unchecked => Err(Unproven {
                what: "the component is not signed".to_owned(),
                todo: "sign it (cosign sign-blob) and send the signature along (fumehood push FILE --signature FILE)",
            }),
            Standing::Invalid { reason } => Err(Unproven {
                what: format!("the signature of the component does not hold: {reason}"),
                todo: "sign these bytes with a trusted key or identity, or have the operator trust this one in [signatures]",
            }),
        }
    }

    /// Whether what was sent beside a component may count, where it is not what the component holds itself: no signature covers
    /// it.
    ///
    /// # Errors
    ///
    /// When it may not, with why and with what to do.
    pub fn admit_beside(&self, sent: Option<&str>, held: Option<&str>) -> Result<(), Unproven> {
        if self.policy != Policy::Enforce || sent.is_none() || sent == held {
            return Ok(());
        }
        Err(Unproven {
            what: "the signature of the component does not cover the tool.toml that comes beside it".to_owned(),
            todo: "put it into the component before that is signed (fumehood build does), and send the component alone",
        })
    }

    fn signer(&self, component: &[u8], signature: &str) -> Result<Signer, String> {
        if signature.len() > MAX_SIGNATURE_BYTES {
            return Err(format!(
                "it has {} bytes, more than the {MAX_SIGNATURE_BYTES} that are allowed",
                signature.len()
            ));
        }
        let text = signature.trim();
        if !text.starts_with('{') {
            let bytes =
                STANDARD.decode(text).map_err(|_| "it is neither base64 nor a bundle of Sigstore".to_owned())?;
            return self.by_key(component, &SignatureBytes::new(bytes));
        }
        let claimed = Claimed::read(text)?;
        if !claimed.is_keyless {
            return self.by_key(component, &claimed.of(component)?.signature);
        }
        match &self.identities {
            Some(identities) => identities.signer(component, &claimed),
            None => Err("it is made with an identity, and signatures.identities names none".to_owned()),
        }
    }

    fn by_key(&self, component: &[u8], signature: &SignatureBytes) -> Result<Signer, String> {
        if let Some(key) = self.keys.iter().find(|key| key.has_signed(component, signature)) {
            return Ok(Signer::Key { name: key.name.clone() });
        }
        let names: Vec<_> = self.keys.iter().take(5).map(|key| format!("{:?}", key.name)).collect();
        let more = if self.keys.len() > names.len() { " and others" } else { "" };
        Err(match names.len() {
            0 => "it is made with a key, and signatures.keys names none".to_owned(),
            _ => format!(
                "none of the keys {}{more} has made it for these bytes: another key has, or the component was changed",
                names.join(", ")
            ),
        })
    }
}
