//! Tools that take a while, and tell about it meanwhile.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use super::{Call, Ended, refuse, say};
use crate::{
    fumehood::{host::call, tool::types::Error},
    wasi::logging::logging::{self, Level},
};

pub(super) const DURATION: &str = r#"{
    "type": "object",
    "properties": {"seconds": {"type": "number", "minimum": 0}, "label": {"type": "string"}},
    "required": ["seconds"]
}"#;

/// The name of the logger.
const LOGGER: &str = "conformance";

const BETWEEN_LINES: Duration = Duration::from_millis(50);

/// The host tells progress ten times a second at most, and the suite counts each step.
const BETWEEN_STEPS: Duration = Duration::from_millis(150);

/// Longest that `slow_compute` works; the suite never asks for more than a minute.
const LONGEST: f64 = 3600.0;

const LEVELS: [Level; 6] = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Critical];

/// Work that is worth a job: longer than a host waits before it makes a job of a call.
pub(super) fn work() {
    sleep(Duration::from_millis(500));
}

pub(super) fn logging_slowly(_: &Call) -> Ended {
    logging::log(Level::Info, LOGGER, "Tool execution started");
    sleep(BETWEEN_LINES);
    logging::log(Level::Info, LOGGER, "Tool processing data");
    sleep(BETWEEN_LINES);
    logging::log(Level::Info, LOGGER, "Tool execution completed");
    say("Logged three lines.")
}

pub(super) fn logging_each_level(_: &Call) -> Ended {
    for level in LEVELS {
        logging::log(level, LOGGER, "A line of this level.");
    }
    say("Logged a line of each level.")
}

pub(super) fn progress(_: &Call) -> Ended {
    call::progress(0.0, Some(100.0), Some("Started"));
    sleep(BETWEEN_STEPS);
    call::progress(50.0, Some(100.0), Some("Half of it is done"));
    sleep(BETWEEN_STEPS);
    call::progress(100.0, Some(100.0), Some("Done"));
    say("Told the progress three times.")
}

pub(super) fn pausing(_: &Call) -> Ended {
    sleep(Duration::from_millis(200));
    say("Reconnection test completed successfully.")
}

pub(super) fn slow_compute(call: &Call) -> Ended {
    let seconds = call.arguments["seconds"].as_f64().unwrap_or_default().clamp(0.0, LONGEST);
    let (start, total) = (Instant::now(), Duration::from_secs_f64(seconds));
    while let Some(left) = total.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        if call::cancelled() {
            return refuse("Cancelled.");
        }
        call::progress(start.elapsed().as_secs_f64(), Some(seconds), None);
        sleep(left.min(BETWEEN_STEPS));
    }
    let label = call.arguments["label"].as_str().unwrap_or("nothing in particular");
    say(&format!("Computed {label} for {seconds} s."))
}

pub(super) fn failing_job(_: &Call) -> Ended {
    sleep(Duration::from_secs(1));
    refuse("This job intentionally fails.")
}

pub(super) fn failing_call(_: &Call) -> Ended {
    work();
    Err(Error::Internal("this job intentionally ends in a protocol error".to_owned()))
}
