//! What a call tells while it runs, for clients that want to hear of it.

use std::sync::Arc;

use fumehood_dispatch::{Level, Listener, Said};
use fumehood_model::Progress;
use rmcp::{
    Peer, RoleServer,
    model::{LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam, ProgressToken},
};
use tokio::sync::mpsc;

/// Reports that wait for a slow client; of more, some are left out.
const WAITING: usize = 256;

/// What a client wants to hear of a call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Progress, under this token.
    pub(crate) progress: Option<ProgressToken>,
    /// What its guest logs, from this level on.
    pub(crate) logs: Option<LoggingLevel>,
}

/// The end at which it comes out.
pub(crate) struct Reports {
    wanted: Wanted,
    news: mpsc::Receiver<News>,
    /// What was reported last: the protocol wants each report to be more than the one before.
    last: f64,
}

enum News {
    Progress(Progress),
    Said(Said),
}

/// The end at which a call puts it in.
struct Sink {
    news: mpsc::Sender<News>,
    wants_told: bool,
}

impl Wanted {
    /// Somebody who hears a call for this client, and what comes out; nothing for one that wants nothing.
    pub(crate) fn listen(self) -> Option<(Arc<dyn Listener>, Reports)> {
        if self.progress.is_none() && self.logs.is_none() {
            return None;
        }
        let (sender, news) = mpsc::channel(WAITING);
        let sink = Sink { news: sender, wants_told: self.logs.is_some() };
        Some((Arc::new(sink), Reports { wanted: self, news, last: f64::NEG_INFINITY }))
    }
}

impl Reports {
    /// Pass on what is reported, for as long as the call lasts.
    pub(crate) async fn pass_on(&mut self, peer: &Peer<RoleServer>) {
        while let Some(news) = self.news.recv().await {
            self.notify(peer, news).await;
        }
        // Nobody reports any more; whoever waits for the call goes on waiting.
        std::future::pending::<()>().await;
    }

    /// Pass on what was reported and still waits.
    pub(crate) async fn finish(&mut self, peer: &Peer<RoleServer>) {
        while let Ok(news) = self.news.try_recv() {
            self.notify(peer, news).await;
        }
    }

    /// Tell the client how far a call is, if that is further than before.
    pub(crate) async fn progress(&mut self, peer: &Peer<RoleServer>, progress: &Progress) {
        let Some(token) = self.wanted.progress.clone().filter(|_| progress.done > self.last) else { return };
        self.last = progress.done;
        let mut told = ProgressNotificationParam::new(token, progress.done);
        told.total = progress.total;
        told.message.clone_from(&progress.message);
        // A client that is gone is noticed elsewhere.
        let _ = peer.notify_progress(told).await;
    }

    async fn notify(&mut self, peer: &Peer<RoleServer>, news: News) {
        match news {
            News::Progress(progress) => self.progress(peer, &progress).await,
            News::Said(Said::Log { level, message, context }) => {
                let level = severity(level);
                if self.wanted.logs.is_none_or(|least| rank(level) < rank(least)) {
                    return;
                }
                let mut told = LoggingMessageNotificationParam::new(level, message.into());
                told.logger = Some(context).filter(|context| !context.is_empty());
                let _ = peer.notify_logging_message(told).await;
            }
            // What it prints is for the operator.
            News::Said(Said::Output { .. }) => {}
        }
    }
}

impl Listener for Sink {
    fn wants_told(&self) -> bool {
        self.wants_told
    }

    fn progress(&self, progress: Progress) {
        let _ = self.news.try_send(News::Progress(progress));
    }

    fn told(&self, told: Vec<Said>) {
        for said in told {
            let _ = self.news.try_send(News::Said(said));
        }
    }
}

fn severity(level: Level) -> LoggingLevel {
    match level {
        Level::Trace | Level::Debug => LoggingLevel::Debug,
        Level::Info => LoggingLevel::Info,
        Level::Warn => LoggingLevel::Warning,
        Level::Error => LoggingLevel::Error,
        Level::Critical => LoggingLevel::Critical,
    }
}

/// How much a level matters (RFC 5424): more for what is worse.
pub(crate) fn rank(level: LoggingLevel) -> u8 {
    match level {
        LoggingLevel::Debug => 0,
        LoggingLevel::Info => 1,
        LoggingLevel::Notice => 2,
        LoggingLevel::Warning => 3,
        LoggingLevel::Error => 4,
        LoggingLevel::Critical => 5,
        LoggingLevel::Alert => 6,
        LoggingLevel::Emergency => 7,
    }
}
