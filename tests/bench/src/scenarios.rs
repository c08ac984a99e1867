//! What is measured: one module for each subcommand.

pub(crate) mod cold;
pub(crate) mod http;
pub(crate) mod inflight;
pub(crate) mod restart;
