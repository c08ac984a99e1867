use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The places of the items that are kept.
fn kept(filters: &Value, items: &Value) -> Vec<usize> {
    let mut mistakes = Collected::default();
    let filters = Filters::parse(filters.as_object().unwrap(), "", &mut mistakes);
    mistakes.into_result(()).unwrap();
    let items: Vec<_> = items.as_array().unwrap().iter().collect();
    let found = filters.apply(items.clone()).items;
    (0..items.len()).filter(|at| found.iter().any(|found| std::ptr::eq(*found, items[*at]))).collect()
}

fn mistake(filters: &Value) -> String {
    let mut mistakes = Collected::default();
    Filters::parse(filters.as_object().unwrap(), "", &mut mistakes);
    mistakes.into_result(()).unwrap_err().mistakes.remove(0).message
}

#[test]
fn a_value_is_compared_as_a_whole_and_in_its_case() {
    let items = json!([{"status": "error"}, {"status": "Error"}, {"status": "errors"}, {}]);

    assert_eq!(kept(&json!({"_filter_status": "error"}), &items), [0]);
}

#[test]
fn text_stands_for_the_number_or_boolean_that_it_spells_but_not_the_other_way() {
    let items = json!([{"v": 5}, {"v": "5"}, {"v": 5.0}, {"v": true}, {"v": "true"}, {"v": null}]);

    assert_eq!(kept(&json!({"v": "5"}), &items), [0, 1, 2]);
    assert_eq!(kept(&json!({"v": 5}), &items), [0, 1, 2]);
    assert_eq!(kept(&json!({"v": "true"}), &items), [3, 4]);
    assert_eq!(kept(&json!({"v": true}), &items), [3]);
    assert_eq!(kept(&json!({"v": null}), &items), [5]);
}

#[test]
fn integers_beyond_floats_are_compared_exactly_also_as_text() {
    let items = json!([{"v": "9007199254740993"}, {"v": "9007199254740992"}, {"v": 9_007_199_254_740_993_u64}]);

    assert_eq!(kept(&json!({"v": "9007199254740993"}), &items), [0, 2]);
    assert_eq!(kept(&json!({"v": ">9007199254740992"}), &items), [0, 2]);
}

#[test]
fn a_tilde_begins_a_pattern_that_is_found_anywhere_in_either_case() {
    let items = json!([{"name": "my-CEPH-pool"}, {"name": "pool"}, {"name": 7}]);

    assert_eq!(kept(&json!({"name": "~ceph.*pool"}), &items), [0]);
    assert_eq!(kept(&json!({"name": "~^[0-9]$"}), &items), [2]);
}

#[test]
fn a_bad_or_long_or_large_pattern_is_a_mistake_and_not_an_empty_answer() {
    assert!(mistake(&json!({"name": "~["})).starts_with("`[` is no pattern"));
    assert_eq!(
        mistake(&json!({"name": format!("~{}", "a".repeat(201))})),
        "expected a pattern of 1 to 200 bytes after `~`"
    );
    assert!(mistake(&json!({"name": "~((a{50}){50}){50}"})).contains("is no pattern"));
}

#[test]
fn numbers_are_compared_with_every_sign() {
    let items = json!([{"n": 1}, {"n": 2}, {"n": 3}, {"n": "many"}, {}]);

    for (sign, expected) in [
        (">2", vec![2]),
        (">=2", vec![1, 2]),
        ("<2", vec![0]),
        ("<=2", vec![0, 1]),
        ("=2", vec![1]),
        ("!=2", vec![0, 2, 3]),
    ] {
        assert_eq!(kept(&json!({"_filter_n": sign}), &items), expected, "{sign}");
    }
}

#[test]
fn comparing_with_what_is_no_number_is_a_mistake() {
    assert_eq!(mistake(&json!({"size": ">big"})), "expected a number to compare with, found `big`");
    assert_eq!(mistake(&json!({"size__gt": [[1]]})), "expected a number to compare with, found a list");
    assert_eq!(mistake(&json!({"size": ">nan"})), "expected a number to compare with, found `nan`");
}

#[test]
fn operators_after_two_underscores_work_like_signs() {
    let items = json!([{"name": "osd.1", "size": 5}, {"name": "mon.1", "size": 50}]);

    assert_eq!(kept(&json!({"name__contains": "OSD"}), &items), [0]);
    assert_eq!(kept(&json!({"name__startswith": "mon", "name__endswith": ".1"}), &items), [1]);
    assert_eq!(kept(&json!({"size__gt": 5}), &items), [1]);
    assert_eq!(kept(&json!({"size__gte": "5", "size__lte": 5}), &items), [0]);
    assert_eq!(kept(&json!({"size__lt": 50}), &items), [0]);
    assert_eq!(kept(&json!({"name__ne": "osd.1"}), &items), [1]);
    assert_eq!(kept(&json!({"name__eq": "mon.1"}), &items), [1]);
}

#[test]
fn an_operator_in_the_name_makes_signs_in_the_value_plain_text() {
    let items = json!([{"v": "~x"}, {"v": "x"}]);

    assert_eq!(kept(&json!({"v__eq": "~x"}), &items), [0]);
    assert_eq!(kept(&json!({"v": "=~x"}), &items), [0]);
}

#[test]
fn what_is_no_operator_belongs_to_the_name() {
    assert_eq!(kept(&json!({"a__b": 1}), &json!([{"a__b": 1}, {"a": 1}])), [0]);
}

#[test]
fn a_list_of_values_means_any_of_them_and_filters_mean_all_of_them() {
    let items = json!([{"s": "error", "n": 1}, {"s": "failed", "n": 2}, {"s": "ok", "n": 2}]);

    assert_eq!(kept(&json!({"s": ["error", "~^fail"]}), &items), [0, 1]);
    assert_eq!(kept(&json!({"s": ["error", "failed"], "n": 2}), &items), [1]);
}

#[test]
fn text_is_searched_in_every_text_however_deep() {
    let items = json!([{"a": {"b": [{"c": "a Timeout here"}]}}, {"timeout": 5}, "timeout", 7]);

    assert_eq!(kept(&json!({"_filter__text": "TIMEOUT"}), &items), [0, 2]);
    assert_eq!(kept(&json!({"_text": ["here", "nothing"]}), &items), [0]);
}

#[test]
fn fields_must_be_there_all_of_them_but_may_be_null() {
    let items = json!([{"a": 1, "b": {"c": null}}, {"a": 1}, {}]);

    assert_eq!(kept(&json!({"_filter__has": "a"}), &items), [0, 1]);
    assert_eq!(kept(&json!({"_filter__has": ["a", "b.c"]}), &items), [0]);
}

#[test]
fn dotted_paths_lead_through_objects_and_any_entry_of_lists() {
    let items = json!([{"disks": [{"size": 1}, {"size": 9}]}, {"disks": [{"size": 2}]}, {"tags": ["a", "b"]}]);

    assert_eq!(kept(&json!({"disks.size": ">5"}), &items), [0]);
    assert_eq!(kept(&json!({"tags": "b"}), &items), [2]);
}

#[test]
fn not_equal_holds_only_if_the_field_is_there_and_no_entry_equals() {
    let items = json!([{"tags": ["a", "b"]}, {"tags": ["c"]}, {"tags": []}, {}]);

    assert_eq!(kept(&json!({"tags": "!=a"}), &items), [1]);
}

#[test]
fn a_field_that_no_item_has_is_reported() {
    let mut mistakes = Collected::default();
    let filters = Filters::parse(json!({"nmae": "x", "_has": "id"}).as_object().unwrap(), "", &mut mistakes);

    let filtered = filters.apply(vec![json!({"id": 1, "name": "x"})]);

    assert_eq!(filtered.unknown, ["nmae"]);
}

#[test]
fn too_much_text_for_patterns_is_said_and_not_searched() {
    let mut mistakes = Collected::default();
    let filters = Filters::parse(json!({"t": "~x$"}).as_object().unwrap(), "", &mut mistakes);
    let items: Vec<_> = (0..3).map(|_| json!({"t": "x".repeat(600_000)})).collect();

    let filtered = filters.apply(items);

    assert!(filtered.is_partial);
    assert_eq!(filtered.items.len(), 1);
}

#[test]
fn paths_have_bounds_and_no_empty_names() {
    assert_eq!(mistake(&json!({"_filter_": 1})), "`` is no field: expected 1 to 256 bytes");
    assert_eq!(mistake(&json!({"a..b": 1})), "`a..b` has an empty name between its dots");
    assert!(mistake(&json!({ "a.".repeat(20) + "a": 1 })).ends_with("has more than 16 names"));
    assert_eq!(mistake(&json!({"a": []})), "expected at least one value in the list");
    assert_eq!(mistake(&json!({"a": "x".repeat(1001)})), "expected at most 1000 bytes, found 1001");
}

proptest! {
    #[test]
    fn no_filter_and_no_item_make_it_panic(name in "\\PC{0,12}", text in "\\PC{0,12}", item in "\\PC{0,12}") {
        let mut mistakes = Collected::default();
        let filters = Filters::parse(json!({ name.clone(): text }).as_object().unwrap(), "", &mut mistakes);

        filters.apply(vec![json!({ name: item })]);
    }

    #[test]
    fn what_equals_is_found(value in "[a-z0-9.]{1,10}") {
        prop_assert_eq!(kept(&json!({"v": value}), &json!([{"v": value}])), [0]);
    }
}
