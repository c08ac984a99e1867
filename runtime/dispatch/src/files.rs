//! Modules from files in the folders of APIs: served when a file appears, anew when it changes, no more when it goes.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use fumehood_model::{Code, Composition, ModuleName};
use fumehood_policy::{OnChangedDefinitions, OnNewPermissions};
use fumehood_registry::{
    AdmitError, Found, MAX_MANIFEST_BYTES, ManifestError, ManifestMistake, Module, Origin, Problem, scan,
};
use fumehood_signature::Policy;
use fumehood_value::Interface;
use notify::RecursiveMode;

use crate::{
    Changed, DispatchError, Dispatcher, Unmet,
    compose::{Whole, circle, may_be_met},
    dispatcher::blocking,
    error::shown,
    follow::Changes,
    install::{SENT, manifest},
    load::describe,
    permissions::{Redefined, asked_by},
    pin::Pin,
    signatures::{read_signature, signed, together},
};

/// What is known of the files.
#[derive(Default)]
pub(crate) struct Files {
    /// How each was when it was read last, and what was wrong with it.
    read: HashMap<PathBuf, Known>,
    /// What was wrong when they were looked at last.
    problems: Vec<Problem>,
    is_followed: bool,
}

/// A file that was read.
struct Known {
    stamp: Stamp,
    problem: Option<Problem>,
}

/// What tells a component, its manifest and its signature from what they were, without reading them: sizes, times and numbers of the files.
#[derive(Debug, PartialEq, Eq)]
struct Stamp([Option<(u64, Option<SystemTime>, u64)>; 3]);

impl Stamp {
    fn of(found: &Found) -> Self {
        let of = |path: &Path| fs::metadata(path).ok().map(|about| (about.len(), about.modified().ok(), about.ino()));
        Self([of(&found.path), found.manifest.as_deref().and_then(of), found.signature.as_deref().and_then(of)])
    }
}

/// Whether what is read is compiled before it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// By its first call: at the start, when there is nothing yet that it could replace.
    First,
    /// Before anything is replaced, so that no call waits for it.
    Again,
}

impl Dispatcher {
    /// Read what has changed in the folders of APIs. A file that cannot be served leaves in place what was served of it before.
    pub(crate) async fn read_files(&self, reading: Reading) -> Result<(), DispatchError> {
        let mut files = self.inner.files.lock().await;
        let folders = self.inner.config.apis_dirs.clone();
        let catalogue = self.inner.registry.snapshot();
        let serving = catalogue.modules().filter_map(|module| match &module.origin {
            Origin::File { path } => Some((module.name.clone(), path.clone())),
            Origin::Upload { .. } => None,
        });
        let serving = serving.collect();
        drop(catalogue);
        let look = move || {
            let (found, problems) = scan(&folders, serving);
            let stamped: Vec<_> = found.into_iter().map(|found| (Stamp::of(&found), found)).collect();
            Ok((stamped, problems))
        };
        let (found, mut problems) = blocking(look).await?;
        let database = self.inner.database.clone();
        let uploaded: HashSet<_> =
            blocking(move || Ok(database.modules()?)).await?.into_iter().map(|row| row.name).collect();
        let names: HashSet<_> = found.iter().map(|(_, found)| found.name.clone()).collect();
        let unread: Vec<_> = problems.iter().map(|problem| problem.path.clone()).collect();
        let mut before = std::mem::take(&mut files.read);
        let (mut new, mut pins) = (Vec::new(), Vec::new());
        let mut line = Line { todo: found.into(), ..Line::default() };
        while let Some((stamp, found)) = line.next() {
            // Also one that cannot be served: what it is granted is for nothing else.
            if uploaded.contains(&found.name) {
                let (name, path) = (&found.name, found.path.clone());
                let reason =
                    format!("the name {name} is taken by an uploaded module: rename the file or remove the module");
                problems.push(Problem { path, reason });
                continue;
            }
            if let Some(known) = before.remove(&found.path).filter(|known| known.stamp == stamp) {
                problems.extend(known.problem.clone());
                files.read.insert(found.path, known);
                continue;
            }
            let serving = self.inner.registry.current().module(found.name.as_str()).cloned();
            let path = found.path.clone();
            let problem = match self.file(&found, reading, &new).await {
                Ok((module, pin)) => match self.holds(&module, serving.as_deref()) {
                    Some(reason) => {
                        let digest = pin.digest;
                        drop(pin);
                        self.forget_unused(digest).await;
                        // Looked at again each time: what it asks for may be granted meanwhile.
                        problems.push(Problem { path, reason });
                        continue;
                    }
                    None => {
                        line.served(&module, &found);
                        match reading {
                            Reading::First => {
                                new.push(module);
                                pins.push(pin);
                            }
                            Reading::Again => self.swap(module).await?,
                        }
                        None
                    }
                },
                Err(error) if may_be_met(&error) => {
                    line.waiting.push(Waiting { stamp, found, error, serves: serving.is_some() });
                    continue;
                }
                Err(error) => {
                    let stays = if serving.is_some() { "; what it was before is served on" } else { "" };
                    let problem = Problem { path: path.clone(), reason: format!("{}{stays}", describe(&error)) };
                    if !is_of_file(&error) {
                        // It may be well the next time.
                        problems.push(problem);
                        continue;
                    }
                    Some(problem)
                }
            };
            problems.extend(problem.clone());
            files.read.insert(path, Known { stamp, problem });
        }
        problems.extend(line.problems());
        let mut gone = Vec::new();
        for module in self.inner.registry.current().modules() {
            let Origin::File { path } = &module.origin else { continue };
            // Of a folder that cannot be read nothing is known.
            if !names.contains(&module.name) && !unread.iter().any(|folder| path.starts_with(folder)) {
                gone.push(module.name.clone());
            }
        }
        self.take_in(new, &gone, &problems).await;
        drop(pins);
        for Problem { path, reason } in problems.iter().filter(|problem| !files.problems.contains(problem)) {
            // Whoever names files writes no lines into the log.
            let shown = path.to_string_lossy().escape_debug().to_string();
            tracing::warn!(path = shown, "{shown} is not served as it is: {reason}");
        }
        files.problems = problems;
        Ok(())
    }

    /// Go on reading the folders of APIs for as long as this process lives. Only the first time counts.
    pub(crate) async fn follow_files(&self) {
        let folders = self.inner.config.apis_dirs.clone();
        let is_followed = std::mem::replace(&mut self.inner.files.lock().await.is_followed, true);
        if folders.is_empty() || is_followed || !self.inner.config.reload_apis {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let mut changes = Changes::of(&folders, RecursiveMode::Recursive, "APIs");
            loop {
                changes.next().await;
                if let Err(error) = this.read_files(Reading::Again).await {
                    tracing::warn!(%error, "The folders of APIs could not be read again: {error}");
                }
            }
        });
    }

    /// Put a module in the place of what was served under its name.
    async fn swap(&self, module: Module) -> Result<(), DispatchError> {
        let _turn = self.inner.installing.lock().await;
        if self.stored_row(&module.name).await?.is_some() {
            // An upload came in between, and that is told next time.
            return Ok(());
        }
        let (name, digest) = (module.name.clone(), module.digest);
        let serving = self.inner.registry.current().module(name.as_str()).cloned();
        let defined = serving.as_deref().map(Module::definitions);
        let defined = defined.filter(|_| self.inner.config.on_changed_definitions != OnChangedDefinitions::Serve);
        let module = module.compared_with(defined.as_ref());
        if serving.as_ref().is_some_and(|serving| serving.is_same(&module)) {
            return Ok(());
        }
        if let Some(defined) = &defined {
            let redefined = Redefined::all(&module, defined, serving.as_deref());
            let names: Vec<_> = redefined.iter().take(10).map(|redefined| shown(&redefined.name)).collect();
            if !names.is_empty() {
                let names = names.join(", ");
                tracing::warn!(module.name = %name, component.digest = %digest, "The changed file of module {name} says something else of {names}");
            }
        }
        drop(serving);
        self.tell_of_missing(&module);
        let signed = signed(&module.standing);
        let old = self.inner.registry.insert(module);
        let how = if old.is_some() { "anew" } else { "now" };
        tracing::info!(module.name = %name, component.digest = %digest, "Module {name} is served {how}, from its file{signed}");
        self.let_go(old);
        Ok(())
    }

    /// Take in what was read first, and let go of what has no file any more.
    async fn take_in(&self, new: Vec<Module>, gone: &[ModuleName], problems: &[Problem]) {
        let _turn = self.inner.installing.lock().await;
        new.iter().for_each(|module| self.tell_of_missing(module));
        let removed = self.inner.registry.update_files(new, gone, problems.to_vec());
        for module in removed {
            tracing::info!(module.name = %module.name, "Module {} is not served any more: its file has gone", module.name);
            self.let_go(Some(module));
        }
    }

    /// Why a module stays behind the version that is served, if it has to.
    fn holds(&self, module: &Module, serving: Option<&Module>) -> Option<String> {
        let (serving, config) = (serving?, &self.inner.config);
        if config.on_new_permissions == OnNewPermissions::Hold {
            let base = asked_by(Some(serving), None);
            let added = self.ungranted(&module.name, &Changed::between(&base, &module.manifest.permissions).added);
            if !added.is_empty() {
                let added: Vec<_> = added.iter().map(|wish| format!("`{}`", wish.grant)).collect();
                let (added, name) = (added.join(", "), &module.name);
                return Some(format!(
                    "it asks for {added} beyond the version that is served, which stays: fumehood grants add {name} …"
                ));
            }
        }
        if config.on_changed_definitions == OnChangedDefinitions::Hold {
            let redefined = Redefined::all(module, &serving.definitions(), Some(serving));
            if !redefined.is_empty() {
                let names: Vec<_> = redefined.iter().take(10).map(|redefined| redefined.name.as_str()).collect();
                return Some(format!(
                    "it says something else of {} than the version that is served, which stays: take the file away and put it back to accept that",
                    names.join(", ")
                ));
            }
        }
        None
    }

    /// What a file holds as a module, and what keeps its component from being let go of meanwhile.
    async fn file(&self, found: &Found, reading: Reading, also: &[Module]) -> Result<(Module, Pin), DispatchError> {
        let Found { name, path, manifest: beside, signature } = found.clone();
        let named = beside.as_ref().map(|path| path.display().to_string());
        let sent = blocking(move || beside.map(|path| read_manifest(&path)).transpose()).await?;
        let signature = signature.filter(|_| self.inner.config.trust.policy() != Policy::Off);
        let signature = blocking(move || signature.map(|path| read_signature(&path)).transpose()).await?;
        let (allowed, file) = (self.inner.config.max_component, path.clone());
        let bytes = blocking(move || {
            let cannot = |source| fumehood_store::StoreError::Io { doing: "read", path: file.clone(), source };
            let size = fs::metadata(&file).map_err(cannot)?.len();
            if size > allowed.0 {
                return Err(DispatchError::ComponentTooLarge { size, allowed });
            }
            Ok(Bytes::from(fs::read(&file).map_err(cannot)?))
        })
        .await?;
        let size = bytes.len() as u64;
        let standing = self.standing(bytes.clone(), signature).await?;
        self.admit(&name, &standing)?;
        let pin = self.keep(bytes).await?;
        let digest = pin.digest;
        let file = named.as_deref().unwrap_or(SENT);
        let module =
            self.of_file(name, (pin, size), Origin::File { path }, (file, sent.as_deref()), reading, also).await;
        let module = module.and_then(|(module, pin)| {
            let standing = together(standing, module.composition.as_ref());
            self.admit(&module.name, &standing)?;
            Ok((module.of_standing(standing), pin))
        });
        // Of what was made of it, or not taken, nothing uses it.
        if module.as_ref().map_or(true, |(module, _)| module.digest != digest) {
            self.forget_unused(digest).await;
        }
        module
    }

    async fn of_file(
        &self,
        name: ModuleName,
        (pin, size): (Pin, u64),
        origin: Origin,
        (file, sent): (&str, Option<&str>),
        reading: Reading,
        also: &[Module],
    ) -> Result<(Module, Pin), DispatchError> {
        let says = |interface: &Interface| {
            let held = interface.manifest.as_deref();
            self.inner.config.trust.admit_beside(sent, held)?;
            Ok(manifest(file, sent, held)?)
        };
        let Whole { pin, size_bytes, interface, composition } = self.whole(&name, pin, size, says, also).await?;
        let digest = pin.digest;
        let made = says(&interface).and_then(|manifest| {
            let module = Module::new(name, digest, size_bytes, origin, interface, manifest)?;
            Ok(module.made_of(composition))
        });
        let loaded = match reading {
            Reading::Again if made.is_ok() => self.inner.sandbox.load(&digest).await.map_err(DispatchError::from),
            _ => Ok(()),
        };
        match made.and_then(|module| loaded.map(|()| module)) {
            Ok(module) => Ok((module, pin)),
            Err(error) => {
                drop(pin);
                self.forget_unused(digest).await;
                Err(error)
            }
        }
    }
}

/// Files in an order in which they can be served: one that needs what others export comes again after those.
#[derive(Default)]
struct Line {
    todo: VecDeque<(Stamp, Found)>,
    waiting: Vec<Waiting>,
    /// Those that were put together with others.
    composed: Vec<(Composition, Found)>,
    /// Whether anything was served since they were looked at.
    is_going_on: bool,
}

/// A file that needs what nothing exports yet.
struct Waiting {
    stamp: Stamp,
    found: Found,
    error: DispatchError,
    /// Whether something is served of it, from before.
    serves: bool,
}

impl Line {
    fn next(&mut self) -> Option<(Stamp, Found)> {
        if self.todo.is_empty() && std::mem::take(&mut self.is_going_on) {
            self.todo.extend(self.waiting.drain(..).map(|Waiting { stamp, found, .. }| (stamp, found)));
        }
        self.todo.pop_front()
    }

    /// A file is served now. Those that were put together with what it was before come again.
    fn served(&mut self, module: &Module, found: &Found) {
        self.is_going_on = true;
        let is_old = |(composition, _): &mut (Composition, Found)| {
            composition.parts.iter().any(|part| part.module == module.name && part.digest != module.digest)
        };
        let again = self.composed.extract_if(.., is_old);
        self.todo.extend(again.map(|(_, found)| (Stamp::of(&found), found)));
        self.composed.extend(module.composition.clone().map(|composition| (composition, found.clone())));
    }

    /// What is wrong with those that still wait. They are looked at again each time: what they need may come.
    fn problems(self) -> Vec<Problem> {
        let needs = |error: &DispatchError| match error {
            DispatchError::Unmet { import, exports, .. } => (import.clone(), exports.clone()),
            _ => (String::new(), Vec::new()),
        };
        let graph = self.waiting.iter().map(|waiting| {
            let (import, exports) = needs(&waiting.error);
            (waiting.found.name.to_string(), import, exports)
        });
        let graph: Vec<_> = graph.collect();
        let problems = self.waiting.into_iter().enumerate().map(|(position, waiting)| {
            let Waiting { found, error, serves, .. } = waiting;
            let error = match (error, circle(&graph, position)) {
                (DispatchError::Unmet { import, exports, .. }, Some(names)) => {
                    DispatchError::Unmet { import, why: Unmet::Circle { names }, exports }
                }
                (error, _) => error,
            };
            let stays = if serves { "; what it was before is served on" } else { "" };
            Problem { path: found.path, reason: format!("{}{stays}", describe(&error)) }
        });
        problems.collect()
    }
}

/// Whether it is the fault of a file that it cannot be served: then it cannot until it changes.
fn is_of_file(error: &DispatchError) -> bool {
    matches!(error.code(), Code::InvalidComponent | Code::Signature | Code::TooLarge)
}

/// The text of a manifest, which is not read at all if it is too large. Blocking.
fn read_manifest(path: &Path) -> Result<String, DispatchError> {
    let cannot = |source| fumehood_store::StoreError::Io { doing: "read", path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(MAX_MANIFEST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    String::from_utf8(bytes).map_err(|_| {
        let mistake = ManifestMistake { line: 1, what: "the file is not UTF-8 text".to_owned() };
        let error = ManifestError { file: path.display().to_string(), mistakes: vec![mistake] };
        AdmitError::from(error).into()
    })
}
