//! Clocks of guests: right, but coarse.

use std::time::{Duration, Instant, SystemTime};

use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// The step of both clocks.
///
/// Attacks through the time that things take (Spectre, caches, memory that is shared) tell nanoseconds apart. A clock
/// that moves once in a millisecond makes each bit that they steal cost thousands of repetitions, while no honest tool
/// measures anything finer. Cloudflare's Workers go further and stop the clock during a call, which breaks timeouts of
/// ordinary libraries.
const STEP: Duration = Duration::from_millis(1);

/// Time since 1970.
pub(crate) struct Wall;

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        STEP
    }

    fn now(&self) -> Duration {
        // A machine whose clock stands before 1970 is a machine without a clock.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Duration::from_nanos(coarse(now))
    }
}

/// Time since the call began, and a step: runtimes of languages, Go's for one, take nothing at all for a clock that is broken.
pub(crate) struct Monotonic(pub(crate) Instant);

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        nanos(STEP)
    }

    fn now(&self) -> u64 {
        coarse(self.0.elapsed() + STEP)
    }
}

/// The last step that has passed, in nanoseconds.
fn coarse(time: Duration) -> u64 {
    let (time, step) = (nanos(time), nanos(STEP));
    time - time % step
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_sees_whole_milliseconds_only() {
        assert_eq!(coarse(Duration::from_nanos(1_999_999)), 1_000_000);
        assert_eq!(coarse(Duration::from_nanos(2_000_000)), 2_000_000);
        assert_eq!(Wall.now().subsec_nanos() % 1_000_000, 0);
        assert_eq!(Monotonic(Instant::now()).now() % 1_000_000, 0);
        assert!(Monotonic(Instant::now()).now() >= 1_000_000);
        assert_eq!((Wall.resolution(), Monotonic(Instant::now()).resolution()), (STEP, 1_000_000));
    }
}
