use serde::{Deserialize, Serialize};

/// What becomes of a new version of a module that asks for more than the one before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNewPermissions {
    /// It is served at once, with the grants that there are and without what is new.
    #[default]
    Serve,
    /// It waits until an administrator has reviewed it; the version before it is served until then.
    Hold,
}

/// Who confirms the calls that a person must confirm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfirmedBy {
    /// Whoever calls, or an administrator.
    #[default]
    Caller,
    /// An administrator alone.
    Administrator,
}

/// What becomes of a new version of a module whose tools say something else of themselves: another description, another
/// schema, other hints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnChangedDefinitions {
    /// It is served, and nobody is told.
    Serve,
    /// It is served, and who lists such a tool is told until an administrator has reviewed it.
    #[default]
    Flag,
    /// It waits until an administrator has reviewed it; the version before it is served until then.
    Hold,
}
