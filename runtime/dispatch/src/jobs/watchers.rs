use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fumehood_model::JobId;
use fumehood_store::Signal;
use tokio::sync::{broadcast, watch};

/// Who waits for news of which job. Clones share them.
///
/// One task hears every signal of the store; whoever waits for one job is woken for that one alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watchers {
    jobs: Arc<Mutex<HashMap<JobId, watch::Sender<()>>>>,
}

/// News of one job.
#[derive(Debug)]
pub(crate) struct Watch {
    id: JobId,
    news: watch::Receiver<()>,
    watchers: Watchers,
}

impl Watchers {
    /// Hear of the job from now on.
    pub(crate) fn watch(&self, id: JobId) -> Watch {
        let news = self.lock().entry(id).or_insert_with(|| watch::Sender::new(())).subscribe();
        Watch { id, news, watchers: self.clone() }
    }

    /// Pass on what the store says, for as long as there is a store.
    pub(crate) async fn pass_on(self, mut signals: broadcast::Receiver<Signal>) {
        loop {
            match signals.recv().await {
                Ok(Signal::Job(id) | Signal::Cancel(id)) => {
                    if let Some(sender) = self.lock().get(&id) {
                        sender.send_replace(());
                    }
                }
                Ok(Signal::Available | Signal::Due) => {}
                // Something was missed: everyone looks.
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    self.lock().values().for_each(|sender| sender.send_replace(()));
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<()>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Wait until something may have changed.
    pub(crate) async fn changed(&mut self) {
        if self.news.changed().await.is_err() {
            // Nobody will ever say anything: whoever waits has a bound of its own.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut jobs = self.watchers.lock();
        // This one's own receiver still counts.
        if jobs.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            jobs.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use fumehood_model::Timestamp;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_a_job_hears_of_it_and_nothing_is_kept_of_those_who_left() {
        let (watchers, (sender, receiver)) = (Watchers::default(), broadcast::channel(4));
        let passing = tokio::spawn(watchers.clone().pass_on(receiver));
        let [one, two] = [1, 2].map(|at| JobId::new(Timestamp { unix_ms: at }, [0; 10]));
        let (mut first, mut second) = (watchers.watch(one), watchers.watch(two));

        sender.send(Signal::Job(one)).unwrap();
        first.changed().await;
        assert!(!second.news.has_changed().unwrap());
        (0..9).for_each(|_| drop(sender.send(Signal::Available)));
        second.changed().await;

        drop((first, second));
        assert!(watchers.lock().is_empty());
        drop(sender);
        passing.await.unwrap();
    }
}
