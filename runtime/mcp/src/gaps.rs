//! Where a profile does not fit what is served: it was written before a module changed, or by mistake.
//!
//! Nobody is refused for that: a module may come later. Whoever operates the server reads of it in the log.

use std::{collections::BTreeSet, time::Duration};

use fumehood_dispatch::{Arguments, Catalogue, Dispatcher, Tool};
use fumehood_model::ModuleName;
use fumehood_value::InputError;
use rmcp::model::JsonObject;
use serde_json::Value;

use crate::view::{Profile, Profiles};

/// How long what is served must be left in peace before profiles are held against it.
const PEACE: Duration = Duration::from_secs(1);

impl Profiles {
    /// Warn of gaps as they come, for as long as this is polled.
    pub(crate) async fn watch(self, door: Dispatcher) {
        if self.named().next().is_none() {
            return;
        }
        let mut changes = door.changes();
        let mut told = BTreeSet::new();
        loop {
            tokio::time::sleep(PEACE).await;
            if !door.is_ready() {
                continue;
            }
            changes.mark_unchanged();
            let catalogue = door.everything();
            let gaps: BTreeSet<_> = self.named().flat_map(|(name, profile)| profile.gaps(name, &catalogue)).collect();
            for gap in gaps.difference(&told) {
                tracing::warn!("{gap}");
            }
            for gap in told.difference(&gaps) {
                tracing::info!("No longer: {gap}");
            }
            told = gaps;
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Profile {
    /// What is said of this profile, called `name`, that does not fit what is served.
    fn gaps(&self, name: &str, catalogue: &Catalogue) -> Vec<String> {
        let mut gaps = Vec::new();
        let mut gap = |place: String, what: String| gaps.push(format!("mcp.profiles.{name}.{place}: {what}"));
        if let Some(module) = &self.module
            && catalogue.module(module.as_str()).is_none()
        {
            gap("module".to_owned(), no_module(module.as_str(), catalogue));
        }
        for shown in &self.tools {
            let other = |only: &&ModuleName| !shown.starts_with(&format!("{only}."));
            if let Some(only) = self.module.as_ref().filter(other) {
                gap("tools".to_owned(), format!("{} is none of {only}, which alone is shown", shown.escape_debug()));
            } else if let Err(why) = find(shown, catalogue) {
                gap("tools".to_owned(), why);
            }
        }
        for (named, told) in &self.overrides {
            let place = format!("overrides.{}", named.escape_debug());
            let tool = match find(named, catalogue) {
                Ok(Some(tool)) => tool,
                Ok(None) => {
                    gap(place, "it says nothing of all functions at once: name one".to_owned());
                    continue;
                }
                Err(why) => {
                    gap(place, why);
                    continue;
                }
            };
            if self.module.as_ref().is_some_and(|only| *only != tool.module) || !self.shows(tool) {
                gap(place.clone(), format!("this profile does not show {}", named.escape_debug()));
            }
            if let Some(name) = &told.name
                && let Some(hidden) = self.by_own_name(catalogue, name).filter(|own| own.name != tool.name)
            {
                gap(
                    format!("{place}.name"),
                    format!("the tool {} cannot be called here under its own name", hidden.name),
                );
            }
            for (argument, why) in misfits(tool, &told.arguments) {
                gap(format!("{place}.arguments.{}", argument.escape_debug()), why);
            }
        }
        gaps
    }
}

/// The tool that is named as `module.function`; none for `module.*`.
fn find<'a>(named: &str, catalogue: &'a Catalogue) -> Result<Option<&'a Tool>, String> {
    let Some((module, function)) = named.rsplit_once('.') else {
        let name = named.escape_debug();
        return Err(format!("{name} is no tool: name it as module.function, or all of a module as {name}.*"));
    };
    let Some(found) = catalogue.module(module) else { return Err(no_module(module, catalogue)) };
    if function == "*" {
        return Ok(None);
    }
    let none = || {
        let near = catalogue.near_functions(found, function);
        format!("module {module} has no function {}{}", function.escape_debug(), or(&near))
    };
    found.tool(function).map(|tool| Some(tool.as_ref())).ok_or_else(none)
}

fn no_module(name: &str, catalogue: &Catalogue) -> String {
    format!("there is no module {}{}", name.escape_debug(), or(&catalogue.near_modules(name)))
}

fn or(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!(", did you mean {}?", near.join(" or ")) }
}

/// The settled arguments with which no call of the tool would be taken, and why.
fn misfits(tool: &Tool, settled: &JsonObject) -> Vec<(String, String)> {
    let checked = tool.check(Arguments::Parsed(Value::Object(settled.clone())));
    let Err(InputError::Mistakes { mistakes }) = checked else { return Vec::new() };
    // What is missing is for the caller to give.
    let of = |pointer: &str| settled.keys().find(|name| pointer.split('/').nth(1) == Some(&pointed(name))).cloned();
    mistakes.into_iter().filter_map(|mistake| Some((of(&mistake.pointer)?, mistake.message))).collect()
}

/// A name as a JSON pointer has it.
fn pointed(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
