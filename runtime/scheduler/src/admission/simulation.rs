//! Shares of keys that want more than there is, over minutes of virtual time.

use std::sync::{Arc, Mutex};

use tokio::time::{Instant, sleep};

use super::*;
use crate::dice::Dice;

const MINUTE: Duration = Duration::from_secs(60);

/// Callers of one key, each of which calls again when its call has ended.
#[derive(Clone, Copy)]
struct Crowd {
    key: &'static str,
    kind: Kind,
    callers: usize,
    call_ms: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    calls: u32,
    waited: Duration,
    used: Duration,
}

impl Tally {
    fn mean_wait(&self) -> Duration {
        self.waited / self.calls.max(1)
    }
}

/// What each crowd got in `time`. Calls take from half to one and a half of their usual time.
async fn compete(seed: u64, config: Config, crowds: &[Crowd], time: Duration) -> Vec<Tally> {
    let places = Admission::new(config);
    let tallies = Arc::new(Mutex::new(vec![Tally::default(); crowds.len()]));
    let end = Instant::now() + time;
    let mut dice = Dice(seed);
    let mut callers = tokio::task::JoinSet::new();
    for (at, crowd) in crowds.iter().copied().enumerate() {
        for _ in 0..crowd.callers {
            let (places, tallies, mut dice) = (places.clone(), Arc::clone(&tallies), Dice(dice.roll()));
            callers.spawn(async move {
                let key = KeyId(crowd.key.into());
                while Instant::now() < end {
                    let arrived = Instant::now();
                    let place = places.enter(&key, crowd.kind).await.expect("there is room to wait");
                    let (waited, started) = (arrived.elapsed(), Instant::now());
                    assert!(places.load().0 <= config.calls && places.occupancy().running_jobs <= config.jobs);
                    let call = Duration::from_micros(crowd.call_ms * (500 + dice.below(1_000)));
                    sleep(call).await;
                    let mut tallies = tallies.lock().unwrap();
                    // What began before the end counts as far as the end.
                    let used = call.min(end.saturating_duration_since(started));
                    tallies[at] = Tally {
                        calls: tallies[at].calls + 1,
                        waited: tallies[at].waited + waited,
                        used: tallies[at].used + used,
                    };
                    drop(place);
                }
            });
        }
    }
    callers.join_all().await;
    assert_eq!(places.load(), (0, 0));
    let tallies = tallies.lock().unwrap();
    tallies.clone()
}

fn config(calls: usize) -> Config {
    Config { calls, jobs: calls, waiting: 1_000, per_key: calls, waiting_per_key: 1_000 }
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_slow_calls_delays_quick_ones_by_no_more_than_one_slow_call_per_place() {
    for (seed, places) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        let flood = Crowd { key: "flood", kind: Kind::Call, callers: 50, call_ms: 1_000 };
        let quick = Crowd { key: "quick", kind: Kind::Call, callers: 1, call_ms: 10 };

        let tallies = compete(seed, config(places), &[flood, quick], 20 * MINUTE).await;

        let bound = Duration::from_millis(1_500) / u32::try_from(places).unwrap();
        let wait = tallies[1].mean_wait();
        assert!(wait <= bound, "{places} places: quick calls waited for {wait:?}, more than {bound:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_always_wait_use_equal_shares_however_long_their_calls_are() {
    for (seed, kind) in [(1, Kind::Call), (2, Kind::Job), (3, Kind::Call)] {
        let flood = Crowd { key: "flood", kind, callers: 50, call_ms: 1_000 };
        let quick = Crowd { key: "quick", kind: Kind::Call, callers: 20, call_ms: 10 };

        let tallies = compete(seed, config(4), &[flood, quick], 3 * MINUTE).await;

        let share = ratio(tallies[0].used, tallies[1].used);
        assert!((0.9..=1.1).contains(&share), "the flooder used {share} times as much: {tallies:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn shares_are_equal_among_many_keys_of_many_kinds() {
    let crowds = [
        Crowd { key: "a", kind: Kind::Call, callers: 40, call_ms: 3_000 },
        Crowd { key: "b", kind: Kind::Job, callers: 10, call_ms: 300 },
        Crowd { key: "c", kind: Kind::Call, callers: 10, call_ms: 50 },
        Crowd { key: "d", kind: Kind::Job, callers: 200, call_ms: 20 },
    ];

    let tallies = compete(7, config(6), &crowds, 20 * MINUTE).await;

    for tally in &tallies[1..] {
        let share = ratio(tally.used, tallies[0].used);
        assert!((0.9..=1.1).contains(&share), "shares differ: {tallies:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_who_go_away_at_random_cost_nobody_a_place() {
    let places = Admission::new(Config { calls: 3, jobs: 2, waiting: 50, per_key: 2, waiting_per_key: 50 });
    let mut dice = Dice(11);
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..2_000_u64 {
        let (places, mut dice) = (places.clone(), Dice(dice.roll()));
        callers.spawn(async move {
            sleep(Duration::from_millis(dice.below(20_000))).await;
            let key = KeyId(format!("key {}", number % 7).into());
            let kind = if dice.below(2) == 0 { Kind::Call } else { Kind::Job };
            let stay = Duration::from_millis(dice.below(60));
            let visit = async {
                if let Ok(_place) = places.enter(&key, kind).await {
                    sleep(Duration::from_millis(dice.below(60))).await;
                }
            };
            let _ = tokio::time::timeout(stay, visit).await;
            let Occupancy { running_calls, running_jobs, .. } = places.occupancy();
            assert!(running_calls + running_jobs <= 3 && running_jobs <= 2);
        });
    }
    callers.join_all().await;

    assert_eq!(places.occupancy(), Occupancy::default());
    let order = places.inner.lock();
    assert!(order.is_at_rest(), "nobody waits and nobody is thought to");
}
