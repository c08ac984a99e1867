//! The server ends in the middle of everything: what was begun over MCP goes on, nothing is lost and nothing is done twice.

use std::{fs, net::TcpStream};

use fumehood_tests::{Mcp, Server, Setup, eventually, guest, read_until, wat};
use serde_json::{Value, json};

use crate::mcp::begin;

/// Calls that wait behind the one that runs.
const WAITING: u64 = 5;

const PROMPT: &str = "[[prompts]]\nname = 'greeting'\ntext = 'Say hello.'\n";

fn two_and_40() -> Value {
    json!({ "a": 2, "b": 40 })
}

fn yes() -> Value {
    json!({ "action": "accept", "content": { "confirm": true, "ok": true } })
}

/// A server that works on one job at a time.
fn setup() -> Option<Setup> {
    let (rich, slow) = (guest("conformance")?, guest("long-work")?);
    let setup = Server::setup().patient().guest("conformance", &rich).api("add", wat("add"));
    let prompts = setup.data().with_file_name("prompts");
    fs::create_dir_all(&prompts).unwrap();
    fs::write(prompts.join("greeting.toml"), PROMPT).unwrap();
    let setup = setup.argument("--prompts-dir").argument(prompts.to_str().unwrap()).set("jobs.running", 1);
    let server = setup.start();
    let admin = server.admin();
    admin.upload_with("slow", &fs::read(slow).unwrap(), "mode = 'queue'\n").expect(201);
    admin.upload_with("queued", &wat("add"), "mode = 'queue'\n").expect(201);
    admin.upload_with("danger", &wat("add"), "[functions.add]\nrequires_confirmation = true\n").expect(201);
    Some(server.stop())
}

/// What stands open when the server ends.
struct Begun {
    /// A client of the older eras, with its session.
    legacy: Mcp,
    /// A call that has asked, with the state that its client keeps.
    asked: Value,
    /// A call that a person must confirm, likewise.
    unconfirmed: Value,
    /// A task that has asked.
    asking: String,
    /// A task that runs.
    running: String,
    /// Tasks that wait behind it.
    waiting: Vec<String>,
    /// Streams of a client that listens and of a call that runs.
    streams: [TcpStream; 2],
}

fn able(server: &Server) -> Mcp {
    let tasks = json!({ "io.modelcontextprotocol/tasks": {} });
    Mcp::modern(server.admin()).able(json!({ "elicitation": {}, "extensions": tasks }))
}

fn forms(server: &Server) -> Mcp {
    Mcp::modern(server.admin()).able(json!({ "elicitation": {} }))
}

fn call(mcp: &Mcp, tool: &str, arguments: &Value) -> Value {
    mcp.request("tools/call", json!({ "name": tool, "arguments": arguments }))
}

fn task(mcp: &Mcp, tool: &str, arguments: &Value) -> String {
    call(mcp, tool, arguments)["taskId"].as_str().unwrap().to_owned()
}

fn status(mcp: &Mcp, id: &str) -> Value {
    mcp.request("tasks/get", json!({ "taskId": id }))["status"].clone()
}

const ASKING: &str = "conformance__test_input_required_result_request_state";

fn begun(server: &Server) -> Begun {
    let mcp = able(server);
    let asking = task(&mcp, "conformance__confirm_delete", &json!({ "filename": "a.txt" }));
    eventually("the task asks", || status(&mcp, &asking) == "input_required");
    let running = task(&mcp, "slow__nap", &json!({ "millis": 2_000 }));
    let path = format!("/api/v1/jobs/{running}");
    eventually("a task runs", || server.admin().get(&path).value()["state"] == "running");
    let sum = |n| task(&mcp, "queued__add", &json!({ "a": n, "b": 1 }));
    let waiting: Vec<_> = (0..WAITING).map(sum).collect();
    let listen = json!({ "notifications": { "resourceSubscriptions": [format!("job://{}", waiting[4])] } });
    let mut listening = begin(server, "subscriptions/listen", &listen);
    read_until(&mut listening, "notifications/subscriptions/acknowledged");
    let nap = json!({ "name": "conformance__test_tool_with_progress", "arguments": {} });
    Begun {
        legacy: Mcp::legacy(server.admin()),
        asked: call(&forms(server), ASKING, &json!({})),
        unconfirmed: call(&forms(server), "danger__add", &two_and_40()),
        asking,
        running,
        waiting,
        streams: [listening, begin(server, "tools/call", &nap)],
    }
}

/// Everything that was begun goes on; `running` is what becomes of the task that ran.
fn goes_on(server: &Server, begun: Begun, running: &str) {
    let Begun { legacy, asked, unconfirmed, asking, running: ran, waiting, streams } = begun;
    drop(streams);
    let (mcp, forms) = (able(server), forms(server));

    let last = &waiting[4];
    let listen = json!({ "notifications": { "resourceSubscriptions": [format!("job://{last}")] } });
    let mut listening = begin(server, "subscriptions/listen", &listen);
    read_until(&mut listening, "notifications/subscriptions/acknowledged");
    let legacy = legacy.of(server.admin());
    assert_eq!(legacy.call("add__add", &two_and_40())["structuredContent"]["result"], 42);
    let prompts = legacy.request("prompts/list", json!({}))["prompts"].to_string();
    assert!(prompts.contains("greeting"), "{prompts}");

    let back = |tool: &str, arguments: Value, key: &str, state: &Value| json!({ "name": tool, "arguments": arguments, "inputResponses": { key: yes() }, "requestState": state });
    let answered = forms.request("tools/call", back(ASKING, json!({}), "confirm", &asked["requestState"]));
    assert!(answered["content"][0]["text"].as_str().unwrap().starts_with("state-ok"), "{answered}");
    let confirm = back("danger__add", two_and_40(), "confirm", &unconfirmed["requestState"]);
    assert_eq!(forms.request("tools/call", confirm.clone())["structuredContent"]["result"], 42);
    assert_eq!(forms.request("tools/call", confirm)["isError"], true, "once, and not again");

    let shown = mcp.request("tasks/get", json!({ "taskId": asking }));
    assert_eq!(shown["status"], "input_required", "{shown}");
    let (key, _) = shown["inputRequests"].as_object().unwrap().iter().next().unwrap();
    let _ = mcp.request("tasks/update", json!({ "taskId": asking, "inputResponses": { key: yes() } }));

    eventually("the task that asked ends", || status(&mcp, &asking) == "completed");
    eventually("the task that ran ends", || status(&mcp, &ran) == running);
    for (n, id) in waiting.iter().enumerate() {
        eventually("a task that waited ends", || status(&mcp, id) == "completed");
        let done = mcp.request("tasks/get", json!({ "taskId": id }));
        assert_eq!(done["result"]["structuredContent"]["result"], n + 1, "{done}");
    }
    read_until(&mut listening, "notifications/resources/updated");
    let calls = || server.admin().get("/api/v1/calls?tool=queued.add").value()["calls"].as_array().unwrap().len();
    eventually("the history is written", || calls() >= waiting.len());
    assert_eq!(calls(), waiting.len(), "each ran once");
}

#[test]
fn a_stop_in_the_middle_of_everything_loses_nothing() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let begun = begun(&server);

    let server = server.restart();

    // It had the time to end.
    goes_on(&server, begun, "completed");
}

#[test]
fn a_crash_in_the_middle_of_everything_costs_only_what_ran() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let begun = begun(&server);

    let server = server.crash().start();

    // It may have had effects, and nobody has said that it can be repeated.
    goes_on(&server, begun, "failed");
}
