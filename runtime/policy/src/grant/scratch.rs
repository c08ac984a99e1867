use std::fmt;

use fumehood_model::ByteSize;

use super::{
    Quota,
    syntax::{Options, Size},
};

/// What fits into scratch unless written: what a call may have as memory too, in as many files as tools unpack.
const DEFAULT: Quota = Quota { bytes: ByteSize::mib(64), count: 1_000 };

/// A folder `/scratch` that is empty when a call begins and gone when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScratchGrant {
    /// How much it may hold.
    pub quota: Quota,
}

impl Default for ScratchGrant {
    fn default() -> Self {
        Self { quota: DEFAULT }
    }
}

impl ScratchGrant {
    pub(super) fn parsed(subject: Option<&str>, options: &mut Options<'_>) -> Result<Self, String> {
        if subject.is_some() {
            return Err("scratch has no name: write `scratch` or `scratch,bytes=64MiB,files=1000`".to_owned());
        }
        Ok(Self { quota: options.quota("files", DEFAULT)? })
    }
}

impl fmt::Display for ScratchGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ",bytes={},files={}", Size(self.quota.bytes), self.quota.count)
    }
}
