//! What one address shows, and under which names.

use std::{collections::BTreeMap, sync::Arc};

use fumehood_dispatch::{Catalogue, Module, OwnResource, Tool, rich::Prompt};
use fumehood_model::{ModuleName, ToolName};
use serde::{Deserialize, Serialize};

use crate::{listing::List, overrides::Override};

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
    /// What is said of tools here, each as `module.function`, in the place of what its author says.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, Override>,
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

    /// Each profile with its name.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&str, &Profile)> {
        self.0.iter().map(|(name, profile)| (name.as_str(), profile))
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
        &Self { module: None, tools: Vec::new(), list: List::Full, overrides: BTreeMap::new(), shaped: false };

    /// The tools whose names come after `name`, in the order of their names.
    pub(crate) fn tools_after<'a>(&'a self, catalogue: &'a Catalogue, name: &str) -> Vec<Named<'a>> {
        if !self.overrides.is_empty() {
            let tools = self.modules(catalogue).flat_map(|module| &module.tools).filter(|tool| self.shows(tool));
            let named = tools.map(|tool| (self.name_of(tool), tool));
            let named = named.filter(|(shown, tool)| *shown > name && !self.is_taken(shown, tool));
            let mut named: Vec<_> = named.collect();
            named.sort_unstable_by_key(|(name, _)| *name);
            return named;
        }
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
        if let Some(named) = self.overrides.iter().find(|(_, told)| told.name.as_deref() == Some(name)) {
            let (module, function) = named.0.rsplit_once('.')?;
            let theirs = self.module.as_ref().is_none_or(|only| only.as_str() == module);
            return catalogue.module(module).filter(|_| theirs)?.tool(function).filter(|tool| self.shows(tool));
        }
        self.by_own_name(catalogue, name)
    }

    /// The tool that is called `name` without anybody having said so here.
    pub(crate) fn by_own_name<'a>(&self, catalogue: &'a Catalogue, name: &str) -> Option<&'a Arc<Tool>> {
        let tool = match &self.module {
            None => catalogue.tool(name),
            Some(module) => catalogue.module(module.as_str())?.tool(name),
        };
        // Under another name it is not here any more.
        tool.filter(|tool| self.shows(tool) && self.told(tool).is_none_or(|told| told.name.is_none()))
    }

    /// What this address calls `tool`.
    fn name_of<'a>(&'a self, tool: &'a Tool) -> &'a str {
        let told = self.told(tool).and_then(|told| told.name.as_deref());
        told.unwrap_or(if self.module.is_some() { &tool.function } else { tool.name.as_str() })
    }

    /// Whether another tool was given this name.
    fn is_taken(&self, name: &str, tool: &Tool) -> bool {
        let given = self.overrides.values().any(|told| told.name.as_deref() == Some(name));
        given && self.told(tool).is_none_or(|told| told.name.as_deref() != Some(name))
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

    /// Whether resources of the server are shown: where the operator chose what is shown, only those that are the caller's own.
    pub(crate) fn shows_own(&self, own: OwnResource<'_>) -> bool {
        own.is_callers() || self.shows_all()
    }

    /// Whether nothing is left out.
    pub(crate) fn shows_all(&self) -> bool {
        self.module.is_none() && self.tools.is_empty()
    }

    /// All prompts with their modules, in the order of their names.
    pub(crate) fn prompts<'a>(
        &'a self,
        catalogue: &'a Catalogue,
    ) -> Vec<(String, Option<&'a Arc<Module>>, &'a Prompt)> {
        let of = |module: &'a Arc<Module>| {
            module.prompts.iter().map(move |prompt| (self.prompt_name(module, prompt), Some(module), prompt))
        };
        let shelved = self.shows_all().then(|| catalogue.library().prompts()).into_iter().flatten();
        let shelved = shelved.map(|prompt| (prompt.name.clone(), None, prompt));
        let mut prompts: Vec<_> = shelved.chain(self.modules(catalogue).flat_map(of)).collect();
        // Of two with the same name the operator's own is taken.
        prompts.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        prompts.dedup_by(|(a, ..), (b, ..)| a == b);
        prompts
    }

    fn prompt_name(&self, module: &Module, prompt: &Prompt) -> String {
        match &self.module {
            Some(_) => prompt.name.clone(),
            None => ToolName::of(&module.name, &prompt.name).to_string(),
        }
    }

    pub(crate) fn shows(&self, tool: &Tool) -> bool {
        self.tools.is_empty()
            || self.tools.iter().any(|shown| {
                let rest = shown.strip_prefix(tool.module.as_str()).and_then(|rest| rest.strip_prefix('.'));
                rest.is_some_and(|function| function == "*" || function == tool.function)
            })
    }
}
