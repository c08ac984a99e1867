//! The runner on the store that the server uses, through crashes, failures and clocks that jump.
//!
//! Each seed is another story and goes the same way every time: `FUMEHOOD_SEEDS=5000` tells more of them, and
//! `FUMEHOOD_SEED=17` one of them again.

use std::{
    collections::{BTreeMap, HashSet},
    env,
    sync::{
        Mutex,
        atomic::{AtomicI64, AtomicU64},
    },
    thread,
};

use fumehood_model::{JobId, JobState, KeyId, Timestamp};
use fumehood_store::{Filter, NewJob};
use pollster::block_on;
use tokio::time::sleep;

use super::{
    double::{ROOM, new_job},
    script::Script,
    *,
};
use crate::{Config, dice::Dice, real::Real};

/// Stories that are told when nobody says how many.
const SEEDS: u64 = 200;

const PLACES: Config = Config { calls: 4, jobs: 3, waiting: 10, per_key: 3, waiting_per_key: 10 };

/// What jobs do, each as often as the others.
const KINDS: [&str; 10] = [
    "value 1",
    "value 40",
    "value 700",
    "value 8000",
    "no 20",
    "mend 10",
    "crash 30",
    "panic 5",
    "never 0",
    "value 45000",
];

struct Story {
    dice: Dice,
    store: Arc<Real>,
    script: Script,
    began: Instant,
    offset_ms: Arc<AtomicI64>,
    nodes: u64,
    submitted: BTreeMap<JobId, NewJob>,
    cancelled: HashSet<JobId>,
}

impl Story {
    fn new(seed: u64) -> Self {
        Self {
            dice: Dice(seed),
            store: Arc::new(Real::new(seed, Duration::from_millis(10))),
            script: Script::default(),
            began: Instant::now(),
            offset_ms: Arc::new(AtomicI64::new(1_800_000_000_000)),
            nodes: 0,
            submitted: BTreeMap::new(),
            cancelled: HashSet::new(),
        }
    }

    fn outside(&self, seed: u64) -> Outside {
        let (began, offset, dice) = (self.began, Arc::clone(&self.offset_ms), Mutex::new(Dice(seed)));
        let clock = move || {
            let passed = i64::try_from(began.elapsed().as_millis()).unwrap();
            Timestamp { unix_ms: (offset.load(Ordering::Relaxed) + passed).cast_unsigned() }
        };
        Outside::new(clock, move || dice.lock().unwrap().roll())
    }

    fn now(&self) -> Timestamp {
        self.outside(0).now()
    }

    fn start(&mut self) -> Runner {
        self.nodes += 1;
        let parts = RunnerParts {
            node: NodeId(self.nodes),
            jobs: Arc::clone(&self.store) as Arc<dyn Jobs>,
            execute: Arc::new(self.script.clone()),
            admission: Admission::new(PLACES),
            outside: self.outside(self.nodes),
        };
        // Signals are not lost here, so that most looks without one find nothing.
        Runner::start(RunnerConfig { poll: Duration::from_secs(5), ..RunnerConfig::default() }, parts)
    }

    async fn tell(&mut self) {
        for _ in 0..=self.dice.below(3) {
            let runner = self.start();
            for _ in 0..self.dice.below(12) {
                self.happen().await;
            }
            self.store.is_failing.store(false, Ordering::Relaxed);
            if self.dice.below(3) == 0 {
                let patience = Duration::from_millis(self.dice.below(20_000));
                runner.stop(Instant::now() + patience).await;
            }
            // Whatever was not stopped crashes here.
            drop(runner);
            sleep(Duration::from_millis(1)).await;
            assert_eq!(self.script.running(), 0, "a runner that is gone runs nothing");
        }
    }

    /// Something happens, and time passes.
    async fn happen(&mut self) {
        match self.dice.below(10) {
            0..=4 => self.submit(),
            5 | 6 => self.cancel(),
            7 => {
                let is_failing = self.dice.below(2) == 0;
                self.store.is_failing.store(is_failing, Ordering::Relaxed);
            }
            8 => {
                let jumps = [40_000, -40_000, 86_400_000, -300_000, 5_000, -1_000];
                let jump = jumps[usize::try_from(self.dice.below(6)).unwrap()];
                self.offset_ms.fetch_add(jump, Ordering::Relaxed);
            }
            _ => sleep(Duration::from_millis(self.dice.below(40_000))).await,
        }
        sleep(Duration::from_millis(self.dice.below(1_500))).await;
    }

    fn submit(&mut self) {
        let now = self.now();
        let jobs: Vec<_> = (0..=self.dice.below(12)).map(|_| self.job(now)).collect();
        block_on(self.store.database.submit(jobs.clone(), ROOM, now)).unwrap();
        self.submitted.extend(jobs.into_iter().map(|job| (job.id, job)));
    }

    fn job(&mut self, now: Timestamp) -> NewJob {
        let kind = KINDS[usize::try_from(self.dice.below(10)).unwrap()];
        let owner = ["one", "two", "three"][usize::try_from(self.dice.below(3)).unwrap()];
        let id = self.dice.roll();
        let delay = if self.dice.below(4) == 0 { self.dice.below(20_000) } else { 0 };
        NewJob {
            run_at: Timestamp { unix_ms: now.unix_ms + delay },
            max_attempts: u32::try_from(1 + self.dice.below(4)).unwrap(),
            is_repeatable: self.dice.below(2) == 0,
            ..new_job(id, owner, kind)
        }
    }

    fn cancel(&mut self) {
        let many = self.submitted.len() as u64;
        if many > 0 {
            let at = usize::try_from(self.dice.below(many)).unwrap();
            let id = *self.submitted.keys().nth(at).unwrap();
            self.cancel_one(id);
        }
    }

    fn cancel_one(&mut self, id: JobId) {
        let job = block_on(self.store.database.cancel(id, self.now())).unwrap().unwrap();
        if !job.state.is_final() || job.state == JobState::Cancelled {
            self.cancelled.insert(id);
        }
    }

    /// Let everything come to its end; what never ends by itself is cancelled.
    async fn end(&mut self) {
        let runner = self.start();
        sleep(Duration::from_secs(60)).await;
        let endless: Vec<_> =
            self.submitted.values().filter(|job| job.input.starts_with(b"never")).map(|job| job.id).collect();
        endless.into_iter().for_each(|id| self.cancel_one(id));
        // The clock may have been put back by five minutes, several times.
        for _ in 0..120 {
            if self.states().values().all(|state| state.is_final()) {
                break;
            }
            sleep(Duration::from_secs(30)).await;
        }
        sleep(Duration::from_millis(20)).await;
        assert_eq!(runner.in_hand(), InHand::default());
        runner.stop(Instant::now()).await;
    }

    fn states(&self) -> BTreeMap<JobId, JobState> {
        let most = self.submitted.len() + 1;
        let jobs = block_on(self.store.database.list(Filter { most, ..Filter::default() })).unwrap();
        jobs.into_iter().map(|job| (job.id, job.state)).collect()
    }

    /// What holds whatever has happened.
    fn check(&self) {
        let states = self.states();
        assert_eq!(states.len(), self.submitted.len(), "what was accepted is there");
        let recorded = self.store.recorded.lock().unwrap();
        for (id, job) in &self.submitted {
            let (state, what) = (states[id], String::from_utf8_lossy(&job.input));
            assert!(state.is_final(), "job {id} `{what}` is {state}");
            let recorded = recorded.get(id).map_or(&[][..], Vec::as_slice);
            assert!(recorded.is_empty() || recorded == [state], "job {id} `{what}` is {state} after {recorded:?}");
            let begun = self.script.begun(*id);
            if !job.is_repeatable && !what.starts_with("mend") {
                assert!(begun <= 1, "job {id} `{what}` was begun {begun} times");
            }
            assert!(begun <= job.max_attempts, "job {id} `{what}` was begun {begun} times of {}", job.max_attempts);
            if state == JobState::Completed {
                assert!(begun >= 1, "job {id} `{what}` has an outcome of nothing");
            }
            if state == JobState::Cancelled {
                assert!(self.cancelled.contains(id), "nobody cancelled job {id} `{what}`");
            }
        }
        let most = self.script.seen.most.load(Ordering::Relaxed);
        assert!(most <= PLACES.jobs, "{most} jobs ran in {} places", PLACES.jobs);
    }
}

/// Tell the story of a seed under virtual time.
fn tell(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut story = Story::new(seed);
        story.tell().await;
        story.end().await;
        story.check();
    });
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn whatever_happens_every_job_ends_once_and_none_is_repeated_that_must_not_be() {
    let seeds = match number("FUMEHOOD_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FUMEHOOD_SEEDS").unwrap_or(SEEDS),
    };
    let next = AtomicU64::new(seeds.start);
    let tellers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..tellers {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| seeds.contains(seed)) {
                    if std::panic::catch_unwind(|| tell(seed)).is_err() {
                        panic!("the story of seed {seed} does not end well: FUMEHOOD_SEED={seed} tells it again");
                    }
                }
            });
        }
    });
}

#[tokio::test(start_paused = true)]
async fn keys_that_always_have_jobs_use_equal_shares_however_long_their_jobs_are() {
    let mut story = Story::new(1);
    let now = story.now();
    let mut jobs = Vec::new();
    for number in 0..6_000 {
        jobs.push(new_job(number, "quick", "value 10"));
    }
    for number in 10_000..10_100 {
        jobs.push(new_job(number, "slow", "value 500"));
    }
    block_on(story.store.database.submit(jobs, ROOM, now)).unwrap();

    let _runner = story.start();
    sleep(Duration::from_secs(15)).await;

    let done = |owner: &str| {
        let filter = Filter {
            owner: Some(KeyId(owner.into())),
            states: vec![JobState::Completed],
            most: 10_000,
            ..Filter::default()
        };
        block_on(story.store.database.list(filter)).unwrap().len() as f64
    };
    let (quick, slow) = (done("quick") * 10.0, done("slow") * 500.0);
    let share = slow / quick;
    assert!((0.85..=1.15).contains(&share), "the slow key used {share} times as much: {slow} ms and {quick} ms");
    assert!(quick + slow > 15_000.0 * 3.0 * 0.9, "places stood empty: {quick} and {slow} ms in 15 s of three places");
}
