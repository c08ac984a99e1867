//! Folders that were granted, scratch space, and the bounds on both.

use std::{fs, os::unix::fs::symlink, path::PathBuf, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fumehood_tests::{Answer, Server, Shared, eventually, guest};
use serde_json::{Value, json};
use tempfile::TempDir;

static BARE: Shared = Shared::new();

const CANARY: &str = "untouched";

/// A server whose guest `files` was granted something, and a folder beside a canary that nothing may touch.
struct Scene {
    server: Server,
    home: TempDir,
}

impl Scene {
    /// `grant` with `{folder}` in it for the folder.
    fn new(grant: &str) -> Option<Self> {
        let component = guest("files")?;
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("canary"), CANARY).unwrap();
        fs::create_dir(home.path().join("granted")).unwrap();
        let setup = Server::setup().guest("files", &component).set("limits.fuel_units", 3_000_000_000_u64);
        let server = setup.start();
        let grant = grant.replace("{folder}", home.path().join("granted").to_str().unwrap());
        let answer = server.admin().post("/api/v1/modules/files/permissions", &json!({ "grant": grant }));
        assert!((200..300).contains(&answer.status), "{grant}: {}", answer.text());
        Some(Self { server, home })
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.home.path().join("granted").join(path)
    }

    fn call(&self, function: &str, arguments: &Value) -> Answer {
        self.server.admin().call(&format!("files/{function}"), arguments)
    }

    /// The word for why it failed.
    fn word(&self, function: &str, arguments: &Value) -> String {
        let problem = self.call(function, arguments).refused(422, "tool_error");
        problem.details["error"].as_str().unwrap().to_owned()
    }

    fn assert_canary(&self) {
        assert_eq!(fs::read_to_string(self.home.path().join("canary")).unwrap(), CANARY);
        assert_eq!(fs::read_dir(self.home.path()).unwrap().count(), 2);
    }
}

fn bytes(count: usize) -> String {
    STANDARD.encode(vec![b'x'; count])
}

fn bare() -> Option<Arc<Server>> {
    let component = guest("files")?;
    Some(BARE.get(|| Server::setup().guest("files", &component).set("limits.fuel_units", 3_000_000_000_u64).start()))
}

#[test]
fn nothing_is_there_without_a_grant() {
    let Some(server) = bare() else { return };

    assert_eq!(server.admin().call("files/folders", &json!({})).value(), json!([]));
}

#[test]
fn random_bytes_are_counted_over_the_whole_call() {
    let Some(server) = bare() else { return };
    let client = server.admin();

    for function in ["files/random", "files/insecure-random"] {
        let within = client.call(function, &json!({ "bytes": 65_536, "times": 16 }));
        assert_eq!(within.value(), json!(1 << 20), "{function}");
        for arguments in
            [json!({ "bytes": 65_536, "times": 17 }), json!({ "bytes": "18446744073709551615", "times": 1 })]
        {
            let beyond = client.call(function, &arguments).problem();
            assert!(beyond.status >= 500, "{function} {arguments}: {}", beyond.message);
        }
    }
}

#[test]
fn clocks_move_in_whole_milliseconds() {
    let Some(server) = bare() else { return };

    let readings = server.admin().call("files/readings", &json!({ "times": 100_000 })).value();

    let readings: Vec<_> = readings.as_array().unwrap().iter().map(|reading| reading.as_u64().unwrap()).collect();
    assert!(readings.iter().all(|reading| reading % 1_000_000 == 0), "{readings:?}");
    assert!(readings.is_sorted());
}

#[test]
fn handles_are_bounded() {
    let Some(server) = bare() else { return };
    let client = server.admin();

    assert_eq!(client.call("files/hold-handles", &json!({ "count": 100 })).value(), json!(100));
    let beyond = client.call("files/hold-handles", &json!({ "count": 100_000 })).problem();

    assert!(beyond.status >= 500, "{}", beyond.message);
}

#[test]
fn a_granted_folder_is_read_and_written() {
    let Some(scene) = Scene::new("files:{folder},at=/data,mode=read-write,bytes=1MiB,files=100") else { return };
    fs::write(scene.inside("old"), "content").unwrap();

    assert_eq!(scene.call("folders", &json!({})).value(), json!(["/data"]));
    assert_eq!(scene.call("read", &json!({ "path": "/data/old" })).value(), json!(STANDARD.encode("content")));
    assert_eq!(scene.call("write", &json!({ "path": "/data/new", "bytes": bytes(10_000) })).value(), json!(null));
    assert_eq!(scene.call("append", &json!({ "path": "/data/new", "bytes": bytes(1) })).value(), json!(null));
    assert_eq!(scene.call("make-folder", &json!({ "path": "/data/sub" })).value(), json!(null));
    assert_eq!(scene.call("rename", &json!({ "old": "/data/old", "new": "/data/sub/old" })).value(), json!(null));
    assert_eq!(scene.call("names", &json!({ "path": "/data" })).value(), json!(["new", "sub"]));
    assert_eq!(scene.call("remove", &json!({ "path": "/data/sub/old" })).value(), json!(null));

    assert_eq!(fs::metadata(scene.inside("new")).unwrap().len(), 10_001);
    assert_eq!(fs::read_dir(scene.inside("sub")).unwrap().count(), 0);
}

#[test]
fn a_folder_for_reading_stays_as_it_is() {
    let Some(scene) = Scene::new("files:{folder},at=/data,mode=read") else { return };
    fs::write(scene.inside("file"), "content").unwrap();
    let (path, new) = ("/data/file", "/data/new");

    assert_eq!(scene.call("read", &json!({ "path": path })).value(), json!(STANDARD.encode("content")));
    for (function, arguments) in [
        ("truncate", json!({ "path": path })),
        ("write", json!({ "path": path, "bytes": "" })),
        ("append", json!({ "path": path, "bytes": "AAAA" })),
        ("resize", json!({ "path": path, "size": 0 })),
        ("remove", json!({ "path": path })),
        ("set-time", json!({ "path": path, "seconds": 0, "nanoseconds": 0 })),
        ("rename", json!({ "old": path, "new": new })),
        ("make-link", json!({ "target": path, "path": new })),
        ("make-symlink", json!({ "target": path, "path": new })),
        ("make-folder", json!({ "path": new })),
        ("write", json!({ "path": new, "bytes": "" })),
    ] {
        assert_eq!(scene.word(function, &arguments), "not-permitted", "{function}");
    }
    assert_eq!(fs::read_to_string(scene.inside("file")).unwrap(), "content");
    assert_eq!(fs::read_dir(scene.inside("")).unwrap().count(), 1);
}

#[test]
fn no_path_leads_out_of_the_folder() {
    let Some(scene) = Scene::new("files:{folder},at=/data,mode=read-write,bytes=1MiB,files=100") else { return };
    let canary = scene.home.path().join("canary");
    symlink("../canary", scene.inside("relative")).unwrap();
    symlink(&canary, scene.inside("absolute")).unwrap();
    symlink("..", scene.inside("up")).unwrap();
    fs::write(scene.inside("file"), "1").unwrap();
    let absolute = format!("/data/{}", canary.display());
    let tricks =
        ["../canary", "relative", "relative/", "absolute", "absolute/", "up/canary", "up/", "..", "x/../../canary"];
    let paths = tricks.iter().map(|path| format!("/data/{path}")).chain([absolute]);

    for path in paths {
        for (function, arguments) in [
            ("read", json!({ "path": path })),
            ("write", json!({ "path": path, "bytes": "AAAA" })),
            ("append", json!({ "path": path, "bytes": "AAAA" })),
            ("truncate", json!({ "path": path })),
            ("resize", json!({ "path": path, "size": 0 })),
            ("rename", json!({ "old": "/data/file", "new": format!("{path}/x") })),
            ("make-link", json!({ "target": path, "path": "/data/linked" })),
        ] {
            scene.call(function, &arguments).refused(422, "tool_error");
        }
    }
    for (function, arguments) in [
        ("make-symlink", json!({ "target": "../canary", "path": "/data/new" })),
        ("make-link", json!({ "target": "/data/file", "path": "/data/new" })),
        ("rename", json!({ "old": "/data/relative", "new": "/data/new" })),
    ] {
        assert_eq!(scene.word(function, &arguments), "not-permitted", "{function}");
    }
    scene.assert_canary();
}

#[test]
fn a_quota_that_is_used_up_is_told_to_the_operator_once() {
    let Some(scene) = Scene::new("files:{folder},at=/data,mode=read-write,bytes=1KiB") else { return };

    for _ in 0..3 {
        assert_eq!(scene.word("write", &json!({ "path": "/data/a", "bytes": bytes(2 << 10) })), "quota");
    }

    scene.server.says("used up bytes=1KiB of /data");
    assert_eq!(scene.server.log().matches("used up").count(), 1, "{}", scene.server.log());
}

#[test]
fn quotas_hold() {
    let Some(scene) = Scene::new("files:{folder},at=/data,mode=read-write,bytes=100KiB,files=20") else { return };
    fs::write(scene.inside("old"), vec![0; 50 << 10]).unwrap();

    assert_eq!(scene.word("write", &json!({ "path": "/data/a", "bytes": bytes(51 << 10) })), "quota");
    assert_eq!(scene.call("write", &json!({ "path": "/data/a", "bytes": bytes(49 << 10) })).value(), json!(null));
    assert_eq!(scene.word("resize", &json!({ "path": "/data/a", "size": 1_u64 << 40 })), "quota");
    let far = json!({ "path": "/data/a", "bytes": "AAAA", "offset": 1_u64 << 40 });
    assert_eq!(scene.word("write-at", &far), "quota");
    assert_eq!(scene.call("many-files", &json!({ "path": "/data", "count": 1_000_000 })).value(), json!([18, "quota"]));
    assert_eq!(scene.call("open-many", &json!({ "path": "/data/a", "count": 500 })).value()[1], json!("quota"));

    let total: u64 =
        fs::read_dir(scene.inside("")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(total <= 100 << 10, "{total}");
}

#[test]
fn odd_names_times_and_depths_are_errors() {
    let Some(scene) = Scene::new("files:{folder},at=/data,mode=read-write,bytes=100KiB,files=20000") else { return };
    fs::write(scene.inside("file"), "1").unwrap();
    let time = |seconds: u64, nanoseconds: u32| json!({ "path": "/data/file", "seconds": seconds.to_string(), "nanoseconds": nanoseconds });
    let write = |name: &str| scene.word("write", &json!({ "path": format!("/data/{name}"), "bytes": "" }));

    assert_eq!(scene.call("nest", &json!({ "path": "/data", "depth": 10_000 })).value(), json!([64, "name-too-long"]));
    assert_eq!(scene.word("set-time", &time(u64::MAX, 0)), "overflow");
    assert_eq!(scene.word("set-time", &time(0, u32::MAX)), "invalid");
    assert_eq!(scene.call("set-time", &time(1, 999_999_999)).value(), json!(null));
    assert_eq!(write(&"n".repeat(256)), "name-too-long");
    assert_eq!(write("a\u{1b}[2Jb"), "invalid");
    assert_eq!(write("a\0b"), "invalid");
}

#[test]
fn scratch_space_is_empty_at_first_and_gone_afterwards() {
    let Some(scene) = Scene::new("scratch,bytes=100KiB,files=50") else { return };
    let folders = scene.server.data().join("scratch/files");
    let is_clean = || fs::read_dir(&folders).is_ok_and(|folders| folders.count() == 0);

    for _ in 0..2 {
        assert_eq!(scene.call("names", &json!({ "path": "/scratch" })).value(), json!([]));
        assert_eq!(scene.call("write", &json!({ "path": "/scratch/a", "bytes": bytes(10) })).value(), json!(null));
    }
    assert_eq!(scene.call("nest", &json!({ "path": "/scratch", "depth": 10_000 })).value(), json!([50, "quota"]));
    assert_eq!(scene.word("write", &json!({ "path": "/scratch/a", "bytes": bytes(101 << 10) })), "quota");
    let hurried = [("fumehood-deadline-ms", "300")];
    let stopped = scene.server.admin().call_with("files/write-and-spin", &hurried, &json!({ "path": "/scratch/a" }));
    assert!(["deadline", "fuel"].contains(&stopped.problem().code.as_str()));

    eventually("every folder is removed, however its call ended", is_clean);
}

#[test]
fn scratch_space_of_a_killed_server_is_swept() {
    let Some(component) = guest("files") else { return };
    let setup = Server::setup().guest("files", &component);
    let left = setup.data().join("scratch/files/call-left");
    fs::create_dir_all(left.join("deep/er")).unwrap();

    let _server = setup.start();

    eventually("what was left is removed", || !left.exists());
}

/// What the kernel lets a worker reach is the folder that was there when it started, not whatever is at its path.
#[test]
fn a_folder_that_is_replaced_is_the_one_that_the_next_call_sees() {
    let Some(scene) = Scene::new("files:{folder},at=/data,mode=read-write,bytes=1MiB,files=100") else { return };
    let read = |text: &str| {
        fs::write(scene.inside("text"), text).unwrap();
        let found = scene.call("read", &json!({ "path": "/data/text" }));
        String::from_utf8(STANDARD.decode(found.value().as_str().unwrap()).unwrap()).unwrap()
    };
    assert_eq!(read("first"), "first");

    fs::rename(scene.home.path().join("granted"), scene.home.path().join("old")).unwrap();
    let missing = scene.call("folders", &json!({})).value();
    fs::create_dir(scene.home.path().join("granted")).unwrap();

    assert_eq!(missing, json!([]));
    scene.server.says("cannot be opened");
    assert_eq!(read("second"), "second");
    assert_eq!(fs::read_to_string(scene.home.path().join("old/text")).unwrap(), "first");
}
