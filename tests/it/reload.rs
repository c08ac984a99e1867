//! Modules that change while they are served: no call fails, none is answered by a mixture.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use fumehood_tests::{Client, Mcp, Server, connect, eventually, parse_wat, read_until, wat};
use serde_json::{Value, json};

/// Swaps of the module under load.
const SWAPS: u32 = 200;

/// Who calls meanwhile.
const CALLERS: usize = 32;

/// A component whose function `version` tells `number`, from a memory that is as it was built.
pub(crate) fn version(number: u32) -> Vec<u8> {
    parse_wat(&format!(
        r#"(component
            (core module $m
                (memory 1)
                (data (i32.const 0) "{}")
                (func (export "version") (result i32) (i32.load (i32.const 0))))
            (core instance $i (instantiate $m))
            (func (export "version") (result u32) (canon lift (core func $i "version"))))"#,
        number.to_le_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect::<String>()
    ))
}

pub(crate) fn told(client: &Client, module: &str) -> Value {
    client.call(&format!("{module}/version"), &json!({})).value()
}

/// Put a file in its place at once, as a careful tool does.
fn put(server: &Server, name: &str, bytes: &[u8]) -> PathBuf {
    let path = server.apis().join(name);
    let new = path.with_file_name("_new");
    fs::write(&new, bytes).unwrap();
    fs::rename(&new, &path).unwrap();
    path
}

fn problems(client: &Client) -> String {
    client.get("/api/v1/modules").value()["problems"].to_string()
}

/// Call the module again and again while `swap` is done [`SWAPS`] times with versions of their own. Every call must be
/// answered, by the version that the answer names.
fn swapped(server: &Server, swap: impl Fn(u32, &[u8])) {
    let (over, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let versions: Mutex<HashMap<String, u64>> = Mutex::default();
    let know = |digest: &Value, number: u32| {
        versions.lock().unwrap().insert(digest.as_str().unwrap().to_owned(), number.into());
    };
    know(&server.admin().get("/api/v1/modules/it").value()["digest"], 0);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|number| {
                let (client, over, calls) = (server.admin(), &over, &calls);
                scope.spawn(move || {
                    let mut seen = Vec::new();
                    let mcp = Mcp::modern(client);
                    while !over.load(Ordering::Relaxed) {
                        let (digest, value) = if number % 4 == 0 {
                            let answer = mcp.call("it__version", &json!({}));
                            assert_eq!(answer["isError"], false, "{answer}");
                            let digest = answer["_meta"]["dev.fumehood/usage"]["digest"].as_str().unwrap().to_owned();
                            (digest, answer["structuredContent"]["result"].as_u64().unwrap())
                        } else {
                            let answer = client.call("it/version", &json!({}));
                            assert_eq!(answer.status, 200, "{}", answer.text());
                            (answer.header("fumehood-digest").unwrap().to_owned(), answer.json().as_u64().unwrap())
                        };
                        seen.push((digest, value));
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                    seen
                })
            })
            .collect();
        for number in 1..=SWAPS {
            let before = calls.load(Ordering::Relaxed);
            swap(number, &version(number));
            know(&server.admin().get("/api/v1/modules/it").value()["digest"], number);
            assert_eq!(told(server.admin(), "it"), number, "what was put last is served");
            eventually("somebody calls", || {
                calls.load(Ordering::Relaxed) > before || callers.iter().any(thread::ScopedJoinHandle::is_finished)
            });
        }
        over.store(true, Ordering::Relaxed);
        let versions = versions.lock().unwrap();
        assert_eq!(versions.len() as u32, SWAPS + 1);
        for caller in callers {
            for (digest, value) in caller.join().unwrap() {
                assert_eq!(versions.get(&digest), Some(&value), "an answer is of the version that it names");
            }
        }
    });
    assert!(calls.load(Ordering::Relaxed) > u64::from(SWAPS));
}

#[test]
fn two_hundred_uploads_under_load_fail_no_call_and_mix_no_answer() {
    let server = Server::setup().set("concurrency.waiting_per_key", 1_000).start();
    assert_eq!(server.admin().upload("it", &version(0)).status, 201);

    swapped(&server, |_, component| assert_eq!(server.admin().upload("it", component).status, 200));

    // What was replaced does not stay.
    let components = server.data().join("components");
    eventually("old versions go", || fs::read_dir(&components).unwrap().count() <= 11);
}

#[test]
fn two_hundred_changes_of_a_file_under_load_fail_no_call_and_mix_no_answer() {
    let server = Server::setup().set("concurrency.waiting_per_key", 1_000).api("it", version(0)).start();

    swapped(&server, |number, component| {
        put(&server, "it.wasm", component);
        eventually("the change is served", || told(server.admin(), "it") == number);
    });

    let components = server.data().join("components");
    eventually("what was replaced goes", || fs::read_dir(&components).unwrap().count() == 1);
}

#[test]
fn files_that_come_change_and_go_are_served_at_once_and_everything_follows() {
    let server = Server::setup().start();
    let admin = server.admin();
    let mcp = Mcp::modern(admin);
    let names = || mcp.tools().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let mut listener = connect(server.address());
    let listen = json!({ "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {
        "notifications": { "toolsListChanged": true },
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    } });
    let body = listen.to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\n\
         mcp-method: subscriptions/listen\r\ncontent-length: {}\r\n\r\n{body}",
        admin.key(),
        body.len()
    );
    listener.write_all(head.as_bytes()).unwrap();
    read_until(&mut listener, "acknowledged");
    assert_eq!(names(), [""; 0]);

    fs::create_dir(server.apis().join("deep")).unwrap();
    thread::sleep(Duration::from_millis(50));
    let file = put(&server, "deep/it.wasm", &version(1));
    read_until(&mut listener, "notifications/tools/list_changed");
    assert_eq!(told(admin, "deep.it"), 1);
    assert_eq!(names(), ["deep_it__version"]);
    assert!(admin.get("/openapi.json").text().contains("/api/deep.it/version"));

    fs::write(file.with_extension("tool.toml"), "[functions.version]\ndescription = \"Tells what it is.\"\n").unwrap();
    eventually("the words are served", || {
        mcp.tools()[0]["description"].as_str().unwrap().contains("Tells what it is.")
    });

    fs::write(&file, version(2)).unwrap();
    eventually("the change is served", || told(admin, "deep.it") == 2);

    fs::remove_file(&file).unwrap();
    eventually("it is gone", || admin.call("deep.it/version", &json!({})).status == 404);
    assert_eq!(names(), [""; 0]);
    assert!(!admin.get("/openapi.json").text().contains("/api/deep.it/version"));
}

#[test]
fn a_file_that_cannot_be_served_leaves_what_it_was() {
    let server = Server::setup().api("it", version(1)).start();
    let admin = server.admin();
    let path = server.apis().join("it.wasm");

    for (bytes, why) in [
        (b"\0asm\x0d\0\x01\0 half".to_vec(), "it.wasm"),
        (wat("core-module"), "component"),
        (wat("unknown-import"), "example:unknown/oracle"),
        (Vec::new(), "it.wasm"),
    ] {
        put(&server, "it.wasm", &bytes);
        eventually("it is told", || {
            let told = problems(admin);
            told.contains(path.to_str().unwrap()) && told.contains(why) && told.contains("is served on")
        });
        assert_eq!(told(admin, "it"), 1);
    }
    server.says("what it was before is served on");
    put(&server, "it.wasm", &version(2));
    eventually("the change is served", || told(admin, "it") == 2);
    assert_eq!(problems(admin), "[]");

    // Nothing is known of what cannot be read, least of all that it has gone.
    let away = server.apis().with_file_name("away");
    fs::rename(server.apis(), &away).unwrap();
    eventually("it is told", || problems(admin).contains("cannot be read"));
    assert_eq!(told(admin, "it"), 2);
    fs::rename(&away, server.apis()).unwrap();
    eventually("it is well again", || problems(admin) == "[]");
    assert_eq!(told(admin, "it"), 2);
}

#[test]
fn a_call_that_runs_finishes_on_the_version_on_which_it_began() {
    let server = Server::setup().set("limits.fuel_units", u64::MAX / 4).set("limits.deadline_ms", 4_000);
    let server = Arc::new(server.api("it", wat("spin")).start());

    let running = thread::spawn({
        let server = Arc::clone(&server);
        move || server.admin().call("it/spin", &json!({}))
    });
    eventually("it runs", || server.admin().calls_running() == 1);
    put(&server, "it.wasm", &version(1));
    eventually("the change is served", || server.admin().call("it/version", &json!({})).status == 200);

    // It runs to the end of its time, which the change does not shorten.
    running.join().unwrap().refused(504, "deadline");
    assert_eq!(told(server.admin(), "it"), 1);
}

#[test]
fn an_operator_can_keep_folders_from_being_read_again() {
    let server = Server::setup().set("server.reload_apis", false).api("it", version(1)).start();

    put(&server, "it.wasm", &version(2));
    put(&server, "other.wasm", &version(2));
    thread::sleep(Duration::from_secs(1));

    assert_eq!(told(server.admin(), "it"), 1);
    let server = server.restart();
    assert_eq!((told(server.admin(), "it"), told(server.admin(), "other")), (json!(2), json!(2)));
}

#[test]
fn a_file_that_asks_for_more_waits_where_that_is_wanted() {
    let server = Server::setup().set("components.on_new_permissions", "hold").api("it", version(1)).start();
    let admin = server.admin();

    let asks = "[[permissions]]\nallow = \"env:LOG_LEVEL\"\nreason = \"to say less\"\n";
    fs::write(server.apis().join("it.tool.toml"), asks).unwrap();
    put(&server, "it.wasm", &version(2));
    eventually("it is told", || problems(admin).contains("it asks for `env:LOG_LEVEL` beyond the version"));
    assert_eq!(told(admin, "it"), 1);

    let granted = server.command(&["grants", "add", "it", "env:LOG_LEVEL=info"]).status().unwrap();
    assert!(granted.success());
    // Nothing happens in the folder then: it is looked at by the clock.
    eventually("the change is served", || told(admin, "it") == 2);
    assert_eq!(problems(admin), "[]");
}

#[test]
fn a_component_is_not_served_without_what_may_keep_it_within_bounds() {
    let manifest = "[functions.version]\nrequires_confirmation = true\n";
    let server = Server::setup().file("two/a.wasm", version(1)).file("two/tool.toml", manifest).start();
    let admin = server.admin();
    admin.call("two.a/version", &json!({})).refused(428, "confirmation_required");

    // A second component: nobody can know any more whose the file is.
    put(&server, "two/b.wasm", &version(2));
    eventually("it is told", || problems(admin).contains("a tool.toml that may be that of any"));
    admin.call("two.a/version", &json!({})).refused(428, "confirmation_required");
    admin.call("two.b/version", &json!({})).refused(404, "not_found");

    fs::rename(server.apis().join("two/tool.toml"), server.apis().join("two/a.tool.toml")).unwrap();
    eventually("both are served", || problems(admin) == "[]");
    admin.call("two.a/version", &json!({})).refused(428, "confirmation_required");
    assert_eq!(told(admin, "two.b"), 2);
}

#[test]
fn what_is_not_served_of_a_folder_leaves_nothing_behind() {
    let server = Server::setup().api("it", version(1)).start();
    let admin = server.admin();
    let components = server.data().join("components");
    let count = || fs::read_dir(&components).unwrap().count();

    for broken in [&wat("core-module")[..], &wat("unknown-import"), b"\0asm\x0d\0\x01\0 half"] {
        put(&server, "other.wasm", broken);
        eventually("it is told", || problems(admin).contains("other.wasm"));
        eventually("nothing of it is kept", || count() == 1);
        fs::remove_file(server.apis().join("other.wasm")).unwrap();
        eventually("it is forgotten", || problems(admin) == "[]");
    }
    assert_eq!(told(admin, "it"), 1);
}

#[test]
fn a_client_over_stdio_beside_a_server_takes_nothing_away_from_it() {
    let server = Server::setup().api("it", version(1)).start();
    let components = server.data().join("components");
    let count = || fs::read_dir(&components).unwrap().count();
    let mut command = fumehood_tests::command();
    command.arg("mcp").arg("--data-dir").arg(server.data()).arg("--apis-dir").arg(server.apis());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("Loaded 1 modules")));
    // A job of the old version waits while the file changes: its component stays, whoever sees that nobody serves it.
    let held = server.admin().post("/api/v1/jobs", &json!({ "tool": "it__version", "input": {}, "delay_ms": 6_000 }));
    let id = held.json()["id"].as_str().unwrap_or_else(|| panic!("{}", held.text())).to_owned();

    put(&server, "it.wasm", &version(2));
    assert!(said.any(|line| line.contains("is served anew")));
    eventually("the change is served", || told(server.admin(), "it") == 2);

    eventually("the job has ended", || {
        server.admin().get(&format!("/api/v1/jobs/{id}")).value()["state"] == "completed"
    });
    assert_eq!(
        server.admin().get(&format!("/api/v1/jobs/{id}/result")).value(),
        1,
        "on the version that it was sent to"
    );
    assert!(count() >= 1);
    drop(child.stdin.take());
    let _ = child.wait().unwrap();
}

#[test]
fn a_file_takes_no_name_and_no_grants_of_an_upload_that_cannot_be_served() {
    let server = Server::start();
    assert_eq!(server.admin().upload("it", &version(1)).status, 201);
    let component = fs::read_dir(server.data().join("components")).unwrap().next().unwrap().unwrap().path();
    let setup = server.stop();
    fs::write(component, b"damaged").unwrap();
    // What was read of it before would do for a while.
    fs::remove_dir_all(setup.data().join("cache")).unwrap();

    let server = setup.file("it.wasm", version(2)).start();

    let told = problems(server.admin());
    assert!(told.contains("the name it is taken by an uploaded module"), "{told}");
    server.admin().call("it/version", &json!({})).refused(404, "not_found");
    // It is mended by an upload.
    assert_eq!(server.admin().upload("it", &version(3)).status, 201);
    assert_eq!(self::told(server.admin(), "it"), 3);
}
