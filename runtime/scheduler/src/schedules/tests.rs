use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fumehood_model::{JobId, JobState, KeyId, Timestamp};
use fumehood_store::{Bounds, Claim, End, Filter, Finish, Jobs, Lease, NewJob, NodeId, Schedule, Schedules, Verb};
use pollster::block_on;
use tokio::time::{Instant, sleep};

use super::*;
use crate::{
    Outside,
    real::Real,
    runner::double::{ROOM, new_job},
};

const MINUTE: Duration = Duration::from_secs(60);

/// Tickers with their store, and a time of day that can be set.
struct Bench {
    store: Arc<Real>,
    began: Instant,
    offset_ms: Arc<AtomicU64>,
    prepared: Arc<Prepared>,
}

#[derive(Default)]
struct Prepared {
    slots: Mutex<Vec<Timestamp>>,
}

impl Prepare for Prepared {
    fn prepare(&self, _: Schedule, job: JobSpec, slot: Timestamp) -> Preparing {
        let mut slots = self.slots.lock().unwrap();
        slots.push(slot);
        let made = new_job(slots.len() as u64, "nobody", "{}");
        let made = NewJob { id: JobId::new(slot, [u8::try_from(slots.len() % 250).unwrap(); 10]), ..made };
        let gone = || Unprepared { why: format!("there is no tool {}", job.tool) };
        let made = if job.tool == "gone" { Err(gone()) } else { Ok(made) };
        Box::pin(async { made })
    }
}

impl Bench {
    fn new() -> Self {
        Self {
            store: Arc::new(Real::new(1, Duration::from_millis(5))),
            began: Instant::now(),
            // Half a minute past a full one.
            offset_ms: Arc::new(AtomicU64::new(1_800_000_030_000)),
            prepared: Arc::default(),
        }
    }

    fn outside(&self) -> Outside {
        let (began, offset) = (self.began, Arc::clone(&self.offset_ms));
        let clock = move || Timestamp {
            unix_ms: offset.load(Ordering::Relaxed) + u64::try_from(began.elapsed().as_millis()).unwrap(),
        };
        Outside::new(clock, || 0)
    }

    fn ticker(&self, bounds: Bounds) -> Ticker {
        Ticker::start(TickerParts {
            schedules: Arc::clone(&self.store) as Arc<dyn Schedules>,
            jobs: Arc::clone(&self.store) as Arc<dyn Jobs>,
            prepare: Arc::clone(&self.prepared) as Arc<dyn Prepare>,
            bounds,
            outside: self.outside(),
        })
    }

    /// Keep a schedule that is due every minute, with these fields beside.
    fn schedule(&self, fields: &str, tool: &str) {
        let at = self.outside().now();
        let spec = format!(r#"{{"when":{{"every_ms":60000}},{fields}"job":{{"tool":"{tool}"}}}}"#);
        let next_at = ScheduleSpec::parse(&spec).unwrap().next("name", at);
        let (owner, name) = (KeyId("key".into()), "name".to_owned());
        let schedule = Schedule {
            owner,
            name,
            spec,
            is_paused: false,
            next_at,
            last_at: None,
            last_job: None,
            passed_over: None,
            created_at: at,
            version: 0,
        };
        now(self.store.database.put_schedule(schedule));
    }

    /// The states of all jobs, the oldest first.
    fn jobs(&self) -> Vec<JobState> {
        let filter = Filter { schedule: Some("name".into()), most: 1_000, ..Filter::default() };
        let mut jobs = now(self.store.database.list(filter));
        jobs.reverse();
        assert!(jobs.iter().all(|job| job.owner == KeyId("key".into())));
        jobs.into_iter().map(|job| job.state).collect()
    }

    fn finish_all(&self) {
        let (at, until) = (self.outside().now(), Timestamp { unix_ms: u64::MAX / 4 });
        let claim = Claim { node: NodeId(9), most: 1_000, at_once: 1_000, per_key: 1_000, until };
        for claimed in now(self.store.database.claim(claim, at)) {
            let end = End::Final { state: JobState::Completed, outcome: None };
            let lease: Lease = claimed.lease;
            now(self.store.database.finish(Finish { lease, end, usage: None, held_for: Duration::ZERO }, at));
        }
    }
}

/// What a verb comes to without time passing.
fn now<T>(verb: Verb<'_, T>) -> T {
    block_on(verb).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_schedule_fires_at_its_moments_and_not_before() {
    let bench = Bench::new();
    bench.schedule(r#""overlap":"queue","#, "tool");
    let _ticker = bench.ticker(ROOM);

    sleep(5 * MINUTE).await;

    let slots = bench.prepared.slots.lock().unwrap().clone();
    let first = 1_800_000_060_000;
    assert_eq!(slots, (0..5).map(|minute| Timestamp { unix_ms: first + minute * 60_000 }).collect::<Vec<_>>());
    assert_eq!(bench.jobs(), [JobState::Available; 5]);
}

#[tokio::test(start_paused = true)]
async fn a_moment_is_passed_over_put_beside_or_takes_over_while_the_last_job_goes_on() {
    let completed = JobState::Completed;
    let available = JobState::Available;
    for (overlap, expected) in [
        ("skip", vec![completed, available]),
        ("queue", vec![completed, available, available, available]),
        ("replace", vec![completed, JobState::Cancelled, JobState::Cancelled, available]),
    ] {
        let bench = Bench::new();
        bench.schedule(&format!(r#""overlap":"{overlap}","#), "tool");
        let _ticker = bench.ticker(ROOM);

        sleep(MINUTE).await;
        bench.finish_all();
        sleep(3 * MINUTE).await;

        assert_eq!(bench.jobs(), expected, "{overlap}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_hour_without_a_server_missed_moments_follow_their_policy() {
    for (missed, expected) in [("skip", 0), ("once", 1), ("all", 60)] {
        let bench = Bench::new();
        bench.schedule(&format!(r#""overlap":"queue","missed":"{missed}","#), "tool");
        bench.offset_ms.fetch_add(3_620_000, Ordering::Relaxed);

        let _ticker = bench.ticker(ROOM);
        sleep(Duration::from_secs(5)).await;

        assert_eq!(bench.jobs().len(), expected, "{missed}");
        sleep(MINUTE).await;
        assert_eq!(bench.jobs().len(), expected + 1, "{missed}, and then as ever");
    }
}

#[tokio::test(start_paused = true)]
async fn many_nodes_fire_each_moment_once() {
    let bench = Bench::new();
    bench.schedule(r#""overlap":"queue","jitter_ms":30000,"#, "tool");
    let _tickers = [bench.ticker(ROOM), bench.ticker(ROOM), bench.ticker(ROOM)];

    sleep(10 * MINUTE + MINUTE / 2).await;

    let many = bench.jobs().len();
    assert!((9..=11).contains(&many), "{many} jobs in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_fires_no_moment_twice() {
    let bench = Bench::new();
    bench.schedule(r#""overlap":"queue","#, "tool");
    let _ticker = bench.ticker(ROOM);
    sleep(5 * MINUTE).await;
    let before = bench.jobs().len();

    bench.offset_ms.fetch_sub(180_000, Ordering::Relaxed);
    sleep(2 * MINUTE).await;
    assert_eq!(bench.jobs().len(), before);
    sleep(2 * MINUTE).await;

    let slots = bench.prepared.slots.lock().unwrap().clone();
    assert!(slots.len() > before && slots.windows(2).all(|pair| pair[0] < pair[1]), "{slots:?}");
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_gone_passes_its_moments_over_and_a_full_queue_puts_them_off() {
    let bench = Bench::new();
    bench.schedule("", "gone");
    let ticker = bench.ticker(ROOM);
    sleep(3 * MINUTE).await;
    assert_eq!((bench.jobs().len(), bench.prepared.slots.lock().unwrap().len()), (0, 3));
    drop(ticker);

    bench.schedule(r#""overlap":"queue","#, "tool");
    let _ticker = bench.ticker(Bounds { waiting: 1, waiting_per_key: 1 });
    sleep(2 * MINUTE).await;
    assert_eq!(bench.jobs(), [JobState::Available]);
    bench.finish_all();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.jobs(), [JobState::Completed, JobState::Available], "there is room now");
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_share_is_used_does_not_hold_up_the_schedules_of_others() {
    let bench = Bench::new();
    bench.schedule(r#""overlap":"queue","#, "tool");
    let last = now(bench.store.database.schedules(None)).remove(0);
    let first = Timestamp { unix_ms: last.next_at.unwrap().unix_ms - 1_000 };
    for number in 0..250 {
        let (owner, name) = (KeyId("greedy".into()), number.to_string());
        now(bench.store.database.put_schedule(Schedule { owner, name, next_at: Some(first), ..last.clone() }));
        // A task that never yields is kept waiting by tokio for ever.
        tokio::task::yield_now().await;
    }

    let _ticker = bench.ticker(Bounds { waiting: 1_000, waiting_per_key: 1 });
    sleep(MINUTE / 2 + Duration::from_secs(5)).await;

    assert_eq!(bench.jobs(), [JobState::Available]);
    let prepared = bench.prepared.slots.lock().unwrap().len();
    assert!(prepared < 20, "{prepared} jobs were made for the two that there is room for");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_while_loses_no_moment() {
    let bench = Bench::new();
    bench.schedule(r#""overlap":"queue","missed":"all","#, "tool");
    let _ticker = bench.ticker(ROOM);
    sleep(MINUTE).await;

    bench.store.is_failing.store(true, Ordering::Relaxed);
    sleep(3 * MINUTE).await;
    bench.store.is_failing.store(false, Ordering::Relaxed);
    sleep(MINUTE).await;

    assert_eq!(bench.jobs().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_nobody_can_read_rests() {
    let bench = Bench::new();
    bench.schedule("", "tool");
    let mut schedule = now(bench.store.database.schedules(None)).remove(0);
    schedule.spec = "{}".to_owned();
    now(bench.store.database.put_schedule(schedule));
    let _ticker = bench.ticker(ROOM);

    sleep(3 * MINUTE).await;

    assert_eq!(bench.jobs(), []);
    assert_eq!(now(bench.store.database.schedules(None))[0].next_at, None);
}

#[tokio::test(start_paused = true)]
async fn a_ticker_that_is_told_of_a_new_schedule_looks_at_once() {
    let bench = Bench::new();
    let ticker = bench.ticker(ROOM);
    sleep(MINUTE - Duration::from_secs(1)).await;
    bench.schedule("", "tool");
    let next = now(bench.store.database.schedules(None))[0].next_at.unwrap();
    bench.offset_ms.fetch_add(next.unix_ms - bench.outside().now().unix_ms, Ordering::Relaxed);

    ticker.wake();
    sleep(Duration::from_millis(30)).await;

    assert_eq!(bench.jobs().len(), 1);
}
