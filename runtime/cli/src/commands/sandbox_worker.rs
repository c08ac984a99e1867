//! `fumehood sandbox-worker`: the process in which components run that no operator has marked as trusted.

use std::{io, os::fd::AsFd, process::ExitCode};

use crate::args::SandboxWorkerArgs;

/// The argument that makes this program a worker.
pub(crate) const COMMAND: &str = "sandbox-worker";

/// Run calls for the server that started this process, over the socket that is its standard input.
pub(crate) fn run(_: &SandboxWorkerArgs) -> anyhow::Result<ExitCode> {
    fumehood_sandbox::sandbox_worker(io::stdin().as_fd().try_clone_to_owned()?)?;
    Ok(ExitCode::SUCCESS)
}
