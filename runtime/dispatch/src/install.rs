use bytes::Bytes;
use fumehood_model::{Digest, ModuleName, Principal, Standing, Timestamp};
use fumehood_policy::{Action, OnChangedDefinitions, OnNewPermissions};
use fumehood_registry::{AdmitError, Manifest, Module, Origin};
use fumehood_scheduler::Kind;
use fumehood_store::{ModuleRow, PendingRow};
use fumehood_value::Interface;
use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use crate::{
    Changed, DispatchError, Dispatcher,
    compose::Whole,
    dispatcher::{blocking, whole},
    error::shown,
    permissions::{Redefined, asked_by},
    pin::Pin,
    signatures::{signed, together},
};

/// What a manifest that came with an upload is called.
pub(crate) const SENT: &str = "tool.toml";

/// What a manifest inside a component is called.
const INSIDE: &str = "tool.toml (in the component)";

/// How often is looked whether calls still use a version that was replaced: at first, and at last.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LAST_LOOK: Duration = Duration::from_secs(5);

/// Whether an install may replace a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// It may.
    Allowed,
    /// Only a new name is accepted.
    Refused,
}

/// What is sent to become a module.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The component.
    pub component: Bytes,
    /// The `tool.toml`, if it came beside the component.
    pub manifest: Option<String>,
    /// The signature of the component, as `cosign sign-blob` writes it, if it came along.
    pub signature: Option<String>,
}

/// What became of an upload.
#[derive(Debug)]
pub enum Installed {
    /// It is served.
    Served {
        /// The module.
        module: Arc<Module>,
        /// Whether its name was new.
        created: bool,
        /// What it asks for beyond the version before it and beyond what is granted.
        changed: Changed,
    },
    /// It asks for more than the served version, and waits to be reviewed.
    Held {
        /// What it asks for beyond the version that is served.
        changed: Changed,
    },
    /// The module is pinned: it is a version of it, and another one is served.
    Kept {
        /// Its number.
        version: u64,
    },
}

/// What is stored and about to become a module.
pub(crate) struct Kept {
    pub(crate) size_bytes: u64,
    pub(crate) manifest: Option<String>,
    pub(crate) signature: Option<String>,
    /// What that is worth.
    pub(crate) standing: Standing,
    pub(crate) digest: Digest,
    /// Name of the key that sent it.
    pub(crate) by: String,
    /// When.
    pub(crate) at: Timestamp,
}

/// Why it is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// It was sent.
    Sent(Overwrite),
    /// Somebody has chosen it who may install.
    Promoted,
    /// Likewise, and it was served before: what holds back others has been looked at.
    Again,
    /// Likewise, because it was served before the one that is.
    Back,
}

/// What a reviewer has to look at, in a few words.
fn told(changed: &Changed) -> String {
    let asks = (!changed.added.is_empty()).then(|| "asks for more".to_owned());
    let says = (!changed.redefined.is_empty()).then(|| {
        let redefined: Vec<_> = changed.redefined.iter().take(10).map(|redefined| shown(&redefined.name)).collect();
        format!("says something else of {}", redefined.join(", "))
    });
    asks.into_iter().chain(says).collect::<Vec<_>>().join(" and ")
}

impl Dispatcher {
    /// Whether `principal` may install modules here: to be asked before a large upload is read.
    ///
    /// # Errors
    ///
    /// When it may not.
    pub fn may_install(&self, principal: &Principal) -> Result<(), DispatchError> {
        Action::Install.check(principal)?;
        self.check_writable()
    }

    /// Install what is uploaded as the module `name`.
    ///
    /// It is read, compiled and linked first: what can be installed can be called at once. Calls that run on the module
    /// that it replaces finish on it. Nothing that it asks for is granted; grants of the version that it replaces stay,
    /// and a name that nothing has starts without any.
    ///
    /// # Errors
    ///
    /// When `principal` may not, the name is taken by a file, or the component cannot be served. Then everything is as
    /// it was.
    pub async fn install(
        &self,
        principal: &Principal,
        name: ModuleName,
        upload: Upload,
        overwrite: Overwrite,
    ) -> Result<Installed, DispatchError> {
        self.may_install(principal)?;
        let Upload { component: bytes, manifest, signature } = upload;
        if let Some(text) = &manifest {
            // Before the component costs anything.
            Manifest::parse(SENT, text).map_err(AdmitError::from)?;
        }
        let size_bytes = bytes.len() as u64;
        if size_bytes > self.inner.config.max_component.0 {
            return Err(DispatchError::ComponentTooLarge {
                size: size_bytes,
                allowed: self.inner.config.max_component,
            });
        }
        self.check_name(&name, overwrite)?;
        let place = self.inner.uploads.enter(&principal.key, Kind::Call).await?;
        let (this, principal) = (self.clone(), principal.clone());
        whole(async move {
            let _place = place;
            this.install_now(&principal, name, Upload { component: bytes, manifest, signature }, overwrite).await
        })
        .await
    }

    async fn install_now(
        &self,
        principal: &Principal,
        name: ModuleName,
        upload: Upload,
        overwrite: Overwrite,
    ) -> Result<Installed, DispatchError> {
        let Upload { component: bytes, manifest, signature } = upload;
        let size_bytes = bytes.len() as u64;
        // Before anything of it is kept or read.
        let standing = self.standing(bytes.clone(), signature.clone()).await?;
        self.admit(&name, &standing)?;
        let pin = self.keep(bytes).await?;
        let sent = pin.digest;
        let says = |interface: &Interface| {
            let held = interface.manifest.as_deref();
            self.inner.config.trust.admit_beside(manifest.as_deref(), held)?;
            Ok(self::manifest(SENT, manifest.as_deref(), held)?)
        };
        let whole = self.whole(&name, pin, size_bytes, says, &[]).await;
        let Whole { pin, size_bytes, composition, .. } = match whole {
            Ok(whole) => whole,
            Err(error) => {
                self.forget_unused(sent).await;
                return Err(error);
            }
        };
        let digest = pin.digest;
        if digest != sent {
            self.forget_unused(sent).await;
        }
        let standing = together(standing, composition.as_ref());
        if let Err(error) = self.admit(&name, &standing) {
            drop(pin);
            self.forget_unused(digest).await;
            return Err(error);
        }
        let (by, at) = (principal.name.to_string(), Timestamp::now());
        let kept = Kept { size_bytes, manifest, signature, standing, digest, by, at };
        let installed = self.install_kept(principal, &name, kept, Wanted::Sent(overwrite)).await;
        drop(pin);
        if installed.is_err() {
            self.forget_unused(digest).await;
        }
        installed
    }

    pub(crate) async fn install_kept(
        &self,
        principal: &Principal,
        name: &ModuleName,
        kept: Kept,
        wanted: Wanted,
    ) -> Result<Installed, DispatchError> {
        let Kept { size_bytes, digest, at, .. } = kept;
        let origin = Origin::Upload { by: kept.by.clone(), at };
        let module = self.prepare(name.clone(), digest, size_bytes, origin, kept.manifest.as_deref()).await?;
        let module = module.of_standing(kept.standing.clone());
        let _turn = self.inner.installing.lock().await;
        // Another upload may have taken the name while this one was compiled.
        self.check_name(name, if let Wanted::Sent(overwrite) = wanted { overwrite } else { Overwrite::Allowed })?;
        let before = self.stored_row(name).await?;
        let is_pinned = before.as_ref().is_some_and(|row| row.is_pinned);
        let is_same = before.as_ref().is_some_and(|row| row.digest == digest && row.manifest == kept.manifest);
        if is_pinned && !is_same && matches!(wanted, Wanted::Sent(_)) {
            return self.keep_version(principal, name, kept).await;
        }
        let Kept { manifest, mut signature, by, .. } = kept;
        let mut module = module;
        if let (true, None, Some(before)) = (is_same, &signature, &before)
            && before.signature.is_some()
        {
            // What is sent again without its signature is still what was signed.
            signature.clone_from(&before.signature);
            module = module.of_standing(self.stored_standing(digest, signature.clone()).await?);
        }
        let serving = self.inner.registry.current().module(name.as_str()).cloned();
        let is_known = before.is_some() || serving.is_some();
        if !is_known {
            self.start_afresh(name).await?;
        }
        let base = before.as_ref().and_then(|row| row.asked_before.clone());
        let base = base.or_else(|| is_known.then(|| asked_by(serving.as_deref(), before.as_ref())));
        let mut changed =
            base.as_ref().map(|base| Changed::between(base, &module.manifest.permissions)).unwrap_or_default();
        changed.added = self.ungranted(name, &changed.added);
        let config = &self.inner.config;
        let defined = before.as_ref().and_then(|row| row.defined_before.clone());
        let defined = defined.or_else(|| serving.as_deref().map(Module::definitions));
        let defined = defined.filter(|_| config.on_changed_definitions != OnChangedDefinitions::Serve);
        let redefined = defined.as_ref().map(|defined| Redefined::all(&module, defined, serving.as_deref()));
        changed.redefined = redefined.unwrap_or_default();
        let holds = !matches!(wanted, Wanted::Again | Wanted::Back)
            && (config.on_new_permissions == OnNewPermissions::Hold && !changed.added.is_empty()
                || config.on_changed_definitions == OnChangedDefinitions::Hold && !changed.redefined.is_empty());
        if let Some(row) = before.clone().filter(|_| holds) {
            let pending = Some(PendingRow { digest, size_bytes, manifest, signature, by, at });
            self.put_row(ModuleRow { pending, ..row }).await?;
            self.inner.permissions.waiting().insert(name.clone(), module);
            tracing::info!(
                module.name = %name, component.digest = %digest, key.id = %principal.key,
                "A version of module {name} that {} waits to be reviewed: fumehood review {name}", told(&changed)
            );
            self.prune_versions(name).await;
            return Ok(Installed::Held { changed });
        }
        let row = ModuleRow {
            name: name.clone(),
            digest,
            size_bytes,
            installed_by: by,
            installed_at: at,
            manifest,
            signature,
            is_pinned,
            asked_before: base.filter(|_| !changed.added.is_empty()),
            // What was reviewed once stays known, also when a version leaves it out: the next may bring it back changed.
            defined_before: defined.map(|mut defined| {
                for (name, definition) in module.definitions() {
                    defined.entry(name).or_insert(definition);
                }
                defined
            }),
            pending: None,
        };
        let module = module.compared_with(row.defined_before.as_ref());
        if wanted == Wanted::Back || is_same {
            self.put_row(row).await?;
        } else {
            let (database, before) = (self.inner.database.clone(), before.clone());
            blocking(move || Ok(database.put_module_anew(&row, before.as_ref())?)).await?;
        }
        if !changed.redefined.is_empty() {
            tracing::warn!(
                module.name = %name, component.digest = %digest, key.id = %principal.key,
                "The new version of module {name} {}, and is served: fumehood review {name}", told(&changed)
            );
        }
        self.inner.permissions.waiting().remove(name);
        let how = if matches!(wanted, Wanted::Sent(_)) { "installed" } else { "put back to another version" };
        let signed = signed(&module.standing);
        tracing::info!(
            module.name = %name, component.digest = %digest, key.id = %principal.key,
            "Module {name} {how} by {}{signed}", principal.name
        );
        self.tell_of_missing(&module);
        let old = self.inner.registry.insert(module);
        let created = old.is_none();
        self.let_go(old);
        self.prune_versions(name).await;
        let module = self.inner.registry.current().module(name.as_str()).cloned();
        module.map(|module| Installed::Served { module, created, changed }).ok_or(DispatchError::Lost)
    }

    /// Remove the uploaded module `name` with its grants, what it has used and what it keeps. Calls that run on it finish.
    ///
    /// # Errors
    ///
    /// When `principal` may not, there is no such module, or it comes from a file.
    pub async fn remove(&self, principal: &Principal, name: &str) -> Result<(), DispatchError> {
        Action::Remove.check(principal)?;
        self.check_writable()?;
        let (this, principal, name) = (self.clone(), principal.clone(), name.to_owned());
        whole(async move { this.remove_now(&principal, &name).await }).await
    }

    async fn remove_now(&self, principal: &Principal, name: &str) -> Result<(), DispatchError> {
        // Looked up in our turn: until then another version may take its place.
        let _turn = self.inner.installing.lock().await;
        let module = self.module(principal, name)?;
        if let Origin::File { path } = &module.origin {
            let path = path.display().to_string();
            return Err(DispatchError::TakenByFile { module: module.name.clone(), path });
        }
        let (database, row) = (self.inner.database.clone(), module.name.clone());
        let removing = move || {
            let versions = database.versions(&row)?;
            Ok((versions, database.remove_module(&row)?))
        };
        let (versions, removed) = blocking(removing).await?;
        let old = self.inner.registry.remove(name);
        self.inner.permissions.forget(&module.name);
        self.load_grants().await?;
        if !removed {
            return Err(DispatchError::NotFound { what: "module", name: shown(name), near: Vec::new() });
        }
        tracing::info!(module.name = %module.name, key.id = %principal.key, "Module {name} removed by {}", principal.name);
        drop(module);
        self.let_go(old);
        for version in versions {
            self.forget_unused(version.digest).await;
        }
        Ok(())
    }

    /// Store the bytes of a component, and keep anybody from letting go of them until what is returned is dropped.
    pub(crate) async fn keep(&self, bytes: Bytes) -> Result<Pin, DispatchError> {
        let hashed = bytes.clone();
        let digest = blocking(move || Ok(Digest::of(&hashed))).await?;
        let pin = self.pin(digest).await;
        let blobs = self.inner.blobs.clone();
        blocking(move || Ok(blobs.put(&digest, &bytes)?)).await?;
        Ok(pin)
    }

    /// Keep anybody from letting go of a component until what is returned is dropped.
    pub(crate) async fn pin(&self, digest: Digest) -> Pin {
        let _turn = self.inner.letting_go.lock().await;
        self.inner.pinned.pin(digest)
    }

    /// Describe, compile and link a stored component.
    async fn prepare(
        &self,
        name: ModuleName,
        digest: Digest,
        size: u64,
        origin: Origin,
        sent: Option<&str>,
    ) -> Result<Module, DispatchError> {
        let interface = self.inner.sandbox.describe(&digest).await?;
        self.inner.config.trust.admit_beside(sent, interface.manifest.as_deref())?;
        let manifest = manifest(SENT, sent, interface.manifest.as_deref())?;
        let module = Module::new(name, digest, size, origin, interface, manifest)?;
        self.inner.sandbox.load(&digest).await?;
        self.with_composition(module).await
    }

    /// The module, and what is known of what its component was made of.
    pub(crate) async fn with_composition(&self, module: Module) -> Result<Module, DispatchError> {
        let (database, digest) = (self.inner.database.clone(), module.digest);
        Ok(module.made_of(blocking(move || Ok(database.composition(&digest)?)).await?))
    }

    fn check_name(&self, name: &ModuleName, overwrite: Overwrite) -> Result<(), DispatchError> {
        let catalogue = self.inner.registry.current();
        let Some(existing) = catalogue.module(name.as_str()) else { return Ok(()) };
        if let Origin::File { path } = &existing.origin {
            return Err(DispatchError::TakenByFile { module: name.clone(), path: path.display().to_string() });
        }
        match overwrite {
            Overwrite::Allowed => Ok(()),
            Overwrite::Refused => Err(DispatchError::Exists { module: name.clone() }),
        }
    }

    pub(crate) fn check_writable(&self) -> Result<(), DispatchError> {
        if self.inner.config.read_only { Err(DispatchError::ReadOnly) } else { Ok(()) }
    }

    /// Let go of what a module needs when the last call that has found it is over.
    pub(crate) fn let_go(&self, old: Option<Arc<Module>>) {
        let Some(old) = old else { return };
        let this = self.clone();
        tokio::spawn(async move {
            let mut pause = FIRST_LOOK;
            while is_held(&old) {
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(LAST_LOOK);
            }
            let digest = old.digest;
            drop(old);
            this.forget_unused(digest).await;
        });
    }

    /// Let go of a component that is no version of any module and for which no job waits. The calls that run on it hold what they need.
    pub(crate) async fn forget_unused(&self, digest: Digest) {
        // What lies there may be of use to the process that owns the data directory.
        if self.inner.config.read_only {
            return;
        }
        let turn = self.inner.letting_go.lock().await;
        if self.inner.pinned.holds(&digest) {
            return;
        }
        let waits = self.inner.permissions.waiting().values().any(|waiting| waiting.digest == digest);
        if waits || self.inner.registry.current().modules().any(|module| module.digest == digest) {
            return;
        }
        let database = self.inner.database.clone();
        if blocking(move || Ok(database.is_version(&digest)? || database.is_root(&digest)?)).await.unwrap_or(true) {
            return;
        }
        if let Some(queue) = &self.inner.queue {
            // Whether jobs need it is looked at again later, and so is what cannot be told now.
            if queue.store.is_needed(digest).await.unwrap_or(true) {
                queue.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(digest);
                return;
            }
        }
        let (sandbox, blobs) = (self.inner.sandbox.clone(), self.inner.blobs.clone());
        let database = self.inner.database.clone();
        let forget = move || {
            sandbox.forget(&digest);
            let root = database.composition(&digest)?.map(|composition| composition.root);
            database.forget_composition(&digest)?;
            blobs.remove(&digest)?;
            Ok(root)
        };
        match blocking(forget).await {
            Ok(None) => {}
            Ok(Some(root)) => {
                drop(turn);
                Box::pin(self.forget_unused(root)).await;
            }
            Err(error) => {
                tracing::warn!(component.digest = %digest, %error, "An unused component could not be removed");
            }
        }
    }
}

/// Whether anybody but us still has a module that the catalogue has no more, or one of its tools.
fn is_held(module: &Arc<Module>) -> bool {
    Arc::strong_count(module) > 1 || module.tools.iter().any(|tool| Arc::strong_count(tool) > 1)
}

/// The manifest that came beside the component, or else the one inside it, or else nothing.
pub(crate) fn manifest(file: &str, sent: Option<&str>, inside: Option<&str>) -> Result<Manifest, AdmitError> {
    Ok(match (sent, inside) {
        (Some(text), _) => Manifest::parse(file, text)?,
        (None, Some(text)) => Manifest::parse(INSIDE, text)?,
        (None, None) => Manifest::default(),
    })
}
