use fumehood_model::{Signer, Standing};
use serde::Serialize;
use utoipa::ToSchema;

/// What is known of the signature of a component.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignatureEntry {
    state: SignatureState,
    /// The same in words, with the name of the key or the identity.
    #[schema(example = "signed by key \"release\"")]
    text: String,
    /// The key that has signed, by the name that the operator gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The identity that has signed: an address of mail, or the URI of a workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Who vouched for that identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
}

/// What a signature is worth.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SignatureState {
    /// Somebody who is trusted has signed just these bytes.
    Signed,
    /// There is none.
    Unsigned,
    /// There is one, and it does not hold.
    Invalid,
}

impl SignatureEntry {
    /// What is told of it; nothing where nobody looks at signatures.
    pub(crate) fn of(standing: &Standing) -> Option<Self> {
        let (state, signer) = match standing {
            Standing::Unchecked => return None,
            Standing::Unsigned => (SignatureState::Unsigned, None),
            Standing::Invalid { .. } => (SignatureState::Invalid, None),
            Standing::Signed(signer) => (SignatureState::Signed, Some(signer.clone())),
        };
        let (key, subject, issuer) = match signer {
            Some(Signer::Key { name }) => (Some(name), None, None),
            Some(Signer::Identity { subject, issuer }) => (None, Some(subject), Some(issuer)),
            None => (None, None, None),
        };
        Some(Self { state, text: standing.to_string(), key, subject, issuer })
    }
}
