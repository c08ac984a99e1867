//! `fumehood sandbox-worker`: the process in which components run that no operator has marked as trusted.

use std::{io, os::fd::AsFd, process::ExitCode};

use crate::{allocator, args::SandboxWorkerArgs};

/// The argument that makes this program a worker.
pub(crate) const COMMAND: &str = "sandbox-worker";

/// Tells [`run`] to try the wall instead.
pub(crate) const ATTEMPT: &str = "--attempt";

/// Run calls for the server that started this process, over the socket that is its standard input.
pub(crate) fn run(args: &SandboxWorkerArgs) -> anyhow::Result<ExitCode> {
    if args.attempt {
        fumehood_sandbox::attempts(io::stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    fumehood_sandbox::sandbox_worker(io::stdin().as_fd().try_clone_to_owned()?, allocator::collect)?;
    Ok(ExitCode::SUCCESS)
}
