//! `fumehood compile-worker`: the child process in which components are read and compiled.

use std::{io, process::ExitCode};

use crate::args::CompileWorkerArgs;

/// The argument that makes this program a worker.
pub(crate) const COMMAND: &str = "compile-worker";

/// Do one piece of work for the server that started this process.
pub(crate) fn run(_: &CompileWorkerArgs) -> anyhow::Result<ExitCode> {
    fumehood_sandbox::compile_worker(io::stdin().lock(), io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}
