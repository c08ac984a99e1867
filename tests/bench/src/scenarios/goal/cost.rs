//! What safety costs: the bounds of a call, and the process in which it runs.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use tokio::runtime::Builder;

use super::{HONEST, Verdict};
use crate::arguments::Goal;
use crate::fumehood::{Fumehood, Home, PATIENCE};
use crate::in_process::{Bounded, Unbounded};
use crate::load::{self, Load};
use crate::report::{median, print_table};

/// How many times the unbounded call a call with all bounds may take.
const BOUNDS_GATE: f64 = 1.25;
/// CPU time that a worker process may add to a call, in microseconds.
const WORKER_GATE_US: f64 = 25.0;
/// Least requests a second through workers, as a share of those inside the server.
const SHARE_GATE: f64 = 0.6;
/// Rounds, in each of which both sides of a comparison are measured, one after the other.
const ROUNDS: usize = 5;
/// Calls of one side in one round.
const CALLS: u32 = 5_000;
/// How a server is loaded: so that it, and not the way to it, is what is measured.
const LOAD: Load =
    Load { connections: 32, threads: 1, warm_up: Duration::from_millis(500), duration: Duration::from_secs(3) };

/// `calculator.add` in process without and with all bounds; then over REST, inside the server and through worker
/// processes, with the CPU time of the server and its workers. Medians of what each round finds.
pub(super) async fn measure(settings: &Goal) -> Result<Verdict> {
    let calculator = settings.product.calculator()?;
    let bytes = calculator.clone();
    let bounds = tokio::task::spawn_blocking(move || compare(&bytes)).await.context("the comparison panicked")??;
    let times: Vec<f64> = bounds.iter().map(|(bare, bounded)| bounded / bare).collect();

    let homes = [Home::new()?, Home::new()?];
    homes.iter().try_for_each(|home| home.add(HONEST, &calculator))?;
    let binary = settings.product.binary()?;
    let trusting = [("FUMEHOOD_ISOLATION__TRUSTED", "*".to_owned())];
    let inside = Fumehood::start(&binary, &homes[0], &trusting, PATIENCE).await?;
    // Workers that stay: the CPU time of one that has ended cannot be asked any more.
    let staying = [("FUMEHOOD_ISOLATION__RECYCLE_AFTER", u32::MAX.to_string())];
    let through = Fumehood::start(&binary, &homes[1], &staying, PATIENCE).await?;
    let (mut more, mut shares, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (bare, bounded) in bounds {
        let here = load::run(LOAD, &inside.add(HONEST), inside.pid()).await?;
        let there = load::run(LOAD, &through.add(HONEST), through.pid()).await?;
        more.push(there.server_cpu_us - here.server_cpu_us);
        shares.push(there.requests_per_second / here.requests_per_second);
        rows.push(vec![
            format!("{bare:.1}, {bounded:.1}"),
            format!("{:.0}, {:.0}", here.requests_per_second, there.requests_per_second),
            format!("{:.1}, {:.1}", here.server_cpu_us, there.server_cpu_us),
            format!("{:.2}", here.other_cores.max(there.other_cores)),
        ]);
    }
    inside.stop().await?;
    through.stop().await?;
    print_table(
        "Cost: bare and bounded, inside the server and through workers, round by round.",
        &["call in process, µs", "REST requests/s", "CPU of a request, µs", "other busy cores"],
        &rows,
    );

    let (times, more, share) = (median(times), median(more), median(shares));
    let line = format!(
        "all bounds take {times:.2} times the bare call (gate {BOUNDS_GATE}), \
         a worker process {more:.1} µs of CPU more a call (gate {WORKER_GATE_US}), \
         REST through workers answers {:.0} % of the requests a second (gate {:.0} %)",
        share * 100.0,
        SHARE_GATE * 100.0
    );
    Ok(Verdict { line, holds: Some(times <= BOUNDS_GATE && more <= WORKER_GATE_US && share >= SHARE_GATE) })
}

/// Microseconds of a bare and of a bounded call in each round. Blocking: the calls have this thread for themselves.
fn compare(calculator: &[u8]) -> Result<Vec<(f64, f64)>> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let (bare, bounded) = (Unbounded::new(calculator)?, Bounded::new(calculator).await?);
        ensure!(bare.call().await? == bounded.call().await?, "the two calls answer differently");
        let mut rounds = Vec::with_capacity(ROUNDS);
        // The first round warms up.
        for _ in 0..=ROUNDS {
            rounds.push((each(|| bare.call()).await?, each(|| bounded.call()).await?));
        }
        Ok(rounds.split_off(1))
    })
}

/// Microseconds of a call, over many of them.
async fn each<F: Future<Output = Result<Bytes>>>(call: impl Fn() -> F) -> Result<f64> {
    let started = Instant::now();
    for _ in 0..CALLS {
        call().await?;
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS))
}
