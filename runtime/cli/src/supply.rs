//! Modules that are fetched when the server starts, and served from what was kept when they cannot be.

use std::{path::Path, thread};

use anyhow::Context;
use fumehood_dispatch::Problem;
use fumehood_model::{ByteSize, ModuleName};
use fumehood_sources::{Config, Fetched, Kept, Shelf, Source, SourceError, Sources};
use fumehood_store::Access;
use tokio::sync::oneshot;

use crate::exit::Failure;

/// Modules that are fetched at a time. More would only share the same line.
const AT_ONCE: usize = 4;

/// Where in the data directory what was fetched is kept.
pub(crate) const FOLDER: &str = "sources";

/// Fetches the modules that the configuration names.
#[derive(Debug, Clone)]
pub(crate) struct Supply {
    config: Config,
    max_size: ByteSize,
    access: Access,
    shelf: Shelf,
}

impl Supply {
    /// What keeps modules in the data directory; nothing if none is configured and none was.
    pub(crate) fn open(
        config: &Config,
        max_size: ByteSize,
        data_dir: &Path,
        access: Access,
    ) -> Result<Option<Self>, SourceError> {
        let folder = data_dir.join(FOLDER);
        if config.modules.is_empty() && !folder.exists() {
            return Ok(None);
        }
        let shelf = Shelf::open(&folder)?;
        Ok(Some(Self { config: config.clone(), max_size, access, shelf }))
    }

    /// The folder that holds the modules.
    pub(crate) fn folder(&self) -> &Path {
        self.shelf.path()
    }

    /// Bring every module here, and say which are not.
    ///
    /// A process that shares the data directory fetches only what nobody has fetched yet.
    pub(crate) async fn bring(&self) -> anyhow::Result<Vec<Problem>> {
        let (send, done) = oneshot::channel();
        let this = self.clone();
        // A thread that nobody waits for: a registry may be slow, and the server asked to stop.
        thread::Builder::new().name("sources".to_owned()).spawn(move || drop(send.send(this.bring_all())))?;
        done.await.context("the modules of [sources] could not be fetched")?
    }

    fn bring_all(&self) -> anyhow::Result<Vec<Problem>> {
        if self.access == Access::Own {
            self.shelf
                .retain(|name| self.config.modules.keys().any(|wanted| wanted.as_str() == name))
                .map_err(Failure::from)?;
        }
        let sources = Sources::new(&self.config, self.max_size).map_err(Failure::from)?;
        let modules: Vec<_> = self.config.modules.iter().collect();
        let mut problems = Vec::new();
        for some in modules.chunks(AT_ONCE) {
            let brought: Vec<_> = thread::scope(|scope| {
                let each: Vec<_> =
                    some.iter().map(|(name, source)| scope.spawn(|| self.bring_one(&sources, name, source))).collect();
                each.into_iter().map(|one| one.join().expect("what fetches does not panic")).collect()
            });
            for ((name, source), brought) in some.iter().zip(brought) {
                problems.extend(brought.err().map(|error| Problem {
                    path: format!("module {name}").into(),
                    reason: format!(
                        "its source {source} could not be fetched, and nothing is kept of it: {}",
                        error.told()
                    ),
                }));
            }
        }
        Ok(problems)
    }

    fn bring_one(&self, sources: &Sources, name: &ModuleName, source: &Source) -> Result<(), SourceError> {
        // What somebody else serves from here stays as it is.
        if self.access == Access::Share
            && let Some(kept) = self.shelf.kept(name)
        {
            tracing::info!(module.name = %name, component.digest = %kept.digest, "Module {name} is served from what is kept of {}", kept.source);
            return Ok(());
        }
        // What is kept of another source is another module.
        let kept = self.shelf.kept(name).filter(|kept| kept.source == *source || kept.satisfies(source));
        let Some(kept) = kept else {
            self.shelf.remove(name)?;
            return self.keep(name, source, &sources.fetch(source)?).map(drop);
        };
        if kept.satisfies(source) {
            tracing::info!(module.name = %name, component.digest = %kept.digest, "Module {name} is served from what is kept of {source}");
            return Ok(());
        }
        match sources.fetch_anew(source, &kept) {
            Ok(None) => {
                tracing::info!(module.name = %name, component.digest = %kept.digest, "Module {name} is what {source} still is");
            }
            Ok(Some(fetched)) => drop(self.keep(name, source, &fetched)?),
            Err(error) => tracing::warn!(
                module.name = %name, component.digest = %kept.digest, error = error.told(),
                "Module {name} is served as it was fetched at {}, as {source} could not be fetched again: {}",
                kept.fetched_at, error.told()
            ),
        }
        Ok(())
    }

    fn keep(&self, name: &ModuleName, source: &Source, fetched: &Fetched) -> Result<Kept, SourceError> {
        let kept = self.shelf.keep(name, source, fetched)?;
        let manifest = kept.manifest.map(|manifest| format!(", manifest {manifest}")).unwrap_or_default();
        tracing::info!(
            module.name = %name, component.digest = %kept.digest,
            "Module {name} was fetched from {source}: component {}{manifest}", kept.digest
        );
        Ok(kept)
    }
}
