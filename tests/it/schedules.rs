//! Jobs that come again.

use fumehood_tests::{Client, Server, Setup, eventually, guest};
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
fn a_paused_schedule_rests_and_one_that_is_replaced_changes() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let admin = server.admin();
    let mut schedule = every_second();
    schedule["paused"] = json!(true);

    assert_eq!(put(admin, "tick", &schedule).status, 201);
    let shown = admin.get("/api/v1/schedules/tick").expect(200);
    assert_eq!((&shown["paused"], shown["next_at"].is_null()), (&json!(true), true));
    assert_eq!(put(admin, "tick", &every_second()).status, 200);

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
    };

    refused(&[("when", json!({ "cron": "61 * * * *" }))], 400, "malformed", "61 * * * *");
    refused(&[("when", json!({ "cron": "0 3 * * *", "zone": "Mars/North" }))], 400, "malformed", "Mars/North");
    refused(&[("when", json!({ "every_ms": 10 }))], 400, "malformed", "1000 ms");
    refused(&[("when", json!({}))], 400, "malformed", "cron");
    refused(&[("missed", json!("sometimes"))], 400, "malformed", "sometimes");
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
