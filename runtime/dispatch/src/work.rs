//! What goes on without anybody asking: jobs are worked on, schedules fire, what is old is forgotten.

use std::{sync::Arc, time::Duration};

use fumehood_scheduler::{Outside, Runner, RunnerConfig, RunnerParts, Ticker, TickerParts};
use tokio::time::Instant;

use crate::{DispatchError, Dispatcher, jobs::Executor, schedules::Submitter};

/// How often what is old is looked for.
const RETIRE: Duration = Duration::from_secs(60);

impl Dispatcher {
    /// Begin to work on jobs and to fire schedules. Everything must have been [loaded](Dispatcher::load) before: a job finds
    /// its tool only then.
    ///
    /// Begins once; does nothing in a process that keeps no jobs.
    pub fn start_work(&self, config: RunnerConfig) {
        self.start_recording();
        let (Ok(queue), Some(schedules)) = (self.queue(), self.inner.schedules.clone()) else { return };
        if queue.runner.get().is_some() {
            return;
        }
        tokio::spawn(queue.watchers.clone().pass_on(queue.store.signals()));
        let parts = RunnerParts {
            node: queue.node,
            jobs: Arc::clone(&queue.store),
            execute: Arc::new(Executor(self.clone())),
            admission: self.inner.admission.clone(),
            outside: Outside::machine(),
        };
        let runner = Runner::start(config, parts);
        let ticker = Ticker::start(TickerParts {
            schedules,
            jobs: Arc::clone(&queue.store),
            prepare: Arc::new(Submitter(self.clone())),
            bounds: queue.config.bounds,
            outside: Outside::machine(),
        });
        let _ = queue.runner.set(runner);
        queue.set_ticker(Some(ticker));
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RETIRE).await;
                let Some(inner) = inner.upgrade() else { return };
                Self { inner }.retire().await;
            }
        });
    }

    /// Claim no more jobs, let those that run finish until `patience` is over, and give back the rest. Then write down what
    /// has not been written down yet.
    pub async fn stop_work(&self, patience: Duration) {
        if let Some(queue) = &self.inner.queue {
            queue.set_ticker(None);
            if let Some(runner) = queue.runner.get() {
                runner.stop(Instant::now() + patience).await;
            }
        }
        self.write_history().await;
        self.write_observations().await;
    }

    async fn retire(&self) {
        let retired = async {
            self.retire_jobs().await?;
            self.retire_calls().await?;
            self.retire_confirmations().await
        };
        if let Err(error) = retired.await {
            let error: DispatchError = error;
            tracing::warn!(%error, "What is old could not be forgotten");
        }
    }
}
