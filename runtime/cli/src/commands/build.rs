//! `fumehood build`.

use std::process::ExitCode;

use serde_json::json;

use crate::{args::BuildArgs, output::Output, project::Project};

/// Build a project, and put what its author says of it into the component.
pub(crate) fn run(output: &Output, args: &BuildArgs) -> anyhow::Result<ExitCode> {
    let project = Project::open(&args.project)?;
    let component = project.build()?;
    let size = std::fs::metadata(&component)?.len();
    let path = component.display().to_string();
    output.data(&json!({ "component": path, "size_bytes": size }), || format!("{path}\n"))?;
    output.talk(&format!("test it with `fumehood test`, serve it with `fumehood push {path}`"));
    Ok(ExitCode::SUCCESS)
}
