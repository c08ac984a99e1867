//! Clients are told of the server: in files of theirs that keep everything else, and by documents for everyone.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use fumehood_tests::{Client, Finished, Mcp, Server, wat};
use serde_json::{Value, json};
use tempfile::TempDir;

const USAGE: i32 = 2;
const INVALID: i32 = 6;

/// Those whose configuration may hold servers that are reached over HTTP.
const OVER_HTTP: [&str; 9] =
    ["claude-code", "cursor", "vscode", "windsurf", "zed", "codex", "gemini-cli", "opencode", "goose"];

/// A server, and a user with a home of their own.
struct Desk {
    server: Server,
    home: TempDir,
    project: TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = || tempfile::tempdir().unwrap();
        Self { server: Server::setup().api("add", wat("add")).start(), home: folder(), project: folder() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.server.command(&[&["install"], arguments].concat());
        for variable in ["XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME"] {
            command.env_remove(variable);
        }
        command.env("HOME", self.home.path()).current_dir(self.project.path());
        command
    }

    fn install(&self, arguments: &[&str]) -> Finished {
        Finished::of(&mut self.command(arguments))
    }

    /// As [`Self::install`], which must not fail.
    fn done(&self, arguments: &[&str]) -> Finished {
        let finished = self.install(arguments);
        assert_eq!(finished.code, 0, "{}", finished.stderr);
        finished
    }

    /// What is shown for `client`, as a document.
    fn shown(&self, client: &str, arguments: &[&str]) -> Value {
        self.install(&[&[client, "-o", "json"], arguments].concat()).json()
    }

    /// A file of this user, with `text` in it.
    fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn keys(&self) -> Vec<Value> {
        self.server.admin().get("/api/v1/keys").value()["keys"].as_array().unwrap().clone()
    }

    /// The server as whoever holds the key in `entry` sees it.
    fn as_in(&self, entry: &Value) -> Client {
        self.server.admin().with_key(&key_in(entry).expect("the entry holds a key"))
    }
}

fn key_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.strip_prefix("Bearer ").map(str::to_owned),
        Value::Object(members) => members.values().find_map(key_in),
        _ => None,
    }
}

fn json_in(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn toml_in(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_shown_for_every_client_is_in_its_form_and_lets_it_call_tools() {
    let desk = Desk::new();

    for client in OVER_HTTP {
        let shown = desk.shown(client, &[]);

        let text = shown["text"].as_str().unwrap();
        match shown["format"].as_str().unwrap() {
            "json" => assert_eq!(serde_json::from_str::<Value>(text).unwrap(), shown["config"], "{client}"),
            "toml" => assert_eq!(toml_in(text), shown["config"], "{client}"),
            _ => assert!(text.starts_with("extensions:\n  fumehood:\n    enabled: true\n"), "{text}"),
        }
        assert_eq!((&shown["written"], &shown["transport"]), (&json!(false), &json!("http")));
        let holder = desk.as_in(&shown["config"]);
        assert_eq!(Mcp::modern(&holder).call("add__add", &json!({ "a": 2, "b": 40 }))["isError"], false, "{client}");
        holder.get("/api/v1/keys").refused(403, "forbidden");
        let key = desk.keys().pop().unwrap();
        assert_eq!((&key["name"], &key["id"], &key["roles"]), (&json!(client), &shown["key_id"], &json!(["call"])));
    }
    assert_eq!(fs::read_dir(desk.home.path()).unwrap().count(), 0, "showing writes nothing");
}

#[test]
fn each_client_gets_the_members_that_it_knows() {
    let desk = Desk::new();
    let url = format!("{}/mcp", desk.server.url());
    let bearer = json!({ "Authorization": "Bearer fh_a_b" });
    let entry = |client: &str, section: &str, arguments: &[&str]| {
        let shown = desk.shown(client, &[&["--client-key", "fh_a_b", "--name", "own"], arguments].concat());
        assert_eq!(shown["key_id"], Value::Null);
        shown["config"][section]["own"].clone()
    };

    let http = json!({ "type": "http", "url": url, "headers": bearer });
    assert_eq!(entry("claude-code", "mcpServers", &[]), http);
    assert_eq!(entry("vscode", "servers", &[]), http);
    assert_eq!(entry("cursor", "mcpServers", &[]), json!({ "url": url, "headers": bearer }));
    assert_eq!(entry("zed", "context_servers", &[]), json!({ "url": url, "headers": bearer }));
    assert_eq!(entry("windsurf", "mcpServers", &[]), json!({ "serverUrl": url, "headers": bearer }));
    assert_eq!(entry("gemini-cli", "mcpServers", &[]), json!({ "httpUrl": url, "headers": bearer }));
    assert_eq!(entry("codex", "mcp_servers", &[]), json!({ "url": url, "http_headers": bearer }));
    assert_eq!(
        entry("opencode", "mcp", &[]),
        json!({ "type": "remote", "url": url, "enabled": true, "oauth": false, "headers": bearer })
    );
    let goose = entry("goose", "extensions", &[]);
    assert_eq!((&goose["type"], &goose["uri"], &goose["headers"]), (&json!("streamable_http"), &json!(url), &bearer));
    let profile = entry("cursor", "mcpServers", &["--profile", "daily"]);
    assert_eq!(profile["url"], format!("{url}/daily"));
    let text = desk.install(&["goose", "--client-key", "fh_a_b", "--name", "own"]);
    assert!(
        text.ok().contains(&format!("\n    uri: \"{url}\"\n    headers:\n      Authorization: \"Bearer fh_a_b\"\n"))
    );
    assert_eq!(desk.keys().len(), 1, "no key was made");
}

#[test]
fn over_stdio_a_client_can_start_what_it_is_told() {
    let desk = Desk::new();
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } });

    for client in OVER_HTTP.into_iter().chain(["claude-desktop"]) {
        let shown = desk.shown(client, &["--transport", "stdio"]);

        let section = shown["config"].as_object().unwrap().values().next().unwrap();
        let entry = &section["fumehood"];
        let words = |value: &Value| -> Vec<String> {
            let list = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let mut line = words(if entry["cmd"].is_null() { &entry["command"] } else { &entry["cmd"] });
        line.extend(entry["args"].as_array().map(|_| words(&entry["args"])).unwrap_or_default());
        assert!(Path::new(&line[0]).is_absolute() && key_in(entry).is_none(), "{entry}");
        assert_eq!(line[1..3], ["mcp", "--data-dir"]);
        assert_eq!(line[3], desk.server.data().to_str().unwrap());
        if client == "claude-desktop" {
            let mut command = Command::new(&line[0]);
            command.args(&line[1..]).current_dir("/");
            let said = Finished::with_input(&mut command, format!("{hello}\n").as_bytes());
            assert!(said.stdout.contains("\"serverInfo\""), "{} {}", said.stdout, said.stderr);
        }
    }
    assert_eq!(desk.keys().len(), 1, "no key was made");
    assert_eq!(desk.install(&["claude-desktop", "--transport", "http"]).code, USAGE);
    assert_eq!(desk.install(&["cursor", "--transport", "stdio", "--client-key", "fh_a_b"]).code, USAGE);
    assert_eq!(desk.install(&["cursor", "--transport", "stdio", "--profile", "daily"]).code, USAGE);
}

#[test]
fn a_new_file_is_for_its_owner_only_and_an_old_one_keeps_all_it_has() {
    let desk = Desk::new();
    let settings = "{\n  // mine\n  \"theme\": \"dark\",\n  \"context_servers\": {\n    \"other\": { \"command\": \"x\" }, // first\n  },\n}\n";
    let zed = desk.file(".config/zed/settings.json", settings);
    let codex =
        desk.file(".codex/config.toml", "# mine\nmodel = \"m\" # best\n\n[mcp_servers.other]\ncommand = \"x\"\n");
    fs::set_permissions(&zed, fs::Permissions::from_mode(0o640)).unwrap();

    let new = desk.install(&["cursor", "--write"]);
    let changed = desk.install(&["zed", "--write"]);
    desk.done(&["codex", "--write"]);

    let cursor = desk.home.path().join(".cursor/mcp.json");
    assert_eq!((new.code, mode(&cursor)), (0, 0o600), "{}", new.stderr);
    assert_eq!(desk.as_in(&json_in(&cursor)).get("/api/v1/tools").status, 200);
    let key = key_in(&json_in(&cursor)).unwrap();
    assert!(!new.stdout.contains(&key) && !new.stderr.contains(&key), "what was written is not shown");
    let text = fs::read_to_string(&zed).unwrap();
    let (before, rest) = settings.split_once("\n  },\n}").unwrap();
    assert!(text.starts_with(before) && text.ends_with(&format!("\n  }},\n}}{rest}")), "{text}");
    assert!(text.contains("\n    \"fumehood\": {\n      \"url\": "), "{text}");
    assert_eq!(mode(&zed), 0o640);
    let backup = zed.with_file_name("settings.json.fumehood-backup");
    assert_eq!((fs::read_to_string(&backup).unwrap().as_str(), mode(&backup)), (settings, 0o640));
    assert!(changed.stderr.contains("others on this machine may read it"), "{}", changed.stderr);
    let text = fs::read_to_string(&codex).unwrap();
    assert!(text.starts_with("# mine\nmodel = \"m\" # best\n\n[mcp_servers.other]\ncommand = \"x\"\n\n"), "{text}");
    let entry = &toml_in(&text)["mcp_servers"]["fumehood"];
    assert_eq!(desk.as_in(entry).get("/api/v1/tools").status, 200);
}

#[test]
fn a_second_time_changes_nothing_but_the_key_and_says_so() {
    let desk = Desk::new();
    let file = desk.file(".claude.json", "{\n\t\"projects\": {\"/x\": {\"a\": 1}},\n\t\"mcpServers\": {}\n}");
    let write = || {
        let done = desk.install(&["claude-code", "--write", "-o", "json"]).json();
        (done, fs::read_to_string(&file).unwrap(), key_in(&json_in(&file)).unwrap())
    };

    let (first, once, first_key) = write();
    let (second, twice, second_key) = write();
    let told = desk.install(&["claude-code", "--write"]);

    assert_ne!(first_key, second_key);
    assert_eq!(once.replace(&first_key, &second_key), twice);
    assert_eq!((&first["replaced"], &second["replaced"]), (&json!(false), &json!(true)));
    assert_eq!(second["previous_key_id"], first["key_id"]);
    assert!(!second.to_string().contains(&second_key));
    assert!(told.stderr.contains("the entry `fumehood` replaces the one that was there"), "{}", told.stderr);
    let before = second["key_id"].as_str().unwrap();
    assert!(told.stderr.contains(&format!("fumehood keys revoke {before}")), "{}", told.stderr);

    let same = || desk.install(&["claude-code", "--write", "--key-from-env", "TOOLS", "-o", "json"]).json();
    assert_eq!((&same()["written"], &same()["written"]), (&json!(true), &json!(false)));
    assert_eq!(json_in(&file)["mcpServers"]["fumehood"]["headers"]["Authorization"], "Bearer ${TOOLS}");
    assert_eq!(json_in(&file)["projects"], json!({ "/x": { "a": 1 } }));
}

#[test]
fn a_file_that_cannot_be_changed_stays_and_costs_no_key() {
    let desk = Desk::new();
    let cases = [
        ("cursor", ".cursor/mcp.json", "{\n  \"mcpServers\": hunter2\n}", "line 2"),
        ("cursor", ".cursor/mcp.json", "{\"mcpServers\": [\"hunter2\"]}", "not an object"),
        ("codex", ".codex/config.toml", "a = 1\nb = hunter2\n", "line 2"),
        ("codex", ".codex/config.toml", "mcp_servers = { fumehood = { url = \"hunter2\" } }\n", "safely"),
        ("opencode", ".config/opencode/opencode.json", "{\"mcp\": {\"servers\": {}}}", "opencode 2"),
    ];

    for (client, path, text, reason) in cases {
        let file = desk.file(path, text);

        let refused = desk.install(&[client, "--write"]);

        let said = refused.failed(INVALID);
        assert!(said.contains(reason) && said.contains(file.to_str().unwrap()) && !said.contains("hunter2"), "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }
    assert_eq!(desk.keys().len(), 1, "no key was made");
}

#[test]
fn a_key_that_could_not_be_written_is_revoked() {
    let desk = Desk::new();
    let blocked = desk.file("blocked", "");

    let failed = desk.install(&["cursor", "--write", "--path", blocked.join("mcp.json").to_str().unwrap()]);

    assert_ne!(failed.code, 0);
    assert!(desk.keys().iter().filter(|key| key["name"] == "cursor").all(|key| key["revoked_at"].is_string()));
}

#[test]
fn a_link_stays_a_link() {
    let desk = Desk::new();
    let kept = desk.file("dotfiles/mcp.json", "{}\n");
    let link = desk.home.path().join(".cursor/mcp.json");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink(&kept, &link).unwrap();

    desk.done(&["cursor", "--write"]);

    assert!(link.is_symlink());
    assert!(json_in(&kept)["mcpServers"]["fumehood"].is_object());
}

#[test]
fn a_client_that_can_is_told_a_variable_and_no_key() {
    let desk = Desk::new();
    let bearers = [
        ("claude-code", "Bearer ${TOOLS_KEY}"),
        ("cursor", "Bearer ${env:TOOLS_KEY}"),
        ("windsurf", "Bearer ${env:TOOLS_KEY}"),
        ("opencode", "Bearer {env:TOOLS_KEY}"),
        ("goose", "Bearer ${TOOLS_KEY}"),
    ];

    for (client, bearer) in bearers {
        let shown = desk.shown(client, &["--key-from-env", "TOOLS_KEY"]);
        assert_eq!(key_in(&shown["config"]).unwrap(), bearer.strip_prefix("Bearer ").unwrap());
    }
    let codex = desk.shown("codex", &["--key-from-env", "TOOLS_KEY"]);
    assert_eq!(codex["config"]["mcp_servers"]["fumehood"]["bearer_token_env_var"], "TOOLS_KEY");
    for client in ["vscode", "zed", "gemini-cli"] {
        assert_eq!(desk.install(&[client, "--key-from-env", "TOOLS_KEY"]).code, USAGE);
    }
    assert_eq!(desk.install(&["cursor", "--key-from-env", "a b"]).code, USAGE);
    assert_eq!(desk.keys().len(), 1, "no key was made");
}

#[test]
fn a_project_has_files_of_its_own() {
    let desk = Desk::new();
    let files = [
        ("claude-code", ".mcp.json"),
        ("cursor", ".cursor/mcp.json"),
        ("vscode", ".vscode/mcp.json"),
        ("codex", ".codex/config.toml"),
        ("gemini-cli", ".gemini/settings.json"),
        ("opencode", "opencode.json"),
    ];

    for (client, file) in files {
        let done = desk.install(&[client, "--write", "--scope", "project"]);
        assert!(done.stderr.contains("keep it out of version control"), "{}", done.stderr);
        assert!(desk.project.path().join(file).is_file(), "{client}");
    }
    for client in ["claude-desktop", "windsurf", "zed", "goose"] {
        assert_eq!(desk.install(&[client, "--scope", "project"]).code, USAGE);
    }
    assert_eq!(desk.install(&["goose", "--write"]).code, USAGE);
    let other = desk.project.path().join("elsewhere/mcp.json");
    desk.done(&["cursor", "--write", "--path", "elsewhere/mcp.json"]);
    assert!(json_in(&other)["mcpServers"]["fumehood"].is_object());
}

#[test]
fn the_list_tells_where_each_client_looks() {
    let desk = Desk::new();
    let file = desk.file(".claude.json", "{}");

    let list = desk.install(&["--list", "-o", "json"]).json();
    let table = desk.install(&["--list"]);

    let clients = list["clients"].as_array().unwrap();
    let found = clients.iter().find(|row| row["client"] == "claude-code" && row["scope"] == "user").unwrap();
    assert_eq!((&found["file"], &found["exists"]), (&json!(file.to_str().unwrap()), &json!(true)));
    let named = |client: &str| clients.iter().any(|row| row["client"] == client && row["scope"] == "user");
    assert!(OVER_HTTP.into_iter().chain(["claude-desktop"]).all(named));
    assert_eq!(table.ok().lines().count(), clients.len() + 1);
    assert_eq!(desk.install(&[]).code, USAGE);
    assert_eq!(desk.install(&["emacs"]).code, USAGE);
}

#[test]
fn who_may_not_make_keys_can_pass_one() {
    let desk = Desk::new();
    let (_, caller) = desk.server.admin().new_key("ci", "call");

    let refused = desk.install(&["cursor", "--write", "--key", caller.key()]);

    assert!(refused.failed(4).contains("--client-key"), "{}", refused.stderr);
    desk.done(&["cursor", "--write", "--key", caller.key(), "--client-key", caller.key()]);
    let file = json_in(&desk.home.path().join(".cursor/mcp.json"));
    assert_eq!(key_in(&file).unwrap(), caller.key());
}

#[test]
fn everyone_can_read_how_to_connect_and_nothing_else() {
    let server = Server::setup().api("hidden", wat("add")).start();
    let nobody = server.admin().anonymous();

    let (card, catalogue) = (nobody.get("/mcp/server-card"), nobody.get("/.well-known/ai-catalog.json"));

    assert_eq!(card.header("content-type"), Some("application/mcp-server-card+json"));
    assert_eq!(catalogue.header("content-type"), Some("application/ai-catalog+json"));
    assert_eq!(card.header("access-control-allow-origin"), Some("*"));
    let text = format!("{}{}", card.text(), catalogue.text());
    assert!(!text.contains("hidden") && !text.contains(server.data().to_str().unwrap()), "{text}");
    assert_eq!((card.status, catalogue.status), (200, 200));
    let (card, catalogue) = (card.json(), catalogue.json());
    assert_eq!((&card["name"], &card["title"]), (&json!("localhost/fumehood"), &json!("fumehood")));
    assert!(card["version"].is_string() && card.get("tools").is_none());
    assert!((1..=100).contains(&card["description"].as_str().unwrap().len()));
    let remote = &card["remotes"][0];
    assert_eq!((&remote["type"], &remote["url"]), (&json!("streamable-http"), &json!(format!("{}/mcp", server.url()))));
    assert_eq!(
        (&remote["headers"][0]["name"], &remote["headers"][0]["isSecret"]),
        (&json!("Authorization"), &json!(true))
    );
    let versions = Mcp::modern(server.admin()).request("server/discover", json!({}))["supportedVersions"].clone();
    let listed = remote["supportedProtocolVersions"].as_array().unwrap();
    assert!(versions.as_array().unwrap().iter().all(|version| listed.contains(version)), "{versions} {remote}");
    let entry = &catalogue["entries"][0];
    assert_eq!(
        (&catalogue["specVersion"], &entry["type"]),
        (&json!("1.0"), &json!("application/mcp-server-card+json"))
    );
    let path = entry["url"].as_str().unwrap().strip_prefix(&server.url()).unwrap();
    assert_eq!(nobody.get(path).json(), card);
    nobody.send("GET", "/mcp/server-card", &[("host", "evil.test")], b"").refused(403, "forbidden");
    nobody.get("/mcp").refused(401, "unauthenticated");
}

#[test]
fn behind_a_proxy_the_address_is_the_one_that_was_asked() {
    let server = Server::setup().set("server.allowed_hosts", "tools.example.com").argument("--no-auth").start();
    let headers = [("host", "tools.example.com"), ("x-forwarded-proto", "https")];

    let card = server.admin().anonymous().send("GET", "/mcp/server-card", &headers, b"").json();

    assert_eq!(card["name"], "com.example.tools/fumehood");
    assert_eq!(card["remotes"][0]["url"], "https://tools.example.com/mcp");
    assert_eq!(card["remotes"][0].get("headers"), None, "no key is asked for");
}
