//! Who runs next, and what becomes of it.
//!
//! A call waits here for one of a bounded number of places. Keys are served by what they have used, so that one that
//! sends much more than it can have does not keep another waiting, and no key can hold all places or all of the queue.
//! What cannot wait is refused at once with the time after which to try again.
//!
//! A [`Ticker`] submits the jobs of schedules when they are due.
//! A [`Runner`] works on the jobs of a store: it claims them, runs them in such places, and records what came of them.
//!
//! This crate knows neither tools nor sandboxes: it hands out [`Place`]s, and leaves to [`Execute`] what to do in them.

mod admission;
#[cfg(test)]
mod dice;
mod outside;
#[cfg(test)]
mod real;
mod runner;
mod schedules;

pub use admission::{Admission, Config, Kind, Occupancy, Place, Refused};
pub use outside::Outside;
pub use runner::{Attempted, Execute, InHand, Mend, NotKept, Runner, RunnerConfig, RunnerParts, Telling};
pub use schedules::{
    JobSpec, MAX_MISSED, Missed, Overlap, Plan, Prepare, Preparing, ScheduleSpec, SpecError, Ticker, TickerParts,
    Unprepared, When,
};
