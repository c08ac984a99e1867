use proptest::prelude::*;

use super::*;
use crate::{Kept, Rules, Shaping};

fn fits(schema: &Value, value: &Value) -> bool {
    jsonschema::validator_for(schema).unwrap().is_valid(value)
}

fn strict() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["data", "total_count", "state"],
        "properties": {
            "data": {"type": "array", "minItems": 10, "items": {"$ref": "#/$defs/item"}},
            "total_count": {"type": "string", "description": "As text."},
            "state": {"oneOf": [
                {"type": "object", "required": ["tag", "val"], "additionalProperties": false,
                 "properties": {"tag": {"const": "up"}, "val": {"type": "integer"}}},
                {"type": "object", "required": ["tag"], "additionalProperties": false,
                 "properties": {"tag": {"const": "down"}}},
            ]},
        },
        "$defs": {"item": {
            "type": "object", "additionalProperties": false, "required": ["id", "log"],
            "properties": {"id": {"type": "integer"}, "log": {"type": "string", "contentEncoding": "base64", "minLength": 4}},
        }},
    })
}

fn answer(count: usize, log: usize) -> Value {
    let data: Value = (0..count).map(|id| json!({"id": id, "log": "QUJD".repeat(log)})).collect();
    json!({"data": data, "total_count": "many", "state": {"tag": "up", "val": 1}})
}

#[test]
fn the_schema_of_an_object_stays_one_and_takes_whole_answers() {
    let schema = extend_output(&strict());

    assert_eq!(schema["type"], "object");
    assert!(fits(&strict(), &answer(20, 1)));
    assert!(fits(&schema, &answer(20, 1)));
    assert!(!fits(&schema, &json!({"data": [{"id": "text"}]})));
}

#[test]
fn the_schema_of_a_list_takes_the_list_and_what_it_becomes() {
    let list = json!({"type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "integer"}}});
    let schema = extend_output(&list);

    assert!(fits(&schema, &json!([1, 2])));
    assert!(!fits(&schema, &json!(["text"])));
    let cut = Shaping::default().apply((0..40).collect(), &Rules::default()).finish(None);
    assert!(fits(&schema, &cut.value));
}

#[test]
fn arguments_may_have_what_shapes_and_nothing_else_that_was_not_allowed() {
    let tool = json!({"type": "object", "properties": {"limit": {"type": "string"}}, "additionalProperties": false});
    let schema = extend_input(&tool);

    assert!(fits(&schema, &json!({"limit": "text", "fields": ["a"], "_filter_a.b": ">5", "_filter__text": "x"})));
    assert!(!fits(&schema, &json!({"limit": 5})));
    assert!(!fits(&schema, &json!({"other": 5})));
}

#[test]
fn a_schema_of_anything_stays_one() {
    assert_eq!(extend_output(&json!(true)), json!({}));
    assert!(fits(&extend_output(&json!({})), &json!([1])));
    assert!(fits(&extend_output(&json!({"type": "null"})), &Value::Null));
}

#[test]
fn a_schema_without_end_is_rewritten_to_a_depth() {
    let mut deep = json!({"type": "string"});
    for _ in 0..500 {
        deep = json!({"type": "array", "items": deep});
    }

    assert!(fits(&extend_output(&json!({"type": "object", "properties": {"a": deep}})), &json!({"a": []})));
}

fn wishes() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        Just(json!({"fields": ["state.val", "id"]})),
        Just(json!({"fields": ["nothing"]})),
        Just(json!({"_filter_id": ">3", "limit": 7})),
        Just(json!({"summary": "stats"})),
        Just(json!({"summary": "errors_only"})),
        Just(json!({"summary": "count"})),
        Just(json!({"summary": "none", "offset": 3})),
        Just(json!({"no_optimize": true})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_is_asked_for_the_answer_fits_the_advertised_schema(
        wish in wishes(), count in 0_usize..150, log in 1_usize..2000, max_bytes in 2048_usize..30_000, inside in any::<bool>(),
    ) {
        let rules = Rules { max_bytes, max_text_chars: 100, ..Rules::default() };
        let shaping = Shaping::parse(wish.as_object().unwrap().clone(), &rules, "").unwrap();
        let kept = Kept { id: "f6a7dece".to_owned(), uri: None };
        let (strict, answer) = if inside {
            (strict(), answer(count, log))
        } else {
            let item = strict()["$defs"]["item"].clone();
            (json!({"type": "array", "items": item}), answer(count, log)["data"].clone())
        };

        let shaped = shaping.apply(answer, &rules).finish(Some(&kept));

        prop_assert!(fits(&extend_output(&strict), &shaped.value), "{}", shaped.value);
    }
}
