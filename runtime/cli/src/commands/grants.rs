//! `fumehood grants`.

use std::process::ExitCode;

use fumehood_model::Code;
use serde_json::{Value, json};

use crate::{args::GrantsCommand, client::Client, commands::review, exit::Failure, session::Session};

/// List, add and revoke what modules may touch.
pub(crate) fn run(session: &Session<'_>, command: &GrantsCommand) -> anyhow::Result<ExitCode> {
    let client = session.client()?;
    match command {
        GrantsCommand::Ls { module: None } => {
            let answer = client.get(&["api", "v1", "permissions"], &[])?;
            session.output.data(&answer, || review::granted(&answer["grants"]))?;
        }
        GrantsCommand::Ls { module: Some(module) } => {
            let grants = Value::Array(of(&client, module)?);
            if grants == json!([]) {
                // Whether there is such a module at all.
                client.get(&["api", "v1", "modules", module], &[])?;
            }
            session.output.data(&json!({ "grants": grants }), || review::granted(&grants))?;
        }
        GrantsCommand::Add { target, grant } => {
            let (module, function) = place(&client, target)?;
            let wanted = match function {
                Some(function) => json!({ "grant": grant, "function": function }),
                None => json!({ "grant": grant }),
            };
            let answer = client.post(&["api", "v1", "modules", module, "permissions"], &wanted)?;
            session.output.talk(&format!("{target} may: {}", answer["grant"].as_str().unwrap_or_default()));
            review::talk_of_unset(session, &answer);
            for other in answer["beside"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str) {
                session.output.talk(&format!(
                    "beside {other}, which is for the same place; the two do not add up: fumehood grants revoke {target} '{other}'"
                ));
            }
            session.output.data(&answer, || review::granted(&Value::Array(vec![answer.clone()])))?;
        }
        GrantsCommand::Revoke { target, grant } => {
            let (module, function) = match place(&client, target) {
                Err(failure) if failure.is(Code::NotFound) => former(&client, target)?.ok_or(failure)?,
                found => found?,
            };
            let query = [("grant", Some(grant.as_str())), ("function", function)];
            let query: Vec<_> = query.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
            let path = ["api", "v1", "modules", module, "permissions"];
            client.delete_with(&path, &query).map_err(|failure| with_grants(&client, module, failure))?;
            session.output.talk(&format!("{target} may not any more: {grant}"));
            session.output.data(&json!({ "target": target, "grant": grant, "revoked": true }), String::new)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the module called `name` is granted, whether it is there or not.
fn of(client: &Client, name: &str) -> Result<Vec<Value>, Failure> {
    let Value::Array(mut grants) = client.get(&["api", "v1", "permissions"], &[])?["grants"].take() else {
        return Ok(Vec::new());
    };
    grants.retain(|grant| grant["module"] == name);
    Ok(grants)
}

/// What `target` names among what is granted to modules that are not there any more.
fn former<'a>(client: &Client, target: &'a str) -> Result<Option<(&'a str, Option<&'a str>)>, Failure> {
    let whole = std::iter::once((target, None));
    let functions = target.rmatch_indices('.').map(|(dot, _)| (&target[..dot], Some(&target[dot + 1..])));
    for (module, function) in whole.chain(functions) {
        if of(client, module)?.iter().any(|grant| grant["function"].as_str() == function) {
            return Ok(Some((module, function)));
        }
    }
    Ok(None)
}

/// A grant that is not there, with those that are.
fn with_grants(client: &Client, module: &str, failure: Failure) -> Failure {
    if !failure.is(Code::NotFound) {
        return failure;
    }
    let grants = of(client, module).unwrap_or_default();
    let place = |grant: &Value| {
        let function = grant["function"].as_str().map(|function| format!(".{function}")).unwrap_or_default();
        format!("{module}{function} has {}", grant["grant"].as_str().unwrap_or_default())
    };
    let there: Vec<_> = grants.iter().map(place).collect();
    if there.is_empty() { failure.hint(format!("{module} has no grants")) } else { failure.lines(there) }
}

/// The module, and the function of it, that `target` names. Both may hold dots: a module of the whole name comes first,
/// then the longest one.
fn place<'a>(client: &Client, target: &'a str) -> Result<(&'a str, Option<&'a str>), Failure> {
    let missing = match client.get(&["api", "v1", "modules", target], &[]) {
        Ok(_) => return Ok((target, None)),
        Err(failure) if failure.is(Code::NotFound) => failure,
        Err(failure) => return Err(failure),
    };
    for (dot, _) in target.rmatch_indices('.') {
        let (module, function) = (&target[..dot], &target[dot + 1..]);
        match client.get(&["api", "v1", "modules", module], &[]) {
            Ok(_) if !function.is_empty() => return Ok((module, Some(function))),
            Err(failure) if !failure.is(Code::NotFound) => return Err(failure),
            Ok(_) | Err(_) => {}
        }
    }
    Err(missing)
}
