//! Hostile and honest guests mixed at full load.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use crate::arguments::Soak;
use crate::client::Connection;
use crate::fumehood::{Fumehood, Home};
use crate::histogram::Histogram;
use crate::process;
use crate::report::print_table;
use crate::request::Target;
use crate::zoo::{self, Shot, Tally};

/// The honest module.
const HONEST: &str = "calculator";
/// How many times its median alone an honest call may take under attack.
const SLOWDOWN_GATE: f64 = 2.0;
/// By how much the memory may be larger at the end than at the start. Both are taken at rest, after every guest was called.
const GROWTH_GATE_BYTES: u64 = 32 << 20;
/// By how much the open files may be more at the end than at the start: connections that are about to be closed.
const FILES_GATE: usize = 16;
/// Pause between two looks at the memory.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// How long a server that is left alone may take to let go of what it holds.
const REST: Duration = Duration::from_secs(2);

/// What the honest connections saw.
#[derive(Debug)]
pub(crate) struct Honest {
    /// Latencies of right answers.
    pub(crate) latencies: Histogram,
    /// Calls that were not answered, or not rightly.
    pub(crate) failures: u64,
    /// What was wrong with the first of them.
    pub(crate) first_failure: Option<String>,
}

/// Memory and open files of the server and all its children.
#[derive(Debug, Clone, Copy)]
struct Footprint {
    pss_bytes: u64,
    files: usize,
    processes: usize,
}

/// Soak the server, print what became of it.
pub(crate) async fn run(settings: &Soak) -> Result<()> {
    let home = Home::new()?;
    home.add(HONEST, &settings.product.calculator()?)?;
    zoo::lay_out(&home)?;
    let fumehood = Fumehood::start_for_soak(&settings.product.binary()?, &home).await?;
    let (address, pid) = (fumehood.address(), fumehood.pid());
    let honest = fumehood.add(HONEST);
    let shots = zoo::shots(address, &fumehood.new_key("hostile").await?, |_, attack| Some(attack));

    shoot_each(address, &shots).await?;
    let alone = call_honestly(settings.honest, &honest, Instant::now() + settings.seconds / 4)?.await??;
    // And under the same load as will follow: what is kept for so many calls at a time is then there too.
    let warm = Instant::now() + settings.seconds / 2;
    let (calls, attacks) =
        (call_honestly(settings.honest, &honest, warm)?, attack(settings.hostile, address, &shots, warm)?);
    let (warmed, first) = (calls.await??, attacks.await??);
    sleep(REST).await;
    let start = Footprint::of(pid)?;

    let end = Instant::now() + settings.seconds;
    let attacked = call_honestly(settings.honest, &honest, end)?;
    let hostile = attack(settings.hostile, address, &shots, end)?;
    let mut peak = start;
    while Instant::now() + LOOK_PAUSE < end {
        sleep(LOOK_PAUSE).await;
        peak = peak.max(Footprint::of(pid)?);
    }
    sleep_until(end.into()).await;
    let (mut attacked, mut hostile) = (attacked.await??, hostile.await??);
    attacked.merge(warmed);
    hostile.merge(first);
    sleep(REST).await;
    let last = Footprint::of(pid)?;
    let alive = process::is_alive(pid);
    if alive {
        fumehood.stop().await?;
    }

    print_codes(&hostile);
    let missed = print_summary(&alone, &attacked, &hostile, [start, peak, last], alive);
    ensure!(missed == 0, "{missed} gates were missed");
    Ok(())
}

/// Let every guest loose once, so that what is kept of each is there.
async fn shoot_each(address: SocketAddr, shots: &[Shot]) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    let mut tally = Tally::default();
    for shot in shots {
        tally.shoot(&mut connection, address, shot).await?;
    }
    Ok(())
}

fn print_codes(hostile: &Tally) {
    let codes: Vec<_> = hostile.codes.iter().map(|(code, count)| vec![code.clone(), count.to_string()]).collect();
    print_table("Hostile calls by outcome.", &["outcome", "calls"], &codes);
    if !hostile.unexpected.is_empty() {
        let rows: Vec<_> =
            hostile.unexpected.iter().map(|(name, count)| vec![name.clone(), count.to_string()]).collect();
        print_table("Of these ended otherwise than the zoo says:", &["attack", "calls"], &rows);
    }
    if hostile.unanswered > 0 {
        println!("{} hostile calls got no answer at all.", hostile.unanswered);
    }
}

/// The table for people. How many gates were missed.
fn print_summary(
    alone: &Honest,
    attacked: &Honest,
    hostile: &Tally,
    [start, peak, last]: [Footprint; 3],
    alive: bool,
) -> usize {
    let (quiet, loud) = (alone.latencies.quantile_us(0.5), attacked.latencies.quantile_us(0.5));
    let slowdown = loud / quiet.max(f64::MIN_POSITIVE);
    let failures = alone.failures + attacked.failures;
    let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let unexpected: u64 = hostile.unexpected.values().sum();
    let unanswered = hostile.unanswered;
    let growth = last.pss_bytes.saturating_sub(start.pss_bytes);
    let more_files = last.files.saturating_sub(start.files);
    let gates = [
        ("server alive", alive.to_string(), "true".to_owned(), alive),
        ("honest calls that failed", failures.to_string(), "0".to_owned(), failures == 0),
        ("hostile calls that ended otherwise", unexpected.to_string(), "0".to_owned(), unexpected == 0),
        ("hostile calls without an answer", unanswered.to_string(), "0".to_owned(), unanswered == 0),
        ("median against alone", format!("{slowdown:.2}"), format!("{SLOWDOWN_GATE}"), slowdown <= SLOWDOWN_GATE),
        ("memory growth", mebibytes(growth), mebibytes(GROWTH_GATE_BYTES), growth <= GROWTH_GATE_BYTES),
        ("files growth", more_files.to_string(), FILES_GATE.to_string(), more_files <= FILES_GATE),
    ];
    let rows = [
        vec!["honest calls alone".to_owned(), alone.latencies.total().to_string()],
        vec!["honest calls under attack".to_owned(), attacked.latencies.total().to_string()],
        vec!["honest median alone".to_owned(), format!("{quiet:.0} µs")],
        vec!["honest median under attack".to_owned(), format!("{loud:.0} µs")],
        vec!["honest p99 alone".to_owned(), format!("{:.0} µs", alone.latencies.quantile_us(0.99))],
        vec!["honest p99 under attack".to_owned(), format!("{:.0} µs", attacked.latencies.quantile_us(0.99))],
        vec![
            "memory at start, peak, end".to_owned(),
            [start, peak, last].map(|look| mebibytes(look.pss_bytes)).join(", "),
        ],
        vec!["files at start, peak, end".to_owned(), [start, peak, last].map(|look| look.files.to_string()).join(", ")],
        vec![
            "processes at start, peak, end".to_owned(),
            [start, peak, last].map(|look| look.processes.to_string()).join(", "),
        ],
    ];
    print_table("Soak: what was seen.", &["", "measured"], &rows);
    let verdict = |fits: bool| if fits { "ok" } else { "MISSED" }.to_owned();
    let rows: Vec<_> = gates
        .iter()
        .map(|(what, seen, gate, fits)| vec![(*what).to_owned(), seen.clone(), gate.clone(), verdict(*fits)])
        .collect();
    print_table("Soak: the gates.", &["", "measured", "gate", ""], &rows);
    if let Some(failure) = attacked.first_failure.as_ref().or(alone.first_failure.as_ref()) {
        println!("The first honest call that failed: {failure}");
    }
    gates.iter().filter(|(_, _, _, fits)| !fits).count()
}

impl Footprint {
    fn of(pid: u32) -> Result<Self> {
        let family = process::family(pid)?;
        Ok(Self { pss_bytes: process::pss_of(&family), files: process::files_of(&family), processes: family.len() })
    }

    /// The larger of each.
    fn max(self, other: Self) -> Self {
        Self {
            pss_bytes: self.pss_bytes.max(other.pss_bytes),
            files: self.files.max(other.files),
            processes: self.processes.max(other.processes),
        }
    }
}

/// Call an honest tool over so many connections until then, on a thread of its own.
pub(crate) fn call_honestly(
    connections: u16,
    target: &Target,
    end: Instant,
) -> Result<oneshot::Receiver<Result<Honest>>> {
    call_as_long_as(connections, target, move || Instant::now() < end)
}

/// The same, as long as the flag says so.
pub(crate) fn call_while(
    connections: u16,
    target: &Target,
    going: Arc<AtomicBool>,
) -> Result<oneshot::Receiver<Result<Honest>>> {
    call_as_long_as(connections, target, move || going.load(Ordering::Relaxed))
}

fn call_as_long_as(
    connections: u16,
    target: &Target,
    going: impl Fn() -> bool + Clone + Send + 'static,
) -> Result<oneshot::Receiver<Result<Honest>>> {
    let target = target.clone();
    on_thread("honest", move || async move {
        let mut loops = JoinSet::new();
        for _ in 0..connections {
            loops.spawn(call_honest(target.clone(), going.clone()));
        }
        let mut total = Honest { latencies: Histogram::new(), failures: 0, first_failure: None };
        while let Some(ended) = loops.join_next().await {
            total.merge(ended.context("a connection panicked")??);
        }
        Ok(total)
    })
}

async fn call_honest(target: Target, going: impl Fn() -> bool) -> Result<Honest> {
    let mut connection = Connection::open(target.address).await?;
    let mut seen = Honest { latencies: Histogram::new(), failures: 0, first_failure: None };
    while going() {
        let sent = Instant::now();
        let answer = match connection.exchange(&target.request).await {
            Ok(response) => target.expected.check(&response),
            Err(error) => Err(error),
        };
        match answer {
            Ok(()) => seen.latencies.record(sent.elapsed()),
            Err(error) => {
                seen.failures += 1;
                seen.first_failure.get_or_insert_with(|| format!("{error:#}"));
                // What was read may be half of an answer.
                connection = Connection::open(target.address).await?;
            }
        }
    }
    Ok(seen)
}

impl Honest {
    fn merge(&mut self, other: Self) {
        self.latencies.merge(&other.latencies);
        self.failures += other.failures;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

/// Attack over so many connections until then, on a thread of its own. Each connection goes through all attacks, and
/// each begins with another one.
fn attack(
    connections: u16,
    address: SocketAddr,
    shots: &[Shot],
    end: Instant,
) -> Result<oneshot::Receiver<Result<Tally>>> {
    let shots = shots.to_vec();
    on_thread("hostile", move || async move {
        let mut loops = JoinSet::new();
        for number in 0..usize::from(connections) {
            let mut turned = shots.clone();
            turned.rotate_left(number * shots.len() / usize::from(connections));
            loops.spawn(attack_until(address, turned, end));
        }
        let mut total = Tally::default();
        while let Some(ended) = loops.join_next().await {
            total.merge(ended.context("a connection panicked")??);
        }
        Ok(total)
    })
}

async fn attack_until(address: SocketAddr, shots: Vec<Shot>, end: Instant) -> Result<Tally> {
    let mut connection = Connection::open(address).await?;
    let mut tally = Tally::default();
    for shot in shots.iter().cycle() {
        if Instant::now() >= end {
            break;
        }
        tally.shoot(&mut connection, address, shot).await?;
    }
    Ok(tally)
}

/// Do some work on a thread with a runtime of its own.
fn on_thread<T, F>(name: &str, work: impl FnOnce() -> F + Send + 'static) -> Result<oneshot::Receiver<Result<T>>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>>,
{
    let (sender, receiver) = oneshot::channel();
    let run = move || {
        let runtime = Builder::new_current_thread().enable_all().build().context("cannot start the runtime");
        // Nobody listens any more when the scenario was stopped; then the process is about to end.
        let _ = sender.send(runtime.and_then(|runtime| runtime.block_on(work())));
    };
    thread::Builder::new().name(name.to_owned()).spawn(run).context("cannot start a thread")?;
    Ok(receiver)
}
