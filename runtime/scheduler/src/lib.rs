//! Who runs next.
//!
//! A call waits here for one of a bounded number of places. Keys are served by what they have used, so that one that
//! sends much more than it can have does not keep another waiting, and no key can hold all places or all of the queue.
//! What cannot wait is refused at once with the time after which to try again.
//!
//! This crate knows neither tools nor sandboxes: it hands out [`Place`]s.

mod admission;
#[cfg(test)]
mod dice;

pub use admission::{Admission, Config, Kind, Occupancy, Place, Refused};
