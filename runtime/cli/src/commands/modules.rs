//! `fumehood modules`.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::{args::ModulesCommand, client::Client, render, session::Session};

const PATH: [&str; 3] = ["api", "v1", "modules"];

/// List, show and remove modules.
pub(crate) fn run(session: &Session<'_>, command: &ModulesCommand) -> anyhow::Result<ExitCode> {
    let client = session.client()?;
    match command {
        ModulesCommand::Ls => list(session, &client)?,
        ModulesCommand::Show { name } => {
            let module = client.get(&[PATH[0], PATH[1], PATH[2], name], &[])?;
            session.output.data(&module, || render::module(&module))?;
        }
        ModulesCommand::Rm { name } => {
            client.delete(&[PATH[0], PATH[1], PATH[2], name])?;
            session.output.talk(&format!("module {name} removed"));
            session.output.data(&json!({ "name": name, "removed": true }), String::new)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(session: &Session<'_>, client: &Client) -> anyhow::Result<()> {
    let answer = client.get(&PATH, &[])?;
    let items = |key: &str| answer[key].as_array().map(Vec::as_slice).unwrap_or_default();
    session.output.data(&answer, || render::modules(items("modules")))?;
    if items("modules").is_empty() {
        session.output.talk("there are no modules; upload one with `fumehood push FILE`");
    }
    for problem in items("problems") {
        let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or("?");
        session.output.talk(&format!(
            "warning: {} is not served: {}",
            text("path").escape_debug(),
            text("reason").escape_debug()
        ));
    }
    Ok(())
}
