//! S4: what is dear to compile is decided within its bounds, and nobody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fumehood_tests::zoo::Bomb;
use tokio::time::sleep;

use super::{HONEST, Verdict, mib, ms};
use crate::arguments::Goal;
use crate::client::Connection;
use crate::component::unique;
use crate::fumehood::{Fumehood, Home, PATIENCE};
use crate::process;
use crate::request;
use crate::scenarios::soak::{call_honestly, call_while};

/// CPU time in which an upload is decided, and the grace that the kernel has to notice.
const CPU_GATE: Duration = Duration::from_millis(20_500);
/// Memory of a child that decides.
const MEMORY_GATE_BYTES: u64 = 1 << 30;
/// How many times its p99 alone an honest call may take meanwhile.
const SLOWDOWN_GATE: f64 = 1.2;
/// Time in which the honest calls are measured alone.
const ALONE: Duration = Duration::from_secs(10);
/// Pause between two looks at the children.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// Connections that call honestly.
const CONNECTIONS: u16 = 1;

/// The bombs that go off in a compiler, each with other bytes so that nothing of it is known, one after another, with the
/// product's own bounds. Children are looked at every 20 ms: what one does in its last moments is not seen.
pub(super) async fn measure(settings: &Goal) -> Result<Verdict> {
    let home = Home::new()?;
    home.add(HONEST, &settings.product.calculator()?)?;
    let fumehood = Fumehood::start(&settings.product.binary()?, &home, &[], PATIENCE).await?;
    let honest = fumehood.add(HONEST);
    let alone = call_honestly(CONNECTIONS, &honest, Instant::now() + ALONE)?.await??;

    let going = Arc::new(AtomicBool::new(true));
    let watched = tokio::spawn(watch(fumehood.pid(), Arc::clone(&going)));
    let mut connection = Connection::open(fumehood.address()).await?;
    let bombs: Vec<Vec<u8>> = Bomb::COMPILED.iter().map(|bomb| bomb.bytes()).collect();
    let others = call_while(CONNECTIONS, &honest, Arc::clone(&going))?;
    let mut accepted = 0;
    for number in 0..settings.bombs {
        let bytes = unique(&bombs[number as usize % bombs.len()], number);
        let upload = request::upload(fumehood.address(), fumehood.key(), &format!("bomb{number}"), &bytes);
        accepted += u64::from(connection.exchange(&upload).await?.status < 400);
    }
    going.store(false, Ordering::Relaxed);
    let others = others.await??;
    let (cpu, memory) = watched.await.context("the watch panicked")??;
    let alive = process::is_alive(fumehood.pid());
    fumehood.stop().await?;

    let (quiet, loud) = (alone.latencies.quantile_us(0.99), others.latencies.quantile_us(0.99));
    let failures = alone.failures + others.failures;
    let slowdown = loud / quiet.max(f64::MIN_POSITIVE);
    let line = format!(
        "{} compile bombs, {accepted} of them compiled after all: CPU of a child {:.1} s (gate 20) memory {} (gate {}) \
         p99 of others {} against {} alone, {slowdown:.2} times (gate {SLOWDOWN_GATE}), {failures} of them failed (gate 0)",
        settings.bombs,
        cpu.as_secs_f64(),
        mib(memory),
        mib(MEMORY_GATE_BYTES),
        ms(loud),
        ms(quiet)
    );
    let holds = alive && cpu <= CPU_GATE && memory <= MEMORY_GATE_BYTES && slowdown <= SLOWDOWN_GATE && failures == 0;
    Ok(Verdict { line, holds: Some(holds) })
}

/// Most CPU time and memory of any child so far.
async fn watch(pid: u32, going: Arc<AtomicBool>) -> Result<(Duration, u64)> {
    let (mut cpu, mut memory) = (Duration::ZERO, 0);
    while going.load(Ordering::Relaxed) {
        for child in process::family(pid)?.into_iter().skip(1) {
            if process::command_line(child).is_some_and(|line| line.contains("compile-worker")) {
                cpu = cpu.max(process::cpu_time(child).unwrap_or_default());
                memory = memory.max(process::peak_rss(child).unwrap_or_default());
            }
        }
        sleep(LOOK_PAUSE).await;
    }
    Ok((cpu, memory))
}
