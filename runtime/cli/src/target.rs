//! Which tool of the server is meant.

use fumehood_model::Code;
use serde_json::Value;

use crate::{
    client::Client,
    exit::Failure,
    output::{Output, single_line},
    suggest::did_you_mean,
};

/// The tool that `target` names on the server: `module.function`, or the name under which MCP clients know it.
///
/// Both halves may hold dots. The last one that leaves a module and a function that exist separates them.
///
/// # Errors
///
/// When there is none, with a near name.
pub(crate) fn find(client: &Client, target: &str) -> Result<Value, Failure> {
    if !target.contains('.') {
        return match client.get(&["api", "v1", "tools", target], &[]) {
            Err(failure) if failure.is(Code::NotFound) => Err(unknown(client, target)),
            answer => answer,
        };
    }
    for (module, function) in splits(target) {
        if let Some(tool) = find_function(client, module, function)? {
            return Ok(tool);
        }
    }
    Err(unknown(client, target))
}

/// The tool that is `function` of `module` on the server.
///
/// # Errors
///
/// When there is none, with a near name.
pub(crate) fn find_in(client: &Client, module: &str, function: &str) -> Result<Value, Failure> {
    find_function(client, module, function)?.ok_or_else(|| unknown(client, &format!("{module}.{function}")))
}

/// What a user calls a tool: `module.function`.
pub(crate) fn name(tool: &Value) -> String {
    format!("{}.{}", tool["module"].as_str().unwrap_or("?"), tool["function"].as_str().unwrap_or("?"))
}

/// Every way to read `target` as module and function, the last dot first.
fn splits(target: &str) -> impl Iterator<Item = (&str, &str)> {
    let dots = target.rmatch_indices('.').map(|(index, _)| index);
    dots.map(|index| (&target[..index], &target[index + 1..]))
        .filter(|(module, function)| !module.is_empty() && !function.is_empty())
}

fn find_function(client: &Client, module: &str, function: &str) -> Result<Option<Value>, Failure> {
    let tools = match client.tools(&[("module", module)]) {
        Err(failure) if failure.is(Code::NotFound) => return Ok(None),
        answer => answer?,
    };
    Ok(tools.into_iter().find(|tool| tool["module"] == module && tool["function"] == function))
}

fn unknown(client: &Client, target: &str) -> Failure {
    let names: Vec<_> = client.tools(&[]).unwrap_or_default().iter().map(name).collect();
    let near = did_you_mean(target, names.iter().map(String::as_str));
    let failure = Failure::new(Code::NotFound, format!("the server has no tool `{target}`{near}"));
    // Who named a module only wants to know its functions.
    let own: Vec<_> =
        names.into_iter().filter(|name| name.strip_prefix(target).is_some_and(|rest| rest.starts_with('.'))).collect();
    if own.is_empty() { failure.hint("`fumehood tools ls` lists them") } else { failure.lines(own) }
}

/// Say of a tool that it is not to be used any more.
pub(crate) fn warn_of(tool: &Value, output: &Output) {
    if let (Some(name), Some(words)) = (tool["name"].as_str(), tool["deprecated"].as_str()) {
        output.talk(&format!("warning: {name} is deprecated: {}", single_line(words)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_dot_is_tried_first_and_halves_are_never_empty() {
        assert_eq!(splits("geo.maps.find").collect::<Vec<_>>(), [("geo.maps", "find"), ("geo", "maps.find")]);
        assert_eq!(splits(".a.").count(), 0);
    }
}
