use super::*;

fn kept() -> Kept {
    Kept { id: "f6a7dece".to_owned(), uri: None }
}

fn answer() -> Value {
    let items: Value = (0..200)
        .map(|n| json!({"id": n, "name": format!("osd.{n}"), "status": if n % 20 == 0 { "error" } else { "ok" }}))
        .collect();
    json!({"data": items, "log": "ü".repeat(60_000), "node": {"cpu": 7}})
}

fn run(question: &Value) -> Result<Value, Mistakes> {
    let rules = Rules::default();
    let search = Search::parse(question.as_object().unwrap().clone(), &rules)?;
    search.run(&answer(), &kept(), &rules).map(|shaped| shaped.value)
}

#[test]
fn a_search_answers_with_the_keys_of_the_source() {
    let found = run(&json!({"response_id": "f6a7dece", "filters": {"status": "error"}, "limit": 20, "fields": ["id"]}))
        .unwrap();

    assert_eq!(found["response_id"], "f6a7dece");
    assert_eq!(found["matched_count"], 10);
    assert_eq!(found["results"][1], json!({"id": 20}));
    assert!(found.get("_progressive").is_none());
}

#[test]
fn filters_may_be_written_in_each_way() {
    for question in [
        json!({"filters": {"name__contains": "osd.19", "id__gt": 100}}),
        json!({"_filter_name": "~osd\\.19", "filters": {"_filter_id": ">100"}}),
        json!({"filters": {"_text": "osd.19", "id": ">100"}}),
    ] {
        assert_eq!(run(&question).unwrap()["matched_count"], 10);
    }
}

#[test]
fn a_hundred_items_are_given_and_the_rest_by_cursor() {
    let first = run(&json!({})).unwrap();
    let second = run(&json!({"cursor": first["_progressive"]["next_cursor"]})).unwrap();

    assert_eq!(first["results"].as_array().unwrap().len(), 100);
    assert_eq!(first["_truncation_metadata"]["original_count"], 200);
    assert_eq!(second["results"][0]["id"], 100);
    assert_eq!(second["_progressive"]["has_more"], false);
}

#[test]
fn a_part_is_taken_out_by_pointer_or_by_dots() {
    assert_eq!(run(&json!({"path": "/node/cpu"})).unwrap()["results"], 7);
    assert_eq!(run(&json!({"path": "data.3.name"})).unwrap()["results"], "osd.3");
    assert_eq!(run(&json!({"path": "/data", "offset": 199})).unwrap()["results"][0]["id"], 199);
}

#[test]
fn a_text_is_read_piece_by_piece() {
    let piece = run(&json!({"path": "/log", "offset": 10, "limit": 5})).unwrap();
    let long = run(&json!({"path": "/log", "limit": 60_000})).unwrap();

    assert_eq!(piece["results"], "üüüüü");
    assert_eq!(piece["_progressive"]["next_cursor"], "15");
    assert!(size_of(&long["results"]) <= 50_000);
    assert_eq!(long["_progressive"]["has_more"], true);
}

#[test]
fn a_path_that_leads_nowhere_is_told_what_is_there() {
    let error = run(&json!({"path": "/node/gpu"})).unwrap_err();

    assert_eq!(error, Mistakes::one("/path", "there is no `gpu` in an object with `cpu`"));
}

#[test]
fn every_mistake_of_a_search_is_reported() {
    let wrong =
        json!({"response_id": 7, "filters": {"a": ">x"}, "limit": 0, "offset": -1, "depth": 3, "summary": "count"});

    let pointers: Vec<_> = run(&wrong).unwrap_err().mistakes.into_iter().map(|mistake| mistake.pointer).collect();

    assert_eq!(pointers, ["/response_id", "/limit", "/filters/a", "/summary", "/offset", "/depth"]);
}

#[test]
fn what_is_found_is_as_bounded_as_an_answer() {
    let rules = Rules { max_bytes: 4096, ..Rules::default() };
    let search = Search::parse(Map::new(), &rules).unwrap();

    let found = search.run(&answer(), &kept(), &rules).unwrap();

    assert!(found.report.bytes_after < 4096 + 1024);
    assert_eq!(found.value["_progressive"]["has_more"], true);
}
