//! Jobs that come again.

use std::fs;

use fumehood_tests::{Client, Finished, Server, Setup, eventually, guest};
use serde_json::{Value, json};

fn setup() -> Option<Setup> {
    Some(Server::setup().patient().guest("calculator", &guest("calculator")?))
}

fn put(client: &Client, name: &str, schedule: &Value) -> fumehood_tests::Answer {
    let json = [("content-type", "application/json")];
    client.send("PUT", &format!("/api/v1/schedules/{name}"), &json, schedule.to_string().as_bytes())
}

fn every_second() -> Value {
    json!({ "when": { "every_ms": 1_000 }, "job": { "tool": "calculator.add", "input": { "a": 1, "b": 2 }, "tags": ["tick"] } })
}

fn completed(client: &Client, name: &str) -> usize {
    let jobs = client.get(&format!("/api/v1/jobs?schedule={name}&state=completed&limit=500")).expect(200);
    jobs["jobs"].as_array().unwrap().len()
}

#[test]
fn a_schedule_submits_its_jobs_and_survives_a_restart() {
    let Some(setup) = setup() else { return };
    let server = setup.start();

    let made = put(server.admin(), "tick", &every_second());
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(made.json()["next_at"].is_string());
    eventually("it has run twice", || completed(server.admin(), "tick") >= 2);
    let server = server.crash().start();
    let before = completed(server.admin(), "tick");

    eventually("it runs on", || completed(server.admin(), "tick") >= before + 2);
    let schedule = server.admin().get("/api/v1/schedules/tick").expect(200);
    let last = schedule["last_job"].as_str().unwrap();
    let job = server.admin().get(&format!("/api/v1/jobs/{last}?wait_s=20")).expect(200);
    assert_eq!((&job["result"], &job["schedule"], &job["tags"]), (&json!(3), &json!("tick"), &json!(["tick"])));
    assert_eq!(server.admin().delete("/api/v1/schedules/tick").status, 204);
    server.admin().get("/api/v1/schedules/tick").refused(404, "not_found");
}

#[test]
fn a_schedule_that_is_passed_over_says_why_until_it_has_a_job_again() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let admin = server.admin();
    let component = fs::read(guest("calculator").unwrap()).unwrap();
    assert_eq!(admin.upload("mine", &component).status, 201);
    let mut schedule = every_second();
    schedule["job"]["tool"] = json!("mine.add");
    assert_eq!(put(admin, "tick", &schedule).status, 201);
    let passed_over = || admin.get("/api/v1/schedules/tick").expect(200)["passed_over"].clone();
    eventually("it runs", || completed(admin, "tick") >= 1);
    assert_eq!(passed_over(), json!(null));

    assert_eq!(admin.delete("/api/v1/modules/mine").status, 204);

    eventually("it says so", || passed_over().as_str().is_some_and(|why| why.contains("mine")));
    let listed = Finished::of(&mut server.command(&["schedules", "ls"]));
    let listed = listed.ok();
    assert!(listed.contains("PASSED OVER") && listed.contains("there is no module `mine`"), "{listed}");
    assert_eq!(admin.upload("mine", &component).status, 201);
    eventually("it runs again", || passed_over() == json!(null));
}

#[test]
fn a_paused_schedule_rests_and_one_that_is_replaced_changes() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let admin = server.admin();
    let mut schedule = every_second();
    schedule["paused"] = json!(true);

    assert_eq!(put(admin, "tick", &schedule).status, 201);
    let shown = admin.get("/api/v1/schedules/tick").expect(200);
    assert_eq!((&shown["paused"], shown["next_at"].is_null()), (&json!(true), true));
    assert_eq!(put(admin, "tick", &every_second()).expect(200)["paused"], true, "nobody asked it to go on");
    schedule["paused"] = json!(false);
    assert_eq!(put(admin, "tick", &schedule).expect(200)["paused"], false);

    eventually("it runs", || completed(admin, "tick") >= 1);
}

#[test]
fn a_schedule_that_makes_no_sense_is_refused_with_the_reason() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let admin = server.admin();
    let refused = |change: &[(&str, Value)], status: u16, code: &str, says: &str| {
        let mut schedule = every_second();
        change.iter().for_each(|(key, value)| schedule[*key] = value.clone());
        let problem = put(admin, "bad", &schedule).refused(status, code);
        assert!(problem.message.contains(says), "{}", problem.message);
        assert!(!problem.message.contains(" column "), "{}", problem.message);
    };

    let said =
        "`when`: `61 * * * *` is no cron expression of five fields, or six with seconds first: number out of bounds";
    refused(&[("when", json!({ "cron": "61 * * * *" }))], 400, "malformed", said);
    refused(&[("when", json!({ "cron": "0 3 * * *", "zone": "Mars/North" }))], 400, "malformed", "Mars/North");
    let said = "`when`: `europe/Berln` is not a time zone: did you mean Europe/Berlin?";
    refused(&[("when", json!({ "cron": "@daily", "zone": "europe/Berln" }))], 400, "malformed", said);
    refused(&[("when", json!({ "every_ms": 10 }))], 400, "malformed", "1000 ms");
    refused(&[("when", json!({}))], 400, "malformed", "cron");
    refused(&[("missed", json!("sometimes"))], 400, "malformed", "`missed`: unknown variant `sometimes`");
    refused(&[("owner", json!("me"))], 400, "malformed", "owner");
    refused(&[("job", json!({ "tool": "calculator.nothing" }))], 404, "not_found", "nothing");
    refused(&[("job", json!({ "tool": "calculator.add", "input": { "a": 1 } }))], 422, "invalid_input", "");
    put(admin, "a%20b", &every_second()).refused(400, "malformed");
}

#[test]
fn schedules_belong_to_their_keys() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let (_, one) = server.admin().new_key("one", "call");
    let (_, two) = server.admin().new_key("two", "call");
    assert_eq!(put(&one, "mine", &every_second()).status, 201);

    two.get("/api/v1/schedules/mine").refused(404, "not_found");
    two.delete("/api/v1/schedules/mine").refused(404, "not_found");
    assert_eq!(two.get("/api/v1/schedules").expect(200)["schedules"], json!([]));

    assert_eq!(server.admin().get("/api/v1/schedules").expect(200)["schedules"].as_array().unwrap().len(), 1);
    eventually("its jobs are those of its key", || completed(&one, "mine") >= 1);
    assert_eq!(completed(&two, "mine"), 0);
}

/// A schedule that is due once a year, so that nothing of it happens by itself.
fn yearly() -> Value {
    json!({ "when": { "cron": "@yearly" }, "job": { "tool": "calculator.add", "input": { "a": 1, "b": 2 } } })
}

#[test]
fn whoever_pauses_or_replaces_a_schedule_it_stays_with_its_key() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let admin = server.admin();
    let (id, owner) = admin.new_key("owner", "call");
    assert_eq!(put(&owner, "nightly", &yearly()).status, 201);
    let run = |arguments: &[&str]| Finished::of(&mut server.command(arguments));

    let paused = run(&["schedules", "pause", "nightly"]);

    assert!(paused.stderr.contains(&format!("schedule nightly of key {id} rests")), "{paused:?}");
    let all = admin.get("/api/v1/schedules").expect(200)["schedules"].clone();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["paused"], &all[0]["key"]), (1, &json!(true), &json!(id)));
    assert_eq!(run(&["schedules", "resume", "nightly"]).code, 0);
    assert_eq!(owner.get("/api/v1/schedules/nightly").expect(200)["paused"], false);
    let mut other = yearly();
    other["job"]["input"]["a"] = json!(7);
    assert_eq!(put(admin, "nightly", &other).expect(200)["key"], *id);
    assert_eq!(owner.get("/api/v1/schedules/nightly").expect(200)["spec"]["job"]["input"]["a"], 7);
}

#[test]
fn of_schedules_of_the_same_name_the_own_one_is_meant_or_that_of_the_key_that_is_said() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let admin = server.admin();
    let keys = ["one", "two"].map(|name| admin.new_key(name, "call"));
    keys.iter().for_each(|(_, key)| assert_eq!(put(key, "nightly", &yearly()).status, 201));
    let path = |id: &str| format!("/api/v1/schedules/nightly?key={id}");
    let [(one, _), (two, second)] = &keys;
    let run = |arguments: &[&str]| Finished::of(&mut server.command(arguments));

    let unclear = admin.get("/api/v1/schedules/nightly").refused(400, "malformed");
    let paused = run(&["schedules", "pause", "nightly", "--of-key", one]);

    assert!(unclear.message.contains(one) && unclear.message.contains(two), "{}", unclear.message);
    assert_eq!(paused.code, 0, "{paused:?}");
    assert_eq!(admin.get(&path(one)).expect(200)["paused"], true);
    assert_eq!(admin.get(&path(two)).expect(200)["paused"], false);
    second.get(&path(one)).refused(404, "not_found");
    let own = admin.get("/api/v1/keys").expect(200)["keys"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        run(&["schedules", "add", "nightly", "--of-key", &own, "--cron", "@daily", "calculator.add", "a=1", "b=2"])
            .code,
        0
    );
    assert_eq!(admin.get("/api/v1/schedules/nightly").expect(200)["key"], *own);
    assert_eq!(admin.delete(&path(two)).status, 204);
    let listed = run(&["schedules", "ls"]);
    assert!(listed.ok().starts_with("NAME     KEY "), "{}", listed.stdout);
    assert!(listed.stdout.contains(one) && listed.stdout.contains(&own) && !listed.stdout.contains(two));
}

#[test]
fn a_schedule_whose_tool_is_gone_can_still_be_paused() {
    let Some(component) = guest("calculator") else { return };
    let server = Server::setup().patient().start();
    let admin = server.admin();
    assert!(admin.upload("gone", &std::fs::read(component).unwrap()).status < 300);
    let mut schedule = yearly();
    schedule["job"]["tool"] = json!("gone.add");
    assert_eq!(put(admin, "nightly", &schedule).status, 201);
    assert_eq!(admin.delete("/api/v1/modules/gone").status, 204);

    schedule["paused"] = json!(true);

    assert_eq!(put(admin, "nightly", &schedule).expect(200)["paused"], true);
    schedule["jitter_ms"] = json!(1);
    put(admin, "nightly", &schedule).refused(404, "not_found");
}

#[test]
fn the_command_line_adds_and_shows_schedules() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let run = |arguments: &[&str]| Finished::of(&mut server.command(arguments));
    let add = |when: &[&str]| {
        let line = [&["schedules", "add", "nightly"], when, &["calculator.add", "a=1", "b=2"]].concat();
        run(&line)
    };

    assert!(add(&["--cron", "@daily"]).stderr.contains(" runs next at "));
    assert_eq!(run(&["schedules", "pause", "nightly"]).code, 0);
    let again = add(&["--cron", "0 3 * * *", "--zone", "Europe/Berlin", "--missed", "skip"]);
    let shown = run(&["schedules", "show", "nightly"]);
    let wrong = add(&["--cron", "61 * * * *"]);

    assert!(again.stderr.contains(" rests: `fumehood schedules resume nightly` lets it go on"), "{again:?}");
    for line in ["schedule    nightly", "when        0 3 * * * Europe/Berlin", "next        paused", "missed      skip"]
    {
        assert!(shown.ok().lines().any(|shown| shown == line), "{line}: {}", shown.stdout);
    }
    assert_eq!(
        wrong.failed(6),
        "error: `when`: `61 * * * *` is no cron expression of five fields, or six with seconds first: number out of bounds"
    );
}
