use super::Quota;

/// A folder `/scratch` that is empty when a call begins and gone when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScratchGrant {
    /// How much it may hold.
    pub quota: Quota,
}
