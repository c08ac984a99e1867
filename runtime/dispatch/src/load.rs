use std::{collections::HashSet, fs, path::Path};

use fumehood_model::{Digest, ModuleName};
use fumehood_registry::{Found, Module, Origin, Problem, scan};
use fumehood_store::ModuleRow;

use crate::{DispatchError, Dispatcher, dispatcher::blocking};

impl Dispatcher {
    /// Load everything that is stored and everything in the folders of APIs, in place of what was loaded before.
    ///
    /// A component that cannot be served is reported in the catalogue and the log; the others are served. Nothing is
    /// compiled: the first call of a component does that, or finds it in the cache.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn load(&self) -> Result<(), DispatchError> {
        let _turn = self.inner.installing.lock().await;
        let database = self.inner.database.clone();
        let rows = blocking(move || Ok(database.modules()?)).await?;
        let folders = self.inner.config.apis_dirs.clone();
        let (found, mut problems) = blocking(move || Ok(scan(&folders))).await?;

        let mut modules = Vec::with_capacity(rows.len() + found.len());
        let mut taken = HashSet::new();
        for row in rows {
            taken.insert(row.name.clone());
            match self.stored(row.clone()).await {
                Ok(module) => modules.push(module),
                Err(error) => {
                    problems.push(Problem { path: format!("module {}", row.name).into(), reason: describe(&error) });
                }
            }
        }
        for Found { name, path } in found {
            if taken.contains(&name) {
                let reason =
                    format!("the name {name} is taken by an uploaded module: rename the file or remove the module");
                problems.push(Problem { path, reason });
                continue;
            }
            match self.file(name, &path).await {
                Ok(module) => modules.push(module),
                Err(error) => problems.push(Problem { path, reason: describe(&error) }),
            }
        }
        for Problem { path, reason } in &problems {
            tracing::warn!(path = %path.display(), "{} is not served: {reason}", path.display());
        }
        let tools: usize = modules.iter().map(|module| module.tools.len()).sum();
        tracing::info!(
            modules = modules.len(),
            tools,
            problems = problems.len(),
            "Loaded {} modules with {tools} tools",
            modules.len()
        );
        self.inner.registry.replace(modules, problems);
        self.inner.ready.send_replace(true);
        Ok(())
    }

    async fn stored(&self, row: ModuleRow) -> Result<Module, DispatchError> {
        let interface = self.inner.sandbox.describe(&row.digest).await?;
        let origin = Origin::Upload { by: row.installed_by, at: row.installed_at };
        Ok(Module::new(row.name, row.digest, row.size_bytes, origin, interface)?)
    }

    async fn file(&self, name: ModuleName, path: &Path) -> Result<Module, DispatchError> {
        let allowed = self.inner.config.max_component;
        let (blobs, file) = (self.inner.blobs.clone(), path.to_owned());
        let (digest, size) = blocking(move || {
            let cannot = |source| fumehood_store::StoreError::Io { doing: "read", path: file.clone(), source };
            let size = fs::metadata(&file).map_err(cannot)?.len();
            if size > allowed.0 {
                return Err(DispatchError::ComponentTooLarge { size, allowed });
            }
            let bytes = fs::read(&file).map_err(cannot)?;
            let digest = Digest::of(&bytes);
            blobs.put(&digest, &bytes)?;
            Ok((digest, bytes.len() as u64))
        })
        .await?;
        let interface = self.inner.sandbox.describe(&digest).await?;
        if let Some(import) = interface.imports.iter().find(|import| !fumehood_sandbox::is_offered(import)) {
            return Err(fumehood_sandbox::SandboxError::UnknownImport { import: import.clone() }.into());
        }
        Ok(Module::new(name, digest, size, Origin::File { path: path.to_owned() }, interface)?)
    }
}

/// The error with its causes: this is for the operator, who can act on them.
fn describe(error: &DispatchError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
