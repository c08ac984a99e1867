//! Tools under other names, with other words and with arguments that are settled: what an operator makes of them at one address.

use std::{collections::BTreeSet, sync::Arc};

use fumehood_dispatch::Tool;
use fumehood_model::Digest;
use rmcp::model::{self, JsonObject};
use serde::{Deserialize, Serialize};

use crate::{convert, view::Profile};

/// Longest name that clients take, and longest description that one is told, in characters.
const MAX_NAME: usize = 128;
const MAX_DESCRIPTION: usize = 4_000;

/// What is said of a tool in the place of what its author says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Override {
    /// Under which name it is listed and called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Arguments that are the same in every call: they are not shown, and cannot be given.
    #[serde(skip_serializing_if = "JsonObject::is_empty")]
    pub arguments: JsonObject,
    /// Whether callers may filter, project and cut its answers; as the profile says, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shaped: Option<bool>,
}

impl Profile {
    /// What is wrong with it, for whoever writes it.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut names = BTreeSet::new();
        for (tool, told) in &self.overrides {
            if tool.rsplit_once('.').is_none_or(|(module, function)| module.is_empty() || function.is_empty()) {
                mistakes.push(format!("overrides.{}: name the tool as module.function", tool.escape_debug()));
            }
            let fits = |name: &str| {
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
                (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed)
            };
            if let Some(name) = &told.name {
                if !fits(name) {
                    let what = "a name has 1 to 128 of A-Z, a-z, 0-9, `_`, `-` and `.`";
                    mistakes.push(format!("overrides.{}.name: {what}", tool.escape_debug()));
                }
                if !names.insert(name) {
                    mistakes.push(format!("overrides.{}.name: another tool has it already", tool.escape_debug()));
                }
            }
            if told.description.as_ref().is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
                let what = format!("more than {MAX_DESCRIPTION} characters");
                mistakes.push(format!("overrides.{}.description: {what}", tool.escape_debug()));
            }
        }
        mistakes
    }

    /// What is said of `tool` here.
    pub(crate) fn told(&self, tool: &Tool) -> Option<&Override> {
        // Most profiles say nothing of any tool.
        if self.overrides.is_empty() {
            return None;
        }
        self.overrides.get(&format!("{}.{}", tool.module, tool.function))
    }

    /// `tool` as the protocol lists it here, called `name`.
    pub(crate) fn listed(&self, name: &str, tool: &Tool) -> model::Tool {
        let mut listed = convert::tool(name, tool);
        if let Some(told) = self.told(tool) {
            listed.description = Some(self.description(tool).to_owned().into());
            listed.input_schema = self.input_schema(tool);
            let told = serde_json::to_string(told).unwrap_or_default();
            let definition = Digest::of(format!("{} {told}", tool.definition).as_bytes());
            convert::define(&mut listed, &definition.to_string());
        }
        listed
    }

    /// Whether callers may filter, project and cut the answers of `tool`.
    pub(crate) fn shapes(&self, tool: &Tool) -> bool {
        self.told(tool).and_then(|told| told.shaped).unwrap_or(self.shaped)
    }

    /// Whether they may those of any tool.
    pub(crate) fn may_shape(&self) -> bool {
        self.shaped || self.overrides.values().any(|told| told.shaped == Some(true))
    }

    pub(crate) fn description<'a>(&'a self, tool: &'a Tool) -> &'a str {
        self.told(tool).and_then(|told| told.description.as_deref()).unwrap_or(&tool.description)
    }

    /// The schema of the arguments that are left to the caller.
    pub(crate) fn input_schema(&self, tool: &Tool) -> Arc<JsonObject> {
        let Some(told) = self.told(tool).filter(|told| !told.arguments.is_empty()) else {
            return Arc::clone(&tool.input_schema);
        };
        let mut schema = JsonObject::clone(&tool.input_schema);
        if let Some(properties) = schema.get_mut("properties").and_then(|properties| properties.as_object_mut()) {
            properties.retain(|name, _| !told.arguments.contains_key(name));
        }
        if let Some(required) = schema.get_mut("required").and_then(|required| required.as_array_mut()) {
            required.retain(|name| name.as_str().is_none_or(|name| !told.arguments.contains_key(name)));
        }
        Arc::new(schema)
    }

    /// Add what is settled to the arguments of a call.
    ///
    /// # Errors
    ///
    /// With the name of an argument that was given although it is settled.
    pub(crate) fn settle(&self, tool: &Tool, arguments: &mut JsonObject) -> Result<(), String> {
        for (name, value) in self.told(tool).iter().flat_map(|told| &told.arguments) {
            if arguments.insert(name.clone(), value.clone()).is_some() {
                return Err(name.clone());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_of_an_operator_are_told_with_their_place() {
        let text = |name: &str| Override { name: Some(name.to_owned()), ..Override::default() };
        let overrides = [
            ("a.good".to_owned(), text("fine")),
            ("a.same".to_owned(), text("fine")),
            ("b.spaced".to_owned(), text("not fine")),
            ("nothing".to_owned(), Override::default()),
            ("c.long".to_owned(), Override { description: Some("x".repeat(4_001)), ..Override::default() }),
        ];
        let profile = Profile { overrides: overrides.into(), ..Profile::default() };

        let mistakes = profile.mistakes();

        let places: Vec<_> = mistakes.iter().map(|mistake| mistake.split(':').next().unwrap()).collect();
        let expected =
            ["overrides.a.same.name", "overrides.b.spaced.name", "overrides.c.long.description", "overrides.nothing"];
        assert_eq!(places, expected, "{mistakes:?}");
    }
}
