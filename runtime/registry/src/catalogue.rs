use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::{ArcSwap, Guard};
use fumehood_model::{ModuleName, ToolName};
use tokio::sync::watch;

use crate::{Library, Module, Origin, Problem, Tool, near::near};

/// All modules and tools at one moment.
#[derive(Debug, Default)]
pub struct Catalogue {
    modules: BTreeMap<ModuleName, Arc<Module>>,
    tools: BTreeMap<ToolName, Arc<Tool>>,
    /// Of uploads, and of files.
    problems: [Vec<Problem>; 2],
    library: Arc<Library>,
    generation: u64,
}

impl Catalogue {
    /// All modules, by name.
    pub fn modules(&self) -> impl ExactSizeIterator<Item = &Arc<Module>> {
        self.modules.values()
    }

    /// All tools, by name: the same order on every machine and after every restart.
    pub fn tools(&self) -> impl ExactSizeIterator<Item = &Arc<Tool>> {
        self.tools.values()
    }

    /// The tools whose names come after `name`, for reading on from where a page ended.
    pub fn tools_after(&self, name: &str) -> impl Iterator<Item = &Arc<Tool>> {
        let from = std::ops::Bound::Excluded(name);
        self.tools.range::<str, _>((from, std::ops::Bound::Unbounded)).map(|(_, tool)| tool)
    }

    /// The module called `name`.
    #[must_use]
    pub fn module(&self, name: &str) -> Option<&Arc<Module>> {
        self.modules.get(name)
    }

    /// The tool called `name`.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&Arc<Tool>> {
        self.tools.get(name)
    }

    /// The prompts that belong to no module.
    #[must_use]
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// What could not be served.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().flatten()
    }

    /// A number that is larger in every later catalogue of this process.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Names of modules near `name`.
    #[must_use]
    pub fn near_modules(&self, name: &str) -> Vec<String> {
        near(name, self.modules.keys().map(ModuleName::as_str))
    }

    /// Names of tools near `name`.
    #[must_use]
    pub fn near_tools(&self, name: &str) -> Vec<String> {
        near(name, self.tools.keys().map(ToolName::as_str))
    }

    /// Names of functions of `module` near `name`.
    #[must_use]
    pub fn near_functions(&self, module: &Module, name: &str) -> Vec<String> {
        near(name, module.tools.iter().map(|tool| tool.function.as_str()))
    }
}

/// The current [`Catalogue`], and the way to change it. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    current: ArcSwap<Catalogue>,
    /// Serialises changes, so that none is lost.
    changing: Mutex<()>,
    changes: watch::Sender<u64>,
}

impl Default for Registry {
    fn default() -> Self {
        let inner = Inner { current: ArcSwap::default(), changing: Mutex::default(), changes: watch::Sender::new(0) };
        Self { inner: Arc::new(inner) }
    }
}

impl Registry {
    /// The catalogue as it is now, to be looked at and let go.
    #[must_use]
    pub fn current(&self) -> Guard<Arc<Catalogue>> {
        self.inner.current.load()
    }

    /// The catalogue as it is now, to be kept.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Catalogue> {
        self.inner.current.load_full()
    }

    /// Tells when the catalogue has changed; the value is its generation.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Put all of `modules` and `problems` in place of the uploaded ones that there were. A module that is the same stays, and
    /// if all of them are, nothing has changed.
    pub fn replace_uploads(&self, modules: Vec<Module>, problems: Vec<Problem>) {
        self.change(|catalogue| {
            let is_upload = |module: &&Arc<Module>| matches!(module.origin, Origin::Upload { .. });
            let old: Vec<_> = catalogue.modules.values().filter(is_upload).map(|module| module.name.clone()).collect();
            let old: HashMap<_, _> =
                old.into_iter().filter_map(|name| Some((name.clone(), catalogue.take(name.as_str())?))).collect();
            for module in modules {
                let same = old.get(&module.name).filter(|old| old.is_same(&module));
                catalogue.insert(same.map_or_else(|| Arc::new(module), Arc::clone));
            }
            catalogue.problems[0] = problems;
        });
    }

    /// Add modules of files, remove those that are `gone`, and put `problems` in place of those of files that there were; the
    /// modules that were removed.
    pub fn update_files(&self, new: Vec<Module>, gone: &[ModuleName], problems: Vec<Problem>) -> Vec<Arc<Module>> {
        self.change(|catalogue| {
            let removed = gone.iter().filter_map(|name| catalogue.take(name.as_str())).collect();
            for module in new {
                catalogue.insert(Arc::new(module));
            }
            catalogue.problems[1] = problems;
            removed
        })
    }

    /// Add a module, or put it in place of the one of its name; the one that it replaced.
    pub fn insert(&self, module: Module) -> Option<Arc<Module>> {
        let module = Arc::new(module);
        self.change(|catalogue| {
            let old = catalogue.take(module.name.as_str());
            catalogue.insert(Arc::clone(&module));
            old
        })
    }

    /// Remove the module called `name`; the one that was removed.
    pub fn remove(&self, name: &str) -> Option<Arc<Module>> {
        self.change(|catalogue| catalogue.take(name))
    }

    /// Put all prompts that belong to no module in place of what there was; whether they are others.
    pub fn shelve(&self, library: Library) -> bool {
        self.change(|catalogue| {
            let is_new = !catalogue.library.is_same(&library);
            catalogue.library = Arc::new(library);
            is_new
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Catalogue) -> T) -> T {
        let _changing = self.inner.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.inner.current.load();
        let mut catalogue = Catalogue {
            modules: old.modules.clone(),
            tools: old.tools.clone(),
            problems: old.problems.clone(),
            library: Arc::clone(&old.library),
            generation: old.generation,
        };
        let output = change(&mut catalogue);
        if catalogue.is_same(&old) {
            return output;
        }
        catalogue.generation += 1;
        let generation = catalogue.generation;
        self.inner.current.store(Arc::new(catalogue));
        self.inner.changes.send_replace(generation);
        output
    }
}

impl Catalogue {
    /// Whether the very same modules are in both, and the same problems.
    fn is_same(&self, other: &Self) -> bool {
        let same = |(a, b): (&Arc<Module>, &Arc<Module>)| Arc::ptr_eq(a, b);
        self.modules.len() == other.modules.len()
            && self.modules.values().zip(other.modules.values()).all(same)
            && self.problems == other.problems
            && self.library.is_same(&other.library)
    }

    fn insert(&mut self, module: Arc<Module>) {
        self.take(module.name.as_str());
        for tool in &module.tools {
            self.tools.insert(tool.name.clone(), Arc::clone(tool));
        }
        self.modules.insert(module.name.clone(), module);
    }

    fn take(&mut self, name: &str) -> Option<Arc<Module>> {
        let module = self.modules.remove(name)?;
        for tool in &module.tools {
            self.tools.remove(&tool.name);
        }
        Some(module)
    }
}
