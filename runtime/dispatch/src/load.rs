use std::{
    collections::{HashMap, HashSet},
    fs,
    io::Read,
    path::Path,
};

use fumehood_model::{Digest, ModuleName};
use fumehood_policy::OnChangedDefinitions;
use fumehood_registry::{
    AdmitError, Found, MAX_MANIFEST_BYTES, ManifestError, ManifestMistake, Module, Origin, Problem, scan,
};
use fumehood_store::ModuleRow;

use crate::{
    DispatchError, Dispatcher,
    dispatcher::blocking,
    install::{SENT, manifest},
};

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

        self.load_grants().await?;
        self.start_writing();
        let mut waiting = HashMap::new();
        let mut modules = Vec::with_capacity(rows.len() + found.len());
        let mut taken = HashSet::new();
        for row in rows {
            taken.insert(row.name.clone());
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
        for Found { name, path, manifest } in found {
            if taken.contains(&name) {
                let reason =
                    format!("the name {name} is taken by an uploaded module: rename the file or remove the module");
                problems.push(Problem { path, reason });
                continue;
            }
            match self.file(name, &path, manifest.as_deref()).await {
                Ok(module) => modules.push(module),
                Err(error) => problems.push(Problem { path, reason: describe(&error) }),
            }
        }
        for Problem { path, reason } in &problems {
            // Whoever names files writes no lines into the log.
            let shown = path.to_string_lossy().escape_debug().to_string();
            tracing::warn!(path = shown, "{shown} is not served: {reason}");
        }
        let tools: usize = modules.iter().map(|module| module.tools.len()).sum();
        tracing::info!(
            modules = modules.len(),
            tools,
            problems = problems.len(),
            "Loaded {} modules with {tools} tools",
            modules.len()
        );
        modules.iter().for_each(|module| self.tell_of_missing(module));
        self.inner.registry.replace(modules, problems);
        self.start_prompts().await;
        self.inner.ready.send_replace(true);
        Ok(())
    }

    /// The module of a stored row.
    pub(crate) async fn stored(&self, row: ModuleRow) -> Result<Module, DispatchError> {
        let interface = self.inner.sandbox.describe(&row.digest).await?;
        let origin = Origin::Upload { by: row.installed_by, at: row.installed_at };
        let manifest = manifest(SENT, row.manifest.as_deref(), interface.manifest.as_deref())?;
        let module = Module::new(row.name, row.digest, row.size_bytes, origin, interface, manifest)?;
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
            asked_before: None,
            defined_before: None,
            pending: None,
        };
        self.stored(row).await.map(Some)
    }

    async fn file(&self, name: ModuleName, path: &Path, beside: Option<&Path>) -> Result<Module, DispatchError> {
        let (beside, named) = (beside.map(Path::to_owned), beside.map(|path| path.display().to_string()));
        let sent = blocking(move || beside.map(|path| read_manifest(&path)).transpose()).await?;
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
        let manifest = manifest(named.as_deref().unwrap_or(SENT), sent.as_deref(), interface.manifest.as_deref())?;
        Ok(Module::new(name, digest, size, Origin::File { path: path.to_owned() }, interface, manifest)?)
    }
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
