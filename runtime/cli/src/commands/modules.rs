//! `fumehood modules`.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::{args::ModulesCommand, client::Client, commands::review, output::single_line, render, session::Session};

const PATH: [&str; 3] = ["api", "v1", "modules"];

/// List, show and remove modules, and choose their versions.
pub(crate) fn run(session: &Session<'_>, command: &ModulesCommand) -> anyhow::Result<ExitCode> {
    let client = session.client()?;
    match command {
        ModulesCommand::Ls => list(session, &client)?,
        ModulesCommand::Show { name } => {
            let module = client.get(&[PATH[0], PATH[1], PATH[2], name], &[])?;
            session.output.data(&module, || render::module(&module))?;
        }
        ModulesCommand::Versions { name } => {
            let answer = client.get(&[PATH[0], PATH[1], PATH[2], name, "versions"], &[])?;
            session.output.data(&answer, || render::versions(&answer))?;
        }
        ModulesCommand::Promote { name, version } => {
            let path = [PATH[0], PATH[1], PATH[2], name, "versions", version, "promote"];
            served(session, &client, name, &client.post_empty(&path)?)?;
        }
        ModulesCommand::Rollback { name } => {
            served(session, &client, name, &client.post_empty(&[PATH[0], PATH[1], PATH[2], name, "rollback"])?)?;
        }
        ModulesCommand::Pin { name } => {
            let answer = client.put(&[PATH[0], PATH[1], PATH[2], name, "pin"], &json!({}))?;
            session.output.talk(&format!(
                "module {name} is pinned: what is uploaded is served when it is promoted: fumehood modules promote {name} VERSION"
            ));
            session.output.data(&answer, || render::versions(&answer))?;
        }
        ModulesCommand::Unpin { name } => {
            client.delete(&[PATH[0], PATH[1], PATH[2], name, "pin"])?;
            session.output.talk(&format!("module {name} is not pinned: the next upload is served"));
            session.output.data(&json!({ "name": name, "pinned": false }), String::new)?;
        }
        ModulesCommand::Rm { name } => {
            client.delete(&[PATH[0], PATH[1], PATH[2], name])?;
            session.output.talk(&format!("module {name} removed"));
            session.output.data(&json!({ "name": name, "removed": true }), String::new)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Tell what is served of a module now.
fn served(session: &Session<'_>, client: &Client, name: &str, answer: &Value) -> anyhow::Result<()> {
    if answer["status"] == "waiting" {
        session.output.talk(&format!(
            "this version of module {name} was never served and asks for more, or says something else: it waits\n\
             review it with `fumehood review {name}`"
        ));
        return Ok(session.output.data(answer, || review::changes(&answer["changed"]))?);
    }
    let versions = client.get(&[PATH[0], PATH[1], PATH[2], name, "versions"], &[])?;
    let served = versions["versions"].as_array().into_iter().flatten().find(|version| version["state"] == "served");
    let number = served.map_or(Value::Null, |served| served["number"].clone());
    session.output.talk(&format!("module {name} is served in version {number}"));
    Ok(session.output.data(answer, || render::module(answer))?)
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
            "warning: {} is not served as it is: {}",
            single_line(text("path")),
            single_line(text("reason"))
        ));
    }
    Ok(())
}
