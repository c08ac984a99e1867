//! What of a component can be served here, and why not the rest: for its author, before anything is installed.

use std::path::PathBuf;

use fumehood_capabilities::{Support, support};
use fumehood_model::{Code, Composition, ModuleName, Principal, Standing};
use fumehood_registry::{Manifest, Module, Origin};
use fumehood_sandbox::is_offered;
use fumehood_scheduler::Kind;
use fumehood_value::Interface;

use crate::{
    DispatchError, Dispatcher, Upload,
    compose::Whole,
    dispatcher::whole,
    install::{self, SENT},
    pin::Pin,
};

/// How much of something can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// Nothing.
    None,
    /// A part.
    Partial,
    /// All of it.
    Full,
}

/// A function or an import, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitting {
    /// Its name.
    pub name: String,
    /// How much of it can be used.
    pub fit: Fit,
    /// Why, in a sentence.
    pub why: String,
}

/// What of a component can be served here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compatibility {
    /// All in all.
    pub fit: Fit,
    /// Its exports.
    pub functions: Vec<Fitting>,
    /// What it needs.
    pub imports: Vec<Fitting>,
}

/// A component that was looked at and is not kept.
#[derive(Debug)]
pub struct Inspected {
    /// What of it can be served.
    pub compatibility: Compatibility,
    /// What it would be as a module, or why it cannot be one.
    pub module: Result<Module, String>,
    /// What is known of its signature.
    pub standing: Standing,
}

impl Compatibility {
    /// That of a component with this interface.
    #[must_use]
    pub fn of(interface: &Interface) -> Self {
        let imports: Vec<_> = interface.imports.iter().map(|name| imported(name)).collect();
        let worst = imports.iter().map(|import| import.fit).min().unwrap_or(Fit::Full);
        let named = |fit: Fit| {
            let names: Vec<_> = imports.iter().filter(|import| import.fit == fit).map(|import| &*import.name).collect();
            names.join(", ")
        };
        let why = match worst {
            Fit::Full => "served".to_owned(),
            Fit::Partial => format!("served; what of it uses {} fails", named(Fit::Partial)),
            Fit::None => format!("not served: the component needs {}", named(Fit::None)),
        };
        let served = interface.functions.iter().filter(|function| !function.is_self_description());
        let served = served.map(|function| Fitting { name: function.name.clone(), fit: worst, why: why.clone() });
        let rejected = interface.rejected.iter();
        let rejected =
            rejected.map(|export| Fitting { name: export.export.clone(), fit: Fit::None, why: export.reason.clone() });
        let functions: Vec<_> = served.chain(rejected).collect();
        let best = functions.iter().map(|function| function.fit).max();
        // One that describes its tools itself may have no function beside that.
        let describes = interface.functions.iter().any(fumehood_value::Function::is_self_description);
        let fit = match best {
            _ if worst == Fit::None => Fit::None,
            None | Some(Fit::None) if !describes => Fit::None,
            _ if functions.iter().all(|function| function.fit == Fit::Full) => worst,
            _ => Fit::Partial,
        };
        Self { fit, functions, imports }
    }
}

impl Compatibility {
    /// The same, where `composition` is what else is needed, and `whole` what the component is with that.
    fn with(self, composition: &Composition, whole: &Interface) -> Self {
        let met = composition.parts.iter().flat_map(|part| {
            part.imports.iter().map(|import| Fitting {
                name: import.clone(),
                fit: Fit::Full,
                why: format!("taken from module {} ({})", part.module, part.digest),
            })
        });
        let mut whole = Self::of(whole);
        whole.imports.splice(0..0, met);
        whole
    }
}

impl Compatibility {
    /// That of a component by itself, whose manifest says from which modules it takes what no host offers.
    #[must_use]
    pub fn of_file(interface: &Interface, manifest: &Manifest) -> Self {
        let taken = |name: &&String| !is_offered(name) && manifest.dependency(name).is_some();
        let rest = interface.imports.iter().filter(|name| !taken(name)).cloned().collect();
        let mut whole = Self::of(&Interface { imports: rest, ..interface.clone() });
        let met = interface.imports.iter().filter(taken).filter_map(|name| {
            let module = &manifest.dependency(name)?.module;
            Some(Fitting { name: name.clone(), fit: Fit::Full, why: format!("to be taken from module {module}") })
        });
        whole.imports.splice(0..0, met);
        whole
    }
}

fn imported(name: &str) -> Fitting {
    let (support, why) = support(name);
    let fit = match support {
        Support::Full => Fit::Full,
        Support::Refused => Fit::Partial,
        Support::Missing => Fit::None,
    };
    Fitting { name: name.to_owned(), fit, why }
}

impl Dispatcher {
    /// Look at a component as an upload of it would be looked at, and keep nothing of it. What its author sends beside it is
    /// checked too. It is not compiled, unless it must be asked for its tools.
    ///
    /// # Errors
    ///
    /// When `principal` may not install, too many are looked at, or the bytes are no component.
    pub async fn inspect(&self, principal: &Principal, upload: Upload) -> Result<Inspected, DispatchError> {
        self.may_install(principal)?;
        let Upload { component: bytes, manifest, signature } = upload;
        let (size, allowed) = (bytes.len() as u64, self.inner.config.max_component);
        if size > allowed.0 {
            return Err(DispatchError::ComponentTooLarge { size, allowed });
        }
        let place = self.inner.uploads.enter(&principal.key, Kind::Call).await?;
        let this = self.clone();
        whole(async move {
            let _place = place;
            let standing = this.standing(bytes.clone(), signature).await?;
            // A component that describes its own tools is run to be looked at.
            this.inner.config.trust.admit(&standing)?;
            let pin = this.keep(bytes).await?;
            let digest = pin.digest;
            let seen = this.look_at(pin, size, manifest.as_deref()).await;
            let seen = seen.map(|seen| Inspected { standing, ..seen });
            this.forget_unused(digest).await;
            seen
        })
        .await
    }

    async fn look_at(&self, pin: Pin, size: u64, sent: Option<&str>) -> Result<Inspected, DispatchError> {
        let digest = pin.digest;
        let interface = self.inner.sandbox.describe(&digest).await?;
        let mut compatibility = Compatibility::of(&interface);
        let name: ModuleName = "component".parse().map_err(|_| DispatchError::Lost)?;
        let manifest = match install::manifest(SENT, sent, interface.manifest.as_deref()) {
            Ok(manifest) => manifest,
            Err(error) => {
                let (module, standing) = (Err(error.to_string()), Standing::Unchecked);
                return Ok(Inspected { compatibility, module, standing });
            }
        };
        if let Err(error) = self.inner.config.trust.admit_beside(sent, interface.manifest.as_deref()) {
            let (module, standing) = (Err(error.to_string()), Standing::Unchecked);
            return Ok(Inspected { compatibility, module, standing });
        }
        let said = manifest.clone();
        // Whatever it is called in the end: an interface that it both needs and exports may be its own then.
        let whole = match self.whole(&name, pin, size, |_| Ok(said), &[]).await {
            Ok(whole) => whole,
            Err(error) => {
                if error.code() != Code::InvalidComponent {
                    return Err(error);
                }
                let (module, standing) = (Err(error.to_string()), Standing::Unchecked);
                return Ok(Inspected { compatibility, module, standing });
            }
        };
        let Whole { pin, size_bytes, interface, composition } = whole;
        if let Some(composition) = &composition {
            compatibility = compatibility.with(composition, &interface);
        }
        let origin = Origin::File { path: PathBuf::new() };
        let made = pin.digest;
        let module = Module::new(name, made, size_bytes, origin, interface, manifest);
        drop(pin);
        if made != digest {
            self.forget_unused(made).await;
        }
        let module = module.map(|module| module.made_of(composition)).map_err(|error| error.to_string());
        Ok(Inspected { compatibility, module, standing: Standing::Unchecked })
    }
}

#[cfg(test)]
mod tests {
    use fumehood_value::Rejected;

    use super::*;

    fn interface(imports: &[&str], rejected: bool) -> Interface {
        let mut interface =
            Interface { imports: imports.iter().map(|name| (*name).to_owned()).collect(), ..Interface::default() };
        if rejected {
            let (export, reason) = ("odd".to_owned(), "a stream has no JSON".to_owned());
            interface.rejected.push(Rejected { export, reason });
        }
        interface
    }

    #[test]
    fn what_is_missing_makes_all_of_it_useless_and_what_is_refused_a_part() {
        let of = |imports: &[&str]| Compatibility::of(&interface(imports, true));

        let report = of(&["wasi:io/streams@0.2.6", "acme:oracle/ask"]);
        assert_eq!((report.fit, report.imports[0].fit, report.imports[1].fit), (Fit::None, Fit::Full, Fit::None));
        assert_eq!((report.functions[0].fit, &*report.functions[0].why), (Fit::None, "a stream has no JSON"));
        assert_eq!(of(&["wasi:sockets/tcp@0.2.6"]).imports[0].fit, Fit::Partial);
        assert_eq!(of(&[]).fit, Fit::None, "nothing of it can be called");
    }
}
