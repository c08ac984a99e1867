//! Components that take a while to compile.

use std::thread;

use fumehood_tests::{Finished, Server, bombs, eventually, wat};
use serde_json::{Value, json};

/// Functions of the large one: seconds of work.
const FUNCTIONS: usize = 60_000;

/// Calls of the old version that must be answered while the new one is compiled.
const MEANWHILE: usize = 10;

const COMPILING: &str = " is being compiled";
const CACHED: &str = " comes from the cache";

#[test]
fn the_old_version_answers_while_a_large_one_is_compiled_and_a_second_start_compiles_nothing() {
    let setup = Server::setup().patient().set("log.filter", "info,fumehood_sandbox=debug");
    let server = setup.start();
    let add = || server.admin().call("tool/add", &json!({ "a": 2, "b": 40 })).value();
    assert_eq!(server.admin().upload("tool", &wat("add")).status, 201);
    assert_eq!(add(), 42);
    let file = server.data().join("large.wasm");
    std::fs::write(&file, bombs::many_functions_of(FUNCTIONS)).unwrap();
    let compiled = || server.log().matches("was compiled in").count();

    let pushed = thread::scope(|scope| {
        let push = scope.spawn(|| Finished::of(server.command(&["push", "--name", "tool"]).arg(&file)));
        eventually("the new version is being compiled", || server.log().matches(COMPILING).count() == 2);
        for _ in 0..MEANWHILE {
            assert_eq!(add(), 42);
        }
        assert_eq!(compiled(), 1, "the calls were answered before the new version was there");
        push.join().unwrap()
    });

    assert!(pushed.stderr.contains("module tool is served"), "{}", pushed.stderr);
    assert_eq!(server.admin().call("tool/run", &json!({})).value(), Value::Null);
    assert_eq!(server.admin().call("tool/add", &json!({ "a": 2, "b": 40 })).status, 404);

    let server = server.restart();
    assert_eq!(server.admin().call("tool/run", &json!({})).value(), Value::Null);

    server.says(CACHED);
    assert!(!server.log().contains(COMPILING), "{}", server.log());
}
