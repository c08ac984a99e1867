//! Clocks of guests: right, but coarse; or, where a call is given a time, standing still.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock,
    clocks::WasiClocksCtxView,
    p2::{DynPollable, bindings::clocks::monotonic_clock, subscribe},
};

use crate::{Guest, still::Still};

/// The step of both clocks.
///
/// Attacks through the time that things take (Spectre, caches, memory that is shared) tell nanoseconds apart. A clock
/// that moves once in a millisecond makes each bit that they steal cost thousands of repetitions, while no honest tool
/// measures anything finer. Cloudflare's Workers go further and stop the clock during a call, which breaks timeouts of
/// ordinary libraries.
pub(crate) const STEP: Duration = Duration::from_millis(1);

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

/// The clocks of a call, of which those that stand still know what it means to sleep.
pub(crate) struct Clocks<'a> {
    pub(crate) wasi: WasiClocksCtxView<'a>,
    pub(crate) still: Option<&'a Arc<Still>>,
}

struct HasClocks;

impl HasData for HasClocks {
    type Data<'a> = Clocks<'a>;
}

/// Put our sleeps in the place of WASI's own.
pub(crate) fn link<X: Send + 'static>(linker: &mut Linker<Guest<X>>) -> wasmtime::Result<()> {
    monotonic_clock::add_to_linker::<_, HasClocks>(linker, Guest::clocks)
}

impl monotonic_clock::Host for Clocks<'_> {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        monotonic_clock::Host::now(&mut self.wasi)
    }

    fn resolution(&mut self) -> wasmtime::Result<monotonic_clock::Duration> {
        monotonic_clock::Host::resolution(&mut self.wasi)
    }

    fn subscribe_instant(&mut self, when: monotonic_clock::Instant) -> wasmtime::Result<Resource<DynPollable>> {
        if self.still.is_none() {
            return monotonic_clock::Host::subscribe_instant(&mut self.wasi, when);
        }
        let now = self.now()?;
        self.subscribe_duration(when.saturating_sub(now))
    }

    fn subscribe_duration(&mut self, duration: monotonic_clock::Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let Some(still) = self.still else {
            return monotonic_clock::Host::subscribe_duration(&mut self.wasi, duration);
        };
        let sleep = self.wasi.table.push(still.sleep(duration))?;
        subscribe(self.wasi.table, sleep)
    }
}

/// The last step that has passed, in nanoseconds.
fn coarse(time: Duration) -> u64 {
    let (time, step) = (nanos(time), nanos(STEP));
    time - time % step
}

pub(crate) fn nanos(time: Duration) -> u64 {
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
