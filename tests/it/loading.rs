//! Where modules come from, what is refused and why, and that they stay.

use std::{fs, path::PathBuf};

use fumehood_tests::{Client, Finished, Server, Setup, bombs, command, guest, wat};
use serde_json::{Value, json};

/// What is said of an import that nobody knows.
const ORACLE: &str = "`example:unknown/oracle`, which is not offered here: it is neither of WASI 0.2 nor of `fumehood:host`; no module here exports it either";

fn add(client: &Client, module: &str) -> Value {
    client.call(&format!("{module}/add"), &json!({ "a": 2, "b": 40 })).value()
}

fn names(client: &Client) -> Vec<String> {
    let list = client.get("/api/v1/modules").value();
    list["modules"].as_array().unwrap().iter().map(|module| module["name"].as_str().unwrap().to_owned()).collect()
}

fn problems(client: &Client) -> Vec<(String, String)> {
    let list = client.get("/api/v1/modules").value();
    let text = |problem: &Value, key: &str| problem[key].as_str().unwrap().to_owned();
    list["problems"].as_array().unwrap().iter().map(|p| (text(p, "path"), text(p, "reason"))).collect()
}

#[test]
fn a_start_without_any_folder_is_quiet_and_a_folder_that_was_named_is_missed() {
    let home = tempfile::tempdir().unwrap();
    let start = |folder: &[&str]| {
        let mut command = command();
        command.args(["mcp", "--data-dir", "data"]).args(folder).current_dir(home.path());
        Finished::of(&mut command).stderr
    };

    assert!(!start(&[]).contains("WARN"));
    assert!(start(&["--apis-dir", "apis"]).contains("WARN"));
}

#[test]
fn a_second_start_says_where_the_key_is() {
    let server = Server::start().restart();

    server.says(&format!("  key   in {}\n", server.data().join("admin.key").display()));
}

#[test]
fn an_address_that_is_taken_is_told_with_what_to_do() {
    let (server, other) = (Server::start(), tempfile::tempdir().unwrap());
    let mut command = command();
    command.args(["serve", "--listen", server.address(), "--data-dir", "data"]).current_dir(other.path());

    let refused = Finished::of(&mut command);

    let said = refused.failed(3);
    assert!(said.contains(&format!("error: cannot listen on {}: ", server.address())), "{said}");
    assert!(said.contains("another program listens there"), "{said}");
}

#[test]
fn files_are_named_by_their_place() {
    let setup = Server::setup().file("geo/maps/Find_Route.wasm", wat("add")).file("plain.wasm", wat("spin"));
    let setup =
        setup.file("_draft.wasm", wat("add")).file("_drafts/x.wasm", wat("add")).file(".hidden.wasm", wat("add"));
    let server = setup.file("README.md", "not a component").start();

    assert_eq!(names(server.admin()), ["geo.maps.find-route", "plain"]);
    assert_eq!(problems(server.admin()), []);
    assert_eq!(add(server.admin(), "geo.maps.find-route"), 42);
    let tool = server.admin().get("/api/v1/tools/geo_maps_find-route__add").value();
    assert_eq!((&tool["module"], &tool["function"]), (&json!("geo.maps.find-route"), &json!("add")));
}

#[test]
fn a_broken_file_is_reported_and_the_others_serve() {
    let good = wat("add");
    let setup =
        Server::setup().file("good.wasm", &good).file("cut.wasm", &good[..good.len() - 7]).file("text.wasm", "hello");
    let setup =
        setup.file("empty.wasm", "").file("core.wasm", wat("core-module")).file("oracle.wasm", wat("unknown-import"));
    let server = setup.file("a b.wasm", &good).file("jobs.wasm", &good).start();
    let path = |name: &str| server.apis().join(name).display().to_string();

    assert_eq!(names(server.admin()), ["good"]);
    assert_eq!(add(server.admin(), "good"), 42);
    let mut found = problems(server.admin());
    found.sort();
    let mut expected = [
        ("a b.wasm", "module name `a b` may hold only a-z, 0-9 and `-`, start with a letter or digit, and join folders with `.`: rename the file".to_owned()),
        ("core.wasm", CORE_MODULE.to_owned()),
        ("cut.wasm", format!("the file is cut off: it ends in the middle, at byte {}", good.len() - 7)),
        ("empty.wasm", "the file is empty".to_owned()),
        ("jobs.wasm", "`jobs` is reserved: choose another module name: rename the file".to_owned()),
        ("oracle.wasm", format!("the component needs {ORACLE}")),
        ("text.wasm", "this is not WebAssembly: it does not start with `\\0asm`".to_owned()),
    ]
    .map(|(name, reason)| (path(name), reason));
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(server.admin().health()["problems"], 7);
}

const CORE_MODULE: &str = "this is a core WebAssembly module, not a component: build it for the target wasm32-wasip2, or wrap it \
     with `wasm-tools component new`";

#[test]
fn two_files_of_one_name_are_reported() {
    let server = Server::setup().file("a/x-y.wasm", wat("add")).file("a/x_y.wasm", wat("spin")).start();

    assert_eq!(names(server.admin()), ["a.x-y"]);
    let first = server.apis().join("a/x-y.wasm");
    assert_eq!(
        problems(server.admin()),
        [(
            server.apis().join("a/x_y.wasm").display().to_string(),
            format!("the name a.x-y is taken by {}: rename one of the two", first.display()),
        )]
    );
}

#[test]
fn a_missing_folder_of_apis_is_only_a_warning() {
    let setup = Server::setup();
    let missing = setup.apis().join("nowhere");
    let server = setup.argument("--apis-dir").argument(missing.to_str().unwrap()).start();

    assert_eq!(problems(server.admin()).len(), 1);
    server.says("WARN");
    assert_eq!(server.admin().upload("add", &wat("add")).status, 201);
    assert_eq!(add(server.admin(), "add"), 42);
}

#[test]
fn several_folders_are_served_together() {
    let (first, second) = (Server::setup().file("one.wasm", wat("add")), Server::setup().file("two.wasm", wat("add")));
    let (one, two) = (first.apis(), second.apis());
    let setup = first.clone().argument("--apis-dir").argument(one.to_str().unwrap());

    let server = setup.argument("--apis-dir").argument(two.to_str().unwrap()).start();

    assert_eq!(names(server.admin()), ["one", "two"]);
}

#[test]
fn a_component_is_uploaded_replaced_and_removed() {
    let server = Server::start();
    let client = server.admin();

    let created = client.upload("tool", &wat("add"));
    assert_eq!(created.header("location"), Some("/api/v1/modules/tool"));
    let module = created.expect(201);
    assert_eq!(
        (&module["name"], &module["source"], &module["installed_by"]),
        (&json!("tool"), &json!("upload"), &json!("admin"))
    );
    assert_eq!(
        (&module["tools"], &module["functions"][0]["signature"]),
        (&json!(1), &json!("add: func(a: u32, b: u32) -> u32"))
    );
    assert_eq!(add(client, "tool"), 42);
    assert_eq!(client.get("/api/v1/modules/tool").value(), module);

    let again = client.upload("tool", &wat("add")).expect(200);
    assert_eq!(again["digest"], module["digest"]);
    let replaced = client.upload("tool", &wat("spin")).expect(200);
    assert_ne!(replaced["digest"], module["digest"]);
    assert_eq!(client.call("tool/spin", &json!({})).status, 508);

    client.delete("/api/v1/modules/tool").empty(204);
    client.delete("/api/v1/modules/tool").refused(404, "not_found");
    client.call("tool/add", &json!({})).refused(404, "not_found");
    assert_eq!(names(client), Vec::<String>::new());
}

#[test]
fn with_if_none_match_only_a_new_name_is_accepted() {
    let server = Server::start();
    let put = || {
        let headers = [("content-type", "application/wasm"), ("if-none-match", "*")];
        server.admin().send("PUT", "/api/v1/modules/tool", &headers, &wat("add"))
    };

    assert_eq!(put().status, 201);
    assert_eq!(put().refused(409, "conflict").message, "a module tool exists already");
}

#[test]
fn the_name_of_a_file_cannot_be_taken_or_removed() {
    let server = Server::setup().api("add", wat("add")).start();
    let file = server.apis().join("add.wasm");
    let message =
        format!("the name add is taken by the file {}: choose another name, or remove the file", file.display());

    assert_eq!(server.admin().upload("add", &wat("spin")).refused(409, "conflict").message, message);
    assert_eq!(server.admin().delete("/api/v1/modules/add").refused(409, "conflict").message, message);
    assert_eq!(add(server.admin(), "add"), 42);
    assert!(file.exists());
}

#[test]
fn names_that_cannot_be_are_refused() {
    let server = Server::start();
    let refuse = |name: &str| server.admin().upload(name, &wat("add")).refused(400, "malformed").message;

    for reserved in ["v1", "v2", "versions", "latest", "jobs", "openapi.json"] {
        assert_eq!(refuse(reserved), format!("`{reserved}` is reserved: choose another module name"));
    }
    for wrong in ["-a", "A", "a..b", ".a", "a_b", "a%20b", "%C3%A9", "a%2Fb", "..%2Fa", "a%00"] {
        assert!(refuse(wrong).contains("may hold only a-z, 0-9 and `-`"), "{wrong}");
    }
    assert_eq!(refuse(&"a".repeat(57)), "a module name has at most 56 characters, this one has 57");
    assert_eq!(server.admin().upload(&"a".repeat(56), &wat("add")).status, 201);
}

#[test]
fn what_is_no_usable_component_is_refused_with_its_own_message() {
    let server = Server::start();
    let refuse = |bytes: &[u8]| server.admin().upload("tool", bytes).refused(422, "invalid_component").message;

    assert_eq!(refuse(&wat("core-module")), CORE_MODULE);
    assert_eq!(refuse(b"hello"), "this is not WebAssembly: it does not start with `\\0asm`");
    assert_eq!(refuse(b"(component)"), "this is WebAssembly text, not binary: convert it with `wasm-tools parse`");
    assert_eq!(refuse(b""), "the file is empty");
    assert_eq!(refuse(&wat("unknown-import")), format!("the component needs {ORACLE}"));
    assert_eq!(
        refuse(&wat("wrong-wasi")),
        "the component needs `wasi:cli/environment@0.9.0`, which is not offered here in version 0.9.0: build it with \
         wasi:cli/environment@0.2; no module here exports it either"
    );
    assert_eq!(refuse(b"\0asm\x0d\0\x01\0"), "module tool has no function that can become a tool: it exports none");
    assert_eq!(names(server.admin()), Vec::<String>::new());
}

#[test]
fn a_truncated_component_is_refused_wherever_it_is_cut() {
    let server = Server::start();
    let whole = wat("string-out-of-bounds");

    for length in (1..whole.len()).step_by(11).chain([4, 7, 8, 9, whole.len() - 1]) {
        let refused = server.admin().upload("tool", &whole[..length]).refused(422, "invalid_component");
        let expected = match length {
            1..4 => "this is not WebAssembly: it does not start with `\\0asm`".to_owned(),
            // The header alone is a component, although an empty one.
            8 => "module tool has no function that can become a tool: it exports none".to_owned(),
            _ => format!("the file is cut off: it ends in the middle, at byte {length}"),
        };
        // A cut between two sections leaves a component that exports nothing.
        let nothing = "module tool has no function that can become a tool: it exports none";
        assert!(refused.message == expected || refused.message == nothing, "{length}: {}", refused.message);
    }
}

#[test]
fn a_damaged_component_never_harms_the_server() {
    let server = Server::setup().api("good", wat("add")).start();
    let whole = wat("string-out-of-bounds");

    for position in (8..whole.len()).step_by(5) {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x55;
        let answer = server.admin().upload("tool", &damaged);
        if answer.status >= 400 {
            answer.refused(422, "invalid_component");
        }
    }

    assert_eq!(add(server.admin(), "good"), 42);
}

#[test]
fn a_component_that_is_too_large_is_refused() {
    let component = wat("add");
    let server = Server::setup().set("components.max_size", format!("{} B", component.len())).start();

    assert_eq!(server.admin().upload("fits", &component).status, 201);
    let mut larger = component.clone();
    larger.extend([0; 100]);
    server.admin().upload("large", &larger).refused(413, "too_large");
}

#[test]
fn functions_that_cannot_cross_are_reported_beside_those_that_can() {
    let server = Server::start();

    let module = server.admin().upload("resource", &wat("resource")).expect(201);

    assert_eq!((&module["compatibility"], &module["tools"]), (&json!("partial"), &json!(1)));
    let rejected: Vec<_> =
        module["rejected"].as_array().unwrap().iter().map(|r| r["export"].as_str().unwrap()).collect();
    assert_eq!(
        rejected,
        ["test:resource/counters.[constructor]counter", "test:resource/counters.[method]counter.value"]
    );
}

#[test]
fn what_a_component_needs_is_shown() {
    let Some(component) = guest("probe") else { return };
    let server = Server::setup().guest("probe", &component).start();

    let module = server.admin().get("/api/v1/modules/probe").value();

    let imports = module["imports"].as_array().unwrap();
    assert!(imports.iter().all(|import| import["offered"] == true), "{imports:?}");
    let is_environment = |import: &Value| import["name"].as_str().unwrap().starts_with("wasi:cli/environment@0.2.");
    assert_eq!(imports.iter().filter(|import| is_environment(import)).count(), 1);
}

#[test]
fn uploads_survive_a_restart_and_a_crash() {
    let server = Server::start();
    assert_eq!(server.admin().upload("tool", &wat("add")).status, 201);
    assert_eq!(server.admin().upload("gone", &wat("spin")).status, 201);
    server.admin().delete("/api/v1/modules/gone").empty(204);
    let before = server.admin().get("/api/v1/modules/tool").value();

    let server = server.restart();
    assert_eq!(server.admin().get("/api/v1/modules/tool").value(), before);
    assert_eq!(add(server.admin(), "tool"), 42);
    assert_eq!(server.admin().upload("late", &wat("add")).status, 201);

    let server = server.crash().start();
    assert_eq!(names(server.admin()), ["late", "tool"]);
    assert_eq!((add(server.admin(), "tool"), add(server.admin(), "late")), (json!(42), json!(42)));
    assert_eq!(server.admin().get("/api/v1/modules/tool").value(), before);
}

#[test]
fn a_file_that_comes_to_an_uploaded_name_is_reported() {
    let server = Server::start();
    assert_eq!(server.admin().upload("tool", &wat("add")).status, 201);

    let server = server.stop().file("tool.wasm", wat("spin")).start();

    assert_eq!(add(server.admin(), "tool"), 42);
    let reason = "the name tool is taken by an uploaded module: rename the file or remove the module".to_owned();
    assert_eq!(problems(server.admin()), [(server.apis().join("tool.wasm").display().to_string(), reason)]);
}

/// The one file in `folder` of the data directory whose name ends so.
fn stored(setup: &Setup, folder: &str, ending: &str) -> PathBuf {
    let files = fs::read_dir(setup.data().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = files.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn uploaded() -> Setup {
    let server = Server::start();
    assert_eq!(server.admin().upload("tool", &wat("add")).status, 201);
    assert_eq!(add(server.admin(), "tool"), 42);
    server.stop()
}

#[test]
fn a_damaged_component_on_disk_is_not_served() {
    let setup = uploaded();
    let blob = stored(&setup, "components", ".wasm");
    let mut bytes = fs::read(&blob).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&blob, bytes).unwrap();
    // What was read and compiled of it before would still be right; without it the bytes themselves are looked at.
    fs::remove_dir_all(setup.data().join("cache")).unwrap();

    let server = setup.start();

    assert_eq!(names(server.admin()), Vec::<String>::new());
    let [(path, reason)] = problems(server.admin()).try_into().unwrap();
    assert_eq!(path, "module tool");
    assert!(
        reason.starts_with("the stored component sha256:") && reason.contains(" is damaged: its bytes hash to "),
        "{reason}"
    );
}

#[test]
fn damaged_compiled_code_is_not_run() {
    for ending in [".cwasm", ".cwasm.seal", ".json", ".json.seal"] {
        let setup = uploaded();
        let file = stored(&setup, "cache", ending);
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).unwrap();

        let server = setup.start();

        assert_eq!(add(server.admin(), "tool"), 42, "{ending}");
        server.says("has a wrong seal and is not used");
    }
}

#[test]
fn foreign_compiled_code_is_not_run() {
    let (ours, theirs) = (uploaded(), Server::start());
    assert_eq!(theirs.admin().upload("tool", &wat("spin")).status, 201);
    let theirs = theirs.stop();
    let target = stored(&ours, "cache", ".cwasm");
    let seal = stored(&ours, "cache", ".cwasm.seal");
    // Genuine code of the other server, under the name that ours would run.
    fs::copy(stored(&theirs, "cache", ".cwasm"), target).unwrap();
    fs::copy(stored(&theirs, "cache", ".cwasm.seal"), seal).unwrap();

    let server = ours.start();

    assert_eq!(add(server.admin(), "tool"), 42);
    server.says("has a wrong seal and is not used");
}

#[test]
fn compiled_code_is_used_again_after_a_restart() {
    let setup = uploaded();
    let file = stored(&setup, "cache", ".cwasm");
    let before = fs::metadata(&file).unwrap().modified().unwrap();

    let server = setup.start();
    assert_eq!(add(server.admin(), "tool"), 42);

    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
    drop(server);
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let server = Server::start();
    let mut command = command();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(server.data());

    let finished = Finished::of(&mut command);

    let path = server.data();
    let message = "is in use by another fumehood server: stop it, or choose another with --data-dir";
    assert_ne!(finished.code, 0);
    assert_eq!(finished.stderr.trim_end(), format!("error: the data directory {} {message}", path.display()));
    assert_eq!(server.admin().get("/api/v1/health").status, 200);
}

#[test]
fn a_running_call_finishes_on_the_module_that_is_replaced() {
    let Some(component) = guest("probe") else { return };
    let server = Server::start();
    assert_eq!(server.admin().upload("tool", &fs::read(component).unwrap()).status, 201);
    let client = server.admin().clone();
    let call = std::thread::spawn(move || client.call("tool/sleep", &json!({ "milliseconds": 1_000 })));
    fumehood_tests::eventually("the call runs", || server.admin().calls_running() == 1);

    assert_eq!(server.admin().upload("tool", &wat("add")).status, 200);

    assert_eq!(call.join().unwrap().value(), Value::Null);
    assert_eq!(add(server.admin(), "tool"), 42);
}

#[test]
fn many_uploads_at_once_end_in_one_of_them() {
    let server = Server::start();
    let components = [wat("add"), wat("spin"), wat("instantiation-tree")];

    std::thread::scope(|scope| {
        for component in components.iter().cycle().take(9) {
            scope.spawn(|| {
                let answer = server.admin().upload("tool", component);
                assert!([200, 201].contains(&answer.status), "{}", answer.text());
            });
        }
    });

    assert_eq!(names(server.admin()), ["tool"]);
    assert_eq!(add(server.admin(), "tool"), 42);
    let server = server.restart();
    assert_eq!(add(server.admin(), "tool"), 42);
    // Each is a version, once.
    let versions = server.admin().get("/api/v1/modules/tool/versions").value();
    assert_eq!(versions["versions"].as_array().unwrap().len(), components.len());
    assert_eq!(fs::read_dir(server.data().join("components")).unwrap().count(), components.len());
}

#[test]
fn bombs_are_refused_and_the_neighbours_call_goes_on() {
    let server = Server::setup().api("good", wat("add")).start();

    for (name, bomb) in bombs::COMPILING {
        let refused = server.admin().upload("bomb", &bomb()).refused(422, "invalid_component");

        assert!(refused.message.starts_with("the component has too many "), "{name}: {}", refused.message);
        assert_eq!(add(server.admin(), "good"), 42, "{name}");
    }
    assert_eq!(names(server.admin()), ["good"]);
    assert_eq!(fs::read_dir(server.data().join("components")).unwrap().count(), 1);
}

#[test]
fn what_only_the_compiler_can_tell_ends_at_its_bounds() {
    let server = Server::setup().api("good", wat("add")).set("components.compile_cpu_s", 1).start();
    assert_eq!(add(server.admin(), "good"), 42);

    // Each function is within every bound; there are many.
    let refused = server.admin().upload("bomb", &bombs::many_functions_of(79_000)).refused(422, "invalid_component");

    assert_eq!(refused.message, "compiling the component took more than 1 s of CPU time");
    assert_eq!(add(server.admin(), "good"), 42);
    assert_eq!(fs::read_dir(server.data().join("components")).unwrap().count(), 1);
}

#[test]
fn what_needs_more_memory_than_a_compiler_may_have_ends_there() {
    let setup = Server::setup().set("components.compile_memory", "512 MiB").set("components.compile_cpu_s", 120);
    let server = setup.api("good", wat("add")).start();
    assert_eq!(add(server.admin(), "good"), 42);

    // One function, with fewer branches than it may have.
    let refused = server.admin().upload("bomb", &bombs::branches_of(74_000)).refused(422, "invalid_component");

    assert_eq!(refused.message, "compiling the component took more than 512 MiB of memory");
    assert_eq!(add(server.admin(), "good"), 42);
    assert_eq!(fs::read_dir(server.data().join("components")).unwrap().count(), 1);
}

#[test]
fn hostile_documentation_is_shown_without_what_steers_a_terminal() {
    let server = Server::start();

    let docs = "Adds.\u{1b}[2J\u{202e}\u{200b}\u{2066}\u{feff}\u{85}\u{e0041} Really.";
    let module = server.admin().upload("tool", &bombs::documented(docs)).expect(201);

    assert_eq!(module["functions"][0]["description"], "Adds.[2J Really.");
}

#[test]
fn a_crash_during_an_upload_leaves_all_or_nothing() {
    let mut server = Server::start();
    for round in 0..5 {
        let (client, component) = (server.admin().clone(), wat("add"));
        let uploading = std::thread::spawn(move || {
            let headers = [("content-type", "application/wasm")];
            client.try_send("PUT", "/api/v1/modules/tool", &headers, &component).map(|answer| answer.status)
        });
        // Other requests of increasing number stand for increasing time.
        for _ in 0..round * 3 {
            let _ = server.admin().get("/api/v1/health");
        }

        server = server.crash().start();

        let acknowledged = uploading.join().unwrap().is_ok_and(|status| [200, 201].contains(&status));
        let stored = names(server.admin()) == ["tool"];
        assert!(stored || !acknowledged, "round {round}");
        if stored {
            assert_eq!(add(server.admin(), "tool"), 42);
            server.admin().delete("/api/v1/modules/tool").empty(204);
        }
    }
}

#[test]
fn what_of_a_component_can_be_served_is_told_before_anything_is_installed() {
    let server = Server::start();
    let admin = server.admin();
    let inspect =
        |component: &[u8]| admin.send("POST", "/api/v1/inspect", &[("content-type", "application/wasm")], component);
    let of = |all: &Value, name: &str| all.as_array().unwrap().iter().find(|one| one["name"] == name).cloned().unwrap();

    let good = inspect(&wat("add")).value();
    assert_eq!((&good["compatibility"], good.get("problem")), (&json!("full"), None));
    assert_eq!(good["exports"], json!([{ "name": "add", "fit": "full", "reason": "served" }]));
    assert_eq!(good["functions"][0]["signature"], "add: func(a: u32, b: u32) -> u32");
    let part = inspect(&wat("resource")).value();
    assert_eq!(part["compatibility"], "partial");
    let rejected: Vec<_> =
        part["exports"].as_array().unwrap().iter().filter(|one| one["fit"] == "incompatible").collect();
    assert!(!rejected.is_empty() && rejected.iter().all(|one| one["reason"].as_str().unwrap().len() > 10), "{part}");
    for (component, import, why) in [
        ("unknown-import", "example:unknown/oracle", "neither of WASI 0.2 nor of `fumehood:host`"),
        ("wrong-wasi", "wasi:cli/environment@0.9.0", "build it with wasi:cli/environment@0.2"),
    ] {
        let bad = inspect(&wat(component)).value();
        assert_eq!(bad["compatibility"], "incompatible", "{bad}");
        let needed = of(&bad["imports"], import);
        assert!(needed["fit"] == "incompatible" && needed["reason"].as_str().unwrap().contains(why), "{bad}");
        assert!(bad["problem"].as_str().unwrap().contains(import), "{bad}");
        let file = server.data().with_file_name("it.wasm");
        fs::write(&file, wat(component)).unwrap();
        let shown = Finished::of(&mut server.command(&["inspect", file.to_str().unwrap()]));
        assert!(shown.ok().contains(why) && shown.ok().contains("incompatible"), "{}", shown.ok());
    }
    if let Some(fetch) = guest("fetch") {
        let imports = inspect(&fs::read(fetch).unwrap()).value()["imports"].clone();
        let is_http = |one: &&Value| one["name"].as_str().unwrap().starts_with("wasi:http/outgoing-handler@");
        let needed = imports.as_array().unwrap().iter().find(is_http).unwrap();
        assert_eq!(needed["reason"], "offered, and reaches nothing until `http` is granted");
    }

    inspect(&wat("core-module")).refused(422, "invalid_component");
    inspect(b"").refused(422, "invalid_component");
    let (_, caller) = admin.new_key("caller", "call");
    let refused = caller.send("POST", "/api/v1/inspect", &[("content-type", "application/wasm")], &wat("add"));
    refused.refused(403, "forbidden");
    assert_eq!(names(admin), Vec::<String>::new());
    assert_eq!(fs::read_dir(server.data().join("components")).unwrap().count(), 0, "nothing of it is kept");
}
