//! Jobs as tasks of MCP.

use fumehood_tests::{Mcp, Server, Setup, eventually, guest};
use serde_json::{Value, json};

use super::ended;

fn setup() -> Option<Setup> {
    let (calculator, long) = (guest("calculator")?, guest("long-work")?);
    let setup = Server::setup().patient().set("limits.fuel_units", 1_000_000_000_000_u64);
    let setup = setup.guest("queue", &long).file("queue.tool.toml", "mode = \"queue\"\n");
    let setup = setup.guest("auto", &long).file("auto.tool.toml", "mode = \"auto\"\n").set("jobs.auto_after_ms", 300);
    Some(setup.guest("sums", &calculator).file("sums.tool.toml", "mode = \"queue\"\n"))
}

/// The task as it stands when it works no more.
fn finished(mcp: &Mcp, id: &str) -> Value {
    let mut task = Value::Null;
    eventually("the task ends", || {
        task = mcp.request("tasks/get", json!({ "taskId": id }));
        task["status"] != "working"
    });
    task
}

#[test]
fn a_client_that_knows_tasks_gets_one_and_fetches_its_result() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let mcp = Mcp::with_tasks(server.admin());

    let created = mcp.call("queue__count-slowly", &json!({ "steps": 3, "millis": 10 }));
    let id = created["taskId"].as_str().unwrap().to_owned();
    let task = finished(&mcp, &id);

    assert_eq!((&created["resultType"], &created["status"]), (&json!("task"), &json!("working")));
    assert!(created["pollIntervalMs"].is_u64() && created["createdAt"].is_string(), "{created}");
    assert_eq!(task["status"], "completed");
    assert_eq!(task["result"]["structuredContent"], json!({ "result": 3 }));
    assert_eq!(ended(server.admin(), &id)["result"], 3, "it is a job under the same id");
}

#[test]
fn what_the_tool_says_is_a_completed_task_and_a_quick_call_is_none() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let mcp = Mcp::with_tasks(server.admin());

    let failed = mcp.call("sums__divide", &json!({ "a": 1, "b": 0 }));
    // The first call of a component may take as long as loading it does.
    let _ = server.admin().call_with("auto/nap", &[("prefer", "wait=30")], &json!({ "millis": 0 }));
    let quick = mcp.call("auto__count-slowly", &json!({ "steps": 1, "millis": 1 }));
    let slow = mcp.call("auto__count-slowly", &json!({ "steps": 10, "millis": 100 }));

    let task = finished(&mcp, failed["taskId"].as_str().unwrap());
    assert_eq!((&task["status"], &task["result"]["isError"]), (&json!("completed"), &json!(true)));
    assert_eq!(quick["structuredContent"], json!({ "result": 1 }));
    assert_eq!(
        finished(&mcp, slow["taskId"].as_str().unwrap())["result"]["structuredContent"],
        json!({ "result": 10 })
    );
}

#[test]
fn a_task_is_ended_by_its_owner_alone() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let (_, owner) = server.admin().new_key("owner", "call");
    let (_, stranger) = server.admin().new_key("stranger", "call");
    let (mcp, other) = (Mcp::with_tasks(&owner), Mcp::with_tasks(&stranger));
    let created = mcp.call("queue__spin", &json!({}));
    let asked = json!({ "taskId": created["taskId"] });

    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let mut params = asked.clone();
        if method == "tasks/update" {
            params["inputResponses"] = json!({});
        }
        let refused = other.send(method, params).json();
        assert_eq!(refused["error"]["code"], -32602, "{method} {refused}");
    }
    let _ = mcp.request("tasks/cancel", asked.clone());
    let task = finished(&mcp, asked["taskId"].as_str().unwrap());

    assert_eq!(task["status"], "cancelled");
    eventually("no guest is left", || server.admin().calls_running() == 0);
}

#[test]
fn a_client_without_tasks_waits_for_the_result() {
    let Some(setup) = setup() else { return };
    let server = setup.start();

    for mcp in [Mcp::modern(server.admin()), Mcp::legacy(server.admin())] {
        let result = mcp.call("queue__count-slowly", &json!({ "steps": 2, "millis": 10 }));
        assert_eq!(result["structuredContent"], json!({ "result": 2 }), "{result}");
        let failed = mcp.call("sums__divide", &json!({ "a": 1, "b": 0 }));
        assert_eq!(failed["isError"], true);
        let slow = mcp.call("auto__count-slowly", &json!({ "steps": 10, "millis": 60 }));
        assert_eq!(slow["structuredContent"], json!({ "result": 10 }));
    }
}

#[test]
fn a_task_outlives_the_server() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let created = Mcp::with_tasks(server.admin()).call("sums__add", &json!({ "a": 1, "b": 2 }));
    let id = created["taskId"].as_str().unwrap().to_owned();
    ended(server.admin(), &id);

    let server = server.crash().start();

    let task = Mcp::with_tasks(server.admin()).request("tasks/get", json!({ "taskId": id }));
    assert_eq!((&task["status"], &task["result"]["structuredContent"]), (&json!("completed"), &json!({ "result": 3 })));
}
