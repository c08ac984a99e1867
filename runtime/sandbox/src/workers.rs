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
mod suspects;
pub(crate) mod wall;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fumehood_capabilities::{Folder, Granted};
use fumehood_model::{ByteSize, Crash, Digest, StopReason};

use crate::{
    call::{Call, Finished, micros},
    engine::{Config, Yield},
    error::SandboxError,
    loader::{Sandbox, Source, blocking},
    workers::{
        process::{Begun, Bounds, Gone},
        protocol::{CallOrder, Setup},
        slot::{Common, Slot},
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

/// Most processes for components with folders; beyond, the one that was idle longest ends.
const MOST_CORDONS: usize = 16;

/// Memory that a worker may write to, beside what its calls hold: code, stacks, the runtime itself.
const BASE_MEMORY: u64 = 512 << 20;

/// Memory that one call may take in its worker beside its own: arguments and answer as values of the engine.
const VALUE_MEMORY: u64 = 576 << 20;

/// Short calls that make a worker as busy as a long one does, and that it is given before another worker is woken.
///
/// Waking a process costs more than a short call: two that share what one can do sleep and wake for every call. A call
/// lets those behind it go on after its first slice, so that they wait for less than a millisecond.
const PACK: usize = 8;

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
    cordons: Mutex<HashMap<Apart, Cordon>>,
    common: Arc<Common>,
    config: Config,
    settings: Settings,
    clock: AtomicU64,
}

/// What runs apart from everything else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Apart {
    /// With these folders.
    openings: Vec<Opening>,
    /// This component alone, because it was in a process that crashed.
    suspect: Option<Digest>,
}

struct Cordon {
    slot: Arc<Slot>,
    used: u64,
}

impl Workers {
    /// Workers for an engine as `config` wants it. None is started yet.
    #[must_use]
    pub fn new(config: Config, settings: Settings) -> Self {
        let common = Arc::<Common>::default();
        let slot =
            || Slot::new(settings.clone(), setup(&config, &settings, Vec::new()), bounds(&settings), common.clone());
        let shared = (0..settings.processes.max(1)).map(|_| Arc::new(slot())).collect();
        let inner = Inner { shared, cordons: Mutex::default(), common, config, settings, clock: AtomicU64::new(0) };
        Self { inner: Arc::new(inner) }
    }

    /// Tell where to bring components from that a new process will be called for.
    pub(crate) fn bring_from(&self, source: Source) {
        // A second sandbox on the same workers would be a mistake; the first one stays.
        let _ = self.inner.common.source.set(source);
    }

    /// The server is about to end: processes that end from now on are nobody's fault, and are not replaced in advance.
    pub(crate) fn stopping(&self) {
        self.inner.common.stopping.store(true, Ordering::Release);
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
        self.inner.common.suspects.forget(digest);
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
        let Call { digest, function, arguments, limits, deadline, granted, host, heard, .. } = call;
        let arguments = arguments.into_text();
        let mut place: Box<dyn Send> = Box::new(place);
        let mut attempts = ATTEMPTS;
        while attempts > 0 {
            // Asked every time: a folder may be another one by now, and a process may have crashed.
            let openings = openings(&granted).await?;
            let process = self.slot(&digest, openings).process().await?;
            match process.load(sandbox, &digest, false).await {
                Err(SandboxError::Worker { .. }) if process.is_gone() => {
                    attempts -= 1;
                    continue;
                }
                loaded => loaded?,
            }
            let order = CallOrder {
                digest,
                function,
                arguments: arguments.to_vec(),
                limits,
                remaining_us: micros(deadline.saturating_duration_since(Instant::now())),
                granted: granted.clone(),
                heard,
            };
            match Arc::clone(&process).begin(order, Arc::clone(&host), place) {
                Ok(begun) => return Ok(begun),
                // It has not seen the call: it had died or was replaced, or has let go of the component for another one,
                // which is no attempt. The deadline of the call ends this.
                Err(returned) => place = returned,
            }
            attempts -= usize::from(process.is_gone());
            tokio::task::yield_now().await;
        }
        Err(SandboxError::Worker { what: "all that were tried had died".to_owned() })
    }

    /// Where a call runs: in the least busy of the shared workers, or in one apart.
    fn slot(&self, digest: &Digest, openings: Vec<Opening>) -> Arc<Slot> {
        let suspect = self.inner.common.suspects.is_apart(digest).then_some(*digest);
        if openings.is_empty() && suspect.is_none() {
            // The first of those that are as busy.
            let least = self.inner.shared.iter().min_by_key(|slot| slot.busyness(PACK) / PACK);
            return Arc::clone(least.expect("there is at least one"));
        }
        let apart = Apart { openings, suspect };
        let used = self.inner.clock.fetch_add(1, Ordering::Relaxed);
        let mut cordons = self.cordons();
        if !cordons.contains_key(&apart) {
            // What was at the same paths is out of reach for good.
            cordons.retain(|other, cordon| !cordon.slot.is_idle() || !other.is_replaced_by(&apart));
            let idle = cordons.iter().filter(|(_, cordon)| cordon.slot.is_idle());
            let oldest = idle.min_by_key(|(_, cordon)| cordon.used).map(|(apart, _)| apart.clone());
            if let Some(oldest) = oldest.filter(|_| cordons.len() >= MOST_CORDONS) {
                cordons.remove(&oldest);
            }
        }
        let cordon = cordons.entry(apart).or_insert_with_key(|apart| {
            let setup = setup(&self.inner.config, &self.inner.settings, apart.openings.clone());
            let common = Arc::clone(&self.inner.common);
            let slot = Slot::new(self.inner.settings.clone(), setup, bounds(&self.inner.settings), common);
            Cordon { slot: Arc::new(slot), used }
        });
        cordon.used = used;
        Arc::clone(&cordon.slot)
    }

    fn cordons(&self) -> std::sync::MutexGuard<'_, HashMap<Apart, Cordon>> {
        self.inner.cordons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Apart {
    /// Whether `other` has other folders at the same paths.
    fn is_replaced_by(&self, other: &Self) -> bool {
        let paths = |apart: &Self| apart.openings.iter().map(|opening| opening.path.clone()).collect::<Vec<_>>();
        self.suspect == other.suspect && self.openings != other.openings && paths(self) == paths(other)
    }
}

/// What a process must reach for a call, in a fixed order. Folders are looked at now: a path can come to stand for
/// another folder, which a process cannot reach that was started for the first.
async fn openings(granted: &Granted) -> Result<Vec<Opening>, SandboxError> {
    if granted.folders.is_empty() {
        return Ok(Vec::new());
    }
    let folders = granted.folders.clone();
    blocking(move || {
        let opening = |folder: &Folder| Opening::of(folder.within.clone(), folder.writable);
        let mut openings: Vec<_> = folders.iter().map(opening).collect();
        openings.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(openings)
    })
    .await
}

fn bounds(settings: &Settings) -> Bounds {
    Bounds { max_report: settings.max_answer.as_usize().saturating_add(1 << 20) }
}

fn setup(config: &Config, settings: &Settings, openings: Vec<Opening>) -> Setup {
    let calls = u64::from(config.concurrent_calls);
    // A place that was used may stay writable, though nothing of it stays in memory.
    let places = u64::from(config.places()).saturating_mul(config.max_memory.0);
    let max_bytes = calls.saturating_mul(VALUE_MEMORY).saturating_add(places).saturating_add(BASE_MEMORY);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    Setup {
        places: config.places(),
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

#[cfg(test)]
mod tests;
