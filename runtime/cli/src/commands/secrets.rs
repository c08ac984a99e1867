//! `fumehood secrets`.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, IsTerminal, Read},
    path::Path,
    process::ExitCode,
};

use fumehood_policy::Grant;
use serde_json::{Value, json};

use crate::{args::SecretsCommand, client::Client, exit::Failure, output::table, session::Session};

const PATH: [&str; 3] = ["api", "v1", "secrets"];

/// Most bytes that are read as a value: one more than a secret and its line break may have.
const MAX_READ: u64 = (64 << 10) + 3;

/// List, set and remove secrets.
pub(crate) fn run(session: &Session<'_>, command: &SecretsCommand) -> anyhow::Result<ExitCode> {
    let client = session.client()?;
    match command {
        SecretsCommand::Ls => {
            let answer = client.get(&PATH, &[])?;
            session.output.data(&answer, || rendered(answer["secrets"].as_array().map_or(&[][..], Vec::as_slice)))?;
        }
        SecretsCommand::Set { name, from_file } => {
            let value = value(from_file.as_deref())?;
            client.put(&[PATH[0], PATH[1], PATH[2], name], &json!({ "value": value }))?;
            session.output.talk(&format!("secret {name} set"));
            session.output.data(&json!({ "name": name, "set": true }), String::new)?;
        }
        SecretsCommand::Rm { name } => {
            client.delete(&[PATH[0], PATH[1], PATH[2], name])?;
            let users = users(&client, name);
            session.output.talk(&format!("secret {name} removed"));
            if !users.is_empty() {
                session
                    .output
                    .talk(&format!("it is still granted to {}, whose calls fail without it", users.join(", ")));
            }
            session.output.data(&json!({ "name": name, "removed": true, "granted_to": users }), String::new)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The modules that are granted the secret called `name`, or a server that gets it.
fn users(client: &Client, name: &str) -> Vec<String> {
    let answer = client.get(&["api", "v1", "permissions"], &[]).unwrap_or_default();
    let grants = answer["grants"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_of = |grant: &Value| grant["grant"].as_str()?.parse::<Grant>().ok()?.secret().map(|secret| secret == name);
    let using = grants.iter().filter(|grant| is_of(grant) == Some(true));
    let modules: BTreeSet<_> = using.filter_map(|grant| grant["module"].as_str().map(str::to_owned)).collect();
    modules.into_iter().collect()
}

/// The value, from a file or from standard input, without the line break at its end.
fn value(from_file: Option<&Path>) -> Result<String, Failure> {
    let stdin = io::stdin();
    let (read, from) = match from_file {
        Some(path) => (File::open(path).and_then(read), path.display().to_string()),
        None if stdin.is_terminal() => {
            return Err(Failure::usage(
                "the value is read from standard input: pipe it in, or name a file with --from-file",
            ));
        }
        None => (read(stdin.lock()), "standard input".to_owned()),
    };
    let bytes = read.map_err(|error| Failure::usage(format!("{from} cannot be read: {error}")))?;
    let mut value = String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{from} is not UTF-8 text")))?;
    if value.ends_with('\n') {
        value.truncate(value.len() - if value.ends_with("\r\n") { 2 } else { 1 });
    }
    Ok(value)
}

fn read(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_READ).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn rendered(secrets: &[Value]) -> String {
    let rows = secrets.iter().map(|secret| {
        let text = |name: &str| secret[name].as_str().unwrap_or_default().to_owned();
        vec![text("name"), text("set_by"), text("set_at")]
    });
    table(&["NAME", "SET BY", "SET"], rows)
}
