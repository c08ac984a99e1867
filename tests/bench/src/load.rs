//! The load: closed loops over kept-alive connections, on threads of their own.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::client::Connection;
use crate::histogram::Histogram;
use crate::process::{self, Memory};
use crate::request::{Checker, Target};

/// How hard and how long to load a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Connections, on each of which one request follows the answer to the one before.
    pub(crate) connections: u16,
    /// Threads that share the connections.
    pub(crate) threads: u16,
    /// Time before the measurement.
    pub(crate) warm_up: Duration,
    /// Time of the measurement.
    pub(crate) duration: Duration,
}

/// What one measurement found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    /// Requests that were answered, all of them rightly.
    pub(crate) requests: u64,
    /// Requests a second.
    pub(crate) requests_per_second: f64,
    /// Latency that half of the requests do not exceed, in microseconds.
    pub(crate) p50_us: f64,
    /// Latency that 99 % of the requests do not exceed, in microseconds.
    pub(crate) p99_us: f64,
    /// CPU time of the server for each request, in microseconds.
    pub(crate) server_cpu_us: f64,
    /// CPU time of this process for each request, in microseconds.
    pub(crate) load_cpu_us: f64,
    /// Cores that were busy with neither the server nor us.
    pub(crate) other_cores: f64,
    /// Memory of the server at the end, still under load.
    #[serde(flatten)]
    pub(crate) memory: Memory,
}

/// The time in which answers count.
#[derive(Debug, Clone, Copy)]
struct Window {
    from: Instant,
    to: Instant,
}

/// CPU times at one moment.
#[derive(Debug, Clone, Copy)]
struct CpuTimes {
    server: Duration,
    ours: Duration,
    machine: Duration,
}

/// Load the server, measure it.
///
/// # Errors
///
/// When any response at all is not the expected one: a server that fails fast must not look fast.
pub(crate) async fn run(load: Load, target: &Target, server: u32) -> Result<Sample> {
    let from = Instant::now() + load.warm_up;
    let window = Window { from, to: from + load.duration };
    let threads = start_threads(load, target, window)?;
    tokio::time::sleep_until(window.from.into()).await;
    let before = CpuTimes::now(server)?;
    tokio::time::sleep_until(window.to.into()).await;
    let after = CpuTimes::now(server)?;
    let memory = process::memory_of_family(server)?;
    let mut histogram = Histogram::new();
    for thread in threads {
        histogram.merge(&thread.await.context("a thread of the load panicked")??);
    }
    Ok(Sample::new(&histogram, load.duration, before, after, memory))
}

/// Start all threads, with as equal shares of the connections as can be.
fn start_threads(load: Load, target: &Target, window: Window) -> Result<Vec<oneshot::Receiver<Result<Histogram>>>> {
    let target = Arc::new(target.clone());
    let threads = load.threads.min(load.connections);
    let shares = (0..threads).map(|index| (load.connections + index) / threads);
    shares.map(|share| start_thread(share, Arc::clone(&target), window)).collect()
}

fn start_thread(share: u16, target: Arc<Target>, window: Window) -> Result<oneshot::Receiver<Result<Histogram>>> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        // Nobody listens any more when the scenario was stopped; then the process is about to end.
        let _ = sender.send(drive_all(share, &target, window));
    };
    thread::Builder::new().name("load".into()).spawn(work).context("cannot start a thread")?;
    Ok(receiver)
}

/// Drive so many connections on this thread.
fn drive_all(connections: u16, target: &Arc<Target>, window: Window) -> Result<Histogram> {
    let runtime = Builder::new_current_thread().enable_io().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut loops = JoinSet::new();
        for _ in 0..connections {
            loops.spawn(drive(Arc::clone(target), window));
        }
        let mut total = Histogram::new();
        while let Some(ended) = loops.join_next().await {
            total.merge(&ended.context("a connection of the load panicked")??);
        }
        Ok(total)
    })
}

/// Drive one connection until the window closes.
///
/// The end of one exchange is the start of the next: whatever we do in between counts as latency, not as a pause.
async fn drive(target: Arc<Target>, window: Window) -> Result<Histogram> {
    let mut connection = Connection::open(target.address).await?;
    let mut checker = Checker::new(target.expected);
    let mut histogram = Histogram::new();
    let mut sent = Instant::now();
    while sent < window.to {
        let response = connection.exchange(&target.request).await?;
        checker.check(&response)?;
        let received = Instant::now();
        if window.contains(received) {
            histogram.record(received - sent);
        }
        sent = received;
    }
    Ok(histogram)
}

impl Window {
    fn contains(self, moment: Instant) -> bool {
        self.from <= moment && moment < self.to
    }
}

impl CpuTimes {
    fn now(server: u32) -> Result<Self> {
        Ok(Self {
            server: process::cpu_time_of_family(server)?,
            ours: process::cpu_time(std::process::id())?,
            machine: process::machine_cpu_time()?,
        })
    }
}

impl Sample {
    fn new(histogram: &Histogram, duration: Duration, before: CpuTimes, after: CpuTimes, memory: Memory) -> Self {
        let requests = histogram.total();
        let seconds = duration.as_secs_f64();
        let each_us = |time: Duration| time.as_secs_f64() * 1e6 / requests.max(1) as f64;
        let server = after.server.saturating_sub(before.server);
        let ours = after.ours.saturating_sub(before.ours);
        let machine = after.machine.saturating_sub(before.machine);
        Self {
            requests,
            requests_per_second: requests as f64 / seconds,
            p50_us: histogram.quantile_us(0.5),
            p99_us: histogram.quantile_us(0.99),
            server_cpu_us: each_us(server),
            load_cpu_us: each_us(ours),
            other_cores: machine.saturating_sub(server + ours).as_secs_f64() / seconds,
            memory,
        }
    }
}
