//! What one call holds to inside its sandbox.

use fumehood_capabilities::Exhausted;
use fumehood_model::Bound;
use fumehood_policy::Limits;
use wasmtime::ResourceLimiter;

/// Host memory of one table element.
const TABLE_ELEMENT_BYTES: u64 = 8;

/// Counts what the guest of one call uses, and remembers what it was refused.
///
/// wasmtime's own `StoreLimits` bounds each memory by itself: a hundred memories of 32 MiB pass a limit of 32 MiB. Here
/// everything that one call instantiates is summed.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Amount,
    elements: Amount,
    peak: u64,
    host_calls: Amount,
    /// Of what the guest was refused more, the last time. What follows, often a crash, is told as "out of memory".
    pub(crate) refused: Option<Bound>,
    /// Whether the guest has returned, so that what it hands over is its answer.
    pub(crate) answers: bool,
}

#[derive(Debug, Clone, Copy)]
struct Amount {
    held: u64,
    allowed: u64,
}

impl Amount {
    fn new(allowed: u64) -> Self {
        Self { held: 0, allowed }
    }

    /// Hold `more`, if that is allowed.
    fn add(&mut self, more: u64) -> bool {
        let held = self.held.checked_add(more).filter(|held| *held <= self.allowed);
        self.held = held.unwrap_or(self.held);
        held.is_some()
    }
}

impl Held {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory: Amount::new(limits.memory.0),
            elements: Amount::new(limits.table_elements),
            peak: 0,
            host_calls: Amount::new(limits.host_calls),
            refused: None,
            answers: false,
        }
    }

    /// The most bytes of memories and tables that were held at a time.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.peak
    }

    /// Count one call of the host.
    pub(crate) fn host_call(&mut self) -> Result<(), Exhausted> {
        if self.host_calls.add(1) { Ok(()) } else { Err(Exhausted::HostCalls { allowed: self.host_calls.allowed }) }
    }

    fn grow(&mut self, bound: Bound, current: usize, desired: usize, most: Option<usize>) -> bool {
        let more = (desired as u64).saturating_sub(current as u64);
        // Beyond the memory's or table's own maximum growth fails whatever we say, and must not be counted.
        let amount = if bound == Bound::Memory { &mut self.memory } else { &mut self.elements };
        let allowed = most.is_none_or(|most| desired <= most) && amount.add(more);
        if !allowed {
            self.refused = Some(bound);
        }
        self.peak = self.peak.max(self.memory.held + self.elements.held * TABLE_ELEMENT_BYTES);
        allowed
    }
}

impl ResourceLimiter for Held {
    fn memory_growing(&mut self, current: usize, desired: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(Bound::Memory, current, desired, most))
    }

    fn table_growing(&mut self, current: usize, desired: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(Bound::TableElements, current, desired, most))
    }
}

#[cfg(test)]
mod tests {
    use fumehood_model::ByteSize;

    use super::*;

    #[test]
    fn many_small_memories_are_summed() {
        let mut held = Held::new(&Limits { memory: ByteSize(100), ..Limits::default() });

        assert!(held.memory_growing(0, 60, None).unwrap());
        assert!(!held.memory_growing(0, 60, None).unwrap());
        assert_eq!(held.refused, Some(Bound::Memory));
        assert!(held.memory_growing(60, 100, None).unwrap());
        assert_eq!(held.peak_bytes(), 100);
    }

    #[test]
    fn growth_beyond_a_tables_own_maximum_is_refused_and_not_counted() {
        let mut held = Held::new(&Limits { table_elements: 10, ..Limits::default() });

        assert!(!held.table_growing(0, 6, Some(5)).unwrap());
        assert!(held.table_growing(0, 10, None).unwrap());
        assert_eq!(held.refused, Some(Bound::TableElements));
    }

    #[test]
    fn calls_of_the_host_are_counted() {
        let mut held = Held::new(&Limits { host_calls: 1, ..Limits::default() });

        assert!(held.host_call().is_ok());
        assert!(held.host_call().is_err());
    }
}
