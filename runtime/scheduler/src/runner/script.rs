//! What tests run in place of tools: the input of a job says how it goes.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fumehood_model::{Code, Failure, JobId, JobOutcome, Outcome, Progress};
use fumehood_store::{Claimed, Report, Told};
use tokio::time::sleep;

use super::{Attempted, Execute, Mend, Telling};

/// Runs inputs of the form `how ms`: for so many milliseconds, and then as it says; `mend` and `crash` go well at the
/// third attempt.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub(crate) seen: Arc<Seen>,
}

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How often each job began.
    pub(crate) begun: Mutex<HashMap<JobId, u32>>,
    /// How many run.
    pub(crate) running: AtomicUsize,
    /// How many ran at once at the most.
    pub(crate) most: AtomicUsize,
}

/// One that runs.
struct Guest(Arc<Seen>);

impl Script {
    pub(crate) fn begun(&self, id: JobId) -> u32 {
        self.seen.begun.lock().unwrap().get(&id).copied().unwrap_or(0)
    }

    pub(crate) fn running(&self) -> usize {
        self.seen.running.load(Ordering::Relaxed)
    }
}

impl Guest {
    fn start(seen: &Arc<Seen>, id: JobId) -> Self {
        *seen.begun.lock().unwrap().entry(id).or_default() += 1;
        let running = seen.running.fetch_add(1, Ordering::Relaxed) + 1;
        seen.most.fetch_max(running, Ordering::Relaxed);
        Self(Arc::clone(seen))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Execute for Script {
    fn execute(&self, job: Claimed, telling: Telling) -> Pin<Box<dyn Future<Output = Attempted> + Send>> {
        let seen = Arc::clone(&self.seen);
        Box::pin(async move {
            let _guest = Guest::start(&seen, job.job.id);
            let text = String::from_utf8(job.input.to_vec()).unwrap();
            let (how, ms) = text.split_once(' ').unwrap();
            sleep(Duration::from_secs_f64(ms.parse::<f64>().unwrap() / 1_000.0)).await;
            let is_third = job.job.attempt >= 3;
            match how {
                "no" => ended(Outcome::ToolError("\"no\"".into())),
                "mend" if !is_third => failed(Mend::Later),
                "crash" if !is_third => failed(Mend::Crashed),
                "panic" => panic!("as it was told to"),
                "never" => std::future::pending().await,
                "talk" => {
                    talk(&telling).await;
                    ended(Outcome::Value("3000".into()))
                }
                "save" => {
                    telling.checkpoint("half".into()).await.unwrap();
                    std::future::pending().await
                }
                _ => ended(Outcome::Value("1".into())),
            }
        })
    }
}

/// Three thousand lines and reports in a second.
async fn talk(telling: &Telling) {
    for line in 0..3_000_u32 {
        let message = format!("line {line}");
        telling.tell(Report::Told(Told::Log { level: "info".into(), message }));
        telling.tell(Report::Progress(Progress { done: line.into(), total: None, message: None }));
        if line % 3 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

fn ended(outcome: Outcome<String>) -> Attempted {
    Attempted { outcome: JobOutcome::Ended(outcome), usage: None, mend: Mend::Never, asks: None }
}

pub(crate) fn failed(mend: Mend) -> Attempted {
    let outcome = JobOutcome::Failed(Failure { code: Code::Unavailable, message: "gone".into() });
    Attempted { outcome, usage: None, mend, asks: None }
}
