//! How values cross between JSON and a component, through the real server.

use std::sync::Arc;

use fumehood_tests::{Client, Server, Shared, Values, guest, wat};
use jsonschema::Validator;
use serde_json::{Value, json};

/// How many values each function gets.
const VALUES: usize = 30;

static TYPES: Shared = Shared::new();

fn types() -> Option<Arc<Server>> {
    let component = guest("types")?;
    Some(TYPES.get(|| Server::setup().guest("types", &component).start()))
}

/// What an echo gives back for `arguments`.
enum Echo {
    Value(Value),
    Error(Value),
}

#[test]
fn every_function_gives_back_every_value_unchanged() {
    let Some(server) = types() else { return };
    let module = server.admin().get("/api/v1/modules/types").value();
    let functions = module["functions"].as_array().unwrap();
    assert_eq!((functions.len(), &module["compatibility"], &module["rejected"]), (66, &json!("full"), &json!([])));

    for (seed, function) in functions.iter().enumerate() {
        let mut values = Values::new(seed as u64);
        let output = jsonschema::validator_for(&function["output_schema"]).unwrap();
        let input = jsonschema::validator_for(&function["input_schema"]).unwrap();
        for _ in 0..VALUES {
            let arguments = values.fitting(&function["input_schema"]);
            assert!(input.is_valid(&arguments), "{arguments} does not fit {}", function["input_schema"]);
            check(server.admin(), function["name"].as_str().unwrap(), &arguments, &output);
        }
    }
}

fn check(client: &Client, function: &str, arguments: &Value, output: &Validator) {
    let answer = client.call(&format!("types/{function}"), arguments);
    match echo(function, arguments) {
        Echo::Value(value) => {
            assert_eq!(answer.value(), value, "{function}({arguments})");
            let wrapped = if value.is_null() { json!({}) } else { json!({ "result": value }) };
            assert!(output.is_valid(&value) || output.is_valid(&wrapped), "{function}({arguments})");
        }
        Echo::Error(error) => {
            assert_eq!(answer.refused(422, "tool_error").details, json!({ "error": error }), "{function}({arguments})");
        }
    }
}

fn echo(function: &str, arguments: &Value) -> Echo {
    let of = |name: &str| arguments.get(name).cloned().unwrap_or(Value::Null);
    Echo::Value(match function {
        "echo-outcome" | "echo-outcome-ok" | "echo-outcome-error" | "echo-outcome-both" => json!([of("value")]),
        "return-outcome"
        | "return-outcome-ok"
        | "return-outcome-error"
        | "return-outcome-both"
        | "return-outcome-option"
        | "world-result" => {
            let payload = arguments["value"].get("val").cloned().unwrap_or(Value::Null);
            match arguments["value"]["tag"].as_str() {
                Some("ok") => payload,
                _ => return Echo::Error(payload),
            }
        }
        "many-parameters" => arguments.clone(),
        "optional-parameters" => json!([of("first"), of("second"), of("third")]),
        "escaped-parameters" => json!([of("type"), of("list"), of("func")]),
        "same-age" => {
            let is_older = arguments["b"]["age_in_years"].as_u64() > arguments["a"]["age_in_years"].as_u64();
            of(if is_older { "b" } else { "a" })
        }
        "no-parameters" => json!("constant"),
        "no-result" | "nothing" => Value::Null,
        echo if echo.starts_with("echo-") || echo.starts_with("world-") => of("value"),
        other => panic!("this test does not know what {other} gives back"),
    })
}

// What wassette gets wrong (reference/peers.md, section 2, "JSON <-> WIT"), each right here.

#[test]
fn optional_parameters_and_fields_may_be_absent_or_null() {
    let Some(server) = types() else { return };
    let call = |arguments| server.admin().call("types/optional-parameters", &arguments).value();
    let schema =
        |tool: &str| server.admin().get(&format!("/api/v1/tools/types__{tool}")).value()["input_schema"].clone();

    assert_eq!(call(json!({ "second": "x" })), json!([null, "x", null]));
    assert_eq!(call(json!({ "first": null, "second": "x", "third": null })), json!([null, "x", null]));
    assert_eq!(call(json!({ "first": 0, "second": "", "third": "" })), json!([0, "", ""]));
    assert_eq!(schema("optional-parameters")["required"], json!(["second"]));
    assert_eq!(schema("echo-person")["properties"]["value"]["required"], json!(["given_name", "age_in_years"]));
}

#[test]
fn integers_have_bounds_in_their_schema_and_may_be_written_as_whole_floats() {
    let Some(server) = types() else { return };
    let schema = &server.admin().get("/api/v1/tools/types__echo-s8").value()["input_schema"];

    assert_eq!(schema["properties"]["value"], json!({ "type": "integer", "minimum": -128, "maximum": 127 }));
    assert_eq!(server.admin().call_text("types/echo-s8", r#"{"value": 1.0}"#).value(), json!(1));
    assert_eq!(server.admin().call_text("types/echo-s8", r#"{"value": -1.28e2}"#).value(), json!(-128));
    for text in ["128", "-129", "1.5", "1e300", "\"1\"", "true", "null", "[1]"] {
        let refused =
            server.admin().call_text("types/echo-s8", &format!("{{\"value\": {text}}}")).refused(422, "invalid_input");
        assert_eq!(refused.pointers(), ["/value"], "{text}");
    }
}

#[test]
fn wide_integers_lose_nothing_beyond_two_to_the_53() {
    let Some(server) = types() else { return };
    let echo = |function: &str, text: &str| {
        server.admin().call_text(&format!("types/{function}"), &format!("{{\"value\": {text}}}")).value()
    };

    assert_eq!(echo("echo-u64", "9007199254740991"), json!(9_007_199_254_740_991_u64));
    assert_eq!(echo("echo-u64", "\"7\""), json!(7));
    assert_eq!(echo("echo-u64", "9007199254740993"), json!("9007199254740993"));
    assert_eq!(echo("echo-u64", "\"18446744073709551615\""), json!("18446744073709551615"));
    assert_eq!(echo("echo-s64", "-9007199254740993"), json!("-9007199254740993"));
    assert_eq!(echo("echo-s64", "\"-9223372036854775808\""), json!("-9223372036854775808"));
    for text in ["\"18446744073709551616\"", "18446744073709551616", "-1", "\"+1\"", "\" 1\"", "\"1e3\"", "\"\""] {
        let refused =
            server.admin().call_text("types/echo-u64", &format!("{{\"value\": {text}}}")).refused(422, "invalid_input");
        assert_eq!(refused.pointers(), ["/value"], "{text}");
    }
}

#[test]
fn short_floats_are_not_widened() {
    let Some(server) = types() else { return };

    assert_eq!(server.admin().call_text("types/echo-f32", r#"{"value": 3.14}"#).text(), "3.14");
    assert_eq!(server.admin().call_text("types/echo-f64", r#"{"value": 3.14}"#).text(), "3.14");
    assert_eq!(server.admin().call_text("types/echo-f64", r#"{"value": 2}"#).text(), "2");
}

#[test]
fn floats_come_back_to_the_last_digit() {
    let Some(server) = types() else { return };

    for text in
        ["9.59925e-29", "0.1", "1.7976931348623157e308", "5e-324", "2.2250738585072014e-308", "123456789.12345679"]
    {
        let answer = server.admin().call_text("types/echo-f64", &format!("{{\"value\": {text}}}"));
        assert_eq!(answer.text().parse::<f64>(), text.parse::<f64>(), "{text}");
    }
    for text in ["1e999", "-1e999"] {
        server.admin().call_text("types/echo-f64", &format!("{{\"value\": {text}}}")).refused(400, "malformed");
    }
    let refused = server.admin().call_text("types/echo-f32", "{\"value\": 1e39}").refused(422, "invalid_input");
    assert_eq!(refused.pointers(), ["/value"]);
}

#[test]
fn what_is_not_a_number_in_json_is_text_and_the_schema_says_so() {
    let Some(component) = guest("probe") else { return };
    let server = Server::setup().guest("probe", &component).start();

    for (function, text) in [("nan", "NaN"), ("infinity", "Infinity")] {
        let value = server.admin().call(&format!("probe/{function}"), &json!({})).value();
        let tool = server.admin().get(&format!("/api/v1/tools/probe__{function}")).value();
        assert_eq!(value, json!(text));
        assert!(jsonschema::is_valid(&tool["output_schema"], &json!({ "result": value })));
    }
}

#[test]
fn flags_go_in_and_come_out_as_the_array_that_their_schema_describes() {
    let Some(server) = types() else { return };
    let schema =
        &server.admin().get("/api/v1/tools/types__echo-permissions").value()["input_schema"]["properties"]["value"];
    let call = |value: Value| server.admin().call("types/echo-permissions", &json!({ "value": value }));

    assert_eq!((&schema["type"], &schema["uniqueItems"]), (&json!("array"), &json!(true)));
    assert_eq!(call(json!(["can-execute", "can_read", "can-read"])).value(), json!(["can-read", "can-execute"]));
    assert_eq!(call(json!([])).value(), json!([]));
    let refused = call(json!(["can-read", "can-fly", 3])).refused(422, "invalid_input");
    assert_eq!(refused.pointers(), ["/value/1", "/value/2"]);
    assert_eq!(call(json!({ "can-read": true })).refused(422, "invalid_input").pointers(), ["/value"]);
}

#[test]
fn results_without_payloads_can_be_passed_in() {
    let Some(server) = types() else { return };
    let echo = |function: &str, value: Value| {
        server.admin().call(&format!("types/{function}"), &json!({ "value": value })).value()
    };

    for value in [json!({ "tag": "ok" }), json!({ "tag": "err" })] {
        assert_eq!(echo("echo-outcome", value.clone()), json!([value]));
    }
    assert_eq!(echo("echo-outcome", json!({ "tag": "ok", "val": null })), json!([{ "tag": "ok" }]));
    assert_eq!(echo("echo-outcome-ok", json!({ "tag": "err" })), json!([{ "tag": "err" }]));
    assert_eq!(echo("echo-outcome-error", json!({ "tag": "err", "val": "x" })), json!([{ "tag": "err", "val": "x" }]));
    let surplus = server.admin().call("types/echo-outcome", &json!({ "value": { "tag": "ok", "val": 1 } }));
    assert_eq!(surplus.refused(422, "invalid_input").pointers(), ["/value/val"]);
}

#[test]
fn none_and_some_none_stay_apart() {
    let Some(server) = types() else { return };
    let echo = |arguments: Value| server.admin().call("types/echo-option-option", &arguments).value();

    assert_eq!(echo(json!({})), json!(null));
    assert_eq!(echo(json!({ "value": { "tag": "none" } })), json!({ "tag": "none" }));
    assert_eq!(echo(json!({ "value": { "tag": "some", "val": 3 } })), json!({ "tag": "some", "val": 3 }));
}

#[test]
fn variants_are_tagged_whatever_the_order_of_their_members() {
    let Some(server) = types() else { return };
    let call = |text: &str| server.admin().call_text("types/echo-shape", &format!("{{\"value\": {text}}}"));

    assert_eq!(call(r#"{"val": 1.5, "tag": "circle"}"#).value(), json!({ "tag": "circle", "val": 1.5 }));
    assert_eq!(
        call(r#"{"tag": "named_shape", "val": {"given-name": "a", "age_in_years": 1}}"#).value()["tag"],
        "named-shape"
    );
    assert_eq!(call(r#"{"tag": "cirle", "val": 1.5}"#).refused(422, "invalid_input").pointers(), ["/value/tag"]);
    assert_eq!(call(r#"{"val": 1.5}"#).refused(422, "invalid_input").pointers(), ["/value/tag"]);
    assert_eq!(call(r#"{"tag": "circle"}"#).refused(422, "invalid_input").pointers(), ["/value/val"]);
    assert_eq!(call(r#"{"tag": "nothing", "val": 1}"#).refused(422, "invalid_input").pointers(), ["/value/val"]);
}

#[test]
fn enums_are_text() {
    let Some(server) = types() else { return };
    let call = |value: Value| server.admin().call("types/echo-color", &json!({ "value": value }));

    assert_eq!(call(json!("dark-blue")).value(), json!("dark-blue"));
    assert_eq!(call(json!("dark_blue")).value(), json!("dark-blue"));
    for wrong in [json!("Red"), json!(0), json!(""), json!(null)] {
        assert_eq!(call(wrong).refused(422, "invalid_input").pointers(), ["/value"]);
    }
}

#[test]
fn tuples_are_arrays_both_ways_and_in_both_schemas() {
    let Some(server) = types() else { return };
    let tool = server.admin().get("/api/v1/tools/types__echo-pair").value();
    let call = |value: Value| server.admin().call("types/echo-pair", &json!({ "value": value }));

    assert_eq!(tool["input_schema"]["properties"]["value"], tool["output_schema"]["properties"]["result"]);
    assert_eq!(tool["input_schema"]["properties"]["value"]["prefixItems"].as_array().unwrap().len(), 2);
    assert_eq!(call(json!([1, "a"])).value(), json!([1, "a"]));
    for wrong in [json!([1]), json!([1, "a", 2]), json!([]), json!({ "val0": 1, "val1": "a" })] {
        assert_eq!(call(wrong).refused(422, "invalid_input").pointers(), ["/value"]);
    }
    assert_eq!(call(json!(["a", 1])).refused(422, "invalid_input").pointers(), ["/value/0", "/value/1"]);
}

#[test]
fn bytes_are_base64_with_or_without_padding_or_a_data_url() {
    let Some(server) = types() else { return };
    let schema = &server.admin().get("/api/v1/tools/types__echo-bytes").value()["input_schema"]["properties"]["value"];
    let call = |value: Value| server.admin().call("types/echo-bytes", &json!({ "value": value }));

    assert_eq!(*schema, json!({ "type": "string", "contentEncoding": "base64" }));
    for given in ["AP8=", "AP8", "data:image/png;base64,AP8=", "data:;base64,AP8"] {
        assert_eq!(call(json!(given)).value(), json!("AP8="), "{given}");
    }
    for wrong in [json!("A"), json!("AP8*"), json!("data:text/plain,x"), json!(3)] {
        assert_eq!(call(wrong).refused(422, "invalid_input").pointers(), ["/value"]);
    }
}

#[test]
fn a_char_is_exactly_one_scalar_value() {
    let Some(server) = types() else { return };
    let call = |text: &str| server.admin().call_text("types/echo-char", &format!("{{\"value\": {text}}}"));

    for text in ["\"a\"", "\"😀\"", "\"\\u0000\"", "\"\\ud83d\\ude00\""] {
        assert_eq!(call(text).value(), text.parse::<Value>().unwrap());
    }
    for text in ["\"\"", "\"ab\"", "\"e\u{301}\"", "97"] {
        assert_eq!(call(text).refused(422, "invalid_input").pointers(), ["/value"], "{text}");
    }
    assert_eq!(call("\"\\ud800\"").refused(400, "malformed").details, Value::Null);
}

#[test]
fn functions_with_resources_are_reported_and_never_tools() {
    let server = Server::setup().api("resource", wat("resource")).start();
    let module = server.admin().get("/api/v1/modules/resource").value();

    let names: Vec<_> = module["functions"].as_array().unwrap().iter().map(|function| &function["name"]).collect();
    let rejected: Vec<_> =
        module["rejected"].as_array().unwrap().iter().map(|r| r["export"].as_str().unwrap()).collect();
    assert_eq!((names, &module["compatibility"]), (vec![&json!("double")], &json!("partial")));
    assert_eq!(
        rejected,
        ["test:resource/counters.[constructor]counter", "test:resource/counters.[method]counter.value"]
    );
    assert!(
        module["rejected"]
            .as_array()
            .unwrap()
            .iter()
            .all(|r| r["reason"].as_str().is_some_and(|text| !text.is_empty()))
    );
    assert_eq!(server.admin().call("resource/double", &json!({ "number": 21 })).value(), json!(42));
}

#[test]
fn names_are_snake_case_in_json_and_kebab_case_is_taken_too() {
    let Some(server) = types() else { return };
    let expected = json!({ "given_name": "Ada", "age_in_years": 36, "e_mail_address": "a@b" });

    for value in [
        json!({ "given_name": "Ada", "age_in_years": 36, "e_mail_address": "a@b" }),
        json!({ "given-name": "Ada", "age-in-years": 36, "e-mail-address": "a@b" }),
    ] {
        assert_eq!(server.admin().call("types/echo-person", &json!({ "value": value })).value(), expected);
    }
    let both = r#"{"value": {"given_name": "Ada", "given-name": "Eve", "age_in_years": 36}}"#;
    assert_eq!(
        server.admin().call_text("types/echo-person", both).refused(422, "invalid_input").pointers(),
        ["/value/given_name"]
    );
}

#[test]
fn functions_of_the_same_name_in_two_interfaces_are_both_callable() {
    let component = include_str!("two-interfaces.wat");
    let server = Server::setup().api("twins", fumehood_tests::parse_wat(component)).start();
    let module = server.admin().get("/api/v1/modules/twins").value();

    let functions = module["functions"].as_array().unwrap();
    let answers: Vec<_> = functions
        .iter()
        .map(|f| server.admin().call(&format!("twins/{}", f["name"].as_str().unwrap()), &json!({})).value())
        .collect();
    assert_eq!(answers, [json!(1), json!(2)], "{module}");
    let tools: std::collections::BTreeSet<_> =
        functions.iter().map(|function| function["tool"].as_str().unwrap()).collect();
    assert_eq!(tools.len(), 2);
}

#[test]
fn an_error_of_a_tool_is_not_a_success() {
    let Some(server) = types() else { return };
    let call = |value: Value| server.admin().call("types/world-result", &json!({ "value": value }));

    assert_eq!(call(json!({ "tag": "ok", "val": "fine" })).value(), json!("fine"));
    let refused = call(json!({ "tag": "err", "val": "no" })).refused(422, "tool_error");
    assert_eq!((refused.message.as_str(), refused.details), ("no", json!({ "error": "no" })));
}

#[test]
fn a_mistake_deep_inside_is_pointed_at() {
    let Some(server) = types() else { return };
    let people =
        json!([[null, { "given_name": "Ada", "age_in_years": 36 }], [{ "given_name": "Bob", "age_in_years": -1 }]]);

    let refused = server.admin().call("types/echo-deep", &json!({ "value": people })).refused(422, "invalid_input");

    assert_eq!(refused.mistakes(), [("/value/1/0/age_in_years", "expected an integer from 0 to 4294967295, found -1")]);
}

#[test]
fn nesting_without_end_is_refused() {
    let Some(server) = types() else { return };
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let call = |function: &str, body: &str| server.admin().call_text(&format!("types/{function}"), body);

    let unexpected = call("echo-strings", &format!("{{\"value\": {deep}}}")).refused(422, "invalid_input");
    assert_eq!(unexpected.mistakes(), [("/value/0", "expected a string, found an array")]);
    let unknown = call("echo-strings", &format!("{{\"value\": [], \"x\": {deep}}}")).refused(422, "invalid_input");
    assert_eq!(unknown.pointers(), ["/x"]);
    for (function, body) in
        [("echo-permissions", deep.clone()), ("echo-shape", format!("{{\"val\": {deep}, \"tag\": \"circle\"}}"))]
    {
        call(function, &format!("{{\"value\": {body}}}")).refused(400, "malformed");
    }
}

#[test]
fn hostile_types_are_described_in_little_space() {
    for (name, levels) in [("type-dag", 17), ("type-dag-tuples", 18)] {
        let server = Server::setup().api(name, wat(name)).start();

        let module = server.admin().get(&format!("/api/v1/modules/{name}"));

        assert!(module.body.len() < 64 << 10, "{name} takes {} bytes", module.body.len());
        assert_eq!(server.admin().call(&format!("{name}/levels"), &json!({})).value(), json!(levels));
    }
}
