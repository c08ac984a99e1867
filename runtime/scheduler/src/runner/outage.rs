//! One line in the log for each time that the store fails, however many jobs feel it.

use std::sync::atomic::{AtomicBool, Ordering};

use fumehood_store::StoreError;

/// Whether the store fails at present.
#[derive(Debug, Default)]
pub(super) struct Outage {
    is_on: AtomicBool,
}

impl Outage {
    /// What `result` says of the store goes to the log if it is news; the value goes on.
    pub(super) fn note<T>(&self, doing: &'static str, result: Result<T, StoreError>) -> Option<T> {
        match result {
            Ok(value) => {
                if self.is_on.load(Ordering::Relaxed) && self.is_on.swap(false, Ordering::Relaxed) {
                    tracing::info!("The store of jobs works again");
                }
                Some(value)
            }
            Err(error) => {
                if !self.is_on.swap(true, Ordering::Relaxed) {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(
                        blame = "host",
                        error,
                        "The store of jobs failed to {doing}; trying until it works"
                    );
                }
                None
            }
        }
    }
}
