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
