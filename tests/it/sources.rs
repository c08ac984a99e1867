//! Components from elsewhere: fetched over HTTPS and from registries, published, and served when their source is gone.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use fumehood_model::Digest;
use fumehood_tests::{Authority, Client, Finished, Registry, Server, USER, command, wat};
use serde_json::{Value, json};

const USAGE: i32 = 2;
const UNREACHABLE: i32 = 3;
const DENIED: i32 = 4;
const INVALID: i32 = 6;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A folder to run command lines in, without anybody's credentials.
struct Desk {
    place: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("docker")).unwrap();
        Self { place }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// A file in it.
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn credentials(&self, config: &Value) {
        fs::write(self.path("docker/config.json"), config.to_string()).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command();
        command.args(arguments).current_dir(self.place.path()).env("DOCKER_CONFIG", self.path("docker"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(&mut self.command(arguments))
    }

    /// The same, trusting an authority.
    fn trusting(&self, authority: &Authority, arguments: &[&str]) -> Finished {
        let mut command = self.command(arguments);
        Finished::of(command.env("FUMEHOOD_SOURCES__EXTRA_ROOTS", authority.file("ca.pem")))
    }
}

/// Another component than `wat("add")`, which answers to the same name.
fn another() -> Vec<u8> {
    // A custom section, which nobody reads.
    [&wat("add")[..], b"\0\x04\x01nxx"].concat()
}

fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

/// A registry's own words, for who asks it without our command line.
fn ask(registry: &Registry, path: &str) -> fumehood_tests::Answer {
    Client::new(&registry.url(""), None).send("GET", path, &[("accept", MANIFEST)], b"")
}

/// Put bytes into a registry, as a stranger's tool would.
fn put_blob(registry: &Registry, repository: &str, bytes: &[u8]) -> Value {
    let client = Client::new(&registry.url(""), None);
    let begun = client.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"");
    let place = begun.header("location").unwrap().to_owned();
    let place = place.strip_prefix(&registry.url("")).unwrap_or(&place);
    let kind = [("content-type", "application/octet-stream")];
    client.send("PUT", &format!("{place}&digest={}", digest(bytes)), &kind, bytes).empty(201);
    json!({ "digest": digest(bytes), "size": bytes.len() })
}

/// Put an artifact of these layers into a registry, each with its media type.
fn put(registry: &Registry, repository: &str, layers: &[(&str, &[u8])]) {
    let descriptor = |kind: &str, bytes: &[u8]| {
        let mut descriptor = put_blob(registry, repository, bytes);
        descriptor["mediaType"] = kind.into();
        descriptor
    };
    let layers: Vec<_> = layers.iter().map(|(kind, bytes)| descriptor(kind, bytes)).collect();
    let config = descriptor("application/vnd.oci.image.config.v1+json", b"{}");
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
    let client = Client::new(&registry.url(""), None);
    let path = format!("/v2/{repository}/manifests/1");
    client.send("PUT", &path, &[("content-type", MANIFEST)], manifest.to_string().as_bytes()).empty(201);
}

/// A server that says the same to everybody, byte for byte, and where it listens.
fn saying(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            // The other side may have gone already.
            let _ = stream.write_all(&answer);
        }
    });
    address
}

#[test]
fn a_published_component_is_fetched_as_it_was() {
    let Some(registry) = Registry::setup().start() else { return };
    let (desk, component) = (Desk::new(), wat("add"));
    let file = desk.file("Add_Numbers.wasm", &component);
    let place = registry.source("acme/tools/add:1.2");

    let published = desk.run(&["push", file.to_str().unwrap(), &place, "-o", "json"]).json();
    let pulled = desk.run(&["pull", &place, "-o", "json"]).json();

    assert_eq!(published["digest"], digest(&component));
    assert_eq!(published["reference"], format!("{place}@{}", published["manifest"].as_str().unwrap()));
    assert_eq!(fs::read(desk.path("add.wasm")).unwrap(), component);
    let expected = json!({
        "path": "add.wasm", "source": published["reference"], "digest": digest(&component),
        "manifest": published["manifest"], "size_bytes": component.len(),
    });
    assert_eq!(pulled, expected);
}

#[test]
fn what_is_published_has_the_form_that_other_tools_read() {
    let Some(registry) = Registry::setup().start() else { return };
    let (desk, component) = (Desk::new(), wat("resource"));
    let file = desk.file("m.wasm", &component);

    let _ = desk.run(&["push", file.to_str().unwrap(), &registry.source("acme/m")]).ok();

    let manifest = ask(&registry, "/v2/acme/m/manifests/latest");
    let parsed: Value = serde_json::from_slice(&manifest.body).unwrap();
    let config = ask(&registry, &format!("/v2/acme/m/blobs/{}", parsed["config"]["digest"].as_str().unwrap()));
    // Byte for byte: canonical JSON, members in order of their names.
    let expected = format!(
        concat!(
            r#"{{"config":{{"digest":"{}","mediaType":"application/vnd.wasm.config.v0+json","size":{}}},"#,
            r#""layers":[{{"annotations":{{"org.opencontainers.image.title":"m.wasm"}},"digest":"{}","#,
            r#""mediaType":"application/wasm","size":{}}}],"mediaType":"{}","schemaVersion":2}}"#
        ),
        digest(&config.body),
        config.body.len(),
        digest(&component),
        component.len(),
        MANIFEST
    );
    assert_eq!(manifest.text(), expected);
    let config: Value = serde_json::from_slice(&config.body).unwrap();
    let members: Vec<_> = config.as_object().unwrap().keys().collect();
    assert_eq!(members, ["created", "author", "architecture", "os", "layerDigests", "component"]);
    assert_eq!(
        (&config["architecture"], &config["os"], &config["author"]),
        (&json!("wasm"), &json!("wasip2"), &Value::Null)
    );
    assert_eq!(config["layerDigests"], json!([digest(&component)]));
    let members: Vec<_> = config["component"].as_object().unwrap().keys().collect();
    assert_eq!(members, ["exports", "imports", "target"]);
    assert!(!config["component"]["exports"].as_array().unwrap().is_empty());
}

#[test]
fn a_manifest_that_is_named_travels_inside_the_component() {
    let Some(registry) = Registry::setup().start() else { return };
    let desk = Desk::new();
    let file = desk.file("add.wasm", wat("add"));
    let manifest = desk.file("tool.toml", "description = \"Adds.\"\n");
    let place = registry.source("acme/add:1");

    let beside = desk.run(&["push", file.to_str().unwrap(), &place]);
    let _ = desk.run(&["push", file.to_str().unwrap(), &place, "--manifest", manifest.to_str().unwrap()]).ok();

    assert!(beside.stderr.contains("--manifest"), "{}", beside.stderr);
    let server = Server::start();
    let pushed = Finished::of(server.command(&["push", &place]).env("DOCKER_CONFIG", desk.path("docker")));
    let _ = pushed.ok();
    assert!(pushed.stderr.contains("module add is served, with the tool.toml that it holds"), "{}", pushed.stderr);
    assert_eq!(server.admin().call("add/add", &json!({ "a": 2, "b": 40 })).value(), json!(42));
}

#[test]
fn a_digest_names_one_component_and_no_other() {
    let Some(registry) = Registry::setup().start() else { return };
    let desk = Desk::new();
    let place = registry.source("acme/add:1");
    let push = |name, bytes: &[u8]| {
        let file = desk.file(name, bytes);
        desk.run(&["push", file.to_str().unwrap(), &place, "-o", "json"]).json()
    };

    let first = push("a.wasm", &wat("add"));
    let second = push("b.wasm", &another());
    let pinned = desk.run(&["pull", first["reference"].as_str().unwrap(), "--out", "old.wasm"]);
    let moved = desk.run(&["pull", &place, "--out", "new.wasm", "-o", "json"]).json();

    let _ = pinned.ok();
    assert_eq!(fs::read(desk.path("old.wasm")).unwrap(), wat("add"));
    assert_eq!((&moved["manifest"], &moved["digest"]), (&second["manifest"], &json!(digest(&another()))));
    let unknown = desk.run(&["pull", &format!("{place}@{}", digest(b"nothing")), "--out", "none.wasm"]);
    assert!(unknown.failed(UNREACHABLE).contains("was not found, is private, or you are not logged in"));
    assert!(!desk.path("none.wasm").exists());
    let file = desk.path("a.wasm");
    let digest_as_target = desk.run(&["push", file.to_str().unwrap(), first["reference"].as_str().unwrap()]);
    assert!(digest_as_target.failed(INVALID).contains("named by a tag"));
}

#[test]
fn layers_of_other_tools_are_read_and_unknown_ones_refused_by_name() {
    let Some(registry) = Registry::setup().start() else { return };
    let (desk, component) = (Desk::new(), wat("add"));
    let (policy, gzip) = ("application/vnd.wasm.policy.v1+yaml", "application/vnd.oci.image.layer.v1.tar+gzip");
    put(&registry, "old", &[("application/vnd.wasm.content.layer.v1+wasm", &component)]);
    put(&registry, "policy", &[("application/wasm", &component), (policy, b"version: 1")]);
    put(&registry, "image", &[(gzip, b"not a component")]);
    put(&registry, "two", &[("application/wasm", &component), ("application/wasm", &another())]);
    let pull = |name: &str| desk.run(&["pull", &registry.source(&format!("{name}:1"))]);

    let with_policy = pull("policy");

    let _ = (pull("old").ok(), with_policy.ok());
    assert!(with_policy.stderr.contains("a policy of wassette's, which is not applied"), "{}", with_policy.stderr);
    assert_eq!(fs::read(desk.path("old.wasm")).unwrap(), component);
    assert!(pull("image").failed(INVALID).contains(gzip));
    assert!(pull("two").failed(INVALID).contains("2 components, and not one"));
}

#[test]
fn a_registry_with_a_password_wants_it() {
    let Some(registry) = Registry::setup().password().start() else { return };
    let (desk, server) = (Desk::new(), Server::start());
    let file = desk.file("add.wasm", wat("add"));
    let (file, place) = (file.to_str().unwrap(), registry.source("acme/add:1"));
    let auth = |password: &str| BASE64_STANDARD.encode(format!("{}:{password}", USER.0));

    let nobody = desk.run(&["push", file, &place]);
    desk.credentials(&json!({ "auths": { "ghcr.io": { "auth": auth("x") } } }));
    let stranger = desk.run(&["push", file, &place]);
    desk.credentials(&json!({ "auths": { registry.address(): { "auth": auth("wrong") } } }));
    let wrong = desk.run(&["push", file, &place]);
    desk.credentials(&json!({ "auths": { format!("http://{}/v1/", registry.address()): { "auth": auth(USER.1) } } }));
    let right = desk.run(&["push", file, &place]);

    let told = |finished: &Finished| finished.failed(DENIED).lines().next().unwrap_or_default().to_owned();
    let config = desk.path("docker/config.json");
    let (config, begun) = (config.display(), "was not found, is private, or you are not logged in: tried");
    let (name, address) = (place.strip_prefix("oci://").unwrap(), registry.address());
    let expected = format!("error: {name} {begun} without credentials, as there is no {config}");
    assert_eq!(told(&nobody), expected);
    assert_eq!(told(&stranger), format!("error: {name} {begun} credentials from {config} (none for {address})"));
    assert_eq!(told(&wrong), format!("error: {name} {begun} the credentials for {address} in {config}"));
    let _ = right.ok();
    let pushed = Finished::of(server.command(&["push", &place]).env("DOCKER_CONFIG", desk.path("docker")));
    let _ = pushed.ok();
    assert_eq!(server.admin().call("add/add", &json!({ "a": 2, "b": 40 })).value(), json!(42));
}

#[test]
fn a_program_that_keeps_credentials_is_asked_for_them() {
    let Some(registry) = Registry::setup().password().start() else { return };
    let desk = Desk::new();
    let file = desk.file("add.wasm", wat("add"));
    let answer = json!({ "ServerURL": registry.address(), "Username": USER.0, "Secret": USER.1 });
    let script = format!(
        "#!/bin/sh\nread -r asked || true\n[ \"$1 $asked\" = 'get {}' ] || {{ echo 'credentials not found'; exit 1; }}\necho '{answer}'\n",
        registry.address()
    );
    let helper = desk.file("docker-credential-tests", script);
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", desk.path("").display(), std::env::var("PATH").unwrap());
    let push = |config: &Value| {
        desk.credentials(config);
        let mut command = desk.command(&["push", file.to_str().unwrap(), &registry.source("acme/add:1")]);
        Finished::of(command.env("PATH", &path))
    };

    let _ = push(&json!({ "credHelpers": { registry.address(): "tests" } })).ok();
    let _ = push(&json!({ "credsStore": "tests" })).ok();

    let missing = push(&json!({ "credsStore": "nowhere" }));
    assert!(missing.failed(INVALID).contains("docker-credential-nowhere"), "{}", missing.stderr);
    let other = push(&json!({ "credHelpers": { "ghcr.io": "tests" } }));
    assert!(other.failed(DENIED).contains("(none for "), "{}", other.stderr);
}

#[test]
fn tokens_are_fetched_where_the_registry_says() {
    let Some(authority) = Authority::new() else { return };
    let desk = Desk::new();
    let readers = format!("{{\"token\": \"{}\"}}", authority.token("acme/add", &["pull"]));
    let writers = format!("{{\"access_token\": \"{}\"}}", authority.token("acme/add", &["pull", "push"]));
    let realm = tokens(USER, readers, writers);
    let Some(registry) = Registry::setup().tokens(&format!("http://{realm}/token"), &authority).start() else { return };
    let file = desk.file("add.wasm", wat("add"));
    let place = registry.source("acme/add:1");

    let nobody = desk.run(&["push", file.to_str().unwrap(), &place]);
    let auth = BASE64_STANDARD.encode(format!("{}:{}", USER.0, USER.1));
    desk.credentials(&json!({ "auths": { registry.address(): { "auth": auth } } }));
    let somebody = desk.run(&["push", file.to_str().unwrap(), &place]);
    desk.credentials(&json!({}));
    let reader = desk.run(&["pull", &place, "--out", "got.wasm"]);

    assert!(nobody.failed(DENIED).contains("without credentials, as there is no "), "{}", nobody.stderr);
    let _ = (somebody.ok(), reader.ok());
    assert_eq!(fs::read(desk.path("got.wasm")).unwrap(), wat("add"));
}

/// Gives out one token to `user`, and another to anybody, to who asks for the repository of the tests.
fn tokens(user: (&str, &str), anybody: String, own: String) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", user.0, user.1)));
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let asks = head.first().is_some_and(|line| {
                line.contains("service=tests") && line.contains("scope=repository%3Aacme%2Fadd%3Apull")
            });
            let is_own = head.iter().any(|line| line.ends_with(&expected));
            let token = if is_own { &own } else { &anybody };
            let (status, body) = if asks { ("200 OK", token.as_str()) } else { ("400 Bad Request", "{}") };
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            // The other side may have gone already.
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    address
}

#[test]
fn a_certificate_must_come_from_somebody_who_is_trusted() {
    let Some(authority) = Authority::new() else { return };
    let Some(registry) = Registry::setup().tls(&authority).start() else { return };
    let (desk, component) = (Desk::new(), wat("add"));
    let file = desk.file("add.wasm", &component);
    let place = registry.source("acme/add:1");
    let _ = desk.trusting(&authority, &["push", file.to_str().unwrap(), &place]).ok();
    let url = registry.url(&format!("/v2/acme/add/blobs/{}", digest(&component)));

    for source in [&place, &url] {
        let untrusted = desk.run(&["pull", source, "--out", "got.wasm"]);
        assert!(untrusted.failed(UNREACHABLE).contains("sources.extra_roots"), "{}", untrusted.stderr);
        assert!(!desk.path("got.wasm").exists());
        let _ = desk.trusting(&authority, &["pull", source, "--out", "got.wasm"]).ok();
        assert_eq!(fs::read(desk.path("got.wasm")).unwrap(), component);
        fs::remove_file(desk.path("got.wasm")).unwrap();
    }
    let pinned = |bytes: &[u8]| format!("{url}#{}", digest(bytes));
    let _ = desk.trusting(&authority, &["pull", &pinned(&component), "--out", "got.wasm"]).ok();
    let other = desk.trusting(&authority, &["pull", &pinned(b"other"), "--out", "other.wasm"]);
    assert!(other.failed(INVALID).contains("it was changed, and is not used"), "{}", other.stderr);
    assert!(!desk.path("other.wasm").exists());
}

/// A server over TLS that answers what is in the files of a folder: `openssl s_server -HTTP`.
struct Pages {
    child: Child,
    port: String,
}

impl Pages {
    fn start(authority: &Authority, folder: &Path) -> Self {
        let mut command = Command::new("timeout");
        command.args(["600", "openssl", "s_server", "-HTTP", "-accept", "127.0.0.1:0", "-cert"]);
        command.arg(authority.file("cert.pem")).arg("-key").arg(authority.file("key.pem")).current_dir(folder);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.starts_with("ACCEPT ")).expect("it tells where it listens");
        thread::spawn(move || lines.for_each(drop));
        Self { child, port: line.rsplit_once(':').unwrap().1.trim().to_owned() }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // `timeout` passes the signal on, and ends with what it has started.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

#[test]
fn redirects_are_few_and_never_lead_out_of_tls() {
    let Some(authority) = Authority::new() else { return };
    let (desk, folder) = (Desk::new(), tempfile::tempdir().unwrap());
    let canary = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    canary.set_nonblocking(true).unwrap();
    let page = |name: &str, to: &str| {
        let answer = format!("HTTP/1.0 302 Found\r\nLocation: {to}\r\n\r\n");
        fs::write(folder.path().join(name), answer).unwrap();
    };
    page("plain", &format!("http://{}/x.wasm", canary.local_addr().unwrap()));
    page("circle", "/circle");
    page("moved", "/component");
    let component = wat("add");
    let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", component.len());
    fs::write(folder.path().join("component"), [head.as_bytes(), &component].concat()).unwrap();
    let pages = Pages::start(&authority, folder.path());
    let pull = |path: &str| {
        let url = format!("https://127.0.0.1:{}/{path}", pages.port);
        desk.trusting(&authority, &["pull", &url, "--out", "got.wasm"])
    };

    let _ = pull("moved").ok();
    let (plain, circle) = (pull("plain"), pull("circle"));

    assert_eq!(fs::read(desk.path("got.wasm")).unwrap(), component);
    assert!(plain.failed(UNREACHABLE).contains("it leads from TLS to plain HTTP"), "{}", plain.stderr);
    assert!(circle.failed(UNREACHABLE).contains("more than 5 redirects"), "{}", circle.stderr);
    assert!(canary.accept().is_err(), "nobody was asked without TLS");
}

#[test]
fn only_this_machine_is_asked_without_tls() {
    let desk = Desk::new();

    for source in ["http://192.0.2.1/x.wasm", "http://localhost.example/x.wasm"] {
        let refused = desk.run(&["pull", source]);
        assert!(refused.failed(INVALID).contains("name it in sources.plain_http"), "{}", refused.stderr);
    }
    let address =
        saying(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\n\0asm\x0d\0\x01\0".to_vec());
    let _ = desk.run(&["pull", &format!("http://{address}/x.wasm")]).ok();
    assert_eq!(fs::read(desk.path("x.wasm")).unwrap(), b"\0asm\x0d\0\x01\0");
    // Another name of this machine, which is none of loopback.
    let other = address.replace("127.0.0.1", "0.0.0.0");
    let pull = |plain: &str| {
        let mut command = desk.command(&["pull", &format!("http://{other}/x.wasm"), "--out", "other.wasm"]);
        command.env("FUMEHOOD_SOURCES__PLAIN_HTTP", plain).env("NO_PROXY", "*").env("no_proxy", "*");
        Finished::of(&mut command)
    };
    assert!(pull("elsewhere.example").failed(INVALID).contains("name it in sources.plain_http"));
    let _ = pull(&other).ok();
    assert_eq!(fs::read(desk.path("other.wasm")).unwrap(), b"\0asm\x0d\0\x01\0");
}

#[test]
fn who_does_not_answer_is_not_waited_for() {
    // Connections are made, and nobody takes them.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let desk = Desk::new();
    let mut command = desk.command(&["pull", &format!("http://{}/x.wasm", silent.local_addr().unwrap())]);

    let refused = Finished::of(command.env("FUMEHOOD_SOURCES__TIMEOUT_S", "1"));

    assert!(refused.failed(UNREACHABLE).contains("did not answer in time"), "{}", refused.stderr);
}

#[test]
fn what_is_larger_than_a_component_may_be_is_not_read() {
    let (desk, large) = (Desk::new(), vec![b'x'; 5_000]);
    let said = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\nconnection: close\r\n\r\n".to_vec();
    let unsaid = [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", &large[..]].concat();
    let file = desk.file("large.wasm", &large);
    let sources = [
        format!("http://{}/x.wasm", saying(said)),
        format!("http://{}/x.wasm", saying(unsaid)),
        file.display().to_string(),
    ];

    for source in &sources[..2] {
        let mut command = desk.command(&["pull", source]);
        let refused = Finished::of(command.env("FUMEHOOD_COMPONENTS__MAX_SIZE", "4 KiB"));
        assert!(refused.failed(INVALID).contains("has more than the 4 KiB that are allowed"), "{}", refused.stderr);
    }
    let mut command = desk.command(&["push", &sources[2], "oci://127.0.0.1:9/x"]);
    let refused = Finished::of(command.env("FUMEHOOD_COMPONENTS__MAX_SIZE", "4 KiB"));
    assert!(refused.failed(INVALID).contains("has more than the 4 KiB"), "{}", refused.stderr);
}

#[test]
fn a_registry_that_lies_about_bytes_is_not_believed() {
    let desk = Desk::new();
    // The same comes whatever is asked for: a manifest in the place of the component that it names.
    let layer = json!({ "mediaType": "application/wasm", "digest": digest(&wat("add")), "size": 10_000 });
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": layer, "layers": [layer] }).to_string();
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", manifest.len());
    let address = saying(format!("{head}{manifest}").into_bytes());

    let component = desk.run(&["pull", &format!("oci://{address}/x:1")]);
    let other = desk.run(&["pull", &format!("oci://{address}/x@{}", digest(b"other"))]);

    let arrived = digest(manifest.as_bytes());
    for (refused, expected) in [(component, digest(&wat("add"))), (other, digest(b"other"))] {
        let told = format!("arrived as {arrived}, and not as {expected}: it was changed, and is not used");
        assert!(refused.failed(INVALID).contains(&told), "{}", refused.stderr);
    }
    assert!(!desk.path("x.wasm").exists());
}

#[test]
fn nothing_is_written_over_without_being_named() {
    let Some(registry) = Registry::setup().start() else { return };
    let desk = Desk::new();
    let file = desk.file("add.wasm", wat("add"));
    let place = registry.source("acme/add");
    let _ = desk.run(&["push", file.to_str().unwrap(), &place]).ok();
    fs::write(&file, "mine").unwrap();

    assert!(desk.run(&["pull", &place]).failed(INVALID).contains("add.wasm is there already"));
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(desk.run(&["pull", "./add.wasm"]).code, USAGE);
    assert_eq!(desk.run(&["push", "./add.wasm", "https://example.com/x"]).code, USAGE);
    assert_eq!(desk.run(&["push", "./add.wasm", &place, "--name", "x"]).code, USAGE);
    let text = desk.file("text.wasm", "no component");
    assert!(desk.run(&["push", text.to_str().unwrap(), &place]).failed(INVALID).contains("it is not published"));
    let no_one = desk.run(&["pull", "oci://127.0.0.1:9/x"]);
    assert!(no_one.failed(UNREACHABLE).contains("127.0.0.1:9 cannot be reached"), "{}", no_one.stderr);
}

/// A server whose modules come from elsewhere.
fn supplied(desk: &Desk, modules: &[(&str, &str)]) -> fumehood_tests::Setup {
    let lines: Vec<_> = modules.iter().map(|(name, source)| format!("\"{name}\" = \"{source}\"\n")).collect();
    let config = desk.file("fumehood.toml", format!("[sources.modules]\n{}", lines.concat()));
    let setup = Server::setup().argument("--config").argument(config.to_str().unwrap());
    setup.variable("DOCKER_CONFIG", desk.path("docker").to_str().unwrap())
}

/// The digest of the component that is served as the module `name`.
fn served(server: &Server, name: &str) -> Value {
    server.admin().get(&format!("/api/v1/modules/{name}")).value()["digest"].clone()
}

#[test]
fn configured_modules_are_fetched_at_the_start_and_kept_for_when_they_cannot_be() {
    let Some(registry) = Registry::setup().start() else { return };
    let desk = Desk::new();
    let (one, two) = (desk.file("one.wasm", wat("add")), desk.file("two.wasm", another()));
    let place = registry.source("acme/add:1");
    let _ = desk.run(&["push", one.to_str().unwrap(), &place]).ok();

    let server = supplied(&desk, &[("tools.sum", &place)]).start();
    assert_eq!(server.admin().call("tools.sum/add", &json!({ "a": 2, "b": 40 })).value(), json!(42));
    assert!(server.log().contains("Module tools.sum was fetched from"), "{}", server.log());

    let _ = desk.run(&["push", two.to_str().unwrap(), &place]).ok();
    let server = server.restart();
    assert_eq!(served(&server, "tools.sum"), digest(&another()), "a tag is looked up at each start");

    let server = server.restart();
    assert!(server.log().contains("is what oci://"), "{}", server.log());

    drop(registry);
    let server = server.restart();
    assert_eq!(served(&server, "tools.sum"), digest(&another()));
    assert_eq!(server.admin().call("tools.sum/add", &json!({ "a": 2, "b": 40 })).value(), json!(42));
    assert!(server.log().contains("Module tools.sum is served as it was fetched at"), "{}", server.log());
    assert!(server.log().contains("cannot be reached"), "{}", server.log());

    let setup = server.stop();
    let kept = setup.data().join("sources/tools.sum.wasm");
    fs::write(&kept, wat("add")).unwrap();
    let server = setup.start();
    assert_eq!(server.admin().get("/api/v1/modules/tools.sum").status, 404, "what was changed since is not served");
    let problems = server.admin().get("/api/v1/modules").value()["problems"].to_string();
    assert!(problems.contains("could not be fetched, and nothing is kept of it"), "{problems}");
}

/// A web server that answers every request with what stands there, and the address of it.
fn web(answers: Arc<Mutex<Vec<u8>>>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _request = BufReader::new(&stream).lines().map_while(Result::ok).find(String::is_empty);
            let body = answers.lock().unwrap().clone();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            // The other side may have gone already.
            let _ = (&stream).write_all(&[head.into_bytes(), body].concat());
        }
    });
    format!("http://{address}/add.wasm")
}

#[test]
fn a_page_in_the_place_of_a_component_takes_nothing_away() {
    let desk = Desk::new();
    let answers = Arc::new(Mutex::new(wat("add")));
    let place = web(Arc::clone(&answers));
    let server = supplied(&desk, &[("sum", &place)]).start();
    assert_eq!(served(&server, "sum"), digest(&wat("add")));

    *answers.lock().unwrap() = b"<html>we are moving</html>".to_vec();
    let server = server.restart();
    assert_eq!(served(&server, "sum"), digest(&wat("add")));
    assert!(server.log().contains("Module sum is served as it was fetched at"), "{}", server.log());
    assert!(server.log().contains("does not begin as a WebAssembly component does"), "{}", server.log());
    let pulled = desk.run(&["pull", &place]);
    assert!(pulled.failed(INVALID).contains("does not begin as a WebAssembly component does"), "{}", pulled.stderr);
    assert!(!desk.path("add.wasm").exists());
}

#[test]
fn a_pinned_module_needs_its_registry_once() {
    let Some(registry) = Registry::setup().start() else { return };
    let desk = Desk::new();
    let file = desk.file("add.wasm", wat("add"));
    let published = desk.run(&["push", file.to_str().unwrap(), &registry.source("acme/add:1"), "-o", "json"]).json();
    let pinned = published["reference"].as_str().unwrap();
    let wrong = format!("{}@{}", registry.source("acme/add"), digest(b"nothing"));

    let server = supplied(&desk, &[("add", pinned), ("wrong", &wrong)]).start();
    assert_eq!(server.admin().call("add/add", &json!({ "a": 2, "b": 40 })).value(), json!(42));
    assert_eq!(server.admin().get("/api/v1/modules/wrong").status, 404);
    assert!(server.log().contains("module wrong is not served"), "{}", server.log());

    drop(registry);
    let server = server.restart();
    assert_eq!(server.admin().call("add/add", &json!({ "a": 2, "b": 40 })).value(), json!(42));
    assert!(server.log().contains("Module add is served from what is kept of"), "{}", server.log());
}

#[test]
fn what_is_configured_no_more_is_served_no_more() {
    let desk = Desk::new();
    let file = desk.file("add.wasm", wat("add"));
    let server = supplied(&desk, &[("sum", file.to_str().unwrap())]).start();
    assert_eq!(server.admin().call("sum/add", &json!({ "a": 2, "b": 40 })).value(), json!(42));

    desk.file("fumehood.toml", "[sources.modules]\n");
    let server = server.restart();

    assert_eq!(server.admin().get("/api/v1/modules/sum").status, 404);
    let data = server.data();
    assert_eq!(fs::read_dir(data.join("sources")).unwrap().count(), 0);
}

#[test]
fn mistakes_in_sources_are_told_with_their_place() {
    let desk = Desk::new();
    for (text, told) in [
        ("[sources.modules]\nx = \"ftp://x/y\"\n", "fumehood.toml:1: sources.modules"),
        ("[sources.modules]\nBAD = \"x.wasm\"\n", "module name `BAD`"),
        ("[sources]\ntimeout_s = 0\n", "sources.timeout_s must be at least 1"),
        ("[sources]\nextra_root = []\n", "did you mean `extra_roots`?"),
    ] {
        desk.file("fumehood.toml", text);

        let checked = desk.run(&["config", "check"]);

        assert!(checked.failed(INVALID).contains(told), "{}", checked.stderr);
    }
}
