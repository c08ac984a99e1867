use std::{collections::HashMap, sync::PoisonError};

use fumehood_policy::OnChangedDefinitions;
use fumehood_registry::{Module, Origin, Problem};
use fumehood_store::ModuleRow;

use crate::{
    DispatchError, Dispatcher,
    dispatcher::blocking,
    files::Reading,
    install::{SENT, manifest},
};

impl Dispatcher {
    /// Say what cannot be served because it is not here, before [`Dispatcher::load`] tells it with the rest.
    pub fn lacks(&self, missing: Vec<Problem>) {
        *self.inner.missing.lock().unwrap_or_else(PoisonError::into_inner) = missing;
    }

    /// Load everything that is stored and everything in the folders of APIs, in place of what was loaded before.
    ///
    /// A component that cannot be served is reported in the catalogue and the log; the others are served. Nothing is
    /// compiled: the first call of a component does that, or finds it in the cache.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn load(&self) -> Result<(), DispatchError> {
        let turn = self.inner.installing.lock().await;
        let database = self.inner.database.clone();
        let rows = blocking(move || Ok(database.modules()?)).await?;
        let mut problems = self.inner.missing.lock().unwrap_or_else(PoisonError::into_inner).clone();

        self.load_grants().await?;
        self.start_writing();
        let mut waiting = HashMap::new();
        let mut modules = Vec::with_capacity(rows.len());
        for row in rows {
            match self.waiting_version(&row).await {
                Ok(Some(module)) => drop(waiting.insert(row.name.clone(), module)),
                Ok(None) => {}
                Err(error) => {
                    let path = format!("module {}, the version that waits", row.name).into();
                    problems.push(Problem { path, reason: describe(&error) });
                }
            }
            match self.stored(row.clone()).await {
                Ok(module) => modules.push(module),
                Err(error) => {
                    problems.push(Problem { path: format!("module {}", row.name).into(), reason: describe(&error) });
                }
            }
        }
        *self.inner.permissions.waiting() = waiting;
        for Problem { path, reason } in &problems {
            // Whoever names files writes no lines into the log.
            let shown = path.to_string_lossy().escape_debug().to_string();
            tracing::warn!(path = shown, "{shown} is not served: {reason}");
        }
        modules.iter().for_each(|module| self.tell_of_missing(module));
        self.inner.registry.replace_uploads(modules, problems);
        drop(turn);
        self.read_files(Reading::First).await?;
        // What files were put together from is another component when what they need has changed.
        if !self.inner.config.read_only {
            let database = self.inner.database.clone();
            for digest in blocking(move || Ok(database.composed()?)).await? {
                self.forget_unused(digest).await;
            }
        }
        let catalogue = self.inner.registry.snapshot();
        let (modules, tools) = (catalogue.modules().len(), catalogue.tools().len());
        let problems = catalogue.problems().count();
        tracing::info!(modules, tools, problems, "Loaded {modules} modules with {tools} tools");
        self.follow_files().await;
        self.start_prompts().await;
        self.inner.ready.send_replace(true);
        Ok(())
    }

    /// The module of a stored row.
    pub(crate) async fn stored(&self, row: ModuleRow) -> Result<Module, DispatchError> {
        let standing = self.stored_standing(row.digest, row.signature).await?;
        self.admit(&row.name, &standing)?;
        let interface = self.inner.sandbox.describe(&row.digest).await?;
        self.inner.config.trust.admit_beside(row.manifest.as_deref(), interface.manifest.as_deref())?;
        let origin = Origin::Upload { by: row.installed_by, at: row.installed_at };
        let manifest = manifest(SENT, row.manifest.as_deref(), interface.manifest.as_deref())?;
        let module = Module::new(row.name, row.digest, row.size_bytes, origin, interface, manifest)?;
        let module = self.with_composition(module.of_standing(standing)).await?;
        let cares = self.inner.config.on_changed_definitions != OnChangedDefinitions::Serve;
        Ok(module.compared_with(row.defined_before.as_ref().filter(|_| cares)))
    }

    /// The version of a stored module that waits to be reviewed.
    async fn waiting_version(&self, row: &ModuleRow) -> Result<Option<Module>, DispatchError> {
        let Some(pending) = row.pending.clone() else { return Ok(None) };
        let row = ModuleRow {
            name: row.name.clone(),
            digest: pending.digest,
            size_bytes: pending.size_bytes,
            installed_by: pending.by,
            installed_at: pending.at,
            manifest: pending.manifest,
            signature: pending.signature,
            asked_before: None,
            defined_before: None,
            pending: None,
            is_pinned: row.is_pinned,
        };
        self.stored(row).await.map(Some)
    }
}

/// The error with its causes: this is for the operator, who can act on them.
pub(crate) fn describe(error: &DispatchError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
