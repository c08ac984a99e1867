//! What schedules must do.

use fumehood_model::KeyId;

use super::{each, stage::*};
use crate::{Bounds, Fire, Fired, Jobs, Schedule, Schedules, SubmitError};

each!(
    a_schedule_is_kept_replaced_and_forgotten,
    what_is_due_is_found_first_things_first,
    what_is_due_is_found_page_by_page,
    a_slot_is_used_up_once,
    a_slot_can_be_passed_over,
    a_slot_whose_job_is_refused_is_not_used_up,
    a_schedule_that_was_made_anew_is_another_one,
);

fn schedule(owner: &str, name: &str, next_ms: Option<u64>) -> Schedule {
    Schedule {
        owner: KeyId(owner.into()),
        name: name.into(),
        spec: r#"{"every":"1h"}"#.into(),
        is_paused: false,
        next_at: next_ms.map(after),
        last_at: None,
        last_job: None,
        passed_over: None,
        created_at: NOW,
        version: 0,
    }
}

async fn only(store: &impl Schedules) -> Schedule {
    let mut all = done(store.schedules(None).await);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn fire(schedule: &Schedule, job: Option<u64>, next_ms: u64) -> Fire {
    let new = |number| crate::NewJob { schedule: Some(schedule.name.clone()), ..super::stage::job(number) };
    let job = job.map(|number| Box::new(new(number))).ok_or_else(|| "it rains".to_owned());
    let (owner, name) = (schedule.owner.clone(), schedule.name.clone());
    Fire { owner, name, version: schedule.version, job, next_at: Some(after(next_ms)) }
}

async fn a_schedule_is_kept_replaced_and_forgotten(store: &(impl Jobs + Schedules)) {
    assert!(done(store.put_schedule(schedule("a", "x", Some(5))).await));
    assert!(done(store.put_schedule(schedule("b", "x", None)).await));
    let first = done(store.schedules(Some(key("a"))).await).remove(0);
    assert_eq!(first, Schedule { version: first.version, ..schedule("a", "x", Some(5)) });

    let paused = Schedule { is_paused: true, ..schedule("a", "x", Some(9)) };
    assert!(!done(store.put_schedule(paused.clone()).await));

    let second = done(store.schedules(Some(key("a"))).await).remove(0);
    assert!(second.version > first.version);
    assert_eq!(second, Schedule { version: second.version, ..paused });
    assert_eq!(done(store.schedules(None).await).len(), 2);
    assert!(done(store.remove_schedule(key("a"), "x".into()).await));
    assert!(!done(store.remove_schedule(key("a"), "x".into()).await));
    assert_eq!(only(store).await.owner, key("b"));
}

async fn what_is_due_is_found_first_things_first(store: &(impl Jobs + Schedules)) {
    for (name, next) in [("c", Some(3)), ("a", Some(7)), ("b", Some(1)), ("never", None)] {
        done(store.put_schedule(schedule("k", name, next)).await);
    }
    done(store.put_schedule(Schedule { is_paused: true, ..schedule("k", "paused", Some(0)) }).await);
    let due = async |now, most| {
        let (due, next) = done(store.due_schedules(after(now), None, most).await);
        (due.into_iter().map(|schedule| schedule.name).collect::<Vec<_>>().join(","), next)
    };

    assert_eq!(due(0, 9).await, (String::new(), Some(after(1))));
    assert_eq!(due(3, 9).await, ("b,c".into(), Some(after(7))));
    assert_eq!(due(3, 1).await, ("b".into(), Some(after(3))));
    assert_eq!(due(7, 9).await, ("b,c,a".into(), None));
}

async fn what_is_due_is_found_page_by_page(store: &(impl Jobs + Schedules)) {
    let all = [("b", "a", 1), ("a", "a", 2), ("a", "b", 2), ("b", "a2", 2), ("a", "c", 3), ("a", "later", 9)];
    for (owner, name, next) in all {
        done(store.put_schedule(schedule(owner, name, Some(next))).await);
    }

    let (mut pages, mut place, mut nexts) = (Vec::new(), None, Vec::new());
    loop {
        let (due, next) = done(store.due_schedules(after(5), place, 2).await);
        nexts.push(next);
        if due.is_empty() {
            break;
        }
        place = due.last().and_then(Schedule::place);
        pages.push(due.into_iter().map(|schedule| format!("{}/{}", schedule.owner, schedule.name)).collect::<Vec<_>>());
    }

    assert_eq!(pages, [vec!["b/a", "a/a"], vec!["a/b", "b/a2"], vec!["a/c"]]);
    assert_eq!(nexts, [Some(after(2)), Some(after(3)), Some(after(9)), Some(after(9))]);
}

async fn a_slot_is_used_up_once(store: &(impl Jobs + Schedules)) {
    done(store.put_schedule(schedule("k", "x", Some(5))).await);
    let seen = only(store).await;

    // Two nodes have seen the same schedule.
    let first = done(store.fire(fire(&seen, Some(1), 10), ROOMY, after(5)).await);
    let second = done(store.fire(fire(&seen, Some(2), 10), ROOMY, after(5)).await);

    assert_eq!((first, second), (Fired::Done(Some(id(1))), Fired::Stale));
    let left = only(store).await;
    assert_eq!((left.last_at, left.next_at, left.last_job), (Some(after(5)), Some(after(10)), Some(id(1))));
    assert_eq!(ids(&claim(store, 9, after(5)).await), numbers([1]));
}

async fn a_slot_can_be_passed_over(store: &(impl Jobs + Schedules)) {
    done(store.put_schedule(Schedule { last_job: Some(id(7)), ..schedule("k", "x", Some(5)) }).await);

    let fired = done(store.fire(fire(&only(store).await, None, 10), ROOMY, after(5)).await);

    assert_eq!(fired, Fired::Done(None));
    let left = only(store).await;
    assert_eq!((left.last_at, left.next_at, left.last_job), (Some(after(5)), Some(after(10)), Some(id(7))));
    assert_eq!(claim(store, 9, after(5)).await, []);
}

async fn a_slot_whose_job_is_refused_is_not_used_up(store: &(impl Jobs + Schedules)) {
    done(store.put_schedule(schedule("k", "x", Some(5))).await);
    let seen = only(store).await;

    let full = Bounds { waiting: 0, waiting_per_key: 9 };
    let refused = store.fire(fire(&seen, Some(1), 10), full, after(5)).await;

    assert!(matches!(refused, Err(SubmitError::Full { waiting: 0 })));
    assert_eq!(only(store).await, seen);
}

async fn a_schedule_that_was_made_anew_is_another_one(store: &(impl Jobs + Schedules)) {
    done(store.put_schedule(schedule("k", "x", Some(5))).await);
    let seen = only(store).await;
    done(store.remove_schedule(key("k"), "x".into()).await);
    assert_eq!(done(store.fire(fire(&seen, Some(1), 10), ROOMY, after(5)).await), Fired::Stale);

    done(store.put_schedule(schedule("k", "x", Some(5))).await);

    assert_eq!(done(store.fire(fire(&seen, Some(1), 10), ROOMY, after(5)).await), Fired::Stale);
}
