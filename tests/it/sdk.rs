//! Tools that are written with the SDK of `wit/sdk/rust`, as a server shows and runs them.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::Command,
    thread,
};

use fumehood_tests::{Finished, Mcp, Server, Shared, command, folder, guest, target_dir, workspace};
use serde_json::{Value, json};

static SERVER: Shared = Shared::new();

/// Those of the examples that are written with it.
const EXAMPLES: [&str; 6] = ["unit-converter", "page-title", "guest-book", "primes", "bar-chart", "table-booking"];

fn server() -> Option<std::sync::Arc<Server>> {
    let components: Vec<PathBuf> = EXAMPLES.iter().map(|name| guest(name)).collect::<Option<_>>()?;
    Some(SERVER.get(|| {
        let setup = Server::setup().patient();
        EXAMPLES.iter().zip(&components).fold(setup, |setup, (name, component)| setup.guest(name, component)).start()
    }))
}

fn grant(server: &Server, module: &str, grant: &str) {
    let answer = server.admin().post(&format!("/api/v1/modules/{module}/permissions"), &json!({ "grant": grant }));
    assert!((200..300).contains(&answer.status), "{}", answer.text());
}

/// Where a web server of this test has a page.
pub(crate) fn page(body: &'static str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _request = BufReader::new(&stream).lines().map_while(Result::ok).find(String::is_empty);
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            // The other side may have gone already.
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    format!("http://127.0.0.1:{port}/")
}

#[test]
fn the_sdk_passes_its_own_tests_and_the_examples_theirs_without_a_server() {
    let sources = EXAMPLES.iter().map(|name| folder(name)).chain([workspace().join("wit/sdk/rust")]);
    for source in sources {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["test", "--locked", "--quiet"]).current_dir(&source);
        cargo.env("CARGO_TARGET_DIR", target_dir().join("guests")).env_remove("RUSTFLAGS");
        let finished = Finished::of(&mut cargo);
        assert_eq!(finished.code, 0, "{}:\n{}{}", source.display(), finished.stdout, finished.stderr);
        assert!(finished.stdout.contains("test result: ok"), "{}", finished.stdout);
    }
}

#[test]
fn a_typed_function_is_a_tool_with_all_that_its_author_wrote() {
    let Some(server) = server() else { return };
    let tools = Mcp::modern(server.admin()).tools();
    let convert = tools.iter().find(|tool| tool["name"] == "unit-converter__convert").unwrap();

    assert_eq!(convert["title"], "Convert a length");
    assert_eq!(convert["description"], "Convert a length from one unit to another.");
    assert_eq!(
        (&convert["annotations"]["readOnlyHint"], &convert["annotations"]["idempotentHint"]),
        (&json!(true), &json!(true))
    );
    let input = &convert["inputSchema"];
    assert_eq!(input["type"], "object");
    assert_eq!(input["additionalProperties"], false);
    assert_eq!(input["required"], json!(["amount", "from", "to"]), "what is an `Option` may be left out");
    assert_eq!(input["examples"], json!([{ "amount": 26.2, "from": "mile", "to": "kilometre" }]));
    let amount =
        json!({ "type": "number", "minimum": 0.0, "maximum": 1e12, "description": "How long it is, in `from`." });
    assert_eq!(input["properties"]["amount"], amount);
    assert_eq!(input["properties"]["digits"]["type"], "integer", "one type, also of what may be left out");
    assert_eq!(convert["outputSchema"]["required"], json!(["amount", "unit", "metres"]));
}

#[test]
fn rest_and_mcp_answer_the_same_and_mistakes_name_their_place() {
    let Some(server) = server() else { return };
    let (admin, mcp) = (server.admin(), Mcp::modern(server.admin()));
    let arguments = json!({ "amount": 1, "from": "mile", "to": "metre" });
    let converted = json!({ "amount": 1609.344, "unit": "metre", "metres": 1609.344 });

    assert_eq!(admin.call("unit-converter/convert", &arguments).value(), converted);
    assert_eq!(mcp.call("unit-converter__convert", &arguments)["structuredContent"], converted);
    let refused = admin.call("unit-converter/convert", &json!({ "amount": -1, "from": "mile", "to": "metre" }));
    assert_eq!(refused.refused(422, "invalid_input").mistakes()[0].0, "/amount");
    let below = json!({ "one": { "amount": -1, "unit": "mile" }, "other": { "amount": 1, "unit": "mile" } });
    let failed = mcp.call("unit-converter__compare", &below);
    assert_eq!(failed["isError"], true);
    assert_eq!(failed["content"][0]["text"], "/one/amount: a length is not below zero");
    assert_eq!(failed["_meta"]["fumehood/error"], json!({ "kind": "invalid", "pointer": "/one/amount" }));
}

#[test]
fn a_component_imports_nothing_that_its_tools_do_not_use() {
    for (name, own) in [
        ("unit-converter", vec![]),
        ("primes", vec!["fumehood:host/call@0.1.0", "fumehood:host/job@0.1.0"]),
        ("bar-chart", vec![]),
    ] {
        let Some(component) = guest(name) else { return };
        let shown = Finished::of(command().arg("inspect").arg(&component).args(["-o", "json"])).json();
        let imports = shown["imports"].as_array().unwrap().iter();
        let imports = imports.map(|import| import.as_str().or_else(|| import["name"].as_str()).unwrap());
        // What Rust's library brings along.
        let imports: Vec<_> =
            imports.filter(|name| !name.starts_with("wasi:cli/") && !name.starts_with("wasi:io/")).collect();
        assert_eq!(imports, own, "{name}");
        let size = fs::metadata(&component).unwrap().len();
        assert!(size < 300 << 10, "{name} has {size} bytes");
    }
}

#[test]
fn what_is_granted_works_and_nothing_else() {
    let Some(server) = server() else { return };
    let admin = server.admin();
    let web = page("<title>A  page</title>");

    admin.call("page-title/page_title", &json!({ "url": web })).refused(422, "tool_error");
    grant(&server, "page-title", &format!("http:GET {web}"));
    let found = admin.call("page-title/page_title", &json!({ "url": web })).value();
    assert_eq!(found, json!({ "title": "A page", "url": web }));
    grant(&server, "guest-book", "keyvalue:guests");
    for (number, name) in [(1, "Ada"), (2, "Grace")] {
        let signed = admin.call("guest-book/sign", &json!({ "name": name, "words": "Hello" })).value();
        assert_eq!(signed, json!({ "number": number }));
    }
    assert_eq!(admin.call("guest-book/read", &json!({})).value()["result"][0]["name"], "Grace");
}

#[test]
fn an_image_is_an_image_and_a_question_waits_for_its_answer() {
    let Some(server) = server() else { return };
    let mcp = Mcp::modern(server.admin()).able(json!({ "elicitation": {} }));

    let chart = mcp.call("bar-chart__bar_chart", &json!({ "values": [3, 1, 2] }));
    assert_eq!(
        (&chart["content"][0]["type"], &chart["content"][0]["mimeType"]),
        (&json!("image"), &json!("image/png"))
    );
    let asked = mcp.call("table-booking__book_table", &json!({ "day": "2026-12-24" }));
    assert_eq!(asked["inputRequests"]["party"]["params"]["message"], "How many will come?", "{asked}");
    let answer = |state: &Value, key: &str, content: Value| {
        let responses = json!({ key: { "action": "accept", "content": content } });
        let params = json!({
            "name": "table-booking__book_table", "arguments": { "day": "2026-12-24" },
            "inputResponses": responses, "requestState": state,
        });
        mcp.request("tools/call", params)
    };
    let again = answer(&asked["requestState"], "party", json!({ "guests": 3 }));
    assert!(again["inputRequests"]["agreement"].is_object(), "what was answered before is remembered: {again}");
    let booked = answer(&again["requestState"], "agreement", json!({ "wish": "quiet" }));
    assert_eq!(booked["structuredContent"]["guests"], 3, "{booked}");
    // An answer to what was not asked counts for nothing.
    let forged = answer(&asked["requestState"], "agreement", json!({ "wish": "quiet" }));
    assert!(forged["inputRequests"]["party"].is_object(), "{forged}");
}

#[test]
fn what_the_code_asks_to_be_permitted_is_in_the_component_that_is_built() {
    let Some(_) = guest("page-title") else { return };
    let home = tempfile::TempDir::new().unwrap();
    let project = home.path().join("page-title");
    fs::create_dir_all(project.join("src")).unwrap();
    let source = folder("page-title");
    for file in ["Cargo.lock", "tool.toml", "src/lib.rs"] {
        fs::copy(source.join(file), project.join(file)).unwrap();
    }
    let sdk = workspace().join("wit/sdk/rust/fumehood");
    let manifest = fs::read_to_string(source.join("Cargo.toml")).unwrap();
    fs::write(project.join("Cargo.toml"), manifest.replace("../../wit/sdk/rust/fumehood", sdk.to_str().unwrap()))
        .unwrap();
    std::os::unix::fs::symlink(target_dir().join("guests"), project.join("target")).unwrap();

    let built = Finished::of(command().args(["build", "page-title"]).current_dir(home.path()));
    assert_eq!(built.code, 0, "{}", built.stderr);
    let checked = Finished::of(command().args(["check", "page-title", "--strict"]).current_dir(home.path()));
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    let server = Server::setup().patient().start();
    let pushed = Finished::of(server.command(&["push"]).arg(project.join("page-title.wasm")).current_dir(home.path()));
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    let review = server.admin().get("/api/v1/modules/page-title/permissions").value().to_string();
    assert!(review.contains("http:GET https://example.com"), "{review}");
    assert!(review.contains("Reads the pages whose titles are asked for."), "{review}");
}

#[test]
fn its_examples_are_tests_and_a_file_of_it_is_called_without_a_server() {
    let Some(component) = guest("unit-converter") else { return };
    let home = tempfile::tempdir().unwrap();
    fs::copy(component, home.path().join("built.wasm")).unwrap();
    let manifest = fs::read_to_string(folder("unit-converter").join("tool.toml")).unwrap();
    let built = "command = \"true\"\ncomponent = \"built.wasm\"\n";
    let manifest: Vec<_> =
        manifest.lines().filter(|line| !["command", "component"].iter().any(|key| line.starts_with(key))).collect();
    let manifest = manifest.join("\n").replace("[build]\n", &format!("[build]\n{built}"));
    fs::write(home.path().join("tool.toml"), manifest).unwrap();
    let run = |arguments: &[&str]| Finished::of(command().args(arguments).current_dir(home.path()));

    let tested = run(&["test"]);
    assert_eq!(tested.code, 0, "{}{}", tested.stdout, tested.stderr);
    assert!(tested.stderr.contains("4 passed, 0 failed"), "{}", tested.stderr);
    let called = run(&["call", "built.wasm", "convert", "amount:=1", "from=mile", "to=metre"]);
    assert_eq!(called.code, 0, "{}", called.stderr);
    assert_eq!(called.stdout.parse::<Value>().unwrap()["metres"], 1609.344);
    let refused = run(&["call", "built.wasm", "convert", "amount:=-1", "from=mile", "to=metre"]);
    assert_eq!(refused.code, 6, "what does not fit is told before it is called: {}{}", refused.stdout, refused.stderr);
}
