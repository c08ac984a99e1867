use bytes::Bytes;
use fumehood_model::{Digest, ModuleName, Principal, Timestamp};
use fumehood_policy::Action;
use fumehood_registry::{Module, Origin};
use fumehood_store::ModuleRow;
use std::sync::Arc;

use crate::{DispatchError, Dispatcher, dispatcher::blocking, error::shown};

/// Whether an install may replace a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// It may.
    Allowed,
    /// Only a new name is accepted.
    Refused,
}

/// A module that was just installed.
#[derive(Debug)]
pub struct Installed {
    /// The module.
    pub module: Arc<Module>,
    /// Whether its name was new.
    pub created: bool,
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

    /// Install the component in `bytes` as the module `name`.
    ///
    /// It is read, compiled and linked first: what can be installed can be called at once. Calls that run on the module
    /// that it replaces finish on it.
    ///
    /// # Errors
    ///
    /// When `principal` may not, the name is taken by a file, or the component cannot be served. Then everything is as
    /// it was.
    pub async fn install(
        &self,
        principal: &Principal,
        name: ModuleName,
        bytes: Bytes,
        overwrite: Overwrite,
    ) -> Result<Installed, DispatchError> {
        self.may_install(principal)?;
        let size_bytes = bytes.len() as u64;
        if size_bytes > self.inner.config.max_component.0 {
            return Err(DispatchError::ComponentTooLarge {
                size: size_bytes,
                allowed: self.inner.config.max_component,
            });
        }
        self.check_name(&name, overwrite)?;
        let _place = self.inner.uploads.enter(&principal.key).await?;
        let digest = self.keep(bytes.clone()).await?;
        let at = Timestamp::now();
        let origin = Origin::Upload { by: principal.name.to_string(), at };
        let module = match self.prepare(name.clone(), digest, size_bytes, origin).await {
            Ok(module) => module,
            Err(error) => {
                self.forget_unused(digest).await;
                return Err(error);
            }
        };
        let _turn = self.inner.installing.lock().await;
        // Another upload may have taken the name while this one was compiled.
        self.check_name(&name, overwrite)?;
        // And another removal may have let go of the same bytes.
        self.keep(bytes).await?;
        let row = ModuleRow {
            name: name.clone(),
            digest,
            size_bytes,
            installed_by: principal.name.to_string(),
            installed_at: at,
        };
        let database = self.inner.database.clone();
        blocking(move || Ok(database.put_module(&row)?)).await?;
        let old = self.inner.registry.insert(module);
        tracing::info!(
            module.name = %name, component.digest = %digest, key.id = %principal.key, "Module {name} installed by {}", principal.name
        );
        let created = old.is_none();
        if let Some(old) = old {
            self.forget_unused(old.digest).await;
        }
        let module = self.inner.registry.current().module(name.as_str()).cloned();
        module.map(|module| Installed { module, created }).ok_or(DispatchError::Lost)
    }

    /// Remove the uploaded module `name`. Calls that run on it finish.
    ///
    /// # Errors
    ///
    /// When `principal` may not, there is no such module, or it comes from a file.
    pub async fn remove(&self, principal: &Principal, name: &str) -> Result<(), DispatchError> {
        Action::Remove.check(principal)?;
        self.check_writable()?;
        let module = self.module(principal, name)?;
        if let Origin::File { path } = &module.origin {
            let path = path.display().to_string();
            return Err(DispatchError::TakenByFile { module: module.name.clone(), path });
        }
        let _turn = self.inner.installing.lock().await;
        let (database, row) = (self.inner.database.clone(), module.name.clone());
        let removed = blocking(move || Ok(database.remove_module(&row)?)).await?;
        self.inner.registry.remove(name);
        if !removed {
            return Err(DispatchError::NotFound { what: "module", name: shown(name), near: Vec::new() });
        }
        tracing::info!(module.name = %module.name, key.id = %principal.key, "Module {name} removed by {}", principal.name);
        self.forget_unused(module.digest).await;
        Ok(())
    }

    async fn keep(&self, bytes: Bytes) -> Result<Digest, DispatchError> {
        let blobs = self.inner.blobs.clone();
        blocking(move || {
            let digest = Digest::of(&bytes);
            blobs.put(&digest, &bytes)?;
            Ok(digest)
        })
        .await
    }

    /// Describe, compile and link a stored component.
    async fn prepare(
        &self,
        name: ModuleName,
        digest: Digest,
        size: u64,
        origin: Origin,
    ) -> Result<Module, DispatchError> {
        let interface = self.inner.sandbox.describe(&digest).await?;
        let module = Module::new(name, digest, size, origin, interface)?;
        self.inner.sandbox.load(&digest).await?;
        Ok(module)
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

    /// Let go of a component that no module uses. The calls that run on it hold what they need.
    async fn forget_unused(&self, digest: Digest) {
        if self.inner.registry.current().modules().any(|module| module.digest == digest) {
            return;
        }
        let (sandbox, blobs) = (self.inner.sandbox.clone(), self.inner.blobs.clone());
        let forget = move || {
            sandbox.forget(&digest);
            Ok(blobs.remove(&digest)?)
        };
        if let Err(error) = blocking(forget).await {
            tracing::warn!(component.digest = %digest, %error, "An unused component could not be removed");
        }
    }
}
