//! How jobs end, and how they do not.

use std::time::Duration;

use fumehood_model::{Asked, Code, JobState, Usage};

use super::super::{each, stage::*};
use crate::{End, Finish, Jobs, MAX_CRASHES, NewJob, Sweep};

each!(
    an_outcome_is_recorded_once,
    a_stale_lease_records_nothing,
    another_attempt_follows_at_its_time,
    attempts_run_out,
    a_crash_loop_ends,
    a_crash_is_not_repeated_when_that_might_do_harm,
    a_lease_that_ran_out_is_taken_back,
    only_what_others_hold_is_taken_back_at_a_start,
    what_may_not_run_twice_is_interrupted,
    attempts_run_out_in_a_crash,
    a_job_that_did_not_begin_in_time_fails,
    a_job_that_has_begun_does_not_expire,
    what_waits_is_cancelled_at_once,
    what_runs_is_cancelled_when_its_node_hears_of_it,
    a_cancelled_job_does_not_come_back,
    what_has_ended_is_not_cancelled,
    what_asks_waits_until_all_of_it_is_answered,
    what_asks_is_cancelled_at_once,
    what_nobody_answers_fails_after_some_days,
    a_dead_letter_is_tried_again,
    only_dead_letters_are_tried_again,
    a_sweep_is_bounded_and_says_so,
    a_sweep_tells_when_the_next_job_is_due,
    a_clock_that_jumps_back_takes_nothing_away,
);

async fn an_outcome_is_recorded_once(store: &impl Jobs) {
    let lease = run(store, job(1)).await;
    let usage = Usage { fuel_units: 1, memory_bytes: 2, duration_us: 3 };
    let finished = Finish { lease, end: completed("1"), usage: Some(usage), held_for: Duration::ZERO };

    assert_eq!(done(store.finish(finished, after(1)).await), Some(JobState::Completed));
    assert_eq!(finish(store, lease, failed(), after(2)).await, None);

    let shown = show(store, 1).await;
    assert_eq!((shown.state, shown.outcome, shown.usage), (JobState::Completed, Some(value("1")), Some(usage)));
    assert_eq!((shown.finished_at, shown.result_bytes), (Some(after(1)), Some(1)));
}

async fn a_stale_lease_records_nothing(store: &impl Jobs) {
    let late = run(store, job(1)).await;
    sweep(store, false, after(LEASE_MS)).await;
    let current = claim_as(store, OTHER, 1, 9, after(LEASE_MS)).await[0].lease;

    assert_eq!(finish(store, late, completed("late"), after(LEASE_MS)).await, None);
    assert_eq!(state(store, 1).await, JobState::Running);
    assert_eq!(finish(store, current, completed("current"), after(LEASE_MS)).await, Some(JobState::Completed));
    assert_eq!(show(store, 1).await.outcome, Some(value("current")));
}

async fn another_attempt_follows_at_its_time(store: &impl Jobs) {
    let lease = run(store, job(1)).await;

    assert_eq!(finish(store, lease, again(after(100), false), after(1)).await, Some(JobState::Retryable));

    let shown = show(store, 1).await;
    assert_eq!((shown.run_at, shown.outcome, shown.finished_at), (after(100), Some(failure("later")), None));
    assert_eq!((sweep(store, false, after(99)).await.due, claim(store, 1, after(99)).await.len()), (0, 0));
    assert_eq!(sweep(store, false, after(100)).await.due, 1);
    let claimed = claim(store, 1, after(100)).await;
    assert_eq!((claimed[0].job.attempt, claimed[0].lease.token > lease.token), (2, true));
}

async fn attempts_run_out(store: &impl Jobs) {
    let mut lease = run(store, NewJob { max_attempts: 2, ..job(1) }).await;
    finish(store, lease, again(NOW, false), NOW).await;
    sweep(store, false, NOW).await;
    lease = claim(store, 1, NOW).await[0].lease;

    assert_eq!(finish(store, lease, again(NOW, false), after(1)).await, Some(JobState::Discarded));

    let shown = show(store, 1).await;
    assert_eq!((shown.attempt, shown.outcome, shown.finished_at), (2, Some(failure("later")), Some(after(1))));
}

async fn a_crash_loop_ends(store: &impl Jobs) {
    submit(store, vec![NewJob { max_attempts: 100, ..job(1) }]).await;
    let mut states = Vec::new();

    for _ in 0..MAX_CRASHES {
        sweep(store, false, NOW).await;
        let lease = claim(store, 1, NOW).await[0].lease;
        states.extend(finish(store, lease, again(NOW, true), NOW).await);
    }

    assert_eq!(states.pop(), Some(JobState::Discarded));
    assert!(states.iter().all(|state| *state == JobState::Retryable), "{states:?}");
}

async fn a_crash_is_not_repeated_when_that_might_do_harm(store: &impl Jobs) {
    let lease = run(store, NewJob { is_repeatable: false, ..job(1) }).await;

    assert_eq!(finish(store, lease, again(NOW, true), NOW).await, Some(JobState::Interrupted));
}

async fn a_lease_that_ran_out_is_taken_back(store: &impl Jobs) {
    run(store, job(1)).await;

    assert_eq!(sweep(store, false, after(LEASE_MS - 1)).await.recovered, 0);
    assert_eq!(sweep(store, false, after(LEASE_MS)).await.recovered, 1);

    let shown = show(store, 1).await;
    assert_eq!((shown.state, shown.attempt), (JobState::Available, 1));
    assert_eq!(ids(&claim_as(store, OTHER, 1, 9, after(LEASE_MS)).await), numbers([1]));
}

async fn only_what_others_hold_is_taken_back_at_a_start(store: &impl Jobs) {
    submit(store, vec![job(1), job(2)]).await;
    claim_as(store, NODE, 1, 9, NOW).await;
    claim_as(store, OTHER, 1, 9, NOW).await;

    let shared = sweep(store, false, after(1)).await;
    let alone = sweep(store, true, after(1)).await;

    assert_eq!((shared.recovered, alone.recovered), (0, 1));
    assert_eq!((state(store, 1).await, state(store, 2).await), (JobState::Running, JobState::Available));
}

async fn what_may_not_run_twice_is_interrupted(store: &impl Jobs) {
    run(store, NewJob { is_repeatable: false, ..job(1) }).await;

    assert_eq!(sweep(store, false, after(LEASE_MS)).await.interrupted, 1);

    let shown = show(store, 1).await;
    assert_eq!((shown.state, shown.finished_at), (JobState::Interrupted, Some(after(LEASE_MS))));
    assert!(shown.outcome.is_some_and(|outcome| outcome.code().is_some()), "it is told why");
    assert_eq!(claim(store, 1, after(LEASE_MS)).await, []);
}

async fn attempts_run_out_in_a_crash(store: &impl Jobs) {
    run(store, NewJob { max_attempts: 1, ..job(1) }).await;

    assert_eq!(sweep(store, false, after(LEASE_MS)).await.interrupted, 1);

    assert_eq!(state(store, 1).await, JobState::Discarded);
}

async fn a_job_that_did_not_begin_in_time_fails(store: &impl Jobs) {
    let until = |number| NewJob { expires_at: Some(after(10)), ..job(number) };
    submit(store, vec![until(1), NewJob { run_at: after(5), ..until(2) }, until(3), job(4)]).await;

    // Whether or not a sweep was first, a node does not get it.
    let claimed = claim(store, 1, after(10)).await;
    assert_eq!(ids(&claimed), numbers([4]));
    let swept = sweep(store, false, after(10)).await;

    assert!(swept.due == 0, "{swept:?}");
    for number in [1, 2, 3] {
        let shown = show(store, number).await;
        assert_eq!((shown.state, shown.attempt), (JobState::Failed, 0));
        assert_eq!(shown.outcome.and_then(|outcome| outcome.code()), Some(Code::Deadline));
    }
}

async fn a_job_that_has_begun_does_not_expire(store: &impl Jobs) {
    let lease = run(store, NewJob { expires_at: Some(after(10)), ..job(1) }).await;
    finish(store, lease, again(after(20), false), after(5)).await;

    let swept = sweep(store, false, after(20)).await;

    assert_eq!((swept.expired, swept.due), (0, 1));
    assert_eq!(ids(&claim(store, 1, after(20)).await), numbers([1]));
}

async fn what_waits_is_cancelled_at_once(store: &impl Jobs) {
    let lease = run(store, job(1)).await;
    finish(store, lease, again(after(50), false), NOW).await;
    submit(store, vec![job(2), NewJob { run_at: after(50), ..job(3) }]).await;

    for number in [1, 2, 3] {
        let cancelled = done(store.cancel(id(number), after(1)).await).expect("the job is kept");
        assert_eq!((cancelled.state, cancelled.finished_at), (JobState::Cancelled, Some(after(1))));
        assert!(cancelled.is_cancelled);
    }

    assert_eq!(sweep(store, false, after(99)).await.due, 0);
    assert_eq!(claim(store, 9, after(99)).await, []);
}

async fn what_runs_is_cancelled_when_its_node_hears_of_it(store: &impl Jobs) {
    let lease = run(store, job(1)).await;

    let asked = done(store.cancel(id(1), after(1)).await).expect("the job is kept");
    assert_eq!((asked.state, asked.is_cancelled, asked.finished_at), (JobState::Running, true, None));

    let end = End::Final { state: JobState::Cancelled, outcome: None };
    assert_eq!(finish(store, lease, end, after(2)).await, Some(JobState::Cancelled));

    submit(store, vec![job(2)]).await;
    let lease = claim(store, 1, NOW).await[0].lease;
    done(store.cancel(id(2), NOW).await);
    assert_eq!(finish(store, lease, completed("1"), NOW).await, Some(JobState::Completed), "it was faster");
}

async fn a_cancelled_job_does_not_come_back(store: &impl Jobs) {
    submit(store, (1..=3).map(job).collect()).await;
    let claimed = claim(store, 3, NOW).await;
    for number in [1, 2, 3] {
        done(store.cancel(id(number), NOW).await);
    }

    assert_eq!(finish(store, claimed[0].lease, End::Unrun { at: NOW }, NOW).await, Some(JobState::Cancelled));
    assert_eq!(finish(store, claimed[1].lease, again(NOW, false), NOW).await, Some(JobState::Cancelled));
    sweep(store, false, after(LEASE_MS)).await;
    assert_eq!(state(store, 3).await, JobState::Cancelled);
    assert_eq!(claim(store, 9, after(LEASE_MS)).await, []);
}

async fn what_has_ended_is_not_cancelled(store: &impl Jobs) {
    let lease = run(store, job(1)).await;
    finish(store, lease, completed("1"), NOW).await;
    let before = show(store, 1).await;

    assert_eq!(done(store.cancel(id(1), after(1)).await), Some(before));
}

fn asks(keys: &[&str]) -> End {
    let requests = keys.iter().map(|key| ((*key).to_owned(), serde_json::json!({ "method": "m" }))).collect();
    End::Asks { asked: Asked { requests, state: Some(vec![1, 2]), round: 1, ..Asked::default() } }
}

fn answers(keys: &[&str]) -> serde_json::Map<String, serde_json::Value> {
    keys.iter().map(|key| ((*key).to_owned(), serde_json::json!(format!("of {key}")))).collect()
}

async fn what_asks_waits_until_all_of_it_is_answered(store: &impl Jobs) {
    let lease = run(store, job(1)).await;
    assert_eq!(finish(store, lease, asks(&["a", "b"]), after(1)).await, Some(JobState::InputRequired));
    assert_eq!(ids(&claim(store, 9, after(2)).await), []);
    assert_eq!(show(store, 1).await.attempt, 0, "asking is no attempt");

    let partly = done(store.answer(id(1), answers(&["a", "unknown"]), after(3)).await).expect("it is there");
    let asked = partly.asked.expect("it is there");
    assert_eq!(partly.state, JobState::InputRequired);
    assert_eq!(asked.open().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["b"]);
    let again = done(store.answer(id(1), answers(&["a"]), after(4)).await).expect("it is there");
    assert_eq!(again.asked.expect("it is there").responses["a"], "of a", "the first answer counts");

    let answered = done(store.answer(id(1), answers(&["b"]), after(5)).await).expect("it is there");
    assert_eq!(answered.state, JobState::Available);
    let claimed = claim(store, 9, after(6)).await;
    let asked = claimed[0].job.asked.clone().expect("it is there");
    assert_eq!((asked.responses.len(), asked.state, asked.round), (2, Some(vec![1, 2]), 1));
    assert_eq!(finish(store, claimed[0].lease, completed("1"), after(7)).await, Some(JobState::Completed));
    let late = done(store.answer(id(1), answers(&["a"]), after(8)).await).expect("it is there");
    assert_eq!(late.state, JobState::Completed);
    assert_eq!(done(store.answer(id(9), answers(&["a"]), after(8)).await), None);
}

async fn what_nobody_answers_fails_after_some_days(store: &impl Jobs) {
    const DAY: u64 = 24 * 3_600 * 1_000;
    let lease = run(store, NewJob { expires_at: Some(after(9)), ..job(1) }).await;
    finish(store, lease, asks(&["a"]), after(1)).await;
    let lease = run(store, NewJob { expires_at: Some(after(9)), ..job(2) }).await;
    finish(store, lease, asks(&["a"]), after(1)).await;

    sweep(store, false, after(2 * DAY)).await;
    assert_eq!(state(store, 1).await, JobState::InputRequired);
    done(store.answer(id(2), answers(&["a"]), after(2 * DAY)).await);
    sweep(store, false, after(4 * DAY)).await;

    assert_eq!(state(store, 1).await, JobState::Failed);
    assert_eq!(state(store, 2).await, JobState::Available, "it has begun, and was answered");
}

async fn what_asks_is_cancelled_at_once(store: &impl Jobs) {
    let lease = run(store, job(1)).await;
    finish(store, lease, asks(&["a"]), after(1)).await;

    assert_eq!(done(store.cancel(id(1), after(2)).await).expect("it is there").state, JobState::Cancelled);
    assert_eq!(
        done(store.answer(id(1), answers(&["a"]), after(3)).await).expect("it is there").state,
        JobState::Cancelled
    );
}

async fn a_dead_letter_is_tried_again(store: &impl Jobs) {
    let late = run(store, NewJob { expires_at: Some(after(1)), max_attempts: 1, ..job(1) }).await;
    finish(store, late, failed(), NOW).await;

    let retried = done(store.retry(id(1), after(50)).await).expect("the job is kept");

    assert_eq!((retried.state, retried.attempt, retried.run_at), (JobState::Available, 0, after(50)));
    assert_eq!((retried.outcome, retried.finished_at, retried.result_bytes), (None, None, None));
    assert_eq!(sweep(store, false, after(50)).await.expired, 0);
    let claimed = claim(store, 1, after(50)).await;
    assert!(claimed[0].lease.token > late.token);
    assert_eq!(finish(store, late, completed("late"), after(50)).await, None);
    assert_eq!(finish(store, claimed[0].lease, completed("1"), after(50)).await, Some(JobState::Completed));
}

async fn only_dead_letters_are_tried_again(store: &impl Jobs) {
    submit(store, (1..=3).map(job).collect()).await;
    let claimed = claim(store, 2, NOW).await;
    finish(store, claimed[0].lease, completed("1"), NOW).await;

    for number in [1, 2, 3] {
        let before = show(store, number).await;
        assert_eq!(done(store.retry(id(number), after(1)).await), Some(before));
    }
}

async fn a_sweep_is_bounded_and_says_so(store: &impl Jobs) {
    submit(store, (0..5).map(|number| NewJob { run_at: after(1), ..job(number) }).collect()).await;
    let some = Sweep { node: NODE, is_alone: false, most: 3 };

    let first = done(store.sweep(some, after(1)).await);
    let second = done(store.sweep(some, after(1)).await);

    assert_eq!((first.due, first.more), (3, true));
    assert_eq!((second.due, second.more), (2, false));
}

async fn a_sweep_tells_when_the_next_job_is_due(store: &impl Jobs) {
    assert_eq!(sweep(store, false, NOW).await.next_due, None);
    let lease = run(store, job(1)).await;
    submit(store, vec![NewJob { run_at: after(70), ..job(2) }]).await;
    assert_eq!(sweep(store, false, NOW).await.next_due, Some(after(70)));

    finish(store, lease, again(after(30), false), NOW).await;

    assert_eq!(sweep(store, false, NOW).await.next_due, Some(after(30)));
    assert_eq!(sweep(store, false, after(30)).await.next_due, Some(after(70)));
}

async fn a_clock_that_jumps_back_takes_nothing_away(store: &impl Jobs) {
    submit(store, vec![job(1), NewJob { run_at: after(5), ..job(2) }]).await;
    let lease = claim(store, 1, after(100_000)).await[0].lease;

    let swept = sweep(store, false, NOW).await;

    assert_eq!((swept.recovered, swept.interrupted, swept.due), (0, 0, 0));
    assert_eq!(finish(store, lease, completed("1"), NOW).await, Some(JobState::Completed));
}
