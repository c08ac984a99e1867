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
        let look = LOOK.as_secs();
        let mut watcher = match notify::recommended_watcher(tell) {
            Ok(watcher) => watcher,
            Err(error) => {
                tracing::info!(%error, "Folders of {what} are read every {look} s: changes are not told here: {error}");
                return Self { heard, _watcher: None };
            }
        };
        for folder in folders {
            if let Err(error) = watcher.watch(folder, mode) {
                let folder = folder.to_string_lossy().escape_debug().to_string();
                tracing::info!(%error, folder, "The folder {folder} is read every {look} s: its changes are not told: {error}");
            }
        }
        Self { heard, _watcher: Some(watcher) }
    }

    /// Wait until something has changed and no more does for a moment, or until [`LOOK`] is over.
    ///
    /// # Cancellation
    ///
    /// What was heard is forgotten.
    pub(crate) async fn next(&mut self) {
        match tokio::time::timeout(LOOK, self.heard.recv()).await {
            Ok(Some(())) => {
                let quiet = async {
                    tokio::time::sleep(SETTLE).await;
                    while self.heard.try_recv().is_ok() {
                        tokio::time::sleep(SETTLE).await;
                    }
                };
                // What changes all the time is read all the same.
                let _ = tokio::time::timeout(LOOK, quiet).await;
            }
            // Without a watcher only the clock counts.
            Ok(None) => tokio::time::sleep(LOOK).await,
            Err(_) => {}
        }
        while self.heard.try_recv().is_ok() {}
    }
}
