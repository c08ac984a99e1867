//! The components in the repository are what their sources say.

use std::{fs, path::PathBuf};

use fumehood_tests::{Client, Expected, Server, examples, folder, guest, workspace};
use serde_json::{Value, json};

#[test]
fn prebuilt_components_offer_and_answer_what_their_sources_do() {
    let prebuilt = prebuilt();
    assert_eq!(prebuilt.len(), 5, "{prebuilt:?}");
    let (mut old, mut new) = (Server::setup().patient(), Server::setup().patient());
    for (name, file) in &prebuilt {
        let Some(fresh) = guest(name) else { return };
        old = old.guest(name, file);
        new = new.guest(name, &fresh);
    }
    let (old, new) = (old.start(), new.start());

    for (name, _) in &prebuilt {
        assert_eq!(offer(old.admin(), name), offer(new.admin(), name), "{name}: run `just guests`");
        for example in examples(&folder(name)) {
            let tool = format!("{name}/{}", example.function);
            let (before, now) =
                (old.admin().call(&tool, &example.arguments), new.admin().call(&tool, &example.arguments));
            assert_eq!(before.status, now.status, "{tool}({})", example.arguments);
            match example.expected {
                Expected::Value(value) => assert_eq!((before.value(), now.value()), (value.clone(), value)),
                Expected::Error(error) => {
                    let error = json!({ "error": error });
                    let details = |answer: fumehood_tests::Answer| answer.refused(422, "tool_error").details;
                    assert_eq!((details(before), details(now)), (error.clone(), error));
                }
            }
        }
    }
}

/// The name and file of every component that comes with the binary.
fn prebuilt() -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(workspace().join("runtime/cli/demo")).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let components = files.filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    components.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)).collect()
}

/// What the module offers and needs, without what differs between two builds.
fn offer(client: &Client, module: &str) -> Value {
    let mut shown = client.get(&format!("/api/v1/modules/{module}")).value();
    let fields = shown.as_object_mut().unwrap();
    fields.retain(|key, _| ["functions", "rejected", "imports", "compatibility", "tools"].contains(&key.as_str()));
    shown
}
