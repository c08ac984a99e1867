use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use tokio::time::advance;

use super::*;

fn key(name: &str) -> KeyId {
    KeyId(name.into())
}

fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn places(calls: usize, per_key: usize) -> Admission {
    Admission::new(Config { calls, jobs: calls, waiting: 4, per_key, waiting_per_key: 3 })
}

fn at_once(places: &Admission, key: &KeyId, kind: Kind) -> Place {
    let Poll::Ready(Ok(place)) = poll(pin!(places.enter(key, kind))) else { panic!("a place must be free") };
    place
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[tokio::test(start_paused = true)]
async fn the_key_that_has_used_least_goes_next() {
    let places = places(1, 1);
    let (slow, quick) = (key("slow"), key("quick"));
    let running = at_once(&places, &slow, Kind::Call);
    let (mut one, mut two, mut three) = (
        pin!(places.enter(&slow, Kind::Call)),
        pin!(places.enter(&quick, Kind::Call)),
        pin!(places.enter(&quick, Kind::Call)),
    );
    assert!(poll(one.as_mut()).is_pending() && poll(two.as_mut()).is_pending() && poll(three.as_mut()).is_pending());

    advance(millis(1_000)).await;
    drop(running);
    let Poll::Ready(Ok(first)) = poll(two.as_mut()) else { panic!("the other key has used nothing") };
    advance(millis(10)).await;
    drop(first);

    assert!(poll(one.as_mut()).is_pending(), "the slow key has used a second");
    assert!(poll(three.as_mut()).is_ready(), "the quick one has used a hundredth of that");
}

#[tokio::test(start_paused = true)]
async fn keys_that_start_many_in_a_row_alternate() {
    let places = places(4, 4);
    let (one, two) = (key("one"), key("two"));
    let running: Vec<_> = (0..4).map(|_| at_once(&places, &key("other"), Kind::Job)).collect();
    let mut waiting: Vec<_> =
        [&one, &one, &two, &two].into_iter().map(|key| (key, Box::pin(places.enter(key, Kind::Job)))).collect();
    for (_, turn) in &mut waiting {
        assert!(poll(turn.as_mut()).is_pending());
    }

    let mut order = Vec::new();
    let mut held = Vec::new();
    for place in running {
        drop(place);
        let (at, place) = waiting
            .iter_mut()
            .enumerate()
            .find_map(|(at, (_, turn))| match poll(turn.as_mut()) {
                Poll::Ready(place) => Some((at, place)),
                Poll::Pending => None,
            })
            .unwrap();
        let (key, _) = waiting.remove(at);
        order.push(key.clone());
        held.push(place);
    }

    let expected = [&one, &two, &one, &two];
    assert_eq!(order.iter().collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn idleness_earns_nothing() {
    let places = places(1, 1);
    let (busy, back) = (key("busy"), key("back"));
    drop(at_once(&places, &back, Kind::Call));
    let mut running = at_once(&places, &busy, Kind::Call);
    for _ in 0..100 {
        let mut next = pin!(places.enter(&busy, Kind::Call));
        assert!(poll(next.as_mut()).is_pending());
        advance(millis(1_000)).await;
        drop(running);
        let Poll::Ready(Ok(place)) = poll(next.as_mut()) else { panic!("nobody else waits") };
        running = place;
    }

    let mut served = 0;
    let mut waits = Box::pin(places.enter(&busy, Kind::Call));
    for _ in 0..10 {
        let mut other = Box::pin(places.enter(&back, Kind::Call));
        let _ = (poll(waits.as_mut()), poll(other.as_mut()));
        advance(millis(1_000)).await;
        drop(running);
        running = match poll(waits.as_mut()) {
            Poll::Ready(place) => {
                waits = Box::pin(places.enter(&busy, Kind::Call));
                place.unwrap()
            }
            Poll::Pending => {
                served += 1;
                let Poll::Ready(Ok(place)) = poll(other.as_mut()) else { panic!("one of the two must be next") };
                place
            }
        };
    }

    assert!((4..=6).contains(&served), "a hundred idle seconds were worth {served} of 10 turns");
}

#[tokio::test(start_paused = true)]
async fn one_key_cannot_hold_every_place() {
    let places = places(2, 1);
    let (flood, light) = (key("flood"), key("light"));
    let _running = at_once(&places, &flood, Kind::Call);
    let mut second = pin!(places.enter(&flood, Kind::Call));

    assert!(poll(second.as_mut()).is_pending());
    drop(at_once(&places, &light, Kind::Call));
    assert!(poll(second.as_mut()).is_pending(), "another's place is none of its own");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_held_to_fewer_places_has_fewer() {
    let config = Config { calls: 4, jobs: 4, waiting: 4, per_key: 3, waiting_per_key: 3 };
    let places = Admission::with_shares(config, |key| (&*key.0 == "held").then_some(1));
    let (held, free) = (key("held"), key("free"));
    let running = at_once(&places, &held, Kind::Job);
    let mut waits = pin!(places.enter(&held, Kind::Call));

    assert!(poll(waits.as_mut()).is_pending());
    let _others = [at_once(&places, &free, Kind::Call), at_once(&places, &free, Kind::Call)];

    drop(running);
    assert!(poll(waits.as_mut()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn jobs_leave_places_for_calls() {
    let places = Admission::new(Config { calls: 4, jobs: 3, waiting: 4, per_key: 3, waiting_per_key: 3 });
    let (one, two) = (key("one"), key("two"));
    let jobs =
        [at_once(&places, &one, Kind::Job), at_once(&places, &one, Kind::Job), at_once(&places, &two, Kind::Job)];
    let (mut own, mut other) = (pin!(places.enter(&one, Kind::Job)), pin!(places.enter(&two, Kind::Job)));

    assert!(poll(own.as_mut()).is_pending(), "a key's jobs leave room for its calls");
    assert!(poll(other.as_mut()).is_pending(), "all jobs together leave room for calls");
    let call = at_once(&places, &one, Kind::Call);
    let expected = Occupancy { running_calls: 1, running_jobs: 3, waiting_calls: 0, waiting_jobs: 2 };
    assert_eq!((places.occupancy(), places.load()), (expected, (4, 2)));

    drop(call);
    assert!(poll(other.as_mut()).is_pending(), "the place of a call is none for a job");
    drop(jobs);
    assert!(poll(own.as_mut()).is_ready() && poll(other.as_mut()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_place_that_comes_free_may_let_two_run() {
    let places = Admission::new(Config { calls: 4, jobs: 1, waiting: 4, per_key: 1, waiting_per_key: 3 });
    let (one, two) = (key("one"), key("two"));
    let running = at_once(&places, &one, Kind::Job);
    let (mut call, mut job) = (pin!(places.enter(&one, Kind::Call)), pin!(places.enter(&two, Kind::Job)));
    assert!(poll(call.as_mut()).is_pending() && poll(job.as_mut()).is_pending());

    drop(running);

    assert!(poll(call.as_mut()).is_ready() && poll(job.as_mut()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_and_leaves_room_for_others_and_for_jobs() {
    let places = places(1, 1);
    let (flood, light) = (key("flood"), key("light"));
    let _running = at_once(&places, &flood, Kind::Call);
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(places.enter(&flood, Kind::Call))).collect();
    for turn in &mut waiting {
        assert!(poll(turn.as_mut()).is_pending());
    }

    let refused = poll(pin!(places.enter(&flood, Kind::Call)));
    assert!(matches!(refused, Poll::Ready(Err(Refused::ShareUsed { waiting: 3, .. }))));
    let mut other = pin!(places.enter(&light, Kind::Call));
    assert!(poll(other.as_mut()).is_pending(), "another key may still wait");
    let refused = poll(pin!(places.enter(&light, Kind::Call)));
    assert!(matches!(refused, Poll::Ready(Err(Refused::QueueFull { waiting: 4, .. }))));
    let mut job = pin!(places.enter(&flood, Kind::Job));
    assert!(poll(job.as_mut()).is_pending(), "a job that was claimed is never refused");
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_hears_when_those_who_wait_will_have_run() {
    let places = places(1, 1);
    let flood = key("flood");
    let full = || {
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(places.enter(&flood, Kind::Call))).collect();
        for turn in &mut waiting {
            assert!(poll(turn.as_mut()).is_pending());
        }
        let Poll::Ready(Err(refused)) = poll(pin!(places.enter(&flood, Kind::Call))) else { panic!("it must be full") };
        refused
    };

    let running = at_once(&places, &flood, Kind::Call);
    assert_eq!(full().retry_after(), Duration::from_secs(1), "nothing is known yet");
    advance(millis(3_000)).await;
    drop(running);
    let running = at_once(&places, &flood, Kind::Call);
    let refused = full();
    assert_eq!(refused.retry_after(), Duration::from_secs(12));
    assert!(refused.to_string().starts_with("Queue is full"));
    advance(millis(3_000_000)).await;
    drop(running);
    let _running = at_once(&places, &flood, Kind::Call);
    assert_eq!(full().retry_after(), Duration::from_secs(30), "nobody is sent away for longer");
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_away_gives_up_place_and_turn() {
    let places = places(1, 1);
    let (one, two) = (key("one"), key("two"));
    let running = at_once(&places, &one, Kind::Call);
    {
        let mut gone = pin!(places.enter(&one, Kind::Call));
        assert!(poll(gone.as_mut()).is_pending());
        assert_eq!(places.load(), (1, 1));
    }
    assert_eq!(places.load(), (1, 0), "a turn is given up at once");
    let mut admitted = Box::pin(places.enter(&one, Kind::Call));
    let mut waits = pin!(places.enter(&two, Kind::Call));
    assert!(poll(admitted.as_mut()).is_pending());
    assert!(poll(waits.as_mut()).is_pending());

    advance(millis(1)).await;
    drop(running);
    let Poll::Ready(Ok(place)) = poll(waits.as_mut()) else { panic!("the one who has used nothing must run") };
    drop(place);
    assert_eq!(places.load(), (1, 0), "the place is on its way to the one who waits");
    drop(admitted);

    assert_eq!(places.load(), (0, 0));
    drop(at_once(&places, &one, Kind::Call));
}

#[tokio::test(start_paused = true)]
async fn what_was_used_long_ago_is_no_debt_for_ever() {
    let places = places(2, 2);
    let (hog, other) = (key("hog"), key("other"));
    let hour = at_once(&places, &hog, Kind::Job);
    advance(Duration::from_secs(3_600)).await;
    let mut running = vec![at_once(&places, &other, Kind::Call)];
    drop(hour);
    running.push(at_once(&places, &other, Kind::Call));

    let mut waits = pin!(places.enter(&hog, Kind::Call));
    let mut seconds = 0;
    while poll(waits.as_mut()).is_pending() {
        let mut next = pin!(places.enter(&other, Kind::Call));
        assert!(poll(next.as_mut()).is_pending());
        advance(millis(1_000)).await;
        seconds += 1;
        running.remove(0);
        if let Poll::Ready(Ok(place)) = poll(next.as_mut()) {
            running.push(place);
        }
    }

    assert!(seconds <= 61, "an hour was still held against it after {seconds} seconds");
}

#[tokio::test(start_paused = true)]
async fn a_bounded_number_of_keys_is_remembered() {
    let places = places(2, 1);
    let lasting = key("lasting");
    let _running = at_once(&places, &lasting, Kind::Call);

    for number in 0..5_000 {
        drop(at_once(&places, &key(&format!("key {number}")), Kind::Call));
    }

    assert_eq!(places.inner.lock().known(), 1_024);
    let mut second = pin!(places.enter(&lasting, Kind::Call));
    assert!(poll(second.as_mut()).is_pending(), "of whom something runs nothing is forgotten");
}
