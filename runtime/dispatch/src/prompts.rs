//! Prompts that belong to no module: read from folders, and again when files in them change.

use std::path::PathBuf;

use fumehood_registry::{Library, Problem};
use notify::RecursiveMode;

use crate::{Dispatcher, follow::Changes};

impl Dispatcher {
    /// Read the prompts of the folders, and go on reading them for as long as this process lives. Only the first time counts.
    pub(crate) async fn start_prompts(&self) {
        let folders = &self.inner.config.prompts_dirs;
        if folders.is_empty() || self.inner.prompts.set(()).is_err() {
            return;
        }
        let problems = self.read_prompts(Vec::new()).await;
        tokio::spawn(self.clone().follow_prompts(folders.clone(), problems));
    }

    async fn follow_prompts(self, folders: Vec<PathBuf>, mut problems: Vec<Problem>) {
        let mut changes = Changes::of(&folders, RecursiveMode::NonRecursive, "prompts");
        loop {
            changes.next().await;
            problems = self.read_prompts(problems).await;
        }
    }

    /// Put what the folders hold into the catalogue; what is wrong with them, which is logged if it was not known.
    async fn read_prompts(&self, known: Vec<Problem>) -> Vec<Problem> {
        let (registry, folders) = (self.inner.registry.clone(), self.inner.config.prompts_dirs.clone());
        let read = tokio::task::spawn_blocking(move || {
            let before = registry.snapshot();
            let (library, problems) = Library::read(&folders, before.library());
            let count = library.prompts().len();
            (registry.shelve(library), count, problems)
        });
        let Ok((is_new, count, problems)) = read.await else { return known };
        if is_new {
            tracing::info!(prompts = count, "Loaded {count} prompts");
        }
        for Problem { path, reason } in problems.iter().filter(|problem| !known.contains(problem)) {
            let (path, reason) = (path.to_string_lossy().escape_debug().to_string(), reason.escape_debug().to_string());
            tracing::warn!(path, "{path} is not used as it is: {reason}");
        }
        problems
    }
}
