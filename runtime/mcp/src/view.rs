//! What one address shows, and under which names.

use std::{collections::BTreeMap, sync::Arc};

use fumehood_dispatch::{Catalogue, Module, Tool, rich::Prompt};
use fumehood_model::{ModuleName, ToolName};
use serde::{Deserialize, Serialize};

use crate::listing::List;

/// A choice of what is served, at an address of its own: `/mcp/{name}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// The one module that is shown, under the names that its author gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<ModuleName>,
    /// The tools that are shown, each as `module.function` or `module.*`; all of them, if none is named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// What `tools/list` holds.
    pub list: List,
    /// Whether callers may filter, project and cut answers.
    pub shaped: bool,
}

/// Every profile by its name. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub(crate) struct Profiles(Arc<BTreeMap<String, Profile>>);

impl Profiles {
    pub(crate) fn new(profiles: BTreeMap<String, Profile>) -> Self {
        Self(Arc::new(profiles))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Profile> {
        self.0.get(name)
    }

    /// Everything, and each profile.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Profile> {
        std::iter::once(Profile::EVERYTHING).chain(self.0.values())
    }
}

/// A tool under the name by which this address knows it.
pub(crate) type Named<'a> = (&'a str, &'a Arc<Tool>);

impl Profile {
    /// What `/mcp` shows.
    pub(crate) const EVERYTHING: &'static Self =
        &Self { module: None, tools: Vec::new(), list: List::Full, shaped: false };

    /// The tools whose names come after `name`, in the order of their names.
    pub(crate) fn tools_after<'a>(&'a self, catalogue: &'a Catalogue, name: &str) -> Vec<Named<'a>> {
        let Some(module) = &self.module else {
            let tools = catalogue.tools_after(name).filter(|tool| self.shows(tool));
            return tools.map(|tool| (tool.name.as_str(), tool)).collect();
        };
        let Some(module) = catalogue.module(module.as_str()) else { return Vec::new() };
        let tools = module.tools.iter().filter(|tool| tool.function.as_str() > name && self.shows(tool));
        let mut tools: Vec<_> = tools.map(|tool| (tool.function.as_str(), tool)).collect();
        tools.sort_unstable_by_key(|(name, _)| *name);
        tools
    }

    /// The tool that this address calls `name`.
    pub(crate) fn tool<'a>(&self, catalogue: &'a Catalogue, name: &str) -> Option<&'a Arc<Tool>> {
        let tool = match &self.module {
            None => catalogue.tool(name),
            Some(module) => catalogue.module(module.as_str())?.tool(name),
        };
        tool.filter(|tool| self.shows(tool))
    }

    /// The modules that are shown.
    pub(crate) fn modules<'a>(&'a self, catalogue: &'a Catalogue) -> impl Iterator<Item = &'a Arc<Module>> {
        catalogue.modules().filter(|module| self.module.as_ref().is_none_or(|only| *only == module.name)).filter(
            |module| {
                let name = module.name.as_str();
                let names = |shown: &String| shown.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
                self.tools.is_empty() || self.tools.iter().any(names)
            },
        )
    }

    /// All prompts with their modules, in the order of their names.
    pub(crate) fn prompts<'a>(&'a self, catalogue: &'a Catalogue) -> Vec<(String, &'a Arc<Module>, &'a Prompt)> {
        let of = |module: &'a Arc<Module>| {
            module.prompts.iter().map(move |prompt| (self.prompt_name(module, prompt), module, prompt))
        };
        let mut prompts: Vec<_> = self.modules(catalogue).flat_map(of).collect();
        prompts.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
        prompts
    }

    fn prompt_name(&self, module: &Module, prompt: &Prompt) -> String {
        match &self.module {
            Some(_) => prompt.name.clone(),
            None => ToolName::of(&module.name, &prompt.name).to_string(),
        }
    }

    fn shows(&self, tool: &Tool) -> bool {
        self.tools.is_empty()
            || self.tools.iter().any(|shown| {
                let rest = shown.strip_prefix(tool.module.as_str()).and_then(|rest| rest.strip_prefix('.'));
                rest.is_some_and(|function| function == "*" || function == tool.function)
            })
    }
}
