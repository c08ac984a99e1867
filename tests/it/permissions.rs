//! What modules ask for, are granted, and are held to.

use std::{fs, io::Write, path::PathBuf, thread, time::Duration};

use fumehood_tests::{Answer, Client, Finished, Mcp, Server, connect, eventually, guest, parse_wat, wat};
use serde_json::{Value, json};

const ONE: &str = "[[permissions]]\nallow = 'secret:API_TOKEN'\nreason = 'Signs its requests.'\n";

/// Asks for more than [`ONE`], and one thing that only an operator can complete.
const MORE: &str = "\
[[permissions]]
allow = 'secret:API_TOKEN'
reason = 'Signs its requests.'
[[permissions]]
allow = 'http:GET https://api.example.com/v1'
reason = 'Asks the weather service.'
[[permissions]]
allow = 'env:LOG_LEVEL'
reason = 'How much to log.'
";

/// A function `which` that answers with `number`: tells which version is served.
fn version(number: u32) -> Vec<u8> {
    parse_wat(&format!(
        "(component
            (core module $code (func (export \"which\") (result i32) (i32.const {number})))
            (core instance $code (instantiate $code))
            (func (export \"which\") (result u32) (canon lift (core func $code \"which\"))))"
    ))
}

/// The component with a custom section `fumehood:tool.toml`.
fn stamped(component: &[u8], manifest: &str) -> Vec<u8> {
    let name = "fumehood:tool.toml";
    let leb = |mut number: usize| {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).unwrap());
        bytes
    };
    let content = [leb(name.len()), name.as_bytes().to_vec(), manifest.as_bytes().to_vec()].concat();
    [component.to_vec(), vec![0], leb(content.len()), content].concat()
}

fn review(client: &Client, module: &str) -> Value {
    client.get(&format!("/api/v1/modules/{module}/permissions")).value()
}

fn grant(client: &Client, module: &str, grant: &str) -> Answer {
    client.post(&format!("/api/v1/modules/{module}/permissions"), &json!({ "grant": grant }))
}

fn revoke(client: &Client, module: &str, grant: &str) -> Answer {
    let grant: String = grant.bytes().map(|byte| format!("%{byte:02X}")).collect();
    client.delete(&format!("/api/v1/modules/{module}/permissions?grant={grant}"))
}

/// One member of each of a list of objects.
fn each(list: &Value, key: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

fn which(client: &Client, module: &str) -> Value {
    client.call(&format!("{module}/which"), &json!({})).value()
}

#[test]
fn nothing_that_a_module_asks_for_is_granted_by_uploading_it() {
    let server = Server::start();
    let admin = server.admin();

    admin.upload_with("beside", &version(1), MORE).expect(201);
    assert_eq!(admin.upload("inside", &stamped(&version(1), MORE)).status, 201);

    for module in ["beside", "inside"] {
        let review = review(admin, module);
        assert_eq!(
            each(&review["asks"], "grant"),
            ["secret:API_TOKEN", "http:GET https://api.example.com/v1", "env:LOG_LEVEL"]
        );
        assert_eq!(each(&review["asks"], "granted"), ["no", "no", "no"]);
        assert_eq!(review["asks"][1]["reason"], "Asks the weather service.");
        assert_eq!(
            (&review["grants"], &review["has_used"], &review["could_reach"]),
            (&json!([]), &json!([]), &json!([]))
        );
        assert!(review.get("waiting").is_none() && review.get("changed").is_none(), "{review}");
    }
    assert_eq!(admin.get("/api/v1/permissions").value(), json!({ "grants": [] }));
}

#[test]
fn a_key_for_calls_can_neither_review_nor_grant() {
    let server = Server::start();
    server.admin().upload_with("m", &version(1), ONE).expect(201);
    let (_, caller) = server.admin().new_key("ci", "call");
    let path = "/api/v1/modules/m/permissions";

    for (answer, what) in [
        (caller.get(path), "review permissions"),
        (caller.get("/api/v1/permissions"), "review permissions"),
        (grant(&caller, "m", "secret:API_TOKEN"), "grant permissions"),
        (revoke(&caller, "m", "secret:API_TOKEN"), "grant permissions"),
        (caller.post(&format!("{path}/approve"), &json!({})), "grant permissions"),
        (caller.post(&format!("{path}/reject"), &json!({})), "grant permissions"),
    ] {
        let refused = answer.refused(403, "forbidden");
        assert!(refused.message.contains(&format!("may not {what}: it needs the role `admin`")), "{}", refused.message);
    }
    assert_eq!(which(&caller, "m"), json!(1));
    assert_eq!(each(&review(server.admin(), "m")["asks"], "granted"), ["no"]);
}

#[test]
fn no_mcp_tool_grants_or_reviews() {
    let server = Server::start();
    server.admin().upload_with("m", &version(1), ONE).expect(201);

    let mcp = Mcp::modern(server.admin());
    let tools = mcp.request("tools/list", json!({}));

    assert_eq!(each(&tools["tools"], "name"), ["m__which"]);
}

#[test]
fn grants_outlive_restarts_and_new_versions_but_not_their_module() {
    let server = Server::start();
    let admin = server.admin();
    admin.upload_with("m", &version(1), ONE).expect(201);

    let made = grant(admin, "m", "secret:API_TOKEN").expect(201);
    assert_eq!(
        (&made["module"], &made["grant"], &made["granted_by"]),
        (&json!("m"), &json!("secret:API_TOKEN"), &json!("admin"))
    );
    assert_eq!(grant(admin, "m", "secret:API_TOKEN").status, 200);
    let one = json!({ "grant": "scratch", "function": "which" });
    let narrow = admin.post("/api/v1/modules/m/permissions", &one).expect(201);
    assert_eq!((&narrow["function"], &narrow["grant"]), (&json!("which"), &json!("scratch,bytes=64MiB,files=1000")));
    admin.upload_with("m", &version(2), ONE).expect(200);
    server.says("admin granted secret:API_TOKEN to module m");
    let server = server.restart();
    let admin = server.admin();
    let kept = review(admin, "m");
    assert_eq!(each(&kept["grants"], "grant"), ["secret:API_TOKEN", "scratch,bytes=64MiB,files=1000"]);
    assert_eq!(each(&kept["asks"], "granted"), ["yes"]);

    revoke(admin, "m", "secret:API_TOKEN").empty(204);
    revoke(admin, "m", "secret:API_TOKEN").refused(404, "not_found");
    assert_eq!(each(&review(admin, "m")["asks"], "granted"), ["no"]);
    admin.delete("/api/v1/modules/m").empty(204);
    admin.upload_with("m", &version(3), ONE).expect(201);
    assert_eq!(review(admin, "m")["grants"], json!([]));
}

#[test]
fn what_cannot_be_granted_is_refused_with_what_would_be_right() {
    let server = Server::start();
    let admin = server.admin();
    admin.upload_with("m", &version(1), ONE).expect(201);
    let data = server.data().display().to_string();
    let refused = |text: &str| grant(admin, "m", text).refused(400, "malformed").message;

    assert_eq!(
        refused("sercet:A"),
        "`sercet:A` is not a permission: there is no kind `sercet`; did you mean `secret`?"
    );
    assert_eq!(
        refused("env:A"),
        "`env:A` is what a module asks for; to grant it, add the value, as in `env:LOG_LEVEL=debug`"
    );
    for folder in [&data, &format!("{data}/components"), &format!("{data}/..")[..].replace("/data/..", "")] {
        let message = refused(&format!("files:{folder},at=/d"));
        assert_eq!(message, format!("the folder {folder} cannot be granted: the server keeps its own state there"));
    }
    assert_eq!(refused("files:/,at=/d"), "the folder / cannot be granted: it is the whole machine");
    assert!(refused("files:/no/such/folder,at=/d").ends_with("it is not there, or cannot be opened"));
    grant(admin, "nobody", "scratch").refused(404, "not_found");
    let one = json!({ "grant": "scratch", "function": "witch" });
    let near = admin.post("/api/v1/modules/m/permissions", &one).refused(404, "not_found");
    assert_eq!(near.message, "there is no function `witch`, did you mean `which`?");
    assert_eq!(review(admin, "m")["grants"], json!([]));
}

#[test]
fn a_version_that_asks_for_more_is_served_without_it_until_it_is_reviewed() {
    let server = Server::start();
    server.admin().upload_with("m", &version(1), ONE).expect(201);
    grant(server.admin(), "m", "secret:API_TOKEN").expect(201);

    let served = server.admin().upload_with("m", &version(2), MORE).expect(200);
    let server = server.restart();
    let admin = server.admin();

    let added = ["http:GET https://api.example.com/v1", "env:LOG_LEVEL"];
    assert_eq!(each(&served["changed"]["added"], "grant"), added);
    assert_eq!(which(admin, "m"), json!(2));
    let before = review(admin, "m");
    assert_eq!(each(&before["asks"], "granted"), ["yes", "no", "no"]);
    assert_eq!(each(&before["changed"]["added"], "grant"), added);
    let approved = admin.post("/api/v1/modules/m/permissions/approve", &json!({})).value();
    assert_eq!((&approved["granted"], &approved["left"]), (&json!([added[0]]), &json!([added[1]])));
    let after = review(admin, "m");
    assert_eq!(each(&after["asks"], "granted"), ["yes", "yes", "no"]);
    assert!(after.get("changed").is_none(), "{after}");
}

#[test]
fn a_version_that_asks_for_more_waits_where_it_is_held() {
    let server = Server::setup().set("components.on_new_permissions", "hold").start();
    server.admin().upload_with("m", &version(1), ONE).expect(201);

    let held = server.admin().upload_with("m", &version(2), MORE).expect(202);
    assert_eq!((&held["status"], &held["review"]), (&json!("waiting"), &json!("/api/v1/modules/m/permissions")));
    assert_eq!(each(&held["changed"]["added"], "grant"), ["http:GET https://api.example.com/v1", "env:LOG_LEVEL"]);
    assert_eq!(which(server.admin(), "m"), json!(1));
    let server = server.restart();
    let admin = server.admin();

    assert_eq!(which(admin, "m"), json!(1));
    let review_before = review(admin, "m");
    assert_eq!(each(&review_before["asks"], "grant"), ["secret:API_TOKEN"]);
    assert_eq!(each(&review_before["waiting"]["asks"], "granted"), ["no", "no", "no"]);
    assert_eq!(each(&review_before["changed"]["added"], "grant").len(), 2);
    admin.post("/api/v1/modules/m/permissions/approve", &json!({})).value();
    assert_eq!(which(admin, "m"), json!(2));
    let server = server.restart();
    let admin = server.admin();
    assert_eq!(which(admin, "m"), json!(2));
    let after = review(admin, "m");
    assert_eq!(each(&after["asks"], "granted"), ["yes", "yes", "no"]);
    assert!(after.get("waiting").is_none() && after.get("changed").is_none(), "{after}");
}

#[test]
fn the_command_line_tells_what_a_new_module_lacks_and_which_version_waits() {
    let server = Server::setup().set("components.on_new_permissions", "hold").start();
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("m.wasm");
    let push = |number: u32, about: &str, asks: &str| {
        fs::write(&component, version(number)).unwrap();
        fs::write(folder.path().join("tool.toml"), format!("{about}{asks}")).unwrap();
        Finished::of(&mut server.command(&["push", component.to_str().unwrap(), "-o", "json"]))
    };
    let shown = |arguments: &[&str]| Finished::of(&mut server.command(arguments)).ok().to_owned();

    let first = push(1, "version = '1.0.0'\ndescription = 'Says which.'\n", ONE);
    let held = push(2, "version = '2.0.0'\n", MORE);

    assert!(first.stderr.ends_with("it asks for 1 permission, of which 0 are granted: fumehood review m\n"));
    assert_eq!(first.json().get("status"), None);
    assert_eq!((held.code, &held.json()["status"]), (0, &json!("waiting")));
    for page in [shown(&["modules", "show", "m"]), shown(&["review", "m"])] {
        assert!(page.contains("1.0.0") && page.contains("Says which."), "{page}");
    }
    let waiting = review(server.admin(), "m")["waiting"]["digest"].as_str().unwrap().to_owned();
    assert!(shown(&["modules", "show", "m"]).contains(&format!("{waiting}, to be reviewed")));
    let list = shown(&["modules", "ls"]);
    assert!(list.lines().nth(1).unwrap().ends_with(&waiting[.."sha256:".len() + 12]), "{list}");
}

#[test]
fn what_a_module_will_miss_without_being_refused_it_is_told_when_it_is_loaded() {
    let asks = "[[permissions]]\nallow = 'files,at=/data'\nreason = 'Keeps notes.'\n";
    let server = Server::start();

    server.admin().upload_with("notes", &version(1), &format!("{asks}{MORE}")).expect(201);

    let line = "notes asks for files,at=/data and env:LOG_LEVEL which is not granted: fumehood review notes";
    server.says(line);
    let server = server.restart();
    server.says(line);
    grant(server.admin(), "notes", "env:LOG_LEVEL=debug").expect(201);
    server.restart().says("notes asks for files,at=/data which is not granted");
}

#[test]
fn grants_for_one_place_and_grants_that_nobody_asks_for_are_pointed_out() {
    let server = Server::start();
    server.admin().upload_with("m", &version(1), ONE).expect(201);
    let run = |arguments: &[&str]| Finished::of(&mut server.command(arguments));

    let first = run(&["grants", "add", "m", "keyvalue:cache,bytes=1KiB"]);
    let second = run(&["grants", "add", "m", "keyvalue:cache,bytes=2KiB"]);
    let other = run(&["grants", "add", "m", "keyvalue:other"]);
    let _ = run(&["grants", "add", "m", "secret:API_TOKEN"]).ok();
    let review = run(&["review", "m"]).ok().to_owned();

    assert!(!first.stderr.contains("beside") && !other.stderr.contains("beside"), "{}", first.stderr);
    assert!(second.stderr.contains("beside keyvalue:cache,bytes=1KiB,keys=1000, which is for the same place"));
    assert_eq!(review.matches("(not asked for)").count(), 3, "{review}");
    assert!(!review.contains("secret:API_TOKEN  (not asked for)"), "{review}");
}

#[test]
fn a_rejected_version_is_gone_and_one_that_asks_for_no_more_is_served_at_once() {
    let server = Server::setup().set("components.on_new_permissions", "hold").start();
    let admin = server.admin();
    admin.upload_with("m", &version(1), ONE).expect(201);
    admin.post("/api/v1/modules/m/permissions/reject", &json!({})).refused(409, "conflict");
    admin.upload_with("m", &version(2), MORE).expect(202);

    admin.post("/api/v1/modules/m/permissions/reject", &json!({})).empty(204);

    assert_eq!(which(admin, "m"), json!(1));
    assert!(review(admin, "m").get("waiting").is_none());
    assert_eq!(fs::read_dir(server.data().join("components")).unwrap().count(), 1);
    admin.upload_with("m", &version(3), ONE).expect(200);
    assert_eq!(which(admin, "m"), json!(3));
    admin.upload_with("m", &version(4), MORE).expect(202);
    admin.upload_with("m", &version(5), ONE).expect(200);
    assert_eq!(which(admin, "m"), json!(5));
    assert!(review(admin, "m").get("waiting").is_none());
}

#[test]
fn mistakes_in_a_manifest_are_told_with_line_and_suggestion_wherever_it_comes_from() {
    let wrong = "name = 'm'\nlimts = 1\n[functions.witch]\ndescription = 'x'\n";
    let what = "unknown key `limts`; did you mean `limits`?";
    let server = Server::setup().file("m/m.wasm", version(1)).file("m/tool.toml", wrong).start();
    let admin = server.admin();

    let sent = admin.upload_with("sent", &version(1), wrong).refused(422, "invalid_component");
    let inside = admin.upload("inside", &stamped(&version(1), wrong)).refused(422, "invalid_component");
    let function = wrong.replace("limts = 1\n", "");
    let function = admin.upload_with("sent", &version(1), &function).refused(422, "invalid_component");

    assert_eq!(sent.message, format!("tool.toml:2: {what}"));
    assert_eq!(inside.message, format!("tool.toml (in the component):2: {what}"));
    assert_eq!(function.message, "tool.toml:2: module sent has no function `witch`; did you mean `which`?");
    let problems = admin.get("/api/v1/modules").value();
    let path = server.apis().join("m/tool.toml").display().to_string();
    assert_eq!(problems["problems"][0]["reason"], json!(format!("{path}:2: {what}")));
    assert_eq!(problems["modules"], json!([]));
}

#[test]
fn forms_that_are_none_are_refused() {
    let server = Server::start();
    let put = |kind: &str, body: &str| {
        server.admin().send("PUT", "/api/v1/modules/m", &[("content-type", kind)], body.as_bytes())
    };
    let form = "multipart/form-data; boundary=xyz";
    let part = |name: &str| format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nx\r\n");

    for (kind, body) in [
        ("multipart/form-data", "x".to_owned()),
        (form, "x".to_owned()),
        (form, part("manifest") + "--xyz--"),
        (form, part("component") + &part("component") + "--xyz--"),
        (form, part("other") + "--xyz--"),
        (form, part("component")),
    ] {
        put(kind, &body).refused(400, "malformed");
    }
    put("text/plain", "x").refused(415, "unsupported_media_type");
}

#[test]
fn what_a_manifest_says_of_a_function_is_shown_to_callers() {
    let manifest = "description = 'Sums.'\nversion = '2'\n[functions.add]\ndescription = 'Adds.'\n[functions.add.params]\na = 'The first.'\n";
    let server = Server::start();
    server.admin().upload_with("add", &wat("add"), manifest).expect(201);

    let tool = server.admin().get("/api/v1/tools/add__add").value();
    let document = server.admin().get("/openapi.json").value();
    let module = server.admin().get("/api/v1/modules/add").value();

    assert_eq!(
        (&tool["description"], &tool["input_schema"]["properties"]["a"]["description"]),
        (&json!("Adds."), &json!("The first."))
    );
    let body = &document["paths"]["/api/add/add"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["properties"]["a"]["description"], "The first.");
    assert_eq!((&module["version"], &module["description"]), (&json!("2"), &json!("Sums.")));
}

#[test]
fn a_module_and_a_key_lower_bounds_and_never_raise_them() {
    let server = Server::setup().set("limits.fuel_units", 50_000_000).start();
    let admin = server.admin();
    let fuel = |answer: &Answer| answer.number("fumehood-fuel");
    admin.upload_with("low", &wat("spin"), "[limits]\nfuel_units = 1000\n").expect(201);
    admin.upload_with("high", &wat("spin"), "[limits]\nfuel_units = 999_000_000_000\n").expect(201);
    let name = admin.get("/api/v1/modules/low").value()["functions"][0]["name"].as_str().unwrap().to_owned();
    let made =
        admin.post("/api/v1/keys", &json!({ "name": "small", "roles": ["call"], "limits": { "fuel_units": 5000 } }));
    let small = admin.with_key(made.expect(201)["key"].as_str().unwrap());
    let call = |client: &Client, module: &str| {
        let answer = client.call(&format!("{module}/{name}"), &json!({}));
        assert_eq!(answer.status, 508, "{}", answer.text());
        fuel(&answer)
    };

    assert_eq!((call(admin, "low"), call(admin, "high")), (1_000, 50_000_000));
    assert_eq!((call(&small, "low"), call(&small, "high")), (1_000, 5_000));
    let server = server.restart();
    let small = server.admin().with_key(small.key());
    assert_eq!(call(&small, "high"), 5_000);
    let keys = server.admin().get("/api/v1/keys").value();
    assert_eq!(keys["keys"][1]["limits"], json!({ "fuel_units": 5_000 }));
    let none = json!({ "name": "x", "roles": ["call"], "limits": { "fuel_units": 0 } });
    server.admin().post("/api/v1/keys", &none).refused(400, "malformed");
}

#[test]
fn calls_of_a_module_wait_for_their_turn_and_not_for_ever() {
    let server = Server::setup().set("limits.fuel_units", 1_000_000_000_000_u64).start();
    let admin = server.admin();
    admin.upload_with("one", &wat("spin"), "[limits]\nconcurrent_calls = 1\n").expect(201);
    let name = admin.get("/api/v1/modules/one").value()["functions"][0]["name"].as_str().unwrap().to_owned();
    let call = |client: &Client, deadline: &str| {
        client.call_with(&format!("one/{name}"), &[("fumehood-deadline-ms", deadline)], &json!({}))
    };

    let first = admin.clone();
    thread::scope(|scope| {
        let first = scope.spawn(move || call(&first, "4000"));
        eventually("the first call runs", || admin.calls_running() == 1);

        let second = call(admin, "100").refused(503, "unavailable");

        assert_eq!(second.message, "no place came free within the call's deadline of 100 ms");
        first.join().unwrap().refused(504, "deadline");
    });
}

#[test]
fn the_command_line_reviews_grants_and_pushes_with_a_manifest() {
    let server = Server::setup().set("components.on_new_permissions", "hold").start();
    let folder = tempfile::tempdir().unwrap();
    let push = |number: u32, manifest: &str| {
        fs::write(folder.path().join("m.wasm"), version(number)).unwrap();
        fs::write(folder.path().join("tool.toml"), manifest).unwrap();
        let file: PathBuf = folder.path().join("m.wasm");
        Finished::of(&mut server.command(&["push", file.to_str().unwrap(), "-o", "json"]))
    };
    let run = |arguments: &[&str]| Finished::of(&mut server.command(arguments));

    assert_eq!(push(1, ONE).json()["name"], "m");
    let failed = push(1, "nam = 1");
    assert_eq!(failed.code, 6);
    assert!(failed.stderr.contains("tool.toml:1: unknown key `nam`; did you mean `name`?"), "{}", failed.stderr);
    let text = run(&["review", "m"]);
    assert!(text.ok().contains("\nASKS FOR\n") && text.ok().contains("Signs its requests."), "{}", text.stdout);
    assert_eq!(run(&["grants", "add", "m", "secret:API_TOKEN", "-o", "json"]).json()["grant"], "secret:API_TOKEN");
    assert_eq!(run(&["grants", "add", "m.which", "env:A=b c", "-o", "json"]).json()["function"], "which");
    assert_eq!(
        each(&run(&["grants", "ls", "-o", "json"]).json()["grants"], "grant"),
        ["secret:API_TOKEN", "env:A=b c"]
    );
    let _ = run(&["grants", "revoke", "m.which", "env:A=b c"]).ok();
    assert_eq!(each(&run(&["grants", "ls", "m", "-o", "json"]).json()["grants"], "grant"), ["secret:API_TOKEN"]);
    assert_eq!(run(&["grants", "add", "nobody.x", "scratch"]).code, 3);
    assert_eq!(run(&["grants", "add", "m", "scratc"]).code, 6);

    assert_eq!(push(2, MORE).json()["status"], "waiting");
    assert_eq!(which(server.admin(), "m"), json!(1));
    assert!(run(&["review", "m"]).ok().contains("+ http:GET https://api.example.com/v1  Asks the weather service."));
    let approved = run(&["review", "m", "--approve"]);
    assert_eq!(approved.ok(), "GRANTED NOW\n  http:GET https://api.example.com/v1\n");
    assert!(approved.stderr.contains("the version of m that waited is served now"), "{}", approved.stderr);
    assert_eq!(which(server.admin(), "m"), json!(2));
    assert_eq!(run(&["review", "m", "--reject"]).code, 6);
}

#[test]
fn a_name_is_no_right_to_what_a_module_was_granted_that_is_gone() {
    let server = Server::setup().api("m", version(1)).api("n", version(1)).start();
    for module in ["m", "n"] {
        grant(server.admin(), module, "secret:API_TOKEN").expect(201);
    }
    let one = json!({ "grant": "scratch", "function": "which" });
    server.admin().post("/api/v1/modules/n/permissions", &one).expect(201);
    let setup = server.stop();
    for file in ["m.wasm", "n.wasm"] {
        fs::remove_file(setup.apis().join(file)).unwrap();
    }
    let server = setup.start();
    let admin = server.admin();
    let granted = || each(&admin.get("/api/v1/permissions").value()["grants"], "grant");
    assert_eq!(granted().len(), 3);

    admin.upload_with("m", &version(2), ONE).expect(201);

    assert_eq!(review(admin, "m")["grants"], json!([]));
    assert_eq!(each(&review(admin, "m")["asks"], "granted"), ["no"]);
    server.says("secret:API_TOKEN was granted to module m before, which is gone; the new module does not get it");
    let run = |arguments: &[&str]| Finished::of(&mut server.command(arguments));
    assert_eq!(run(&["grants", "ls", "n", "-o", "json"]).json()["grants"].as_array().unwrap().len(), 2);
    let _ = run(&["grants", "revoke", "n.which", "scratch"]).ok();
    assert_eq!(granted(), ["secret:API_TOKEN"]);
    revoke(admin, "n", "secret:API_TOKEN").empty(204);
    assert_eq!(
        revoke(admin, "n", "secret:API_TOKEN").refused(404, "not_found").message,
        "there is no module `n`, did you mean `m`?"
    );
    assert_eq!(granted(), Vec::<String>::new());
    assert_eq!((run(&["grants", "ls", "n"]).code, run(&["grants", "revoke", "n", "scratch"]).code), (3, 3));
}

#[test]
fn nothing_is_granted_to_a_module_that_is_being_removed() {
    let server = Server::start();
    let admin = server.admin();
    let kept = || fs::read_dir(server.data().join("components")).unwrap().count();

    for round in 1..=5 {
        admin.upload_with("m", &version(round), ONE).expect(201);
        thread::scope(|scope| {
            for number in 0..4 {
                // Until the module is gone: some of them wait for their turn behind its removal.
                scope.spawn(move || while grant(admin, "m", &format!("secret:S{number}")).status != 404 {});
            }
            scope.spawn(|| admin.delete("/api/v1/modules/m").empty(204));
        });

        assert_eq!(admin.get("/api/v1/permissions").value(), json!({ "grants": [] }), "round {round}");
    }

    // A version that takes the place of another while that is removed is not left behind.
    for round in 1..=5 {
        admin.upload_with("m", &version(2 * round), ONE).expect(201);
        thread::scope(|scope| {
            scope.spawn(|| admin.upload_with("m", &version(2 * round + 1), ONE).status);
            scope.spawn(|| admin.delete("/api/v1/modules/m").empty(204));
        });
        let _ = admin.delete("/api/v1/modules/m").status;
        assert_eq!(kept(), 0, "round {round}");
    }
}

#[test]
fn approving_what_would_be_too_much_changes_nothing() {
    let server = Server::setup().set("components.on_new_permissions", "hold").start();
    let admin = server.admin();
    let wish = |number: u32| format!("[[permissions]]\nallow = 'secret:W{number}'\nreason = 'x'\n");
    admin.upload_with("m", &version(1), "").expect(201);
    for number in 0..198 {
        grant(admin, "m", &format!("secret:S{number}")).expect(201);
    }
    admin.upload_with("m", &version(2), &(0..3).map(wish).collect::<String>()).expect(202);
    let before = review(admin, "m");

    let refused = admin.post("/api/v1/modules/m/permissions/approve", &json!({})).refused(409, "conflict");

    assert!(refused.message.starts_with("module m has 200 grants, the most"), "{}", refused.message);
    assert_eq!(review(admin, "m"), before);
    assert_eq!(which(admin, "m"), json!(1));
    revoke(admin, "m", "secret:S0").empty(204);
    let approved = admin.post("/api/v1/modules/m/permissions/approve", &json!({})).value();
    assert_eq!(approved["granted"], json!(["secret:W0", "secret:W1", "secret:W2"]));
    assert_eq!(which(admin, "m"), json!(2));
    assert_eq!(review(admin, "m")["grants"].as_array().unwrap().len(), 200);
}

#[test]
fn a_version_whose_predecessor_is_lost_waits_all_the_same() {
    let server = Server::setup().set("components.on_new_permissions", "hold").start();
    server.admin().upload_with("m", &version(1), ONE).expect(201);
    let setup = server.stop();
    for folder in ["components", "cache"] {
        fs::read_dir(setup.data().join(folder))
            .unwrap()
            .for_each(|file| fs::remove_file(file.unwrap().path()).unwrap());
    }
    let server = setup.start();
    let admin = server.admin();
    admin.get("/api/v1/modules/m").refused(404, "not_found");

    let held = admin.upload_with("m", &version(2), MORE).expect(202);

    let added = ["http:GET https://api.example.com/v1", "env:LOG_LEVEL"];
    assert_eq!(each(&held["changed"]["added"], "grant"), added);
    admin.get("/api/v1/modules/m").refused(404, "not_found");
    let before = review(admin, "m");
    assert_eq!(
        (each(&before["changed"]["added"], "grant"), &before["asks"]),
        (added.map(str::to_owned).to_vec(), &json!([]))
    );
    admin.post("/api/v1/modules/m/permissions/approve", &json!({})).value();
    assert_eq!(which(admin, "m"), json!(2));
}

#[test]
fn what_was_granted_meanwhile_is_no_news_any_more() {
    let server = Server::start();
    let admin = server.admin();
    admin.upload_with("m", &version(1), ONE).expect(201);
    admin.upload_with("m", &version(2), MORE).expect(200);
    let news = || review(admin, "m").get("changed").map(|changed| each(&changed["added"], "grant"));
    assert_eq!(news().unwrap().len(), 2);

    grant(admin, "m", "http:GET https://api.example.com/v1").expect(201);
    assert_eq!(news().unwrap(), ["env:LOG_LEVEL"]);
    grant(admin, "m", "env:LOG_LEVEL=debug").expect(201);

    assert_eq!(news(), None);
}

#[test]
fn what_is_approved_is_the_version_that_was_reviewed() {
    let server = Server::setup().set("components.on_new_permissions", "hold").start();
    let admin = server.admin();
    let run = |arguments: &[&str]| Finished::of(&mut server.command(arguments));
    let approve =
        |revision: &Value| admin.post("/api/v1/modules/m/permissions/approve", &json!({ "revision": revision }));
    let revision = || review(admin, "m")["revision"].clone();
    admin.upload_with("m", &version(1), ONE).expect(201);
    let served = revision();
    admin.upload_with("m", &version(2), MORE).expect(202);
    let reviewed = revision();
    let shown = run(&["review", "m"]);
    let next = format!("`fumehood review m --approve --revision {}`", reviewed.as_str().unwrap());
    assert!(shown.stderr.contains(&next), "{}", shown.stderr);
    // The same component that asks for something else is not what was reviewed.
    admin.upload_with("m", &version(2), &MORE.replace("api.example.com", "evil.example.com")).expect(202);
    let asks_more = revision();
    assert_ne!(asks_more, reviewed);
    approve(&reviewed).refused(409, "conflict");
    admin.upload_with("m", &version(3), &MORE.replace("LOG_LEVEL", "OTHER")).expect(202);
    let now = revision();

    for revision in [&reviewed, &asks_more, &served] {
        let message = approve(revision).refused(409, "conflict").message;
        assert!(message.contains(now.as_str().unwrap()), "{message}");
    }
    let late = run(&["review", "m", "--approve", "--revision", reviewed.as_str().unwrap()]);

    assert_eq!((late.code, late.stdout.as_str()), (6, ""), "{}", late.stderr);
    assert_eq!((which(admin, "m"), &review(admin, "m")["grants"]), (json!(1), &json!([])));
    let approved = run(&["review", "m", "--approve"]);
    assert!(approved.stderr.contains(now.as_str().unwrap()), "{}", approved.stderr);
    assert_eq!(approved.ok(), "GRANTED NOW\n  secret:API_TOKEN\n  http:GET https://api.example.com/v1\n");
    assert_eq!(which(admin, "m"), json!(3));
    approve(&reviewed).refused(409, "conflict");
    assert_eq!(approve(&now).value()["granted"], json!([]));
    approve(&json!("sha256:0")).refused(400, "malformed");
}

/// What is stored and what calls are held to must not part, whenever an administrator's connection breaks.
#[test]
fn a_permission_is_taken_away_as_a_whole_or_not_at_all_when_the_client_goes_away() {
    let server = Server::start();
    let admin = server.admin();
    admin.upload_with("m", &version(1), ONE).expect(201);
    let request = format!(
        "DELETE /api/v1/modules/m/permissions?grant=secret:API_TOKEN HTTP/1.1\r\nhost: {}\r\n\
         authorization: Bearer {}\r\n\r\n",
        server.address(),
        admin.key()
    );
    for round in 0..30 {
        grant(admin, "m", "secret:API_TOKEN");
        let mut stream = connect(server.address());
        stream.write_all(request.as_bytes()).unwrap();
        // Now and then before the request is read, while it is worked on, and after it.
        thread::sleep(Duration::from_micros(round * 100));
        drop(stream);
        thread::sleep(Duration::from_millis(30));

        eventually("both agree", || {
            let review = review(admin, "m");
            (review["grants"] == json!([])) == (review["asks"][0]["granted"] == "no")
        });
    }
}

#[test]
fn a_review_tells_what_a_module_could_reach_and_what_its_calls_have_used() {
    let Some(component) = guest("host-api") else { return };
    let server = Server::setup().patient().start();
    let admin = server.admin();
    let call = |function: &str, arguments: Value| admin.call(&format!("m/{function}"), &arguments);
    let at = json!({ "bucket": "default", "key": "k", "value": "v" });
    assert_eq!(admin.upload("m", &fs::read(component).unwrap()).status, 201);
    let before = review(admin, "m");
    assert_eq!(each(&before["could_reach"], "kind"), ["env", "config", "keyvalue", "secret", "invoke"]);
    assert!(before["could_reach"][3]["imports"].to_string().contains("fumehood:host/secrets@"), "{before}");
    assert_eq!(before["has_used"], json!([]));

    call("set", at.clone()).refused(422, "tool_error");
    grant(admin, "m", "keyvalue:default").expect(201);
    call("set", at.clone()).value();
    call("set", at).value();
    call("secret-length", json!({ "name": "TOKEN" })).refused(422, "tool_error");

    let used = review(admin, "m")["has_used"].clone();
    let mut used: Vec<_> =
        used.as_array().unwrap().iter().map(|seen| (seen["grant"].to_string(), seen.clone())).collect();
    used.sort_by(|(a, _), (b, _)| a.cmp(b));
    let counts: Vec<_> = used.iter().map(|(_, seen)| json!([seen["grant"], seen["allowed"], seen["denied"]])).collect();
    assert_eq!(counts.len(), 2, "{used:?}");
    assert!(counts[0][0].as_str().unwrap().starts_with("keyvalue:default"), "{counts:?}");
    assert!(counts[0][1].as_u64().unwrap() >= 2 && counts[0][2].as_u64().unwrap() >= 1, "{counts:?}");
    assert_eq!(counts[1], json!(["secret:TOKEN", 0, 1]));
}

#[test]
fn a_denial_tells_the_operator_the_command_and_the_caller_only_whom_to_ask() {
    let Some(component) = guest("host-api") else { return };
    let server = Server::setup().patient().guest("m", &component).start();
    let (_, caller) = server.admin().new_key("ci", "call");
    let name = json!({ "name": "TOP_SECRET" });
    let ask = "an administrator of this server can review what this tool may reach";
    let needs = "the tool needs secret, which it was not granted: ask an administrator of this server to review it";

    let crashed = caller.call("m/needed-secret-length", &name).refused(403, "denied");
    let answered = caller.call("m/secret-length", &name).refused(422, "tool_error");
    let executed = caller.post("/api/v1/tools/m__needed-secret-length/execute", &json!({ "input": name }));
    let over_mcp =
        |tool: &str| Mcp::modern(&caller).call(tool, &name)["content"][0]["text"].as_str().unwrap().to_owned();
    let (mcp_crashed, mcp_answered) = (over_mcp("m__needed-secret-length"), over_mcp("m__secret-length"));

    assert_eq!(crashed.message, needs);
    assert_eq!(crashed.details, json!({ "denied": ["secret"], "ask": ask }));
    assert_eq!(answered.details, json!({ "error": "not-granted", "denied": ["secret"], "ask": ask }));
    assert_eq!(executed.refused(403, "denied").details, crashed.details);
    assert!(mcp_crashed.contains(needs), "{mcp_crashed}");
    assert_eq!(
        mcp_answered,
        "not-granted\n(This tool was denied secret; an administrator of this server can review it.)"
    );
    server.says("to allow it: fumehood grants add m 'secret:TOP_SECRET'");
    for told in [format!("{crashed:?}"), format!("{answered:?}"), mcp_crashed, mcp_answered] {
        assert!(!told.contains("TOP_SECRET"), "{told}");
    }
    let run = |function: &str| {
        Finished::of(server.command(&["call", function, "name=TOP_SECRET"]).env("FUMEHOOD_KEY", caller.key()))
    };
    let hint = format!("hint: {ask}: it was denied secret");
    assert_eq!(run("m.needed-secret-length").failed(4), format!("error: {needs}\n{hint}"));
    assert_eq!(run("m.secret-length").failed(1), format!("error: not-granted\n{hint}"));
}

#[test]
fn whoever_pushes_a_component_is_told_which_manifest_counts_and_two_inside_it_are_refused() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let push = |name: &str, component: &[u8]| {
        let path = folder.path().join(name).with_extension("wasm");
        fs::write(&path, component).unwrap();
        Finished::of(&mut server.command(&["push", path.to_str().unwrap()]))
    };
    let limits = "[limits]\nmemory = '1 GiB'\nfuel_units = 5000\n";

    let once = push("once", &stamped(&wat("add"), limits));
    let twice = push("twice", &stamped(&stamped(&wat("add"), ONE), ONE));

    assert_eq!(once.stderr, "module once is served, with the tool.toml that it holds\n");
    let module = server.admin().get("/api/v1/modules/once").value();
    assert_eq!(module["limits"], json!({ "fuel_units": 5_000 }), "a bound above that of the server is not in force");
    assert!(twice.stderr.contains("it holds two sections `fumehood:tool.toml`: keep one"), "{}", twice.stderr);
}
