use serde_json::json;

use super::*;

fn items(count: usize) -> Value {
    (0..count)
        .map(|n| json!({"id": n, "status": if n % 10 == 0 { "error" } else { "ok" }, "name": format!("item-{n}")}))
        .collect()
}

fn rules() -> Rules {
    Rules { summaries: false, ..Rules::default() }
}

fn shaping(wanted: &Value, rules: &Rules) -> Shaping {
    Shaping::parse(wanted.as_object().unwrap().clone(), rules, "").unwrap()
}

fn shaped(answer: Value, wanted: &Value, rules: &Rules) -> Shaped {
    shaping(wanted, rules).apply(answer, rules).finish(None)
}

#[test]
fn a_short_list_is_left_as_it_is() {
    for answer in [items(5), items(25), json!({"data": items(25), "total": 25}), json!(7), json!({"a": 1})] {
        let shaped = shaped(answer.clone(), &json!({}), &Rules::default());

        assert_eq!((shaped.form, shaped.value), (Form::Whole, answer));
        assert_eq!(shaped.report.tokens_saved(), 0);
    }
}

#[test]
fn a_long_list_is_cut_with_exactly_the_keys_of_the_source() {
    let shaped = shaped(items(500), &json!({}), &rules());

    let mut told = shaped.value;
    let data = told.as_object_mut().unwrap().remove("data").unwrap();
    assert_eq!(data.as_array().unwrap().len(), 25);
    assert_eq!(
        told,
        json!({
            "_optimization_applied": true,
            "_original_count": 500,
            "_returned_count": 25,
            "_truncation_metadata": {
                "truncated": true,
                "original_count": 500,
                "returned_count": 25,
                "truncation_message": "Response truncated from 500 to 25 items to save tokens. \
                                       Use pagination (limit/offset) or filters to get specific data.",
            },
        })
    );
}

#[test]
fn the_list_of_a_wrapper_is_cut_and_what_is_beside_it_stays() {
    let shaped = shaped(json!({"result": items(30), "next": "abc"}), &json!({}), &Rules::default());

    assert_eq!(shaped.value["result"].as_array().unwrap().len(), 25);
    assert_eq!(shaped.value["next"], "abc");
    assert_eq!(shaped.value["_truncation_metadata"]["original_count"], 30);
}

#[test]
fn filters_come_before_the_cut() {
    let shaped = shaped(items(300), &json!({"_filter_status": "error"}), &rules());

    assert_eq!(shaped.value["_original_count"], 300);
    assert_eq!(shaped.value["_matched_count"], 30);
    assert_eq!(shaped.value["_returned_count"], 25);
    assert_eq!(shaped.value["_truncation_metadata"]["original_count"], 30);
    assert!(shaped.value["data"].as_array().unwrap().iter().all(|item| item["status"] == "error"));
}

#[test]
fn filters_come_before_the_projection() {
    let shaped = shaped(items(50), &json!({"_filter_status": "error", "fields": ["id", "nmae"]}), &Rules::default());

    assert_eq!(shaped.value["data"], json!([{"id": 0}, {"id": 10}, {"id": 20}, {"id": 30}, {"id": 40}]));
    assert_eq!(shaped.value["_field_projection"], "Projected to 2 fields: id, nmae");
    assert_eq!(shaped.value["_unknown_fields"], json!(["nmae"]));
    assert!(shaped.value.get("_truncation_metadata").is_none());
}

#[test]
fn more_than_fifty_items_are_summed_up_and_the_summary_names_where_the_whole_is() {
    let cut = Shaping::default().apply(items(51), &Rules::default());
    assert!(cut.wants_keeping());

    let shaped =
        cut.finish(Some(&Kept { id: "f6a7dece".to_owned(), uri: Some("fumehood://results/f6a7dece".to_owned()) }));

    assert_eq!(shaped.form, Form::Summary);
    let keys: Vec<_> = shaped.value.as_object().unwrap().keys().take(3).map(String::as_str).collect();
    assert_eq!(keys, ["_summary", "_response_id", "total_count"]);
    assert_eq!(shaped.value["_response_id"], "f6a7dece");
    assert_eq!(shaped.value["_response_uri"], "fumehood://results/f6a7dece");
    assert!(shaped.value["_hint"].as_str().unwrap().contains("search_last_result(response_id='f6a7dece')"));
}

#[test]
fn projected_lists_are_summed_up_only_beyond_a_hundred_and_else_given_whole() {
    let hundred = shaped(items(100), &json!({"fields": "id"}), &Rules::default());
    let more = shaped(items(101), &json!({"fields": "id"}), &Rules::default());

    assert_eq!(hundred.value["data"].as_array().unwrap().len(), 100);
    assert_eq!(more.form, Form::Summary);
}

#[test]
fn whoever_names_a_page_gets_it_and_is_told_of_the_next() {
    let shaped = shaped(items(500), &json!({"limit": 50, "offset": 100}), &Rules::default());

    assert_eq!(shaped.value["data"][0]["id"], 100);
    assert_eq!(
        shaped.value["_progressive"],
        json!({"has_more": true, "next_cursor": "150", "current_limit": 50, "returned_count": 50})
    );
}

#[test]
fn pages_by_cursor_give_every_item_once() {
    let (mut seen, mut cursor) = (Vec::new(), json!("0"));

    while !cursor.is_null() {
        let page = shaped(items(120), &json!({"limit": 50, "cursor": cursor}), &Rules::default()).value;
        seen.extend(page["data"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()));
        cursor = page["_progressive"]["next_cursor"].clone();
    }

    assert_eq!(seen, (0..120).collect::<Vec<_>>());
}

#[test]
fn the_last_page_is_not_called_truncated() {
    let last = shaped(items(120), &json!({"offset": 100, "limit": 50}), &Rules::default());
    let beyond = shaped(items(120), &json!({"offset": 500}), &Rules::default());

    assert!(last.value.get("_truncation_metadata").is_none());
    assert_eq!(last.value["_progressive"]["has_more"], false);
    assert_eq!(beyond.value["data"], json!([]));
}

#[test]
fn lists_are_sorted_before_they_are_cut() {
    let shaped = shaped(items(300), &json!({"sort": "id", "order": "desc", "limit": 1}), &Rules::default());

    assert_eq!(shaped.value["data"][0]["id"], 299);
}

#[test]
fn long_texts_in_items_are_cut_and_counted() {
    let answer: Value = (0..10).map(|n| json!({"id": n, "log": "x".repeat(3000)})).collect();

    let shaped = shaped(answer, &json!({}), &Rules { max_bytes: 1 << 20, ..Rules::default() });

    assert_eq!(shaped.value["_truncation_metadata"]["texts_cut"], 10);
    assert_eq!(shaped.value["_truncation_metadata"]["returned_count"], 10);
    assert!(shaped.value["data"][0]["log"].as_str().unwrap().ends_with("… [1000 more characters]"));
}

#[test]
fn an_answer_is_never_larger_than_allowed_but_for_what_is_told() {
    let rules = Rules { max_bytes: 4096, ..rules() };
    let answers = [
        (0..20).map(|n| json!({"id": n, "log": "x".repeat(1500)})).collect(),
        json!([{"log": "x".repeat(100_000)}]),
        json!({"data": items(20), "beside": "x".repeat(100_000)}),
        json!({"text": "x".repeat(100_000)}),
        json!("x".repeat(100_000)),
        json!({"a": items(100), "b": items(100)}),
    ];

    for answer in answers {
        let before = size_of(&answer);
        let shaped = shaped(answer, &json!({}), &rules);

        assert_eq!(shaped.value["_truncation_metadata"]["truncated"], true);
        assert!(size_of(&shaped.value) <= 4096 + 1024, "{} of {before}", size_of(&shaped.value));
    }
}

#[test]
fn fewer_items_than_asked_for_are_followed_by_the_rest() {
    let answer: Value = (0..100).map(|n| json!({"id": n, "log": "x".repeat(1000)})).collect();

    let shaped = shaped(answer, &json!({"limit": 50}), &Rules { max_bytes: 10_000, ..rules() });

    let returned = shaped.value["data"].as_array().unwrap().len();
    assert!(returned < 50);
    assert_eq!(shaped.value["_progressive"]["next_cursor"], returned.to_string());
}

#[test]
fn a_large_object_without_a_list_is_told_by_its_paths() {
    let answer = json!({"a": items(1000), "b": items(1000), "c": 1});

    let shaped = shaped(answer, &json!({}), &Rules::default());

    assert_eq!(shaped.form, Form::Summary);
    assert!(shaped.value["paths"]["/a"].as_str().unwrap().starts_with("a list of 1000 items"));
    assert!(size_of(&shaped.value) <= 50_000);
}

#[test]
fn opting_out_gives_the_whole_answer() {
    let shaped = shaped(items(5000), &json!({"no_optimize": true}), &Rules::default());

    assert_eq!((shaped.form, shaped.value), (Form::Whole, items(5000)));
}

#[test]
fn opting_out_does_not_switch_filters_off() {
    let shaped = shaped(items(5000), &json!({"no_optimize": true, "_filter_status": "error"}), &Rules::default());

    assert_eq!(shaped.value["_returned_count"], 500);
}

#[test]
fn a_summary_is_given_whenever_it_is_asked_for() {
    let counted = shaped(items(3), &json!({"summary": "count", "_filter_id": ">0"}), &Rules::default());
    let errors = shaped(items(30), &json!({"summary": "errors_only"}), &Rules::default());
    let stats = shaped(json!({"data": items(30), "cursor": "abc"}), &json!({"summary": "stats"}), &Rules::default());
    let none = shaped(items(300), &json!({"summary": "none"}), &Rules::default());

    assert_eq!(counted.value, json!({"_summary": "Found 2 items", "total_count": 2, "summary_type": "count"}));
    assert_eq!(errors.value["error_count"], 3);
    assert_eq!(stats.value["status_distribution"], json!({"error": 3, "ok": 27}));
    assert_eq!(stats.value["other_members"], json!({"cursor": "abc"}));
    assert_eq!(none.value["_returned_count"], 25);
}

#[test]
fn filters_on_an_answer_without_a_list_change_nothing_and_say_so() {
    let shaped = shaped(json!({"id": 1}), &json!({"_filter_id": 2}), &Rules::default());

    assert_eq!(shaped.value["id"], 1);
    assert_eq!(shaped.value["_warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn a_single_object_is_projected() {
    let shaped = shaped(json!({"id": 1, "name": "x"}), &json!({"fields": ["id"]}), &Rules::default());

    assert_eq!(shaped.value["id"], 1);
    assert!(shaped.value.get("name").is_none());
}

#[test]
fn a_record_with_a_list_in_it_is_projected_where_its_own_fields_are_wanted() {
    let answer = || json!({"words": 4, "lines": 2, "top": [{"word": "a", "count": 2}]});
    let of = |fields: Value| shaped(answer(), &json!({ "fields": fields }), &Rules::default()).value;

    let words = of(json!(["words"]));
    assert_eq!((&words["words"], words.get("lines"), words.get("top")), (&json!(4), None, None));
    assert!(words.get("_unknown_fields").is_none(), "{words}");
    let counts = of(json!(["count"]));
    assert_eq!((&counts["words"], &counts["top"]), (&json!(4), &json!([{"count": 2}])));
}

#[test]
fn the_report_says_what_was_saved() {
    let before = size_of(&items(500));

    let shaped = shaped(items(500), &json!({}), &rules());

    assert_eq!(shaped.report.bytes_before, before);
    assert_eq!(shaped.report.bytes_after, size_of(&shaped.value));
    assert_eq!(shaped.report.tokens_saved(), (before - size_of(&shaped.value)) / 4);
}

#[test]
fn a_list_that_the_rules_point_to_is_the_one_that_is_cut() {
    let rules = Rules { list: Some("/page/items".to_owned()), ..rules() };

    let shaped = shaped(json!({"page": {"items": items(60)}, "data": items(30)}), &json!({}), &rules);

    assert_eq!(shaped.value["page"]["items"].as_array().unwrap().len(), 25);
    assert_eq!(shaped.value["data"].as_array().unwrap().len(), 30);
}
