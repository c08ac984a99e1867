//! S6: how soon a worker process is there again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use super::{HONEST, Verdict, ms};
use crate::arguments::Goal;
use crate::client::Connection;
use crate::fumehood::{Fumehood, Home, PATIENCE, call_until_right, time_call};
use crate::histogram::Histogram;
use crate::process;

/// What the command line of a worker process contains.
const WORKER: &str = "sandbox-worker";
/// The gate, in microseconds.
const GATE_US: f64 = 250_000.0;
/// Longest wait for the next right answer.
const PATIENCE_FOR_A_CALL: Duration = Duration::from_secs(10);
/// Time between two kills, so that the server is at rest again.
const REST: Duration = Duration::from_millis(200);

/// Every worker process of the server is killed at once; then the module is called until it answers rightly. Measured
/// from the kill to that answer, with the call itself.
pub(super) async fn measure(settings: &Goal) -> Result<Verdict> {
    let home = Home::new()?;
    home.add(HONEST, &settings.product.calculator()?)?;
    let fumehood = Fumehood::start(&settings.product.binary()?, &home, &[], PATIENCE).await?;
    let target = fumehood.add(HONEST);
    let mut connection = Connection::open(fumehood.address()).await?;
    time_call(&mut connection, &target).await?;
    let mut times = Histogram::new();
    for _ in 0..settings.kills {
        let workers = workers(fumehood.pid())?;
        if workers.is_empty() {
            fumehood.stop().await?;
            let line = "respawn of a worker process: the server has none".to_owned();
            return Ok(Verdict { line, holds: None });
        }
        for worker in workers {
            let pid = i32::try_from(worker).ok().and_then(Pid::from_raw).context("not a process id")?;
            // It may have been recycled just now.
            let _ = kill_process(pid, Signal::KILL);
        }
        let killed = Instant::now();
        call_until_right(&mut connection, &target, killed + PATIENCE_FOR_A_CALL).await?;
        times.record(killed.elapsed());
        sleep(REST).await;
    }
    fumehood.stop().await?;
    let (median, longest) = (times.quantile_us(0.5), times.longest_us());
    let line = format!(
        "{} kills, from the kill to the next right answer median {} max {} (gate {})",
        settings.kills,
        ms(median),
        ms(longest),
        ms(GATE_US)
    );
    Ok(Verdict { line, holds: Some(longest <= GATE_US) })
}

fn workers(server: u32) -> Result<Vec<u32>> {
    let family = process::family(server)?.into_iter().skip(1);
    Ok(family.filter(|pid| process::command_line(*pid).is_some_and(|line| line.contains(WORKER))).collect())
}
