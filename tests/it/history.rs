//! What was called: by whom, how it went, what it used; and figures over it.

use std::{io::Write, sync::Arc};

use fumehood_tests::{Client, Mcp, Server, Shared, connect, eventually, guest, wat};
use serde_json::{Value, json};

static CALCULATOR: Shared = Shared::new();

fn calculator() -> Option<Arc<Server>> {
    let calculator = guest("calculator")?;
    Some(CALCULATOR.get(|| {
        let setup = Server::setup().patient().guest("calculator", &calculator).api("spin", wat("spin"));
        setup.set("limits.fuel_units", 50_000_000).start()
    }))
}

/// The calls of a key, once there are as many.
fn calls(client: &Client, query: &str, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    eventually("the calls are written down", || {
        let page = client.get(&format!("/api/v1/calls?limit=1000{query}")).expect(200);
        found = page["calls"].as_array().unwrap().clone();
        found.len() >= count
    });
    assert_eq!(found.len(), count, "{found:?}");
    found
}

#[test]
fn every_call_is_written_down_with_its_way_its_outcome_and_what_it_used() {
    let Some(server) = calculator() else { return };
    let (_, client) = server.admin().new_key("caller", "call");
    let _ = client.call("calculator/add", &json!({ "a": 1, "b": 2 }));
    let _ = client.call("calculator/divide", &json!({ "a": 1, "b": 0 })).refused(422, "tool_error");
    let _ = client.call("calculator/add", &json!({ "a": "x" })).refused(422, "invalid_input");
    let _ = client.call("spin/spin", &json!({})).refused(508, "fuel");
    let _ = Mcp::modern(&client).call("calculator__add", &json!({ "a": 1, "b": 2 }));
    let job = client.post("/api/v1/jobs", &json!({ "tool": "calculator.add", "input": { "a": 1, "b": 2 } })).json();
    let id = job["id"].as_str().unwrap();
    client.get(&format!("/api/v1/jobs/{id}?wait_s=20")).expect(200);

    let calls = calls(&client, "", 6);

    let told: Vec<_> = calls.iter().rev().map(|call| (call["via"].clone(), call["outcome"].clone())).collect();
    let expected = [
        ("rest", "ok"),
        ("rest", "tool_error"),
        ("rest", "invalid_input"),
        ("rest", "fuel"),
        ("mcp", "ok"),
        ("job", "ok"),
    ];
    assert_eq!(told, expected.map(|(via, outcome)| (json!(via), json!(outcome))));
    assert!(calls[0]["usage"]["fuel_units"].as_u64().is_some_and(|fuel| fuel > 0));
    assert_eq!(calls[0]["job"], id);
}

#[test]
fn calls_are_chosen_by_tool_outcome_and_time_and_exported() {
    let Some(server) = calculator() else { return };
    let (_, client) = server.admin().new_key("chooser", "call");
    (0..3).for_each(|n| drop(client.call("calculator/add", &json!({ "a": n, "b": 2 }))));
    let _ = client.call("calculator/divide", &json!({ "a": 1, "b": 0 }));

    calls(&client, "", 4);
    calls(&client, "&tool=calculator__add", 3);
    calls(&client, "&outcome=ok", 3);
    calls(&client, "&outcome=error", 1);
    calls(&client, "&outcome=tool_error", 1);
    calls(&client, "&until=2020-01-01T00:00:00Z", 0);
    let first = client.get("/api/v1/calls?limit=3").expect(200);
    let next = first["next"].as_u64().unwrap();
    assert_eq!(
        client.get(&format!("/api/v1/calls?limit=3&before={next}")).expect(200)["calls"].as_array().unwrap().len(),
        1
    );
    let csv = client.send("GET", "/api/v1/calls", &[("accept", "text/csv")], b"");
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(csv.text().lines().count(), 5);
    assert!(csv.text().starts_with("at,tool,key,via,outcome,"));
    client.get("/api/v1/calls?outcom=ok").refused(400, "malformed");
}

#[test]
fn figures_are_told_for_each_tool() {
    let Some(server) = calculator() else { return };
    let (_, client) = server.admin().new_key("counter", "call");
    (0..8).for_each(|n| drop(client.call("calculator/divide", &json!({ "a": 1, "b": n % 4 }))));
    calls(&client, "", 8);

    let figures = client.get("/api/v1/statistics").expect(200);

    let tools = figures["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 1, "{figures}");
    let divide = &tools[0];
    assert_eq!(
        (&divide["tool"], &divide["calls"], &divide["errors"]),
        (&json!("calculator__divide"), &json!(8), &json!(2))
    );
    assert_eq!(divide["error_rate"], 0.25);
    let us = |name: &str| divide[name].as_u64().unwrap();
    assert!(0 < us("p50_us") && us("p50_us") <= us("p95_us") && us("p95_us") <= us("p99_us"), "{divide}");
    assert!(us("fuel_units") > 0 && us("max_memory_bytes") > 0);
}

#[test]
fn calls_that_were_given_up_are_written_down_with_how_long_they_ran() {
    let Some(long) = guest("long-work") else { return };
    let server = Server::setup().patient().guest("long", &long).start();
    let admin = server.admin();
    let nap = json!({ "millis": 60_000 }).to_string();
    let request = format!(
        "POST /api/long/nap HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{nap}",
        server.address(),
        admin.key(),
        nap.len()
    );
    let mut caller = connect(server.address());
    caller.write_all(request.as_bytes()).unwrap();
    eventually("it runs", || admin.calls_running() == 1);
    drop(caller);
    let job = admin.post("/api/v1/jobs", &json!({ "tool": "long.nap", "input": { "millis": 60_000 } })).json();
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    eventually("the job runs", || admin.get(&path).expect(200)["state"] == "running");
    assert_eq!(admin.delete(&path).status, 202);

    let calls = calls(admin, "&outcome=cancelled", 2);

    let told: Vec<_> =
        calls.iter().map(|call| (call["via"].as_str().unwrap(), call["tool"].as_str().unwrap())).collect();
    assert!(told.contains(&("rest", "long__nap")) && told.contains(&("job", "long__nap")), "{told:?}");
    assert!(calls.iter().all(|call| call["usage"]["duration_us"].as_u64().is_some_and(|us| us > 0)), "{calls:?}");
}

#[test]
fn figures_are_of_all_calls_and_not_of_a_page_of_them() {
    let Some(server) = calculator() else { return };
    let (_, client) = server.admin().new_key("busy", "call");
    (0..130).for_each(|n| drop(client.call("calculator/add", &json!({ "a": n, "b": 1 }))));
    calls(&client, "", 130);

    let figures = client.get("/api/v1/statistics").expect(200);

    assert_eq!(figures["tools"][0]["calls"], 130, "{figures}");
    client.get("/api/v1/statistics?limit=10").refused(400, "malformed");
}

#[test]
fn a_tool_is_found_under_both_of_its_names() {
    let Some(server) = calculator() else { return };
    let (_, client) = server.admin().new_key("speller", "call");
    let _ = client.call("calculator/add", &json!({ "a": 1, "b": 2 }));
    let _ = client.call("calculator/divide", &json!({ "a": 1, "b": 2 }));

    for name in ["calculator.add", "calculator__add"] {
        calls(&client, &format!("&tool={name}"), 1);
        let figures = client.get(&format!("/api/v1/statistics?tool={name}")).expect(200);
        assert_eq!(figures["tools"].as_array().unwrap().len(), 1, "{figures}");
    }
    calls(&client, "&tool=gone.add", 0);
    calls(&client, "&tool=gone__add", 0);
    client.get("/api/v1/calls?tool=calculator").refused(400, "malformed");
}

#[test]
fn what_is_no_outcome_and_no_moment_is_refused_with_what_there_is() {
    let Some(server) = calculator() else { return };
    let refused = |query: &str| server.admin().get(&format!("/api/v1/{query}")).refused(400, "malformed").message;

    let outcome = refused("calls?outcome=nonsense");
    let moment = refused("statistics?since=1h");

    assert!(outcome.starts_with("outcome: `nonsense` is none; it is `ok`, `error` for any failure, or "), "{outcome}");
    assert!(outcome.contains("`tool_error`") && outcome.contains("`internal`"), "{outcome}");
    assert!(moment.starts_with("since: `1h` is not a moment: write it as RFC 3339"), "{moment}");
}

#[test]
fn a_key_sees_its_own_calls_and_they_survive_a_restart() {
    let Some(calculator) = guest("calculator") else { return };
    let server = Server::setup().patient().guest("calculator", &calculator).start();
    let (_, one) = server.admin().new_key("one", "call");
    let text = one.key().to_owned();
    let (_, two) = server.admin().new_key("two", "call");
    let _ = one.call("calculator/add", &json!({ "a": 1, "b": 2 }));
    calls(&one, "", 1);
    calls(&two, "", 0);

    let server = server.restart();

    calls(&server.admin().with_key(&text), "", 1);
    calls(server.admin(), "&tool=calculator__add", 1);
}

#[test]
fn the_history_can_be_switched_off() {
    let Some(calculator) = guest("calculator") else { return };
    let server = Server::setup().patient().guest("calculator", &calculator).set("history.enabled", false).start();

    let _ = server.admin().call("calculator/add", &json!({ "a": 1, "b": 2 }));

    server.admin().get("/api/v1/calls").refused(409, "conflict");
}
