//! `fumehood demo`.

use std::process::ExitCode;

use crate::{args::DemoArgs, config::Config};

/// Start a server with example tools and call them.
pub(crate) fn run(config: &Config, args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let _ = (config, args);
    anyhow::bail!("`fumehood demo` is unfinished")
}
