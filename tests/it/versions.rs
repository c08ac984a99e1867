//! Every upload is a version: which there are, which is served, and how to go back.

use std::fs;

use fumehood_tests::{Client, Finished, Mcp, Server, eventually};
use serde_json::json;

use crate::reload::{told, version};

fn done(server: &Server, arguments: &[&str]) {
    let finished = Finished::of(&mut server.command(arguments));
    assert_eq!(finished.code, 0, "{}", finished.stderr);
}

/// The numbers of the versions of `it` and what becomes of each, the newest first.
fn states(client: &Client) -> Vec<(u64, String)> {
    let list = client.get("/api/v1/modules/it/versions").value();
    let versions = list["versions"].as_array().unwrap();
    versions.iter().map(|v| (v["number"].as_u64().unwrap(), v["state"].as_str().unwrap().to_owned())).collect()
}

fn known(numbers: &[(u64, &str)]) -> Vec<(u64, String)> {
    numbers.iter().map(|(number, state)| (*number, (*state).to_owned())).collect()
}

#[test]
fn every_upload_is_a_version_and_any_of_them_can_be_served_again() {
    let server = Server::start();
    let admin = server.admin();
    let path = |rest: &str| format!("/api/v1/modules/it/{rest}");
    for number in 1..=3 {
        assert!(admin.upload("it", &version(number)).status < 300);
    }
    assert_eq!(states(admin), known(&[(3, "served"), (2, "kept"), (1, "kept")]));

    // Back by one, and by one more; then there is none before.
    for number in [2, 1] {
        let answer = admin.post(&path("rollback"), &json!({})).value();
        assert_eq!((&answer["name"], told(admin, "it")), (&json!("it"), json!(number)));
    }
    let refused = admin.post(&path("rollback"), &json!({})).refused(404, "not_found");
    assert!(refused.message.contains("no earlier version that was served: there are versions 3, 2, 1"), "{refused:?}");

    // To any of them, by number or by component, also after a restart.
    let server = server.restart();
    let admin = server.admin();
    assert_eq!(told(admin, "it"), 1);
    admin.post(&path("versions/3/promote"), &json!({})).value();
    assert_eq!(told(admin, "it"), 3);
    let digest = admin.get(&path("versions")).value()["versions"][1]["digest"].as_str().unwrap().to_owned();
    admin.post(&path(&format!("versions/{}/promote", &digest[..15])), &json!({})).value();
    assert_eq!(told(admin, "it"), 2);
    // An upload of what there was is that version.
    assert_eq!(admin.upload("it", &version(1)).status, 200);
    assert_eq!(states(admin), known(&[(3, "kept"), (2, "kept"), (1, "served")]));

    admin.post(&path("versions/9/promote"), &json!({})).refused(404, "not_found");
    admin.post(&path("versions/x/promote"), &json!({})).refused(400, "malformed");
    admin.get("/api/v1/modules/nothing/versions").refused(404, "not_found");
    let (_, caller) = admin.new_key("caller", "call");
    caller.get(&path("versions")).refused(403, "forbidden");
    caller.post(&path("rollback"), &json!({})).refused(403, "forbidden");
    caller.post(&path("versions/3/promote"), &json!({})).refused(403, "forbidden");
    caller.send("PUT", &path("pin"), &[], b"").refused(403, "forbidden");
    assert_eq!(told(admin, "it"), 1);

    // With its module all of them go.
    assert_eq!(admin.delete("/api/v1/modules/it").status, 204);
    admin.get(&path("versions")).refused(404, "not_found");
    let components = server.data().join("components");
    eventually("their components go", || fs::read_dir(&components).unwrap().count() == 0);
}

#[test]
fn a_pinned_module_keeps_its_version_until_another_is_promoted() {
    let server = Server::start();
    let admin = server.admin();
    let run = |arguments: &[&str]| Finished::of(&mut server.command(arguments));
    assert_eq!(admin.upload("it", &version(1)).status, 201);

    assert!(run(&["modules", "pin", "it"]).ok().contains("served, pinned"));
    let kept = admin.upload("it", &version(2));
    assert_eq!((kept.status, &kept.json()["status"], &kept.json()["version"]), (202, &json!("pinned"), &json!(2)));
    assert_eq!(told(admin, "it"), 1);
    assert_eq!(states(admin), known(&[(2, "kept"), (1, "served")]));
    let file = server.data().with_file_name("it.wasm");
    fs::write(&file, version(3)).unwrap();
    let pushed = run(&["push", file.to_str().unwrap()]);
    assert_eq!(pushed.code, 0);
    assert!(pushed.stderr.contains("fumehood modules promote it 3"), "{}", pushed.stderr);
    assert_eq!(told(admin, "it"), 1);

    let server = server.restart();
    let (admin, run) = (server.admin(), |arguments: &[&str]| Finished::of(&mut server.command(arguments)));
    done(&server, &["modules", "promote", "it", "3"]);
    assert_eq!(told(admin, "it"), 3);
    assert_eq!(admin.upload("it", &version(4)).status, 202, "it is still pinned, to this one");
    let listed = run(&["modules", "versions", "it"]).ok().to_owned();
    assert!(listed.lines().any(|line| line.starts_with('3') && line.contains("served, pinned")), "{listed}");

    done(&server, &["modules", "unpin", "it"]);
    assert_eq!(admin.upload("it", &version(5)).status, 200);
    assert_eq!(told(admin, "it"), 5);
    // Back to what was served before, not to what was only kept.
    done(&server, &["modules", "rollback", "it"]);
    assert_eq!(told(admin, "it"), 3);
}

#[test]
fn the_newest_versions_are_kept_and_the_one_that_is_served() {
    let server = Server::setup().set("components.versions", 2).start();
    let admin = server.admin();
    for number in 1..=3 {
        assert!(admin.upload("it", &version(number)).status < 300);
    }
    assert_eq!(states(admin), known(&[(3, "served"), (2, "kept")]));
    admin.post("/api/v1/modules/it/versions/2/promote", &json!({})).value();
    assert_eq!(admin.send("PUT", "/api/v1/modules/it/pin", &[], b"").value()["pinned"], true);
    for number in 4..=6 {
        assert!(admin.upload("it", &version(number)).status < 300);
    }

    assert_eq!(states(admin), known(&[(6, "kept"), (5, "kept"), (2, "served")]));
    assert_eq!(told(admin, "it"), 2);
    let components = server.data().join("components");
    eventually("the others go", || fs::read_dir(&components).unwrap().count() == 3);
}

#[test]
fn a_version_that_was_served_once_is_not_reviewed_again_and_one_that_never_was_is() {
    let asks = |name: &str| format!("[[permissions]]\nallow = \"env:{name}\"\nreason = \"x\"\n");
    let server = Server::setup().set("components.on_new_permissions", "hold").start();
    let admin = server.admin();
    assert_eq!(admin.upload_with("it", &version(1), &asks("A")).status, 201);
    assert_eq!(admin.upload("it", &version(2)).status, 200);
    assert_eq!(admin.upload_with("it", &version(3), &asks("B")).status, 202);
    assert_eq!(states(admin), known(&[(3, "waiting"), (2, "served"), (1, "kept")]));

    let waits = admin.post("/api/v1/modules/it/versions/3/promote", &json!({}));
    assert_eq!((waits.status, &waits.json()["status"]), (202, &json!("waiting")));
    admin.post("/api/v1/modules/it/rollback", &json!({})).value();
    assert_eq!(told(admin, "it"), 1);
    assert_eq!(admin.get("/api/v1/modules/it/permissions").value()["grants"], json!([]), "nothing is granted by that");
}

#[test]
fn a_module_of_a_file_has_no_versions_here() {
    let server = Server::setup().api("it", version(1)).start();
    for (method, path) in [("GET", "versions"), ("POST", "rollback"), ("PUT", "pin"), ("POST", "versions/1/promote")] {
        let refused = server.admin().send(method, &format!("/api/v1/modules/it/{path}"), &[], b"");
        let refused = refused.refused(409, "conflict");
        assert!(refused.message.contains("it.wasm"), "{refused:?}");
    }
}

#[test]
fn what_is_deprecated_says_so_to_whoever_lists_describes_or_calls_it() {
    let manifest = "[functions.version]\ndeprecated = \"Use `other.version` instead.\"\n";
    let server = Server::start();
    let admin = server.admin();
    assert_eq!(admin.upload("it", &version(1)).status, 201);
    let before = admin.get("/api/v1/tools/it__version").value()["definition"].clone();

    assert_eq!(admin.upload_with("it", &version(1), manifest).status, 200);

    let words = "Use `other.version` instead.";
    let answer = admin.call("it/version", &json!({}));
    assert_eq!((answer.status, answer.json()), (200, json!(1)), "it works all the same");
    let since: u64 = answer.header("deprecation").unwrap().strip_prefix('@').unwrap().parse().unwrap();
    assert!(since > 1_700_000_000, "{since}");
    assert_eq!(answer.header("link"), Some("</api/v1/tools/it__version>; rel=\"deprecation\""));
    let refused = admin.call("it/version", &json!({ "no": 1 }));
    assert!(refused.status == 422 && refused.header("deprecation").is_some(), "{}", refused.text());
    let executed = admin.post("/api/v1/tools/it__version/execute", &json!({}));
    assert!(executed.status == 200 && executed.header("deprecation").is_some(), "{}", executed.text());
    let tool = admin.get("/api/v1/tools/it__version").value();
    assert_eq!(tool["deprecated"], words);
    assert_ne!(tool["definition"], before, "it says something else than before, which a model reads");
    let operation = &admin.get("/openapi.json").value()["paths"]["/api/it/version"]["post"];
    assert_eq!(operation["deprecated"], true);
    assert!(operation["description"].as_str().unwrap().starts_with("Deprecated: Use"), "{operation}");
    let listed = &Mcp::modern(admin).tools()[0];
    assert!(listed["description"].as_str().unwrap().starts_with("Deprecated: Use"), "{listed}");
    assert_eq!(listed["_meta"]["dev.fumehood/deprecated"], words);
    let run = |arguments: &[&str]| Finished::of(&mut server.command(arguments));
    assert!(run(&["tools", "ls"]).ok().contains("(deprecated)"));
    assert!(run(&["modules", "show", "it"]).ok().contains("deprecated: Use"));
    let called = run(&["call", "it.version"]);
    assert_eq!(called.ok().trim(), "1");
    assert!(called.stderr.contains("warning: it__version is deprecated: Use"), "{}", called.stderr);

    // All of a module, until a version says nothing of it any more.
    assert_eq!(admin.upload_with("it", &version(1), "deprecated = \"All of it.\"\n").status, 200);
    assert_eq!(admin.get("/api/v1/tools/it__version").value()["deprecated"], "All of it.");
    assert_eq!(admin.upload("it", &version(1)).status, 200);
    assert_eq!(admin.call("it/version", &json!({})).header("deprecation"), None);
}

#[test]
fn going_back_is_to_what_was_served_before_whatever_its_number() {
    let server = Server::start();
    let admin = server.admin();
    let back = || admin.post("/api/v1/modules/it/rollback", &json!({}));
    for number in 1..=3 {
        assert!(admin.upload("it", &version(number)).status < 300);
    }

    // What there was comes again, as the same version: what was served before is still what was.
    assert_eq!(admin.upload("it", &version(1)).status, 200);
    assert_eq!(back().status, 200);
    assert_eq!(told(admin, "it"), 3);
    // One that was promoted by mistake is left again.
    let _ = admin.post("/api/v1/modules/it/versions/2/promote", &json!({})).value();
    assert_eq!(back().status, 200);
    assert_eq!(told(admin, "it"), 3);
    // After going back, the next one is served after what one went back to.
    assert_eq!(admin.upload("it", &version(4)).status, 200);
    assert_eq!(back().status, 200);
    assert_eq!(told(admin, "it"), 3);
}

#[test]
fn a_version_that_was_served_outlives_that_it_is_sent_again_and_rejected() {
    let server = Server::setup().set("components.on_new_permissions", "hold").start();
    let admin = server.admin();
    let asks = "[[permissions]]\nallow = \"env:A\"\nreason = \"x\"\n";
    assert_eq!(admin.upload_with("it", &version(1), asks).status, 201);
    assert_eq!(admin.upload("it", &version(2)).status, 200);
    assert_eq!(admin.upload_with("it", &version(1), asks).status, 202);
    assert_eq!(states(admin), known(&[(2, "served"), (1, "waiting")]));

    assert_eq!(admin.post("/api/v1/modules/it/permissions/reject", &json!({})).status, 204);

    assert_eq!(states(admin), known(&[(2, "served"), (1, "kept")]));
    let _ = admin.post("/api/v1/modules/it/rollback", &json!({})).value();
    assert_eq!(told(admin, "it"), 1);
    // One that never was served goes.
    assert_eq!(
        admin.upload_with("it", &version(3), "[[permissions]]\nallow = \"env:B\"\nreason = \"x\"\n").status,
        202
    );
    assert_eq!(admin.post("/api/v1/modules/it/permissions/reject", &json!({})).status, 204);
    assert_eq!(states(admin), known(&[(2, "kept"), (1, "served")]));
}
