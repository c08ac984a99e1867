use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Lowered;

/// The public part of an API key: what logs and lists show.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub Arc<str>);

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything: upload, remove, manage keys, and call.
    Admin,
    /// List and call tools.
    Call,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::Call => "call",
        })
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "admin" => Ok(Self::Admin),
            "call" => Ok(Self::Call),
            _ => Err(format!("`{}` is not a role: use admin or call", text.escape_debug())),
        }
    }
}

/// Who calls.
///
/// Every credential, of whatever kind, resolves to one of these at the edge; nothing further in looks at
/// credentials again. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The key that was presented.
    pub key: KeyId,
    /// The name that its owner gave it.
    pub name: Arc<str>,
    /// What it may do.
    pub roles: Arc<[Role]>,
    /// Bounds on each of its calls, beyond those of the configuration.
    pub limits: Lowered,
}

impl Principal {
    /// Whoever can reach a server that was started without authentication, or owns the process itself.
    #[must_use]
    pub fn local() -> Self {
        Self {
            key: KeyId("local".into()),
            name: "local".into(),
            roles: [Role::Admin].into(),
            limits: Lowered::default(),
        }
    }

    /// Whether this principal has `role`, directly or because it is an administrator.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.iter().any(|r| *r == role || *r == Role::Admin)
    }
}
