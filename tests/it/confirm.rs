//! Tools that do nothing until a person has confirmed the call.

use std::io::Write;

use fumehood_tests::{Client, Finished, Mcp, Server, connect, eventually, read_until, wat};
use serde_json::{Value, json};

const MANIFEST: &str = "[functions.add]\nrequires_confirmation = true\n";

fn server() -> Server {
    let server = Server::setup().start();
    server.admin().upload_with("danger", &wat("add"), MANIFEST).expect(201);
    server
}

fn two_and_40() -> Value {
    json!({ "a": 2, "b": 40 })
}

/// The confirmation that a refusal brings.
fn token(client: &Client, arguments: &Value) -> String {
    let refused = client.call("danger/add", arguments).refused(428, "confirmation_required");
    assert_eq!(
        (&refused.details["expires_in_s"], &refused.details["header"]),
        (&json!(600), &json!("Fumehood-Confirm"))
    );
    refused.details["confirmation"].as_str().unwrap().to_owned()
}

fn call(client: &Client, path: &str, arguments: &Value, token: &str) -> (u16, Value) {
    let headers = [("content-type", "application/json"), ("fumehood-confirm", token)];
    let answer = client.send("POST", path, &headers, arguments.to_string().as_bytes());
    (answer.status, serde_json::from_str(&answer.text()).unwrap())
}

#[test]
fn over_rest_a_confirmation_is_for_one_call_of_one_key_with_these_arguments() {
    let server = server();
    let admin = server.admin();
    let path = "/api/danger/add";
    let (given, other) = (token(admin, &two_and_40()), token(admin, &two_and_40()));
    let (_, stranger) = admin.new_key("stranger", "call");

    for (who, arguments, confirmation) in [
        (admin, json!({ "a": 2, "b": 41 }), &*given),
        (&stranger, two_and_40(), &given),
        (admin, two_and_40(), "nonsense"),
        (admin, two_and_40(), ""),
    ] {
        assert_eq!(call(who, path, &arguments, confirmation).0, 428, "{arguments} {confirmation}");
    }
    // The same values in another order are the same call.
    assert_eq!(call(admin, path, &json!({ "b": 40, "a": 2 }), &given), (200, json!(42)));
    assert_eq!(call(admin, path, &two_and_40(), &given).0, 428, "used once, it is used up");
    assert_eq!(call(admin, "/api/danger/add/queue", &two_and_40(), &other).0, 202);
    // What cannot be done is not worth a question.
    admin.call("danger/add", &json!({ "a": 2 })).refused(422, "invalid_input");
}

#[test]
fn every_way_to_a_tool_stops_at_the_same_question() {
    let server = server();
    let admin = server.admin();
    let refused = |path: &str, body: &Value| admin.post(path, body).refused(428, "confirmation_required");

    refused("/api/danger/add", &two_and_40());
    refused("/api/danger/add/queue", &two_and_40());
    refused("/api/v1/tools/danger__add/execute", &json!({ "input": two_and_40() }));
    refused("/api/v1/jobs", &json!({ "tool": "danger__add", "input": two_and_40() }));
    let schedule = json!({ "cron": "* * * * *", "tool": "danger__add", "input": two_and_40() });
    let body = schedule.to_string();
    let headers = [("content-type", "application/json")];
    let answer = admin.send("PUT", "/api/v1/schedules/nightly", &headers, body.as_bytes());
    answer.refused(400, "malformed");
    let tools = admin.get("/api/v1/tools").expect(200).to_string();
    assert!(tools.contains(r#""requires_confirmation":true"#), "{tools}");
}

#[test]
fn over_mcp_the_user_is_asked_through_the_client_and_no_means_no() {
    let server = server();
    let params = |arguments: Value| json!({ "name": "danger__add", "arguments": arguments });
    let mcp = Mcp::modern(server.admin()).able(json!({ "elicitation": {} }));
    let tools = mcp.tools();
    assert_eq!(tools[0]["_meta"]["dev.fumehood/requiresConfirmation"], true, "{tools:?}");

    // A client without a user to ask.
    let refused = Mcp::modern(server.admin()).request("tools/call", params(two_and_40()));
    assert_eq!(
        (&refused["isError"], &refused["_meta"]["dev.fumehood/error"]),
        (&json!(true), &json!("confirmation_required"))
    );

    let ask = || mcp.request("tools/call", params(two_and_40()));
    let asked = ask();
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let message = asked["inputRequests"]["confirm"]["params"]["message"].as_str().unwrap();
    assert_eq!(message, r#"Run danger__add with {"a":2,"b":40}?"#);
    let back = |answer: Value, arguments: Value, state: &Value| {
        let mut params = params(arguments);
        params["inputResponses"] = json!({ "confirm": answer });
        if !state.is_null() {
            params["requestState"] = state.clone();
        }
        mcp.request("tools/call", params)
    };
    let yes = json!({ "action": "accept", "content": { "confirm": true } });
    let state = &asked["requestState"];

    for no in [
        json!({ "action": "accept", "content": { "confirm": false } }),
        json!({ "action": "decline" }),
        json!({ "action": "cancel" }),
    ] {
        let state = &ask()["requestState"];
        for answer in [no, yes.clone()] {
            // A yes after a no is none.
            let declined = back(answer, two_and_40(), state);
            assert_eq!(declined["_meta"]["dev.fumehood/error"], "confirmation_required", "{declined}");
        }
    }
    // An answer to what was never asked, or for other arguments, only brings the question.
    for (arguments, state) in [(two_and_40(), &Value::Null), (json!({ "a": 2, "b": 41 }), state)] {
        assert_eq!(back(yes.clone(), arguments, state)["resultType"], "input_required");
    }
    let done = back(yes.clone(), two_and_40(), state);
    assert_eq!(done["structuredContent"]["result"], 42, "{done}");
    let again = back(yes, two_and_40(), state);
    assert_eq!(again["_meta"]["dev.fumehood/error"], "confirmation_required", "{again}");
    // What would fail anyway is told at once.
    let wrong = mcp.request("tools/call", params(json!({ "a": 2 })));
    assert_eq!(wrong["_meta"]["dev.fumehood/error"], "invalid_input", "{wrong}");
}

#[test]
fn on_the_command_line_a_script_says_beforehand_that_it_means_it() {
    let server = server();
    let call = ["call", "danger.add", "a:=2", "b:=40"];
    let refused = Finished::of(&mut server.command(&call));
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.contains("--confirm"), "{}", refused.stderr);

    for shows in [["tools", "show", "danger.add"], ["modules", "show", "danger"]] {
        let shown = Finished::of(&mut server.command(&shows));
        assert!(shown.ok().contains("a person must confirm each call"), "{}", shown.stdout);
    }
    let done = Finished::of(&mut server.command(&[&call[..], &["--confirm"]].concat()));

    assert_eq!(done.ok(), "42\n");
}

#[test]
fn in_the_older_era_the_user_is_asked_while_the_call_waits() {
    const HEAD: &str = "accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n\
                        mcp-protocol-version: 2025-11-25\r\n";
    let server = server();
    let admin = server.admin();
    let send = |session: &str, message: &Value| {
        let (key, body) = (admin.key(), message.to_string());
        let mut stream = connect(server.address());
        let head = format!("POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n{HEAD}");
        let request = format!("{head}{session}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": { "elicitation": {} },
        "clientInfo": { "name": "t", "version": "0" } });
    let opened = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello });
    let opened = read_until(&mut send("", &opened), "\r\n\r\n");
    let session = opened.lines().find(|line| line.to_ascii_lowercase().starts_with("mcp-session-id:")).unwrap();
    let session = format!("{}\r\n", session.trim());
    read_until(&mut send(&session, &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })), " 202 ");

    for (yes, outcome) in [(true, r#""structuredContent":{"result":42}"#), (false, "confirmation_required")] {
        let params = json!({ "name": "danger__add", "arguments": two_and_40() });
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let mut stream = send(&session, &call);
        let asked = read_until(&mut stream, "requestedSchema");
        let event = asked.lines().find(|line| line.contains("elicitation/create")).unwrap().to_owned();
        let id = event.split(r#""id":"#).nth(1).unwrap().split([',', '}']).next().unwrap().to_owned();
        let answer = json!({ "action": "accept", "content": { "confirm": yes } });
        let id: Value = serde_json::from_str(&id).unwrap();
        read_until(&mut send(&session, &json!({ "jsonrpc": "2.0", "id": id, "result": answer })), " 202 ");
        read_until(&mut stream, outcome);
    }
}

#[test]
fn an_administrator_confirms_calls_that_their_caller_cannot_and_each_is_written_down() {
    let server = Server::setup().set("components.confirmed_by", "administrator").start();
    let admin = server.admin();
    admin.upload_with("danger", &wat("add"), MANIFEST).expect(201);
    let (_, agent) = admin.new_key("agent", "call");
    let ask = |arguments: &Value| agent.call("danger/add", arguments).refused(428, "confirmation_required");

    let refused = ask(&two_and_40());
    let id = refused.details["id"].as_str().unwrap().to_owned();
    assert!(refused.details.get("confirmation").is_none(), "{}", refused.details);
    assert!(refused.message.contains(&id), "{}", refused.message);
    assert_eq!(ask(&two_and_40()).details["id"], *id, "asked again, it is the same question");
    let mcp = Mcp::modern(&agent).able(json!({ "elicitation": {} }));
    let over_mcp = mcp.call("danger__add", &two_and_40());
    let told = over_mcp["content"][0]["text"].as_str().unwrap();
    assert!(told.contains("only an administrator") && told.contains(&id), "{told}");
    agent.get("/api/v1/confirmations").refused(403, "forbidden");
    for word in ["confirm", "refuse"] {
        agent.post(&format!("/api/v1/confirmations/{id}/{word}"), &json!({})).refused(403, "forbidden");
    }
    let waiting = admin.get("/api/v1/confirmations").expect(200)["confirmations"].clone();
    let shown =
        |one: &Value| ["tool", "caller", "arguments", "state"].map(|name| one[name].as_str().map(str::to_owned));
    let arguments = two_and_40().to_string();
    let wanted = ["danger__add", "agent", &arguments, "waiting"].map(|text| Some(text.to_owned()));
    assert_eq!(waiting.as_array().map(|all| all.iter().map(shown).collect::<Vec<_>>()), Some(vec![wanted]));

    let server = server.restart();
    let (admin, agent) = (server.admin(), agent_of(&server, &agent));
    let listed = Finished::of(&mut server.command(&["confirmations", "ls"]));
    assert!(listed.ok().contains(&id), "{}", listed.stdout);
    let confirmed = Finished::of(&mut server.command(&["confirmations", "confirm", &id]));
    assert!(confirmed.stderr.contains("when agent makes the same call again, until 20"), "{}", confirmed.stderr);

    let other = json!({ "a": 1, "b": 1 });
    let id_of_other = agent.call("danger/add", &other).refused(428, "confirmation_required").details["id"].clone();
    assert_eq!(agent.call("danger/add", &two_and_40()).expect(200), 42);
    let again = Finished::of(&mut server.command(&["confirmations", "confirm", &id]));
    assert!(again.failed(3).contains("it was used"), "{}", again.stderr);
    agent.call("danger/add", &two_and_40()).refused(428, "confirmation_required");
    let path = format!("/api/v1/confirmations/{}/refuse", id_of_other.as_str().unwrap());
    assert_eq!(admin.post(&path, &json!({})).expect(200)["state"], "refused");
    let refused = agent.call("danger/add", &other).refused(428, "confirmation_required");
    assert!(refused.message.contains("has refused this call"), "{}", refused.message);

    let all = admin.get("/api/v1/confirmations?all=true").expect(200)["confirmations"].clone();
    let all = all.as_array().unwrap();
    let states: Vec<_> = all.iter().map(|one| (one["state"].as_str().unwrap(), one["decided_by"].as_str())).collect();
    assert_eq!(states, [("waiting", None), ("refused", Some("admin")), ("used", Some("admin"))]);
    assert!(all[2].get("arguments").is_none() && all[2]["used_at"].is_string(), "{}", all[2]);
    assert_ne!(all[2]["decided_by_key"], all[2]["key"]);
    server.says("takes place, confirmed with key ");
}

/// The same key after a restart.
fn agent_of(server: &Server, agent: &Client) -> Client {
    server.admin().with_key(agent.key())
}

#[test]
fn a_token_that_was_given_out_is_worth_nothing_where_only_administrators_confirm() {
    let server = server();
    let given = token(server.admin(), &two_and_40());

    let server = server.stop().set("components.confirmed_by", "administrator").start();

    assert_eq!(call(server.admin(), "/api/danger/add", &two_and_40(), &given).0, 428);
}

#[test]
fn what_an_administrator_refuses_does_nothing_however_often_it_was_asked() {
    let server = server();
    let (_, agent) = server.admin().new_key("agent", "call");
    let refused = || agent.call("danger/add", &two_and_40()).refused(428, "confirmation_required").details;
    let (first, second) = (refused(), refused());

    let path = format!("/api/v1/confirmations/{}/refuse", second["id"].as_str().unwrap());
    server.admin().post(&path, &json!({})).expect(200);

    for token in [&first, &second].map(|details| details["confirmation"].as_str().unwrap()) {
        assert_eq!(call(&agent, "/api/danger/add", &two_and_40(), token).0, 428);
    }
}

#[test]
fn a_no_of_the_user_takes_back_what_an_administrator_has_confirmed_meanwhile() {
    let server = server();
    let mcp = Mcp::modern(server.admin()).able(json!({ "elicitation": {} }));
    let params = || json!({ "name": "danger__add", "arguments": two_and_40() });
    let asked = mcp.request("tools/call", params());
    let waiting = server.admin().get("/api/v1/confirmations").expect(200)["confirmations"][0]["id"].clone();
    let path = format!("/api/v1/confirmations/{}/confirm", waiting.as_str().unwrap());
    server.admin().post(&path, &json!({})).expect(200);

    let mut no = params();
    no["inputResponses"] = json!({ "confirm": { "action": "decline" } });
    no["requestState"] = asked["requestState"].clone();
    assert_eq!(mcp.request("tools/call", no)["isError"], true);

    assert_eq!(mcp.request("tools/call", params())["resultType"], "input_required", "it is asked anew");
}

#[test]
fn whoever_decides_sees_what_is_called_and_how_much_of_it_there_is() {
    let server = server();
    let (_, agent) = server.admin().new_key("agent", "call");
    let padded = format!("{}{}", " ".repeat(5_000), two_and_40());
    agent.call_text("danger/add", &padded).refused(428, "confirmation_required");
    let (_, other) = server.admin().new_key("other", "call");
    other.call("danger/add", &json!({ "a": 1, "b": 1 })).refused(428, "confirmation_required");

    let of = |query: &str| server.admin().get(&format!("/api/v1/confirmations?{query}")).expect(200);
    let many = |query: &str| of(query)["confirmations"].as_array().map(Vec::len);
    let page = of("limit=1");
    assert_eq!(page["confirmations"][0]["caller"], "other");
    let next = of(&format!("limit=1&before={}", page["next"]))["confirmations"][0].clone();
    let text = two_and_40().to_string();
    assert_eq!((&next["arguments"], &next["arguments_bytes"]), (&json!(text), &json!(text.len())));
    assert_eq!((many("tool=danger.add"), many(&format!("key={}", next["key"].as_str().unwrap()))), (Some(2), Some(1)));
}

#[test]
fn a_confirmation_is_used_by_what_takes_place_and_by_nothing_else() {
    let server = Server::setup().set("concurrency.calls", 1).set("limits.fuel_units", u64::MAX / 4).start();
    let admin = server.admin();
    admin.upload_with("danger", &wat("add"), MANIFEST).expect(201);
    admin.upload("spin", &wat("spin")).expect(201);
    let given = token(admin, &two_and_40());
    let limits = |deadline_ms: u32| format!("deadline_ms={deadline_ms}");

    let busy = std::thread::scope(|scope| {
        let long = limits(3_000);
        let spinning = scope.spawn(move || admin.call_with("spin/spin", &[("fumehood-limits", &long)], &json!({})));
        eventually("the only place is taken", || admin.calls_running() == 1);
        let short = limits(50);
        let headers =
            [("content-type", "application/json"), ("fumehood-confirm", &*given), ("fumehood-limits", &*short)];
        let busy = admin.send("POST", "/api/danger/add", &headers, two_and_40().to_string().as_bytes()).status;
        assert_eq!(spinning.join().unwrap().status, 504);
        busy
    });

    assert_eq!(busy, 503);
    assert_eq!(call(admin, "/api/danger/add", &two_and_40(), &given), (200, json!(42)));
}

#[test]
fn a_confirmed_job_is_submitted_once_under_its_name_and_runs_once() {
    let server = server();
    let admin = server.admin();
    let mut job = json!({ "tool": "danger__add", "input": two_and_40(), "idempotency_key": "one" });
    let given = admin.post("/api/v1/jobs", &job).refused(428, "confirmation_required").details;
    let given = given["confirmation"].as_str().unwrap();

    let (made, first) = call(admin, "/api/v1/jobs", &job, given);
    let (known, again) = call(admin, "/api/v1/jobs", &job, given);

    assert!(made == 202 && known < 300, "{first} {again}");
    assert_eq!((&first["id"], &first["max_attempts"]), (&again["id"], &json!(1)));
    job["idempotency_key"] = json!("other");
    for (name, value) in [("max_attempts", json!(2)), ("repeatable", json!(true)), ("delay_ms", json!(60_000))] {
        job[name] = value;
        let refused = admin.post("/api/v1/jobs", &job).refused(400, "malformed");
        assert!(refused.message.contains("runs once, when it is confirmed"), "{}", refused.message);
        job.as_object_mut().unwrap().remove(name);
    }
}

#[test]
fn an_administrator_confirms_for_a_client_that_cannot_ask_its_user() {
    let server = server();
    let (_, agent) = server.admin().new_key("agent", "call");
    let mcp = Mcp::modern(&agent);
    let told = mcp.call("danger__add", &two_and_40())["content"][0]["text"].as_str().unwrap().to_owned();
    let id = told.split("as confirmation ").nth(1).unwrap().split(';').next().unwrap();

    server.admin().post(&format!("/api/v1/confirmations/{id}/confirm"), &json!({})).expect(200);

    assert_eq!(mcp.call("danger__add", &two_and_40())["structuredContent"]["result"], 42);
    assert_eq!(mcp.call("danger__add", &two_and_40())["isError"], true);
    let _ = mcp.call("danger__add", &two_and_40());
    let waiting = server.admin().get("/api/v1/confirmations").expect(200);
    assert_eq!(waiting["confirmations"].as_array().map(Vec::len), Some(1), "asked again, it is the same question");
}

#[test]
fn a_job_is_confirmed_on_the_command_line_too() {
    let server = server();
    let submit = ["jobs", "submit", "danger.add", "a:=2", "b:=40", "--wait"];
    let refused = Finished::of(&mut server.command(&submit));
    assert_eq!(refused.code, 4, "{}", refused.stderr);

    assert_eq!(Finished::of(&mut server.command(&[&submit[..], &["--confirm"]].concat())).ok(), "42\n");
}

#[test]
fn a_confirmed_job_that_failed_is_not_tried_again_without_another_yes() {
    let server = server();
    let admin = server.admin();
    let body =
        json!({ "tool": "danger__add", "input": two_and_40(), "limits": { "fuel_units": 1 }, "max_attempts": 1 });
    let given = admin.post("/api/v1/jobs", &body).refused(428, "confirmation_required");
    let (status, job) = call(admin, "/api/v1/jobs", &body, given.details["confirmation"].as_str().unwrap());
    assert_eq!(status, 202, "{job}");
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    eventually("it has failed", || admin.get(&path).expect(200)["state"] == "failed");

    let refused = admin.post(&format!("{path}/retry"), &json!({})).refused(400, "malformed");

    assert!(refused.message.contains("submit it anew"), "{}", refused.message);
}

#[test]
fn the_openapi_document_tells_of_the_header_where_it_is_wanted() {
    let server = server();
    server.admin().upload("safe", &wat("add")).expect(201);
    let document = server.admin().get("/openapi.json").expect(200);
    let names = |path: &str| document["paths"][path]["post"]["parameters"].to_string().contains("Fumehood-Confirm");

    assert_eq!(
        ["/api/danger/add", "/api/danger/add/queue", "/api/safe/add", "/api/safe/add/queue"].map(names),
        [true, true, false, false]
    );
}
