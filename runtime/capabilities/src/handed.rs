use fumehood_model::ByteSize;

use crate::exhausted::Exhausted;

/// What a call may still hand to its host: bytes that it writes, logs, keeps or sends, summed over the whole call.
///
/// Host memory bounds what one call of the host may carry. Copying it takes time that burns no fuel, again and again.
#[derive(Debug)]
pub(crate) struct Handed {
    allowed: ByteSize,
    left: u64,
}

impl Handed {
    pub(crate) fn up_to(allowed: ByteSize) -> Self {
        Self { allowed, left: allowed.0 }
    }

    /// Count `bytes` that have arrived.
    pub(crate) fn count(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let left = self.left.checked_sub(bytes as u64);
        self.left = left.unwrap_or(0);
        left.map(drop).ok_or(Exhausted::HostBytes { allowed: self.allowed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_is_summed() {
        let allowed = ByteSize(100);
        let mut handed = Handed::up_to(allowed);

        assert_eq!(handed.count(60), Ok(()));
        assert_eq!(handed.count(40), Ok(()));
        assert_eq!(handed.count(1), Err(Exhausted::HostBytes { allowed }));
    }
}
