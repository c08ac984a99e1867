use std::fmt;

/// Who has signed a component, as the operator and the signature itself name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// Whoever has a private key.
    Key {
        /// What the operator calls it.
        name: String,
    },
    /// Whoever could prove an identity to an issuer at the moment of signing.
    Identity {
        /// Who: an address of mail, or the URI of a workflow.
        subject: String,
        /// Who vouched for that.
        issuer: String,
    },
}

/// What is known of the signature of a component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has looked.
    #[default]
    Unchecked,
    /// There is none.
    Unsigned,
    /// Somebody who is trusted has signed just these bytes.
    Signed(Signer),
    /// There is one, and it does not hold.
    Invalid {
        /// Why not.
        reason: String,
    },
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { name } => write!(f, "key \"{name}\""),
            Self::Identity { subject, issuer } => write!(f, "{subject} (issuer {issuer})"),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchecked => f.write_str("signatures are not checked"),
            Self::Unsigned => f.write_str("unsigned"),
            Self::Signed(signer) => write!(f, "signed by {signer}"),
            Self::Invalid { reason } => write!(f, "its signature does not hold: {reason}"),
        }
    }
}
