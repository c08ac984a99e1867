//! The MCP endpoint, in both eras. That its answers are those of REST is asserted for every example.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use fumehood_tests::{Mcp, Server, connect, eventually, guest, read_until, wat};
use serde_json::{Value, json};

fn names(mcp: &Mcp) -> Vec<String> {
    mcp.tools().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn both_eras_list_the_same_tools_in_the_same_order() {
    let server = Server::setup().api("b", wat("spin")).api("a", wat("add")).api("c.d", wat("trap")).start();
    let (legacy, modern) = (Mcp::legacy(server.admin()), Mcp::modern(server.admin()));

    assert_eq!(names(&legacy), ["a__add", "b__add", "b__spin", "c_d__divide", "c_d__read", "c_d__unreachable"]);
    assert_eq!(names(&modern), names(&legacy));
    for tool in legacy.tools() {
        assert_eq!((&tool["inputSchema"]["type"], &tool["outputSchema"]["type"]), (&json!("object"), &json!("object")));
        assert!(tool["description"].as_str().is_some_and(|text| !text.is_empty()));
    }
}

#[test]
fn a_long_list_comes_in_pages_that_skip_and_repeat_nothing() {
    let Some(component) = guest("types") else { return };
    let modules = ["a", "b", "c", "d", "e", "f"];
    let server = modules.iter().fold(Server::setup(), |setup, name| setup.guest(name, &component)).start();

    for mcp in [Mcp::legacy(server.admin()), Mcp::modern(server.admin())] {
        let first = mcp.request("tools/list", json!({}));
        let names = names(&mcp);
        assert!(first["nextCursor"].is_string());
        assert_eq!(names.len(), 66 * modules.len());
        assert!(names.is_sorted_by(|a, b| a < b));
    }
}

#[test]
fn a_thousand_tools_are_listed_found_and_called() {
    let Some(component) = guest("calculator") else { return };
    let modules: Vec<_> = (0..200).map(|number| format!("m{number:03}")).collect();
    let setup = modules.iter().fold(Server::setup(), |setup, name| setup.guest(name, &component));
    let file = setup.data().with_file_name("profiles.toml");
    fs::write(&file, "[mcp.profiles.search]\nlist = \"search\"\n[mcp.profiles.hybrid]\nlist = \"hybrid\"\n").unwrap();
    let server = setup.argument("--config").argument(file.to_str().unwrap()).start();
    let sum = json!({ "result": 42 });

    for mcp in [Mcp::legacy(server.admin()), Mcp::modern(server.admin())] {
        let names = names(&mcp);
        assert_eq!(names.len(), 1_000);
        assert!(names.is_sorted_by(|a, b| a < b));
        for module in [&modules[0], &modules[99], &modules[199]] {
            let called = mcp.call(&format!("{module}__add"), &json!({ "a": 2, "b": 40 }));
            assert_eq!(called["structuredContent"], sum, "{module}");
        }
    }
    let search = Mcp::modern(server.admin()).at("/mcp/search");
    assert_eq!(search.tools().len(), 3);
    let found = search.call("search_tools", &json!({ "query": "m173 add" }));
    assert!(found.to_string().contains("m173__add"), "{found}");
    let called = search.call("call_tool", &json!({ "name": "m173__add", "arguments": { "a": 2, "b": 40 } }));
    assert_eq!(called["structuredContent"], sum);
    assert!(Mcp::modern(server.admin()).at("/mcp/hybrid").tools().len() <= 13);
}

/// For real: `cargo test -p fumehood-tests --test it -- --ignored ten_minutes`.
#[test]
#[ignore = "takes ten minutes"]
fn a_call_of_ten_minutes_is_answered() {
    let Some(component) = guest("long-work") else { return };
    let server = Server::setup().patient().guest("long-work", &component).set("limits.deadline_ms", 900_000).start();
    let call = json!({ "name": "long-work__nap", "arguments": { "millis": 600_000 } });
    let started = Instant::now();
    let mut stream = begin(&server, "tools/call", &call);

    // Every read ends after a minute without a byte.
    let seen = read_until(&mut stream, "\"id\":1");

    assert!(started.elapsed() >= Duration::from_secs(600), "{:?}", started.elapsed());
    assert!(seen.contains("\"structuredContent\"") && seen.matches(":\n\n").count() >= 39, "{seen}");
}

#[test]
fn an_uploaded_module_is_a_tool_at_once() {
    let server = Server::start();
    let clients = [Mcp::legacy(server.admin()), Mcp::modern(server.admin())];

    assert_eq!(server.admin().upload("add", &wat("add")).status, 201);

    for mcp in &clients {
        assert_eq!(names(mcp), ["add__add"]);
        assert_eq!(mcp.call("add__add", &json!({ "a": 2, "b": 40 }))["structuredContent"], json!({ "result": 42 }));
    }
}

#[test]
fn mistakes_stops_and_crashes_are_results_that_a_model_can_read() {
    let server =
        Server::setup().api("spin", wat("spin")).api("trap", wat("trap")).set("limits.fuel_units", 1_000_000).start();

    for mcp in [Mcp::legacy(server.admin()), Mcp::modern(server.admin())] {
        let failed = |tool: &str, arguments: Value| {
            let result = mcp.call(tool, &arguments);
            assert_eq!(result["isError"], true, "{result}");
            (result["_meta"]["dev.fumehood/error"].clone(), result["content"][0]["text"].as_str().unwrap().to_owned())
        };
        assert_eq!(
            failed("spin__spin", json!({})),
            (
                json!("fuel"),
                "the call was stopped after using its fuel of 1000000 units. \
             Ask for less at a time, or ask an administrator to raise the limit."
                    .to_owned()
            )
        );
        assert_eq!(
            failed("trap__divide", json!({ "a": 1, "b": 0 })),
            (
                json!("trap"),
                "the tool crashed: it divided by zero. \
             The same call will most likely fail again; its author can tell why."
                    .to_owned()
            )
        );
        assert_eq!(
            failed("spin__add", json!({ "a": -1, "c": 2 })),
            (
                json!("invalid_input"),
                "The arguments do not fit the tool:\n\
             - /a: expected an integer from 0 to 4294967295, found -1\n- /c: `c` is not known here, did you mean `a`?\n\
             - /b: `b` is required"
                    .to_owned()
            )
        );
    }
}

#[test]
fn an_unknown_tool_is_an_error_of_the_protocol() {
    let server = Server::setup().api("add", wat("add")).start();

    for mcp in [Mcp::legacy(server.admin()), Mcp::modern(server.admin())] {
        let answer = mcp.send("tools/call", json!({ "name": "add__ad", "arguments": {} }));
        let text = answer.text();
        let body = text
            .lines()
            .find_map(|line| line.strip_prefix("data: ").filter(|data| data.contains("error")))
            .unwrap_or(&text);
        let error = &body.parse::<Value>().unwrap()["error"];
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!(-32602), &json!("there is no tool `add__ad`, did you mean `add__add`?"))
        );
    }
}

#[test]
fn results_tell_what_they_used() {
    let server = Server::setup().api("add", wat("add")).start();

    for mcp in [Mcp::legacy(server.admin()), Mcp::modern(server.admin())] {
        let usage = &mcp.call("add__add", &json!({ "a": 1, "b": 1 }))["_meta"]["dev.fumehood/usage"];
        assert!(usage["fuelUnits"].as_u64().is_some_and(|fuel| fuel > 0), "{usage}");
        assert!(usage["durationUs"].is_u64() && usage["memoryBytes"].is_u64());
        assert_eq!(usage["digest"], server.admin().get("/api/v1/modules/add").value()["digest"]);
    }
}

#[test]
fn the_server_says_who_it_is_and_that_its_tools_change() {
    let server = Server::start();

    let found = Mcp::modern(server.admin()).request("server/discover", json!({}));

    assert_eq!(found["capabilities"]["tools"]["listChanged"], true);
    let versions = found["supportedVersions"].as_array().unwrap();
    assert!(
        ["2026-07-28", "2025-11-25", "2025-06-18"].iter().all(|version| versions.contains(&json!(version))),
        "{found}"
    );
}

/// Send a request of the modern era over a connection of its own, without waiting for its answer.
pub(crate) fn begin(server: &Server, method: &str, params: &Value) -> TcpStream {
    let mut params = params.clone();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let name = params["name"].as_str().map(|name| format!("mcp-name: {name}\r\n")).unwrap_or_default();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let (key, length) = (server.admin().key(), body.len());
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n\
         {name}content-length: {length}\r\n\r\n{body}"
    );
    let mut stream = connect(server.address());
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[test]
fn a_client_that_goes_away_stops_its_guest() {
    let setup = Server::setup().api("spin", wat("spin")).set("limits.fuel_units", u64::MAX / 4);
    let server = setup.set("limits.deadline_ms", 120_000).start();
    let call = begin(&server, "tools/call", &json!({ "name": "spin__spin", "arguments": {} }));
    eventually("the call runs", || server.admin().calls_running() == 1);

    drop(call);

    eventually("the call ends", || server.admin().calls_running() == 0);
}

#[test]
fn who_listens_is_told_when_tools_change() {
    let server = Server::start();
    let listen = json!({ "notifications": { "toolsListChanged": true } });
    let mut stream = begin(&server, "subscriptions/listen", &listen);
    read_until(&mut stream, "notifications/subscriptions/acknowledged");

    assert_eq!(server.admin().upload("add", &wat("add")).status, 201);
    read_until(&mut stream, "notifications/tools/list_changed");
    server.admin().delete("/api/v1/modules/add").empty(204);
    read_until(&mut stream, "notifications/tools/list_changed");
}

#[test]
fn a_client_over_stdio_beside_a_busy_server_hears_of_changes_and_of_nothing_else() {
    let Some(component) = guest("host-api") else { return };
    let server = Server::setup().patient().start();
    let admin = server.admin();
    assert_eq!(admin.upload("host-api", &fs::read(component).unwrap()).status, 201);
    let permissions = "/api/v1/modules/host-api/permissions";
    admin.post(permissions, &json!({ "grant": "keyvalue:default" })).expect(201);
    let mut command = fumehood_tests::command();
    command.arg("mcp").arg("--data-dir").arg(server.data());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (heard, said) = (follow(child.stdout.take().unwrap()), follow(child.stderr.take().unwrap()));
    let mut stdin = child.stdin.take().unwrap();
    let hello =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "0" } });
    writeln!(stdin, "{}", json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello })).unwrap();
    writeln!(stdin, "{}", json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).unwrap();
    let count = |text: &Mutex<String>, what: &str| text.lock().unwrap().matches(what).count();
    eventually("it serves", || count(&heard, "\"id\":1") == 1 && count(&said, "Loaded 1 modules") == 1);

    // Longer than two of its looks at the database, with values and observations written all the time.
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(2_500) {
        admin.call("host-api/set", &json!({ "bucket": "default", "key": "k", "value": "v" })).value();
    }
    assert_eq!((count(&said, "Loaded "), count(&heard, "list_changed")), (1, 0));
    admin.post(permissions, &json!({ "grant": "scratch" })).expect(201);
    eventually("it has the grant", || count(&said, "Loaded ") == 2);
    assert_eq!(admin.upload("add", &wat("add")).status, 201);
    eventually("it serves the module", || count(&said, "Loaded ") == 3);
    eventually("its client hears of it", || count(&heard, "list_changed") > 0);

    assert_eq!((count(&said, "Loaded "), count(&heard, "list_changed")), (3, 1));
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// What comes out of a pipe.
fn follow(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let lines = Arc::clone(&text);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut text = lines.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    });
    text
}
