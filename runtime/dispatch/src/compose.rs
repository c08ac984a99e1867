//! Components that need what other modules export: found, put together, and from then on one component.

use bytes::Bytes;
use fumehood_model::{Composition, Digest, ModuleName, Part, Standing};
use fumehood_registry::{Catalogue, Dependency, MAX_DEPENDENCIES, Manifest, Module};
use fumehood_sandbox::{SandboxError, Supplier, is_offered};
use fumehood_store::Database;
use fumehood_value::Interface;

use crate::{DispatchError, Dispatcher, dispatcher::blocking, error::shown, pin::Pin};

/// Most parts that one component is made of, at all depths.
const MAX_PARTS: usize = 64;

/// Why an import could not be taken from another module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unmet {
    /// Nobody exports it.
    #[error("which is not offered here{why}; no module here exports it either{}", instead(.near))]
    Missing {
        /// Why the server does not offer it.
        why: String,
        /// What modules export of the same interface, and which do.
        near: Vec<String>,
    },
    /// Several modules export it.
    #[error("which modules {} export: say in tool.toml which is meant, as in [dependencies] \"{import}\" = {{ module = \"{}\" }}", .modules.join(" and "), .modules.first().map_or("", String::as_str))]
    Ambiguous {
        /// The import.
        import: String,
        /// Their names.
        modules: Vec<String>,
    },
    /// The module that tool.toml names is not there.
    #[error("which tool.toml takes from module {module}: there is none, install it first")]
    NoModule {
        /// Its name.
        module: ModuleName,
    },
    /// The module that tool.toml names does not export it.
    #[error("which tool.toml takes from module {module}: that does not export it{}", instead(.near))]
    NotExported {
        /// Its name.
        module: ModuleName,
        /// What it exports of the same interface.
        near: Vec<String>,
    },
    /// The module that tool.toml names has another component.
    #[error("which tool.toml takes from {digest} of module {module}: no version of it that is kept has this component")]
    OtherComponent {
        /// Its name.
        module: ModuleName,
        /// The component that is wanted.
        digest: Digest,
    },
    /// It would be made of itself.
    #[error("which module {supplier} exports, and that is made of {module}: a cycle")]
    Cycle {
        /// The module.
        module: ModuleName,
        /// The one that holds it already.
        supplier: ModuleName,
    },
    /// It would be made of too much.
    #[error("and with all that it needs it would be made of more than {MAX_PARTS} components")]
    TooMany,
    /// Another file that is not served either exports it, and waits for this one.
    #[error("for which files wait in a circle: {}", .names.join(" -> "))]
    Circle {
        /// Their names, the first again at the end.
        names: Vec<String>,
    },
}

fn instead(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) }
}

/// What gives a module an import.
struct Found {
    module: ModuleName,
    digest: Digest,
    export: String,
    is_signed: bool,
    composition: Option<Composition>,
}

/// A component that has all that it needs.
pub(crate) struct Whole {
    /// Keeps anybody from letting go of it.
    pub(crate) pin: Pin,
    pub(crate) size_bytes: u64,
    pub(crate) interface: Interface,
    /// What it was made of, if it was.
    pub(crate) composition: Option<Composition>,
}

impl Dispatcher {
    /// The component that `pin` holds, with all that it needs and other modules export. `also` is served soon.
    ///
    /// # Errors
    ///
    /// When something that it needs is not there or does not fit. Then nothing is kept.
    pub(crate) async fn whole(
        &self,
        name: &ModuleName,
        pin: Pin,
        size_bytes: u64,
        manifest: impl FnOnce(&Interface) -> Result<Manifest, DispatchError>,
        also: &[Module],
    ) -> Result<Whole, DispatchError> {
        let interface = self.inner.sandbox.describe(&pin.digest).await?;
        if interface.imports.iter().all(|import| is_offered(import)) {
            let digest = pin.digest;
            let database = self.inner.database.clone();
            // The same bytes may have been made here before.
            let composition = blocking(move || Ok(database.composition(&digest)?)).await?;
            return Ok(Whole { pin, size_bytes, interface, composition });
        }
        let manifest = manifest(&interface)?;
        manifest.check_dependencies(name, &interface.imports)?;
        let composition = self.parts(name, pin.digest, &interface, &manifest, also).await?;
        let (suppliers, composition) = composition;
        // Nobody lets go of what they were taken from meanwhile.
        let mut pins = Vec::with_capacity(suppliers.len());
        for supplier in &suppliers {
            pins.push(self.pin(supplier.digest).await);
        }
        // Before all of them are in memory.
        let (blobs, allowed) = (self.inner.blobs.clone(), self.inner.config.max_component);
        let all: Vec<_> = suppliers.iter().map(|supplier| supplier.digest).collect();
        let size =
            blocking(move || all.iter().try_fold(size_bytes, |sum, digest| Ok(sum + blobs.size(digest)?))).await?;
        if size > allowed.0 {
            return Err(DispatchError::ComponentTooLarge { size, allowed });
        }
        let bytes = self.inner.sandbox.compose(&pin.digest, suppliers).await?;
        drop(pins);
        let size_bytes = bytes.len() as u64;
        if size_bytes > allowed.0 {
            return Err(DispatchError::ComponentTooLarge { size: size_bytes, allowed });
        }
        let made = self.keep(Bytes::from(bytes)).await?;
        let (database, digest, kept) = (self.inner.database.clone(), made.digest, composition.clone());
        let is_ours = !self.inner.config.read_only;
        let noted = blocking(move || if is_ours { Ok(database.put_composition(&digest, &kept)?) } else { Ok(()) });
        let described = match noted.await {
            Ok(()) => self.inner.sandbox.describe(&digest).await.map_err(DispatchError::from),
            Err(error) => Err(error),
        };
        let interface = match described {
            Ok(interface) => interface,
            Err(error) => {
                drop(made);
                self.forget_unused(digest).await;
                return Err(error);
            }
        };
        let parts: Vec<_> = composition.parts.iter().map(|part| format!("{} ({})", part.module, part.digest)).collect();
        let parts = parts.join(", ");
        tracing::info!(module.name = %name, component.digest = %digest, "Module {name} was put together with {parts}");
        Ok(Whole { pin: made, size_bytes, interface, composition: Some(composition) })
    }

    /// Where what the component `root` needs is taken from.
    async fn parts(
        &self,
        name: &ModuleName,
        root: Digest,
        interface: &Interface,
        manifest: &Manifest,
        also: &[Module],
    ) -> Result<(Vec<Supplier>, Composition), DispatchError> {
        let mut suppliers: Vec<Supplier> = Vec::new();
        let mut parts: Vec<Part> = Vec::new();
        for import in interface.imports.iter().filter(|import| !is_offered(import)).take(MAX_DEPENDENCIES) {
            let unmet = |why| DispatchError::Unmet { import: shown(import), why, exports: interface.exports.clone() };
            let dependency = manifest.dependency(import);
            let found = {
                let catalogue = self.inner.registry.current();
                match dependency {
                    None => found(name, import, &catalogue, also).map(Some),
                    Some(Dependency { module, .. }) if module == name => {
                        Err(Unmet::Cycle { module: name.clone(), supplier: name.clone() })
                    }
                    Some(Dependency { module, digest, .. }) => {
                        let served = served(module, &catalogue, also);
                        match (served, digest) {
                            (None, _) => Err(Unmet::NoModule { module: module.clone() }),
                            (Some(served), Some(digest)) if served.digest != *digest => Ok(None),
                            (Some(served), _) => exported(served, import).map(Some),
                        }
                    }
                }
            };
            let found = match (found.map_err(unmet)?, dependency) {
                (Some(found), _) => found,
                (None, Some(Dependency { module, digest: Some(digest), .. })) => {
                    self.of_version(module, *digest, import).await?.map_err(unmet)?
                }
                (None, _) => return Err(DispatchError::Lost),
            };
            let Found { module, digest, export, is_signed, composition } = found;
            if composition.as_ref().is_some_and(|composition| composition.holds(name)) {
                return Err(unmet(Unmet::Cycle { module: name.clone(), supplier: module }));
            }
            let meets = (import.clone(), export);
            match suppliers.iter().position(|supplier| supplier.digest == digest) {
                Some(known) => {
                    suppliers[known].meets.push(meets);
                    parts[known].imports.push(import.clone());
                }
                None => {
                    suppliers.push(Supplier { digest, meets: vec![meets] });
                    parts.push(Part { module, digest, imports: vec![import.clone()], is_signed, composition });
                }
            }
        }
        let composition = Composition { root, parts };
        let all = interface.imports.iter().filter(|import| !is_offered(import)).count();
        if composition.len() > MAX_PARTS || all > MAX_DEPENDENCIES {
            let (import, exports) = (name.to_string(), interface.exports.clone());
            return Err(DispatchError::Unmet { import, why: Unmet::TooMany, exports });
        }
        Ok((suppliers, composition))
    }

    /// An export of a version of a module that is not served now.
    async fn of_version(
        &self,
        module: &ModuleName,
        digest: Digest,
        import: &str,
    ) -> Result<Result<Found, Unmet>, DispatchError> {
        let (database, name) = (self.inner.database.clone(), module.clone());
        let look = move || Ok((database.versions(&name)?, composition_of(&database, &digest)?));
        let (versions, composition) = blocking(look).await?;
        let mut standing = None;
        // The same bytes may have been sent several times, with a signature and without.
        for version in versions.into_iter().filter(|version| version.digest == digest) {
            if !matches!(standing, Some(Standing::Signed(_))) {
                standing = Some(self.stored_standing(digest, version.signature).await?);
            }
        }
        let Some(standing) = standing else {
            return Ok(Err(Unmet::OtherComponent { module: module.clone(), digest }));
        };
        self.admit(module, &standing)?;
        let is_signed = matches!(standing, Standing::Signed(_));
        let interface = self.inner.sandbox.describe(&digest).await?;
        Ok(match export_for(&interface, import) {
            Some(export) => {
                Ok(Found { module: module.clone(), digest, export: export.to_owned(), is_signed, composition })
            }
            None => Err(Unmet::NotExported { module: module.clone(), near: others(&interface, import) }),
        })
    }
}

fn composition_of(database: &Database, digest: &Digest) -> Result<Option<Composition>, DispatchError> {
    Ok(database.composition(digest)?)
}

/// The one module that exports what `name` imports.
fn found(name: &ModuleName, import: &str, catalogue: &Catalogue, also: &[Module]) -> Result<Found, Unmet> {
    let modules = || {
        let known =
            catalogue.modules().map(|module| &**module).filter(|module| also.iter().all(|a| a.name != module.name));
        known.chain(also).filter(|module| module.name != *name)
    };
    let mut exporting: Vec<_> = modules().filter(|module| export_for(&module.interface, import).is_some()).collect();
    exporting.sort_by(|one, other| one.name.cmp(&other.name));
    match &exporting[..] {
        [] => {
            let near = modules().flat_map(|module| {
                others(&module.interface, import)
                    .into_iter()
                    .map(|export| format!("{export} of module {}", module.name))
            });
            let why = fumehood_capabilities::support(import).1.trim_start_matches("not offered").to_owned();
            Err(Unmet::Missing { why, near: near.take(3).collect() })
        }
        [one] => exported(one, import),
        many => {
            let modules = many.iter().take(5).map(|module| module.name.to_string()).collect();
            Err(Unmet::Ambiguous { import: shown(import), modules })
        }
    }
}

fn served<'a>(name: &ModuleName, catalogue: &'a Catalogue, also: &'a [Module]) -> Option<&'a Module> {
    let also = also.iter().find(|module| module.name == *name);
    also.or_else(|| catalogue.module(name.as_str()).map(|module| &**module))
}

fn exported(module: &Module, import: &str) -> Result<Found, Unmet> {
    let name = || module.name.clone();
    let Some(export) = export_for(&module.interface, import) else {
        return Err(Unmet::NotExported { module: name(), near: others(&module.interface, import) });
    };
    let (digest, composition) = (module.digest, module.composition.clone());
    let is_signed = matches!(module.standing, Standing::Signed(_));
    Ok(Found { module: name(), digest, export: export.to_owned(), is_signed, composition })
}

/// What of the exports will do for an import: the interface itself, or else a later version that is compatible.
#[must_use]
pub fn export_for<'a>(interface: &'a Interface, import: &str) -> Option<&'a str> {
    let exact = interface.exports.iter().find(|export| *export == import);
    exact.or_else(|| interface.exports.iter().find(|export| is_compatible(export, import))).map(String::as_str)
}

/// Other versions of the same interface.
fn others(interface: &Interface, import: &str) -> Vec<String> {
    let bare = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    let same = interface.exports.iter().filter(|export| bare(export) == bare(import));
    same.take(3).map(|export| shown(export)).collect()
}

/// Whether an export is of the same interface, in a version that promises to do what the import wants: that of the same
/// number before the first dot, or the second if the first is nought, and not an earlier one.
fn is_compatible(export: &str, import: &str) -> bool {
    let (Some((of, given)), Some((interface, wanted))) = (export.split_once('@'), import.split_once('@')) else {
        return false;
    };
    let numbers = |version: &str| -> Option<[u64; 3]> {
        let mut numbers = version.split('.').map(|number| number.parse().ok());
        let read = [numbers.next()??, numbers.next()??, numbers.next()??];
        numbers.next().is_none().then_some(read)
    };
    let (Some(given), Some(wanted)) = (numbers(given), numbers(wanted)) else { return false };
    let promises = if wanted[0] > 0 { given[0] == wanted[0] } else { given[..2] == wanted[..2] };
    of == interface && promises && given >= wanted
}

/// The names in which files wait for each other in a circle, of `waiting`: their names, what each needs first, and what each exports.
pub(crate) fn circle(waiting: &[(String, String, Vec<String>)], from: usize) -> Option<Vec<String>> {
    let next = |at: usize| {
        let needs = &waiting[at].1;
        waiting
            .iter()
            .position(|(_, _, exports)| exports.iter().any(|export| export == needs || is_compatible(export, needs)))
    };
    let mut path = vec![from];
    while let Some(at) = next(*path.last()?) {
        if let Some(begins) = path.iter().position(|passed| *passed == at) {
            let round = path[begins..].iter().chain([&at]);
            return Some(round.map(|at| waiting[*at].0.clone()).collect());
        }
        path.push(at);
    }
    None
}

/// Whether an error is that of something which may be there later.
pub(crate) fn may_be_met(error: &DispatchError) -> bool {
    matches!(error, DispatchError::Unmet { .. } | DispatchError::Sandbox(SandboxError::NotComposed { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_version_will_do_where_versions_promise_that() {
        for (export, import, will_do) in [
            ("a:b/c@1.2.0", "a:b/c@1.0.0", true),
            ("a:b/c@1.0.0", "a:b/c@1.2.0", false),
            ("a:b/c@2.0.0", "a:b/c@1.0.0", false),
            ("a:b/c@0.2.6", "a:b/c@0.2.0", true),
            ("a:b/c@0.3.0", "a:b/c@0.2.0", false),
            ("a:b/d@1.2.0", "a:b/c@1.0.0", false),
            ("a:b/c", "a:b/c@1.0.0", false),
            ("a:b/c@1.0.0-rc1", "a:b/c@1.0.0", false),
            ("a:b/c@1.0.0.0", "a:b/c@1.0.0", false),
        ] {
            assert_eq!(is_compatible(export, import), will_do, "{export} for {import}");
        }
    }

    #[test]
    fn files_that_wait_for_each_other_are_named_and_others_are_not() {
        let file =
            |name: &str, needs: &str, exports: &str| (name.to_owned(), needs.to_owned(), vec![exports.to_owned()]);
        let waiting = [file("a", "y", "x"), file("b", "x", "y"), file("c", "x", "z"), file("d", "nothing", "w")];

        assert_eq!(circle(&waiting, 0).unwrap(), ["a", "b", "a"]);
        assert_eq!(circle(&waiting, 2).unwrap(), ["a", "b", "a"]);
        assert_eq!(circle(&waiting, 3), None);
    }
}
