//! `fumehood tools`.

use std::process::ExitCode;

use serde_json::json;

use crate::{args::ToolsCommand, render, session::Session, target};

/// List and show tools.
pub(crate) fn run(session: &Session<'_>, command: &ToolsCommand) -> anyhow::Result<ExitCode> {
    let client = session.client()?;
    match command {
        ToolsCommand::Ls { search, module } => {
            let wanted = [("search", search), ("module", module)];
            let query: Vec<_> = wanted.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
            let tools = client.tools(&query)?;
            let total = tools.len();
            session.output.data(&json!({ "tools": tools, "total": total }), || render::tools(&tools))?;
            if tools.is_empty() {
                session.output.talk("there are no such tools");
            }
        }
        ToolsCommand::Show { name } => {
            let tool = target::find(&client, name)?;
            session.output.data(&tool, || render::tool(&tool))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
