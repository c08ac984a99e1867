//! Secrets: set by administrators, shown to nobody.

use fumehood_tests::{Client, Finished, Server};
use serde_json::{Value, json};

/// A value that occurs nowhere by chance.
const VALUE: &str = "correct-horse-battery-staple";

fn put(client: &Client, name: &str, body: &str) -> fumehood_tests::Answer {
    client.send("PUT", &format!("/api/v1/secrets/{name}"), &[("content-type", "application/json")], body.as_bytes())
}

fn listed(client: &Client) -> Vec<(Value, Value)> {
    let list = client.get("/api/v1/secrets").value();
    let secrets = list["secrets"].as_array().unwrap().clone();
    secrets.into_iter().map(|secret| (secret["name"].clone(), secret["set_by"].clone())).collect()
}

#[test]
fn a_secret_is_set_replaced_listed_without_its_value_and_forgotten() {
    let server = Server::setup().set("log.filter", "trace").start();
    let admin = server.admin();
    let body = json!({ "value": VALUE }).to_string();

    put(admin, "TOKEN", &body).empty(201);
    put(admin, "TOKEN", &body).empty(204);

    assert_eq!(listed(admin), [(json!("TOKEN"), json!("admin"))]);
    assert!(!admin.get("/api/v1/secrets").text().contains(VALUE));
    server.says("Secret TOKEN set by admin");
    admin.delete("/api/v1/secrets/TOKEN").empty(204);
    assert_eq!(listed(admin), []);
    assert_eq!(admin.delete("/api/v1/secrets/TOKEN").refused(404, "not_found").message, "there is no secret `TOKEN`");
    assert!(!server.log().contains(VALUE), "{}", server.log());
}

#[test]
fn a_key_for_calls_cannot_touch_secrets() {
    let server = Server::start();
    let (id, caller) = server.admin().new_key("ci", "call");

    let refusals = [
        caller.get("/api/v1/secrets"),
        put(&caller, "TOKEN", &json!({ "value": VALUE }).to_string()),
        caller.delete("/api/v1/secrets/TOKEN"),
    ];

    for answer in refusals {
        let message = answer.refused(403, "forbidden").message;
        assert_eq!(message, format!("key `{id}` may not manage secrets: it needs the role `admin`"));
    }
}

#[test]
fn a_refused_secret_is_not_repeated() {
    let server = Server::start();
    let longest = json!({ "value": "x".repeat(64 << 10) }).to_string();

    for (name, body) in [
        ("TOKEN", json!(VALUE).to_string()),
        ("TOKEN", json!({ "value": [VALUE] }).to_string()),
        ("TOKEN", json!({ "value": VALUE, "extra": VALUE }).to_string()),
        ("TOKEN", json!({ "value": "" }).to_string()),
        ("TOKEN", json!({ "value": "x".repeat((64 << 10) + 1) }).to_string()),
        ("1st", json!({ "value": VALUE }).to_string()),
        ("a%2Fb", json!({ "value": VALUE }).to_string()),
        ("a%00", json!({ "value": VALUE }).to_string()),
    ] {
        let message = put(server.admin(), name, &body).refused(400, "malformed").message;
        assert!(!message.contains(VALUE), "{message}");
    }
    put(server.admin(), "TOKEN", &longest).empty(201);
}

#[test]
fn the_command_line_reads_a_value_from_standard_input_or_a_file_and_never_shows_it() {
    let server = Server::start();
    let file = server.data().join("value");
    std::fs::write(&file, format!("{VALUE}\n")).unwrap();
    let file = file.to_str().unwrap();

    let set = Finished::of(&mut server.command(&["secrets", "set", "FROM_FILE", "--from-file", file]));
    let value = format!("{VALUE}\r\n");
    let piped = Finished::with_input(&mut server.command(&["secrets", "set", "PIPED"]), value.as_bytes());
    let list = Finished::of(&mut server.command(&["secrets", "ls"]));
    let removed = Finished::of(&mut server.command(&["secrets", "rm", "PIPED"]));

    assert_eq!((set.code, piped.code, list.code, removed.code), (0, 0, 0, 0));
    assert!(list.stdout.contains("FROM_FILE") && list.stdout.contains("PIPED"), "{}", list.stdout);
    for said in [&set.stdout, &set.stderr, &piped.stdout, &piped.stderr, &list.stdout, &removed.stderr] {
        assert!(!said.contains(VALUE), "{said}");
    }
    assert_eq!(listed(server.admin()), [(json!("FROM_FILE"), json!("admin"))]);
    let as_argument = Finished::of(&mut server.command(&["secrets", "set", "X", VALUE]));
    assert_eq!(as_argument.code, 2);
}
