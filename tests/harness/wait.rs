use std::{
    thread,
    time::{Duration, Instant},
};

/// How often a condition is asked.
const PERIOD: Duration = Duration::from_millis(5);

/// Wait until `condition` gives something, and give that.
///
/// # Panics
///
/// When it gives nothing within `patience`; `what` names it.
pub fn until<T>(what: &str, patience: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < patience, "{what}: not within {patience:?}");
        thread::sleep(PERIOD);
    }
}

/// Wait up to twenty seconds until `condition` holds.
///
/// # Panics
///
/// When it does not; `what` names it.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    until(what, Duration::from_secs(20), || condition().then_some(()));
}
