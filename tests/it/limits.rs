//! Every bound on a call, lowered by a module, a key, a call and a job.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener},
    thread,
};

use fumehood_model::Bound;
use fumehood_tests::{Answer, Client, Server, eventually, guest, parse_wat, wat, workspace};
use serde_json::{Value, json};

/// A call that is fine, until a bound is lowered to `most`.
struct Case {
    bound: Bound,
    most: u64,
    module: &'static str,
    function: &'static str,
    arguments: Value,
    beyond: Beyond,
}

/// What comes of it then.
enum Beyond {
    /// The call is stopped, with this status and code.
    Stopped(u16, &'static str),
    /// The tool is told, and answers with an error in which this stands.
    Told(&'static str),
    /// The tool answers with something in which this stands, and would not otherwise.
    Answers(&'static str),
    /// This stands in the log of the server.
    Logged(&'static str),
}

impl Case {
    fn call(&self, client: &Client, headers: &[(&str, &str)]) -> Answer {
        client.call_with(&format!("{}/{}", self.module, self.function), headers, &self.arguments)
    }

    /// The operator reads of what was refused, once a minute.
    fn check_log(&self, server: &Server) {
        let line = format!("A call of {} was refused more: it had reached its bound of ", self.module);
        let told = |line: &str| line.contains(&format!("limit=\"{}\"", self.bound.key()));
        eventually("the server's log tells of it", || server.log().lines().filter(|l| l.contains(&line)).any(told));
    }

    fn check(&self, server: &Server, answer: &Answer, who: &str) {
        let bound = self.bound;
        match &self.beyond {
            Beyond::Stopped(status, code) => {
                let details = answer.refused(*status, code).details;
                let told = json!([details["limit"], details["allowed"], details["set_by"]]);
                assert_eq!(told, json!([bound.key(), self.most, who]), "{bound}");
            }
            Beyond::Told(what) => {
                let error = answer.refused(422, "tool_error").details["error"].to_string();
                assert!(error.contains(what), "{bound}, set by {who}: {error}");
                let reached = answer.refused(422, "tool_error").details["reached"].clone();
                let told = json!([{ "limit": bound.key(), "allowed": self.most, "used": self.most, "set_by": who }]);
                assert_eq!(reached, told, "{bound}");
                self.check_log(server);
            }
            Beyond::Answers(what) => {
                assert!(answer.value().to_string().contains(what), "{bound}, set by {who}: {}", answer.text());
            }
            Beyond::Logged(what) => {
                assert_eq!(answer.status, 200, "{bound}, set by {who}: {}", answer.text());
                eventually("the server's log tells of it", || server.log().contains(what));
            }
        }
    }
}

fn cases(port: u16) -> Vec<Case> {
    let url = format!("http://127.0.0.1:{port}/");
    let get = json!({ "method": "GET", "url": url, "headers": [], "body": "" });
    let case = |bound, most, tool: &'static str, arguments, beyond| {
        let (module, function) = tool.split_once('/').unwrap();
        Case { bound, most, module, function, arguments, beyond }
    };
    let quota = || Beyond::Stopped(507, "quota_exceeded");
    vec![
        case(Bound::FuelUnits, 5_000, "probe/spin-for", json!({ "iterations": 9_000 }), Beyond::Stopped(508, "fuel")),
        case(Bound::DeadlineMs, 60, "probe/sleep", json!({ "milliseconds": 600 }), Beyond::Stopped(504, "deadline")),
        case(Bound::Memory, 4 << 20, "probe/allocate", json!({ "megabytes": 8 }), Beyond::Stopped(507, "memory")),
        case(Bound::TableElements, 10, "grow-table/grow", json!({ "elements": 50 }), Beyond::Answers("-1")),
        case(
            Bound::Result,
            900,
            "probe/big-string",
            json!({ "bytes": 1_000 }),
            Beyond::Stopped(507, "result_too_large"),
        ),
        case(
            Bound::Output,
            100,
            "probe/print",
            json!({ "text": "0123456789", "times": 20 }),
            Beyond::Logged("guest.truncated=true"),
        ),
        case(Bound::Log, 100, "host-api/log-many", json!({ "lines": 50 }), Beyond::Logged("logged more than is kept")),
        case(Bound::HostMemory, 5_000, "fetch/hold-fields", json!({ "count": 3, "bytes": 10_000 }), quota()),
        case(Bound::HostCalls, 30, "probe/print", json!({ "text": "x", "times": 200 }), quota()),
        case(Bound::HostBytes, 500, "probe/print", json!({ "text": "0123456789", "times": 90 }), quota()),
        case(Bound::Handles, 5, "hold/flood", json!({}), quota()),
        case(Bound::Random, 100, "probe/random-bytes", json!({ "n": 500 }), quota()),
        case(
            Bound::HttpRequests,
            1,
            "fetch/fetch-all",
            json!({ "url": url, "count": 2 }),
            Beyond::Answers("ErrorCode::ConnectionLimitReached"),
        ),
        case(Bound::HttpBody, 100, "fetch/fetch", get, Beyond::Told("ErrorCode::")),
        case(
            Bound::InvokeDepth,
            2,
            "host-api/dive",
            json!({ "module": "host-api", "depth": 3 }),
            Beyond::Told("too-deep"),
        ),
    ]
}

/// A server with every module of the cases, which may do what they need, and a peer that answers with a thousand bytes.
fn server() -> Option<(Server, u16)> {
    let mut setup = Server::setup().patient().api("grow-table", wat("grow-table"));
    for name in ["probe", "host-api", "fetch"] {
        setup = setup.guest(name, &guest(name)?);
    }
    let pollables = std::fs::read_to_string(workspace().join("tests/guests/hostile/pollables-flood.wat")).unwrap();
    let server = setup.api("hold", parse_wat(&pollables.replace("5000000", "50"))).start();
    let port = peer();
    allow(&server, "host-api", "invoke:host-api.dive");
    allow(&server, "fetch", &format!("http:GET http://127.0.0.1:{port}/"));
    Some((server, port))
}

fn allow(server: &Server, module: &str, grant: &str) {
    let answer = server.admin().post(&format!("/api/v1/modules/{module}/permissions"), &json!({ "grant": grant }));
    assert!((200..300).contains(&answer.status), "{}", answer.text());
}

fn peer() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\nconnection: close\r\n\r\n";
            // The other side may have enough before it has all.
            let _ = stream.write_all([head, &"x".repeat(1_000)].concat().as_bytes());
        }
    });
    port
}

#[test]
fn every_bound_can_be_lowered_by_a_call_a_key_a_module_and_a_job() {
    let Some((server, port)) = server() else { return };
    let admin = server.admin();
    let cases = cases(port);
    let bounds: BTreeSet<_> = cases.iter().map(|case| case.bound).collect();
    assert_eq!(bounds, BTreeSet::from(Bound::ALL), "each bound has a case");

    for case in &cases {
        let Case { bound, most, module, function, .. } = case;
        let fine = case.call(admin, &[]);
        assert_eq!(fine.status, 200, "{bound} as it is: {}", fine.text());
        if let Beyond::Answers(what) = case.beyond {
            assert!(!fine.text().contains(what), "{bound} as it is: {}", fine.text());
        }

        let header = format!("{bound}={most}");
        case.check(&server, &case.call(admin, &[("fumehood-limits", &header)]), "request");

        let wanted = json!({ "name": "held", "roles": ["call"], "limits": { bound.key(): most } });
        let made = admin.post("/api/v1/keys", &wanted).expect(201);
        case.check(&server, &case.call(&admin.with_key(made["key"].as_str().unwrap()), &[]), "key");

        let tool = format!("{module}__{function}");
        let order = json!({ "tool": tool, "input": case.arguments, "limits": { bound.key(): most } });
        let path = format!("/api/v1/jobs/{}", admin.post("/api/v1/jobs", &order).expect(202)["id"].as_str().unwrap());
        eventually("the job ends", || {
            let job = admin.get(&path).value();
            matches!(job["state"].as_str(), Some("completed" | "failed"))
        });
        let job = admin.get(&path).value();
        match &case.beyond {
            Beyond::Stopped(_, code) => assert_eq!(job["error"]["code"], json!(code), "{bound}: {job}"),
            Beyond::Told(_) => assert_eq!(job["error"]["code"], json!("tool_error"), "{bound}: {job}"),
            Beyond::Answers(what) => assert!(job["result"].to_string().contains(what), "{bound}: {job}"),
            Beyond::Logged(_) => assert_eq!(job["state"], json!("completed"), "{bound}: {job}"),
        }
    }
    for case in &cases {
        let Case { bound, most, module, .. } = case;
        let file = server.apis().join(module).with_extension("wasm");
        let manifest = format!("[limits]\n{bound} = {most}\n");
        let uploaded = admin.upload_with(&format!("{module}.held"), &fs::read(file).unwrap(), &manifest);
        assert!((200..300).contains(&uploaded.status), "{bound}: {}", uploaded.text());
        let held = format!("{module}.held");
        if *module == "fetch" {
            allow(&server, &held, &format!("http:GET http://127.0.0.1:{port}/"));
        }
        if *module == "host-api" {
            allow(&server, &held, "invoke:host-api.held.dive");
        }
        let arguments =
            if *bound == Bound::InvokeDepth { json!({ "module": held, "depth": 3 }) } else { case.arguments.clone() };
        let answer = admin.call(&format!("{held}/{}", case.function), &arguments);
        case.check(&server, &answer, "module");
    }
}

#[test]
fn a_key_is_held_to_its_own_number_of_calls_at_a_time() {
    let Some(component) = guest("probe") else { return };
    let server = Server::setup().patient().set("concurrency.calls", 4).guest("probe", &component).start();
    let admin = server.admin();
    let wanted =
        json!({ "name": "held", "roles": ["call"], "limits": { "concurrent_calls": 1, "fuel_units": 1_000_000_000 } });
    let key = admin.post("/api/v1/keys", &wanted).expect(201);
    assert_eq!(key["limits"], wanted["limits"]);
    let held = admin.with_key(key["key"].as_str().unwrap());
    let sleep = |client: &Client| {
        let client = client.clone();
        thread::spawn(move || client.call("probe/sleep", &json!({ "milliseconds": 1_500 })).status)
    };

    let (first, second) = (sleep(&held), sleep(&held));
    eventually("one of both waits", || admin.health()["calls_waiting"] == json!(1));

    assert_eq!(admin.calls_running(), 1);
    assert_eq!(admin.call("probe/count", &json!({})).value(), json!(1), "others have places");
    assert_eq!((first.join().unwrap(), second.join().unwrap()), (200, 200));
}

#[test]
fn bounds_that_make_no_sense_are_told_of() {
    let server = Server::setup().api("add", wat("add")).start();
    let call = |limits: &str| {
        let problem = server.admin().call_with("add/add", &[("fumehood-limits", limits)], &json!({ "a": 1, "b": 2 }));
        problem.refused(400, "malformed").message
    };

    assert!(
        call("feul=3").starts_with("the header fumehood-limits: `feul` is not a bound of calls: there is fuel_units")
    );
    assert_eq!(call("log"), "the header fumehood-limits: write it as log=1024, result=65536");
    assert_eq!(
        call("log=-1"),
        "the header fumehood-limits: `-1` is not a size: write a number of bytes, or one with KiB, MiB or GiB"
    );
    assert_eq!(call("handles=1KiB"), "the header fumehood-limits: `1KiB` is not a whole number");
    let answer = server.admin().call_with(
        "add/add",
        &[("fumehood-limits", "log=1KiB, memory=64 MiB")],
        &json!({ "a": 1, "b": 2 }),
    );
    assert_eq!(answer.value(), json!(3));
}
