//! The operator's log, on standard error.

use std::io;

use tracing_subscriber::{EnvFilter, fmt};

use crate::{
    config::{Log, LogFormat},
    exit::Failure,
};

/// A library that tells at `info` what we would tell at `debug`, and calls every client that leaves an error; and one whose warnings a guest can provoke. What the operator asks for comes after and wins.
const QUIET: &str = "rmcp=warn,rmcp::service=off,wasmtime_wasi_http=error";

/// Start logging as `log` says.
pub(crate) fn start(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", log.filter)).map_err(|error| {
        Failure::usage(format!("log.filter `{}` cannot be read: {error}", log.filter.escape_debug()))
    })?;
    let builder =
        fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    let started = match log.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // A second start in the same process keeps the first.
    drop(started);
    Ok(())
}
