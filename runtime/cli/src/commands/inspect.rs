//! `fumehood inspect`.

use std::process::ExitCode;

use crate::{args::InspectArgs, local, output::Output, render};

/// Show what a component file offers and needs.
pub(crate) fn run(output: &Output, args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let module = local::inspect(&args.file)?;
    output.data(&module, || render::module(&module))?;
    Ok(ExitCode::SUCCESS)
}
