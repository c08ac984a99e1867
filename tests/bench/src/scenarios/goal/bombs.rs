//! S4: what is dear to compile is decided within its bounds, and nobody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fumehood_tests::zoo::{Bomb, Fate};
use serde_json::Value;
use tokio::time::sleep;

use super::{HONEST, Verdict, mib, ms};
use crate::arguments::Goal;
use crate::client::{Connection, Response};
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
    let bombs: Vec<_> = Bomb::COMPILED.iter().map(|bomb| (bomb.bytes(), bomb.fate())).collect();
    let others = call_while(CONNECTIONS, &honest, Arc::clone(&going))?;
    let mut decided = Decided::default();
    for number in 0..settings.bombs {
        let (bytes, fate) = &bombs[number as usize % bombs.len()];
        let bytes = unique(bytes, number);
        let upload = request::upload(fumehood.address(), fumehood.key(), &format!("bomb{number}"), &bytes);
        decided.count(fate, &connection.exchange(&upload).await?);
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
        "{} compile bombs, {decided} otherwise than the zoo says (gate 0): \
         CPU of a child {:.1} s (gate 20) memory {} (gate {}) \
         p99 of others {} against {} alone, {slowdown:.2} times (gate {SLOWDOWN_GATE}), {failures} of them failed (gate 0)",
        settings.bombs,
        cpu.as_secs_f64(),
        mib(memory),
        mib(MEMORY_GATE_BYTES),
        ms(loud),
        ms(quiet)
    );
    let bounded = decided.otherwise == 0 && cpu <= CPU_GATE && memory <= MEMORY_GATE_BYTES;
    let holds = alive && bounded && slowdown <= SLOWDOWN_GATE && failures == 0;
    // Where no compiler reached its bounds, nothing was measured of them.
    let is_measured = decided.by_time > 0 && decided.by_memory > 0;
    Ok(Verdict { line, holds: is_measured.then_some(holds) })
}

/// How uploads were decided.
#[derive(Debug, Default)]
struct Decided {
    accepted: u64,
    counted: u64,
    by_time: u64,
    by_memory: u64,
    otherwise: u64,
}

impl Decided {
    fn count(&mut self, fate: &Fate, response: &Response<'_>) {
        let problem: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let message = problem["message"].as_str().unwrap_or_default();
        let fits = match fate {
            Fate::Attacks(_) => response.status < 400,
            Fate::Refused { status, messages, .. } => {
                response.status == *status && messages.iter().any(|start| message.starts_with(start))
            }
        };
        self.otherwise += u64::from(!fits);
        let way = match message {
            _ if response.status < 400 => &mut self.accepted,
            message if message.ends_with(" of CPU time") => &mut self.by_time,
            message if message.ends_with(" of memory") => &mut self.by_memory,
            _ => &mut self.counted,
        };
        *way += 1;
    }
}

impl std::fmt::Display for Decided {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { accepted, counted, by_time, by_memory, otherwise } = self;
        write!(
            formatter,
            "{counted} refused as counted, {by_time} ended by their time and {by_memory} by their memory, {accepted} compiled; \
             {otherwise}"
        )
    }
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
