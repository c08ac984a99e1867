//! What becomes of jobs when somebody sets the clock of the machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use fumehood_tests::eventually;
use serde_json::{Value, json};

use super::{add, ended, running, setup, show, submit};

/// The library that lets a process see another time, if it is installed.
fn library() -> Option<PathBuf> {
    let places = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    places.chain([PathBuf::from("/usr/lib/faketime/libfaketimeMT.so.1")]).find(|path| path.exists())
}

fn nap() -> Value {
    json!({ "tool": "long-work.nap", "input": { "millis": 2_500 } })
}

#[test]
fn a_clock_that_leaps_ahead_and_back_loses_no_job_and_runs_none_twice() {
    let Some(setup) = setup() else { return };
    let Some(library) = library() else {
        return fumehood_tests::skip("a clock that leaps", "Debian's faketime is not installed");
    };
    let place = tempfile::tempdir().unwrap();
    let clock = place.path().join("clock");
    let set = |offset: &str| fs::write(&clock, offset).unwrap();
    set("+0");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let server = setup
        .variable("LD_PRELOAD", &text(&library))
        .variable("FAKETIME_TIMESTAMP_FILE", &text(&clock))
        .variable("FAKETIME_NO_CACHE", "1")
        .variable("DONT_FAKE_MONOTONIC", "1")
        .start();
    let admin = server.admin();
    let hourly =
        json!({ "when": { "every_ms": 3_600_000 }, "job": { "tool": "calculator.add", "input": { "a": 1, "b": 2 } } });
    let json = [("content-type", "application/json")];
    let made = admin.send("PUT", "/api/v1/schedules/hourly", &json, hourly.to_string().as_bytes());
    assert_eq!(made.status, 201, "{}", made.text());
    let mut later = add(20, 3);
    later["delay_ms"] = json!(3_600_000);
    let later = submit(admin, &later);
    let harmful = submit(admin, &nap());
    running(admin, &harmful);

    set("+2h");

    assert_eq!(ended(admin, &later)["result"], 23, "its hour has come");
    let job = ended(admin, &harmful);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(1)), "its lease was not over: {job}");
    let fired =
        || admin.get("/api/v1/jobs?schedule=hourly&state=completed").expect(200)["jobs"].as_array().unwrap().len();
    eventually("the schedule has fired", || fired() >= 1);
    let harmful = submit(admin, &nap());
    running(admin, &harmful);

    set("-1h");

    let job = ended(admin, &harmful);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(1)), "{job}");
    assert_eq!(ended(admin, &submit(admin, &add(1, 1)))["result"], 2, "new jobs run at once");
    let mut soon = add(2, 2);
    soon["delay_ms"] = json!(500);
    assert_eq!(ended(admin, &submit(admin, &soon))["result"], 4);
    assert_eq!(show(admin, &later)["state"], "completed", "what has ended stays so");
    assert_eq!(admin.get("/api/v1/jobs?state=dead").expect(200)["jobs"], json!([]));
}
