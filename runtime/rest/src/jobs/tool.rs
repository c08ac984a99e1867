//! Which tool a text means: `module.function`, or `module__function` as MCP clients know it.

use std::sync::Arc;

use fumehood_dispatch::{Dispatcher, Filter, Tool};
use fumehood_http::Problem;
use fumehood_model::{KeyId, ModuleName, Principal, ToolName};

use super::malformed;

/// The tool that `text` names, if it is served.
fn served(door: &Dispatcher, principal: &Principal, text: &str) -> Option<Arc<Tool>> {
    let function = splits(text, ".").find_map(|(module, function)| door.function(principal, module, function).ok());
    function.or_else(|| door.tool(principal, text).ok())
}

/// The name under which calls of a tool are written down, which need not be served any more.
pub(crate) fn written_down(door: &Dispatcher, principal: &Principal, text: &str) -> Result<String, Problem> {
    if let Some(tool) = served(door, principal, text) {
        return Ok(tool.name.to_string());
    }
    let named = |(module, function): (&str, &str)| Some(ToolName::of(&module.parse::<ModuleName>().ok()?, function));
    match splits(text, ".").find_map(named) {
        Some(name) => Ok(name.to_string()),
        None if text.contains("__") => Ok(text.to_owned()),
        None => {
            let text: String = text.chars().take(80).flat_map(char::escape_debug).collect();
            Err(malformed(&format!("tool: `{text}` names none: write it as module.function or module__function")))
        }
    }
}

/// The module, and its function if one is meant, as jobs are kept with them; neither need be served any more.
pub(super) async fn kept(
    door: &Dispatcher,
    principal: &Principal,
    text: &str,
    owner: Option<&KeyId>,
) -> Result<(String, Option<String>), Problem> {
    if let Some(tool) = served(door, principal, text) {
        return Ok((tool.module.to_string(), Some(tool.function.clone())));
    }
    // A module may be nested in folders, and a function may have dots: what has jobs is what was meant.
    for (module, function) in readings(text) {
        let filter = Filter {
            owner: owner.cloned(),
            module: Some(module.clone()),
            function: function.clone(),
            most: 1,
            ..Filter::default()
        };
        if !door.jobs(principal, filter).await?.is_empty() {
            return Ok((module, function));
        }
    }
    Ok((text.to_owned(), None))
}

/// Every way to read `text` as a module or a function of one.
fn readings(text: &str) -> Vec<(String, Option<String>)> {
    let mut readings = vec![(text.to_owned(), None)];
    let mut add = |module: String, function: &str| readings.push((module, Some(function.to_owned())));
    for (module, function) in splits(text, ".") {
        add(module.to_owned(), function);
    }
    // Dots are underscores in the names that MCP clients see, and no module has one of these.
    for (module, function) in splits(text, "__") {
        let module = module.replace('_', ".");
        add(module.clone(), function);
        if function.contains('_') {
            add(module, &function.replace('_', "."));
        }
    }
    readings
}

/// Every way to cut `text` in two at `mark`, the last one first.
fn splits<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let marks = text.rmatch_indices(mark).map(|(index, _)| index);
    marks
        .map(move |index| (&text[..index], &text[index + mark.len()..]))
        .filter(|(module, function)| !module.is_empty() && !function.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_in_every_way_that_makes_sense() {
        let read = |text: &str| -> Vec<_> {
            let readings = readings(text).into_iter().skip(1);
            readings.map(|(module, function)| format!("{module} {}", function.unwrap())).collect()
        };

        assert_eq!(read("geo.maps.find"), ["geo.maps find", "geo maps.find"]);
        assert_eq!(read("geo_maps__find"), ["geo.maps find"]);
        assert_eq!(read("m__ops_add"), ["m ops_add", "m ops.add"]);
        assert_eq!(read(".m."), [""; 0]);
    }
}
