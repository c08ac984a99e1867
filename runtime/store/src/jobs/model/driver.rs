//! What is done to SQLite and to the model alike, at random but the same for each seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use fumehood_model::{
    Code, Digest, Failure, Job, JobId, JobOutcome, JobState, JobTool, KeyId, Lowered, Outcome, Priority, Progress,
    Timestamp, Usage,
};
use pollster::block_on;

use super::{Given, Model};
use crate::{
    Access, Bounds, Claim, Database, End, Filter, Finish, Idempotency, Jobs, Lease, NewJob, NodeId, Prune, Report,
    Sweep, Told, database::Durability, jobs::reading,
};

/// Steps of one seed.
const STEPS: usize = 60;

/// A generator of numbers that is the same everywhere: SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let bound = (all.len() as u64).max(1);
        all.get(usize::try_from(self.below(bound)).unwrap())
    }
}

struct Driver {
    random: Random,
    folder: tempfile::TempDir,
    database: Option<Database>,
    model: Model,
    now: Timestamp,
    leases: Vec<Lease>,
    accepted: BTreeSet<JobId>,
    before: BTreeMap<JobId, Job>,
    /// How often jobs have begun since they were submitted or tried again, attempts that did not run left out.
    begun: BTreeMap<JobId, u32>,
    submitted: u64,
}

impl Driver {
    fn new() -> Self {
        // Memory, if there is a file system of it: nothing here is about the disk.
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let mut driver = Self {
            random: Random(0),
            folder,
            database: None,
            model: Model::default(),
            now: Timestamp { unix_ms: 0 },
            leases: Vec::new(),
            accepted: BTreeSet::new(),
            before: BTreeMap::new(),
            begun: BTreeMap::new(),
            submitted: 0,
        };
        driver.reopen();
        driver
    }

    /// As if the process had ended and another one begun.
    fn reopen(&mut self) {
        self.database = None;
        let path = self.folder.path().join("db");
        self.database = Some(Database::open_with(&path, Access::Own, Durability::Process).unwrap());
    }

    fn database(&self) -> &Database {
        self.database.as_ref().unwrap()
    }

    fn run(&mut self, seed: u64) {
        let empty = "DELETE FROM jobs; DELETE FROM job_shares; UPDATE job_clock SET used_us = 0;";
        self.database().write(move |db| db.execute_batch(empty)).unwrap();
        self.random = Random(seed);
        self.model = Model::default();
        self.now = Timestamp { unix_ms: 1_000_000_000 };
        self.leases.clear();
        self.accepted.clear();
        self.before.clear();
        self.begun.clear();
        for _ in 0..STEPS {
            self.step();
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..25 => self.submit(),
            25..45 => self.claim(),
            45..65 => self.finish(),
            65..70 => self.report(),
            70..74 => self.renew(),
            74..82 => self.sweep(),
            82..87 => self.cancel(),
            87..91 => self.retry(),
            91..94 => self.prune(),
            94..99 => self.pass_time(),
            _ => self.reopen(),
        }
        self.compare();
    }

    fn pass_time(&mut self) {
        let ms = self.random.below(40_000);
        // Now and then a clock goes back.
        let back = self.random.one_in(6);
        self.now.unix_ms = if back { self.now.unix_ms - ms } else { self.now.unix_ms + ms };
    }

    fn soon(&mut self) -> Timestamp {
        Timestamp { unix_ms: self.now.unix_ms + self.random.below(20_000) }
    }

    fn new_job(&mut self) -> NewJob {
        self.submitted += 1;
        // Sometimes an id that was there before.
        let number = if self.random.one_in(20) { self.random.below(self.submitted) } else { self.submitted };
        let mut id = [0; 16];
        id[8..].copy_from_slice(&number.to_be_bytes());
        let fingerprint = [u8::try_from(self.random.below(2)).unwrap(); 32];
        let name = self.random.below(4).to_string();
        let states = [JobState::Completed, JobState::Failed, JobState::Discarded];
        NewJob {
            id: JobId::from_bytes(id),
            owner: self.owner(),
            tool: JobTool { module: "m".parse().unwrap(), function: "f".into(), digest: Digest::of(b"m") },
            input: if self.random.one_in(10) { vec![b'1'; 3_000].into() } else { Bytes::from(number.to_string()) },
            lowered: Lowered::default(),
            priority: Priority::try_from(i64::try_from(self.random.below(19)).unwrap() - 9).unwrap(),
            run_at: if self.random.one_in(4) { self.soon() } else { self.now },
            expires_at: self.random.one_in(5).then(|| self.soon()),
            max_attempts: u32::try_from(1 + self.random.below(5)).unwrap(),
            is_repeatable: !self.random.one_in(3),
            tags: Vec::new(),
            idempotency: self.random.one_in(4).then_some(Idempotency { key: name, fingerprint }),
            schedule: None,
            held_by: self.random.one_in(15).then(|| (self.node(), self.soon())),
            ended: self.random.one_in(20).then(|| (*self.random.of(&states).unwrap(), Some(self.outcome()))),
        }
    }

    fn owner(&mut self) -> KeyId {
        KeyId((*self.random.of(&["a", "b", "c"]).unwrap()).into())
    }

    fn node(&mut self) -> NodeId {
        NodeId(1 + self.random.below(3))
    }

    fn outcome(&mut self) -> JobOutcome {
        match self.random.below(3) {
            0 => JobOutcome::Ended(Outcome::Value(self.random.below(1_000).to_string())),
            1 => JobOutcome::Ended(Outcome::ToolError("\"no\"".into())),
            _ => JobOutcome::Failed(Failure { code: Code::Busy, message: String::new() }),
        }
    }

    fn submit(&mut self) {
        let count = 1 + self.random.below(3);
        let jobs: Vec<_> = (0..count).map(|_| self.new_job()).collect();
        let bounds = Bounds { waiting: 5 + self.random.below(15), waiting_per_key: 3 + self.random.below(10) };
        let held: Vec<_> = jobs.iter().filter(|job| job.held_by.is_some() && job.ended.is_none()).cloned().collect();
        let expected = self.model.submit(jobs.clone(), bounds, self.now);
        if self.random.one_in(8) {
            // Nobody waits for the answer; it is done all the same.
            let submit = self.database().submit(jobs, bounds, self.now);
            let _ = pin!(submit).as_mut().poll(&mut Context::from_waker(Waker::noop()));
            // The writer does things in their order, so that this one comes after it.
            self.database().write(|_| Ok(())).unwrap();
        } else {
            let actual = block_on(self.database().submit(jobs, bounds, self.now));
            assert_eq!(format!("{actual:?}"), format!("{expected:?}"));
        }
        for submitted in expected.into_iter().flatten().filter(|submitted| submitted.is_new) {
            self.accepted.insert(submitted.id);
            if held.iter().any(|job| job.id == submitted.id) {
                self.leases.push(Lease { id: submitted.id, token: 1 });
                self.begun.insert(submitted.id, 1);
            }
        }
    }

    fn claim(&mut self) {
        let until = Timestamp { unix_ms: self.now.unix_ms + 1 + self.random.below(30_000) };
        let most = usize::try_from(self.random.below(6)).unwrap();
        let at_once = usize::try_from(self.random.below(6)).unwrap().min(most);
        let claim = Claim { node: self.node(), most, at_once, per_key: 1 + self.random.below(5), until };
        let expected = self.model.claim(claim, self.now);
        let actual = block_on(self.database().claim(claim, self.now)).unwrap();
        self.leases.extend(actual.iter().map(|claimed| claimed.lease));
        let actual: Vec<_> = actual
            .into_iter()
            .map(|claimed| Given {
                job: claimed.job,
                token: claimed.lease.token,
                input: claimed.input,
                checkpoint: claimed.checkpoint,
            })
            .collect();
        assert_eq!(actual, expected);
        for given in actual {
            let begun = self.begun.entry(given.job.id).or_default();
            *begun += 1;
            assert!(given.job.is_repeatable || *begun == 1, "{} ran twice", given.job.id);
        }
    }

    fn lease(&mut self) -> Option<Lease> {
        // Mostly one that may still hold.
        let recent = self.leases.len().saturating_sub(8);
        let from = if self.random.one_in(4) { 0 } else { recent };
        self.random.of(&self.leases[from..]).copied()
    }

    fn finish(&mut self) {
        let Some(lease) = self.lease() else { return };
        let may_repeat = self.model.job(lease.id).is_some_and(|job| job.is_repeatable);
        let states = [JobState::Completed, JobState::Failed, JobState::Cancelled, JobState::Interrupted];
        let end = match self.random.below(10) {
            0..5 => End::Final { state: *self.random.of(&states).unwrap(), outcome: Some(self.outcome()) },
            // Whoever reports a failure of a job that may not run twice knows that nothing had happened yet: not here.
            5..8 => {
                End::Again { at: self.soon(), outcome: self.outcome(), crashed: !may_repeat || self.random.one_in(3) }
            }
            8 => End::Unrun { at: self.soon() },
            _ => End::Final { state: JobState::Failed, outcome: None },
        };
        let usage = Usage { fuel_units: 1, memory_bytes: 2, duration_us: self.random.below(9) };
        let usage = (!matches!(end, End::Unrun { .. })).then_some(usage);
        let held_for = Duration::from_micros(self.random.below(40_000));
        let finish = Finish { lease, end, usage, held_for };
        let expected = self.model.finish(&finish, self.now);
        assert_eq!(block_on(self.database().finish(finish.clone(), self.now)).unwrap(), expected);
        if expected.is_some() && matches!(finish.end, End::Unrun { .. }) {
            *self.begun.get_mut(&lease.id).unwrap() -= 1;
        }
        if expected.is_some() && self.random.one_in(2) {
            assert_eq!(
                block_on(self.database().finish(finish, self.now)).unwrap(),
                None,
                "a lease ends with its attempt"
            );
        }
    }

    fn report(&mut self) {
        let Some(lease) = self.lease() else { return };
        let count = self.random.below(4);
        let one = |random: &mut Random| match random.below(3) {
            0 => Report::Progress(Progress { done: random.below(100) as f64 / 7.0, total: None, message: None }),
            1 => Report::Checkpoint(random.below(1_000).to_string().into()),
            _ => Report::Told(Told::Log { level: "info".into(), message: random.below(1_000).to_string() }),
        };
        let reports: Vec<_> = (0..count).map(|_| one(&mut self.random)).collect();
        let expected = self.model.report(lease, reports.clone(), self.now);
        assert_eq!(block_on(self.database().report(lease, reports, self.now)).unwrap(), expected);
        assert_eq!(block_on(self.database().events(lease.id, 0, 1_000)).unwrap(), self.model.events(lease.id));
    }

    fn renew(&mut self) {
        let leases: Vec<_> = (0..3).filter_map(|_| self.lease()).collect();
        let until = self.soon();
        let expected: Vec<_> = leases.iter().map(|lease| self.model.renew(*lease, until)).collect();
        assert_eq!(block_on(self.database().renew(leases, until)).unwrap(), expected);
    }

    fn sweep(&mut self) {
        let most = usize::try_from(1 + self.random.below(6)).unwrap();
        let sweep = Sweep { node: self.node(), is_alone: self.random.one_in(3), most };
        let expected = self.model.sweep(sweep, self.now);
        assert_eq!(block_on(self.database().sweep(sweep, self.now)).unwrap(), expected);
    }

    fn any(&mut self) -> Option<JobId> {
        let jobs: Vec<_> = self.accepted.iter().copied().collect();
        self.random.of(&jobs).copied()
    }

    fn cancel(&mut self) {
        let Some(id) = self.any() else { return };
        let expected = self.model.cancel(id, self.now).map(told);
        assert_eq!(block_on(self.database().cancel(id, self.now)).unwrap().map(told), expected);
    }

    fn retry(&mut self) {
        let Some(id) = self.any() else { return };
        if self.model.job(id).is_some_and(|job| job.state.is_dead_letter()) {
            self.before.remove(&id);
            self.begun.remove(&id);
        }
        let expected = self.model.retry(id, self.now).map(told);
        assert_eq!(block_on(self.database().retry(id, self.now)).unwrap().map(told), expected);
    }

    fn prune(&mut self) {
        let owner = self.random.one_in(2).then(|| self.owner());
        let ended_before = self.random.one_in(2).then(|| self.soon());
        let (keep, most) = (self.random.below(4), usize::try_from(self.random.below(5)).unwrap());
        let prune = Prune { owner, ended_before, keep, most, ..Prune::default() };
        let expected = self.model.prune(&prune);
        assert_eq!(block_on(self.database().prune(prune)).unwrap(), expected);
        let kept: BTreeSet<_> = self.model.jobs().into_iter().map(|job| job.id).collect();
        self.accepted.retain(|id| kept.contains(id));
        self.before.retain(|id, _| kept.contains(id));
    }

    /// That SQLite and the model hold the same, that nothing was lost, and that what has ended stays as it is.
    fn compare(&mut self) {
        let (all, now) = (Filter { most: 1_000, ..Filter::default() }, self.now);
        // On this thread: after each of many steps, the way to another one would be most of the time.
        let read = self.database().with(|db| Ok((reading::list(db, &all)?, reading::counts(db, now)?)));
        let (actual, counts) = read.unwrap();
        let actual: Vec<_> = actual.into_iter().map(told).collect();
        let expected: Vec<_> = self.model.jobs().into_iter().map(told).collect();
        assert_eq!(actual, expected);
        let mut states = BTreeMap::<usize, u64>::new();
        for job in &actual {
            *states.entry(job.state as usize).or_default() += 1;
        }
        let counted: Vec<_> = counts.states.iter().map(|(state, count)| (*state as usize, *count)).collect();
        assert_eq!(counted, states.into_iter().collect::<Vec<_>>());
        assert_eq!(counts.oldest_available_ms, self.model.oldest_available_ms(self.now));
        let ids: BTreeSet<_> = actual.iter().map(|job| job.id).collect();
        assert_eq!(ids, self.accepted, "what was accepted is there");
        for job in actual {
            if let Some(before) = self.before.get(&job.id) {
                assert_eq!(*before, job, "what has ended does not change");
            } else if job.state.is_final() {
                self.before.insert(job.id, job);
            }
        }
    }
}

/// A job without the words of its failure, which no rule fixes.
fn told(mut job: Job) -> Job {
    if let Some(JobOutcome::Failed(failure)) = &mut job.outcome {
        failure.message.clear();
    }
    job
}

#[test]
fn sqlite_does_what_the_model_does_whatever_happens() {
    // More of them: FUMEHOOD_SEEDS=100000 cargo test -p fumehood-store whatever_happens
    let seeds = std::env::var("FUMEHOOD_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(300);
    let mut driver = Driver::new();
    for seed in 0..seeds {
        // Shown when something fails.
        println!("seed {seed}");
        driver.run(seed);
    }
}
