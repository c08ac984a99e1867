//! A server that is killed again and again while jobs are submitted: what was accepted must end, once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fumehood_model::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::arguments::Chaos;
use crate::client::Connection;
use crate::fumehood::{Fumehood, Home, PATIENCE};
use crate::report::print_table;
use crate::request;

/// The module whose jobs may not run twice, and the one whose jobs may.
const ONCE: &str = "once";
const OFTEN: &str = "often";
/// Says of the one function that is used that it may run twice.
const IDEMPOTENT: &str = "[functions.increment]\nidempotent = true\n";
/// Where each run of a job leaves its mark: the only thing that outlives a guest.
const GRANT: &str = "keyvalue:marks,bytes=64MiB,keys=1000000";
/// Connections that submit.
const SUBMITTERS: u64 = 6;
/// How long everything may take to end after the last start.
const SETTLING: Duration = Duration::from_secs(120);
/// How many seconds a caller waits that was cut off by a kill: as long as it may at a time.
const WAIT_S: u64 = 55;
/// Longest time from a start until orphans are taken back: the goal is two seconds.
const RECOVERY_GATE: Duration = Duration::from_secs(2);

/// A job that was accepted.
#[derive(Debug, Clone)]
struct Accepted {
    module: &'static str,
    mark: String,
    /// When it ended, as the server said the first time it was asked after its end.
    finished_at: Option<String>,
}

type Ledger = Arc<Mutex<BTreeMap<String, Accepted>>>;

/// Kill a server many times, then count.
pub(crate) async fn run(settings: &Chaos) -> Result<()> {
    let component = fumehood_tests::guest("host-api").context("the guest cannot be built here")?;
    let component = std::fs::read(component)?;
    let home = Home::new()?;
    home.add(ONCE, &component)?;
    home.add(OFTEN, &component)?;
    home.add_manifest(OFTEN, IDEMPOTENT)?;
    let (binary, accepted) = (settings.product.binary()?, Ledger::default());
    let (mut slowest, mut cut_off, mut untold) = (Duration::ZERO, 0, 0);
    let mut random = Random(settings.seed);

    let mut fumehood = Fumehood::start(&binary, &home, &[], PATIENCE).await?;
    for module in [ONCE, OFTEN] {
        grant(&fumehood, module).await?;
    }
    let mut number = 0;
    for kill in 0..settings.kills {
        let (address, key) = (fumehood.address(), fumehood.key().to_owned());
        let mut submitters = JoinSet::new();
        for submitter in 0..SUBMITTERS {
            let first = number + submitter * 1_000_000_000;
            submitters.spawn(submit_until_killed(address, key.clone(), first, Arc::clone(&accepted)));
        }
        let watching = tokio::spawn(watch_until_killed(address, key, Arc::clone(&accepted)));
        sleep(Duration::from_millis(20 + random.below(400))).await;
        fumehood.kill().await?;
        let mut most = 0;
        while let Some(count) = submitters.join_next().await {
            most = most.max(count??);
        }
        let waited_for = watching.await?;
        number += most;
        let began = Timestamp::now().to_string();
        fumehood = Fumehood::start(&binary, &home, &[], PATIENCE).await?;
        slowest = slowest.max(recovered(&fumehood, &began).await?);
        if let Some(id) = waited_for {
            cut_off += 1;
            untold += u64::from(!hears_its_end(&fumehood, &id).await?);
        }
        if (kill + 1) % 25 == 0 {
            println!("{} kills, {} jobs accepted", kill + 1, lock(&accepted).len());
        }
    }

    let told = settle(&fumehood, &accepted).await?;
    fumehood.stop().await?;
    let rows: Vec<_> = told.iter().map(|(what, count)| vec![(*what).to_owned(), count.to_string()]).collect();
    print_table("After the last start.", &["", "jobs"], &rows);
    println!("kills {}; orphans taken back at most {} ms after a start", settings.kills, slowest.as_millis());
    println!("callers that waited when the server was killed and asked again: {cut_off}; of these never told {untold}");
    ensure!(cut_off > 0 && untold == 0, "{untold} of {cut_off} callers that waited for a job were never told");
    let wrong: u64 = WRONG.iter().filter_map(|what| told.get(what)).sum();
    ensure!(wrong == 0, "{wrong} jobs were lost, stuck, run twice or ended twice");
    ensure!(told.get("completed").is_some_and(|count| *count > 0), "no job was ever completed: this proves nothing");
    ensure!(slowest <= RECOVERY_GATE, "orphans were taken back after {slowest:?}, and the gate is {RECOVERY_GATE:?}");
    Ok(())
}

/// What must not be.
const WRONG: [&str; 5] = ["lost", "stuck", "may not run twice and did", "completed and never ran", "ended twice"];

/// Submit until the connection breaks; how many were tried.
async fn submit_until_killed(address: SocketAddr, key: String, first: u64, accepted: Ledger) -> Result<u64> {
    let Ok(mut connection) = Connection::open(address).await else { return Ok(0) };
    for number in 0.. {
        let module = if number % 2 == 0 { ONCE } else { OFTEN };
        let mark = format!("{}", first + number);
        let job =
            json!({ "tool": format!("{module}.increment"), "input": { "bucket": "marks", "key": mark, "by": 1 } });
        let sent = request::post(address, "/api/v1/jobs", Some(&key), &[], &job.to_string());
        let Ok(response) = connection.exchange(&sent).await else { return Ok(number + 1) };
        ensure!(response.status == 202, "{response}");
        let job: Value = serde_json::from_slice(&response.body)?;
        let id = job["id"].as_str().context("a job without an id")?.to_owned();
        lock(&accepted).insert(id, Accepted { module, mark, finished_at: None });
    }
    unreachable!("there are enough numbers")
}

/// Wait for jobs as callers do, and remember how those ended that did. The job that was waited for in the end.
async fn watch_until_killed(address: SocketAddr, key: String, accepted: Ledger) -> Option<String> {
    let mut connection = Connection::open(address).await.ok()?;
    loop {
        let open = lock(&accepted).iter().rev().find(|(_, job)| job.finished_at.is_none()).map(|(id, _)| id.clone());
        let Some(id) = open else {
            sleep(Duration::from_millis(1)).await;
            continue;
        };
        match show(&mut connection, address, &key, &id, 1).await {
            Ok(Some(job)) => {
                if let (Some(at), Some(known)) = (job["finished_at"].as_str(), lock(&accepted).get_mut(&id)) {
                    known.finished_at = Some(at.to_owned());
                }
            }
            _ => return Some(id),
        }
    }
}

/// Whether a caller that asks once more, now that the server runs again, hears how its job ended.
async fn hears_its_end(fumehood: &Fumehood, id: &str) -> Result<bool> {
    let mut connection = Connection::open(fumehood.address()).await?;
    let job = show(&mut connection, fumehood.address(), fumehood.key(), id, WAIT_S).await?;
    Ok(job.is_some_and(|job| !job["finished_at"].is_null()))
}

async fn show(
    connection: &mut Connection,
    address: SocketAddr,
    key: &str,
    id: &str,
    wait_s: u64,
) -> Result<Option<Value>> {
    let path = format!("/api/v1/jobs/{id}?wait_s={wait_s}");
    let response = connection.exchange(&request::get(address, &path, key)).await?;
    if response.status == 404 {
        return Ok(None);
    }
    response.require_success()?;
    Ok(Some(serde_json::from_slice(&response.body)?))
}

/// How long after it was ready a server, which was started at `began`, still had a job that an earlier process held.
async fn recovered(fumehood: &Fumehood, began: &str) -> Result<Duration> {
    let mut connection = Connection::open(fumehood.address()).await?;
    let ready = Instant::now();
    loop {
        let request = request::get(fumehood.address(), "/api/v1/jobs?state=running&limit=500", fumehood.key());
        let response = connection.exchange(&request).await?;
        response.require_success()?;
        let page: Value = serde_json::from_slice(&response.body)?;
        let is_old = |job: &Value| job["started_at"].as_str().is_some_and(|at| at < began);
        if !page["jobs"].as_array().is_some_and(|jobs| jobs.iter().any(is_old)) {
            return Ok(ready.elapsed());
        }
        ensure!(ready.elapsed() < PATIENCE, "orphans were never taken back");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Wait until everything has ended, and count how.
async fn settle(fumehood: &Fumehood, accepted: &Ledger) -> Result<BTreeMap<&'static str, u64>> {
    let (address, key) = (fumehood.address(), fumehood.key());
    let mut connection = Connection::open(address).await?;
    let (mut told, deadline) = (BTreeMap::new(), Instant::now() + SETTLING);
    let jobs: Vec<_> = lock(accepted).iter().map(|(id, job)| (id.clone(), job.clone())).collect();
    for (id, known) in jobs {
        *told.entry("accepted").or_default() += 1;
        let mut count = |what: &'static str| *told.entry(what).or_default() += 1;
        let job = loop {
            let Some(job) = show(&mut connection, address, key, &id, 5).await? else { break Value::Null };
            if !job["finished_at"].is_null() || Instant::now() > deadline {
                break job;
            }
        };
        let runs = marks(&mut connection, address, key, &known).await?;
        match job["state"].as_str() {
            None => count("lost"),
            Some("completed") => count("completed"),
            Some("interrupted") => count("interrupted"),
            Some("failed" | "discarded" | "cancelled") => bail!("a job ended as nobody wanted: {job}"),
            Some(_) => count("stuck"),
        }
        if job["state"] == "completed" && runs == 0 {
            count("completed and never ran");
        }
        if known.module == ONCE && runs > 1 {
            count("may not run twice and did");
        }
        if known.finished_at.as_deref().is_some_and(|before| job["finished_at"] != before) {
            count("ended twice");
        }
        if known.module == OFTEN && runs > 1 {
            count("run again, as they may");
        }
    }
    Ok(told)
}

/// How often a job ran: each run adds one to a number of its own.
async fn marks(connection: &mut Connection, address: SocketAddr, key: &str, job: &Accepted) -> Result<u64> {
    let arguments = json!({ "bucket": "marks", "key": job.mark, "by": 0 }).to_string();
    let request = request::call(address, key, job.module, "increment", &arguments);
    let response = connection.exchange(&request).await?;
    response.require_success()?;
    std::str::from_utf8(&response.body)?.trim_matches('"').parse().context("a number of marks")
}

async fn grant(fumehood: &Fumehood, module: &str) -> Result<()> {
    let path = format!("/api/v1/modules/{module}/permissions");
    let body = json!({ "grant": GRANT }).to_string();
    let request = request::post(fumehood.address(), &path, Some(fumehood.key()), &[], &body);
    Connection::open(fumehood.address()).await?.exchange(&request).await?.require_success()
}

fn lock(ledger: &Ledger) -> std::sync::MutexGuard<'_, BTreeMap<String, Accepted>> {
    ledger.lock().expect("no thread panics while it holds the lock")
}

/// Numbers that a seed makes: xorshift, which is enough to choose moments.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
