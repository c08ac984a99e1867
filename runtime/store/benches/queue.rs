//! What durable jobs cost: beside the plainest correct implementation, and with many of them waiting.
//!
//! `cargo bench -p fumehood-store --bench queue` takes minutes and a disk; with `-- --quick` some seconds. `--dir DIR` says on which
//! disk. Everything that is counted is on disk when it is counted. Where other programs use the disk or the processors, rates
//! tell little: ratios and the processor's time for each job tell more.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use fumehood_model::{Digest, JobId, JobOutcome, JobState, JobTool, KeyId, Lowered, Outcome, Priority, Timestamp};
use fumehood_store::{Access, Bounds, Claim, DataDirectory, Database, End, Finish, Jobs, NewJob, NodeId};
use rusqlite::Connection;

const BOUNDS: Bounds = Bounds { waiting: u64::MAX, waiting_per_key: u64::MAX };

/// Jobs that a node asks for at a time.
const BATCH: usize = 64;

/// Keys that submit.
const KEYS: u64 = 8;

/// How much is measured.
struct Extent {
    jobs: u64,
    alone: u64,
    baseline: u64,
    waiting: &'static [u64],
}

const FULL: Extent = Extent { jobs: 60_000, alone: 500, baseline: 500, waiting: &[1_000, 100_000, 1_000_000] };
const QUICK: Extent = Extent { jobs: 5_000, alone: 100, baseline: 100, waiting: &[1_000, 20_000] };

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let extent = if arguments.iter().any(|argument| argument == "--quick") { QUICK } else { FULL };
    let dir = arguments.iter().position(|argument| argument == "--dir").and_then(|at| arguments.get(at + 1));
    let dir = dir.map_or_else(std::env::temp_dir, Into::into);

    let folder = tempfile::tempdir_in(&dir).expect("a folder");
    // Before and after, as the disk may change meanwhile.
    let before = baseline(&folder.path().join("before.db"), extent.baseline);
    let store = open(&folder.path().join("one"));
    let alone = submit(&store, 0, extent.alone, 1).await;
    let submitted = submit(&store, extent.alone, extent.jobs, 64).await;
    let mut ended = 0;
    let started = Instant::now();
    while ended < extent.alone {
        ended += work(&store, 1, 1).await;
    }
    let one_by_one = extent.alone as f64 / started.elapsed().as_secs_f64();
    let drained = drain(&store, extent.jobs).await;
    let after = baseline(&folder.path().join("after.db"), extent.baseline);
    let plain = ((before.0 + after.0) / 2.0, (before.1 + after.1) / 2.0);
    println!("{:<34} {:>12} {:>14} {:>8}", "", "baseline /s", "fumehood /s", "ratio");
    row("submit, 1 client", plain.0, alone);
    row("submit, 64 clients", plain.0, submitted);
    row("claim + complete, 1 at a time", plain.1, one_by_one);
    row("claim + complete, 64 at a time", plain.1, drained);

    println!("\nmicroseconds a job       of the clock                of the processors");
    println!(
        "{:>12} waiting {:>10} {:>16} {:>10} {:>16}",
        "", "submit", "claim + complete", "submit", "claim + complete"
    );
    let store = open(&folder.path().join("many"));
    let mut next = 0;
    for waiting in extent.waiting {
        while next < *waiting {
            let batch: Vec<_> = (next..(next + 1_000).min(*waiting)).map(job).collect();
            next += batch.len() as u64;
            store.submit(batch, BOUNDS, Timestamp::now()).await.expect("they are taken in");
        }
        let jobs = extent.jobs / 3;
        let before = processors();
        let submitted = submit(&store, next + 10_000_000, jobs, 64).await;
        let between = processors();
        // As many go as have come.
        let ended = drain(&store, jobs).await;
        let used = [between - before, processors() - between].map(|used| used.as_secs_f64() * 1e6 / jobs as f64);
        println!("{waiting:>20} {:>10.1} {:>16.1} {:>10.1} {:>16.1}", 1e6 / submitted, 1e6 / ended, used[0], used[1]);
    }
    println!("\nmemory of this process: {}", resident());
}

fn row(what: &str, baseline: f64, ours: f64) {
    println!("{what:<34} {baseline:>12.0} {ours:>14.0} {:>7.1}x", ours / baseline);
}

fn open(path: &Path) -> Database {
    DataDirectory::open(path, Access::Own).and_then(|directory| directory.database()).expect("a database")
}

fn job(number: u64) -> NewJob {
    let now = Timestamp::now();
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    NewJob {
        id: JobId::new(now, random),
        owner: KeyId(format!("key{:07}", number % KEYS).into()),
        tool: JobTool {
            module: "text-stats".parse().expect("a name"),
            function: "count-words".into(),
            digest: Digest::of(b"m"),
        },
        input: r#"{"text":"the quick brown fox jumps over the lazy dog","top":3}"#.into(),
        lowered: Lowered::default(),
        priority: Priority::default(),
        run_at: now,
        expires_at: None,
        max_attempts: 3,
        is_repeatable: true,
        tags: Vec::new(),
        idempotency: None,
        schedule: None,
        held_by: None,
        ended: None,
    }
}

/// Submit jobs one by one from this many clients at a time; how many a second.
async fn submit(store: &Database, first: u64, jobs: u64, clients: u64) -> f64 {
    let started = Instant::now();
    let clients: Vec<_> = (0..clients)
        .map(|client| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in (first + client..first + jobs).step_by(clients as usize) {
                    store.submit(vec![job(number)], BOUNDS, Timestamp::now()).await.expect("it is taken in");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("it ends");
    }
    jobs as f64 / started.elapsed().as_secs_f64()
}

/// Claim and complete jobs in two nodes; how many a second.
async fn drain(store: &Database, jobs: u64) -> f64 {
    let started = Instant::now();
    let left = Arc::new(Mutex::new(jobs));
    let nodes: Vec<_> = (0..2)
        .map(|node| {
            let (store, left) = (store.clone(), Arc::clone(&left));
            tokio::spawn(async move {
                loop {
                    let most = {
                        let mut left = left.lock().expect("nobody panics");
                        let most = (*left).min(BATCH as u64);
                        *left -= most;
                        most
                    };
                    if most == 0 {
                        return;
                    }
                    assert_eq!(work(&store, node, most as usize).await, most, "there are as many left");
                }
            })
        })
        .collect();
    for node in nodes {
        node.await.expect("it ends");
    }
    jobs as f64 / started.elapsed().as_secs_f64()
}

/// Claim jobs and complete each by itself; how many.
async fn work(store: &Database, node: u64, most: usize) -> u64 {
    let now = Timestamp::now();
    let until = Timestamp { unix_ms: now.unix_ms + 30_000 };
    let claim = Claim { node: NodeId(node), most, at_once: most, per_key: u64::MAX, until };
    let claimed = store.claim(claim, now).await.expect("they are given out");
    let count = claimed.len() as u64;
    let finishes: Vec<_> = claimed
        .into_iter()
        .map(|claimed| {
            let store = store.clone();
            let outcome = JobOutcome::Ended(Outcome::Value(r#"{"words":9}"#.to_owned()));
            let end = End::Final { state: JobState::Completed, outcome: Some(outcome) };
            let finish = Finish { lease: claimed.lease, end, usage: None, held_for: Duration::from_millis(1) };
            tokio::spawn(async move { store.finish(finish, Timestamp::now()).await })
        })
        .collect();
    for finish in finishes {
        finish.await.expect("it ends").expect("it is recorded").expect("its lease holds");
    }
    count
}

/// The plainest correct queue: a transaction with a sync for each submission, each claim and each completion.
fn baseline(path: &Path, jobs: u64) -> (f64, f64) {
    let db = Connection::open(path).expect("a database");
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE jobs (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, state TEXT, input TEXT, result TEXT);
         CREATE INDEX waiting ON jobs (state, seq);",
    )
    .expect("a table");
    let db = Arc::new(Mutex::new(db));
    let input = job(0).input;
    let input = std::str::from_utf8(&input).expect("it is text");
    let all = |work: &(dyn Fn(&Connection, u64) + Sync)| {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for client in 0..8 {
                let db = &db;
                scope.spawn(move || {
                    for number in (client..jobs).step_by(8) {
                        work(&db.lock().expect("nobody panics"), number);
                    }
                });
            }
        });
        jobs as f64 / started.elapsed().as_secs_f64()
    };
    let submitted = all(&|db, number| {
        db.prepare_cached("INSERT INTO jobs (id, state, input) VALUES (?1, 'waiting', ?2)")
            .and_then(|mut insert| insert.execute((number.to_string(), input)))
            .expect("it is taken in");
    });
    let ended = all(&|db, _| {
        let seq: i64 = db
            .prepare_cached(
                "UPDATE jobs SET state = 'running' WHERE seq =
                     (SELECT seq FROM jobs WHERE state = 'waiting' ORDER BY seq LIMIT 1) RETURNING seq",
            )
            .and_then(|mut claim| claim.query_row([], |row| row.get(0)))
            .expect("it is given out");
        db.prepare_cached("UPDATE jobs SET state = 'completed', result = '9' WHERE seq = ?1 AND state = 'running'")
            .and_then(|mut finish| finish.execute([seq]))
            .expect("it is recorded");
    });
    (submitted, ended)
}

/// Time of processors that this process has used. The kernel counts it in hundredths of a second.
fn processors() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold anything; twelve fields further are the times.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or_else(|| "unknown".to_owned(), |size| size.trim().to_owned())
}
