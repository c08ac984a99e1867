//! Random bytes, counted: a guest that asks for them without end is stopped.

use fumehood_model::ByteSize;
use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::{
    p2::bindings::random::{insecure, random},
    random::WasiRandomCtx,
};

use crate::{Guest, exhausted::Exhausted};

/// What a call has left of its random bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    allowed: ByteSize,
    left: u64,
    /// What they are made of, where they are not to be random.
    seeded: Option<Seeded>,
}

impl Budget {
    pub(crate) fn new(allowed: ByteSize, seed: Option<u64>) -> Self {
        Self { allowed, left: allowed.0, seeded: seed.map(Seeded) }
    }

    fn spend(&mut self, bytes: u64) -> wasmtime::Result<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Exhausted::Random { allowed: self.allowed }.into())
            }
        }
    }
}

/// Numbers that follow from a seed, and are the same wherever and whenever they are drawn: SplitMix64, which is short and
/// spreads them well. Anybody can guess them.
#[derive(Debug)]
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, len: u64) -> Vec<u8> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let mut bytes: Vec<_> = (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(len);
        bytes
    }
}

/// The source of random bytes, with what may still be taken from it.
pub(crate) struct Counted<'a> {
    pub(crate) source: &'a mut WasiRandomCtx,
    pub(crate) budget: &'a mut Budget,
}

struct HasRandom;

impl HasData for HasRandom {
    type Data<'a> = Counted<'a>;
}

/// Put counted randomness in the place of WASI's own.
pub(crate) fn link<X: Send + 'static>(linker: &mut Linker<Guest<X>>) -> wasmtime::Result<()> {
    random::add_to_linker::<_, HasRandom>(linker, Guest::random)?;
    insecure::add_to_linker::<_, HasRandom>(linker, Guest::random)
}

impl random::Host for Counted<'_> {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.budget.spend(len)?;
        match &mut self.budget.seeded {
            Some(seeded) => Ok(seeded.bytes(len)),
            None => random::Host::get_random_bytes(self.source, len),
        }
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.budget.spend(8)?;
        match &mut self.budget.seeded {
            Some(seeded) => Ok(seeded.next()),
            None => random::Host::get_random_u64(self.source),
        }
    }
}

impl insecure::Host for Counted<'_> {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.budget.spend(len)?;
        match &mut self.budget.seeded {
            Some(seeded) => Ok(seeded.bytes(len)),
            None => insecure::Host::get_insecure_random_bytes(self.source, len),
        }
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.budget.spend(8)?;
        match &mut self.budget.seeded {
            Some(seeded) => Ok(seeded.next()),
            None => insecure::Host::get_insecure_random_u64(self.source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exhausted;

    #[test]
    fn secure_and_insecure_bytes_are_taken_from_one_budget() {
        let allowed = ByteSize(100);
        let mut counted = Counted { source: &mut WasiRandomCtx::default(), budget: &mut Budget::new(allowed, None) };

        let first = random::Host::get_random_bytes(&mut counted, 60).unwrap();
        let number = random::Host::get_random_u64(&mut counted);
        let second = insecure::Host::get_insecure_random_bytes(&mut counted, 40).unwrap_err();

        assert_eq!(first.len(), 60);
        assert!(number.is_ok());
        assert_eq!(exhausted(&second), Some(Exhausted::Random { allowed }));
        assert!(random::Host::get_random_bytes(&mut counted, u64::MAX).is_err());
        assert!(random::Host::get_random_bytes(&mut counted, 1).is_err(), "what was overdrawn stays so");
    }

    #[test]
    fn bytes_of_a_seed_are_the_same_again_and_counted_too() {
        let drawn = |seed| {
            let budget = &mut Budget::new(ByteSize(100), Some(seed));
            let mut counted = Counted { source: &mut WasiRandomCtx::default(), budget };
            let bytes = random::Host::get_random_bytes(&mut counted, 41).unwrap();
            let number = insecure::Host::get_insecure_random_u64(&mut counted).unwrap();
            assert!(random::Host::get_random_bytes(&mut counted, 60).is_err());
            (bytes, number)
        };

        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert_eq!(drawn(7).0.len(), 41);
    }
}
