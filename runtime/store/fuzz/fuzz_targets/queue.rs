//! Any sequence of what nodes, callers and time do to a queue: a job ends once, nobody works on what another holds, and what
//! is counted is what is there.

#![no_main]

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
    time::Duration,
};

use fumehood_model::{
    Code, Digest, Failure, JobId, JobOutcome, JobState, JobTool, KeyId, Lowered, Outcome, Priority, Timestamp,
};
use fumehood_store::{
    Access, Bounds, Claim, DataDirectory, Database, End, Filter, Finish, Held, Idempotency, Jobs, Lease, NewJob,
    NodeId, Prune, Sweep,
};
use futures::executor::block_on;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const BEGIN: u64 = 1_000_000;
const LEASE_MS: u64 = 1_000;
const ALL: usize = 10_000;

struct House {
    database: Database,
    _directory: DataDirectory,
    _folder: TempDir,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| {
    // Nothing of it is to outlive this process.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder");
    let directory = DataDirectory::open(folder.path(), Access::Own).expect("a new data directory");
    let database = directory.database().expect("a new database");
    House { database, _directory: directory, _folder: folder }
});

fn id(number: u8) -> JobId {
    JobId::new(Timestamp { unix_ms: BEGIN }, [number; 10])
}

fn new_job(number: u8, shape: u8, now: Timestamp) -> NewJob {
    NewJob {
        id: id(number),
        owner: KeyId(if shape & 1 == 0 { "a" } else { "b" }.into()),
        tool: JobTool { module: "m".parse().expect("a name"), function: "f".into(), digest: Digest::of(b"component") },
        input: format!("[{number}]").into_bytes().into(),
        lowered: Lowered::default(),
        priority: Priority::default(),
        run_at: Timestamp { unix_ms: now.unix_ms + u64::from(shape >> 6) * 500 },
        expires_at: (shape & 2 != 0).then(|| Timestamp { unix_ms: now.unix_ms + 3_000 }),
        max_attempts: u32::from(shape >> 2 & 3) + 1,
        is_repeatable: shape & 16 != 0,
        tags: Vec::new(),
        idempotency: (shape & 32 != 0)
            .then(|| Idempotency { key: format!("{}", number % 4), fingerprint: [number % 2; 32] }),
        schedule: None,
        held_by: None,
        ended: None,
    }
}

fn end(kind: u8, now: Timestamp) -> End {
    let failure = JobOutcome::Ended(Outcome::ToolError("\"no\"".to_owned()));
    match kind % 5 {
        0 => {
            End::Final { state: JobState::Completed, outcome: Some(JobOutcome::Ended(Outcome::Value("1".to_owned()))) }
        }
        1 => End::Final { state: JobState::Failed, outcome: Some(failure) },
        2 => End::Again { at: Timestamp { unix_ms: now.unix_ms + 500 }, outcome: failure, crashed: false },
        3 => {
            let outcome = JobOutcome::Failed(Failure { code: Code::Trap, message: "it died".to_owned() });
            End::Again { at: now, outcome, crashed: true }
        }
        _ => End::Unrun { at: now },
    }
}

fuzz_target!(|bytes: &[u8]| {
    let store = &HOUSE.database;
    let mut now = Timestamp { unix_ms: BEGIN };
    let bounds = Bounds { waiting: 8, waiting_per_key: 6 };
    // The leases that were given out, whose they are and until when; those that were used.
    let mut leases: Vec<(Lease, NodeId, u64)> = Vec::new();
    let mut used: HashSet<Lease> = HashSet::new();
    let mut ended: HashMap<JobId, JobState> = HashMap::new();
    // No id is given twice.
    let mut forgotten: HashSet<u8> = HashSet::new();

    for step in bytes.chunks_exact(3).take(64) {
        let [what, which, shape] = step else { unreachable!("chunks are exact") };
        let node = NodeId(u64::from(which & 1) + 1);
        let lease = leases.get(usize::from(*which) % leases.len().max(1)).copied();
        match what % 9 {
            0 if forgotten.contains(&(which % 16)) => {}
            0 => {
                // Full, known or named already: told, and nothing is taken in.
                let _ = block_on(store.submit(vec![new_job(which % 16, *shape, now)], bounds, now));
            }
            1 => {
                let most = usize::from(shape % 4) + 1;
                let until = Timestamp { unix_ms: now.unix_ms + LEASE_MS };
                let claim = Claim { node, most, at_once: most, per_key: u64::from(shape >> 4) + 1, until };
                for claimed in block_on(store.claim(claim, now)).expect("the store answers") {
                    assert!(!ended.contains_key(&claimed.job.id), "what has ended is not run again");
                    let other = leases.iter().find(|(lease, _, until)| {
                        lease.id == claimed.lease.id && !used.contains(lease) && *until > now.unix_ms
                    });
                    assert_eq!(other, None, "nobody works on what another holds");
                    leases.push((claimed.lease, node, until.unix_ms));
                }
            }
            2 => {
                let Some((lease, ..)) = lease else { continue };
                let finish = Finish { lease, end: end(*shape, now), usage: None, held_for: Duration::from_millis(5) };
                let state = block_on(store.finish(finish, now)).expect("the store answers");
                if let Some(state) = state {
                    assert!(used.insert(lease), "an attempt ends once");
                    assert!(!ended.contains_key(&lease.id), "a job ends once");
                }
            }
            3 => {
                let Some((lease, owner, _)) = lease else { continue };
                let until = Timestamp { unix_ms: now.unix_ms + LEASE_MS };
                let held = block_on(store.renew(vec![lease], until)).expect("the store answers");
                if held[0] != Held::Lost {
                    assert!(!used.contains(&lease), "what has ended is lost");
                    leases.retain(|(known, ..)| *known != lease);
                    leases.push((lease, owner, until.unix_ms));
                }
            }
            4 => drop(block_on(store.cancel(id(which % 16), now)).expect("the store answers")),
            5 => {
                if let Some(job) = block_on(store.retry(id(which % 16), now)).expect("the store answers")
                    && !job.state.is_final()
                {
                    ended.remove(&job.id);
                }
            }
            6 => {
                let sweep = Sweep { node, is_alone: shape & 1 == 1, most: 100 };
                block_on(store.sweep(sweep, now)).expect("the store answers");
                if sweep.is_alone {
                    // What others hold is taken back at once.
                    for (_, owner, until) in &mut leases {
                        if *owner != node {
                            *until = 0;
                        }
                    }
                }
            }
            7 => now.unix_ms += u64::from(*shape) * 20,
            _ => {
                let prune = Prune { id: Some(id(which % 16)), most: 1, ..Prune::default() };
                if block_on(store.prune(prune)).expect("the store answers") > 0 {
                    forgotten.insert(which % 16);
                }
            }
        }
        let jobs = block_on(store.list(Filter { most: ALL, ..Filter::default() })).expect("the store answers");
        let mut states: HashMap<JobState, u64> = HashMap::new();
        for job in &jobs {
            *states.entry(job.state).or_default() += 1;
        }
        let counted = block_on(store.counts(now)).expect("the store answers").states;
        assert_eq!(counted.into_iter().collect::<HashMap<_, _>>(), states, "what is counted is what is there");
        let there: HashSet<_> = jobs.iter().map(|job| job.id).collect();
        ended.retain(|id, _| there.contains(id));
        for job in jobs.iter().filter(|job| job.state.is_final()) {
            let before = *ended.entry(job.id).or_insert(job.state);
            assert_eq!(before, job.state, "a job ends once");
        }
    }

    // Nothing of it is there for the next one.
    now.unix_ms += 10 * LEASE_MS;
    for number in 0..16 {
        block_on(store.cancel(id(number), now)).expect("the store answers");
    }
    block_on(store.sweep(Sweep { node: NodeId(9), is_alone: true, most: ALL }, now)).expect("the store answers");
    for number in 0..16 {
        block_on(store.cancel(id(number), now)).expect("the store answers");
    }
    block_on(store.prune(Prune { most: ALL, ..Prune::default() })).expect("the store answers");
    let left = block_on(store.list(Filter { most: ALL, ..Filter::default() })).expect("the store answers");
    assert!(left.is_empty(), "all of it ends: {left:?}");
});
