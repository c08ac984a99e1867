//! Latencies, counted in buckets that are at most 0.8 % wide.

use std::time::Duration;

/// Bits of a value that its bucket keeps: 2^7 buckets for each power of two.
const PRECISION_BITS: u32 = 7;
/// Bits of the longest latency that is told apart, in nanoseconds: about 69 s.
const MAX_BITS: u32 = 36;
/// Buckets for each power of two.
const STEPS: u64 = 1 << PRECISION_BITS;
/// All buckets.
const BUCKETS: usize = ((MAX_BITS - PRECISION_BITS + 1) as usize) << PRECISION_BITS;

/// How often each latency was seen.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u32>,
}

impl Histogram {
    /// A histogram of nothing.
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS] }
    }

    /// Count one latency.
    pub(crate) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
    }

    /// Add all that another histogram has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// How many latencies were counted.
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// The longest latency, in microseconds; zero when nothing was counted.
    pub(crate) fn longest_us(&self) -> f64 {
        self.quantile_us(1.0)
    }

    /// The latency that this share of all does not exceed, in microseconds; zero when nothing was counted.
    pub(crate) fn quantile_us(&self, share: f64) -> f64 {
        let rank = (self.total() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= rank {
                return middle_nanos(index) / 1000.0;
            }
        }
        0.0
    }
}

/// The bucket of a latency.
///
/// Below 2^7 each nanosecond has its own; from there on, each power of two is cut into 2^7 steps of the same width.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.min((1 << MAX_BITS) - 1);
    if nanos < STEPS {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - PRECISION_BITS;
    ((u64::from(shift) << PRECISION_BITS) + (nanos >> shift)) as usize
}

/// The latency in the middle of a bucket.
fn middle_nanos(index: usize) -> f64 {
    let index = index as u64;
    if index < 2 * STEPS {
        return index as f64;
    }
    let shift = (index >> PRECISION_BITS) - 1;
    let first = (index - (shift << PRECISION_BITS)) << shift;
    first as f64 + ((1_u64 << shift) - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_never_far_from_its_values() {
        for nanos in (0..MAX_BITS).flat_map(|bits| [1_u64 << bits, (1 << bits) + 1, (2 << bits) - 1]) {
            let error = (middle_nanos(bucket(nanos)) - nanos as f64).abs() / nanos as f64;

            assert!(error <= 0.5 / STEPS as f64, "{nanos}: {error}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_the_ranks() {
        let mut histogram = Histogram::new();
        for micros in 1..=100 {
            histogram.record(Duration::from_micros(micros));
        }

        assert_eq!(histogram.total(), 100);
        assert!((histogram.quantile_us(0.5) - 50.0).abs() < 0.4);
        assert!((histogram.quantile_us(0.99) - 99.0).abs() < 0.8);
        assert_eq!(Histogram::new().quantile_us(0.5), 0.0);
    }
}
