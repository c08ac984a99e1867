use std::sync::atomic::AtomicU64;

use fumehood_model::{JobId, JobState, Outcome, Timestamp};
use fumehood_store::{NewJob, Told};
use tokio::time::sleep;

use super::{
    double::{Memory, ROOM, new_job},
    script::{Script, failed},
    *,
};
use crate::{Config, dice::Dice};

const LATENCY: Duration = Duration::from_millis(8);

/// A runner with its store, and a time of day that can be set.
struct Bench {
    memory: Arc<Memory>,
    script: Script,
    began: Instant,
    offset_ms: Arc<AtomicU64>,
    numbers: AtomicU64,
}

impl Bench {
    fn new() -> Self {
        Self {
            memory: Arc::new(Memory::new(LATENCY)),
            script: Script::default(),
            began: Instant::now(),
            offset_ms: Arc::new(AtomicU64::new(1_000_000_000)),
            numbers: AtomicU64::new(1_000_000),
        }
    }

    fn outside(&self) -> Outside {
        let (began, offset) = (self.began, Arc::clone(&self.offset_ms));
        let dice = std::sync::Mutex::new(Dice(1));
        let clock = move || Timestamp {
            unix_ms: offset.load(Ordering::Relaxed) + u64::try_from(began.elapsed().as_millis()).unwrap(),
        };
        Outside::new(clock, move || dice.lock().unwrap().roll())
    }

    fn runner(&self, node: u64) -> Runner {
        self.runner_with(node, Config { calls: 4, jobs: 3, waiting: 10, per_key: 4, waiting_per_key: 10 })
    }

    fn runner_with(&self, node: u64, places: Config) -> Runner {
        let parts = RunnerParts {
            node: NodeId(node),
            jobs: Arc::clone(&self.memory) as Arc<dyn Jobs>,
            execute: Arc::new(self.script.clone()),
            admission: Admission::new(places),
            outside: self.outside(),
        };
        Runner::start(RunnerConfig::default(), parts)
    }

    /// Submit a job with changes.
    async fn submit(&self, input: &str, change: impl FnOnce(&mut NewJob)) -> JobId {
        let mut job = new_job(self.numbers.fetch_add(1, Ordering::Relaxed), "key", input);
        change(&mut job);
        let id = job.id;
        self.memory.submit(vec![job], ROOM, self.outside().now()).await.unwrap();
        id
    }

    /// The state in which a job ends.
    async fn end(&self, id: JobId) -> JobState {
        self.until(|memory| memory.look(id).state.is_final()).await;
        self.memory.look(id).state
    }

    async fn until(&self, is_so: impl Fn(&Memory) -> bool) {
        let began = Instant::now();
        while !is_so(&self.memory) {
            assert!(began.elapsed() < Duration::from_secs(3_600), "it never came to be");
            sleep((began.elapsed() / 100).max(Duration::from_millis(1))).await;
        }
    }

    async fn running(&self, many: usize) {
        self.until(|_| self.script.running() == many).await;
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_end_as_their_attempts_do() {
    let bench = Bench::new();
    let _runner = bench.runner(1);

    let value = bench.submit("value 5", |_| {}).await;
    let no = bench.submit("no 5", |_| {}).await;
    let mend = bench.submit("mend 5", |_| {}).await;
    let hopeless = bench.submit("mend 5", |job| job.max_attempts = 2).await;
    let crash = bench.submit("crash 5", |_| {}).await;
    let fragile = bench.submit("crash 5", |job| job.is_repeatable = false).await;
    let panics = bench.submit("panic 5", |job| job.is_repeatable = false).await;

    assert_eq!(bench.end(value).await, JobState::Completed);
    assert_eq!(bench.memory.look(value).outcome, Some(fumehood_model::JobOutcome::Ended(Outcome::Value("1".into()))));
    assert_eq!(bench.end(no).await, JobState::Failed);
    assert_eq!((bench.end(mend).await, bench.script.begun(mend)), (JobState::Completed, 3));
    assert_eq!((bench.end(hopeless).await, bench.script.begun(hopeless)), (JobState::Discarded, 2));
    assert_eq!((bench.end(crash).await, bench.script.begun(crash)), (JobState::Completed, 3));
    assert_eq!((bench.end(fragile).await, bench.script.begun(fragile)), (JobState::Interrupted, 1));
    assert_eq!(bench.end(panics).await, JobState::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn no_more_jobs_run_than_have_places() {
    let bench = Bench::new();
    let runner = bench.runner(1);

    for _ in 0..50 {
        bench.submit("value 200", |_| {}).await;
    }
    bench.until(|memory| memory.count(JobState::Completed) == 50).await;

    assert_eq!(bench.script.seen.most.load(Ordering::Relaxed), 3);
    sleep(LATENCY).await;
    assert_eq!(runner.in_hand(), InHand::default());
}

#[tokio::test(start_paused = true)]
async fn slow_jobs_stay_in_the_store_and_quick_ones_share_a_commit() {
    let bench = Bench::new();
    let jobs = (0..2_000).map(|number| new_job(number, "key", "value 1")).collect();
    bench.memory.submit(jobs, ROOM, bench.outside().now()).await.unwrap();

    let runner = bench.runner(1);
    let began = Instant::now();
    bench.until(|memory| memory.count(JobState::Completed) == 2_000).await;
    let (claims, took) = (bench.memory.claims.load(Ordering::Relaxed), began.elapsed());
    assert!(claims < 150, "{claims} claims for 2000 quick jobs");
    // Three places that never stand empty take two thirds of a second for jobs of a millisecond.
    assert!(took < Duration::from_millis(800), "places stood empty: {took:?}");

    for _ in 0..2 {
        // The runner learns from the first ones how slow they are.
        for _ in 0..20 {
            bench.submit("value 1000", |_| {}).await;
        }
        bench.until(|memory| memory.count(JobState::Available) + memory.count(JobState::Running) <= 10).await;
    }
    assert_eq!(runner.in_hand().waiting, 0, "what is slow waits in the store");
}

#[tokio::test(start_paused = true)]
async fn a_job_is_begun_as_soon_as_it_is_told_of() {
    let bench = Bench::new();
    let _runner = bench.runner(1);
    sleep(Duration::from_millis(1_500)).await;

    let submitted = Instant::now();
    let _id = bench.submit("never 0", |_| {}).await;
    bench.running(1).await;

    assert!(submitted.elapsed() <= LATENCY * 2 + Duration::from_millis(2), "{:?}", submitted.elapsed());
}

#[tokio::test(start_paused = true)]
async fn jobs_are_found_although_signals_are_lost() {
    let bench = Bench::new();
    bench.memory.is_deaf.store(true, Ordering::Relaxed);
    let _runner = bench.runner(1);
    sleep(Duration::from_millis(1_500)).await;

    let submitted = Instant::now();
    let now = bench.submit("value 5", |_| {}).await;
    let at = later(&bench, 3_000);
    let due = bench.submit("value 5", |job| job.run_at = at).await;

    assert_eq!(bench.end(now).await, JobState::Completed);
    assert!(submitted.elapsed() < Duration::from_millis(1_100));
    assert_eq!(bench.end(due).await, JobState::Completed);
    assert!(submitted.elapsed() < Duration::from_millis(9_500), "found by a sweep: {:?}", submitted.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_job_of_a_later_time_runs_when_it_is_due() {
    let bench = Bench::new();
    let _runner = bench.runner(1);
    let submitted = Instant::now();
    let at = later(&bench, 3_333);

    let id = bench.submit("value 0", |job| job.run_at = at).await;
    assert_eq!(bench.end(id).await, JobState::Completed);

    let waited = submitted.elapsed();
    assert!(waited >= Duration::from_millis(3_333) && waited < Duration::from_millis(3_400), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_ends_at_once_wherever_it_is() {
    let bench = Bench::new();
    let runner = bench.runner(1);
    let running = bench.submit("never 0", |_| {}).await;
    for _ in 0..2 {
        bench.submit("value 60000", |_| {}).await;
    }
    bench.running(3).await;
    let waiting = bench.submit("value 0", |_| {}).await;
    let cancelled = Instant::now();

    for id in [running, waiting] {
        bench.memory.cancel(id, bench.outside().now()).await.unwrap();
    }

    assert_eq!(bench.end(running).await, JobState::Cancelled);
    assert_eq!(bench.end(waiting).await, JobState::Cancelled);
    assert!(cancelled.elapsed() < Duration::from_millis(50));
    assert_eq!((bench.script.running(), runner.in_hand().running), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_that_nobody_told_of_is_heard_with_the_next_heartbeat() {
    let bench = Bench::new();
    let _runner = bench.runner(1);
    let id = bench.submit("never 0", |_| {}).await;
    bench.running(1).await;
    bench.memory.is_deaf.store(true, Ordering::Relaxed);

    let cancelled = Instant::now();
    bench.memory.cancel(id, bench.outside().now()).await.unwrap();

    assert_eq!(bench.end(id).await, JobState::Cancelled);
    assert!(cancelled.elapsed() <= Duration::from_millis(10_100), "{:?}", cancelled.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_job_is_held_for_as_long_as_it_runs() {
    let bench = Bench::new();
    let _runner = bench.runner(1);

    let id = bench.submit("value 600000", |job| job.is_repeatable = false).await;

    assert_eq!((bench.end(id).await, bench.script.begun(id)), (JobState::Completed, 1));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_takes_no_job_away() {
    for jump_ms in [86_400_000_i64, -86_400_000, 3_600_000, 31_000] {
        let bench = Bench::new();
        let _runner = bench.runner(1);
        let id = bench.submit("value 60000", |job| job.is_repeatable = false).await;
        bench.running(1).await;

        sleep(Duration::from_secs(20)).await;
        bench.offset_ms.fetch_add(jump_ms.cast_unsigned(), Ordering::Relaxed);

        assert_eq!((bench.end(id).await, bench.script.begun(id)), (JobState::Completed, 1), "{jump_ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_recorded_of_a_job_that_another_has() {
    let bench = Bench::new();
    let runner = bench.runner(1);
    let id = bench.submit("value 40000", |_| {}).await;
    bench.running(1).await;

    bench.memory.steal(id);
    sleep(Duration::from_secs(11)).await;

    assert_eq!((bench.script.running(), runner.in_hand()), (0, InHand::default()), "it is stopped by a heartbeat");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.memory.look(id).state, JobState::Running);
}

#[tokio::test(start_paused = true)]
async fn while_the_store_fails_outcomes_wait_and_jobs_stay() {
    for outage in [1, 20, 120] {
        let bench = Bench::new();
        let _runner = bench.runner(1);
        let ids = [
            bench.submit("value 100", |job| job.is_repeatable = false).await,
            bench.submit("value 60000", |job| job.is_repeatable = false).await,
        ];
        bench.running(2).await;

        bench.memory.is_failing.store(true, Ordering::Relaxed);
        sleep(Duration::from_secs(outage)).await;
        bench.memory.is_failing.store(false, Ordering::Relaxed);

        for id in ids {
            assert_eq!((bench.end(id).await, bench.script.begun(id)), (JobState::Completed, 1), "{outage} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_crashed_server_held_is_taken_over_at_the_next_start() {
    let bench = Bench::new();
    let runner = bench.runner(1);
    let again = bench.submit("value 10000", |_| {}).await;
    let not_again = bench.submit("value 10000", |job| job.is_repeatable = false).await;
    bench.running(2).await;

    drop(runner);
    tokio::task::yield_now().await;
    assert_eq!(bench.script.running(), 0, "a crash stops everything");
    let _runner = bench.runner(2);
    bench.running(1).await;

    assert_eq!(bench.end(not_again).await, JobState::Interrupted);
    assert_eq!((bench.end(again).await, bench.script.begun(again)), (JobState::Completed, 2));
    assert_eq!(bench.script.begun(not_again), 1);
}

#[tokio::test(start_paused = true)]
async fn stopping_gives_back_what_has_not_begun_and_waits_for_the_rest() {
    let bench = Bench::new();
    let runner = bench.runner(1);
    let short = bench.submit("value 5000", |_| {}).await;
    let long = bench.submit("value 100000", |_| {}).await;
    let fragile = bench.submit("value 100000", |job| job.is_repeatable = false).await;
    bench.running(3).await;
    let waiting = bench.submit("value 1", |_| {}).await;
    sleep(Duration::from_millis(100)).await;
    let stopped = Instant::now();

    runner.stop(stopped + Duration::from_secs(10)).await;

    let took = stopped.elapsed();
    assert!(took >= Duration::from_secs(10) && took < Duration::from_millis(10_100), "{took:?}");
    let states = [short, long, fragile, waiting].map(|id| bench.memory.look(id).state);
    let expected = [JobState::Completed, JobState::Retryable, JobState::Interrupted, JobState::Available];
    assert_eq!((states, bench.memory.look(waiting).attempt), (expected, 0));
    runner.stop(Instant::now()).await;
    let later = bench.submit("value 1", |_| {}).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.memory.look(later).state, JobState::Available, "nothing is claimed any more");
}

#[tokio::test(start_paused = true)]
async fn stopping_is_over_when_nothing_runs() {
    let bench = Bench::new();
    let runner = bench.runner(1);
    let id = bench.submit("value 500", |_| {}).await;
    bench.running(1).await;
    let stopped = Instant::now();

    runner.stop(stopped + Duration::from_secs(60)).await;

    assert!(stopped.elapsed() < Duration::from_secs(1));
    assert_eq!(bench.memory.look(id).state, JobState::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_became_a_job_is_held_cancelled_and_recorded() {
    let bench = Bench::new();
    let runner = bench.runner(1);
    let until = later(&bench, 30_000);
    let held = |job: &mut NewJob| job.held_by = Some((NodeId(1), until));
    let (ends, crashes, cancelled) =
        (bench.submit("", held).await, bench.submit("", held).await, bench.submit("", held).await);
    let lease = |id| Lease { id, token: 1 };

    runner.adopt(lease(ends), false, async {
        sleep(Duration::from_secs(100)).await;
        Attempted { mend: Mend::Never, ..failed(Mend::Never) }
    });
    runner.adopt(lease(crashes), false, async { failed(Mend::Crashed) });
    bench.memory.cancel(cancelled, bench.outside().now()).await.unwrap();
    runner.adopt(lease(cancelled), false, std::future::pending());
    let adopted = Instant::now();

    assert_eq!(bench.end(cancelled).await, JobState::Cancelled);
    assert!(adopted.elapsed() < Duration::from_millis(50), "whatever came before it was known");
    assert_eq!(bench.end(crashes).await, JobState::Interrupted);
    assert_eq!(bench.end(ends).await, JobState::Failed);
    assert!(adopted.elapsed() >= Duration::from_secs(100));
}

#[tokio::test(start_paused = true)]
async fn a_talkative_job_is_kept_within_bounds_and_its_last_words_are_stored() {
    let bench = Bench::new();
    let _runner = bench.runner(1);

    let id = bench.submit("talk 0", |_| {}).await;
    assert_eq!(bench.end(id).await, JobState::Completed);

    let reports = bench.memory.reports.load(Ordering::Relaxed);
    assert!((8..=12).contains(&reports), "{reports} reports in a second");
    let (_, events) = bench.memory.kept(id);
    let messages: Vec<_> = events
        .iter()
        .map(|event| match &event.told {
            Told::Log { message, .. } => message.as_str(),
            Told::Output { text, .. } => text,
        })
        .collect();
    assert_eq!(messages.last(), Some(&"line 2999"));
    assert!(
        messages.iter().any(|message| message.ends_with("lines are missing here: more were told than can be kept"))
    );
    assert_eq!(bench.memory.look(id).progress.map(|progress| progress.done), Some(2_999.0));
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_stored_before_the_job_goes_on() {
    let bench = Bench::new();
    let _runner = bench.runner(1);

    let id = bench.submit("save 0", |_| {}).await;
    bench.running(1).await;
    assert_eq!(bench.memory.kept(id).0, None);
    sleep(LATENCY + Duration::from_millis(1)).await;

    assert_eq!(bench.memory.kept(id).0.as_deref(), Some(&b"half"[..]));
}

#[tokio::test(start_paused = true)]
async fn slow_jobs_of_one_key_do_not_fill_the_hand() {
    let bench = Bench::new();
    let places = Config { calls: 4, jobs: 3, waiting: 10, per_key: 3, waiting_per_key: 10 };
    let _runner = bench.runner_with(1, places);
    for _ in 0..10 {
        bench.submit("value 1000000", |_| {}).await;
    }
    bench.running(2).await;

    let other = bench.submit("value 10", |job| job.owner = fumehood_model::KeyId("other".into())).await;
    let submitted = Instant::now();

    assert_eq!(bench.end(other).await, JobState::Completed);
    assert!(submitted.elapsed() < Duration::from_millis(100), "a place was kept for others");
    assert_eq!(bench.script.running(), 2);
}

fn later(bench: &Bench, ms: u64) -> Timestamp {
    Timestamp { unix_ms: bench.outside().now().unix_ms + ms }
}
