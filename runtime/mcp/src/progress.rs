//! Progress of calls, for clients that gave a token for it.

use std::sync::Arc;

use fumehood_dispatch::Listener;
use fumehood_model::Progress;
use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
};
use tokio::sync::mpsc;

/// Reports that wait for a slow client; of more, some are left out.
const WAITING: usize = 16;

/// The end at which progress comes out.
pub(crate) struct Reports {
    token: ProgressToken,
    reports: mpsc::Receiver<Progress>,
    /// What was reported last: the protocol wants each report to be more than the one before.
    last: f64,
}

/// The end at which a call puts it in.
struct Sink(mpsc::Sender<Progress>);

/// Hears a call for the client that gave `token`.
pub(crate) fn listener(token: ProgressToken) -> (Arc<dyn Listener>, Reports) {
    let (sender, reports) = mpsc::channel(WAITING);
    (Arc::new(Sink(sender)), Reports { token, reports, last: f64::NEG_INFINITY })
}

impl Reports {
    /// Pass on what is reported, for as long as the call lasts.
    pub(crate) async fn pass_on(&mut self, peer: &Peer<RoleServer>) {
        while let Some(progress) = self.reports.recv().await {
            self.notify(peer, &progress).await;
        }
        // Nobody reports any more; whoever waits for the call goes on waiting.
        std::future::pending::<()>().await;
    }

    /// Tell the client how far a call is, if that is further than before.
    pub(crate) async fn notify(&mut self, peer: &Peer<RoleServer>, progress: &Progress) {
        if progress.done <= self.last {
            return;
        }
        self.last = progress.done;
        let mut told = ProgressNotificationParam::new(self.token.clone(), progress.done);
        told.total = progress.total;
        told.message.clone_from(&progress.message);
        // A client that is gone is noticed elsewhere.
        let _ = peer.notify_progress(told).await;
    }
}

impl Listener for Sink {
    fn progress(&self, progress: Progress) {
        let _ = self.0.try_send(progress);
    }
}
