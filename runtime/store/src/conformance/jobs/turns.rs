//! Whose turn it is.

use std::time::Duration;

use fumehood_model::{JobState, Priority};

use super::super::{each, stage::*};
use crate::{Claim, Jobs, NewJob};

each!(
    the_oldest_job_of_a_key_goes_first,
    a_more_important_job_goes_first,
    a_job_that_has_waited_long_enough_goes_before_a_more_important_one,
    no_job_is_given_out_twice,
    keys_take_turns_within_one_claim,
    a_key_that_used_more_waits_longer,
    a_flooder_does_not_delay_others,
    having_been_idle_is_no_credit,
    no_key_holds_more_than_its_share,
    a_job_that_did_not_run_keeps_its_turn,
    a_job_that_is_given_ahead_of_its_place_outlives_its_node,
    what_crashed_too_often_is_not_given_ahead_of_its_place,
);

async fn the_oldest_job_of_a_key_goes_first(store: &impl Jobs) {
    submit(store, vec![job(3), job(1)]).await;
    done(store.submit(vec![job(2)], ROOMY, after(1)).await);

    assert_eq!(ids(&claim(store, 2, after(1)).await), numbers([3, 1]));
    assert_eq!(ids(&claim(store, 2, after(1)).await), numbers([2]));
}

async fn a_more_important_job_goes_first(store: &impl Jobs) {
    let of = |number, importance| NewJob { priority: priority(importance), ..job(number) };
    submit(store, vec![of(1, 0), of(2, -9), of(3, 9), of(4, 1)]).await;

    assert_eq!(ids(&claim(store, 9, NOW).await), numbers([3, 4, 1, 2]));
}

async fn a_job_that_has_waited_long_enough_goes_before_a_more_important_one(store: &impl Jobs) {
    let step = Priority::STEP_MS.unsigned_abs();
    let of = |number, importance| NewJob { priority: priority(importance), ..job(number) };
    submit(store, vec![of(1, -9)]).await;
    done(store.submit(vec![NewJob { run_at: after(18 * step - 1), ..of(2, 9) }], ROOMY, after(18 * step - 1)).await);
    done(store.submit(vec![NewJob { run_at: after(18 * step + 1), ..of(3, 9) }], ROOMY, after(18 * step + 1)).await);

    assert_eq!(ids(&claim(store, 9, after(18 * step + 1)).await), numbers([2, 1, 3]));
}

async fn no_job_is_given_out_twice(store: &impl Jobs) {
    submit(store, (0..100).map(|number| of(["a", "b", "c"][number as usize % 3], number)).collect()).await;

    let mut given = Vec::new();
    for most in [0, 1, 7, 64, 64] {
        given.extend(ids(&claim(store, most, NOW).await));
    }

    given.sort_unstable();
    assert_eq!(given, numbers(0..100));
}

async fn keys_take_turns_within_one_claim(store: &impl Jobs) {
    submit(store, (0..20).map(|number| of("a", number)).collect()).await;
    submit(store, (20..40).map(|number| of("b", number)).collect()).await;

    let claimed = claim(store, 10, NOW).await;

    let of_a = claimed.iter().filter(|claimed| claimed.job.owner == key("a")).count();
    assert_eq!((claimed.len(), of_a), (10, 5));
}

async fn a_key_that_used_more_waits_longer(store: &impl Jobs) {
    submit(store, (0..200).map(|number| of("slow", number)).collect()).await;
    submit(store, (200..400).map(|number| of("quick", number)).collect()).await;
    let mut used = [Duration::ZERO; 2];

    for turn in 0..150 {
        for claimed in claim(store, 1, after(turn)).await {
            let (place, time) = if claimed.job.owner == key("slow") { (0, 90) } else { (1, 30) };
            used[place] += Duration::from_millis(time);
            held_for(store, claimed.lease, completed("1"), Duration::from_millis(time), after(turn)).await;
        }
    }

    // Each had half of the time, though not half of the jobs.
    let ratio = used[0].as_secs_f64() / used[1].as_secs_f64();
    assert!((0.8..1.25).contains(&ratio), "{used:?}");
}

async fn a_flooder_does_not_delay_others(store: &impl Jobs) {
    submit(store, (0..1_000).map(|number| of("flooder", number)).collect()).await;
    for _ in 0..10 {
        for claimed in claim(store, 8, NOW).await {
            held_for(store, claimed.lease, completed("1"), Duration::from_secs(1), NOW).await;
        }
    }

    done(store.submit(vec![of("light", 5_000)], ROOMY, after(1)).await);

    let claimed = claim(store, 2, after(1)).await;
    assert!(ids(&claimed).contains(&id(5_000)), "it has its turn at once");
}

async fn having_been_idle_is_no_credit(store: &impl Jobs) {
    submit(store, vec![of("idle", 9_000)]).await;
    let lease = claim(store, 1, NOW).await[0].lease;
    finish(store, lease, completed("1"), NOW).await;
    submit(store, (0..200).map(|number| of("busy", number)).collect()).await;
    for _ in 0..100 {
        for claimed in claim(store, 1, NOW).await {
            held_for(store, claimed.lease, completed("1"), Duration::from_secs(1), NOW).await;
        }
    }

    submit(store, (1_000..1_100).map(|number| of("idle", number)).collect()).await;
    let mut of_idle = 0;
    for _ in 0..40 {
        for claimed in claim(store, 1, NOW).await {
            of_idle += u32::from(claimed.job.owner == key("idle"));
            held_for(store, claimed.lease, completed("1"), Duration::from_secs(1), NOW).await;
        }
    }

    assert!((15..=25).contains(&of_idle), "it had {of_idle} of 40 turns");
}

async fn no_key_holds_more_than_its_share(store: &impl Jobs) {
    submit(store, (0..10).map(|number| of("a", number)).collect()).await;
    submit(store, vec![of("b", 10)]).await;

    let first = claim_as(store, NODE, 20, 3, NOW).await;
    let second = claim_as(store, OTHER, 20, 3, NOW).await;
    let lease = first.iter().find(|claimed| claimed.job.owner == key("a")).expect("a has a turn").lease;
    finish(store, lease, completed("1"), NOW).await;
    let third = claim_as(store, OTHER, 20, 3, NOW).await;

    assert_eq!((first.len(), second.len(), third.len()), (4, 0, 1));
}

async fn a_job_that_did_not_run_keeps_its_turn(store: &impl Jobs) {
    submit(store, vec![job(1), job(2)]).await;
    let lease = claim(store, 1, NOW).await[0].lease;
    done(store.submit(vec![job(3)], ROOMY, after(5)).await);

    finish(store, lease, crate::End::Unrun { at: after(9) }, after(9)).await;

    assert_eq!(show(store, 1).await.attempt, 0);
    assert_eq!(ids(&claim(store, 3, after(9)).await), numbers([1, 2, 3]));
}

async fn a_job_that_is_given_ahead_of_its_place_outlives_its_node(store: &impl Jobs) {
    let once = NewJob { max_attempts: 1, ..of("once", 2) };
    let last = NewJob { max_attempts: 2, ..of("last", 3) };
    let alone = NewJob { is_repeatable: false, ..of("alone", 4) };
    submit(store, vec![last]).await;
    claim(store, 1, NOW).await;
    sweep(store, false, after(LEASE_MS)).await;
    submit(store, vec![of("first", 1), once, alone, of("often", 5)]).await;
    let until = after(2 * LEASE_MS);

    let ask = Claim { node: NODE, most: 9, at_once: 0, per_key: 9, until };
    let ahead = done(store.claim(ask, after(LEASE_MS)).await);
    sweep(store, false, until).await;

    let mut given = ids(&ahead);
    given.sort_unstable();
    assert_eq!(given, numbers([1, 5]), "the others would not outlive it");
    for number in 1..=5 {
        assert_eq!(state(store, number).await, JobState::Available, "{number}");
    }
    assert_eq!(claim(store, 9, until).await.len(), 5, "all have their turn when there is a place");
}

async fn what_crashed_too_often_is_not_given_ahead_of_its_place(store: &impl Jobs) {
    submit(store, vec![NewJob { max_attempts: 9, ..job(1) }]).await;
    let ask = |at_once, now: u64| Claim { node: NODE, most: 1, at_once, per_key: 9, until: after(now + LEASE_MS) };
    for turn in 0..2 {
        let now = turn * LEASE_MS;
        assert_eq!(done(store.claim(ask(0, now), after(now)).await).len(), 1);
        sweep(store, false, after(now + LEASE_MS)).await;
    }

    let now = 2 * LEASE_MS;
    let ahead = done(store.claim(ask(0, now), after(now)).await);
    let at_once = done(store.claim(ask(1, now), after(now)).await);

    assert_eq!((ahead.len(), at_once.len()), (0, 1));
}
