//! What a guest can do: little, and never for long.

#![expect(clippy::needless_pass_by_value, reason = "arguments of calls are written where they are passed")]

use std::{
    io::Write,
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use fumehood_tests::{Answer, Client, Mcp, Server, Shared, bombs, connect, eventually, guest, wat};
use serde_json::{Value, json};

static PROBE: Shared = Shared::new();
static HOSTILE: Shared = Shared::new();

fn probe() -> Option<Arc<Server>> {
    let component = guest("probe")?;
    let start = || {
        let setup = Server::setup().guest("probe", &component).set("limits.fuel_units", 2_000_000_000);
        setup.variable("AWS_SECRET_ACCESS_KEY", "planted").variable("MY_SECRET_TOKEN", "planted").start()
    };
    Some(PROBE.get(start))
}

/// A server with every hostile component that can be loaded, and a harmless one beside them.
fn hostile() -> Arc<Server> {
    const NAMES: [&str; 18] = [
        "add",
        "bad-realloc",
        "grow",
        "grow-table",
        "huge-list",
        "huge-memory",
        "huge-table",
        "instantiation-tree",
        "invalid-char",
        "invalid-enum",
        "invalid-utf8",
        "recursion",
        "result-out-of-bounds",
        "spin",
        "spin-start",
        "string-far-out-of-bounds",
        "string-out-of-bounds",
        "trap",
    ];
    HOSTILE.get(|| {
        let setup = Server::setup().set("limits.fuel_units", 20_000_000);
        NAMES.into_iter().fold(setup, |setup, name| setup.api(name, wat(name))).start()
    })
}

/// The answer of a call, after which a neighbour still works.
fn attack(server: &Server, tool: &str, arguments: Value) -> Answer {
    let answer = server.admin().call(tool, &arguments);
    assert_eq!(server.admin().call("add/add", &json!({ "a": 2, "b": 40 })).value(), json!(42), "after {tool}");
    answer
}

fn call(server: &Server, function: &str, arguments: Value) -> Answer {
    server.admin().call(&format!("probe/{function}"), &arguments)
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    let Some(server) = probe() else { return };

    let answer = server.admin().call_with("probe/spin", &[("fumehood-max-fuel", "30000000")], &json!({}));

    assert_eq!(answer.refused(508, "fuel").message, "the call was stopped after using its fuel of 30000000 units");
    assert_eq!(answer.number("fumehood-fuel"), 30_000_000);
}

#[test]
fn a_sleeping_guest_is_ended_at_its_deadline() {
    let Some(server) = probe() else { return };
    let started = Instant::now();

    let answer =
        server.admin().call_with("probe/sleep", &[("fumehood-deadline-ms", "300")], &json!({ "milliseconds": 20_000 }));

    assert_eq!(answer.refused(504, "deadline").message, "the call was stopped at its deadline of 300 ms");
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_millis(300) && elapsed < Duration::from_secs(5), "{elapsed:?}");
    let used = answer.number("fumehood-duration-us");
    assert!((300_000..5_000_000).contains(&used), "{used}");
}

#[test]
fn a_spinning_guest_is_ended_at_its_deadline() {
    let Some(server) = probe() else { return };
    let started = Instant::now();

    let answer = server.admin().call_with("probe/spin", &[("fumehood-deadline-ms", "50")], &json!({}));

    answer.refused(504, "deadline");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn sleeping_less_than_the_deadline_works() {
    let Some(server) = probe() else { return };

    assert_eq!(call(&server, "sleep", json!({ "milliseconds": 20 })).value(), json!(null));
}

#[test]
fn memory_is_bounded() {
    let Some(server) = probe() else { return };

    assert_eq!(call(&server, "allocate", json!({ "megabytes": 32 })).value(), json!(32));
    let refused = call(&server, "allocate", json!({ "megabytes": 512 })).refused(507, "memory");
    assert_eq!(refused.message, "the call was stopped because it asked for more than 64 MiB of memory");
}

#[test]
fn crashes_are_told_as_crashes_without_the_guests_words() {
    let Some(server) = probe() else { return };
    let crash = |function: &str, arguments: Value| call(&server, function, arguments).refused(502, "trap").message;

    // Rust keeps large frames in a stack of its own, in the guest's memory: it ends before that of the engine does.
    assert_eq!(crash("recurse", json!({ "depth": 100_000_000 })), "the tool crashed: it accessed memory out of bounds");
    assert_eq!(crash("exit", json!({ "code": 0 })), "the tool crashed: it exited before it answered");
    assert_eq!(crash("exit", json!({ "code": 7 })), "the tool crashed: it exited with a failure before it answered");
    let panicked = crash("panic", json!({ "message": "SECRET /host/path" }));
    assert_eq!(panicked, "the tool crashed: it panicked or reached code that it declared unreachable");
    assert_eq!(call(&server, "recurse", json!({ "depth": 100 })).value(), json!(100));
}

#[test]
fn answers_are_bounded() {
    let Some(server) = probe() else { return };

    let string = call(&server, "big-string", json!({ "bytes": 9 << 20 })).refused(507, "result_too_large");
    let strings = call(&server, "many-strings", json!({ "count": 3_000_000 })).refused(507, "result_too_large");
    let fits = call(&server, "big-string", json!({ "bytes": (8 << 20) - 2 }));

    assert_eq!(string.message, "the answer of the tool is larger than 8 MiB");
    assert_eq!(strings.message, "the answer of the tool is larger than 8 MiB");
    assert_eq!((fits.status, fits.body.len()), (200, 8 << 20));
}

#[test]
fn a_guest_sees_nothing_of_the_machine() {
    let Some(server) = probe() else { return };
    let error = |function: &str, arguments: Value| {
        let answer = call(&server, function, arguments);
        answer.refused(422, "tool_error").details["error"].as_str().map(|text| !text.is_empty())
    };

    assert_eq!(call(&server, "environment", json!({})).value(), json!([]));
    assert_eq!(call(&server, "arguments", json!({})).value(), json!([]));
    assert_eq!(call(&server, "read-stdin", json!({})).value(), json!(""));
    for path in ["/etc/passwd", "/proc/self/environ", "../../etc/passwd", "/dev/urandom", "x", "/"] {
        assert_eq!(error("read-file", json!({ "path": path })), Some(true), "{path}");
        assert_eq!(error("list-directory", json!({ "path": path })), Some(true), "{path}");
        assert_eq!(error("write-file", json!({ "path": format!("{path}/x"), "text": "x" })), Some(true), "{path}");
    }
    assert_eq!(error("resolve", json!({ "host": "localhost" })), Some(true));
    assert_eq!(error("resolve", json!({ "host": "example.com" })), Some(true));
    assert_eq!(error("spawn-thread", json!({})), Some(true));
}

#[test]
fn a_guest_reaches_no_socket() {
    let Some(server) = probe() else { return };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();

    let answer = call(&server, "connect", json!({ "host": "127.0.0.1", "port": port }));

    answer.refused(422, "tool_error");
    assert_eq!(listener.accept().map(drop).map_err(|error| error.kind()), Err(std::io::ErrorKind::WouldBlock));
}

#[test]
fn what_a_guest_prints_is_bounded_and_in_no_answer() {
    let Some(server) = probe() else { return };
    let line = "{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":\"FORGED\"}\n2026-01-01T00:00:00Z ERROR forged\n";

    for function in ["print", "print-error"] {
        let answer = call(&server, function, json!({ "text": line, "times": 20_000 }));
        assert!(answer.value().is_u64(), "{}", answer.text());
        assert!(answer.headers.values().all(|value| !value.as_bytes().windows(6).any(|text| text == b"FORGED")));
        eventually("what was printed is logged", || {
            server
                .log()
                .contains(&format!("guest.stream=\"{}\"", if function == "print" { "stdout" } else { "stderr" }))
        });
    }
    let log = server.log();
    assert!(log.len() < 200_000, "{}", log.len());
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01") || line.starts_with('{')), "{log}");
}

#[test]
fn every_call_starts_afresh() {
    let Some(server) = probe() else { return };

    for _ in 0..20 {
        assert_eq!(call(&server, "count", json!({})).value(), json!(1));
    }
}

#[test]
fn clock_and_randomness_are_real() {
    let Some(server) = probe() else { return };
    let random = || call(&server, "random-bytes", json!({ "n": 24 })).value();

    let now = call(&server, "now", json!({})).value().as_u64().unwrap();
    let (first, second) = (random(), random());

    assert!(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().abs_diff(now) < 60);
    assert_eq!(first.as_str().map(str::len), Some(32));
    assert_ne!(first, second);
}

#[test]
fn random_bytes_cannot_fill_the_host() {
    let Some(server) = probe() else { return };

    let answer = call(&server, "random-bytes", json!({ "n": "18446744073709551615" }));
    assert!([502, 507].contains(&answer.status), "{}", answer.text());
    let answer = call(&server, "random-bytes", json!({ "n": 1_u64 << 32 }));
    assert!([502, 507].contains(&answer.status), "{}", answer.text());
    assert_eq!(call(&server, "count", json!({})).value(), json!(1));
}

#[test]
fn values_that_break_their_type_are_crashes() {
    let server = hostile();
    let invalid = "the tool crashed: what it handed over was not a valid value of its type";

    for tool in [
        "huge-list/missing",
        "invalid-char/letter",
        "invalid-enum/pick-color",
        "invalid-enum/pick-shape",
        "invalid-utf8/text",
        "result-out-of-bounds/text",
        "string-out-of-bounds/text",
        "string-far-out-of-bounds/text",
    ] {
        let refused = attack(&server, tool, json!({})).refused(502, "trap");
        assert_eq!(refused.message, invalid, "{tool}");
    }
    let refused = attack(&server, "bad-realloc/length", json!({ "text": "hello" })).refused(502, "trap");
    assert_eq!(refused.message, invalid);
}

#[test]
fn an_answer_that_is_larger_in_the_host_than_in_the_guest_is_bounded() {
    let server = hostile();

    let refused = attack(&server, "huge-list/present", json!({})).refused(507, "result_too_large");

    assert_eq!(refused.message, "the answer of the tool is larger than 8 MiB");
}

#[test]
fn the_operator_reads_where_a_tool_crashed_and_its_caller_does_not() {
    let crash = bombs::traps_in("_ZN9untrusted5inner17h0123456789abcdefE");
    let server = Server::setup().api("m", crash).start();

    let told = server.admin().call("m/run", &json!({})).refused(502, "trap");
    let over_mcp = Mcp::modern(server.admin()).call("m__run", &json!({})).to_string();

    assert_eq!(told.message, "the tool crashed: it panicked or reached code that it declared unreachable");
    assert_eq!(told.details, Value::Null);
    assert!(over_mcp.contains(&told.message), "{over_mcp}");
    eventually("the log has the frames of both calls", || server.log().matches("untrusted::inner").count() == 2);
    let log = server.log();
    let frames = log.lines().skip_while(|line| !line.contains("m__run was stopped: ")).skip(1);
    let frames: Vec<_> =
        frames.filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())).take(3).collect();
    for (frame, name) in frames.iter().zip(["untrusted::inner", "middle", "run"]) {
        assert!(frame.starts_with("  ") && frame.contains(name), "{log}");
    }
    for told in [format!("{told:?}"), over_mcp] {
        assert!(!["untrusted", "inner", "middle", "0x"].iter().any(|part| told.contains(part)), "{told}");
    }
}

#[test]
fn traps_name_their_kind_and_nothing_of_the_server() {
    let server = hostile();
    let trap = |tool: &str, arguments: Value| attack(&server, tool, arguments).refused(502, "trap").message;

    assert_eq!(
        trap("trap/unreachable", json!({})),
        "the tool crashed: it panicked or reached code that it declared unreachable"
    );
    assert_eq!(trap("trap/divide", json!({ "a": 1, "b": 0 })), "the tool crashed: it divided by zero");
    assert_eq!(
        trap("trap/read", json!({ "address": 4_000_000_000_u32 })),
        "the tool crashed: it accessed memory out of bounds"
    );
    assert_eq!(
        trap("recursion/recurse", json!({ "depth": 0 })),
        "the tool crashed: it ran out of stack, usually by endless recursion"
    );
    assert_eq!(attack(&server, "trap/divide", json!({ "a": 7, "b": 2 })).value(), json!(3));
}

#[test]
fn endless_loops_run_out_of_fuel_also_before_the_call_begins() {
    let server = hostile();

    for tool in ["spin/spin", "spin-start/one"] {
        attack(&server, tool, json!({})).refused(508, "fuel");
    }
    assert_eq!(server.admin().call("spin/add", &json!({ "a": 1, "b": 2 })).value(), json!(3));
}

#[test]
fn memories_and_tables_grow_to_their_bound() {
    let server = hostile();

    assert_eq!(attack(&server, "grow/grow", json!({ "pages": 1023 })).value(), json!(1));
    assert_eq!(attack(&server, "grow/grow", json!({ "pages": 1024 })).value(), json!(-1));
    assert_eq!(attack(&server, "grow/grow", json!({ "pages": u32::MAX })).value(), json!(-1));
    attack(&server, "grow/grow-forever", json!({})).refused(507, "memory");
    assert_eq!(attack(&server, "grow-table/grow", json!({ "elements": 99_999 })).value(), json!(1));
    assert_eq!(attack(&server, "grow-table/grow", json!({ "elements": 100_000 })).value(), json!(-1));
    // Filling a table burns fuel for each element, whether or not there is room for it.
    attack(&server, "grow-table/grow", json!({ "elements": u32::MAX })).refused(508, "fuel");
}

#[test]
fn a_tree_of_instances_within_bounds_works() {
    let server = hostile();

    assert_eq!(attack(&server, "instantiation-tree/add", json!({ "a": 1, "b": 2 })).value(), json!(3));
}

#[test]
fn arithmetic_wraps_as_webassembly_says() {
    let server = hostile();

    assert_eq!(attack(&server, "add/add", json!({ "a": u32::MAX, "b": 1 })).value(), json!(0));
}

#[test]
fn components_that_ask_for_too_much_are_refused_on_upload() {
    let server = Server::setup().api("add", wat("add")).start();

    for name in ["huge-memory", "huge-table", "hundred-memories", "instantiation-bomb"] {
        let started = Instant::now();
        let refused = server.admin().upload(name, &wat(name)).refused(422, "invalid_component");
        assert!(started.elapsed() < Duration::from_secs(20), "{name}: {:?}", started.elapsed());
        assert!(!refused.message.contains('/') && refused.message.len() < 500, "{name}: {}", refused.message);
        assert_eq!(server.admin().call("add/add", &json!({ "a": 2, "b": 40 })).value(), json!(42));
        server.admin().call(&format!("{name}/one"), &json!({})).refused(404, "not_found");
    }
}

#[test]
fn components_that_ask_for_too_much_do_no_harm_as_files() {
    let names = ["huge-memory", "huge-table", "hundred-memories", "instantiation-bomb"];
    let setup = Server::setup().api("add", wat("add"));
    let server = names.iter().fold(setup, |setup, name| setup.api(name, wat(name))).start();

    for name in names {
        let answer = server.admin().call(&format!("{name}/one"), &json!({}));
        let problem = answer.problem();
        assert!([404, 422, 507].contains(&problem.status), "{name}: {problem:?}");
    }
    assert_eq!(server.admin().call("add/add", &json!({ "a": 2, "b": 40 })).value(), json!(42));
}

/// As many endless loops as there are cores, and small calls of somebody else meanwhile.
#[test]
fn endless_loops_on_every_core_leave_room_for_others() {
    let cores = thread::available_parallelism().unwrap().get();
    let setup = Server::setup()
        .api("spin", wat("spin"))
        .set("limits.fuel_units", u64::MAX / 4)
        .set("limits.deadline_ms", 120_000);
    let server = setup.start();
    let (_, busy) = server.admin().new_key("busy", "call");
    let (_, other) = server.admin().new_key("other", "call");
    assert_eq!(other.call("spin/add", &json!({ "a": 1, "b": 2 })).value(), json!(3));
    let loops: Vec<_> = (0..cores).map(|_| begin(&server, &busy, "/api/spin/spin")).collect();
    eventually("the loops run", || server.admin().calls_running() == cores as u64);
    let started = Instant::now();

    for _ in 0..20 {
        assert_eq!(other.call("spin/add", &json!({ "a": 1, "b": 2 })).value(), json!(3));
        assert_eq!(server.admin().anonymous().get("/api/v1/health").status, 200);
    }

    let elapsed = started.elapsed();
    assert_eq!(server.admin().calls_running(), cores as u64, "the loops still run");
    assert!(elapsed < Duration::from_secs(10), "20 small calls and 20 looks at the health took {elapsed:?}");
    drop(loops);
    eventually("the loops end with their clients", || server.admin().calls_running() == 0);
}

#[test]
fn one_key_cannot_take_all_places() {
    let setup = Server::setup()
        .api("spin", wat("spin"))
        .set("limits.fuel_units", u64::MAX / 4)
        .set("limits.deadline_ms", 120_000);
    let server = setup.set("concurrency.calls", 4).set("concurrency.waiting", 4).start();
    let (_, busy) = server.admin().new_key("busy", "call");
    let loops: Vec<_> = (0..6).map(|_| begin(&server, &busy, "/api/spin/spin")).collect();
    let load = || {
        let health = server.admin().health();
        (health["calls_running"].clone(), health["calls_waiting"].clone())
    };
    eventually("three run and three wait", || load() == (json!(3), json!(3)));

    let refused = busy.call("spin/add", &json!({ "a": 1, "b": 2 }));
    let other = server.admin().call("spin/add", &json!({ "a": 1, "b": 2 }));

    refused.refused(429, "busy");
    assert!(refused.number("retry-after") >= 1);
    assert_eq!(other.value(), json!(3));
    drop(loops);
    eventually("nobody is left", || load() == (json!(0), json!(0)));
    assert_eq!(busy.call("spin/add", &json!({ "a": 1, "b": 2 })).value(), json!(3));
}

#[test]
fn a_call_ends_when_its_client_goes_away() {
    let Some(component) = guest("probe") else { return };
    let setup = Server::setup().guest("probe", &component).set("limits.deadline_ms", 120_000);
    let server = setup.set("limits.fuel_units", u64::MAX / 4).start();
    assert_eq!(call(&server, "count", json!({})).value(), json!(1));

    for (function, arguments) in [("spin", "{}"), ("sleep", "{\"milliseconds\": 100000}")] {
        let connection = begin_with(&server, server.admin(), &format!("/api/probe/{function}"), arguments);
        eventually("the call runs", || server.admin().calls_running() == 1);
        let started = Instant::now();
        drop(connection);
        eventually("the call ends", || server.admin().calls_running() == 0);
        assert!(started.elapsed() < Duration::from_secs(10), "{function}: {:?}", started.elapsed());
    }
}

/// A place that is counted as free while its guest still holds it would refuse the next call.
#[test]
fn a_place_is_free_once_its_client_went_away() {
    let setup = Server::setup()
        .api("spin", wat("spin"))
        .set("limits.fuel_units", u64::MAX / 4)
        .set("limits.deadline_ms", 120_000);
    let server = setup.set("concurrency.calls", 1).start();

    for round in 0..50 {
        let connection = begin(&server, server.admin(), "/api/spin/spin");
        eventually("the call runs", || server.admin().calls_running() == 1);
        drop(connection);
        eventually("the call ends", || server.admin().calls_running() == 0);
        let next = server.admin().call("spin/add", &json!({ "a": 1, "b": 2 }));
        assert_eq!((round, next.status, next.text().as_str()), (round, 200, "3"));
    }
}

/// Send a call without waiting for its answer.
fn begin(server: &Server, client: &Client, path: &str) -> std::net::TcpStream {
    begin_with(server, client, path, "{}")
}

fn begin_with(server: &Server, client: &Client, path: &str, body: &str) -> std::net::TcpStream {
    let mut stream = connect(server.address());
    let (key, length) = (client.key(), body.len());
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}
