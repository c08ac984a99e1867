//! Submitting, telling, showing and forgetting.

use bytes::Bytes;
use fumehood_model::{Bound, JobState, Lowered, Outcome, Progress, Usage};

use super::super::{each, stage::*};
use crate::{
    Body, Bounds, End, Filter, Finish, Held, INLINE, Jobs, MAX_EVENTS, NewJob, Prune, Report, Signal, SubmitError, Told,
};

each!(
    what_is_submitted_is_shown,
    what_is_large_is_kept_apart,
    all_of_a_submission_are_taken_in_or_none,
    an_id_is_taken_once,
    the_same_name_is_the_same_job,
    the_same_name_for_something_else_is_refused,
    a_name_is_free_again_when_its_job_is_forgotten,
    bounds_hold_for_all_keys_and_for_each,
    a_job_that_runs_already_does_not_wait,
    a_job_that_ended_elsewhere_is_kept_as_it_is,
    what_a_job_tells_is_kept_in_order,
    only_the_newest_events_are_kept,
    a_checkpoint_reaches_the_next_attempt,
    a_stale_lease_tells_nothing,
    a_lease_is_renewed_cancelled_or_lost,
    lists_are_filtered_and_paged_newest_first,
    counts_follow_every_step,
    a_component_is_needed_until_the_last_of_its_jobs_has_ended,
    ended_jobs_are_forgotten_and_no_others,
    pruning_keeps_the_newest,
    signals_come_after_what_they_tell_of,
    nothing_is_known_of_unknown_jobs,
);

async fn what_is_submitted_is_shown(store: &impl Jobs) {
    let new = NewJob {
        priority: priority(-3),
        run_at: after(5),
        expires_at: Some(after(9)),
        is_repeatable: false,
        lowered: Lowered::default().with(Bound::Memory, 3 << 20),
        tags: vec!["a".into(), "ä \"quoted\"".into()],
        schedule: Some("nightly".into()),
        ..job(1)
    };

    let submitted = submit(store, vec![new.clone()]).await;

    assert_eq!((submitted[0].id, submitted[0].is_new), (id(1), true));
    let shown = show(store, 1).await;
    assert_eq!((&shown.owner, &shown.tool, &shown.tags), (&new.owner, &new.tool, &new.tags));
    assert_eq!((shown.state, shown.priority, shown.attempt), (JobState::Scheduled, new.priority, 0));
    assert_eq!((shown.max_attempts, shown.is_repeatable, shown.is_cancelled), (3, false, false));
    assert_eq!((shown.created_at, shown.run_at, shown.expires_at), (NOW, new.run_at, new.expires_at));
    assert_eq!((shown.input_bytes, shown.schedule.as_deref()), (3, Some("nightly")));
    assert_eq!((shown.started_at, shown.finished_at, shown.outcome), (None, None, None));
    sweep(store, false, after(5)).await;
    let claimed = claim(store, 1, after(6)).await;
    assert_eq!((&claimed[0].input, claimed[0].lowered), (&new.input, new.lowered));
    assert_eq!(claimed[0].job, show(store, 1).await);
    assert_eq!((claimed[0].job.attempt, claimed[0].job.started_at), (1, Some(after(6))));
}

async fn what_is_large_is_kept_apart(store: &impl Jobs) {
    for (number, size) in [(1, 100), (2, INLINE), (3, INLINE + 1), (4, 3 * INLINE)] {
        let text = format!("\"{}\"", "x".repeat(size - 2));
        let lease = run(store, NewJob { input: Bytes::from(text.clone()), ..job(number) }).await;
        assert_eq!(done(store.body(id(number), Body::Input).await), Some(Bytes::from(text.clone())));
        assert_eq!(done(store.body(id(number), Body::Result).await), None);

        finish(store, lease, completed(&text), NOW).await;

        let shown = show(store, number).await;
        let inline = if size <= INLINE { text.as_str() } else { "" };
        assert_eq!((shown.input_bytes, shown.result_bytes), (size as u64, Some(size as u64)));
        assert_eq!(shown.outcome, Some(value(inline)));
        assert_eq!(done(store.body(id(number), Body::Result).await), Some(Bytes::from(text)));
    }
}

async fn all_of_a_submission_are_taken_in_or_none(store: &impl Jobs) {
    submit(store, vec![job(1)]).await;

    let refused = store.submit(vec![job(2), job(1), job(3)], ROOMY, NOW).await;

    assert!(matches!(refused, Err(SubmitError::Exists { id: taken }) if taken == id(1)));
    assert_eq!(list(store, Filter::default()).await, [id(1)]);
    assert_eq!(submit(store, vec![job(2), job(3)]).await.len(), 2);
    assert_eq!(list(store, Filter::default()).await, numbers([3, 2, 1]));
}

async fn an_id_is_taken_once(store: &impl Jobs) {
    let lease = run(store, job(1)).await;
    finish(store, lease, completed("1"), NOW).await;

    assert!(matches!(store.submit(vec![job(1)], ROOMY, NOW).await, Err(SubmitError::Exists { .. })));
}

async fn the_same_name_is_the_same_job(store: &impl Jobs) {
    let submitted = submit(store, vec![named("n", 1, job(1)), named("n", 1, job(2))]).await;
    assert_eq!(submitted.iter().map(|one| (one.id, one.is_new)).collect::<Vec<_>>(), [(id(1), true), (id(1), false)]);
    let lease = claim(store, 9, NOW).await[0].lease;
    finish(store, lease, completed("1"), NOW).await;

    let again = submit(store, vec![named("n", 1, job(3))]).await;
    let full = Bounds { waiting: 0, waiting_per_key: 0 };
    let although_full = done(store.submit(vec![named("n", 1, job(5))], full, NOW).await);
    let of_another = submit(store, vec![named("n", 2, of("other", 4))]).await;

    assert_eq!((again[0].id, again[0].is_new), (id(1), false));
    assert_eq!((although_full[0].id, although_full[0].is_new), (id(1), false));
    assert_eq!((of_another[0].id, of_another[0].is_new), (id(4), true));
}

async fn the_same_name_for_something_else_is_refused(store: &impl Jobs) {
    submit(store, vec![named("n", 1, job(1))]).await;

    let refused = store.submit(vec![job(2), named("n", 2, job(3))], ROOMY, NOW).await;

    assert!(matches!(refused, Err(SubmitError::NameTaken { id: taken }) if taken == id(1)));
    assert_eq!(list(store, Filter::default()).await, [id(1)]);
}

async fn a_name_is_free_again_when_its_job_is_forgotten(store: &impl Jobs) {
    let lease = run(store, named("n", 1, job(1))).await;
    finish(store, lease, completed("1"), NOW).await;
    done(store.prune(Prune { most: 10, ..Prune::default() }).await);

    assert_eq!(submit(store, vec![named("n", 2, job(2))]).await[0].id, id(2));
}

async fn bounds_hold_for_all_keys_and_for_each(store: &impl Jobs) {
    let bounds = Bounds { waiting: 3, waiting_per_key: 2 };
    let later = NewJob { run_at: after(9), ..of("a", 2) };
    done(store.submit(vec![of("a", 1), later], bounds, NOW).await);

    let own = store.submit(vec![of("a", 3)], bounds, NOW).await;
    done(store.submit(vec![of("b", 4)], bounds, NOW).await);
    let all = store.submit(vec![of("b", 5)], bounds, NOW).await;

    assert!(matches!(own, Err(SubmitError::ShareUsed { waiting: 2 })), "{own:?}");
    assert!(matches!(all, Err(SubmitError::Full { waiting: 3 })), "{all:?}");
    assert_eq!(claim(store, 1, NOW).await.len(), 1);
    done(store.submit(vec![of("c", 6)], bounds, NOW).await);
}

async fn a_job_that_runs_already_does_not_wait(store: &impl Jobs) {
    let full = Bounds { waiting: 0, waiting_per_key: 0 };
    let held = NewJob { held_by: Some((NODE, after(10))), ..job(1) };

    done(store.submit(vec![held], full, NOW).await);

    let shown = show(store, 1).await;
    assert_eq!((shown.state, shown.attempt, shown.started_at), (JobState::Running, 1, Some(NOW)));
    assert_eq!(claim(store, 9, NOW).await, []);
    let lease = crate::Lease { id: id(1), token: 1 };
    assert_eq!(finish(store, lease, completed("1"), NOW).await, Some(JobState::Completed));
}

async fn a_job_that_ended_elsewhere_is_kept_as_it_is(store: &impl Jobs) {
    let full = Bounds { waiting: 0, waiting_per_key: 0 };
    let ended = NewJob { ended: Some((JobState::Completed, Some(value("7")))), ..job(1) };

    done(store.submit(vec![ended], full, NOW).await);

    let shown = show(store, 1).await;
    assert_eq!((shown.state, shown.outcome, shown.finished_at), (JobState::Completed, Some(value("7")), Some(NOW)));
    assert_eq!(claim(store, 9, NOW).await, []);
}

fn log(message: &str) -> Report {
    Report::Told(Told::Log { level: "info".into(), message: message.into() })
}

async fn what_a_job_tells_is_kept_in_order(store: &impl Jobs) {
    let lease = run(store, job(1)).await;
    let before = show(store, 1).await.version;
    let progress = Progress { done: 1.5, total: Some(3.0), message: Some("half".into()) };
    let output = Told::Output { stream: "stdout".into(), text: "line\n".into() };
    let reports = vec![log("one"), Report::Progress(progress.clone()), Report::Told(output.clone())];

    assert!(done(store.report(lease, reports, after(1)).await));
    assert!(done(store.report(lease, vec![log("two")], after(2)).await));

    let shown = show(store, 1).await;
    assert_eq!((shown.progress, shown.updated_at), (Some(progress), after(2)));
    let events = done(store.events(id(1), 0, 100).await);
    assert!(events.windows(2).all(|pair| pair[0].version < pair[1].version));
    assert!(events[0].version > before && events[2].version <= shown.version);
    assert_eq!((events[1].at, &events[1].told), (after(1), &output));
    assert_eq!(done(store.events(id(1), events[0].version, 100).await), events[1..]);
    assert_eq!(done(store.events(id(1), 0, 2).await), events[..2]);
}

async fn only_the_newest_events_are_kept(store: &impl Jobs) {
    let lease = run(store, job(1)).await;
    for turn in 0..3 {
        let half = (0..MAX_EVENTS / 2).map(|number| log(&format!("{turn} {number}"))).collect();
        done(store.report(lease, half, NOW).await);
    }

    done(store.report(lease, vec![log("last")], NOW).await);

    let events = done(store.events(id(1), 0, usize::MAX).await);
    assert_eq!(events.len() as u64, MAX_EVENTS);
    assert_eq!(Report::Told(events[0].told.clone()), log("1 1"));
    assert_eq!(events.last().map(|event| Report::Told(event.told.clone())), Some(log("last")));
}

async fn a_checkpoint_reaches_the_next_attempt(store: &impl Jobs) {
    let lease = run(store, job(1)).await;
    let large = Bytes::from(vec![7; INLINE + 1]);
    for checkpoint in [Bytes::from_static(b"small"), large.clone()] {
        assert!(done(store.report(lease, vec![Report::Checkpoint(checkpoint)], NOW).await));
    }

    finish(store, lease, again(after(1), false), NOW).await;
    sweep(store, false, after(1)).await;
    let second = claim(store, 1, after(1)).await;

    assert_eq!(second[0].checkpoint.as_ref(), Some(&large));
}

async fn a_stale_lease_tells_nothing(store: &impl Jobs) {
    let lease = run(store, job(1)).await;
    finish(store, lease, End::Unrun { at: NOW }, NOW).await;
    let current = claim(store, 1, NOW).await[0].lease;

    assert!(current.token > lease.token);
    assert!(!done(store.report(lease, vec![log("late"), Report::Checkpoint("late".into())], NOW).await));
    assert_eq!(done(store.events(id(1), 0, 10).await), []);
    finish(store, current, completed("1"), NOW).await;
    assert!(!done(store.report(current, vec![log("late")], NOW).await));
}

async fn a_lease_is_renewed_cancelled_or_lost(store: &impl Jobs) {
    submit(store, (1..=3).map(job).collect()).await;
    let leases: Vec<_> = claim(store, 3, NOW).await.into_iter().map(|claimed| claimed.lease).collect();
    done(store.cancel(id(2), NOW).await);
    finish(store, leases[2], completed("1"), NOW).await;

    let held = done(store.renew(leases.clone(), after(10 * LEASE_MS)).await);

    assert_eq!(held, [Held::Renewed, Held::Cancelled, Held::Lost]);
    let swept = sweep(store, false, after(2 * LEASE_MS)).await;
    assert_eq!((swept.recovered, swept.interrupted), (0, 0));
    assert_eq!((state(store, 1).await, state(store, 2).await), (JobState::Running, JobState::Running));
}

async fn lists_are_filtered_and_paged_newest_first(store: &impl Jobs) {
    let tool = |module: &str, function: &str| {
        let mut tool = job(0).tool;
        tool.module = module.parse().expect("a name");
        function.clone_into(&mut tool.function);
        tool
    };
    submit(
        store,
        vec![
            job(1),
            NewJob { tool: tool("other", "f"), ..job(2) },
            NewJob { tool: tool("m", "other"), ..of("b", 3) },
            NewJob { tags: vec!["red".into(), "blue".into()], run_at: after(1), ..job(4) },
            NewJob { schedule: Some("s".into()), ..of("b", 5) },
        ],
    )
    .await;
    let all = Filter::default();

    assert_eq!(list(store, all.clone()).await, numbers([5, 4, 3, 2, 1]));
    assert_eq!(list(store, Filter { owner: Some(key("b")), ..all.clone() }).await, numbers([5, 3]));
    assert_eq!(list(store, Filter { module: Some("other".into()), ..all.clone() }).await, numbers([2]));
    assert_eq!(list(store, Filter { function: Some("other".into()), ..all.clone() }).await, numbers([3]));
    assert_eq!(list(store, Filter { tag: Some("blue".into()), ..all.clone() }).await, numbers([4]));
    assert_eq!(list(store, Filter { schedule: Some("s".into()), ..all.clone() }).await, numbers([5]));
    let states = vec![JobState::Scheduled, JobState::Running];
    assert_eq!(list(store, Filter { states, ..all.clone() }).await, numbers([4]));
    let states = vec![JobState::Available, JobState::Scheduled, JobState::Available];
    let page = Filter { most: 2, states, ..all.clone() };
    assert_eq!(list(store, page.clone()).await, numbers([5, 4]));
    assert_eq!(list(store, Filter { before: Some(id(4)), ..page.clone() }).await, numbers([3, 2]));
    assert_eq!(list(store, Filter { before: Some(id(2)), ..page }).await, numbers([1]));
}

async fn counts_follow_every_step(store: &impl Jobs) {
    submit(store, vec![job(1), job(2), NewJob { run_at: after(500), ..job(3) }]).await;
    let lease = claim(store, 1, after(100)).await[0].lease;

    let counts = done(store.counts(after(250)).await);
    let expected = [(JobState::Available, 1), (JobState::Scheduled, 1), (JobState::Running, 1)];
    assert_eq!((counts.states, counts.oldest_available_ms), (expected.to_vec(), Some(250)));

    done(store.cancel(id(2), NOW).await);
    finish(store, lease, again(after(600), false), after(300)).await;
    let counts = done(store.counts(after(550)).await);
    let expected = [(JobState::Scheduled, 1), (JobState::Retryable, 1), (JobState::Cancelled, 1)];
    assert_eq!((counts.states, counts.oldest_available_ms), (expected.to_vec(), None));

    sweep(store, false, after(700)).await;
    let counts = done(store.counts(after(750)).await);
    assert_eq!(counts.states, [(JobState::Available, 2), (JobState::Cancelled, 1)]);
    assert_eq!(counts.oldest_available_ms, Some(250), "it is available since it was due");
}

async fn a_component_is_needed_until_the_last_of_its_jobs_has_ended(store: &impl Jobs) {
    let component = job(1).tool.digest;
    let later = NewJob { run_at: after(1_000), ..job(2) };
    assert!(!done(store.is_needed(component).await));
    submit(store, vec![later]).await;
    let lease = run(store, job(1)).await;
    assert!(done(store.is_needed(component).await));

    done(store.cancel(id(2), NOW).await);
    assert!(done(store.is_needed(component).await), "it is run on at this moment");
    finish(store, lease, completed("1"), NOW).await;

    assert!(!done(store.is_needed(component).await));
}

async fn ended_jobs_are_forgotten_and_no_others(store: &impl Jobs) {
    submit(store, vec![of("a", 1), of("a", 2), of("b", 3), of("b", 4), of("b", 5)]).await;
    let leases: Vec<_> = claim(store, 4, NOW).await.into_iter().map(|claimed| claimed.lease).collect();
    let lease = |number| *leases.iter().find(|lease| lease.id == id(number)).expect("it was claimed");
    finish(store, lease(1), completed("1"), after(1)).await;
    finish(store, lease(2), failed(), after(2)).await;
    finish(store, lease(3), failed(), after(3)).await;
    let prune = |prune: Prune| store.prune(Prune { most: 10, ..prune });
    let everything = Prune::default();

    assert_eq!(done(prune(Prune { id: Some(id(4)), ..everything.clone() }).await), 0, "it still runs");
    assert_eq!(done(prune(Prune { ended_before: Some(after(1)), ..everything.clone() }).await), 0);
    let of_b = Prune { owner: Some(key("b")), states: vec![JobState::Completed], ..everything.clone() };
    assert_eq!(done(prune(of_b).await), 0);
    assert_eq!(done(prune(Prune { states: vec![JobState::Completed], ..everything.clone() }).await), 1);
    assert_eq!(done(prune(Prune { ended_before: Some(after(3)), ..everything.clone() }).await), 1);
    assert_eq!(done(prune(Prune { id: Some(id(3)), ..everything.clone() }).await), 1);
    assert_eq!(done(prune(everything).await), 0);
    assert_eq!(list(store, Filter::default()).await, numbers([5, 4]));
    assert_eq!(done(store.body(id(3), Body::Input).await), None);
    assert_eq!(done(store.events(id(3), 0, 10).await), []);
}

async fn pruning_keeps_the_newest(store: &impl Jobs) {
    submit(store, (1..=6).map(job).collect()).await;
    for (turn, claimed) in claim(store, 6, NOW).await.into_iter().enumerate() {
        finish(store, claimed.lease, completed("1"), after(turn as u64)).await;
    }

    let some = done(store.prune(Prune { keep: 2, most: 3, ..Prune::default() }).await);
    assert_eq!((some, list(store, Filter::default()).await), (3, numbers([6, 5, 4])));
    let rest = done(store.prune(Prune { keep: 2, most: 3, ..Prune::default() }).await);
    assert_eq!((rest, list(store, Filter::default()).await), (1, numbers([6, 5])));
    let more = done(store.prune(Prune { keep: 9, most: 3, ..Prune::default() }).await);
    assert_eq!(more, 0);
}

async fn signals_come_after_what_they_tell_of(store: &impl Jobs) {
    let mut signals = store.signals();
    let mut heard = async |expected: Signal| {
        while signals.recv().await.expect("a signal") != expected {}
    };

    submit(store, vec![job(1), NewJob { run_at: after(5), ..job(2) }]).await;
    heard(Signal::Available).await;
    heard(Signal::Due).await;
    let lease = claim(store, 1, NOW).await[0].lease;
    done(store.cancel(id(1), NOW).await);
    heard(Signal::Cancel(id(1))).await;
    finish(store, lease, End::Final { state: JobState::Cancelled, outcome: None }, NOW).await;
    heard(Signal::Job(id(1))).await;
    sweep(store, false, after(5)).await;
    heard(Signal::Available).await;
}

async fn nothing_is_known_of_unknown_jobs(store: &impl Jobs) {
    let nobody = crate::Lease { id: id(9), token: 1 };

    assert_eq!(done(store.job(id(9)).await), None);
    assert_eq!(done(store.body(id(9), Body::Input).await), None);
    assert_eq!(done(store.events(id(9), 0, 10).await), []);
    assert_eq!(done(store.cancel(id(9), NOW).await), None);
    assert_eq!(done(store.retry(id(9), NOW).await), None);
    assert_eq!(done(store.renew(vec![nobody], NOW).await), [Held::Lost]);
    assert!(!done(store.report(nobody, vec![log("x")], NOW).await));
    let usage = Some(Usage::default());
    let end = End::Final {
        state: JobState::Completed,
        outcome: Some(fumehood_model::JobOutcome::Ended(Outcome::ToolError("1".into()))),
    };
    let finish = Finish { lease: nobody, end, usage, held_for: std::time::Duration::ZERO };
    assert_eq!(done(store.finish(finish, NOW).await), None);
}
