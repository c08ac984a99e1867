//! Connections: who may come from where, how long they may take, and how they end.

use std::{
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

use fumehood_tests::{Client, Server, connect, eventually, exchange, guest, read_answer, wat};
use rustix::process::Signal;
use serde_json::{Value, json};

fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\n{headers}\r\n").into_bytes()
}

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let server = Server::start();
    let status = |headers: &str| exchange(server.address(), &get("/api/v1/health", headers));

    for good in [
        "host: localhost\r\n",
        "host: 127.0.0.1:99\r\n",
        "host: [::1]\r\n",
        "host: LOCALHOST\r\norigin: http://localhost:3000\r\n",
    ] {
        assert_eq!(status(good).status, 200, "{good}");
    }
    for bad in [
        "host: evil.test\r\n",
        "host: localhost.evil.test\r\n",
        "host: \r\n",
        "host: localhost\r\norigin: https://evil.test\r\n",
        "host: localhost\r\norigin: null\r\n",
        "host: 127.0.0.1.evil.test\r\n",
    ] {
        status(bad).refused(403, "forbidden");
    }
    let absolute = exchange(server.address(), &get("http://evil.test/api/v1/health", "host: localhost\r\n"));
    absolute.refused(403, "forbidden");
}

#[test]
fn configured_hosts_are_accepted() {
    let server = Server::setup().set("server.allowed_hosts", "tools.test").start();
    let status = |headers: &str| exchange(server.address(), &get("/api/v1/health", headers)).status;

    assert_eq!(status("host: tools.test\r\norigin: https://tools.test\r\n"), 200);
    assert_eq!(status("host: other.test\r\n"), 403);
}

#[test]
fn slow_headers_are_cut_off() {
    let server = Server::setup().set("server.header_timeout_s", 1).start();
    let mut stream = connect(server.address());
    let started = Instant::now();

    stream.write_all(b"GET /api/v1/health HTTP/1.1\r\nhost: local").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);

    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_millis(900) && elapsed < Duration::from_secs(20), "{elapsed:?}");
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_connection_stays_open_between_requests_for_its_idle_time() {
    let server = Server::setup().set("server.header_timeout_s", 1).set("server.idle_timeout_s", 3).start();
    let mut stream = connect(server.address());
    let ask = get("/api/v1/health", "host: localhost\r\n");

    stream.write_all(&ask).unwrap();
    assert_eq!(read_answer(&mut stream).status, 200);
    let idle = Instant::now();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);

    let elapsed = idle.elapsed();
    assert_eq!(rest, b"");
    assert!(elapsed >= Duration::from_millis(2_500), "the idle connection was closed after {elapsed:?}");
    assert!(elapsed < Duration::from_secs(20), "the idle connection was closed after {elapsed:?}");
}

#[test]
fn a_silent_connection_is_closed() {
    let server = Server::setup().set("server.header_timeout_s", 1).set("server.idle_timeout_s", 1).start();
    let mut stream = connect(server.address());
    let started = Instant::now();

    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);

    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn many_requests_fit_on_one_connection() {
    let server = Server::start();
    let mut stream = connect(server.address());

    for _ in 0..100 {
        stream.write_all(&get("/api/v1/health", "host: localhost\r\n")).unwrap();
        assert_eq!(read_answer(&mut stream).json()["status"], "ok");
    }
}

#[test]
fn every_answer_comes_in_one_piece_without_delay() {
    let server = Server::setup().api("add", wat("add")).start();
    assert_eq!(server.admin().call("add/add", &json!({ "a": 1, "b": 2 })).value(), json!(3));
    let started = Instant::now();

    for _ in 0..50 {
        assert_eq!(server.admin().call("add/add", &json!({ "a": 1, "b": 2 })).value(), json!(3));
    }

    // Nagle's algorithm and delayed acknowledgements together would cost 40 ms each.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn what_is_no_http_does_no_harm() {
    let server = Server::start();

    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = connect(server.address());
        stream.write_all(garbage).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(server.admin().get("/api/v1/health").status, 200);
}

#[test]
fn ambiguous_lengths_are_refused() {
    let server = Server::setup().api("add", wat("add")).start();
    let key = server.admin().key();
    let send = |headers: &str| {
        let head =
            format!("POST /api/add/add HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n{headers}\r\n");
        let mut stream = connect(server.address());
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
    };

    for headers in [
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: +2\r\n",
        "content-length: -1\r\n",
        "transfer-encoding: gzip\r\n",
    ] {
        assert_eq!(send(headers), "HTTP/1.1 400 Bad Request", "{headers}");
    }
}

#[test]
fn who_sends_a_large_body_that_nobody_wants_still_hears_why() {
    let server = Server::setup().api("add", wat("add")).start();
    let body = vec![b' '; 20 << 20];
    let send = |headers: &str| {
        let head = format!("POST /api/add/add HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len());
        let mut request = format!("{head}{headers}\r\n").into_bytes();
        request.extend_from_slice(&body);
        exchange(server.address(), &request)
    };

    let too_large = send(&format!("authorization: Bearer {}\r\n", server.admin().key()));
    let unknown = send("");

    too_large.refused(413, "too_large");
    unknown.refused(401, "unauthenticated");
}

#[test]
fn connections_are_bounded_and_the_rest_wait() {
    let server = Server::setup().set("server.max_connections", 2).start();
    // The client of the harness may still hold one open: these two are in any case all that there is room for.
    let first = connect(server.address());
    let second = connect(server.address());
    let mut waiting = connect(server.address());
    waiting.write_all(&get("/api/v1/health", "host: localhost\r\nconnection: close\r\n")).unwrap();

    drop((first, second));

    assert_eq!(read_answer(&mut waiting).status, 200);
}

#[test]
fn asked_to_stop_a_server_finishes_its_calls_and_takes_no_new_ones() {
    let Some(component) = guest("probe") else { return };
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::setup().guest("probe", &component).start();
        assert_eq!(server.admin().call("probe/count", &json!({})).value(), json!(1));
        let client = server.admin().clone();
        let call = thread::spawn(move || client.call("probe/sleep", &json!({ "milliseconds": 1_500 })));
        eventually("the call runs", || server.admin().calls_running() == 1);

        server.signal(signal);

        assert_eq!(call.join().unwrap().value(), Value::Null);
        assert_eq!(server.ended().code(), Some(0), "{}", server.log());
    }
}

#[test]
fn calls_that_do_not_finish_in_time_are_cut_off_when_a_server_stops() {
    let Some(component) = guest("probe") else { return };
    let mut server = Server::setup().guest("probe", &component).set("server.drain_timeout_s", 1).start();
    let client = server.admin().clone();
    let call =
        thread::spawn(move || client.try_send("POST", "/api/probe/sleep", &[], b"{\"milliseconds\": 25000}").is_ok());
    eventually("the call runs", || server.admin().calls_running() == 1);
    let started = Instant::now();

    server.signal(Signal::TERM);

    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert!(!call.join().unwrap());
}

#[test]
fn the_docs_page_needs_no_network_and_runs_no_foreign_script() {
    let server = Server::start();
    let nobody = server.admin().anonymous();

    let redirect = nobody.get("/docs");
    let page = nobody.get("/docs/");

    assert_eq!((redirect.status, redirect.header("location")), (308, Some("/docs/")));
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'self'; "));
    let text = page.text();
    assert!(!text.contains("https://") && !text.contains("http://"), "{text}");
    let links = text.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css"));
    let mut count = 0;
    for link in links {
        count += 1;
        assert_eq!(
            nobody.get(&format!("/docs/{}", link.trim_start_matches("./").trim_start_matches("/docs/"))).status,
            200,
            "{link}"
        );
    }
    assert!(count >= 3, "{text}");
    nobody.get("/docs/nothing.js").refused(404, "not_found");
}

#[test]
fn the_openapi_document_follows_what_is_served_and_is_anothers_business_without_a_key() {
    let server = Server::start();
    let admin = server.admin();
    let paths = |client: &Client| {
        let document = client.get("/openapi.json").expect(200);
        document["paths"].as_object().unwrap().keys().filter(|path| path.contains("/add")).cloned().collect::<Vec<_>>()
    };
    assert_eq!(paths(admin), Vec::<String>::new());

    admin.upload("sums", &wat("add")).expect(201);

    let expected = ["/api/sums/add/queue", "/api/sums/add"];
    assert_eq!(
        (paths(admin), paths(admin)),
        (expected.map(str::to_owned).to_vec(), expected.map(str::to_owned).to_vec())
    );
    assert_eq!(paths(&admin.anonymous()), Vec::<String>::new());
    assert_eq!(admin.delete("/api/v1/modules/sums").status, 204);
    assert_eq!(paths(admin), Vec::<String>::new());
}
