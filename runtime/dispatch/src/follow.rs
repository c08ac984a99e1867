//! Folders whose files are read again when they change.

use std::{path::PathBuf, time::Duration};

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// How long files may go on changing until they are read: editors and compilers write in several steps.
const SETTLE: Duration = Duration::from_millis(150);

/// How often folders are read although nothing was heard: not every file system tells.
pub(crate) const LOOK: Duration = Duration::from_secs(10);

/// Tells when it is time to look at folders again.
pub(crate) struct Changes {
    heard: mpsc::Receiver<()>,
    /// Tells for as long as it is there; none where nothing is told.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Changes {
    /// Of `folders`, and of what is in them as `mode` has it. `what` they are of is for the log.
    pub(crate) fn of(folders: &[PathBuf], mode: RecursiveMode, what: &str) -> Self {
        let (told, heard) = mpsc::channel(1);
        let tell = move |event: notify::Result<notify::Event>| {
            // Reading is told too, and is no change.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = told.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(tell).and_then(|mut watcher| {
            folders.iter().try_for_each(|folder| watcher.watch(folder, mode))?;
            Ok(watcher)
        });
        if let Err(error) = &watcher {
            tracing::info!(%error, "Folders of {what} are read every {} s: changes are not told here: {error}", LOOK.as_secs());
        }
        Self { heard, _watcher: watcher.ok() }
    }

    /// Wait until something has changed and no more does, or until [`LOOK`] is over.
    ///
    /// # Cancellation
    ///
    /// What was heard is forgotten.
    pub(crate) async fn next(&mut self) {
        match tokio::time::timeout(LOOK, self.heard.recv()).await {
            Ok(Some(())) => tokio::time::sleep(SETTLE).await,
            // Without a watcher only the clock counts.
            Ok(None) => tokio::time::sleep(LOOK).await,
            Err(_) => {}
        }
        while self.heard.try_recv().is_ok() {}
    }
}
