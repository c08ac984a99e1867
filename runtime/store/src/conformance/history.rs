//! What the history of calls must do.

use fumehood_model::{Code, Digest, Usage};

use super::{each, stage::*};
use crate::{CallFilter, CallRecord, History};

each!(
    calls_are_listed_newest_first_and_filtered,
    percentiles_are_exact_for_each_tool,
    figures_are_of_the_newest_calls_that_fit,
    old_calls_are_forgotten,
    never_more_calls_are_kept_than_asked_for,
    a_place_in_the_history_is_never_used_again,
);

fn call(number: u64) -> CallRecord {
    CallRecord {
        at: after(number),
        tool: "m__f".into(),
        digest: Digest::of(b"component"),
        key: key("k"),
        via: "rest".into(),
        code: None,
        usage: Usage { fuel_units: 10, memory_bytes: number, duration_us: number },
        job: None,
    }
}

async fn record(store: &impl History, calls: Vec<CallRecord>) {
    done(store.record(calls).await);
}

/// When the calls arrived that fit, after the first moment.
async fn found(store: &impl History, filter: CallFilter) -> Vec<u64> {
    let filter = CallFilter { most: if filter.most == 0 { 100 } else { filter.most }, ..filter };
    let calls = done(store.calls(filter).await);
    calls.into_iter().map(|stored| stored.call.at.unix_ms - NOW.unix_ms).collect()
}

async fn calls_are_listed_newest_first_and_filtered(store: &impl History) {
    let special = CallRecord { code: Some(Code::Fuel), job: Some(id(1)), via: "job".into(), ..call(2) };
    record(store, vec![call(1), special.clone()]).await;
    record(store, vec![CallRecord { tool: "other".into(), ..call(3) }, CallRecord { key: key("b"), ..call(4) }]).await;
    record(store, vec![CallRecord { code: Some(Code::ToolError), ..call(5) }]).await;
    let all = CallFilter::default();

    assert_eq!(found(store, all.clone()).await, [5, 4, 3, 2, 1]);
    assert_eq!(found(store, CallFilter { tool: Some("other".into()), ..all.clone() }).await, [3]);
    assert_eq!(found(store, CallFilter { key: Some(key("b")), ..all.clone() }).await, [4]);
    for (outcome, expected) in [("ok", vec![4, 3, 1]), ("error", vec![5, 2]), ("fuel", vec![2]), ("trap", vec![])] {
        assert_eq!(found(store, CallFilter { outcome: Some(outcome.into()), ..all.clone() }).await, expected);
    }
    let window = CallFilter { since: Some(after(2)), until: Some(after(4)), ..all.clone() };
    assert_eq!(found(store, window).await, [3, 2]);
    let page = done(store.calls(CallFilter { most: 2, ..all.clone() }).await);
    assert!(page[0].seq > page[1].seq);
    assert_eq!(found(store, CallFilter { before: Some(page[1].seq), most: 2, ..all.clone() }).await, [3, 2]);
    let stored = done(store.calls(CallFilter { outcome: Some("fuel".into()), most: 1, ..all }).await);
    assert_eq!(stored[0].call, special);
}

async fn percentiles_are_exact_for_each_tool(store: &impl History) {
    // In an order in which no index has them.
    record(store, (0..200).map(|number| call(number * 77 % 200 + 1)).collect()).await;
    let failed = CallRecord { tool: "once".into(), code: Some(Code::Trap), ..call(7) };
    record(store, vec![failed]).await;

    let figures = done(store.statistics(CallFilter::default()).await);

    assert_eq!(figures.iter().map(|one| one.tool.as_str()).collect::<Vec<_>>(), ["m__f", "once"]);
    let many = &figures[0];
    assert_eq!((many.calls, many.errors), (200, 0));
    assert_eq!((many.p50_us, many.p95_us, many.p99_us), (100, 190, 198));
    assert_eq!((many.fuel_units, many.max_memory_bytes, many.last_at), (2_000, 200, after(200)));
    let once = &figures[1];
    assert_eq!((once.calls, once.errors, once.p50_us, once.p95_us, once.p99_us), (1, 1, 7, 7, 7));
}

async fn figures_are_of_the_newest_calls_that_fit(store: &impl History) {
    record(store, (1..=10).map(call).collect()).await;

    let newest = done(store.statistics(CallFilter { most: 3, ..CallFilter::default() }).await);
    let none = done(store.statistics(CallFilter { since: Some(after(50)), ..CallFilter::default() }).await);

    assert_eq!((newest[0].calls, newest[0].p50_us), (3, 9));
    assert_eq!(none, []);
}

async fn old_calls_are_forgotten(store: &impl History) {
    record(store, (1..=10).map(call).collect()).await;

    assert_eq!(done(store.prune_calls(after(4), 100, 2).await), 2);
    assert_eq!(found(store, CallFilter::default()).await, [10, 9, 8, 7, 6, 5, 4, 3]);
    assert_eq!(done(store.prune_calls(after(4), 100, 9).await), 1);
    assert_eq!(done(store.prune_calls(after(0), 5, 9).await), 2);
    assert_eq!(found(store, CallFilter::default()).await, [10, 9, 8, 7, 6]);
}

async fn never_more_calls_are_kept_than_asked_for(store: &impl History) {
    // The clock was set back: what is older stands between what is newer.
    record(store, [50, 51, 2, 3, 52, 53, 54].map(call).into()).await;
    done(store.prune_calls(after(4), 100, 9).await);

    done(store.prune_calls(after(0), 3, 1).await);
    assert!(found(store, CallFilter::default()).await.len() <= 4, "at most one at a time");
    while done(store.prune_calls(after(0), 3, 1).await) > 0 {}

    assert_eq!(found(store, CallFilter::default()).await, [54, 53, 52]);
}

async fn a_place_in_the_history_is_never_used_again(store: &impl History) {
    record(store, vec![call(1)]).await;
    let first = done(store.calls(CallFilter { most: 1, ..CallFilter::default() }).await)[0].seq;
    done(store.prune_calls(after(9), 0, 9).await);

    record(store, vec![call(2)]).await;

    let second = done(store.calls(CallFilter { most: 1, ..CallFilter::default() }).await)[0].seq;
    assert!(second > first);
}
