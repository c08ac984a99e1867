//! `fumehood confirmations`.

use std::{
    io::{self, BufRead, IsTerminal, Read, Write},
    process::ExitCode,
};

use fumehood_model::Code;
use serde_json::{Value, json};

use crate::{
    args::ConfirmationsCommand,
    client::Client,
    exit::Failure,
    output::{single_line, table, terminal_safe},
    session::Session,
};

const PATH: [&str; 3] = ["api", "v1", "confirmations"];

/// Confirmations that one request lists.
const PAGE: &str = "1000";

/// How much of what is typed is looked at for a yes, in bytes.
const MAX_YES: u64 = 16;

/// List, confirm and refuse calls that a person must confirm.
pub(crate) fn run(session: &Session<'_>, command: &ConfirmationsCommand) -> anyhow::Result<ExitCode> {
    let client = session.client()?;
    match command {
        ConfirmationsCommand::Ls { all } => {
            let found = list(&client, *all)?;
            session.output.data(&json!({ "confirmations": found }), || rendered(&found))?;
        }
        ConfirmationsCommand::Confirm { id } => {
            let decided = decide(session, &client, id, "confirm")?;
            let (tool, caller) = (text(&decided, "tool"), text(&decided, "caller"));
            let until = text(&decided, "expires_at");
            let told = format!("confirmed: {tool} runs once when {caller} makes the same call again, until {until}");
            session.output.talk(&single_line(&told));
        }
        ConfirmationsCommand::Refuse { id } => {
            let decided = decide(session, &client, id, "refuse")?;
            let (tool, until) = (text(&decided, "tool"), text(&decided, "expires_at"));
            let told = format!("refused: this call of {tool} does nothing until {until}");
            session.output.talk(&single_line(&told));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Make a call of `tool`. If a person must confirm it, they are asked, unless they have said so `beforehand`, and the call is
/// made again with what its refusal has brought.
pub(crate) fn confirming<T>(
    beforehand: bool,
    tool: &str,
    arguments: &Value,
    call: impl Fn(Option<&str>) -> Result<T, Failure>,
) -> anyhow::Result<Result<T, Failure>> {
    let failure = match call(None) {
        Err(failure) if failure.is(Code::Unconfirmed) => failure,
        called => return Ok(called),
    };
    let Some(confirmation) = failure.detail("confirmation") else {
        let hint =
            failure.detail("id").map(|id| format!("with an administrator's key: fumehood confirmations confirm {id}"));
        return Ok(Err(match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }));
    };
    if beforehand || agrees(tool, arguments)? {
        return Ok(call(Some(confirmation)));
    }
    Ok(Err(failure.hint("nothing was done; --confirm says yes beforehand")))
}

/// Ask whoever sits at the terminal; nobody there is no yes.
fn agrees(tool: &str, arguments: &Value) -> anyhow::Result<bool> {
    let (stdin, mut stderr) = (io::stdin(), io::stderr());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return Ok(false);
    }
    write!(stderr, "Run {} with {}? [y/N] ", terminal_safe(tool), terminal_safe(&arguments.to_string()))?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.lock().take(MAX_YES).read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// All that there are, page by page.
fn list(client: &Client, all: bool) -> Result<Vec<Value>, Failure> {
    let (all, mut found, mut before) = (all.to_string(), Vec::new(), None::<String>);
    loop {
        let mut query = vec![("all", all.as_str()), ("limit", PAGE)];
        query.extend(before.as_deref().map(|before| ("before", before)));
        let mut answer = client.get(&PATH, &query)?;
        found.extend(answer["confirmations"].as_array_mut().map(std::mem::take).unwrap_or_default());
        before = answer["next"].as_u64().map(|next| next.to_string());
        if before.is_none() {
            return Ok(found);
        }
    }
}

fn decide(session: &Session<'_>, client: &Client, id: &str, how: &str) -> anyhow::Result<Value> {
    let decided = client.post(&[PATH[0], PATH[1], PATH[2], id, how], &json!({}))?;
    session.output.data(&decided, String::new)?;
    Ok(decided)
}

fn rendered(confirmations: &[Value]) -> String {
    let rows = confirmations.iter().map(|one| {
        vec![
            text(one, "id"),
            text(one, "tool"),
            arguments(one),
            text(one, "caller"),
            text(one, "state"),
            text(one, "expires_at"),
            text(one, "decided_by"),
        ]
    });
    table(&["ID", "TOOL", "ARGUMENTS", "CALLER", "STATE", "EXPIRES", "DECIDED BY"], rows)
}

/// The arguments, and how much of them is not shown.
fn arguments(of: &Value) -> String {
    let shown = text(of, "arguments");
    let more = of["arguments_bytes"].as_u64().unwrap_or_default().saturating_sub(shown.len() as u64);
    if shown.is_empty() || more == 0 { shown } else { format!("{shown} … and {more} bytes more") }
}

fn text(of: &Value, name: &str) -> String {
    of[name].as_str().unwrap_or_default().to_owned()
}
