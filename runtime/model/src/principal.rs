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

/// What a key is held to; it only lowers what the configuration allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLimits {
    /// Bounds on each of its calls.
    #[serde(flatten)]
    pub call: Lowered,
    /// Calls and jobs of it that run at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_calls: Option<u32>,
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
    /// What it is held to, beyond the configuration.
    pub limits: KeyLimits,
}

impl Principal {
    /// Whoever can reach a server that was started without authentication, or owns the process itself.
    #[must_use]
    pub fn local() -> Self {
        Self {
            key: KeyId("local".into()),
            name: "local".into(),
            roles: [Role::Admin].into(),
            limits: KeyLimits::default(),
        }
    }

    /// Whether this principal has `role`, directly or because it is an administrator.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.iter().any(|r| *r == role || *r == Role::Admin)
    }
}
