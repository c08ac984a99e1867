//! The layer for older clients: WebSocket, the event stream of 2024-11-05, and another name for `/mcp`.

use std::{io::Write, net::TcpStream};

use fumehood_tests::{Client, Mcp, Server, connect, eventually, read_until, wat};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, client::IntoClientRequest};

type Socket = WebSocket<TcpStream>;

fn open(server: &Server, headers: &[(&'static str, &str)]) -> Result<(Socket, Option<String>), u16> {
    let mut request = format!("ws://{}/mcp_ws", server.address()).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match tungstenite::client(request, connect(server.address())) {
        Ok((socket, response)) => {
            let successor = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
            Ok((socket, successor))
        }
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            Err(response.status().as_u16())
        }
        Err(other) => panic!("{other}"),
    }
}

fn bearer(client: &Client) -> String {
    format!("Bearer {}", client.key())
}

fn hello(id: u32) -> Value {
    let params =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "0" } });
    json!({ "jsonrpc": "2.0", "id": id, "method": "initialize", "params": params })
}

fn initialized() -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })
}

fn add(id: u32) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": "add__add", "arguments": { "a": 2, "b": id } } })
}

fn say(socket: &mut Socket, message: &Value) {
    socket.send(Message::text(message.to_string())).unwrap();
}

/// The next message that is no ping.
fn next(socket: &mut Socket) -> Result<Value, tungstenite::Error> {
    loop {
        match socket.read()? {
            Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
            Message::Close(_) => return Err(tungstenite::Error::ConnectionClosed),
            _ => {}
        }
    }
}

/// A socket on which a client has shaken hands.
fn greeted(server: &Server, client: &Client) -> Socket {
    let (mut socket, _) = open(server, &[("authorization", &bearer(client))]).unwrap();
    say(&mut socket, &hello(0));
    assert_eq!(next(&mut socket).unwrap()["result"]["protocolVersion"], "2025-06-18");
    say(&mut socket, &initialized());
    socket
}

#[test]
fn a_websocket_speaks_the_protocol_with_the_same_keys() {
    let server = Server::setup().api("add", wat("add")).start();
    let admin = server.admin();
    let key = bearer(admin);

    assert_eq!(open(&server, &[]).err(), Some(401));
    assert_eq!(open(&server, &[("authorization", &key), ("origin", "https://evil.example")]).err(), Some(403));
    let (_, successor) = open(&server, &[("authorization", &key)]).unwrap();
    assert_eq!(successor.as_deref(), Some("</mcp>; rel=\"successor-version\""));

    let mut socket = greeted(&server, admin);
    say(&mut socket, &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }));
    assert_eq!(next(&mut socket).unwrap()["result"]["tools"][0]["name"], "add__add");
    (10..22).for_each(|id| say(&mut socket, &add(id)));
    let mut answers: Vec<_> = (10..22).map(|_| next(&mut socket).unwrap()).collect();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    for (answer, id) in answers.iter().zip(10..22) {
        assert_eq!((&answer["id"], &answer["result"]["structuredContent"]), (&json!(id), &json!({ "result": 2 + id })));
    }
    socket.send(Message::text("not a message")).unwrap();
    assert_eq!(next(&mut socket).unwrap()["error"]["code"], json!(-32_700));
    say(&mut socket, &add(3));
    assert_eq!(next(&mut socket).unwrap()["result"]["structuredContent"], json!({ "result": 5 }));

    // Who listens hears that tools change, as with a session.
    assert_eq!(admin.upload("spin", &wat("spin")).status, 201);
    assert_eq!(next(&mut socket).unwrap()["method"], "notifications/tools/list_changed");
}

#[test]
fn a_socket_ends_with_its_key_and_its_calls_with_the_socket() {
    let setup = Server::setup().api("spin", wat("spin")).api("add", wat("add"));
    let server = setup.set("limits.fuel_units", u64::MAX / 4).set("limits.deadline_ms", 120_000).start();
    let admin = server.admin();
    let made = admin.post("/api/v1/keys", &json!({ "name": "other", "roles": ["call"] })).expect(201);
    let other = admin.with_key(made["key"].as_str().unwrap());
    let mut socket = greeted(&server, &other);
    let spin = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "spin__spin", "arguments": {} } });
    say(&mut socket, &spin);
    eventually("the call runs", || admin.calls_running() == 1);

    drop(socket);

    eventually("the call ends", || admin.calls_running() == 0);
    let mut socket = greeted(&server, &other);
    let (mut events, path) = stream(&server, &other);
    admin.delete(&format!("/api/v1/keys/{}", made["id"].as_str().unwrap())).empty(204);
    // Nothing more is heard, though nothing is said.
    assert!(next(&mut socket).is_err());
    // The last piece of the stream.
    read_until(&mut events, "0\r\n\r\n");
    assert_eq!(post(&other, &path, &add(1)), 401);
}

#[test]
fn a_socket_takes_no_message_beyond_the_largest_body() {
    let server = Server::setup().api("add", wat("add")).set("server.max_body", "64 KiB").start();
    let mut socket = greeted(&server, server.admin());
    say(&mut socket, &add(1));
    assert_eq!(next(&mut socket).unwrap()["id"], 1);

    // The server hangs up in the middle of it.
    let sent = socket.send(Message::text("x".repeat(100_000)));
    assert!(sent.is_err() || next(&mut socket).is_err());
    assert_eq!(server.admin().call("add/add", &json!({ "a": 1, "b": 2 })).value(), json!(3));
}

/// The event stream of 2024-11-05, and where its messages go.
fn stream(server: &Server, client: &Client) -> (TcpStream, String) {
    let mut stream = connect(server.address());
    let head = format!(
        "GET /mcp_sse HTTP/1.1\r\nhost: localhost\r\nauthorization: {}\r\naccept: text/event-stream\r\n\r\n",
        bearer(client)
    );
    stream.write_all(head.as_bytes()).unwrap();
    let seen = read_until(&mut stream, "\n\n");
    assert!(seen.to_ascii_lowercase().contains("\r\ndeprecation: @"), "{seen}");
    let seen = if seen.contains("event: endpoint") { seen } else { seen + &read_until(&mut stream, "session_id=") };
    let path = seen.split("data: ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    (stream, path)
}

fn post(client: &Client, path: &str, message: &Value) -> u16 {
    client.send("POST", path, &[("content-type", "application/json")], message.to_string().as_bytes()).status
}

#[test]
fn the_event_stream_of_old_answers_what_is_posted_beside_it() {
    let setup = Server::setup().api("add", wat("add")).api("spin", wat("spin"));
    let server = setup.set("limits.fuel_units", u64::MAX / 4).set("limits.deadline_ms", 120_000).start();
    let admin = server.admin();
    let (mut events, path) = stream(&server, admin);

    assert_eq!(post(admin, &path, &hello(0)), 202);
    read_until(&mut events, "\"protocolVersion\":\"2025-06-18\"");
    assert_eq!(post(admin, &path, &initialized()), 202);
    assert_eq!(post(admin, &path, &add(40)), 202);
    let answer = read_until(&mut events, "\"structuredContent\":{\"result\":42}");
    assert!(answer.contains("event: message"), "{answer}");
    assert_eq!(post(admin, &path, &json!("no message")), 400);

    let made = admin.post("/api/v1/keys", &json!({ "name": "other", "roles": ["call"] })).expect(201);
    let other = admin.with_key(made["key"].as_str().unwrap());
    assert_eq!(post(&other, &path, &add(1)), 404, "a stranger learns nothing of it");
    assert_eq!(post(admin, "/mcp_sse/messages?session_id=no", &add(1)), 404);

    let spin = json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": { "name": "spin__spin", "arguments": {} } });
    assert_eq!(post(admin, &path, &spin), 202);
    eventually("the call runs", || admin.calls_running() == 1);
    drop(events);
    eventually("the call ends with its stream", || admin.calls_running() == 0);
    eventually("the stream is gone", || post(admin, &path, &add(1)) == 404);
}

#[test]
fn who_asks_and_takes_no_answers_is_refused_more() {
    let setup = Server::setup().api("spin", wat("spin")).api("add", wat("add"));
    let server = setup.set("limits.fuel_units", u64::MAX / 4).set("limits.deadline_ms", 120_000).start();
    let admin = server.admin();
    let spin = |id: u32| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "spin__spin", "arguments": {} } });

    let mut socket = greeted(&server, admin);
    (1..=17).for_each(|id| say(&mut socket, &spin(id)));
    let refused = next(&mut socket).unwrap();
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(17), &json!(-32_000)));
    // One that is given up makes room for another.
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    say(&mut socket, &cancel);
    say(&mut socket, &json!({ "jsonrpc": "2.0", "id": 18, "method": "tools/list" }));
    assert_eq!(next(&mut socket).unwrap()["id"], 18);
    drop(socket);

    let (_events, path) = stream(&server, admin);
    assert_eq!(post(admin, &path, &hello(0)), 202);
    assert_eq!(post(admin, &path, &initialized()), 202);
    let posted: Vec<_> = (1..=17).map(|id| post(admin, &path, &spin(id))).collect();
    assert_eq!(posted.iter().filter(|status| **status == 429).count(), 1, "{posted:?}");
}

#[test]
fn another_name_for_the_endpoint_answers_alike() {
    let server = Server::setup().api("add", wat("add")).start();
    let arguments = json!({ "a": 2, "b": 40 });
    for at in ["/mcp", "/modelcontextprotocol/invoke"] {
        let mcp = Mcp::modern(server.admin()).at(at);
        assert_eq!(mcp.call("add__add", &arguments)["structuredContent"], json!({ "result": 42 }), "{at}");
    }
}
