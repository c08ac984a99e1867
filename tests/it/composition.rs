//! Components that need what other modules export: found, locked by digest, put together, or refused with the reason.

use std::fs;

use fumehood_tests::{Client, Finished, Mcp, Server, eventually, guest, parse_wat, workspace};
use serde_json::{Value, json};

pub(crate) const RATES: &str = "acme:rates/convert@1.0.0";

/// A component that exports the interface `export`, whose `rate` tells `number`.
pub(crate) fn supplier(export: &str, number: u32) -> Vec<u8> {
    parse_wat(&format!(
        r#"(component
            (core module $m (func (export "rate") (result i32) (i32.const {number})))
            (core instance $i (instantiate $m))
            (func $rate (result u32) (canon lift (core func $i "rate")))
            (instance $given (export "rate" (func $rate)))
            (export "{export}" (instance $given)))"#
    ))
}

/// A component that exports `export`, whose `rate` is one more than that of `import`.
pub(crate) fn link(import: &str, export: &str) -> Vec<u8> {
    parse_wat(&format!(
        r#"(component
            (import "{import}" (instance $taken (export "rate" (func (result u32)))))
            (core func $rate (canon lower (func $taken "rate")))
            (core module $m
                (import "" "rate" (func $rate (result i32)))
                (func (export "rate") (result i32) (i32.add (i32.const 1) (call $rate))))
            (core instance $i (instantiate $m (with "" (instance (export "rate" (func $rate))))))
            (func $more (result u32) (canon lift (core func $i "rate")))
            (instance $given (export "rate" (func $more)))
            (export "{export}" (instance $given)))"#
    ))
}

fn rate(client: &Client, module: &str) -> Value {
    client.call(&format!("{module}/rate"), &json!({})).value()
}

fn made_of(client: &Client, module: &str) -> Value {
    client.get(&format!("/api/v1/modules/{module}")).value()["made_of"].clone()
}

fn components(server: &Server) -> usize {
    fs::read_dir(server.data().join("components")).unwrap().count()
}

#[test]
fn an_import_is_taken_from_the_module_that_exports_it_and_stays_what_it_was() {
    let server = Server::start();
    let admin = server.admin();
    let user = link(RATES, "acme:shop/prices");

    let refused = admin.upload("shop", &user).refused(422, "invalid_component");
    assert!(refused.message.contains("no module here exports it"), "{refused:?}");
    assert_eq!(components(&server), 0, "nothing of it is kept");

    assert_eq!(admin.upload("rates", &supplier(RATES, 7)).status, 201);
    let installed = admin.upload("shop", &user);
    assert_eq!((installed.status, rate(admin, "shop")), (201, json!(8)));
    let digest = |module: &str| admin.get(&format!("/api/v1/modules/{module}")).value()["digest"].clone();
    let seven = digest("rates");
    let expected = json!([{ "module": "rates", "digest": seven, "imports": [RATES] }]);
    assert_eq!(made_of(admin, "shop")["parts"], expected);
    assert_eq!(installed.expect(201)["imports"], json!([]), "nothing is left that it needs");

    // Another version of what it was made of changes nothing, until it is installed again.
    assert_eq!(admin.upload("rates", &supplier(RATES, 20)).status, 200);
    assert_eq!((rate(admin, "rates"), rate(admin, "shop")), (json!(20), json!(8)));
    assert_eq!(admin.upload("shop", &user).status, 200);
    assert_eq!(rate(admin, "shop"), 21);
    assert_eq!(Mcp::modern(admin).call("shop__rate", &json!({}))["structuredContent"], json!({ "result": 21 }));

    // Both are versions, which need nothing any more: neither after a restart nor when the other module is gone.
    let server = server.restart();
    let admin = server.admin();
    assert_eq!(admin.delete("/api/v1/modules/rates").status, 204);
    assert_eq!(rate(admin, "shop"), 21);
    admin.post("/api/v1/modules/shop/rollback", &json!({})).value();
    assert_eq!(rate(admin, "shop"), 8);
    assert_eq!(made_of(admin, "shop")["parts"], expected, "also what it was made of is known still");

    let shown = Finished::of(&mut server.command(&["modules", "show", "shop"]));
    assert!(shown.stdout.contains("made of") && shown.stdout.contains("rates"), "{}", shown.stdout);
    assert_eq!(admin.delete("/api/v1/modules/shop").status, 204);
    eventually("all components go", || components(&server) == 0);
}

#[test]
fn tool_toml_says_which_module_is_meant_and_may_lock_its_component() {
    let server = Server::start();
    let admin = server.admin();
    let user = link(RATES, "acme:shop/prices");
    let sent = |manifest: &str| admin.upload_with("shop", &user, manifest);
    for (name, number) in [("bank", 1), ("market", 2)] {
        assert_eq!(admin.upload(name, &supplier(RATES, number)).status, 201);
    }

    let refused = admin.upload("shop", &user).refused(422, "invalid_component");
    assert!(refused.message.contains("which modules bank and market export"), "{refused:?}");
    assert!(refused.message.contains("[dependencies]"), "{refused:?}");
    for (module, number) in [("market", 3), ("bank", 2)] {
        let manifest = format!("[dependencies]\n\"acme:rates/convert\" = {{ module = \"{module}\" }}\n");
        assert!(sent(&manifest).status < 300);
        assert_eq!(rate(admin, "shop"), number, "{module}");
    }

    // A version that is not served any more will do, if it is the one that is named.
    let old = admin.get("/api/v1/modules/bank").value()["digest"].as_str().unwrap().to_owned();
    assert_eq!(admin.upload("bank", &supplier(RATES, 50)).status, 200);
    let locked =
        |digest: &str| format!("[dependencies]\n\"{RATES}\" = {{ module = \"bank\", digest = \"{digest}\" }}\n");
    assert_eq!(sent(&locked(&old)).status, 200);
    assert_eq!(rate(admin, "shop"), 2);
    let nobody = sent(&locked(&format!("sha256:{}", "0".repeat(64)))).refused(422, "invalid_component");
    assert!(nobody.message.contains("no version of it that is kept has this component"), "{nobody:?}");

    for (manifest, why) in [
        ("[dependencies]\n\"acme:rates/convert\" = { module = \"nobody\" }\n", "there is none, install it first"),
        ("[dependencies]\n\"acme:rates/convert\" = { module = \"Not A Name\" }\n", "tool.toml:2"),
        ("[dependencies]\n\"acme:rates/convert\" = { modul = \"bank\" }\n", "did you mean `module`?"),
        ("[dependencies]\n\"acme:rates/convert\" = { path = \"x.wasm\" }\n", "needs a `module`"),
        ("[dependencies]\n\"acme:rates/konvert\" = { module = \"bank\" }\n", "has no import `acme:rates/konvert`"),
        (
            "[dependencies]\n\"acme:rates/convert@1.0.1\" = { module = \"bank\" }\n",
            "tool.toml:2: module shop has no import",
        ),
    ] {
        let refused = sent(manifest).refused(422, "invalid_component");
        let told = format!("{} {}", refused.message, refused.details);
        assert!(told.contains(why), "{manifest}: {told}");
    }
    assert_eq!(rate(admin, "shop"), 2, "what was served is served on");
}

#[test]
fn what_does_not_fit_is_refused_with_what_there_is() {
    let server = Server::start();
    let admin = server.admin();
    assert_eq!(admin.upload("rates", &supplier("acme:rates/convert@1.4.0", 7)).status, 201);

    // A later version promises what an earlier one does, and the other way round nothing.
    assert_eq!(admin.upload("earlier", &link(RATES, "a:b/c")).status, 201);
    assert_eq!(rate(admin, "earlier"), 8);
    for wanted in ["acme:rates/convert@1.5.0", "acme:rates/convert@2.0.0", "acme:rates/convert"] {
        let refused = admin.upload("later", &link(wanted, "a:b/c")).refused(422, "invalid_component");
        assert!(refused.message.contains("there is acme:rates/convert@1.4.0 of module rates"), "{refused:?}");
    }

    let text = parse_wat(
        r#"(component
            (import "acme:rates/convert@1.4.0" (instance $taken (export "rate" (func (result string)))))
            (alias export $taken "rate" (func $rate))
            (export "rate" (func $rate)))"#,
    );
    let refused = admin.upload("other", &text).refused(422, "invalid_component");
    assert!(refused.message.contains("`acme:rates/convert@1.4.0` does not fit"), "{refused:?}");
    assert_eq!(admin.get("/api/v1/modules").value()["modules"].as_array().unwrap().len(), 2);
}

#[test]
fn nothing_is_made_of_itself_and_chains_are_told_whole() {
    let server = Server::start();
    let admin = server.admin();
    assert_eq!(admin.upload("first", &supplier("a:a/a", 1)).status, 201);
    assert_eq!(admin.upload("second", &link("a:a/a", "b:b/b")).status, 201);
    assert_eq!(admin.upload("third", &link("b:b/b", "c:c/c")).status, 201);
    assert_eq!(rate(admin, "third"), 3);
    let part = &made_of(admin, "third")["parts"][0];
    assert_eq!((&part["module"], &part["made_of"]["parts"][0]["module"]), (&json!("second"), &json!("first")));

    let refused = admin.upload("first", &link("c:c/c", "a:a/a")).refused(422, "invalid_component");
    assert!(refused.message.contains("module third exports, and that is made of first: a cycle"), "{refused:?}");
    assert_eq!(rate(admin, "first"), 1);
}

#[test]
fn what_it_would_be_made_of_is_told_before_anything_is_installed() {
    let server = Server::start();
    let admin = server.admin();
    let inspect = || {
        let headers = [("content-type", "application/wasm")];
        admin.send("POST", "/api/v1/inspect", &headers, &link(RATES, "a:b/c")).value()
    };
    let before = inspect();
    assert_eq!(
        (&before["compatibility"], &before["imports"][0]["fit"]),
        (&json!("incompatible"), &json!("incompatible"))
    );
    assert!(before["problem"].as_str().unwrap().contains("no module here exports it"), "{before}");

    assert_eq!(admin.upload("rates", &supplier(RATES, 7)).status, 201);
    let after = inspect();
    assert_eq!((&after["compatibility"], &after["imports"][0]["fit"]), (&json!("full"), &json!("full")));
    let why = after["imports"][0]["reason"].as_str().unwrap();
    assert!(why.starts_with("taken from module rates (sha256:"), "{why}");
    eventually("nothing of it is kept", || components(&server) == 1);
}

#[test]
fn files_are_served_in_whatever_order_they_need_each_other() {
    let setup = Server::setup();
    let setup = setup.file("a.wasm", link("b:b/b", "a:a/a")).file("b.wasm", link("c:c/c", "b:b/b"));
    let server = setup.file("c.wasm", supplier("c:c/c", 1)).file("x.wasm", link("y:y/y", "x:x/x")).start();
    let admin = server.admin();

    assert_eq!(rate(admin, "a"), 3);
    let problem = || {
        let problems = admin.get("/api/v1/modules").value()["problems"].clone();
        let told = problems.as_array().unwrap().iter().map(|problem| problem["reason"].as_str().unwrap().to_owned());
        told.collect::<Vec<_>>().join("\n")
    };
    assert!(problem().contains("`y:y/y`") && problem().contains("no module here exports it"), "{}", problem());

    // Two that wait for each other wait for ever.
    fs::write(server.apis().join("y.wasm"), link("x:x/x", "y:y/y")).unwrap();
    eventually("the circle is told", || problem().contains("files wait in a circle: x -> y -> x"));
    // With what one of them waits for, the other is served too, though its file did not change.
    fs::write(server.apis().join("z.wasm"), supplier("x:x/x", 10)).unwrap();
    eventually("both are served", || problem().is_empty());
    assert_eq!((rate(admin, "y"), rate(admin, "x")), (json!(11), json!(12)));

    // Of two that change together, the one that needs the other takes in the new one, whichever is read first.
    fs::create_dir(server.apis().join("_new")).unwrap();
    for (name, component) in
        [("a", link("b:b/b", "a:a/more")), ("b", link("c:c/c", "b:b/b")), ("c", supplier("c:c/c", 50))]
    {
        fs::write(server.apis().join("_new").join(name), component).unwrap();
    }
    for name in ["a", "b", "c"] {
        fs::rename(server.apis().join("_new").join(name), server.apis().join(format!("{name}.wasm"))).unwrap();
    }
    eventually("all of it is the new one", || {
        let answer = admin.call("a/rate", &json!({}));
        answer.status == 200 && answer.json() == 52
    });
}

#[test]
fn an_author_tries_it_together_with_what_it_needs() {
    let (Some(exchange), Some(invoice)) = (guest("exchange"), guest("invoice")) else { return };
    let home = tempfile::tempdir().unwrap();
    for (name, component) in [("exchange", &exchange), ("invoice", &invoice)] {
        let folder = home.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::copy(component, folder.join("built.wasm")).unwrap();
        let manifest = fs::read_to_string(workspace().join("guest-examples").join(name).join("tool.toml")).unwrap();
        let build = "\n[build]\ncommand = \"true\"\ncomponent = \"built.wasm\"\n";
        // The section of the example builds it with cargo, which was done.
        let manifest = manifest.split("\n[build]").next().unwrap().to_owned() + build;
        fs::write(folder.join("tool.toml"), manifest.replace("exchange/exchange.wasm", "exchange/built.wasm")).unwrap();
    }
    let run = |arguments: &[&str]| Finished::of(fumehood_tests::command().args(arguments).current_dir(home.path()));

    let tested = run(&["test", "invoice"]);
    assert_eq!(tested.code, 0, "{}{}", tested.stdout, tested.stderr);
    let arguments = r#"{"items":[{"what":"tea","count":2,"price":10,"currency":"EUR"}],"to":"USD"}"#;
    let called = run(&["call", "invoice/built.wasm", "total", "--json", arguments]);
    assert_eq!((called.code, called.stdout.trim()), (0, "25"), "{}", called.stderr);

    let checked = run(&["check", "invoice"]);
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    let seen = run(&["inspect", "invoice/built.wasm"]);
    assert!(seen.stdout.contains("rates@1.0.0: to be taken from module exchange"), "{}", seen.stdout);
    assert!(!seen.stdout.contains("incompatible"), "{}", seen.stdout);

    fs::remove_file(home.path().join("exchange/built.wasm")).unwrap();
    let lacking = run(&["test", "invoice"]);
    assert_eq!(lacking.code, 3, "{}", lacking.stderr);
    assert!(lacking.stderr.contains("exchange/built.wasm cannot be read"), "{}", lacking.stderr);
}
