//! Full disks, damaged files, directories that nobody may write to, two servers in one place.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    process::Command,
};

use fumehood_tests::{Server, Setup, command, eventually, guest};
use serde_json::json;

/// How many bytes a page of SQLite has.
const PAGE: usize = 4_096;

fn setup() -> Option<Setup> {
    Some(Server::setup().patient().guest("calculator", &guest("calculator")?))
}

/// With a module `auto` whose calls become jobs when they take longer than 200 ms.
fn with_long_work(setup: Setup, long: &Path) -> Setup {
    setup.guest("auto", long).file("auto.tool.toml", "mode = \"auto\"\n").set("jobs.auto_after_ms", 200)
}

fn add() -> serde_json::Value {
    json!({ "tool": "calculator.add", "input": { "a": 20, "b": 3 } })
}

#[test]
fn a_second_server_on_one_data_directory_is_refused_and_the_first_goes_on() {
    let Some(setup) = setup() else { return };
    let server = setup.clone().start();

    let second = setup.command().output().unwrap();

    assert_eq!(second.status.code(), Some(6));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("is in use by another fumehood server"), "{said}");
    assert_eq!(server.admin().post("/api/v1/jobs", &add()).status, 202);
}

#[test]
fn a_damaged_database_is_refused_with_the_ways_out_and_can_be_salvaged() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let jobs: Vec<String> = (0..150)
        .map(|_| server.admin().post("/api/v1/jobs", &add()).json()["id"].as_str().unwrap().to_owned())
        .collect();
    eventually("all have ended", || {
        server.admin().get("/api/v1/jobs?state=completed&limit=500").expect(200)["jobs"].as_array().unwrap().len()
            == 150
    });
    // What a backup makes is one file with everything in it: nothing is left in a log that would heal it.
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("copy");
    assert!(server.command(&["backup", copy.to_str().unwrap()]).status().unwrap().success());
    drop(server);
    let Some(setup) = self::setup() else { return };
    assert!(command().arg("restore").arg(&copy).arg("--data-dir").arg(setup.data()).status().unwrap().success());
    spoil(&setup.data().join("fumehood.db"));

    // One that does not notice would serve for ever.
    let mut bounded = Command::new("timeout");
    bounded.arg("20").arg(setup.command().get_program()).args(setup.command().get_args());
    let refused = bounded.output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && refused.status.code() != Some(124), "{said}");
    assert!(said.contains("fumehood salvage") && said.contains("fumehood.db"), "{said}");
    let salvaged = command().args(["salvage", "-o", "json"]).arg("--data-dir").arg(setup.data()).output().unwrap();
    assert_eq!(salvaged.status.code(), Some(0), "{}", String::from_utf8_lossy(&salvaged.stderr));
    let salvaged: serde_json::Value = serde_json::from_slice(&salvaged.stdout).unwrap();
    let tables = salvaged["tables"].as_array().unwrap();
    let saved = tables.iter().find(|table| table["table"] == "jobs").unwrap()["saved"].as_u64().unwrap();
    let server = setup.start();
    let listed = server.admin().get("/api/v1/jobs?limit=500").expect(200);
    let left = listed["jobs"].as_array().unwrap();
    assert!(!left.is_empty() && left.iter().all(|job| jobs.iter().any(|id| job["id"] == **id)), "{listed}");
    assert_eq!(left.len() as u64, saved, "as many are there as were told of: {salvaged}");
    assert_eq!(server.admin().post("/api/v1/jobs", &add()).status, 202, "it works on");
}

/// Overwrite every other page with rows in the second half of a database, but none of the list of its tables.
fn spoil(path: &Path) {
    let content = fs::read(path).unwrap();
    let rows = |page: &usize| {
        let page = &content[page * PAGE..][..PAGE];
        page[0] == 0x0d && !page.windows(7).any(|text| text == b"CREATE ")
    };
    let pages: Vec<usize> = (content.len() / PAGE / 2..content.len() / PAGE).filter(rows).step_by(2).collect();
    assert!(pages.len() > 2, "{} pages are no database with jobs in it", content.len() / PAGE);
    let file = OpenOptions::new().write(true).open(path).unwrap();
    for page in pages {
        file.write_all_at(&[0xff; PAGE], (page * PAGE) as u64).unwrap();
    }
}

#[test]
fn a_backup_of_a_running_server_becomes_a_server_elsewhere() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let job = server.admin().post("/api/v1/jobs", &add()).json();
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    server.admin().get(&format!("{path}?wait_s=20")).expect(200);
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("copy");

    let made = server.command(&["backup", copy.to_str().unwrap()]).output().unwrap();
    assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o077, 0, "it is for its owner alone");
    let other = Server::setup();
    let restored = command().arg("restore").arg(&copy).arg("--data-dir").arg(other.data()).output().unwrap();
    assert_eq!(restored.status.code(), Some(0), "{}", String::from_utf8_lossy(&restored.stderr));
    let other = other.start();

    assert_eq!(other.admin().get(&path).expect(200)["result"], 23);
    let again = command().arg("restore").arg(&copy).arg("--data-dir").arg(other.data()).output().unwrap();
    assert_eq!(again.status.code(), Some(6), "nothing is overwritten");
}

#[test]
fn a_restored_server_is_started_as_it_is_told_and_there_is_nothing_to_salvage_of_it() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("copy");
    assert!(server.command(&["backup", copy.to_str().unwrap()]).status().unwrap().success());
    drop(server);
    let data = place.path().join("data");
    let run = |arguments: &[&str]| {
        let done = command().args(arguments).arg("--data-dir").arg(&data).output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };

    let (missing, absent) = run(&["restore", "/nowhere/at/all"]);
    let (unsalvaged, _) = run(&["salvage"]);
    let (restored, said) = run(&["restore", copy.to_str().unwrap()]);
    let before = fs::read(data.join("fumehood.db")).unwrap();
    let (salvaged, sound) = run(&["salvage"]);

    assert_eq!((missing, unsalvaged, restored, salvaged), (Some(3), Some(3), Some(0), Some(0)));
    assert!(absent.contains("/nowhere/at/all does not exist"), "{absent}");
    assert!(said.contains(&format!("fumehood serve --data-dir {}", data.display())), "{said}");
    assert!(sound.contains("nothing is damaged"), "{sound}");
    assert!(fs::read(data.join("fumehood.db")).unwrap() == before);
}

#[test]
fn a_directory_that_nobody_may_write_to_is_told_at_the_start() {
    let Some(setup) = setup() else { return };
    let data = setup.data();
    fs::create_dir_all(&data).unwrap();
    // Root writes where it likes, but not through a file.
    fs::remove_dir(&data).unwrap();
    fs::write(&data, b"in the way").unwrap();

    let refused = setup.command().output().unwrap();

    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    assert!(said.contains(data.to_str().unwrap()), "{said}");
}

#[test]
fn a_full_disk_refuses_new_jobs_loses_none_and_needs_no_restart() {
    let (Some(setup), Some(long)) = (setup(), guest("long-work")) else { return };
    let data = setup.data();
    fs::create_dir_all(&data).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "none"]).arg(&data).output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        return fumehood_tests::skip("a full disk", "only root can mount a small one");
    }
    let _mount = Mount(data.clone());
    let server = with_long_work(setup, &long).start();
    let admin = server.admin();
    assert_eq!(admin.call("calculator/add", &json!({ "a": 1, "b": 1 })).status, 200, "it is compiled");
    eventually("this too", || admin.call("auto/nap", &json!({ "millis": 1 })).status == 200);
    let ballast = data.join("ballast");
    let filled = fill(&ballast);

    let mut full = None;
    for _ in 0..2_000 {
        let answer = admin.post("/api/v1/jobs", &add());
        if answer.status != 202 {
            full = Some(answer);
            break;
        }
    }
    let full = full.unwrap_or_else(|| panic!("the disk with {filled} bytes of ballast is never full"));
    full.refused(507, "storage_full");
    assert_eq!(admin.call("calculator/add", &json!({ "a": 1, "b": 1 })).status, 200, "direct calls go on");
    let slow = admin.call("auto/nap", &json!({ "millis": 1_000 }));
    assert_eq!(slow.status, 200, "one that would become a job does not stop halfway: {}", slow.text());
    fs::remove_file(&ballast).unwrap();

    eventually("there is room again", || admin.post("/api/v1/jobs", &add()).status == 202);
    eventually("every job that was accepted ends", || {
        let left = admin.get("/api/v1/jobs?state=available,running,retryable&limit=500").expect(200);
        left["jobs"] == json!([])
    });
    assert_eq!(admin.get("/api/v1/jobs?state=dead").expect(200)["jobs"], json!([]));
    drop(server);
}

#[test]
fn a_disk_that_does_not_answer_holds_up_no_call_and_what_it_kept_is_told_later() {
    let (Some(setup), Some(long)) = (setup(), guest("long-work")) else { return };
    let data = setup.data();
    fs::create_dir_all(&data).unwrap();
    let Some(disk) = Disk::mounted_at(&data) else {
        return fumehood_tests::skip("a disk that does not answer", "only root can mount and freeze one");
    };
    let server = with_long_work(setup, &long).start();
    let admin = server.admin();
    let nap = |millis: u32| admin.call("auto/nap", &json!({ "millis": millis })).status;
    eventually("it is compiled", || nap(1) == 200);
    let call = || admin.call("calculator/add", &json!({ "a": 1, "b": 1 })).status;
    assert_eq!((call(), admin.post("/api/v1/jobs", &add()).status), (200, 202));

    let frozen = disk.freeze();
    let job = json!({ "tool": "calculator.add", "input": { "a": 20, "b": 3 }, "idempotency_key": "one" });
    admin.post("/api/v1/jobs", &job).refused(503, "unavailable");
    assert_eq!(call(), 200, "direct calls go on");
    assert_eq!(nap(1_000), 200, "also one that would become a job");
    assert_eq!(admin.get("/api/v1/health/ready").status, 200);
    server.says("The disk of the data directory has not answered");
    drop(frozen);

    // Whether the first try was kept or not, there is one job in the end.
    let again = admin.post("/api/v1/jobs", &job).json();
    let path = format!("/api/v1/jobs/{}", again["id"].as_str().unwrap());
    assert_eq!(admin.get(&format!("{path}?wait_s=20")).expect(200)["result"], 23);
    let all = admin.get("/api/v1/jobs?limit=500&tool=calculator.add").expect(200);
    assert_eq!(all["jobs"].as_array().unwrap().len(), 2, "{all}");
    drop(server);
}

#[test]
fn a_disk_that_became_read_only_is_told_at_the_start() {
    let Some(setup) = setup() else { return };
    let data = setup.data();
    fs::create_dir_all(&data).unwrap();
    let Some(disk) = Disk::mounted_at(&data) else {
        return fumehood_tests::skip("a read-only disk", "only root can mount one");
    };
    let server = setup.clone().start();
    assert_eq!(server.admin().post("/api/v1/jobs", &add()).status, 202);
    drop(server);
    assert!(disk.run("mount", &["-o", "remount,ro"]), "it can be made read-only");

    let refused = setup.command().output().unwrap();

    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    assert!(said.contains(data.to_str().unwrap()) && said.contains("Read-only file system"), "{said}");
}

/// A disk of its own, in a file; gone when this is.
struct Disk {
    _file: tempfile::NamedTempFile,
    mount: Mount,
}

impl Disk {
    fn mounted_at(place: &Path) -> Option<Self> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64 << 20).unwrap();
        let run = |command: &mut Command| command.output().is_ok_and(|done| done.status.success());
        let made = run(Command::new("mkfs.ext4").arg("-q").arg(file.path()));
        let mounted = made && run(Command::new("mount").args(["-o", "loop"]).args([file.path(), place]));
        mounted.then(|| Self { _file: file, mount: Mount(place.to_owned()) })
    }

    fn run(&self, command: &str, arguments: &[&str]) -> bool {
        Command::new(command).args(arguments).arg(&self.mount.0).status().unwrap().success()
    }

    /// Whoever writes waits until what is returned is dropped.
    fn freeze(&self) -> Frozen<'_> {
        assert!(self.run("fsfreeze", &["--freeze"]));
        Frozen(self)
    }
}

struct Frozen<'a>(&'a Disk);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.run("fsfreeze", &["--unfreeze"]);
    }
}

/// Write until nothing more fits.
fn fill(path: &Path) -> u64 {
    let mut file = fs::File::create(path).unwrap();
    let mut written = 0;
    for size in [1 << 20, 64 << 10, 4 << 10] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {
            written += size as u64;
        }
    }
    written
}

/// A small disk, gone when this is.
struct Mount(std::path::PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).output();
    }
}
