//! S2: how late a call is stopped at its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fumehood_tests::zoo::{Attack, End, Stop};
use tokio::task::JoinSet;

use super::{Verdict, ms, start};
use crate::arguments::Goal;
use crate::client::Connection;
use crate::histogram::Histogram;
use crate::zoo;

/// Calls at a time: as many as there are cores on the machine for which the gates are.
const CONNECTIONS: u64 = 2;
/// The deadline of each call.
const DEADLINE: Duration = Duration::from_millis(50);
/// Gates, in microseconds.
const P999_GATE_US: f64 = 50_000.0;
const LONGEST_GATE_US: f64 = 100_000.0;

/// Loops, bulk operations, sleeping and waiting, each with a deadline of 50 ms and nothing else that could end it. Measured
/// from the request sent to the answer received, so that it holds for what a caller sees.
pub(super) async fn measure(settings: &Goal) -> Result<Verdict> {
    let (_home, fumehood) = start(settings).await?;
    let address = fumehood.address();
    let shots = Arc::new(zoo::shots(address, &fumehood.new_key("hostile").await?, |_, attack| {
        let ends_at_deadline = attack.end == End::Stopped(Stop::Deadline);
        ends_at_deadline.then(|| Attack { deadline_ms: DEADLINE.as_millis() as u64, ..attack })
    }));
    let next = Arc::new(AtomicU64::new(0));
    let samples = settings.samples;
    let mut loops = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (shots, next) = (Arc::clone(&shots), Arc::clone(&next));
        loops.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut late = Histogram::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= samples {
                    return anyhow::Ok(late);
                }
                let shot = &shots[number as usize % shots.len()];
                let sent = Instant::now();
                let response = connection.exchange(&shot.request).await?;
                let taken = sent.elapsed();
                ensure!(response.status == 504, "{} did not end at its deadline: {response}", shot.name);
                late.record(taken.saturating_sub(DEADLINE));
            }
        });
    }
    let mut late = Histogram::new();
    while let Some(ended) = loops.join_next().await {
        late.merge(&ended.context("a connection panicked")??);
    }
    fumehood.stop().await?;
    let (p999, longest) = (late.quantile_us(0.999), late.longest_us());
    let line = format!(
        "deadline overshoot of {samples} calls p99.9 {} (gate {}) max {} (gate {})",
        ms(p999),
        ms(P999_GATE_US),
        ms(longest),
        ms(LONGEST_GATE_US)
    );
    Ok(Verdict { line, holds: Some(p999 <= P999_GATE_US && longest <= LONGEST_GATE_US) })
}
