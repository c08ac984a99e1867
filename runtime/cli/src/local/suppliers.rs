//! What a component file needs of others, from where its `tool.toml` says that they lie.

use std::{
    fs,
    path::{Path, PathBuf},
};

use fumehood_dispatch::{Manifest, Module, export_for};
use fumehood_model::{Code, Digest};
use fumehood_sandbox::{Supplier, is_offered};

use super::{File, MAX_FILE, read_component, refused};
use crate::exit::Failure;

/// Deepest that components are made of others which are made of others.
const MAX_DEPTH: usize = 8;

impl File {
    /// The same, put together with the components that it needs, as a server puts it together with modules.
    ///
    /// # Errors
    ///
    /// With a [`Failure`] when one of them is not said to lie anywhere, is not there, or does not fit.
    pub(crate) async fn whole(mut self) -> anyhow::Result<Self> {
        let path = self.path();
        let digest = self.complete(self.module.digest, &path, 0).await?;
        if digest == self.module.digest {
            return Ok(self);
        }
        let interface = self.sandbox.describe(&digest).await.map_err(|error| refused(&path, error))?;
        let Self { module, .. } = self;
        let (name, origin, manifest) = (module.name, module.origin, module.manifest);
        let module = Module::new(name, digest, module.size_bytes, origin, interface, manifest)
            .map_err(|error| Failure::new(Code::InvalidComponent, format!("{}: {error}", path.display())))?;
        self.module = module;
        Ok(self)
    }

    /// What the component at `path` is together with what it needs.
    async fn complete(&self, digest: Digest, path: &Path, depth: usize) -> anyhow::Result<Digest> {
        let interface = self.sandbox.describe(&digest).await.map_err(|error| refused(path, error))?;
        let invalid = |what: String| Failure::new(Code::InvalidComponent, format!("{}: {what}", path.display()));
        let unmet: Vec<_> = interface.imports.iter().filter(|import| !is_offered(import)).collect();
        if unmet.is_empty() {
            return Ok(digest);
        }
        if depth == MAX_DEPTH {
            return Err(invalid(format!("it is made of components that are made of others, {MAX_DEPTH} deep")).into());
        }
        let manifest = interface.manifest.as_deref().map(|text| Manifest::parse("its tool.toml", text)).transpose();
        let manifest = manifest.map_err(|error| invalid(error.to_string()))?.unwrap_or_default();
        let mut suppliers: Vec<Supplier> = Vec::new();
        for import in unmet {
            let dependency = manifest.dependency(import);
            let Some(beside) = dependency.and_then(|dependency| dependency.path.as_ref()) else {
                let hint = format!(
                    "say in tool.toml which module exports it, and where that lies: [dependencies] \"{}\" = {{ module = \"NAME\", path = \"../NAME/NAME.wasm\" }}",
                    import.escape_debug()
                );
                return Err(invalid(format!("it needs `{}`", import.escape_debug())).hint(hint).into());
            };
            let from = path.parent().map_or_else(|| PathBuf::from(beside), |folder| folder.join(beside));
            let bytes = read_component(&from)?;
            let given = Digest::of(&bytes);
            self.directory.blobs()?.put(&given, &bytes)?;
            let whole = Box::pin(self.complete(given, &from, depth + 1)).await?;
            if let Some(locked) = dependency.and_then(|dependency| dependency.digest).filter(|locked| *locked != whole)
            {
                let what = format!(
                    "it takes `{}` from {locked} alone, and {} is {whole}",
                    import.escape_debug(),
                    from.display()
                );
                return Err(invalid(what).into());
            }
            let exports = self.sandbox.describe(&whole).await.map_err(|error| refused(&from, error))?;
            let export = export_for(&exports, import);
            let export = export.ok_or_else(|| {
                invalid(format!("it needs `{}`, which {} does not export", import.escape_debug(), from.display()))
            })?;
            let meets = (import.clone(), export.to_owned());
            match suppliers.iter_mut().find(|supplier| supplier.digest == whole) {
                Some(known) => known.meets.push(meets),
                None => suppliers.push(Supplier { digest: whole, meets: vec![meets] }),
            }
        }
        let made = self.sandbox.compose(&digest, suppliers).await.map_err(|error| refused(path, error))?;
        let whole = Digest::of(&made);
        self.directory.blobs()?.put(&whole, &made)?;
        Ok(whole)
    }
}

/// The components that a project needs, from where its manifest says that they lie, under the names of their modules.
pub(crate) fn beside(manifest: &Manifest, folder: &Path) -> Vec<(String, PathBuf)> {
    let lying = manifest
        .dependencies
        .values()
        .filter_map(|dependency| Some((dependency.module.to_string(), folder.join(dependency.path.as_ref()?))));
    let mut lying: Vec<_> =
        lying.filter(|(_, path)| fs::metadata(path).is_ok_and(|about| about.len() <= MAX_FILE.0)).collect();
    lying.sort();
    lying.dedup();
    lying
}
