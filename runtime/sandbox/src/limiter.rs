use wasmtime::ResourceLimiter;

/// Host memory of one table element.
const TABLE_ELEMENT_BYTES: u64 = 8;

/// Sums memory and tables over everything that one call instantiates.
///
/// wasmtime's own `StoreLimits` bounds each memory by itself: a hundred memories of 32 MiB pass a limit of 32 MiB.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_allowed: u64,
    elements_allowed: u64,
    memory: u64,
    elements: u64,
    peak: u64,
    /// Whether the guest was refused more. What follows, often a crash, is told as "out of memory".
    pub(crate) refused: bool,
}

impl Limiter {
    pub(crate) fn new(memory_allowed: u64, elements_allowed: u64) -> Self {
        Self { memory_allowed, elements_allowed, memory: 0, elements: 0, peak: 0, refused: false }
    }

    /// The most bytes of memories and tables that were held at a time.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.peak
    }

    fn note_peak(&mut self) {
        self.peak = self.peak.max(self.memory + self.elements * TABLE_ELEMENT_BYTES);
    }
}

/// `held` after growing from `current` to `desired`, if that is allowed.
fn grown(held: u64, current: usize, desired: usize, allowed: u64) -> Option<u64> {
    let added = (desired as u64).saturating_sub(current as u64);
    held.checked_add(added).filter(|held| *held <= allowed)
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Beyond the memory's own maximum growth fails whatever we say, and must not be counted.
        if maximum.is_some_and(|maximum| desired > maximum) {
            self.refused = true;
            return Ok(false);
        }
        match grown(self.memory, current, desired, self.memory_allowed) {
            Some(held) => self.memory = held,
            None => {
                self.refused = true;
                return Ok(false);
            }
        }
        self.note_peak();
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            self.refused = true;
            return Ok(false);
        }
        match grown(self.elements, current, desired, self.elements_allowed) {
            Some(held) => self.elements = held,
            None => {
                self.refused = true;
                return Ok(false);
            }
        }
        self.note_peak();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_memories_are_summed() {
        let mut limiter = Limiter::new(100, 10);

        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.refused);
        assert!(limiter.memory_growing(60, 100, None).unwrap());
        assert_eq!(limiter.peak_bytes(), 100);
    }
}
