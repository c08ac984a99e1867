//! Calling a tool over REST: what comes back, and how each mistake is told.

use std::{io::Write, sync::Arc};

use fumehood_tests::{Answer, Server, Shared, connect, exchange, guest, read_answer, wat};
use serde_json::{Value, json};

static CALCULATOR: Shared = Shared::new();

fn calculator() -> Option<Arc<Server>> {
    let (calculator, types) = (guest("calculator")?, guest("types")?);
    Some(CALCULATOR.get(|| {
        let setup = Server::setup().guest("calculator", &calculator).guest("types", &types).api("spin", wat("spin"));
        setup.api("grow", wat("grow")).set("limits.fuel_units", 50_000_000).start()
    }))
}

#[test]
fn the_answer_is_the_bare_result() {
    let Some(server) = calculator() else { return };

    let answer = server.admin().call("calculator/add", &json!({ "a": 2, "b": 40 }));

    assert_eq!((answer.status, answer.text().as_str()), (200, "42"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn every_answer_tells_what_the_call_used() {
    let Some(server) = calculator() else { return };
    let digest = server.admin().get("/api/v1/modules/calculator").value()["digest"].clone();
    let used = |answer: &Answer| {
        assert_eq!(answer.header("fumehood-digest"), digest.as_str());
        (answer.number("fumehood-fuel"), answer.number("fumehood-memory-bytes"), answer.number("fumehood-duration-us"))
    };

    let small = used(&server.admin().call("calculator/evaluate", &json!({ "expression": "1" })));
    let large = used(&server.admin().call("calculator/evaluate", &json!({ "expression": "1+1*2-3".repeat(100) })));
    let failed = server.admin().call("calculator/divide", &json!({ "a": 1, "b": 0 }));

    assert!(small.0 > 0 && small.1 >= 65_536 && small.2 > 0, "{small:?}");
    assert!(large.0 > 10 * small.0, "{small:?} {large:?}");
    assert_eq!(failed.status, 422);
    assert!(used(&failed).0 > 0);
}

#[test]
fn the_same_call_burns_the_same_fuel() {
    let Some(server) = calculator() else { return };
    let fuel =
        || server.admin().call("calculator/evaluate", &json!({ "expression": "2^10-1" })).number("fumehood-fuel");

    assert_eq!(fuel(), fuel());
}

#[test]
fn a_function_without_arguments_takes_an_empty_body() {
    let Some(server) = calculator() else { return };
    let client = server.admin();

    assert_eq!(client.send("POST", "/api/types/no-parameters", &[], b"").value(), json!("constant"));
    assert_eq!(client.call_text("types/no-parameters", " \n").value(), json!("constant"));
    assert_eq!(client.call("types/no-parameters", &json!({})).value(), json!("constant"));
    assert_eq!(client.call("types/nothing", &json!({})).value(), json!(null));
    assert_eq!(
        client.send("POST", "/api/calculator/add", &[], b"").refused(422, "invalid_input").pointers(),
        ["/a", "/b"]
    );
}

#[test]
fn unknown_modules_and_functions_are_answered_with_near_names() {
    let Some(server) = calculator() else { return };

    let module = server.admin().call("calculater/add", &json!({})).refused(404, "not_found");
    let function = server.admin().call("calculator/ad", &json!({})).refused(404, "not_found");
    let far = server.admin().call("zzzzzzzzzzzzzzzzz/add", &json!({})).refused(404, "not_found");
    let tool = server.admin().get("/api/v1/tools/calculator__ad").refused(404, "not_found");

    assert_eq!(module.message, "there is no module `calculater`, did you mean `calculator`?");
    assert_eq!(module.details, json!({ "near": ["calculator"] }));
    assert_eq!(function.details["near"][0], "add", "{function:?}");
    assert_eq!((far.message.as_str(), far.details), ("there is no module `zzzzzzzzzzzzzzzzz`", Value::Null));
    assert_eq!(tool.details["near"][0], "calculator__add");
}

#[test]
fn what_is_not_json_is_malformed() {
    let Some(server) = calculator() else { return };

    for body in [
        "{",
        "a=1",
        "{\"a\": 2, \"b\": 40,}",
        "{\"a\": 2, \"b\": 40} x",
        "{'a': 1}",
        "{\"a\": NaN, \"b\": 1}",
        "\u{feff}{}",
        "nul",
    ] {
        let refused = server.admin().call_text("calculator/add", body).refused(400, "malformed");
        assert!(refused.message.starts_with("the arguments are not valid JSON: "), "{}", refused.message);
    }
    let binary = server.admin().send("POST", "/api/calculator/add", &[], b"{\"a\": \"\xff\"}");
    assert_eq!(binary.refused(400, "malformed").details, Value::Null);
}

#[test]
fn arguments_that_are_no_object_do_not_fit() {
    let Some(server) = calculator() else { return };

    for (body, found) in
        [("[1]", "an array"), ("3", "a number"), ("\"x\"", "a string"), ("null", "null"), ("true", "a boolean")]
    {
        let refused = server.admin().call_text("calculator/add", body).refused(422, "invalid_input");
        let message = format!("expected an object of arguments, found {found}");
        assert_eq!(refused.mistakes(), [("", message.as_str())]);
    }
}

#[test]
fn every_mistake_is_told_at_once_with_its_pointer() {
    let Some(server) = calculator() else { return };
    let team = json!({
        "team_lead": { "given_name": 7, "age_in_years": -1 },
        "other_members": [{ "given_name": "a", "age_in_years": 1 }, "b", { "age_in_years": 2 }],
        "home": { "street_name": "x", "house_number": 70_000, "coordinates": [1, "2"] },
        "mascot": "owl",
    });

    let refused =
        server.admin().call("types/echo-team", &json!({ "value": team, "valeu": 1 })).refused(422, "invalid_input");

    let mut pointers = refused.pointers();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/valeu",
            "/value/home/coordinates/1",
            "/value/home/house_number",
            "/value/mascot",
            "/value/other_members/1",
            "/value/other_members/2/given_name",
            "/value/team_lead/age_in_years",
            "/value/team_lead/given_name",
        ]
    );
}

#[test]
fn an_endless_list_of_mistakes_is_cut() {
    let Some(server) = calculator() else { return };
    let numbers: Vec<_> = (0..1000).map(|_| "x").collect();

    let refused = server.admin().call("types/echo-numbers", &json!({ "value": numbers })).refused(422, "invalid_input");

    assert_eq!(refused.pointers().len(), 50);
    assert!(refused.message.len() < 1000);
}

#[test]
fn arguments_given_twice_and_unknown_ones_are_refused_with_what_was_meant() {
    let Some(server) = calculator() else { return };
    let call = |body: &str| server.admin().call_text("calculator/add", body).refused(422, "invalid_input");

    let twice = call(r#"{"a": 1, "a": 2, "b": 3}"#);
    assert_eq!(twice.mistakes(), [("/a", "it is given more than once")]);
    let unknown = call(r#"{"a": 1, "b": 2, "c": 3}"#);
    assert_eq!(unknown.pointers(), ["/c"]);
    let misspelt =
        server.admin().call("calculator/evaluate", &json!({ "expresion": "1" })).refused(422, "invalid_input");
    assert_eq!(
        misspelt.mistakes(),
        [
            ("/expresion", "`expresion` is not known here, did you mean `expression`?"),
            ("/expression", "`expression` is required"),
        ]
    );
}

#[test]
fn what_the_tool_says_is_an_error_of_its_own_kind() {
    let Some(server) = calculator() else { return };

    let text = server.admin().call("calculator/divide", &json!({ "a": 1, "b": 0 })).refused(422, "tool_error");
    let record = server.admin().call("calculator/evaluate", &json!({ "expression": "2 +" })).refused(422, "tool_error");
    let nothing =
        server.admin().call("types/return-outcome", &json!({ "value": { "tag": "err" } })).refused(422, "tool_error");

    assert_eq!((text.message.as_str(), text.details), ("division by zero", json!({ "error": "division by zero" })));
    assert_eq!(record.details, json!({ "error": { "message": "expected a number, found the end", "position": 3 } }));
    assert_eq!(nothing.details, json!({ "error": null }));
}

#[test]
fn a_call_can_lower_its_bounds_and_never_raise_them() {
    let Some(server) = calculator() else { return };
    let spin = |headers: &[(&str, &str)]| server.admin().call_with("spin/spin", headers, &json!({}));
    let grow = |headers: &[(&str, &str)], pages: u32| {
        server.admin().call_with("grow/grow", headers, &json!({ "pages": pages }))
    };

    let lowered = spin(&[("fumehood-max-fuel", "1000000")]);
    let raised = spin(&[("fumehood-max-fuel", "18446744073709551615")]);
    assert_eq!(lowered.refused(508, "fuel").message, "the call was stopped after using its fuel of 1000000 units");
    assert_eq!(raised.refused(508, "fuel").message, "the call was stopped after using its fuel of 50000000 units");
    assert_eq!(
        spin(&[("fumehood-deadline-ms", "1")]).refused(504, "deadline").message,
        "the call was stopped at its deadline of 1 ms"
    );

    assert_eq!(grow(&[("fumehood-max-memory-bytes", "131072")], 1).value(), json!(1));
    assert_eq!(grow(&[("fumehood-max-memory-bytes", "131072")], 2).value(), json!(-1));
    assert_eq!(grow(&[("fumehood-max-memory-bytes", "18446744073709551615")], 1024).value(), json!(-1));
    assert_eq!(grow(&[], 1023).value(), json!(1));

    for (name, value) in
        [("fumehood-max-fuel", "many"), ("fumehood-deadline-ms", "-1"), ("fumehood-max-memory-bytes", "1.5")]
    {
        let refused = spin(&[(name, value)]).refused(400, "malformed");
        assert_eq!(refused.message, format!("the header {name} must hold a whole number"));
    }
}

#[test]
fn arguments_in_another_type_are_refused_and_curls_default_is_not() {
    let Some(server) = calculator() else { return };
    let call = |kind: &str| {
        server.admin().send("POST", "/api/calculator/add", &[("content-type", kind)], b"{\"a\": 2, \"b\": 40}")
    };

    for kind in
        ["application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain"]
    {
        assert_eq!(call(kind).value(), json!(42), "{kind}");
    }
    for kind in ["application/xml", "multipart/mixed; boundary=x", "application/wasm", "image/png"] {
        call(kind).refused(415, "unsupported_media_type");
    }
    let upload = server.admin().send("PUT", "/api/v1/modules/x", &[("content-type", "application/json")], b"{}");
    upload.refused(415, "unsupported_media_type");
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let server = Server::setup().api("add", wat("add")).set("server.max_body", "1 KiB").start();
    let head = |length: &str| {
        let key = server.admin().key();
        format!("POST /api/add/add HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n{length}\r\n\r\n")
    };

    let declared = exchange(server.address(), head("content-length: 999999999").as_bytes());
    let mut stream = connect(server.address());
    let chunk = format!("{}400\r\n{}\r\n1\r\n \r\n", head("transfer-encoding: chunked"), " ".repeat(1024));
    stream.write_all(chunk.as_bytes()).unwrap();
    let undeclared = read_answer(&mut stream);
    let fits = server.admin().call_text("add/add", &format!("{:<1024}", "{\"a\": 1, \"b\": 2}"));

    assert_eq!(declared.refused(413, "too_large").message, "the body is larger than 1 KiB");
    assert_eq!(undeclared.refused(413, "too_large").message, "the body is larger than 1 KiB");
    assert_eq!(fits.value(), json!(3));
}

#[test]
fn methods_and_paths_that_do_not_exist_are_told_apart() {
    let Some(server) = calculator() else { return };

    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let refused = server.admin().send(method, "/api/calculator/add", &[], b"").refused(405, "method_not_allowed");
        assert_eq!(refused.message, format!("/api/calculator/add does not take {method}"));
    }
    for path in ["/nothing", "/api", "/api/calculator", "/api/calculator/add/more", "/api/v1/modules/a/b/c"] {
        server.admin().get(path).refused(404, "not_found");
    }
}

#[test]
fn a_harmless_request_id_is_kept_and_any_other_replaced() {
    let Some(server) = calculator() else { return };
    let id = |sent: &[(&str, &str)]| {
        let answer = server.admin().call_with("calculator/ad", sent, &json!({}));
        answer.refused(404, "not_found").request_id
    };

    assert_eq!(id(&[("x-request-id", "abc-DEF_1.2")]), "abc-DEF_1.2");
    let long = "x".repeat(65);
    let made: Vec<_> =
        [&[][..], &[("x-request-id", "a b")], &[("x-request-id", "a\"b")], &[("x-request-id", &long)]].map(id).into();
    assert!(made.iter().all(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit())), "{made:?}");
    let distinct: std::collections::HashSet<_> = made.iter().collect();
    assert_eq!(distinct.len(), made.len());
    assert!(server.admin().call("calculator/add", &json!({ "a": 1, "b": 1 })).header("x-request-id").is_some());
}

#[test]
fn names_in_paths_cannot_leave_their_place_or_forge_a_log() {
    let Some(server) = calculator() else { return };

    for path in
        ["/api/..%2f..%2fetc%2fpasswd/x", "/api/calculator/%00", "/api/calculator/add%0aERROR", "/api/%e2%80%ae/x"]
    {
        let refused = server.admin().send("POST", path, &[], b"{}").refused(404, "not_found");
        assert!(refused.message.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{path}: {}", refused.message);
    }
    server.admin().send("POST", "/api/%ff/x", &[], b"{}").refused(400, "malformed");
}

#[test]
fn tools_are_listed_in_pages_and_found_by_words() {
    let Some(server) = calculator() else { return };
    let names = |path: &str| -> Vec<String> {
        let page = server.admin().get(path).value();
        page["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = names("/api/v1/tools?limit=500");

    let pages: Vec<_> =
        (1..=all.len().div_ceil(7)).flat_map(|page| names(&format!("/api/v1/tools?page={page}&limit=7"))).collect();
    let own = names("/api/v1/tools?module=calculator");

    assert_eq!(pages, all);
    assert_eq!(own.len(), 5, "{own:?}");
    assert_eq!(names("/api/v1/tools/search?q=calculator%20expression"), ["calculator__evaluate"]);
    assert_eq!(names("/api/v1/tools?page=1000"), Vec::<String>::new());
    for query in ["page=0", "limit=0", "limit=501", "page=x", "sort=name"] {
        server.admin().get(&format!("/api/v1/tools?{query}")).refused(400, "malformed");
    }
}
