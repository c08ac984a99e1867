//! `fumehood completions`.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::{
    args::{Args, CompletionsArgs},
    output::Output,
};

/// Write the completion script of a shell.
pub(crate) fn run(output: &Output, args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "fumehood", &mut script);
    output.print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}
