//! Whose components are served: by key and by identity, in every way in, and what is told of it.

use std::{fs, path::Path};

use fumehood_tests::{Answer, Client, Finished, Server, Setup, bombs, eventually};
use serde_json::{Value, json};

use crate::{
    composition::{RATES, link, supplier},
    reload::{told, version},
    signatures::{
        signer::Signer,
        sigstore::{Signing, Sigstore},
    },
};

mod der;
mod signer;
mod sigstore;

const FORM: [(&str, &str); 1] = [("content-type", "multipart/form-data; boundary=xyz")];

/// Upload a component as the module `it`, with this along with it.
fn send(client: &Client, component: &[u8], along: &[(&str, &str)]) -> Answer {
    send_as("it", client, component, along)
}

fn send_as(module: &str, client: &Client, component: &[u8], along: &[(&str, &str)]) -> Answer {
    let part = |name: &str| format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").into_bytes();
    let mut body = [part("component"), component.to_vec(), b"\r\n".to_vec()].concat();
    for (name, text) in along {
        body.extend([part(name), text.as_bytes().to_vec(), b"\r\n".to_vec()].concat());
    }
    body.extend_from_slice(b"--xyz--\r\n");
    client.send("PUT", &format!("/api/v1/modules/{module}"), &FORM, &body)
}

fn refused(answer: &Answer, why: &str) {
    let problem = answer.refused(422, "signature");
    assert!(problem.message.contains(why), "{} does not tell: {why}", problem.message);
}

/// A server that holds to `policy` and trusts these keys.
fn trusting(setup: Setup, policy: &str, keys: &[(&str, &Signer)]) -> Setup {
    let file = |name: &str| setup.data().with_file_name(format!("{name}.pub"));
    let listed: Vec<_> = keys.iter().map(|(name, _)| json!({ "name": name, "path": file(name) })).collect();
    for (name, key) in keys {
        fs::write(file(name), key.pem()).unwrap();
    }
    setup.set("signatures.policy", policy).set("signatures.keys", Value::from(listed))
}

fn signature(client: &Client) -> Value {
    client.get("/api/v1/modules/it").value()["signature"].clone()
}

#[test]
fn only_what_a_trusted_key_has_signed_is_served_and_it_is_named() {
    let (release, old, stranger) = (Signer::ecdsa(), Signer::ed25519(), Signer::ecdsa());
    let server = trusting(Server::setup(), "enforce", &[("release", &release), ("old", &old)]).start();
    let admin = server.admin();
    let (one, two) = (version(1), version(2));

    refused(&admin.upload("it", &one), "the component is not signed");
    refused(
        &send(admin, &one, &[("signature", &stranger.signature(&one))]),
        "none of the keys \"release\", \"old\" has made it",
    );
    refused(&send(admin, &two, &[("signature", &release.signature(&one))]), "or the component was changed");
    refused(&send(admin, &one, &[("signature", "no signature!")]), "neither base64 nor a bundle");
    refused(&send(admin, &one, &[("signature", "{\"mediaType\": 1}")]), "no bundle of Sigstore");
    send(admin, &one, &[("signature", &"A".repeat(65 << 10))]).refused(413, "too_large");
    admin.get("/api/v1/modules/it").refused(404, "not_found");
    assert_eq!(fs::read_dir(server.data().join("components")).unwrap().count(), 0, "nothing of them was kept");

    assert_eq!(send(admin, &one, &[("signature", &release.signature(&one))]).status, 201);
    assert_eq!(signature(admin), json!({ "state": "signed", "text": "signed by key \"release\"", "key": "release" }));
    server.says("installed by admin, signed by key \"release\"");
    assert_eq!(send(admin, &two, &[("signature", &old.signature(&two))]).status, 200);
    assert_eq!((told(admin, "it"), &signature(admin)["key"]), (json!(2), &json!("old")));
    // As `cosign sign-blob --key --bundle` has it.
    let three = version(3);
    assert_eq!(send(admin, &three, &[("signature", &key_bundle(&release, &three).to_string())]).status, 200);
    refused(&send(admin, &two, &[("signature", &key_bundle(&release, &three).to_string())]), "it was made for sha256:");
    assert_eq!((told(admin, "it"), &signature(admin)["key"]), (json!(3), &json!("release")));

    let shown = Finished::of(&mut server.command(&["modules", "show", "it"])).ok().to_owned();
    assert!(shown.contains("signed by key \"release\""), "{shown}");
    let listed = Finished::of(&mut server.command(&["modules", "versions", "it"])).ok().to_owned();
    let by = |key: &str| listed.lines().filter(|line| line.contains(&format!("signed by key \"{key}\""))).count();
    assert_eq!((by("release"), by("old")), (2, 1), "{listed}");
    let review = Finished::of(&mut server.command(&["review", "it"])).ok().to_owned();
    assert!(review.contains("signed by key \"release\""), "{review}");
    // Nobody's business but that of who reviews.
    let (_, caller) = admin.new_key("caller", "call");
    assert_eq!(signature(&caller), Value::Null);
}

/// What `cosign sign-blob --key` writes with `--bundle`.
fn key_bundle(key: &Signer, component: &[u8]) -> Value {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let digest = STANDARD.encode(signer::sha256(component));
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": { "hint": "x" }, "tlogEntries": [] },
        "messageSignature": {
            "messageDigest": { "algorithm": "SHA2_256", "digest": digest },
            "signature": key.signature(component).trim(),
        },
    })
}

#[test]
fn a_manifest_that_no_signature_covers_does_not_count() {
    let key = Signer::ecdsa();
    let server = trusting(Server::setup(), "enforce", &[("release", &key)]).start();
    let manifest = "version = \"1.2.3\"\n";
    let component = bombs::with_section(version(1), "fumehood:tool.toml", manifest.as_bytes());
    let signature = key.signature(&component);
    let signed = ("signature", &*signature);

    let beside = send(server.admin(), &component, &[signed, ("manifest", "version = \"6.6.6\"\n")]);
    refused(&beside, "does not cover the tool.toml that comes beside it");
    assert_eq!(send(server.admin(), &component, &[signed, ("manifest", manifest)]).status, 201);
    assert_eq!(server.admin().get("/api/v1/modules/it").value()["version"], "1.2.3");
    assert_eq!(send(server.admin(), &component, &[signed]).status, 200);
}

#[test]
fn a_push_takes_along_the_signature_beside_the_component() {
    let key = Signer::ecdsa();
    let server = trusting(Server::setup(), "enforce", &[("release", &key)]).start();
    let file = server.data().with_file_name("it.wasm");
    let path = |file: &Path| file.to_str().unwrap().to_owned();
    fs::write(&file, version(1)).unwrap();
    let push = |arguments: &[&str]| Finished::of(&mut server.command(&[&["push", &*path(&file)], arguments].concat()));

    let unsigned = push(&[]).failed(6).to_owned();
    assert!(unsigned.contains("fumehood push FILE --signature FILE"), "{unsigned}");
    let beside = file.with_file_name("it.wasm.sig");
    fs::write(&beside, key.signature(&version(1))).unwrap();
    let pushed = push(&[]);
    assert!(pushed.code == 0 && pushed.stderr.contains("signed by key \"release\""), "{}", pushed.stderr);
    assert_eq!(told(server.admin(), "it"), 1);

    fs::write(&file, version(2)).unwrap();
    assert!(push(&[]).failed(6).contains("or the component was changed"));
    let named = file.with_file_name("named");
    fs::write(&named, key.signature(&version(2))).unwrap();
    assert_eq!(push(&["--signature", &path(&named)]).code, 0);
    assert_eq!(told(server.admin(), "it"), 2);
}

#[test]
fn where_it_is_only_warned_everything_is_served_and_said_to_be_what_it_is() {
    let (key, stranger) = (Signer::ecdsa(), Signer::ecdsa());
    let server = trusting(Server::setup(), "warn", &[("release", &key)]).start();
    let admin = server.admin();

    assert_eq!(admin.upload("it", &version(1)).status, 201);
    assert_eq!(signature(admin), json!({ "state": "unsigned", "text": "unsigned" }));
    server.says("module it is not signed by anybody who is trusted, and may be served: unsigned");
    assert_eq!(send(admin, &version(2), &[("signature", &stranger.signature(&version(2)))]).status, 200);
    assert_eq!(signature(admin)["state"], "invalid");
    assert_eq!(send(admin, &version(3), &[("signature", &key.signature(&version(3)))]).status, 200);
    assert_eq!(signature(admin)["text"], "signed by key \"release\"");
    let versions = admin.get("/api/v1/modules/it/versions").value();
    let states: Vec<_> = (0..3).map(|at| versions["versions"][at]["signature"]["state"].clone()).collect();
    assert_eq!(states, ["signed", "invalid", "unsigned"]);

    // Once it is enforced, what is served has to be signed, and what is not does not come back.
    let server = server.stop().set("signatures.policy", "enforce").start();
    let admin = server.admin();
    assert_eq!(told(admin, "it"), 3);
    for number in [1, 2] {
        refused(&admin.post(&format!("/api/v1/modules/it/versions/{number}/promote"), &json!({})), "signatures.policy");
    }
    refused(&admin.post("/api/v1/modules/it/rollback", &json!({})), "signature");
    assert_eq!(told(admin, "it"), 3);
    let inspected = admin.send("POST", "/api/v1/inspect", &[("content-type", "application/wasm")], &version(1));
    refused(&inspected, "is not signed");

    // And where nobody looks, nothing is said.
    let server = server.stop().set("signatures.policy", "off").start();
    server.admin().post("/api/v1/modules/it/rollback", &json!({})).value();
    assert_eq!((told(server.admin(), "it"), signature(server.admin())), (json!(2), Value::Null));
}

#[test]
fn what_was_installed_unsigned_or_by_a_key_that_is_gone_is_not_served_once_it_is_enforced() {
    let (key, next) = (Signer::ecdsa(), Signer::ecdsa());
    let server = Server::start();
    assert_eq!(server.admin().upload("it", &version(1)).status, 201);

    let server = trusting(server.stop(), "enforce", &[("release", &key)]).start();
    let admin = server.admin();
    server.says("module it is not served: the component is not signed");
    admin.call("it/version", &json!({})).refused(404, "not_found");
    let problems = admin.get("/api/v1/modules").value()["problems"].to_string();
    assert!(problems.contains("the component is not signed"), "{problems}");
    // The same bytes, with a signature: it is that version, and served.
    assert!(send(admin, &version(1), &[("signature", &key.signature(&version(1)))]).status < 300);
    assert_eq!((told(admin, "it"), &signature(admin)["key"]), (json!(1), &json!("release")));
    let server = server.restart();
    assert_eq!(told(server.admin(), "it"), 1);

    let server = trusting(server.stop(), "enforce", &[("next", &next)]).start();
    server.says("none of the keys \"next\" has made it");
    server.admin().call("it/version", &json!({})).refused(404, "not_found");
}

#[test]
fn what_is_put_together_is_served_where_all_of_it_is_signed() {
    let key = Signer::ecdsa();
    let (rates, shop) = (supplier(RATES, 7), link(RATES, "acme:shop/prices"));
    let (of_rates, of_shop) = (key.signature(&rates), key.signature(&shop));
    let server = Server::start();
    assert_eq!(server.admin().upload("rates", &rates).status, 201);
    assert_eq!(send_as("shop", server.admin(), &shop, &[("signature", &of_shop)]).status, 201);

    // Its author has signed it, and nobody what was put into it.
    let server = trusting(server.stop(), "enforce", &[("release", &key)]).start();
    server.says("it was put together with the component of module rates, which nobody who was trusted had signed");
    let admin = server.admin();
    admin.call("shop/rate", &json!({})).refused(404, "not_found");

    // Nor does another that was made of it while it was only warned.
    let server = trusting(server.stop(), "warn", &[("release", &key)]).start();
    assert!(send_as("shop", server.admin(), &shop, &[("signature", &of_shop)]).status < 300);
    let shown = server.admin().get("/api/v1/modules/shop").value()["signature"]["text"].to_string();
    assert!(shown.contains("which nobody who was trusted had signed"), "{shown}");
    let mall = link("acme:shop/prices", "acme:mall/prices");
    let of_mall = key.signature(&mall);
    assert_eq!(send_as("mall", server.admin(), &mall, &[("signature", &of_mall)]).status, 201);
    let server = trusting(server.stop(), "enforce", &[("release", &key)]).start();
    let admin = server.admin();
    admin.call("mall/rate", &json!({})).refused(404, "not_found");

    assert!(send_as("rates", admin, &rates, &[("signature", &of_rates)]).status < 300);
    assert!(send_as("shop", admin, &shop, &[("signature", &of_shop)]).status < 300);
    assert!(send_as("mall", admin, &mall, &[("signature", &of_mall)]).status < 300);
    let server = server.restart();
    assert_eq!(server.admin().call("shop/rate", &json!({})).value(), 8);
    assert_eq!(server.admin().call("mall/rate", &json!({})).value(), 9);
    let shown = server.admin().get("/api/v1/modules/shop").value();
    assert_eq!(shown["signature"]["key"], "release");
    refused(&send_as("shop", server.admin(), &shop, &[("signature", &of_rates)]), "or the component was changed");
}

#[test]
fn a_file_in_a_folder_of_apis_needs_its_signature_beside_it() {
    let key = Signer::ecdsa();
    let one = version(1);
    let setup = trusting(Server::setup(), "enforce", &[("release", &key)]);
    let setup = setup.file("it.wasm", &one).file("it.wasm.sig", key.signature(&one)).file("bare.wasm", &one);
    let server = setup.file("odd.wasm", &one).file("odd.wasm.sig", key.signature(&version(2))).start();
    let admin = server.admin();

    assert_eq!((told(admin, "it"), &signature(admin)["text"]), (json!(1), &json!("signed by key \"release\"")));
    admin.call("bare/version", &json!({})).refused(404, "not_found");
    admin.call("odd/version", &json!({})).refused(404, "not_found");
    server.says("bare.wasm is not served as it is: the component is not signed");
    server.says("odd.wasm is not served as it is: the signature of the component does not hold");

    // When its signature comes, it is served; when bytes come that nobody has signed, what was there stays.
    fs::write(server.apis().join("bare.wasm.sig"), key.signature(&one)).unwrap();
    eventually("it is served", || admin.call("bare/version", &json!({})).status == 200);
    fs::write(server.apis().join("it.wasm"), version(2)).unwrap();
    server.says("it.wasm is not served as it is: the signature of the component does not hold");
    assert_eq!(told(admin, "it"), 1);
}

#[test]
fn a_configuration_that_trusts_nobody_or_by_broken_files_is_told_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fumehood.toml");
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        let mut command = fumehood_tests::command();
        command.args(["config", "check", "--config", file.to_str().unwrap()]).current_dir(folder.path());
        Finished::of(&mut command)
    };
    let private = signer::pem("PRIVATE KEY", b"secret");
    fs::write(folder.path().join("private.pem"), private).unwrap();
    fs::write(folder.path().join("good.pub"), Signer::ecdsa().pem()).unwrap();
    fs::write(folder.path().join("root.json"), "{}").unwrap();

    for (text, why) in [
        ("policy = \"enforce\"", "nothing could be served"),
        ("keys = [{ name = \"a\", path = \"missing.pub\" }]", "missing.pub cannot be read"),
        ("keys = [{ name = \"a\", path = \"private.pem\" }]", "private.pem is no public key for \"a\""),
        (
            "keys = [{ name = \"a\", path = \"good.pub\" }, { name = \"a\", path = \"good.pub\" }]",
            "two keys are called \"a\"",
        ),
        ("identities = [{ issuer = \"https://i\", subject = \"a@b\" }]", "needs signatures.trust_root"),
        ("trust_root = \"root.json\"", "root.json is no trusted_root.json"),
        ("identities = [{ issuer = \"https://i\", subject_pattern = \"*\" }]", "is anybody"),
        ("identities = [{ issuer = \"https://i\" }]", "needs either a subject or a subject_pattern"),
    ] {
        let said = check(&format!("[signatures]\n{text}\n")).failed(6).to_owned();
        assert!(said.contains(why), "{said} does not tell: {why}");
    }
    let good = "[signatures]\npolicy = \"enforce\"\n[[signatures.keys]]\nname = \"a\"\npath = \"good.pub\"\n";
    assert_eq!(check(good).code, 0, "{}", check(good).stderr);
}

const WORKFLOW: &str = "https://github.com/acme/tool/.github/workflows/release.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn workflow() -> Signing {
    Signing { subject: WORKFLOW.to_owned(), issuer: ISSUER.to_owned(), after: 5, is_promised: true }
}

#[test]
fn an_identity_that_is_trusted_is_named_and_no_other_gets_in() {
    let (sigstore, other) = (Sigstore::new(), Sigstore::new());
    let setup = Server::setup();
    let root = setup.data().with_file_name("trusted_root.json");
    fs::write(&root, sigstore.root().to_string()).unwrap();
    let identities = json!([
        { "issuer": ISSUER, "subject_pattern": "https://github.com/acme/*@refs/heads/main" },
        { "issuer": "https://accounts.example", "subject": "ada@example.com" },
    ]);
    let setup = setup.set("signatures.policy", "enforce").set("signatures.trust_root", root.display());
    let server = setup.set("signatures.identities", identities).start();
    let admin = server.admin();
    let one = version(1);
    let try_with = |bundle: &Value| send(admin, &one, &[("signature", &bundle.to_string())]);
    let by = |signing: Signing| try_with(&sigstore.bundle(&one, &signing));

    for (signing, why) in [
        (
            Signing { subject: WORKFLOW.replace("acme", "evil"), ..workflow() },
            "whom signatures.identities does not name",
        ),
        (
            Signing { subject: WORKFLOW.replace("main", "dev"), ..workflow() },
            "whom signatures.identities does not name",
        ),
        (Signing { issuer: "https://evil.example".to_owned(), ..workflow() }, "(issuer https://evil.example)"),
        (Signing { after: 601, ..workflow() }, "had expired when it was made"),
        (Signing { after: -1, ..workflow() }, "was not valid yet when it was made"),
        (Signing { is_promised: false, ..workflow() }, "timestamp"),
    ] {
        refused(&by(signing), why);
    }
    refused(&try_with(&other.bundle(&one, &workflow())), "the signature of the component does not hold");
    refused(&try_with(&sigstore.bundle(&version(2), &workflow())), "it was changed, or is another one");
    // Of a bundle nothing can be changed, left out or taken from another one.
    let (good, again) = (sigstore.bundle(&one, &workflow()), sigstore.bundle(&one, &workflow()));
    let entry = "/verificationMaterial/tlogEntries/0";
    for (place, changed) in [
        ("/messageSignature/signature".to_owned(), again["messageSignature"]["signature"].clone()),
        (entry.to_owned(), again.pointer(entry).unwrap().clone()),
        ("/verificationMaterial/tlogEntries".to_owned(), json!([])),
        ("/verificationMaterial/certificate".to_owned(), again["verificationMaterial"]["certificate"].clone()),
        (format!("{entry}/integratedTime"), json!("1700000000")),
        (format!("{entry}/inclusionPromise"), Value::Null),
        (format!("{entry}/inclusionProof"), Value::Null),
        (format!("{entry}/inclusionProof/treeSize"), json!("2")),
        (format!("{entry}/logId/keyId"), json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
    ] {
        let mut bundle = good.clone();
        *bundle.pointer_mut(&place).unwrap() = changed;
        let answer = try_with(&bundle);
        assert_eq!((&place, answer.refused(422, "signature").status), (&place, 422));
    }
    admin.get("/api/v1/modules/it").refused(404, "not_found");

    assert_eq!(try_with(&good).status, 201);
    let text = format!("signed by {WORKFLOW} (issuer {ISSUER})");
    assert_eq!(signature(admin), json!({ "state": "signed", "text": text, "subject": WORKFLOW, "issuer": ISSUER }));
    server.says(&format!("installed by admin, {text}"));
    let ada =
        Signing { subject: "ada@example.com".to_owned(), issuer: "https://accounts.example".to_owned(), ..workflow() };
    assert_eq!(by(ada).status, 200);
    assert_eq!(signature(admin)["subject"], "ada@example.com");
    let server = server.restart();
    assert_eq!(
        (told(server.admin(), "it"), &signature(server.admin())["subject"]),
        (json!(1), &json!("ada@example.com"))
    );
}
