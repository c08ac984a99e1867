//! `fumehood keys`.

use std::process::ExitCode;

use fumehood_model::KeyLimits;
use serde_json::{Value, json};

use crate::{
    args::KeysCommand,
    client::Client,
    output::{limits, single_line, table},
    session::Session,
};

const PATH: [&str; 3] = ["api", "v1", "keys"];

/// Create, list and revoke API keys.
pub(crate) fn run(session: &Session<'_>, command: &KeysCommand) -> anyhow::Result<ExitCode> {
    let client = session.client()?;
    match command {
        KeysCommand::Create { name, roles, limits, concurrent_calls } => {
            let limits = KeyLimits { call: limits.lowered(), concurrent_calls: *concurrent_calls };
            create(session, &client, &json!({ "name": name, "roles": roles, "limits": limits }))?;
        }
        KeysCommand::Ls => {
            let answer = client.get(&PATH, &[])?;
            session.output.data(&answer, || rendered(answer["keys"].as_array().map_or(&[][..], Vec::as_slice)))?;
        }
        KeysCommand::Revoke { id } => {
            client.delete(&[PATH[0], PATH[1], PATH[2], id])?;
            session.output.talk(&format!("key {id} revoked"));
            session.output.data(&json!({ "id": id, "revoked": true }), String::new)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn create(session: &Session<'_>, client: &Client, wanted: &Value) -> anyhow::Result<()> {
    let answer = client.post(&PATH, wanted)?;
    let name = wanted["name"].as_str().unwrap_or_default();
    let text = |key: &str| answer[key].as_str().unwrap_or_default();
    session.output.talk(&format!("key {} for {name} may {}; it is shown only this once:", text("id"), joined(&answer)));
    session.output.data(&answer, || single_line(text("key")))?;
    Ok(())
}

fn rendered(keys: &[Value]) -> String {
    let rows = keys.iter().map(|key| {
        let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
        let revoked = key["revoked_at"].as_str().map_or_else(|| "-".to_owned(), str::to_owned);
        vec![text("id"), text("name"), joined(key), limits(&key["limits"]), text("created_at"), revoked]
    });
    table(&["ID", "NAME", "ROLES", "LIMITS", "CREATED", "REVOKED"], rows)
}

fn joined(key: &Value) -> String {
    let roles = key["roles"].as_array().map_or(&[][..], Vec::as_slice);
    roles.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}
