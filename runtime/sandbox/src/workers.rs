//! Worker processes: where components run that no operator has marked as trusted.
//!
//! A guest that makes the runtime panic, abort or swell costs its process and the calls in it, never the server; one
//! that breaks out of WebAssembly finds itself behind the [`wall`]. Processes are started before they are needed, share
//! the calls among them, are replaced when they die and after a number of calls. Components that were granted folders
//! run in processes of their own, which can reach just these folders.

mod attempts;
mod child;
mod process;
mod protocol;
pub(crate) mod signals;
mod slot;
pub(crate) mod wall;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fumehood_capabilities::Granted;
use fumehood_model::{ByteSize, Crash, Digest, StopReason};

use crate::{
    call::{Call, Finished, micros},
    engine::{Config, Yield},
    error::SandboxError,
    loader::Sandbox,
    workers::{
        process::{Begun, Bounds, Gone},
        protocol::{CallOrder, Setup},
        slot::Slot,
        wall::Opening,
    },
};

pub use attempts::{Attempt, Attempts, attempts};
pub use child::worker;
pub use wall::{Isolated, Strength};

/// How late the server itself ends a call whose worker should have ended it.
///
/// A worker that is busy is a few milliseconds late at the most.
const LATE: Duration = Duration::from_millis(100);

/// Calls of each place for which a worker has room: a tool that calls tools holds its own place while they run.
const NESTED: u32 = 3;

/// Most processes for components with folders; beyond, the one that was idle longest ends.
const MOST_CORDONS: usize = 16;

/// Memory that a worker may write to, beside what its calls hold: code, stacks, the runtime itself.
const BASE_MEMORY: u64 = 512 << 20;

/// Memory that one call may take in its worker beside its own: arguments and answer as values of the engine.
const VALUE_MEMORY: u64 = 576 << 20;

/// How often a call looks for another worker when the one it was given dies before it took the call.
const ATTEMPTS: usize = 3;

/// How worker processes are started and kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program, usually this one.
    pub program: PathBuf,
    /// Arguments that make it a worker: it must call [`worker`] with its standard input.
    pub arguments: Vec<String>,
    /// How many processes share the components without folders.
    pub processes: usize,
    /// After how many calls a process is replaced.
    pub recycle_after: u64,
    /// Largest answer and output of a call, together.
    pub max_answer: ByteSize,
    /// Whether a process that the kernel does not isolate fully is refused.
    pub require: bool,
}

/// The worker processes of a server. Cloning is cheap.
#[derive(Clone)]
pub struct Workers {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Vec<Arc<Slot>>,
    cordons: Mutex<HashMap<Vec<Opening>, Cordon>>,
    config: Config,
    settings: Settings,
    clock: AtomicU64,
    stopping: Arc<AtomicBool>,
}

struct Cordon {
    slot: Arc<Slot>,
    used: u64,
}

impl Workers {
    /// Workers for an engine as `config` wants it. None is started yet.
    #[must_use]
    pub fn new(config: Config, settings: Settings) -> Self {
        let stopping = Arc::<AtomicBool>::default();
        let slot = || {
            let setup = setup(&config, &settings, Vec::new());
            Arc::new(Slot::new(settings.clone(), setup, bounds(&settings), Arc::clone(&stopping)))
        };
        let shared = (0..settings.processes.max(1)).map(|_| slot()).collect();
        let clock = AtomicU64::new(0);
        let inner = Inner { shared, cordons: Mutex::default(), config, settings, clock, stopping };
        Self { inner: Arc::new(inner) }
    }

    /// The server is about to end: processes that end from now on are nobody's fault, and are not replaced in advance.
    pub(crate) fn stopping(&self) {
        self.inner.stopping.store(true, Ordering::Release);
    }

    /// Start what shares the components without folders, and tell how well it is isolated.
    pub(crate) async fn isolation(&self) -> Result<Isolated, SandboxError> {
        for slot in self.inner.shared.iter().skip(1) {
            slot.start_soon();
        }
        Ok(self.inner.shared[0].process().await?.isolated().clone())
    }

    /// Make the component `digest` ready in one of the workers, to see whether it can be.
    pub(crate) async fn load(&self, sandbox: &Sandbox, digest: &Digest) -> Result<(), SandboxError> {
        let mut tries = ATTEMPTS;
        loop {
            let process = self.inner.shared[0].process().await?;
            tries -= 1;
            match process.load(sandbox, digest, true).await {
                Err(SandboxError::Worker { .. }) if tries > 0 && process.is_gone() => {}
                result => return result,
            }
        }
    }

    /// Let go of a component everywhere.
    pub(crate) fn forget(&self, digest: &Digest) {
        for slot in &self.inner.shared {
            slot.forget(digest);
        }
        for cordon in self.cordons().values() {
            cordon.slot.forget(digest);
        }
    }

    pub(crate) async fn call(
        &self,
        sandbox: &Sandbox,
        call: Call,
        place: impl Send + 'static,
    ) -> Result<Finished, SandboxError> {
        let started = Instant::now();
        let (deadline, allowed) = (call.deadline, call.limits.deadline());
        let late = || Ok(Finished::stopped(StopReason::Deadline { allowed }, started));
        let Ok(begun) = tokio::time::timeout_at(deadline.into(), self.begin(sandbox, call, place)).await else {
            return late();
        };
        let begun = begun?;
        match tokio::time::timeout_at((deadline + LATE).into(), begun.end()).await {
            Ok(Ok(end)) => end.into_result(),
            Ok(Err(Gone)) => Ok(Finished::stopped(StopReason::Trap { crash: Crash::Process }, started)),
            Err(_) => late(),
        }
    }

    /// Hand a call over to a worker. At once, for all but the first call of a component in a worker.
    async fn begin(&self, sandbox: &Sandbox, call: Call, place: impl Send + 'static) -> Result<Begun, SandboxError> {
        let Call { digest, function, arguments, limits, deadline, granted, host, .. } = call;
        let arguments = arguments.into_text();
        let mut place: Box<dyn Send> = Box::new(place);
        for _ in 0..ATTEMPTS {
            let process = self.slot(&granted).process().await?;
            match process.load(sandbox, &digest, false).await {
                Err(SandboxError::Worker { .. }) if process.is_gone() => continue,
                loaded => loaded?,
            }
            let order = CallOrder {
                digest,
                function,
                arguments: arguments.to_vec(),
                limits,
                remaining_us: micros(deadline.saturating_duration_since(Instant::now())),
                granted: granted.clone(),
            };
            match process.begin(order, Arc::clone(&host), place) {
                Ok(begun) => return Ok(begun),
                // It had died, and has not seen the call.
                Err(returned) => place = returned,
            }
        }
        Err(SandboxError::Worker { what: "all that were tried had died".to_owned() })
    }

    /// Where a call with these grants runs: the least busy shared worker, or the one with its folders.
    fn slot(&self, granted: &Granted) -> Arc<Slot> {
        if granted.folders.is_empty() {
            let least = self.inner.shared.iter().min_by_key(|slot| slot.load());
            return Arc::clone(least.expect("there is at least one"));
        }
        let mut openings: Vec<_> = granted
            .folders
            .iter()
            .map(|folder| Opening { path: folder.within.clone(), writable: folder.writable })
            .collect();
        openings.sort_by(|a, b| a.path.cmp(&b.path));
        let used = self.inner.clock.fetch_add(1, Ordering::Relaxed);
        let mut cordons = self.cordons();
        if cordons.len() >= MOST_CORDONS && !cordons.contains_key(&openings) {
            let idle = cordons.iter().filter(|(_, cordon)| cordon.slot.load() == 0);
            if let Some(oldest) = idle.min_by_key(|(_, cordon)| cordon.used).map(|(openings, _)| openings.clone()) {
                cordons.remove(&oldest);
            }
        }
        let cordon = cordons.entry(openings.clone()).or_insert_with(|| {
            let setup = setup(&self.inner.config, &self.inner.settings, openings);
            let settings = self.inner.settings.clone();
            let slot = Slot::new(settings, setup, bounds(&self.inner.settings), Arc::clone(&self.inner.stopping));
            Cordon { slot: Arc::new(slot), used }
        });
        cordon.used = used;
        Arc::clone(&cordon.slot)
    }

    fn cordons(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<Opening>, Cordon>> {
        self.inner.cordons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bounds(settings: &Settings) -> Bounds {
    Bounds { max_report: settings.max_answer.as_usize().saturating_add(1 << 20) }
}

fn setup(config: &Config, settings: &Settings, openings: Vec<Opening>) -> Setup {
    let calls = u64::from(config.concurrent_calls);
    let max_bytes = calls.saturating_mul(config.max_memory.0 + VALUE_MEMORY).saturating_add(BASE_MEMORY);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    Setup {
        concurrent_calls: config.concurrent_calls.saturating_mul(NESTED),
        max_memory: config.max_memory,
        max_table_elements: config.max_table_elements,
        loaded_components: config.loaded_components,
        epochs: config.yields == Yield::Epoch,
        // All workers together have as many threads for long calls as there are cores.
        threads: cores.div_ceil(settings.processes.max(1)),
        openings,
        max_bytes,
        max_report: bounds(settings).max_report,
    }
}
