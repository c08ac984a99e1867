//! Who may do what.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use fumehood_tests::{Client, Finished, Server, wat};
use serde_json::{Value, json};

#[test]
fn without_a_valid_key_nothing_is_answered() {
    let server = Server::setup().api("add", wat("add")).start();
    let key = server.admin().key().to_owned();
    let nobody = server.admin().anonymous();
    let call = |headers: &[(&str, &str)]| nobody.call_with("add/add", headers, &json!({ "a": 1, "b": 2 }));

    let missing = call(&[]);
    assert_eq!(missing.header("www-authenticate"), Some("Bearer realm=\"fumehood\""));
    assert_eq!(
        missing.refused(401, "unauthenticated").message,
        "send a key as `Authorization: Bearer fh_…` or `X-API-Key: fh_…`"
    );
    let (shorter, other) = (&key[..key.len() - 1], format!("{}!", &key[..key.len() - 1]));
    for wrong in ["x", "fh_", "fh_a_b", shorter, &other, &key.to_uppercase()] {
        let refused = call(&[("authorization", &format!("Bearer {wrong}"))]).refused(401, "unauthenticated");
        assert_eq!(refused.message, "this key is not valid, or has been revoked");
        call(&[("x-api-key", wrong)]).refused(401, "unauthenticated");
    }
    call(&[("authorization", &format!("Basic {key}"))]).refused(401, "unauthenticated");

    assert_eq!(call(&[("authorization", &format!("bearer {key}"))]).value(), json!(3));
    assert_eq!(call(&[("x-api-key", &key)]).value(), json!(3));
    nobody.get(&format!("/api/v1/tools?key={key}")).refused(401, "unauthenticated");
}

#[test]
fn a_key_for_calls_cannot_administrate() {
    let server = Server::setup().api("add", wat("add")).start();
    let (id, caller) = server.admin().new_key("ci", "call");

    assert_eq!(caller.call("add/add", &json!({ "a": 1, "b": 2 })).value(), json!(3));
    assert_eq!(caller.get("/api/v1/modules").status, 200);
    let refusals = [
        (caller.upload("new", &wat("add")), "install modules"),
        (caller.delete("/api/v1/modules/add"), "remove modules"),
        (caller.get("/api/v1/keys"), "manage keys"),
        (caller.post("/api/v1/keys", &json!({ "name": "x", "roles": ["admin"] })), "manage keys"),
        (caller.delete(&format!("/api/v1/keys/{id}")), "manage keys"),
    ];
    let broken = [
        (caller.post("/api/v1/keys", &json!(1)), "manage keys"),
        (caller.send("PUT", "/api/v1/secrets/A", &[("content-type", "application/json")], b"{"), "manage secrets"),
        (caller.post("/api/v1/modules/add/permissions", &json!({ "grant": "nonsense" })), "grant permissions"),
        (caller.post("/api/v1/modules/add/permissions", &json!([])), "grant permissions"),
        (caller.delete("/api/v1/modules/add/permissions?grant=nonsense"), "grant permissions"),
        (caller.upload("NO%20NAME", b"x"), "install modules"),
    ];
    for (answer, what) in refusals.into_iter().chain(broken) {
        assert_eq!(
            answer.refused(403, "forbidden").message,
            format!("key `{id}` may not {what}: it needs the role `admin`")
        );
    }
}

#[test]
fn a_key_for_calls_is_told_nothing_of_the_machine_or_of_other_keys() {
    let server = Server::setup().api("add", wat("add")).file("broken.wasm", "hello").start();
    server.admin().upload("sent", &wat("add")).expect(201);
    let (_, caller) = server.admin().new_key("ci", "call");
    let list = |client: &Client| client.get("/api/v1/modules").value();

    let (all, told) = (list(server.admin()), list(&caller));

    let folder = server.apis().display().to_string();
    assert!(all["modules"][0]["path"].as_str().unwrap().starts_with(&folder), "{all}");
    assert_eq!((&all["modules"][1]["installed_by"], all["problems"].as_array().unwrap().len()), (&json!("admin"), 1));
    assert_eq!((&told["modules"][0]["name"], &told["modules"][1]["name"]), (&json!("add"), &json!("sent")));
    let shown = ["add", "sent"].map(|name| caller.get(&format!("/api/v1/modules/{name}")).value());
    for told in [told, shown[0].clone(), shown[1].clone()] {
        let told = told.to_string();
        let hidden = [&folder, "installed_by", "\"path\"", "broken", "problems"];
        assert!(hidden.iter().all(|hidden| !told.contains(*hidden)), "{told}");
    }
    assert_eq!(caller.get("/api/v1/health/detailed").value()["problems"], 1);
}

#[test]
fn a_revoked_key_is_useless_at_once_and_after_a_restart() {
    let server = Server::setup().api("add", wat("add")).start();
    let (id, caller) = server.admin().new_key("ci", "call");
    let (kept, _) = server.admin().new_key("kept", "call");
    assert_eq!(caller.get("/api/v1/tools").status, 200);

    server.admin().delete(&format!("/api/v1/keys/{id}")).empty(204);

    caller.get("/api/v1/tools").refused(401, "unauthenticated");
    server.admin().delete(&format!("/api/v1/keys/{id}")).refused(404, "not_found");
    let revoked = caller.key().to_owned();
    let server = server.restart();
    server.admin().with_key(&revoked).get("/api/v1/tools").refused(401, "unauthenticated");
    let keys = server.admin().get("/api/v1/keys").value();
    let state: Vec<_> =
        keys["keys"].as_array().unwrap().iter().map(|key| (&key["name"], key.get("revoked_at").is_some())).collect();
    assert_eq!(state, [(&json!("admin"), false), (&json!("ci"), true), (&json!("kept"), false)]);
    assert_eq!(keys["keys"][2]["id"], json!(kept));
}

#[test]
fn a_new_key_is_shown_once_and_its_request_is_checked() {
    let server = Server::start();
    let create = |body: &Value| server.admin().post("/api/v1/keys", body);

    let made = create(&json!({ "name": "a\u{202e}b", "roles": ["call", "admin"] })).expect(201);
    let listed = server.admin().get("/api/v1/keys").value();

    assert!(made["key"].as_str().unwrap().starts_with("fh_"));
    assert!(!listed.to_string().contains(made["key"].as_str().unwrap().rsplit('_').next().unwrap()));
    for wrong in [
        json!({ "name": "", "roles": ["call"] }),
        json!({ "name": " ", "roles": ["call"] }),
        json!({ "name": "x".repeat(101), "roles": ["call"] }),
        json!({ "name": "a\nb", "roles": ["call"] }),
        json!({ "name": "x", "roles": [] }),
        json!({ "name": "x", "roles": ["root"] }),
        json!({ "name": "x" }),
        json!({ "name": "x", "roles": ["call"], "extra": 1 }),
    ] {
        create(&wrong).refused(400, "malformed");
    }
}

#[test]
fn the_last_administrator_cannot_be_revoked() {
    let server = Server::start();
    let keys = server.admin().get("/api/v1/keys").value();
    let path = format!("/api/v1/keys/{}", keys["keys"][0]["id"].as_str().unwrap());

    let refused = server.admin().delete(&path).refused(409, "conflict");
    assert_eq!(refused.message, "this is the last key with the role admin: create another before you revoke it");
    let (_, second) = server.admin().new_key("second", "admin");
    second.delete(&path).empty(204);
    server.admin().get("/api/v1/keys").refused(401, "unauthenticated");
    assert_eq!(second.get("/api/v1/keys").status, 200);
    drop(server);
}

#[test]
fn the_first_key_is_shown_once_and_kept_for_its_owner_only() {
    let server = Server::start();
    let key = server.admin().key().to_owned();
    let data = server.data();

    let mode = |name: &str| fs::metadata(data.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("admin.key"), mode("secret"), mode("")), (0o600, 0o600, 0o700));
    for file in ["fumehood.db", "fumehood.db-wal", "fumehood.db-shm"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    server.says("shown only once");
    assert_eq!(server.log().matches(&key).count(), 1, "{}", server.log());
    // Files that somebody has opened are closed when the server starts. A directory may be another's as well: it is told of.
    let setup = server.stop();
    for (file, open) in [("", 0o755), ("fumehood.db", 0o644)] {
        fs::set_permissions(data.join(file), fs::Permissions::from_mode(open)).unwrap();
    }
    let server = setup.start();
    assert_eq!((mode(""), mode("fumehood.db")), (0o755, 0o600));
    server.says("chmod 700");
    let server = server.restart();
    server.says("Loaded 0 modules");
    assert_eq!(server.log().matches(&key).count(), 0, "{}", server.log());
    assert_eq!(server.admin().key(), key);
}

#[test]
fn secrets_of_keys_are_nowhere_on_disk() {
    let server = Server::start();
    let (_, caller) = server.admin().new_key("ci", "call");
    let secret = caller.key().rsplit('_').next().unwrap().as_bytes().to_vec();
    let _ = caller.get("/api/v1/tools");
    let data = server.data();

    let setup = server.stop();

    assert_eq!(files_with(&data, &secret), Vec::<String>::new());
    drop(setup);
}

fn files_with(folder: &Path, secret: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut files_with(&path, secret));
        } else if fs::read(&path).unwrap().windows(secret.len()).any(|window| window == secret) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn no_secret_and_no_input_is_logged() {
    let server = Server::setup().api("add", wat("add")).set("log.filter", "trace").start();
    let (_, caller) = server.admin().new_key("ci", "call");
    assert_eq!(caller.call("add/add", &json!({ "a": 123_454_321, "b": 2 })).value(), json!(123_454_323));

    server.says("Call of add__add ended");

    let log = server.log();
    assert!(!log.contains(caller.key()) && !log.contains("123454321") && !log.contains("123454323"), "{log}");
}

#[test]
fn without_authentication_everyone_administrates_but_only_on_loopback() {
    let server = Server::setup().argument("--no-auth").start();
    assert_eq!(server.admin().anonymous().upload("add", &wat("add")).status, 201);
    assert_eq!(server.admin().anonymous().call("add/add", &json!({ "a": 1, "b": 2 })).value(), json!(3));

    let setup = Server::setup().argument("--no-auth");
    let mut command = setup.command();
    command.args(["--listen", "0.0.0.0:0"]);
    let finished = Finished::of(&mut command);
    let mut command = fumehood_tests::command();
    command.args(["serve", "--no-auth", "--listen", "0.0.0.0:0", "--data-dir"]).arg(setup.data());
    let open = Finished::of(&mut command);

    assert_ne!(finished.code, 0);
    assert_eq!(
        open.failed(6),
        "error: the configuration is not valid\n  server.auth is off (--no-auth) while server.listen is \
         0.0.0.0:0 (--listen): without authentication the server listens on loopback only"
    );
}

#[test]
fn nobody_gets_past_any_route_but_the_open_ones() {
    let server = Server::setup().api("add", wat("add")).start();
    let nobody = server.admin().anonymous();
    let document = server.admin().get("/openapi.json").value();
    let mut open = Vec::new();
    let mut count = 0;

    for (path, item) in document["paths"].as_object().unwrap() {
        let concrete = path.replace("{module}", "add").replace("{name}", "add__add").replace("{id}", "x");
        for method in item
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| ["get", "put", "post", "delete", "patch"].contains(&key.as_str()))
        {
            count += 1;
            let body: &[u8] = if method == "get" || method == "delete" { b"" } else { b"{}" };
            let answer = nobody.send(&method.to_uppercase(), &concrete, &[], body);
            if answer.status == 401 {
                answer.refused(401, "unauthenticated");
            } else {
                open.push(format!("{method} {path}: {}", answer.status));
            }
        }
    }

    open.sort();
    assert!(count >= 16, "{count}");
    assert_eq!(open, ["get /api/v1/health/live: 200", "get /api/v1/health/ready: 200", "get /api/v1/health: 200"]);
    nobody.send("POST", "/mcp", &[], b"{}").refused(401, "unauthenticated");
    nobody.get("/mcp").refused(401, "unauthenticated");
}

#[test]
fn the_openapi_document_shows_tools_only_to_who_may_call_them() {
    let server = Server::setup().api("add", wat("add")).start();

    let known = server.admin().get("/openapi.json").value();
    let anonymous = server.admin().anonymous().get("/openapi.json").value();

    assert_eq!(known["openapi"].as_str().map(|version| &version[..4]), Some("3.1."));
    assert!(known["paths"].get("/api/add/add").is_some());
    assert!(anonymous["paths"].get("/api/add/add").is_none());
    server.admin().with_key("fh_a_b").get("/openapi.json").refused(401, "unauthenticated");
}
