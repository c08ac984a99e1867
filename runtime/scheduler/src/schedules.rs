//! Jobs that come again: by a clock, or at intervals.

mod decide;
mod spec;
#[cfg(test)]
mod tests;
mod ticker;
mod when;

pub use self::{
    decide::{MAX_MISSED, Plan},
    spec::{JobSpec, Missed, Overlap, ScheduleSpec, SpecError},
    ticker::{Prepare, Preparing, Ticker, TickerParts, Unprepared},
    when::When,
};
