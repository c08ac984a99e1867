//! How MCP travels: answers that take long, and sessions of the eras that shake hands.

use std::{
    fs,
    io::Write,
    net::TcpStream,
    time::{Duration, Instant},
};

use fumehood_tests::{Answer, Client, Mcp, Server, Setup, connect, eventually, guest, read_until, wat};
use serde_json::{Value, json};

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// A server whose tool `spin__spin` runs for `deadline`.
fn spinning(deadline: Duration) -> Setup {
    let setup = Server::setup().api("spin", wat("spin")).api("add", wat("add"));
    setup.set("limits.fuel_units", u64::MAX / 4).set("limits.deadline_ms", deadline.as_millis())
}

/// A call of a tool, as a client of the era `version` writes it.
fn call(version: &str, tool: &str, arguments: &Value) -> Value {
    let mut params = json!({ "name": tool, "arguments": arguments });
    if version == MODERN {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        });
    }
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params })
}

/// Send a call over a connection of its own, without waiting for its answer.
fn begin(server: &Server, version: &str, session: Option<&str>, message: &Value) -> TcpStream {
    let (key, body) = (server.admin().key(), message.to_string());
    let mut head = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: {version}\r\n"
    );
    if version == MODERN {
        let name = message["params"]["name"].as_str().unwrap();
        head.push_str(&format!("mcp-method: tools/call\r\nmcp-name: {name}\r\n"));
    }
    if let Some(session) = session {
        head.push_str(&format!("mcp-session-id: {session}\r\n"));
    }
    let mut stream = connect(server.address());
    let length = body.len();
    stream.write_all(format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}").as_bytes()).unwrap();
    stream
}

/// Send a message of the older eras.
fn post(client: &Client, path: &str, session: Option<&str>, message: &Value) -> Answer {
    let mut headers = vec![
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", LEGACY),
    ];
    headers.extend(session.map(|session| ("mcp-session-id", session)));
    client.send("POST", path, &headers, message.to_string().as_bytes())
}

/// Shake hands; the session.
fn open(client: &Client, path: &str) -> String {
    let hello = json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "t", "version": "0" } });
    let answer =
        post(client, path, None, &json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let session = answer.header("mcp-session-id").unwrap().to_owned();
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(post(client, path, Some(&session), &ready).status, 202);
    session
}

/// Add two numbers in a session, or in none; the status, and the sum.
fn add(client: &Client, path: &str, session: Option<&str>) -> (u16, Option<i64>) {
    let answer = post(client, path, session, &call(LEGACY, "add__add", &json!({ "a": 2, "b": 40 })));
    let text = answer.text();
    let data = text.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
    let mut sums =
        data.filter_map(|line| line.parse::<Value>().ok()?["result"]["structuredContent"]["result"].as_i64());
    (answer.status, sums.next_back())
}

/// A client with another key that may do as much.
fn another(server: &Server) -> Client {
    let made = server.admin().post("/api/v1/keys", &json!({ "name": "other", "roles": ["admin"] }));
    server.admin().with_key(made.expect(201)["key"].as_str().unwrap())
}

#[test]
fn a_call_that_takes_long_is_answered_with_a_stream_before_its_answer_is_there() {
    let server = spinning(Duration::from_secs(3)).start();

    for version in [MODERN, LEGACY] {
        let started = Instant::now();
        let mut stream = begin(&server, version, None, &call(version, "spin__spin", &json!({})));
        let head = read_until(&mut stream, ":\n\n").to_ascii_lowercase();
        let begun = started.elapsed();
        let rest = read_until(&mut stream, "\n\n\r\n");

        assert!(head.starts_with("http/1.1 200 "), "{head}");
        for header in ["content-type: text/event-stream", "x-accel-buffering: no", "cache-control: no-cache"] {
            assert!(head.contains(header), "{version}: {head}");
        }
        assert!((Duration::from_millis(900)..Duration::from_millis(1_500)).contains(&begun), "{version}: {begun:?}");
        let data = rest.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        let message: Value = data.parse().unwrap();
        assert_eq!((&message["id"], &message["result"]["isError"]), (&json!(7), &json!(true)));
        assert_eq!(message["result"]["_meta"]["dev.fumehood/error"], "deadline");
        assert!(started.elapsed() > Duration::from_millis(2_900));
    }
}

#[test]
fn a_quick_call_is_plain_json_with_a_length_and_mistakes_keep_their_status() {
    let server = Server::setup().api("add", wat("add")).start();
    let admin = server.admin();

    for answer in [
        Mcp::modern(admin).send("tools/call", json!({ "name": "add__add", "arguments": { "a": 2, "b": 40 } })),
        post(admin, "/mcp", None, &call(LEGACY, "add__add", &json!({ "a": 2, "b": 40 }))),
    ] {
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        assert_eq!(answer.number("content-length"), answer.body.len() as u64);
        assert_eq!(answer.json()["result"]["structuredContent"], json!({ "result": 42 }));
    }
    assert_eq!(Mcp::modern(admin).send("tools/no-such-method", json!({})).status, 404);
    let message = call(LEGACY, "add__add", &json!({})).to_string();
    let json_only = [("content-type", "application/json"), ("accept", "application/json")];
    assert_eq!(admin.send("POST", "/mcp", &json_only, message.as_bytes()).status, 406);
    let both = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    assert_eq!(admin.send("POST", "/mcp", &both, b"no json").status, 415);
}

#[test]
fn a_client_that_goes_away_after_its_stream_began_stops_its_guest() {
    let server = spinning(Duration::from_secs(120)).start();

    for version in [MODERN, LEGACY] {
        let mut stream = begin(&server, version, None, &call(version, "spin__spin", &json!({})));
        read_until(&mut stream, ":\n\n");
        assert_eq!(server.admin().calls_running(), 1);

        drop(stream);

        eventually("the call ends", || server.admin().calls_running() == 0);
    }
}

#[test]
fn a_client_of_the_older_eras_needs_no_session() {
    let server = Server::setup().api("add", wat("add")).start();
    let admin = server.admin();

    let listed = post(admin, "/mcp", None, &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }));
    let ready = post(admin, "/mcp", None, &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    let stream = admin.send("GET", "/mcp", &[("accept", "text/event-stream")], &[]);

    assert_eq!(listed.json()["result"]["tools"][0]["name"], "add__add");
    assert_eq!(add(admin, "/mcp", None), (200, Some(42)));
    assert_eq!((ready.status, stream.status), (202, 405));
    assert_eq!((listed.header("mcp-session-id"), admin.delete("/mcp").status), (None, 405));
}

#[test]
fn a_session_outlives_a_restart_until_its_client_ends_it() {
    let server = Server::setup().api("add", wat("add")).start();
    let session = open(server.admin(), "/mcp");
    assert_eq!(add(server.admin(), "/mcp", Some(&session)), (200, Some(42)));

    let server = server.restart();

    assert_eq!(add(server.admin(), "/mcp", Some(&session)), (200, Some(42)));
    let ended = server.admin().send("DELETE", "/mcp", &[("mcp-session-id", &session)], &[]);
    assert_eq!(ended.status, 202);
    assert_eq!(add(server.admin(), "/mcp", Some(&session)).0, 404);
    let server = server.restart();
    assert_eq!(add(server.admin(), "/mcp", Some(&session)).0, 404);
}

#[test]
fn a_session_that_came_back_hears_of_changes() {
    let server = Server::setup().api("add", wat("add")).start();
    let session = open(server.admin(), "/mcp");
    let server = server.restart();
    let key = server.admin().key();
    let mut stream = connect(server.address());
    let head = format!(
        "GET /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\naccept: text/event-stream\r\n\
         mcp-protocol-version: {LEGACY}\r\nmcp-session-id: {session}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    read_until(&mut stream, "retry:");

    assert_eq!(server.admin().upload("spin", &wat("spin")).status, 201);

    read_until(&mut stream, "notifications/tools/list_changed");
}

#[test]
fn a_session_is_not_there_for_another_key_nor_at_another_address() {
    let setup = Server::setup().api("add", wat("add"));
    let file = setup.data().with_file_name("profiles.toml");
    std::fs::write(&file, "[mcp.profiles.small]\ntools = [\"add.*\"]\n[mcp.profiles.large]\n").unwrap();
    let server = setup.argument("--config").argument(file.to_str().unwrap()).start();
    let other = another(&server);
    let sessions = [("/mcp", open(server.admin(), "/mcp")), ("/mcp/small", open(server.admin(), "/mcp/small"))];
    let check = |server: &Server, other: &Client| {
        for (path, session) in &sessions {
            let session = session.as_str();
            let elsewhere = sessions.iter().map(|(path, _)| *path).chain(["/mcp/large"]).filter(|at| at != path);
            assert_eq!(add(other, path, Some(session)).0, 404);
            let with = [("accept", "text/event-stream"), ("mcp-session-id", session)];
            assert_eq!(other.send("GET", path, &with, &[]).status, 404);
            assert_eq!(other.send("DELETE", path, &with, &[]).status, 404);
            for path in elsewhere {
                assert_eq!(add(server.admin(), path, Some(session)).0, 404, "{path}");
            }
            let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                "protocolVersion": MODERN, "capabilities": {}, "clientInfo": { "name": "t", "version": "0" } } });
            let modern = [
                ("content-type", "application/json"),
                ("accept", "application/json, text/event-stream"),
                ("mcp-protocol-version", MODERN),
                ("mcp-session-id", session),
            ];
            // A handshake is told to the session that it names in no era.
            let opened = other.send("POST", path, &modern, hello.to_string().as_bytes());
            assert_ne!(opened.header("mcp-session-id"), Some(session));
            assert_eq!(add(server.admin(), path, Some(session)), (200, Some(42)));
        }
    };

    check(&server, &other);
    let server = server.restart();

    // First a stranger, while the session is in the store only.
    let other = server.admin().with_key(other.key());
    check(&server, &other);
    assert_eq!(add(server.admin(), "/mcp", Some("no-such-session")).0, 404);
    assert_eq!(add(server.admin(), "/mcp", Some(&"0".repeat(36))).0, 404);
}

#[test]
fn the_oldest_sessions_of_a_key_make_room_and_come_back() {
    let server = Server::setup().api("add", wat("add")).set("mcp.sessions_per_key", 2).start();
    let sessions: Vec<_> = (0..4).map(|_| open(server.admin(), "/mcp")).collect();

    // Two are held; the others are still in the store, which may have some more for a while.
    for session in &sessions {
        assert_eq!(add(server.admin(), "/mcp", Some(session)), (200, Some(42)));
    }
    // What is too many is forgotten as soon as a started server writes something.
    let server = server.restart();
    let fresh = open(server.admin(), "/mcp");
    let server = server.restart();

    assert_eq!(add(server.admin(), "/mcp", Some(&fresh)), (200, Some(42)));
    assert_eq!(add(server.admin(), "/mcp", Some(&sessions[0])).0, 404);
}

/// Calls that hear nothing on the way are answered by a shorter way than those that want progress: nobody is to notice.
#[test]
fn a_call_is_answered_alike_by_the_short_way_and_the_long_one() {
    let server =
        Server::setup().api("add", wat("add")).api("spin", wat("spin")).set("limits.fuel_units", 1_000_000).start();
    let admin = server.admin();
    let send = |version: &str, message: &Value, headers: &[(&str, &str)]| {
        let mut all = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", version),
        ];
        let name = message["params"]["name"].as_str().unwrap_or_default();
        if version == MODERN {
            all.extend([("mcp-method", "tools/call"), ("mcp-name", name)]);
        }
        all.retain(|(name, _)| headers.iter().all(|(other, _)| name != other));
        all.extend(headers.iter().filter(|(_, value)| !value.is_empty()));
        let answer = admin.send("POST", "/mcp", &all, message.to_string().as_bytes());
        let text = answer.text().to_owned();
        let mut body: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        // What it took is never the same twice.
        if let Some(usage) = body.pointer_mut("/result/_meta/dev.fumehood~1usage") {
            usage["durationUs"] = Value::Null;
        }
        (answer.status, answer.header("content-type").map(ToOwned::to_owned), body)
    };
    let calls = [
        ("add__add", json!({ "a": 2, "b": 40 })),
        ("add__add", json!({ "a": 2, "c": "x" })),
        ("add__add", json!([2, 40])),
        ("add__add", Value::Null),
        ("add__nothing", json!({})),
        ("spin__spin", json!({})),
        ("spin__spin", json!({ "unknown": 1 })),
    ];
    let mut told = Vec::new();
    for version in [MODERN, LEGACY, "2025-06-18"] {
        for (tool, arguments) in &calls {
            let short = call(version, tool, arguments);
            let mut long = short.clone();
            long["params"]["_meta"]["progressToken"] = json!(1);

            let answer = send(version, &short, &[]);

            assert_eq!(answer, send(version, &long, &[]), "{version} {tool} {arguments}");
            told.push(answer.2["result"]["structuredContent"]["result"].clone());
        }
    }
    assert_eq!(told.iter().filter(|sum| **sum == json!(42)).count(), 3, "{told:?}");

    // What the protocol forbids is refused as ever.
    let good = call(MODERN, "add__add", &json!({ "a": 2, "b": 40 }));
    let without = |pointer: &str, member: &str| {
        let mut message = good.clone();
        message.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(member);
        message
    };
    let meta = "io.modelcontextprotocol/clientCapabilities";
    let (capabilities, version) =
        (without("/params/_meta", meta), without("/params/_meta", "io.modelcontextprotocol/protocolVersion"));
    let name = [("mcp-name", "add__other")];
    for (message, headers, status) in [
        (&good, &[][..], 200),
        (&good, &[("mcp-name", "")], 400),
        (&good, &name, 400),
        (&good, &[("mcp-method", "tools/list")], 400),
        (&good, &[("accept", "application/json")], 406),
        (&good, &[("content-type", "text/plain")], 415),
        (&good, &[("mcp-protocol-version", "2999-01-01")], 400),
        (&capabilities, &[], 400),
        (&version, &[], 400),
    ] {
        let answer = send(MODERN, message, headers);
        assert_eq!(answer.0, status, "{headers:?} {message} {answer:?}");
    }
}

/// Lists are written once and sent from there; rmcp, which those who want progress are left to, must write the same.
#[test]
fn a_list_is_answered_alike_by_the_short_way_and_the_long_one() {
    let Some(component) = guest("types") else { return };
    let setup =
        ["a", "b", "c", "d", "e", "f"].iter().fold(Server::setup(), |setup, name| setup.guest(name, &component));
    let file = setup.data().with_file_name("profiles.toml");
    let profiles = "
        [mcp.profiles.search]
        list = \"search\"
        [mcp.profiles.shaped]
        shaped = true
        tools = [\"add.*\"]
        [mcp.profiles.told]
        [mcp.profiles.told.overrides.\"a.echo-bool\"]
        name = \"zebra\"
        description = \"Ä \\\"quoted\\\" word.\"
    ";
    fs::write(&file, profiles).unwrap();
    let server = setup.argument("--config").argument(file.to_str().unwrap()).start();
    let admin = server.admin();
    let ask = |path: &str, version: &str, params: &Value, headers: &[(&str, &str)]| {
        let mut params = params.clone();
        let mut all = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", version),
        ];
        if version == MODERN {
            all.push(("mcp-method", "tools/list"));
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        }
        all.extend(headers);
        let message = json!({ "jsonrpc": "2.0", "id": "\"one\"", "method": "tools/list", "params": params });
        let answer = admin.send("POST", path, &all, message.to_string().as_bytes());
        (answer.status, answer.text().to_owned())
    };
    let both = |path: &str, version: &str, cursor: Option<&str>| {
        let mut params = cursor.map_or(json!({}), |cursor| json!({ "cursor": cursor }));
        let short = ask(path, version, &params, &[]);
        params["_meta"]["progressToken"] = json!(1);
        assert_eq!(short, ask(path, version, &params, &[]), "{path} {version} {cursor:?}");
        let message: Value = serde_json::from_str(&short.1).unwrap();
        assert!(message["error"].is_object() || message["id"] == "\"one\"", "{message}");
        message
    };
    let all = |path: &str, version: &str| {
        let (mut names, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let message = both(path, version, cursor.as_deref());
            assert_eq!(message["result"]["resultType"].as_str(), (version == MODERN).then_some("complete"));
            let tools = message["result"]["tools"].as_array().unwrap();
            names.extend(tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()));
            match message["result"]["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return names,
            }
        }
    };

    for version in [MODERN, LEGACY, "2025-06-18", "2025-03-26"] {
        assert_eq!(all("/mcp", version).len(), 66 * 6, "{version}");
        assert_eq!(all("/mcp/search", version), ["search_tools", "describe_tool", "call_tool"]);
        assert!(all("/mcp/told", version).contains(&"zebra".to_owned()));
        assert!(!all("/mcp/shaped", version).contains(&"add__add".to_owned()));
        // Cursors that no page of ours ended with, and such that are none.
        for cursor in ["", "YV9fb24", "!", "_w"] {
            both("/mcp", version, Some(cursor));
        }
        assert_eq!(ask("/mcp/nobody", version, &json!({}), &[]).0, 200, "an error of the protocol");
    }
    // What changes is listed at once, at each address.
    assert_eq!(admin.upload("add", &wat("add")).status, 201);
    for version in [MODERN, LEGACY] {
        assert_eq!(all("/mcp", version).len(), 66 * 6 + 1);
        assert!(all("/mcp/shaped", version).contains(&"add__add".to_owned()));
    }
    for headers in [[("mcp-name", "add__add")], [("mcp-method", "tools/call")]] {
        let (short, long) = (json!({}), json!({ "_meta": { "progressToken": 1 } }));
        assert_eq!(ask("/mcp", MODERN, &short, &headers), ask("/mcp", MODERN, &long, &headers), "{headers:?}");
    }
}

/// Ask for what came after `event` on a stream of `session`, without waiting for it.
fn resume(server: &Server, session: &str, event: &str) -> TcpStream {
    let key = server.admin().key();
    let mut stream = connect(server.address());
    let head = format!(
        "GET /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\naccept: text/event-stream\r\n\
         mcp-protocol-version: {LEGACY}\r\nmcp-session-id: {session}\r\nlast-event-id: {event}\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// The id of the last event in `text` that has one.
fn last_event(text: &str) -> &str {
    text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap_or_else(|| panic!("{text}")).trim()
}

/// The steps that are told in `text`, in their order.
fn steps(text: &str) -> Vec<f64> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")?.parse::<Value>().ok());
    data.filter_map(|message| message["params"]["progress"].as_f64()).collect()
}

#[test]
fn a_stream_that_broke_off_is_taken_up_where_it_was() {
    let Some(component) = guest("conformance") else { return };
    let server = Server::setup().patient().guest("conformance", &component).start();
    let session = open(server.admin(), "/mcp");
    let mut message = call(LEGACY, "conformance__slow_compute", &json!({ "seconds": 3, "label": "it" }));
    message["params"]["_meta"] = json!({ "progressToken": "steps" });

    let mut stream = begin(&server, LEGACY, Some(&session), &message);
    let seen = read_until(&mut stream, "notifications/progress") + &read_until(&mut stream, "\n\n");
    // What was read of the event after that counts for nothing.
    let seen = &seen[..=seen.rfind("\n\n").unwrap()];
    drop(stream);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(server.admin().calls_running(), 1, "a call of a session goes on without whoever listened");
    let more = read_until(&mut resume(&server, &session, last_event(seen)), "Computed it");

    let (before, after) = (steps(seen), steps(&more));
    assert!(after.len() > 3 && after[0] > *before.last().unwrap(), "{before:?} then {after:?}");
    assert!(after.is_sorted() && after[0] < 0.5, "what was told meanwhile is told too: {after:?}");
    // Even when the call is over, for some minutes.
    eventually("the call ends", || server.admin().calls_running() == 0);
    std::thread::sleep(Duration::from_secs(2));
    let again = read_until(&mut resume(&server, &session, last_event(seen)), "Computed it");
    assert_eq!(steps(&again), after);
    assert_eq!(last_event(&again), last_event(&more), "an event keeps its id");
    let nothing = read_until(&mut resume(&server, &session, last_event(&more)), "0\r\n\r\n");
    assert!(!nothing.contains("data: {"), "{nothing}");

    let (_, other) = server.admin().new_key("other", "call");
    let with = [("accept", "text/event-stream"), ("mcp-session-id", &*session), ("last-event-id", last_event(seen))];
    assert_eq!(other.send("GET", "/mcp", &with, &[]).status, 404);

    // After a restart streams are counted anew: what is asked for is none of them.
    let server = server.restart();
    let message = call(LEGACY, "conformance__slow_compute", &json!({ "seconds": 1.5, "label": "another" }));
    let mut stream = begin(&server, LEGACY, Some(&session), &message);
    let new = read_until(&mut stream, "retry:");
    let stream_of = |event: &str| event.split('/').nth(1).unwrap().to_owned();
    assert_eq!(stream_of(last_event(&new)), stream_of(last_event(seen)), "they would be taken for each other");
    let nothing = read_until(&mut resume(&server, &session, last_event(seen)), "0\r\n\r\n");
    assert!(!nothing.contains("data: {"), "{nothing}");
}

#[test]
fn an_answer_that_was_sent_into_a_dead_connection_can_be_had_again() {
    let Some(component) = guest("conformance") else { return };
    let server = Server::setup().patient().guest("conformance", &component).start();
    let session = open(server.admin(), "/mcp");
    let message = call(LEGACY, "conformance__slow_compute", &json!({ "seconds": 1.5, "label": "it" }));

    // It is never read, and the connection stays open: nobody here can know.
    let mut stream = begin(&server, LEGACY, Some(&session), &message);
    let seen = read_until(&mut stream, "retry:");
    let taken_up = read_until(&mut resume(&server, &session, last_event(&seen)), "Computed it");
    eventually("the call ends", || server.admin().calls_running() == 0);
    std::thread::sleep(Duration::from_secs(2));
    let again = read_until(&mut resume(&server, &session, last_event(&seen)), "Computed it");

    assert_eq!(last_event(&taken_up), last_event(&again));
    // With its session all of it goes.
    let ended = server.admin().send("DELETE", "/mcp", &[("mcp-session-id", &*session)], &[]);
    assert_eq!(ended.status, 202);
    let with = [("accept", "text/event-stream"), ("mcp-session-id", &*session), ("last-event-id", last_event(&seen))];
    assert_eq!(server.admin().send("GET", "/mcp", &with, &[]).status, 404);
}
