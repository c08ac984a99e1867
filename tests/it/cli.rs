//! The command line: data on stdout, talk on stderr, and an exit code that says which kind of failure it was.

use std::{fs, path::Path, sync::Arc};

use fumehood_tests::{Finished, Server, Shared, bombs, fumehood, guest, wat};
use serde_json::{Value, json};

const OK: i32 = 0;
const TOOL_ERROR: i32 = 1;
const USAGE: i32 = 2;
const NOT_FOUND: i32 = 3;
const DENIED: i32 = 4;
const STOPPED: i32 = 5;
const INVALID: i32 = 6;

static SERVER: Shared = Shared::new();

fn server() -> Option<Arc<Server>> {
    let (calculator, image_info, text_stats) = (guest("calculator")?, guest("image-info")?, guest("text-stats")?);
    Some(SERVER.get(|| {
        let setup = Server::setup().guest("calculator", &calculator).guest("image-info", &image_info);
        let setup = setup.guest("text-stats", &text_stats).api("spin", wat("spin")).api("geo/maps", wat("add"));
        setup.api("trap", wat("trap")).set("limits.fuel_units", 50_000_000).start()
    }))
}

fn run(server: &Server, arguments: &[&str]) -> Finished {
    Finished::of(&mut server.command(arguments))
}

/// A file that holds these bytes for the time of one test.
fn file(name: &str, bytes: impl AsRef<[u8]>) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

#[test]
fn a_tool_of_the_server_is_called_by_its_name() {
    let Some(server) = server() else { return };

    assert_eq!(run(&server, &["call", "calculator.add", "a=2", "b=40"]).ok(), "42\n");
    assert_eq!(run(&server, &["call", "calculator", "add", "a=2", "b=40"]).ok(), "42\n");
    assert_eq!(run(&server, &["call", "calculator__add", "a=2", "b:=40"]).ok(), "42\n");
    assert_eq!(run(&server, &["call", "geo.maps.add", "a=2", "b=40"]).ok(), "42\n");
    assert_eq!(run(&server, &["call", "calculator.add", "--json", "{\"a\": 2, \"b\": 1}", "b=40"]).ok(), "42\n");
    assert_eq!(run(&server, &["call", "calculator.evaluate", "expression=2^3"]).ok(), "8\n");
    let mut command = server.command(&["call", "calculator.add", "--json", "-"]);
    assert_eq!(Finished::with_input(&mut command, b"{\"a\": 2, \"b\": 40}").ok(), "42\n");
}

#[test]
fn values_are_read_as_the_schema_says_and_from_files() {
    let Some(server) = server() else { return };
    let (_folder, image) =
        file("x.gif", b"GIF89a\x03\0\x02\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x03\0\x02\0\0\x02\x03\x84\x11\x05\0;");
    let (_folder, text) = file("x.txt", "two words");

    let info = run(&server, &["call", "image-info.inspect", &format!("image=@{image}"), "-o", "json"]).json();
    let stats = run(&server, &["call", "text-stats.analyse", &format!("text=@{text}"), "-o", "json"]).json();
    let options = "options:={\"measures\": [\"words\"], \"case\": \"keep\"}";
    let chosen = run(&server, &["call", "text-stats.analyse", "text=1", options, "-o", "json"]).json();

    assert_eq!((&info["format"], &info["width"], &info["height"]), (&json!("gif"), &json!(3), &json!(2)));
    assert_eq!(stats["words"], 2);
    assert_eq!(chosen, json!({ "words": 1, "top_words": [] }));
}

#[test]
fn a_component_file_is_called_without_a_server() {
    let Some(calculator) = guest("calculator") else { return };
    let calculator = calculator.to_str().unwrap();

    assert_eq!(fumehood(&["call", calculator, "add", "a=2", "b=40"]).ok(), "42\n");
    assert_eq!(fumehood(&["call", calculator, "add", "a=2", "b=40", "-o", "json"]).json(), json!(42));
    assert_eq!(
        fumehood(&["call", calculator, "divide", "a=1", "b=0"]).failed(TOOL_ERROR),
        "error: the tool answered with an error\n  division by zero"
    );
    assert_eq!(fumehood(&["call", calculator, "ad"]).code, NOT_FOUND);
    assert_eq!(fumehood(&["call", calculator]).code, USAGE);
    assert_eq!(fumehood(&["call", calculator, "add", "a=x"]).code, INVALID);
    assert_eq!(fumehood(&["call", "./nowhere.wasm", "add"]).code, NOT_FOUND);
}

#[test]
fn bounds_hold_without_a_server_too() {
    let (_folder, spin) = file("spin.wasm", wat("spin"));
    let (_folder, trap) = file("trap.wasm", wat("trap"));
    let mut command = fumehood_tests::command();
    command.args(["call", &spin, "spin"]).env("FUMEHOOD_LIMITS__FUEL_UNITS", "1000");

    let spun = Finished::of(&mut command);

    assert_eq!(spun.failed(STOPPED), "error: the call was stopped after using its fuel of 1000 units");
    assert_eq!(
        fumehood(&["call", &trap, "divide", "a=1", "b=0"]).failed(STOPPED).lines().next(),
        Some("error: the tool crashed: it divided by zero")
    );
}

#[test]
fn who_calls_a_file_is_told_where_it_crashed() {
    let (_folder, file) = file("m.wasm", bombs::traps_in("_ZN9untrusted5inner17h0123456789abcdefE"));

    let finished = fumehood(&["call", &file, "run"]);

    let told: Vec<_> = finished.failed(STOPPED).lines().collect();
    assert_eq!(told[0], "error: the tool crashed: it panicked or reached code that it declared unreachable");
    let frames: Vec<_> =
        told.iter().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())).collect();
    assert_eq!(frames.len(), 3, "{told:#?}");
    for (frame, name) in frames.iter().zip(["untrusted::inner", "middle", "run"]) {
        assert!(frame.contains(name), "{frame}");
    }
}

#[test]
fn what_a_local_guest_prints_goes_to_stderr() {
    let Some(probe) = guest("probe") else { return };

    let finished = fumehood(&["call", probe.to_str().unwrap(), "print", "text=\u{1b}[2Jhi", "times=1"]);

    assert_eq!((finished.code, finished.stdout.as_str()), (OK, "1\n"));
    assert_eq!(finished.stderr, "[stdout] \\u{1b}[2Jhi\n");
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let Some(server) = server() else { return };
    let failed = |arguments: &[&str], code: i32| run(&server, arguments).failed(code).to_owned();

    assert_eq!(failed(&["call", "calculator.divide", "a=1", "b=0"], TOOL_ERROR), "error: division by zero");
    assert_eq!(
        failed(&["call", "spin.spin"], STOPPED),
        "error: the call was stopped after using its fuel of 50000000 units"
    );
    assert_eq!(
        failed(&["call", "trap.unreachable"], STOPPED),
        "error: the tool crashed: it panicked or reached code that it declared unreachable"
    );
    assert_eq!(
        failed(&["call", "calculator.ad", "a=1"], NOT_FOUND),
        "error: the server has no tool `calculator.ad`; did you mean `calculator.add`?\n\
         hint: `fumehood tools ls` lists them"
    );
    assert_eq!(
        failed(&["call", "calculator.add", "a=x", "c=1"], INVALID),
        "error: the arguments do not fit the tool\n  \
         a: `x` is not a number; the tool wants {\"type\":\"number\"}\n  c: no such argument; the tool takes a, b\n  \
         b: it is required"
    );
    assert_eq!(
        failed(&["call", "calculator.add", "a=1"], INVALID),
        "error: the arguments do not fit the tool: /b: `b` is required\n  \
         /b: `b` is required"
    );
    assert_eq!(failed(&["modules", "show", "nothing"], NOT_FOUND), "error: there is no module `nothing`");
    assert_eq!(
        failed(&["call", "calculator.add", "a=1", "x"], USAGE),
        "error: `x` is not an argument: write k=v, k:=json or k=@file"
    );
    assert_eq!(
        failed(&["call", "calculator.add", "foo"], USAGE),
        "error: `foo` is not an argument: write k=v, k:=json or k=@file"
    );
    assert_eq!(run(&server, &["grants", "add", "calculator", "keyvalue:cache"]).code, OK);
    let granted = "keyvalue:cache,bytes=1MiB,keys=1000";
    let near = failed(&["grants", "revoke", "calculator", "keyvalue:cash"], NOT_FOUND);
    assert!(near.ends_with(&format!("\n  calculator has {granted}")), "{near}");
    assert_eq!(run(&server, &["frobnicate"]).code, USAGE);
    assert_eq!(run(&server, &["call"]).code, USAGE);
    assert!(
        failed(&["tools", "ls", "--key", "fh_a_b"], DENIED)
            .starts_with("error: this key is not valid, or has been revoked\n")
    );
}

#[test]
fn arguments_that_are_too_large_are_told_so_and_not_a_broken_connection() {
    let Some(server) = server() else { return };
    let (_folder, large) = file("large.bin", vec![0; 13 << 20]);

    let bytes = run(&server, &["call", "image-info.inspect", &format!("image=@{large}")]);
    let json = run(&server, &["call", "image-info.inspect", &format!("image=@{large}"), "-o", "json"]);

    let said = bytes.failed(INVALID);
    assert!(said.starts_with("error: the body is larger than 16 MiB\n"), "{said}");
    assert!(said.contains("about 12 MiB"), "{said}");
    assert_eq!((json.code, json.stderr.contains("\"too_large\"")), (INVALID, true), "{}", json.stderr);
}

#[test]
fn push_says_whether_a_manifest_went_along_and_finds_it_where_the_project_is() {
    let server = Server::start();
    let project = tempfile::tempdir().unwrap();
    let built = project.path().join("target/release");
    fs::create_dir_all(&built).unwrap();
    fs::write(built.join("words.wasm"), wat("add")).unwrap();
    let push = |component: &str| {
        let mut command = server.command(&["push", component]);
        let finished = Finished::of(command.current_dir(project.path()));
        (finished.code, finished.stderr)
    };

    let without = push("target/release/words.wasm");
    fs::write(project.path().join("tool.toml"), "version = '1.2.3'\n").unwrap();
    let with = push("target/release/words.wasm");
    fs::write(built.join("words.tool.toml"), "version = '1.2.4'\n").unwrap();
    let beside = push("target/release/words.wasm");

    let looked = "target/release/words.tool.toml, target/release/tool.toml, tool.toml";
    let said = format!("module words is served, without a tool.toml (looked for {looked}; --manifest FILE)\n");
    assert_eq!(without, (OK, said));
    assert_eq!(with, (OK, "module words is served, with tool.toml from tool.toml\n".to_owned()));
    let said = "module words is served, with tool.toml from target/release/words.tool.toml\n";
    assert_eq!(beside, (OK, said.to_owned()));
    assert_eq!(run(&server, &["modules", "show", "words", "-o", "json"]).json()["version"], "1.2.4");
}

#[test]
fn who_set_the_bound_that_stopped_a_call_is_told() {
    let setup = Server::setup().set("limits.fuel_units", 50_000_000).api("spin", wat("spin"));
    let setup =
        setup.file("short/spin.wasm", wat("spin")).file("short/spin.tool.toml", "[limits]\nfuel_units = 7000\n");
    let server = setup.start();
    let limited = json!({ "name": "ci", "roles": ["call"], "limits": { "fuel_units": 9000 } });
    let key = server.admin().post("/api/v1/keys", &limited).expect(201)["key"].as_str().unwrap().to_owned();
    let spun = |arguments: &[&str]| {
        let finished = run(&server, arguments);
        let details =
            serde_json::from_str::<Value>(&run(&server, &[arguments, &["-o", "json"]].concat()).stderr).unwrap();
        (finished.failed(STOPPED).to_owned(), details["details"]["set_by"].clone())
    };
    let told = |units: u64, who: &str, rest: &str| {
        (format!("error: the call was stopped after using its fuel of {units} units{rest}"), json!(who))
    };

    assert_eq!(spun(&["call", "spin.spin"]), told(50_000_000, "configuration", ""));
    assert_eq!(spun(&["call", "short.spin.spin"]), told(7000, "module", ", as its module sets it"));
    assert_eq!(spun(&["call", "spin.spin", "--key", &key]), told(9000, "key", ", as its key sets it"));
    assert_eq!(spun(&["call", "spin.spin", "--max-fuel", "5000"]), told(5000, "request", ", as its request sets it"));
    assert_eq!(
        run(&server, &["call", "spin.spin", "--deadline-ms", "1"]).failed(STOPPED),
        "error: the call was stopped at its deadline of 1 ms, as its request sets it"
    );
    assert!(run(&server, &["keys", "ls"]).ok().contains("fuel 9,000"));
    let shown = run(&server, &["modules", "show", "short.spin"]);
    assert!(shown.ok().contains("fuel 7,000"), "{}", shown.stdout);
}

#[test]
fn the_bytes_or_the_json_of_an_answer_are_written_to_a_file() {
    let server = Server::setup().api("hello", fumehood_tests::parse_wat(BYTES)).start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.bin");
    let call = |function: &str| {
        let finished = run(&server, &["call", function, "--out", path.to_str().unwrap()]);
        (finished.ok().to_owned(), fs::read(&path).unwrap())
    };

    assert_eq!(call("hello.bytes"), (String::new(), b"hello".to_vec()));
    assert_eq!(run(&server, &["call", "hello.bytes"]).ok(), "aGVsbG8=\n");
    assert_eq!(call("hello.number"), (String::new(), b"5".to_vec()));
    let small = Server::setup().api("hello", fumehood_tests::parse_wat(BYTES)).set("limits.result", 4).start();
    let large = run(&small, &["call", "hello.bytes"]);
    assert!(large.failed(STOPPED).contains(" of JSON, or "), "{}", large.stderr);
    let nowhere = folder.path().join("no/such/folder");
    assert_eq!(run(&server, &["call", "hello.number", "--out", nowhere.to_str().unwrap()]).code, NOT_FOUND);
}

/// `bytes: func() -> list<u8>` answers with `hello`, `number: func() -> u32` with 5.
const BYTES: &str = r#"(component
    (core module $code
        (memory (export "memory") 1)
        (data (i32.const 0) "\08\00\00\00\05\00\00\00hello")
        (func (export "bytes") (result i32) (i32.const 0))
        (func (export "number") (result i32) (i32.const 5)))
    (core instance $code (instantiate $code))
    (func (export "bytes") (result (list u8))
        (canon lift (core func $code "bytes") (memory (core memory $code "memory"))))
    (func (export "number") (result u32) (canon lift (core func $code "number"))))"#;

#[test]
fn a_server_that_is_not_there_is_told_so() {
    // Nobody listens on the discard port of this machine, and connecting to it does not wait.
    let finished = fumehood(&["tools", "ls", "--server", "http://127.0.0.1:9", "--key", "fh_a_b"]);

    assert_eq!(
        finished.failed(NOT_FOUND),
        "error: no server answers at http://127.0.0.1:9; start one with `fumehood serve`, \
         or point --server/FUMEHOOD_SERVER elsewhere"
    );
    assert_eq!(fumehood(&["tools", "ls", "--server", "https://x"]).code, USAGE);
}

#[test]
fn a_component_is_inspected_without_running_it() {
    let (_folder, component) = file("My_Spin.wasm", wat("spin-start"));

    let shown = fumehood(&["inspect", &component, "-o", "json"]).json();
    let text = fumehood(&["inspect", &component]);

    assert_eq!(
        (&shown["name"], &shown["source"], &shown["compatibility"]),
        (&json!("my-spin"), &json!("file"), &json!("full"))
    );
    assert_eq!((&shown["tools"], &shown["functions"][0]["signature"]), (&json!(1), &json!("one: func() -> u32")));
    assert!(text.ok().contains("one: func() -> u32"), "{}", text.stdout);
}

#[test]
fn what_is_no_component_is_explained() {
    let inspect = |name: &str, bytes: &[u8]| {
        let (_folder, path) = file(name, bytes);
        fumehood(&["inspect", &path]).failed(INVALID).replace(&path, "FILE")
    };

    assert_eq!(inspect("x.wasm", b""), "error: FILE: the file is empty");
    assert_eq!(inspect("x.wasm", b"hello"), "error: FILE: this is not WebAssembly: it does not start with `\\0asm`");
    assert!(
        inspect("x.wasm", &wat("core-module"))
            .starts_with("error: FILE: this is a core WebAssembly module, not a component: ")
    );
    assert_eq!(fumehood(&["inspect", "nowhere.wasm"]).code, NOT_FOUND);
    let (_folder, unknown) = file("unknown.wasm", wat("unknown-import"));
    let shown = fumehood(&["inspect", &unknown, "-o", "json"]).json();
    assert_eq!(shown["compatibility"], "incompatible");
    let import = &shown["imports"][0];
    assert_eq!((&import["name"], &import["offered"]), (&json!("example:unknown/oracle"), &json!(false)));
    assert!(import["reason"].as_str().unwrap().starts_with("not offered: "), "{import}");
}

#[test]
fn a_component_is_pushed_shown_called_and_removed() {
    let server = Server::start();
    let (_folder, component) = file("My_Adder.wasm", wat("add"));

    let pushed = run(&server, &["push", &component, "-o", "json"]);
    assert_eq!(pushed.json()["name"], "my-adder");
    assert!(pushed.stderr.starts_with("module my-adder is served, without a tool.toml ("), "{}", pushed.stderr);
    assert_eq!(run(&server, &["call", "my-adder.add", "a=2", "b=40"]).ok(), "42\n");
    assert_eq!(run(&server, &["push", &component, "--name", "other", "--quiet"]).stderr, "");
    let modules = run(&server, &["modules", "ls", "-o", "json"]).json();
    let names: Vec<_> = modules["modules"].as_array().unwrap().iter().map(|module| &module["name"]).collect();
    assert_eq!(names, ["my-adder", "other"]);
    assert_eq!(run(&server, &["modules", "show", "other", "-o", "json"]).json()["source"], "upload");
    assert_eq!(
        run(&server, &["modules", "rm", "other", "-o", "json"]).json(),
        json!({ "name": "other", "removed": true })
    );
    assert_eq!(run(&server, &["modules", "rm", "other"]).code, NOT_FOUND);
    assert_eq!(run(&server, &["modules", "ls"]).ok().lines().count(), 2);
}

#[test]
fn each_failure_of_a_push_has_its_exit_code() {
    let server = Server::setup().api("taken", wat("add")).set("components.max_size", "4 KiB").start();
    let (_, caller) = server.admin().new_key("ci", "call");
    let push = |bytes: &[u8], extra: &[&str]| {
        let (_folder, path) = file("tool.wasm", bytes);
        let arguments: Vec<_> = ["push", &path].into_iter().chain(extra.iter().copied()).collect();
        let finished = run(&server, &arguments);
        (finished.code, finished.stderr.trim_end().to_owned())
    };

    assert_eq!(
        push(b"hello", &[]),
        (INVALID, "error: this is not WebAssembly: it does not start with `\\0asm`".to_owned())
    );
    assert_eq!(push(&wat("unknown-import"), &[]).0, INVALID);
    assert_eq!(push(&[0; 5_000], &[]), (INVALID, "error: the body is larger than 4 KiB".to_owned()));
    assert_eq!(push(&wat("add"), &["--name", "taken"]).0, INVALID);
    assert_eq!(
        push(&wat("add"), &["--name", "jobs"]),
        (INVALID, "error: `jobs` is reserved: choose another module name".to_owned())
    );
    assert_eq!(push(&wat("add"), &["--key", caller.key()]).0, DENIED);
    assert_eq!(run(&server, &["push", "nowhere.wasm"]).code, NOT_FOUND);
    assert_eq!(run(&server, &["push", "/"]).code, INVALID);
}

#[test]
fn tools_are_listed_found_and_shown() {
    let Some(server) = server() else { return };
    let names = |arguments: &[&str]| -> Vec<String> {
        let list = run(&server, arguments).json();
        list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };

    assert_eq!(names(&["tools", "ls", "--module", "spin", "-o", "json"]), ["spin__add", "spin__spin"]);
    assert_eq!(names(&["tools", "ls", "--search", "subtract", "-o", "json"]), ["calculator__subtract"]);
    let shown = run(&server, &["tools", "show", "calculator.add", "-o", "json"]).json();
    assert_eq!(
        (&shown["name"], &shown["module"], &shown["function"]),
        (&json!("calculator__add"), &json!("calculator"), &json!("add"))
    );
    assert_eq!(run(&server, &["tools", "show", "calculator.nothing-like-it"]).code, NOT_FOUND);
    let text = run(&server, &["tools", "ls", "--module", "spin"]);
    assert!(text.ok().starts_with("TOOL"), "{}", text.stdout);
    assert_eq!(text.stdout.lines().count(), 3);
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let server = Server::setup().api("add", wat("add")).start();

    let made = run(&server, &["keys", "create", "ci", "--role", "call"]);
    let key = made.ok().trim_end();
    let as_ci = |arguments: &[&str]| {
        let mut command = server.command(arguments);
        command.env("FUMEHOOD_KEY", key);
        Finished::of(&mut command)
    };
    assert!(key.starts_with("fh_") && made.stdout.lines().count() == 1 && !made.stderr.contains(key), "{made:?}");
    assert_eq!(as_ci(&["call", "add.add", "a=2", "b=40"]).ok(), "42\n");
    assert_eq!(as_ci(&["keys", "ls"]).code, DENIED);
    let keys = run(&server, &["keys", "ls", "-o", "json"]).json();
    assert_eq!((&keys["keys"][1]["name"], &keys["keys"][1]["roles"]), (&json!("ci"), &json!(["call"])));
    let id = keys["keys"][1]["id"].as_str().unwrap();
    assert_eq!(run(&server, &["keys", "revoke", id, "-o", "json"]).json(), json!({ "id": id, "revoked": true }));
    assert_eq!(as_ci(&["tools", "ls"]).code, DENIED);
    assert_eq!(run(&server, &["keys", "revoke", id]).code, NOT_FOUND);
    assert_eq!(run(&server, &["keys", "create", "x", "--role", "root"]).code, USAGE);
}

#[test]
fn with_json_there_is_exactly_one_document() {
    let Some(server) = server() else { return };

    for arguments in [
        &["modules", "ls"][..],
        &["modules", "show", "spin"],
        &["tools", "ls"],
        &["tools", "show", "spin.add"],
        &["keys", "ls"],
        &["call", "calculator.add", "a=1", "b=2"],
        &["config", "show"],
        &["config", "show", "--origin"],
        &["config", "check"],
    ] {
        let arguments: Vec<_> = arguments.iter().copied().chain(["-o", "json"]).collect();
        let _: Value = run(&server, &arguments).json();
    }
}

#[test]
fn with_json_a_failure_is_a_document_on_stderr() {
    let Some(server) = server() else { return };
    let failed = |arguments: &[&str], code: i32| -> Value { run(&server, arguments).failed(code).parse().unwrap() };

    let tool = failed(&["call", "calculator.divide", "a=1", "b=0", "-o", "json"], TOOL_ERROR);
    assert_eq!((&tool["error"], &tool["details"]), (&json!("tool_error"), &json!({ "error": "division by zero" })));
    let input = failed(&["call", "calculator.add", "a=1", "-o", "json"], INVALID);
    assert_eq!((&input["error"], &input["details"][0]["pointer"]), (&json!("invalid_input"), &json!("/b")));
    let unknown = failed(&["call", "no.tool", "-o", "json"], NOT_FOUND);
    assert_eq!(unknown["error"], "not_found");
}

#[test]
fn jobs_are_listed_under_both_names_of_their_tool_also_when_it_is_gone() {
    let Some(calculator) = guest("calculator") else { return };
    let server = Server::setup().patient().start();
    assert!(server.admin().upload("sums", &fs::read(calculator).unwrap()).status < 300);
    let submit = ["jobs", "submit", "sums.add", "a=2", "b=40", "--priority", "3", "--tag", "first", "--wait"];
    assert_eq!(run(&server, &submit).ok(), "42\n");
    let found = |tool: &str| {
        let listed = run(&server, &["jobs", "ls", "--tool", tool, "-o", "json"]).json();
        listed["jobs"].as_array().unwrap().len()
    };
    let all = || ["sums.add", "sums__add", "sums", "sums.divide", "sums__divide"].map(found);

    let served = all();
    assert_eq!(run(&server, &["modules", "rm", "sums"]).code, OK);
    let gone = all();

    assert_eq!((served, gone), ([1, 1, 1, 0, 0], [1, 1, 1, 0, 0]));
    let id = run(&server, &["jobs", "ls", "-o", "json"]).json()["jobs"][0]["id"].as_str().unwrap().to_owned();
    let shown = run(&server, &["jobs", "show", &id]);
    for line in ["priority    3", "tags        first", "fuel        "] {
        assert!(shown.ok().lines().any(|shown| shown.starts_with(line)), "{line}: {}", shown.stdout);
    }
}

#[test]
fn what_is_forgotten_of_ended_jobs_is_said() {
    let Some(calculator) = guest("calculator") else { return };
    let server = Server::setup().patient().guest("calculator", &calculator).start();
    assert_eq!(run(&server, &["jobs", "submit", "calculator.divide", "a=1", "b=0", "--wait"]).code, TOOL_ERROR);
    let left = || run(&server, &["jobs", "ls", "-o", "json"]).json()["jobs"].as_array().unwrap().len();

    let silent = run(&server, &["jobs", "prune"]);
    let unknown = run(&server, &["jobs", "prune", "--state", "done"]);

    assert!(silent.failed(USAGE).contains("--all"), "{}", silent.stderr);
    assert!(unknown.failed(USAGE).contains("`done` is not a state of jobs: available, "), "{}", unknown.stderr);
    assert_eq!((run(&server, &["jobs", "prune", "--state", "completed"]).code, left()), (OK, 1));
    assert_eq!((run(&server, &["jobs", "prune", "--state", "dead"]).code, left()), (OK, 0));
    assert_eq!(run(&server, &["jobs", "prune", "--all", "-o", "json"]).json(), json!({ "pruned": 0 }));
}

#[test]
fn a_file_of_jobs_of_which_some_are_refused_is_a_failure() {
    let Some(server) = server() else { return };
    let job = |last: u8, endpoint: &str| {
        let id = format!("6f1f5e0e-0000-4000-8000-0000000001{last:02x}");
        json!({ "queue_id": id, "endpoint": endpoint, "data": { "a": 1, "b": 2 }, "status": "queued" })
    };
    let some = json!({ "queue": [job(1, "calculator/add"), job(2, "nothing/here")] }).to_string();
    let (_folder, path) = file("state.json", &some);

    let imported = run(&server, &["jobs", "import", &path]);
    let again = run(&server, &["jobs", "import", &path, "-o", "json"]);

    let said = format!(
        "1 jobs taken in, 0 here already\nerror: 1 jobs of {path} could not be taken in\n  \
         queue[1]: there is no function nothing/here"
    );
    assert_eq!(imported.failed(INVALID), said);
    assert_eq!(again.code, INVALID);
    let answer: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&answer["known"], &answer["refused"][0]["position"]), (&json!(1), &json!(1)));
}

#[test]
fn a_mistake_is_told_with_the_option_that_it_is_in() {
    let Some(server) = server() else { return };
    let refused = |arguments: &[&str], says: &str| {
        let finished = run(&server, arguments);
        assert!(finished.failed(USAGE).contains(says), "{}", finished.stderr);
    };

    refused(&["jobs", "submit", "calculator.add", "--at", "tomorrow"], "'--at <MOMENT>': `tomorrow` is not a moment");
    refused(&["calls", "--since", "1h"], "'--since <MOMENT>': `1h` is not a moment");
    refused(&["calls", "--csv", "-o", "json"], "not both");
    let outcome = run(&server, &["calls", "--outcome", "nonsense"]);
    assert!(outcome.failed(INVALID).contains("`nonsense` is none; it is `ok`, `error`"), "{}", outcome.stderr);
}

#[test]
fn the_configuration_is_shown_with_where_it_came_from() {
    let (_folder, config) = file("fumehood.toml", "[limits]\nfuel_units = 7\n\n[server]\nmax_body = '1 MiB'\n");
    let shown = |arguments: &[&str]| {
        let mut command = fumehood_tests::command();
        command.args(arguments).args(["--config", &config]).env("FUMEHOOD_LIMITS__DEADLINE_MS", "5");
        Finished::of(&mut command)
    };

    let values = shown(&["config", "show", "-o", "json"]).json();
    let origins = shown(&["config", "show", "--origin", "-o", "json", "--data-dir", "/somewhere"]).json();
    let text = shown(&["config", "show", "--origin"]);

    assert_eq!((&values["limits"]["fuel_units"], &values["limits"]["deadline_ms"]), (&json!(7), &json!(5)));
    assert_eq!(origins["limits"]["fuel_units"], json!({ "value": 7, "origin": format!("{config}:2") }));
    assert_eq!(origins["limits"]["deadline_ms"], json!({ "value": 5, "origin": "FUMEHOOD_LIMITS__DEADLINE_MS" }));
    assert_eq!(origins["server"]["data_dir"], json!({ "value": "/somewhere", "origin": "--data-dir" }));
    assert_eq!(origins["limits"]["memory"], json!({ "value": "64 MiB", "origin": "default" }));
    assert!(text.ok().lines().any(|line| line == format!("max_body = \"1 MiB\"  # {config}:5")), "{}", text.stdout);
    assert_eq!(shown(&["config", "check"]).ok(), format!("the configuration is valid ({config})\n"));
}

#[test]
fn the_defaults_are_those_that_protect() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = fumehood_tests::command();
    command.args(["config", "show", "-o", "json"]).current_dir(folder.path());

    let values = Finished::of(&mut command).json();

    assert_eq!(
        values["limits"],
        json!({
            "fuel_units": 1_000_000_000, "deadline_ms": 30_000, "memory": "64 MiB", "table_elements": 100_000,
            "result": "8 MiB", "output": "64 KiB", "log": "64 KiB", "host_memory": "16 MiB", "host_calls": 10_000_000,
            "host_bytes": "1 GiB", "handles": 1_000, "random": "1 MiB", "http_requests": 32, "http_body": "8 MiB", "invoke_depth": 4,
        })
    );
    assert_eq!(values["server"]["listen"], "127.0.0.1:7311");
    assert_eq!((&values["server"]["auth"], &values["server"]["max_body"]), (&json!(true), &json!("16 MiB")));
    assert_eq!((&values["server"]["header_timeout_s"], &values["server"]["idle_timeout_s"]), (&json!(10), &json!(300)));
    assert_eq!(values["components"]["max_size"], "64 MiB");
    assert_eq!(
        (&values["components"]["compile_cpu_s"], &values["components"]["compile_memory"]),
        (&json!(20), &json!("1 GiB"))
    );
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!((&values["concurrency"]["calls"], &values["concurrency"]["waiting"]), (&json!(2 * cores), &json!(100)));
}

#[test]
fn every_mistake_of_the_configuration_is_told_with_its_place() {
    let (_folder, config) =
        file("fumehood.toml", "[server]\nlisen = '127.0.0.1:1'\nauth = 1\n[sever]\n[log]\nfuel_units = 1\n");

    let finished = fumehood(&["config", "check", "--config", &config]);

    let mut lines: Vec<_> = finished.failed(INVALID).lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            format!("  {config}:2: unknown key `server.lisen`; did you mean `listen`?"),
            format!("  {config}:3: server.auth = 1: invalid type: integer `1`, expected a boolean"),
            format!("  {config}:4: unknown section `sever`; did you mean `server`?"),
            format!("  {config}:6: unknown key `log.fuel_units`; did you mean `limits.fuel_units`?"),
            "error: the configuration is not valid".to_owned(),
        ]
    );
    assert_eq!(fumehood(&["serve", "--config", &config]).code, INVALID);
    assert_eq!(fumehood(&["config", "check", "--config", "/nowhere.toml"]).code, NOT_FOUND);
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = fumehood(&["completions", shell]);
        let words = ["serve", "push", "inspect", "completions"];
        assert!(words.iter().all(|word| script.ok().contains(word)), "{shell}");
    }
    assert_eq!(fumehood(&["completions", "tcsh"]).code, USAGE);
}

#[test]
fn version_and_help_are_data() {
    assert_eq!(fumehood(&["--version"]).ok(), "fumehood 0.1.0\n");
    let help = fumehood(&["--help"]);
    assert!(help.ok().contains("Exit codes: 0 ok, 1 the tool said no, 2 usage, "), "{}", help.stdout);
}

#[test]
fn the_demo_checks_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = fumehood_tests::command();
    command.args(["demo", "--check", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
    // A development build takes longer to compile than a demonstration should.
    command.env("FUMEHOOD_LIMITS__DEADLINE_MS", "300000").env("FUMEHOOD_COMPONENTS__COMPILE_CPU_S", "120");

    let finished = Finished::of(command.current_dir(folder.path()));

    assert_eq!(finished.code, OK, "{}\n{}", finished.stdout, finished.stderr);
}

#[test]
fn mcp_over_stdio_serves_one_client_and_ends_with_it() {
    let Some(probe) = guest("probe") else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("apis")).unwrap();
    fs::copy(probe, folder.path().join("apis/probe.wasm")).unwrap();
    let messages = [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "0" } } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "probe__print", "arguments": {
            "text": "{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":{}}\n", "times": 3 } } }),
    ];

    let lines = converse(folder.path(), &messages, 2);

    let replies: Vec<Value> = lines.iter().map(|line| line.parse().unwrap()).collect();
    assert_eq!(replies.iter().map(|reply| &reply["id"]).collect::<Vec<_>>(), [&json!(1), &json!(2)]);
    assert_eq!(replies[1]["result"]["structuredContent"], json!({ "result": 3 }));
}

/// Say `messages` to `fumehood mcp` and read until it has replied to `count` of them; then go away.
fn converse(folder: &Path, messages: &[Value], count: usize) -> Vec<String> {
    use std::{
        io::{BufRead, BufReader, Write},
        process::Stdio,
    };
    let mut command = fumehood_tests::command();
    command.arg("mcp").arg("--data-dir").arg(folder.join("data")).arg("--apis-dir").arg(folder.join("apis"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = Vec::new();
    for message in messages {
        writeln!(stdin, "{message}").unwrap();
        if message.get("id").is_some() {
            lines.push(stdout.next().unwrap().unwrap());
        }
    }
    assert_eq!(lines.len(), count);
    drop(stdin);
    lines.extend(stdout.map(Result::unwrap));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    lines
}
