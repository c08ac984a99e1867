//! What a guest can ask of its host: granted, not granted, and within which bounds.

use fumehood_tests::{Answer, Client, Finished, Server, Setup, guest};
use serde_json::{Value, json};

/// A value that occurs nowhere by chance.
const VALUE: &str = "correct-horse-battery-staple";

/// A server with the guest as the modules `host-api` and `other`; nothing on a machine that cannot build it.
fn setup() -> Option<Setup> {
    let component = guest("host-api")?;
    Some(Server::setup().patient().guest("host-api", &component).guest("other", &component))
}

fn grant(server: &Server, module: &str, text: &str) {
    let answer = server.admin().post(&format!("/api/v1/modules/{module}/permissions"), &json!({ "grant": text }));
    assert!((200..300).contains(&answer.status), "{text}: {}", answer.text());
}

fn set_secret(server: &Server, name: &str, value: &str) {
    let body = json!({ "value": value }).to_string();
    let json = [("content-type", "application/json")];
    let answer = server.admin().send("PUT", &format!("/api/v1/secrets/{name}"), &json, body.as_bytes());
    assert!(matches!(answer.status, 201 | 204), "{}", answer.text());
}

/// The error that the guest has met.
fn error(answer: &Answer) -> Value {
    answer.refused(422, "tool_error").details["error"].clone()
}

fn at<'a>(key: &'a str, value: Option<&'a str>) -> Value {
    let mut arguments = json!({ "bucket": "default", "key": key });
    if let Some(value) = value {
        arguments["value"] = json!(value);
    }
    arguments
}

fn call(client: &Client, function: &str, arguments: &Value) -> Answer {
    client.call(&format!("host-api/{function}"), arguments)
}

#[test]
fn without_a_grant_there_is_no_bucket_no_secret_no_value_and_no_other_tool() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let admin = server.admin();
    set_secret(&server, "TOKEN", VALUE);

    assert_eq!(error(&call(admin, "get", &at("k", None))), json!("access-denied"));
    assert_eq!(error(&call(admin, "keys-draft", &json!({ "bucket": "default" }))), json!("access-denied"));
    assert_eq!(error(&call(admin, "secret-length", &json!({ "name": "TOKEN" }))), json!("not-granted"));
    assert_eq!(call(admin, "config", &json!({ "name": "region" })).value(), Value::Null);
    assert_eq!(call(admin, "config-all", &json!({})).value(), json!([]));
    assert_eq!(call(admin, "environment", &json!({ "name": "PATH" })).value(), Value::Null);
    let invoked = call(admin, "invoke", &json!({ "tool": "other.cancelled", "arguments": "{}" }));
    assert_eq!(error(&invoked), json!("denied"));
}

#[test]
fn a_guest_knows_its_deadline_and_whether_it_is_wanted() {
    let Some(setup) = setup() else { return };
    let server = setup.start();

    let left = server.admin().call_with("host-api/remaining-ms", &[("fumehood-deadline-ms", "20000")], &json!({}));
    let cancelled = call(server.admin(), "cancelled", &json!({}));

    let left = left.value().as_u64().unwrap();
    assert!((1..=20_000).contains(&left), "{left}");
    assert_eq!(cancelled.value(), json!(false));
}

#[test]
fn progress_is_taken_however_much_and_however_strange() {
    let Some(setup) = setup() else { return };
    let server = setup.start();

    let much = call(server.admin(), "progress", &json!({ "times": 10_000, "message": "x".repeat(2_000) }));
    let strange = call(server.admin(), "strange-progress", &json!({}));

    assert_eq!((much.value(), strange.value()), (Value::Null, Value::Null));
}

#[test]
fn what_a_guest_logs_reaches_the_log_on_one_line_with_its_tool() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let message = "one\ntwo \u{1b}[31m";

    let answer = call(server.admin(), "log", &json!({ "context": "ctx\r", "message": message }));

    assert_eq!(answer.value(), Value::Null);
    server.says(r"one\ntwo \u{1b}[31m");
    let log = server.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("two")).collect();
    // What the guest calls trace and debug is not logged at the default level.
    assert_eq!(lines.len(), 4, "{log}");
    assert!(lines.iter().all(|line| line.contains("host-api__log") && !line.contains('\u{1b}')), "{log}");
}

#[test]
fn a_bucket_keeps_values_for_its_module_alone() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let admin = server.admin();
    grant(&server, "host-api", "keyvalue:default");
    grant(&server, "other", "keyvalue:default");

    for key in ["k", "../other/k", "nul\0", "e\u{301}", "\u{e9}"] {
        assert_eq!(call(admin, "set", &at(key, Some(key))).value(), Value::Null);
    }

    assert_eq!(call(admin, "get", &at("../other/k", None)).value(), json!("../other/k"));
    assert_eq!(call(admin, "exists", &at("\u{e9}", None)).value(), json!(true));
    let keys = json!(["../other/k", "e\u{301}", "k", "nul\0", "\u{e9}"]);
    assert_eq!(call(admin, "keys", &json!({ "bucket": "default" })).value(), keys);
    assert_eq!(call(admin, "keys-draft", &json!({ "bucket": "" })).value(), keys);
    assert_eq!(admin.call("other/keys", &json!({ "bucket": "default" })).value(), json!([]));
    assert_eq!(admin.call("other/get", &at("k", None)).value(), Value::Null);
    assert_eq!(call(admin, "delete", &at("k", None)).value(), Value::Null);
    assert_eq!(call(admin, "get", &at("k", None)).value(), Value::Null);
    assert_eq!(error(&call(admin, "get", &json!({ "bucket": "another", "key": "k" }))), json!("access-denied"));
}

#[test]
fn numbers_and_swaps_are_atomic() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let admin = server.admin();
    grant(&server, "host-api", "keyvalue:default");
    let add =
        |function: &str, by: i64| call(admin, function, &json!({ "bucket": "default", "key": "n", "by": by })).value();
    let swap = |meanwhile: Option<&str>| {
        let arguments = json!({ "bucket": "default", "key": "s", "meanwhile": meanwhile, "value": "new" });
        call(admin, "swap", &arguments).value()
    };

    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|_| drop(add("increment", 1))));
        }
    });

    assert_eq!(add("increment-draft", 1), json!(21));
    assert_eq!(add("increment", -1), json!(20));
    assert_eq!(call(admin, "get", &at("n", None)).value(), json!("20"));
    assert_eq!(swap(None), json!([true, false, "new"]));
    assert_eq!(swap(Some("other")), json!([false, true, "new"]));
    let batch = json!({ "bucket": "default", "values": [["a", "1"], ["b", "2"]] });
    assert_eq!(call(admin, "batch", &batch).value(), json!(["1", "2", null]));
}

#[test]
fn a_bucket_is_bounded_in_bytes_keys_and_time() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let admin = server.admin();
    grant(&server, "host-api", "keyvalue:default,bytes=1KiB,keys=2");
    grant(&server, "other", "keyvalue:default,ttl=1s");
    let set_bytes =
        |key: &str, bytes: u32| call(admin, "set-bytes", &json!({ "bucket": "default", "key": key, "bytes": bytes }));

    assert_eq!(set_bytes("a", 1023).value(), Value::Null);
    assert_eq!(error(&set_bytes("b", 1)), json!("the bucket is full"));
    assert_eq!(set_bytes("a", 1).value(), Value::Null);
    assert_eq!(set_bytes("b", 1).value(), Value::Null);
    let full = set_bytes("c", 1);
    assert_eq!(error(&full), json!("the bucket is full"));
    let reached = json!([{ "limit": "keyvalue", "allowed": "bytes=1KiB,keys=2" }]);
    assert_eq!(full.refused(422, "tool_error").details["reached"], reached);
    let invalid = json!("a key has 1 to 256 bytes, and a value at most 256 KiB");
    assert_eq!(error(&set_bytes("a", (256 << 10) + 1)), invalid);
    assert_eq!(error(&call(admin, "get", &at(&"k".repeat(257), None))), invalid);
    assert_eq!(error(&call(admin, "get", &at("", None))), invalid);
    assert_eq!(admin.call("other/set", &at("k", Some("v"))).value(), Value::Null);
    fumehood_tests::eventually("the value is gone", || admin.call("other/get", &at("k", None)).value() == Value::Null);
}

#[test]
fn values_survive_a_restart() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    grant(&server, "host-api", "keyvalue:default");
    grant(&server, "host-api", "secret:TOKEN");
    set_secret(&server, "TOKEN", VALUE);
    assert_eq!(call(server.admin(), "set", &at("k", Some("v"))).value(), Value::Null);

    let server = server.crash().start();

    assert_eq!(call(server.admin(), "get", &at("k", None)).value(), json!("v"));
    assert_eq!(call(server.admin(), "secret-length", &json!({ "name": "TOKEN" })).value(), json!(VALUE.len()));
}

#[test]
fn a_granted_secret_that_nobody_has_set_is_told_when_it_is_granted_reviewed_needed_and_removed() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let run = |arguments: &[&str]| Finished::of(&mut server.command(arguments));
    let hint = "secret TOKEN is not set: fumehood secrets set TOKEN";

    let granted = run(&["grants", "add", "host-api", "secret:TOKEN"]);
    let reviewed = run(&["review", "host-api"]);
    for _ in 0..3 {
        call(server.admin(), "secret-length", &json!({ "name": "TOKEN" })).refused(422, "tool_error");
    }

    assert!(granted.ok().contains("secret:TOKEN") && granted.stderr.contains(hint), "{}", granted.stderr);
    assert!(reviewed.ok().contains(hint), "{}", reviewed.stdout);
    let warned = "A call of host-api needed secret TOKEN, which is granted and not set: fumehood secrets set TOKEN";
    server.says(warned);
    assert_eq!(server.log().matches(warned).count(), 1, "{}", server.log());
    set_secret(&server, "TOKEN", VALUE);
    assert!(!run(&["review", "host-api"]).ok().contains(hint));
    let removed = run(&["secrets", "rm", "TOKEN"]);
    assert_eq!(removed.stderr, "secret TOKEN removed\nit is still granted to host-api, whose calls fail without it\n");
}

#[test]
fn a_granted_secret_reaches_the_guest_and_no_log() {
    let Some(setup) = setup() else { return };
    let server = setup.set("log.filter", "trace").start();
    let admin = server.admin();
    grant(&server, "host-api", "secret:TOKEN");
    let name = json!({ "name": "TOKEN" });
    assert_eq!(error(&call(admin, "secret-length", &name)), json!("not-set"));
    set_secret(&server, "TOKEN", VALUE);

    assert_eq!(call(admin, "secret-length", &name).value(), json!(VALUE.len()));
    assert_eq!(call(admin, "print-secret", &name).value(), Value::Null);
    assert_eq!(call(admin, "log-secret", &name).value(), Value::Null);
    assert_eq!(error(&admin.call("other/secret-length", &name)), json!("not-granted"));
    assert_eq!(error(&call(admin, "secret-length", &json!({ "name": "../TOKEN" }))), json!("not-granted"));

    server.says("host-api__log-secret");
    server.says("the secret is [secret]");
    assert!(!server.log().contains(VALUE), "{}", server.log());
}

#[test]
fn values_of_the_configuration_and_the_environment_are_those_that_were_granted() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let admin = server.admin();
    grant(&server, "host-api", "config:region=eu");
    grant(&server, "host-api", "env:LOG_LEVEL=debug");

    assert_eq!(call(admin, "config", &json!({ "name": "region" })).value(), json!("eu"));
    assert_eq!(call(admin, "config-all", &json!({})).value(), json!([["region", "eu"]]));
    assert_eq!(call(admin, "environment", &json!({ "name": "LOG_LEVEL" })).value(), json!("debug"));
    assert_eq!(call(admin, "environment", &json!({ "name": "region" })).value(), Value::Null);
    assert_eq!(admin.call("other/config-all", &json!({})).value(), json!([]));
}

#[test]
fn a_tool_calls_another_with_its_own_fuel_and_its_callers_words() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let admin = server.admin();
    grant(&server, "host-api", "invoke:other.*");
    let invoke = |tool: &str, arguments: &str| call(admin, "invoke", &json!({ "tool": tool, "arguments": arguments }));

    let alone = admin.call("other/log-many", &json!({ "lines": 1_000 }));
    let through = invoke("other.log-many", r#"{"lines": 1000}"#);

    assert_eq!(through.value(), json!("null"));
    assert!(through.number("fumehood-fuel") > alone.number("fumehood-fuel"));
    let far = error(&invoke("other.get", r#"{"bucket": "default", "key": "k"}"#));
    assert_eq!(far, json!(r#"tool-error: "access-denied""#));
    assert_eq!(error(&invoke("other.nothing", "{}")), json!("not-found"));
    assert_eq!(error(&invoke("host-api.cancelled", "{}")), json!("denied"));
    assert!(error(&invoke("other.get", "{}")).as_str().unwrap().starts_with("bad-arguments: "));
}

#[test]
fn tools_that_call_tools_go_only_so_deep_and_only_on_what_fuel_is_left() {
    let Some(setup) = setup() else { return };
    let server = setup.set("limits.invoke_depth", 3).start();
    let admin = server.admin();
    grant(&server, "host-api", "invoke:host-api.dive");
    let dive = |depth: u32| json!({ "module": "host-api", "depth": depth });

    assert_eq!(call(admin, "dive", &dive(3)).value(), json!(3));
    assert_eq!(error(&call(admin, "dive", &dive(4))).as_str().unwrap().matches("too-deep").count(), 1);
    let enough = call(admin, "dive", &dive(3)).number("fumehood-fuel");
    let less = (enough / 2).to_string();
    let stopped = admin.call_with("host-api/dive", &[("fumehood-max-fuel", &less)], &dive(3));
    assert_ne!(stopped.status, 200, "{}", stopped.text());
}

/// A tool that calls tools holds its place while they run, inside the server as in a worker.
#[test]
fn there_is_room_for_tools_that_call_tools_as_deep_as_they_may_go() {
    for trusted in ["nobody", "*"] {
        let Some(setup) = setup() else { return };
        let setup = setup.set("limits.invoke_depth", 3).set("concurrency.calls", 1).set("isolation.trusted", trusted);
        let server = setup.start();
        grant(&server, "host-api", "invoke:host-api.dive");

        let answer = call(server.admin(), "dive", &json!({ "module": "host-api", "depth": 3 }));

        assert_eq!(answer.value(), json!(3), "trusted: {trusted}");
    }
}
