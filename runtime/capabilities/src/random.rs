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
}

impl Budget {
    pub(crate) fn new(allowed: ByteSize) -> Self {
        Self { allowed, left: allowed.0 }
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
        random::Host::get_random_bytes(self.source, len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.budget.spend(8)?;
        random::Host::get_random_u64(self.source)
    }
}

impl insecure::Host for Counted<'_> {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.budget.spend(len)?;
        insecure::Host::get_insecure_random_bytes(self.source, len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.budget.spend(8)?;
        insecure::Host::get_insecure_random_u64(self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exhausted;

    #[test]
    fn secure_and_insecure_bytes_are_taken_from_one_budget() {
        let allowed = ByteSize(100);
        let mut counted = Counted { source: &mut WasiRandomCtx::default(), budget: &mut Budget::new(allowed) };

        let first = random::Host::get_random_bytes(&mut counted, 60).unwrap();
        let number = random::Host::get_random_u64(&mut counted);
        let second = insecure::Host::get_insecure_random_bytes(&mut counted, 40).unwrap_err();

        assert_eq!(first.len(), 60);
        assert!(number.is_ok());
        assert_eq!(exhausted(&second), Some(Exhausted::Random { allowed }));
        assert!(random::Host::get_random_bytes(&mut counted, u64::MAX).is_err());
        assert!(random::Host::get_random_bytes(&mut counted, 1).is_err(), "what was overdrawn stays so");
    }
}
