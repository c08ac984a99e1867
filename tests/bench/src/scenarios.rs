//! What is measured: one module for each subcommand.

pub(crate) mod chaos;
pub(crate) mod cold;
pub(crate) mod goal;
pub(crate) mod http;
pub(crate) mod inflight;
pub(crate) mod jobs;
pub(crate) mod languages;
pub(crate) mod listing;
pub(crate) mod restart;
pub(crate) mod soak;
pub(crate) mod swap;
