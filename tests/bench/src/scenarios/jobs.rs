//! Jobs from submission to durable outcome.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fumehood_model::Timestamp;
use fumehood_tests::zoo::Guest;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::arguments::Jobs;
use crate::client::Connection;
use crate::fumehood::{Fumehood, Home, PATIENCE};
use crate::process;
use crate::report::print_table;
use crate::request;

/// The module that is called.
const MODULE: &str = "calculator";
/// What every job calls.
const TOOL: &str = "calculator.add";
/// Jobs that wait while pickup is measured the second time, at the most.
const FLOOD: u64 = 120_000;
/// The module of which they are. It sleeps: a server works on short jobs as fast as one submits them, so that few would wait.
const SLEEPER: &str = "sleeper";
/// How long each of them sleeps, in milliseconds, until its deadline ends it.
const SLEEP_MS: u64 = 50;
/// How often one looks whether all have ended.
const LOOK: Duration = Duration::from_millis(5);

/// How soon jobs began after they were submitted, in milliseconds.
struct Pickup {
    p50: u64,
    p99: u64,
}

/// Measure, and print a table.
pub(crate) async fn run(settings: &Jobs) -> Result<()> {
    let home = Home::new()?;
    home.add(MODULE, &settings.product.calculator()?)?;
    home.add_manifest(MODULE, "[functions.add]\nidempotent = true\n")?;
    home.add(SLEEPER, &Guest::SleepForever.component())?;
    home.add_manifest(SLEEPER, &format!("[limits]\ndeadline_ms = {SLEEP_MS}\n"))?;
    let environment = [("FUMEHOOD_LOG__FILTER", "warn".to_owned())];
    let fumehood = Fumehood::start(&settings.product.binary()?, &home, &environment, PATIENCE).await?;
    let (address, key) = (fumehood.address(), fumehood.key().to_owned());
    let light = fumehood.new_key("light").await?;

    let idle = pickup(address, &light, settings.samples).await?;
    let cpu = process::cpu_time_of_family(fumehood.pid())?;
    let began = Instant::now();
    let plain = request::post(address, &format!("/api/{MODULE}/add/queue"), Some(&key), &[], r#"{"a":2,"b":40}"#);
    submit(address, &plain, settings.jobs, settings.connections).await?;
    let submitted = began.elapsed();
    drain(address, &key).await?;
    let ended = began.elapsed();
    let cpu = process::cpu_time_of_family(fumehood.pid())?.saturating_sub(cpu);

    let slow = request::post(address, &format!("/api/{SLEEPER}/sleep/queue"), Some(&key), &[], "{}");
    submit(address, &slow, FLOOD.min(settings.jobs * 6), settings.connections).await?;
    let before = counted(address, &key).await?;
    let busy = pickup(address, &light, settings.samples).await?;
    let after = counted(address, &key).await?;
    fumehood.stop().await?;

    let rate = |time: Duration| format!("{:.0}", settings.jobs as f64 / time.as_secs_f64());
    let rows = [
        vec![format!("submitted a second, {} connections", settings.connections), rate(submitted)],
        vec!["from submission to durable outcome, a second (goal 8,000)".to_owned(), rate(ended)],
        vec!["CPU us of the server a job".to_owned(), format!("{:.0}", cpu.as_secs_f64() * 1e6 / settings.jobs as f64)],
        vec!["pickup while nothing waits, ms: p50, p99 (goal 15)".to_owned(), format!("{}, {}", idle.p50, idle.p99)],
        vec![
            format!("pickup while {before} to {after} jobs of another key wait or run, ms: p50, p99 (goal 15)"),
            format!("{}, {}", busy.p50, busy.p99),
        ],
    ];
    print_table("Jobs of calculator.add over REST, each in a fresh sandbox of a worker process.", &["", ""], &rows);
    Ok(())
}

async fn submit(address: SocketAddr, request: &[u8], jobs: u64, connections: u16) -> Result<()> {
    let left = Arc::new(AtomicU64::new(jobs));
    let mut submitters = JoinSet::new();
    for _ in 0..connections {
        let sent = request.to_vec();
        let left = Arc::clone(&left);
        submitters.spawn(async move {
            let mut connection = Connection::open(address).await?;
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let response = connection.exchange(&sent).await?;
                ensure!(response.status == 202, "{response}");
            }
            anyhow::Ok(())
        });
    }
    while let Some(submitted) = submitters.join_next().await {
        submitted??;
    }
    Ok(())
}

/// How many jobs wait or run.
async fn counted(address: SocketAddr, key: &str) -> Result<u64> {
    let mut connection = Connection::open(address).await?;
    let response = connection.exchange(&request::get(address, "/api/v1/health/detailed", key)).await?;
    response.require_success()?;
    let health: Value = serde_json::from_slice(&response.body)?;
    let of = |state: &str| health["jobs"][state].as_u64().unwrap_or(0);
    Ok(of("available") + of("running") + of("retryable"))
}

async fn drain(address: SocketAddr, key: &str) -> Result<()> {
    while counted(address, key).await? > 0 {
        sleep(LOOK).await;
    }
    Ok(())
}

/// Submit jobs one after the other, each when the one before has ended.
async fn pickup(address: SocketAddr, key: &str, samples: u64) -> Result<Pickup> {
    let mut connection = Connection::open(address).await?;
    let mut waits = Vec::new();
    for _ in 0..samples {
        let sent = json!({ "tool": TOOL, "input": { "a": 2, "b": 40 } }).to_string();
        let sent = request::post(address, "/api/v1/jobs", Some(key), &[], &sent);
        let response = connection.exchange(&sent).await?;
        ensure!(response.status == 202, "{response}");
        let submitted: Value = serde_json::from_slice(&response.body)?;
        let path = format!("/api/v1/jobs/{}?wait_s=50", submitted["id"].as_str().context("a job without an id")?);
        let response = connection.exchange(&request::get(address, &path, key)).await?;
        response.require_success()?;
        let ended: Value = serde_json::from_slice(&response.body)?;
        ensure!(ended["result"] == 42, "{ended}");
        let at =
            |name: &str| -> Result<u64> { Ok(ended[name].as_str().context("a moment")?.parse::<Timestamp>()?.unix_ms) };
        waits.push(at("started_at")?.saturating_sub(at("created_at")?));
    }
    waits.sort_unstable();
    let quantile = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize];
    Ok(Pickup { p50: quantile(0.5), p99: quantile(0.99) })
}
