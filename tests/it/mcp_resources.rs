//! Resources of the server itself, over MCP and REST: jobs that tell when they move, results, modules, tools.

use std::io::Write;

use fumehood_tests::{Answer, Client, Mcp, Server, connect, eventually, guest, read_until, wat};
use serde_json::{Value, json};

use crate::mcp::begin;

/// What the one text of a resource says.
fn text(mcp: &Mcp, uri: &str) -> String {
    let read = mcp.request("resources/read", json!({ "uri": uri }));
    let contents = read["contents"].as_array().unwrap();
    assert_eq!((contents.len(), &contents[0]["uri"]), (1, &json!(uri)));
    contents[0]["text"].as_str().unwrap().to_owned()
}

fn document(mcp: &Mcp, uri: &str) -> Value {
    serde_json::from_str(&text(mcp, uri)).unwrap()
}

fn over_rest(client: &Client, uri: &str) -> Answer {
    client.get(&format!("/api/v1/resources/read?uri={}", uri.replace(':', "%3A").replace('/', "%2F")))
}

fn submit(client: &Client, job: &Value) -> String {
    client.post("/api/v1/jobs", job).expect(202)["id"].as_str().unwrap().to_owned()
}

fn another(server: &Server) -> Client {
    let made = server.admin().post("/api/v1/keys", &json!({ "name": "other", "roles": ["call"] })).expect(201);
    server.admin().with_key(made["key"].as_str().unwrap())
}

#[test]
fn the_server_tells_what_it_is_and_what_its_modules_and_tools_are() {
    let manifest = "description = 'Adds numbers.'\nversion = '1.2.3'\n";
    let server = Server::setup().api("add", wat("add")).file("add.tool.toml", manifest).start();

    for mcp in [Mcp::legacy(server.admin()), Mcp::modern(server.admin())] {
        let listed = mcp.request("resources/list", json!({}));
        assert_eq!(listed["resources"][0]["uri"], "fumehood://system");
        let templates = mcp.request("resources/templates/list", json!({}));
        let uris: Vec<_> =
            templates["resourceTemplates"].as_array().unwrap().iter().map(|t| &t["uriTemplate"]).collect();
        let expected = [
            "fumehood://modules/{module}",
            "fumehood://results/{id}",
            "fumehood://tools/{tool}",
            "job://{id}",
            "queue://{id}",
        ];
        assert_eq!(json!(uris), json!(expected));

        let system = document(&mcp, "fumehood://system");
        assert_eq!((&system["modules"], &system["tools"]), (&json!(1), &json!(1)));
        assert_eq!(system["limits"]["deadline_ms"], json!(30_000));
        let module = text(&mcp, "fumehood://modules/add");
        assert!(module.starts_with("# add\n\nAdds numbers.\n\nVersion 1.2.3. Component `"), "{module}");
        assert!(module.contains("\n## add__add\n\n`add: func(a: u32, b: u32) -> u32`\n"), "{module}");
        let tool = document(&mcp, "fumehood://tools/add__add");
        assert_eq!(tool["inputSchema"], mcp.tools()[0]["inputSchema"]);

        for nothing in
            ["fumehood://modules/no", "fumehood://tools/no", "fumehood://other", "job://7", "fumehood://results/7"]
        {
            let refused = mcp.refused("resources/read", json!({ "uri": nothing }));
            assert_eq!(refused["data"], json!({ "uri": nothing }), "{refused}");
        }
        let question = json!({ "ref": { "type": "ref/resource", "uri": "fumehood://tools/{tool}" },
                               "argument": { "name": "tool", "value": "ad" } });
        assert_eq!(mcp.request("completion/complete", question)["completion"]["values"], json!(["add__add"]));
    }
    let listed = server.admin().get("/api/v1/resources").value();
    assert_eq!(
        listed["resources"],
        json!([{ "uri": "fumehood://system", "name": "system", "mime_type": "application/json",
        "description": "What is served here, what runs at this moment, and what one call may use" }])
    );
    assert_eq!(listed["templates"].as_array().unwrap().len(), 5);
    let read = over_rest(server.admin(), "fumehood://modules/add").value();
    assert_eq!(read["contents"][0]["mimeType"], "text/markdown");
    over_rest(server.admin(), "fumehood://modules/no").refused(404, "not_found");
}

#[test]
fn an_address_with_chosen_tools_shows_nothing_of_the_others() {
    let setup = Server::setup().api("add", wat("add")).api("spin", wat("spin"));
    let file = setup.data().with_file_name("profiles.toml");
    std::fs::write(&file, "[mcp.profiles.small]\ntools = [\"add.*\"]\n").unwrap();
    let server = setup.argument("--config").argument(file.to_str().unwrap()).start();
    let mcp = Mcp::modern(server.admin()).at("/mcp/small");
    let id = submit(server.admin(), &json!({ "tool": "add.add", "input": { "a": 1, "b": 2 } }));

    assert_eq!(mcp.request("resources/list", json!({}))["resources"], json!([]));
    let templates = mcp.request("resources/templates/list", json!({}));
    assert_eq!(templates["resourceTemplates"].as_array().unwrap().len(), 3);
    for hidden in ["fumehood://system", "fumehood://modules/add", "fumehood://tools/spin__spin"] {
        assert_eq!(mcp.refused("resources/read", json!({ "uri": hidden }))["data"], json!({ "uri": hidden }));
    }
    assert_eq!(document(&mcp, &format!("job://{id}"))["id"], json!(id));
}

#[test]
fn a_job_and_a_kept_result_are_resources_for_their_owner_alone() {
    let server = Server::setup().api("add", wat("add")).start();
    let (admin, other) = (server.admin(), another(&server));
    let id = submit(&other, &json!({ "tool": "add.add", "input": { "a": 2, "b": 40 } }));
    let stranger = another(&server);
    let kept = other.call_with("add/add", &[("prefer", "return=minimal")], &json!({ "a": 2, "b": 40 })).expect(201);
    let (job, result) = (
        format!("job://{id}"),
        format!("fumehood://results/{}", kept["result"].as_str().unwrap().rsplit('/').next().unwrap()),
    );
    eventually("the job ends", || other.get(&format!("/api/v1/jobs/{id}")).value()["state"] == "completed");

    for mcp in [Mcp::legacy(&other), Mcp::modern(&other)] {
        let told = document(&mcp, &job);
        assert_eq!((&told["state"], &told["result"]), (&json!("completed"), &json!(42)));
        assert_eq!(document(&mcp, &format!("queue://{id}")), told);
        assert_eq!(document(&mcp, &result), json!(42));
    }
    assert_eq!(document(&Mcp::modern(admin), &job)["state"], "completed", "an administrator sees it");
    let mcp = Mcp::modern(&stranger);
    for uri in [&job, &result] {
        assert_eq!(mcp.refused("resources/read", json!({ "uri": uri }))["data"], json!({ "uri": uri }));
        over_rest(&stranger, uri).refused(404, "not_found");
    }
    mcp_refuses_to_follow(&stranger, &job);
}

fn mcp_refuses_to_follow(client: &Client, uri: &str) {
    let refused = Mcp::legacy(client).refused("resources/subscribe", json!({ "uri": uri }));
    assert_eq!(refused["data"], json!({ "uri": uri }));
}

#[test]
fn who_follows_a_job_hears_when_it_moves_in_both_eras() {
    let Some(component) = guest("long-work") else { return };
    let server = Server::setup().patient().guest("long-work", &component).start();
    let admin = server.admin();
    let submitted = || {
        let input = json!({ "steps": 8, "millis": 300 });
        format!("job://{}", submit(admin, &json!({ "tool": "long-work.count-slowly", "input": input })))
    };

    let uri = submitted();
    let listen = json!({ "notifications": { "resourceSubscriptions": [uri, "job://7", "fumehood://system"] } });
    let mut modern = begin(&server, "subscriptions/listen", &listen);
    let acknowledged = read_until(&mut modern, "notifications/subscriptions/acknowledged");
    assert!(acknowledged.contains("resourceSubscriptions"), "{acknowledged}");
    // Progress, and the end.
    read_until(&mut modern, &format!("\"uri\":\"{uri}\""));
    let mcp = Mcp::modern(admin);
    eventually("it ends", || document(&mcp, &uri)["state"] == "completed");
    read_until(&mut modern, &format!("\"uri\":\"{uri}\""));

    let uri = submitted();
    let mcp = Mcp::legacy(admin);
    let mut legacy = connect(server.address());
    let head = format!(
        "GET /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\naccept: text/event-stream\r\n\
         mcp-protocol-version: 2025-11-25\r\nmcp-session-id: {}\r\n\r\n",
        admin.key(),
        mcp.session().unwrap()
    );
    legacy.write_all(head.as_bytes()).unwrap();
    read_until(&mut legacy, "text/event-stream");
    let _ = mcp.request("resources/subscribe", json!({ "uri": uri }));
    read_until(&mut legacy, &format!("\"uri\":\"{uri}\""));
    let _ = mcp.request("resources/unsubscribe", json!({ "uri": uri }));
    eventually("it ends", || document(&mcp, &uri)["state"] == "completed");
}
