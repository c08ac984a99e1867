//! Prompts and resources that somebody wrote down: beside a plain component, and in a folder for everybody.

use std::{fs, path::Path};

use fumehood_tests::{Mcp, Server, eventually, read_until, wat};
use serde_json::{Value, json};

use crate::mcp::begin;

const WRITTEN: &str = r#"
[[prompts]]
name = "sum"
title = "A sum"
description = "Asks for a sum."
[[prompts.arguments]]
name = "a"
required = true
[[prompts.arguments]]
name = "tone"
values = ["kind", "short"]
[[prompts.messages]]
role = "user"
text = "Add {{a}} and one. Be {{tone}}."
[[prompts.messages]]
role = "assistant"
text = "Gladly."

[[resources]]
uri = "sums://about"
name = "about"
mime_type = "text/markdown"
text = "Sums of two."
"#;

fn said(role: &str, text: &str) -> Value {
    json!({ "role": role, "content": { "type": "text", "text": text } })
}

#[test]
fn a_plain_component_has_the_prompts_and_resources_that_are_written_beside_it() {
    let server = Server::setup().api("add", wat("add")).file("add.tool.toml", WRITTEN).start();
    let admin = server.admin();
    let messages = json!([said("user", "Add 41 and one. Be kind."), said("assistant", "Gladly.")]);

    for mcp in [Mcp::legacy(admin), Mcp::modern(admin)] {
        let prompts = mcp.request("prompts/list", json!({}))["prompts"].clone();
        assert_eq!((&prompts[0]["name"], &prompts[0]["title"]), (&json!("add__sum"), &json!("A sum")));
        let get = |arguments: Value| json!({ "name": "add__sum", "arguments": arguments });
        assert_eq!(mcp.request("prompts/get", get(json!({ "a": "41", "tone": "kind" })))["messages"], messages);
        let refused = |arguments: Value| mcp.refused("prompts/get", get(arguments))["message"].clone();
        assert_eq!(refused(json!({})), "the prompt needs the argument `a`");
        assert_eq!(refused(json!({ "a": "1", "tone": "rude" })), "the argument `tone` must be one of kind, short");
        assert_eq!(refused(json!({ "a": "1", "b": "2" })), "the prompt has no argument `b`");
        let question = json!({ "ref": { "type": "ref/prompt", "name": "add__sum" }, "argument": { "name": "tone", "value": "s" } });
        assert_eq!(mcp.request("completion/complete", question)["completion"]["values"], json!(["short"]));
        let read = mcp.request("resources/read", json!({ "uri": "sums://about" }));
        let contents = json!([{ "uri": "sums://about", "mimeType": "text/markdown", "text": "Sums of two." }]);
        assert_eq!(read["contents"], contents);
    }
    let filled = json!({ "arguments": { "a": "41", "tone": "kind" } });
    assert_eq!(admin.post("/api/v1/prompts/add/sum", &filled).value()["messages"], messages);
    admin.post("/api/v1/prompts/add/sum", &json!({})).refused(422, "invalid_input");
    let listed = admin.get("/api/v1/resources").value();
    assert_eq!((&listed["resources"][0]["uri"], &listed["resources"][0]["size"]), (&json!("sums://about"), &json!(12)));

    let wrong = "[[prompts]]\nname = \"p\"\n\n[[prompts]]\nname = \"q\"\ntext = \"{{x}}\"\n[[resources]]\nuri = \"job://1\"\nname = \"n\"\ntext = \"\"\n";
    let lines = admin.upload_with("other", &wat("add"), wrong).refused(422, "invalid_component").details;
    let told: Vec<_> = lines.as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap()).collect();
    let expected = [
        "tool.toml:1: the prompt `p` needs either `text` or `messages`",
        "tool.toml:4: the prompt `q`: `{{x}}` is none of its arguments",
        "tool.toml:7: the resource `job://1`: URIs that start with `job:` are those of the server",
    ];
    assert_eq!(told, expected);
}

fn names(server: &Server) -> Vec<String> {
    let listed = server.admin().get("/api/v1/prompts").value();
    listed["prompts"].as_array().unwrap().iter().map(|prompt| prompt["name"].as_str().unwrap().to_owned()).collect()
}

fn write(folder: &Path, file: &str, text: &str) {
    fs::write(folder.join(file), text).unwrap();
}

#[test]
fn files_of_prompts_are_served_and_followed_and_a_bad_one_keeps_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(
        folder,
        "a.toml",
        "[[prompts]]\nname = \"greet\"\ntext = \"Greet {{who}}.\"\n[[prompts.arguments]]\nname = \"who\"\n",
    );
    write(folder, "_draft.toml", "not read");
    let setup = Server::setup().api("add", wat("add"));
    let file = setup.data().with_file_name("profiles.toml");
    fs::write(&file, "[mcp.profiles.small]\ntools = [\"add.*\"]\n").unwrap();
    let setup = setup.argument("--config").argument(file.to_str().unwrap());
    let server = setup.argument("--prompts-dir").argument(folder.to_str().unwrap()).start();
    let admin = server.admin();
    let greeting = json!([said("user", "Greet {{you}}.")]);
    let arguments = json!({ "who": "{{you}}" });

    assert_eq!(names(&server), ["greet"]);
    for mcp in [Mcp::legacy(admin), Mcp::modern(admin)] {
        let got = mcp.request("prompts/get", json!({ "name": "greet", "arguments": arguments }));
        assert_eq!(got["messages"], greeting);
    }
    let small = Mcp::modern(admin).at("/mcp/small");
    assert_eq!(small.request("prompts/list", json!({}))["prompts"], json!([]));
    let shared = admin.post("/api/v1/prompts/greet", &json!({ "arguments": arguments })).value();
    assert_eq!(shared["messages"], greeting);
    admin.post("/api/v1/prompts/no", &json!({})).refused(404, "not_found");

    let mut listener =
        begin(&server, "subscriptions/listen", &json!({ "notifications": { "promptsListChanged": true } }));
    read_until(&mut listener, "notifications/subscriptions/acknowledged");
    write(
        folder,
        "b.json",
        r#"{ "prompts": [{ "name": "part", "text": "Say goodbye." }, { "name": "greet", "text": "x" }] }"#,
    );
    read_until(&mut listener, "notifications/prompts/list_changed");
    assert_eq!(names(&server), ["greet", "part"]);
    eventually("the log tells of the second of that name", || server.log().contains("the prompt `greet` is in "));

    write(folder, "a.toml", "[[prompts]]\nname = \"greet\"\ntxt = \"x\"\n");
    eventually("the log tells what is wrong", || server.log().contains("line 3: unknown field `txt`"));
    assert_eq!(names(&server), ["greet", "part"]);
    fs::remove_file(folder.join("b.json")).unwrap();
    eventually("the prompt is gone", || names(&server) == ["greet"]);
}
