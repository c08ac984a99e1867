//! Requests of guests to the outside.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use fumehood_tests::{Answer, Client, Server, Shared, guest};
use serde_json::{Value, json};

/// What a guest reads when no grant covers its request.
const DENIED: &str = "ErrorCode::HttpRequestDenied";

static FETCH: Shared = Shared::new();

/// A server with a module that is granted nothing.
fn ungranted() -> Option<Arc<Server>> {
    let component = guest("fetch")?;
    Some(FETCH.get(|| Server::setup().guest("fetch", &component).patient().start()))
}

/// A server with a module that is granted these.
fn granted(grants: &[String]) -> Option<Server> {
    let component = guest("fetch")?;
    let server = Server::setup().guest("fetch", &component).patient().start();
    for grant in grants {
        let answer = server.admin().post("/api/v1/modules/fetch/permissions", &json!({ "grant": grant }));
        assert!((200..300).contains(&answer.status), "{}", answer.text());
    }
    Some(server)
}

fn fetch(client: &Client, url: &str) -> Answer {
    let arguments = json!({ "method": "GET", "url": url, "headers": [["x-mine", "1"]], "body": "" });
    client.call("fetch/fetch", &arguments)
}

/// What a tool answered as its own error.
fn told(answer: &Answer) -> String {
    answer.refused(422, "tool_error").details["error"].as_str().unwrap_or_default().to_owned()
}

/// A web server that answers everything with `answer` and keeps what it heard.
pub(crate) struct Web {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Web {
    pub(crate) fn saying(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let request = head(&stream);
                let answer = answer(&request);
                hears.lock().unwrap().push(request);
                // The other side may have gone already.
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Self { port, heard }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn grant(&self) -> String {
        format!("http:GET {}", self.url("/"))
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn head(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream.take(1 << 20)).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

/// A listener that nobody may connect to.
fn canary() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn assert_unseen(canary: &TcpListener) {
    assert_eq!(canary.accept().map(drop).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
}

#[test]
fn without_a_grant_nothing_leaves() {
    let Some(server) = ungranted() else { return };
    let (canary, port) = canary();

    for url in [format!("http://127.0.0.1:{port}/"), format!("http://localhost:{port}/"), "https://example.com/".into()]
    {
        let answer = fetch(server.admin(), &url);
        assert_eq!(told(&answer), DENIED, "{url}");
    }
    assert_unseen(&canary);
}

#[test]
fn headers_urls_and_trailers_that_are_too_large_are_refused_as_values() {
    let Some(server) = ungranted() else { return };
    let call = |function: &str, arguments: Value| server.admin().call(&format!("fetch/{function}"), &arguments);

    let taken = call("add-headers", json!({ "count": 100_000, "bytes": 100 })).value();
    assert!((300..700).contains(&taken.as_u64().unwrap()), "{taken}");
    assert_eq!(call("add-headers", json!({ "count": 1, "bytes": 1 << 20 })).value(), json!(0));
    for name in ["host", "connection", "transfer-encoding", "te", "expect", "proxy-authorization", "proxy-any"] {
        call("set-header", json!({ "name": name, "value": "x" })).refused(422, "tool_error");
    }
    for value in ["a\r\nb: c", "a\nb", "a\u{0}"] {
        call("set-header", json!({ "name": "x", "value": value })).refused(422, "tool_error");
    }
    assert_eq!(call("set-header", json!({ "name": "x", "value": "y" })).value(), json!(null));
    assert_eq!(call("hold-requests", json!({ "count": 3, "bytes": 100_000 })).value(), json!(0));
    let trailers = told(&call("send-trailers", json!({ "bytes": 10 })));
    assert_eq!(trailers, "ErrorCode::HttpRequestTrailerSectionSize(Some(0))");
    let long = format!("https://example.com/{}", "x".repeat(1 << 20));
    assert_eq!(told(&fetch(server.admin(), &long)), "the path was refused");
}

#[test]
fn what_a_guest_makes_the_server_hold_is_bounded() {
    let Some(server) = ungranted() else { return };
    let call = |function: &str, arguments: Value| server.admin().call(&format!("fetch/{function}"), &arguments);

    // 900 sets of 60,000 bytes would be 54 MB.
    call("hold-fields", json!({ "count": 900, "bytes": 60_000 })).refused(507, "quota_exceeded");
    call("hold-bodies", json!({ "count": 900, "bytes": 16_000 })).refused(507, "quota_exceeded");
    call("hold-requests", json!({ "count": 900, "bytes": 8_000 })).refused(507, "quota_exceeded");
    // The same amount, one after the other, is nothing.
    assert_eq!(call("make-fields", json!({ "count": 5_000, "bytes": 60_000 })).value(), json!(5_000));
    assert_eq!(call("hold-fields", json!({ "count": 900, "bytes": 100 })).value(), json!(900));
}

#[test]
fn a_granted_request_goes_out_and_its_answer_comes_back() {
    let web = Web::saying(|_| {
        "HTTP/1.1 201 Created\r\nx-own: 1\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi".to_owned()
    });
    let Some(server) = granted(&[web.grant()]) else { return };

    let answer = fetch(server.admin(), &web.url("/a?b=c")).value();

    assert_eq!(answer["status"], 201);
    assert_eq!(answer["body"], "hi");
    assert_eq!(answer["headers"], json!([["x-own", "1"], ["content-length", "2"]]));
    let expected = format!("GET /a?b=c HTTP/1.1\nhost: 127.0.0.1:{}\nconnection: close\nx-mine: 1\n", web.port);
    assert_eq!(web.heard(), [expected]);
}

#[test]
fn a_redirect_leads_only_where_a_grant_does() {
    let (canary, port) = canary();
    let location = format!("http://127.0.0.1:{port}/secret");
    let web = Web::saying(move |request| {
        let to = if request.starts_with("GET /loop") { "/loop".to_owned() } else { location.clone() };
        format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    });
    let Some(server) = granted(&[web.grant()]) else { return };

    let followed = server.admin().call("fetch/follow", &json!({ "url": web.url("/"), "most": 5 }));

    assert_eq!(told(&followed), DENIED);
    assert_unseen(&canary);
    assert_eq!(web.heard().len(), 1);
}

#[test]
fn zero_and_huge_limits_of_time_do_no_harm() {
    let web = Web::saying(|_| "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned());
    let Some(server) = granted(&[web.grant()]) else { return };
    let within = |nanoseconds: u64| {
        server
            .admin()
            .call("fetch/fetch-within", &json!({ "url": web.url("/"), "nanoseconds": nanoseconds.to_string() }))
    };

    assert_eq!(within(u64::MAX).value()["status"], 200);
    // Nothing can be had within no time at all, but a fast machine may be faster than the clock.
    assert!([200, 422].contains(&within(0).status));
}

#[test]
fn a_call_makes_no_more_requests_than_it_may() {
    let web = Web::saying(|_| "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned());
    let Some(server) = granted(&[web.grant()]) else { return };

    let answers = server.admin().call("fetch/fetch-all", &json!({ "url": web.url("/"), "count": 40 })).value();

    let answered = answers.as_array().unwrap().iter().filter(|answer| answer["tag"] == "ok").count();
    assert_eq!((answered, web.heard().len()), (32, 32), "{answers}");
}

#[test]
fn a_revoked_grant_covers_the_next_call_no_more() {
    let web = Web::saying(|_| "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned());
    let Some(server) = granted(&[web.grant()]) else { return };
    assert_eq!(fetch(server.admin(), &web.url("/")).value()["status"], 200);

    let revoked = server.admin().delete(&format!("/api/v1/modules/fetch/permissions?grant={}", encoded(&web.grant())));

    assert!((200..300).contains(&revoked.status), "{}", revoked.text());
    assert_eq!(told(&fetch(server.admin(), &web.url("/"))), DENIED);
    assert_eq!(web.heard().len(), 1);
}

/// A text as a value of a query.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
