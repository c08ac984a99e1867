//! Jobs: kept before they run, run once or as often as they may, followed and ended from every side.

mod clock;
mod crashes;
mod events;
mod mcp;
mod modes;

use std::sync::Arc;

use fumehood_tests::{Answer, Client, Server, Setup, Shared, eventually, guest};
use serde_json::{Value, json};

static WORKSHOP: Shared = Shared::new();

/// A manifest that says of the functions of `long-work` that they may run twice.
const IDEMPOTENT: &str = "[functions.count-slowly]\nidempotent = true\n[functions.resume]\nidempotent = true\n\
                          [functions.nap]\nidempotent = true\n";

/// A server with a calculator, and with a guest that works long under three names: as it is, idempotent, and with so much
/// fuel that only somebody else ends it.
fn setup() -> Option<Setup> {
    let (calculator, long) = (guest("calculator")?, guest("long-work")?);
    let setup = Server::setup().patient().set("limits.fuel_units", 1_000_000_000_000_u64);
    let setup = setup.guest("calculator", &calculator).guest("long-work", &long).guest("again", &long);
    Some(setup.file("again.tool.toml", IDEMPOTENT))
}

fn workshop() -> Option<Arc<Server>> {
    let setup = setup()?;
    Some(
        WORKSHOP.get(|| setup.set("concurrency.calls", 8).set("concurrency.per_key", 8).set("jobs.running", 6).start()),
    )
}

/// Submit a job, which must be taken in; its id.
fn submit(client: &Client, job: &Value) -> String {
    let answer = client.post("/api/v1/jobs", job);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), Some(&*format!("/api/v1/jobs/{id}")));
    id
}

fn add(a: i64, b: i64) -> Value {
    json!({ "tool": "calculator.add", "input": { "a": a, "b": b } })
}

fn show(client: &Client, id: &str) -> Value {
    client.get(&format!("/api/v1/jobs/{id}")).expect(200)
}

/// The job as it ended, waited for.
fn ended(client: &Client, id: &str) -> Value {
    let job = client.get(&format!("/api/v1/jobs/{id}?wait_s=50")).expect(200);
    assert!(!job["finished_at"].is_null(), "{job}");
    job
}

fn running(client: &Client, id: &str) {
    eventually("the job runs", || show(client, id)["state"] == "running");
}

#[test]
fn a_job_is_taken_in_run_and_kept_with_its_result() {
    let Some(server) = workshop() else { return };
    let admin = server.admin();

    let id = submit(admin, &add(2, 40));
    let job = ended(admin, &id);

    assert_eq!((&job["state"], &job["result"], &job["attempt"]), (&json!("completed"), &json!(42), &json!(1)));
    assert_eq!((&job["module"], &job["function"]), (&json!("calculator"), &json!("add")));
    assert!(job["usage"]["fuel_units"].as_u64().is_some_and(|fuel| fuel > 0), "{job}");
    let result = admin.get(&format!("/api/v1/jobs/{id}/result"));
    assert_eq!((result.status, result.text().as_str()), (200, "42"));
    assert!(result.number("fumehood-fuel") > 0);
    assert_eq!(admin.get(&format!("/api/v1/jobs/{id}/input")).expect(200), json!({ "a": 2, "b": 40 }));
    let listed = admin.get("/api/v1/jobs?tool=calculator.add&limit=500").expect(200);
    assert!(listed["jobs"].as_array().unwrap().iter().any(|job| job["id"] == *id), "{listed}");
}

#[test]
fn what_the_tool_says_and_why_it_was_stopped_are_told_as_for_a_direct_call() {
    let Some(server) = workshop() else { return };
    let admin = server.admin();

    let no = submit(admin, &json!({ "tool": "calculator.divide", "input": { "a": 1, "b": 0 } }));
    let spin = json!({ "tool": "long-work.spin", "limits": { "fuel_units": 1_000_000 } });
    let stopped = submit(admin, &spin);

    let job = ended(admin, &no);
    assert_eq!((&job["state"], &job["error"]["code"]), (&json!("failed"), &json!("tool_error")));
    let answer = admin.get(&format!("/api/v1/jobs/{no}/result"));
    let direct = admin.call("calculator/divide", &json!({ "a": 1, "b": 0 }));
    assert_eq!(answer.refused(422, "tool_error").details, direct.refused(422, "tool_error").details);
    let job = ended(admin, &stopped);
    assert_eq!((&job["state"], &job["error"]["code"]), (&json!("failed"), &json!("fuel")));
    assert_eq!(job["error"]["details"]["allowed"], 1_000_000);
    admin.get(&format!("/api/v1/jobs/{stopped}/result")).refused(508, "fuel");
}

#[test]
fn every_mistake_is_told_when_a_job_is_submitted_and_nothing_is_kept() {
    let Some(server) = workshop() else { return };
    let (_, client) = server.admin().new_key("careless", "call");
    let refused = |change: Value, status, code| {
        let mut job = add(1, 2);
        job.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        client.post("/api/v1/jobs", &job).refused(status, code);
    };

    let answer = client.post("/api/v1/jobs", &json!({ "tool": "calculator.add", "input": { "a": "x", "c": 1 } }));
    let mistakes = answer.refused(422, "invalid_input");
    let mut pointers = mistakes.pointers();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/a", "/b", "/c"]);
    refused(json!({ "tool": "calculator.ad" }), 404, "not_found");
    refused(json!({ "priority": -999 }), 400, "malformed");
    refused(json!({ "priority": 10 }), 400, "malformed");
    refused(json!({ "max_attempts": 0 }), 400, "malformed");
    refused(json!({ "owner": "somebody else" }), 400, "malformed");
    refused(json!({ "tags": [""] }), 400, "malformed");
    refused(json!({ "delay_ms": 1, "run_at": "2030-01-01T00:00:00Z" }), 400, "malformed");
    refused(json!({ "run_at": "tomorrow" }), 400, "malformed");
    refused(json!({ "expires_at": "2020-01-01T00:00:00Z" }), 400, "malformed");

    assert_eq!(client.get("/api/v1/jobs").expect(200)["jobs"], json!([]));
}

#[test]
fn a_job_of_another_key_is_no_more_there_than_one_that_never_was() {
    let Some(server) = workshop() else { return };
    let (_, owner) = server.admin().new_key("owner", "call");
    let (_, stranger) = server.admin().new_key("stranger", "call");
    let id = submit(&owner, &add(1, 2));
    ended(&owner, &id);
    let never = "0199a3c4-5b6d-7e8f-9012-3456789abcde";
    let asked = [
        ("GET", ""),
        ("GET", "/result"),
        ("GET", "/input"),
        ("GET", "/events"),
        ("DELETE", ""),
        ("DELETE", "?purge=true"),
        ("POST", "/retry"),
    ];

    for (method, rest) in asked {
        let told = |id: &str| {
            let path = format!("/api/v1/jobs/{id}{rest}");
            let problem = stranger.send(method, &path, &[], b"").refused(404, "not_found");
            problem.message.replace(id, "ID")
        };
        assert_eq!(told(&id), told(never), "{method} {rest}");
    }
    let queue = stranger.post("/api/calculator/add/queue", &json!({ "queue_id": id }));
    queue.refused(404, "not_found");
    assert_eq!(stranger.get("/api/v1/jobs").expect(200)["jobs"], json!([]));
    assert_eq!(show(server.admin(), &id)["state"], "completed", "an administrator sees it");
}

#[test]
fn the_same_submission_under_the_same_name_is_one_job() {
    let Some(server) = workshop() else { return };
    let (_, client) = server.admin().new_key("twice", "call");
    let send = |name: &str, job: &Value| {
        client.send(
            "POST",
            "/api/v1/jobs",
            &[("content-type", "application/json"), ("idempotency-key", name)],
            job.to_string().as_bytes(),
        )
    };

    let first = send("one", &add(1, 1));
    let again = send("one", &add(1, 1));
    let other = send("two", &add(1, 1));
    let changed = send("one", &add(1, 2));

    assert_eq!((first.status, again.status, other.status), (202, 200, 202));
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert_ne!(first.json()["id"], other.json()["id"]);
    changed.refused(422, "invalid_input");
}

#[test]
fn a_job_waits_for_its_time_and_can_be_ended_before() {
    let Some(server) = workshop() else { return };
    let admin = server.admin();
    let later = |delay: u64| {
        let mut job = add(1, 1);
        job["delay_ms"] = json!(delay);
        submit(admin, &job)
    };

    let (soon, never) = (later(300), later(3_600_000));

    assert_eq!(show(admin, &never)["state"], "scheduled");
    let cancelled = admin.delete(&format!("/api/v1/jobs/{never}"));
    assert_eq!((cancelled.status, &cancelled.json()["state"]), (200, &json!("cancelled")));
    assert_eq!(ended(admin, &soon)["result"], 2);
    admin.get(&format!("/api/v1/jobs/{never}/result")).refused(499, "cancelled");
    assert_eq!(admin.delete(&format!("/api/v1/jobs/{never}")).expect(200)["state"], "cancelled", "twice is no mistake");
    admin.post(&format!("/api/v1/jobs/{never}/retry"), &json!({})).refused(409, "conflict");
}

#[test]
fn cancelling_stops_a_guest_wherever_it_is() {
    let Some(server) = workshop() else { return };
    let admin = server.admin();
    let jobs = [
        json!({ "tool": "long-work.spin" }),
        json!({ "tool": "long-work.nap", "input": { "millis": 200_000 } }),
        json!({ "tool": "again.count-slowly", "input": { "steps": 100_000, "millis": 1 } }),
    ];

    for job in jobs {
        let id = submit(admin, &job);
        running(admin, &id);
        let asked = admin.delete(&format!("/api/v1/jobs/{id}"));
        assert!(matches!(asked.status, 200 | 202), "{}", asked.text());
        let told = ended(admin, &id);
        assert_eq!((&told["state"], &told["error"]["code"]), (&json!("cancelled"), &json!("cancelled")), "{job}");
    }
    eventually("no guest is left", || admin.calls_running() == 0);
}

#[test]
fn a_job_that_has_not_begun_in_time_fails() {
    let Some(setup) = setup() else { return };
    let server = setup.set("concurrency.calls", 2).set("jobs.running", 1).start();
    let admin = server.admin();
    let busy = submit(admin, &json!({ "tool": "long-work.nap", "input": { "millis": 60_000 } }));
    running(admin, &busy);
    let soon = std::time::SystemTime::now() + std::time::Duration::from_millis(300);
    let at = chrono_text(soon);

    let mut job = add(1, 1);
    job["expires_at"] = json!(at);
    let id = submit(admin, &job);
    let told = ended(admin, &id);

    assert_eq!((&told["state"], &told["error"]["code"]), (&json!("failed"), &json!("deadline")), "{told}");
    assert_eq!(admin.call("calculator/add", &json!({ "a": 1, "b": 1 })).status, 200, "a direct call has its place");
    let _ = admin.delete(&format!("/api/v1/jobs/{busy}"));
    ended(admin, &busy);
}

/// A moment as RFC 3339.
fn chrono_text(at: std::time::SystemTime) -> String {
    let since = at.duration_since(std::time::UNIX_EPOCH).unwrap();
    fumehood_model::Timestamp { unix_ms: u64::try_from(since.as_millis()).unwrap() }.to_string()
}

#[test]
fn a_full_queue_refuses_and_says_when_to_come_back() {
    let Some(setup) = setup() else { return };
    let setup = setup.set("jobs.waiting", 4).set("jobs.waiting_per_key", 2).set("jobs.running", 1);
    let server = setup.start();
    let (_, one) = server.admin().new_key("one", "call");
    let (_, two) = server.admin().new_key("two", "call");
    let busy = submit(&one, &json!({ "tool": "long-work.nap", "input": { "millis": 60_000 } }));
    running(&one, &busy);
    let refused = |answer: &Answer, status, code| {
        let problem = answer.refused(status, code);
        assert!(problem.message.starts_with("Queue is full"), "{}", problem.message);
        assert!(answer.number("retry-after") >= 1);
    };
    let _kept: Vec<_> = (0..2).map(|_| submit(&one, &add(1, 1))).collect();

    refused(&one.post("/api/v1/jobs", &add(1, 1)), 429, "busy");
    submit(&two, &add(1, 1));
    submit(&two, &add(1, 1));
    refused(&server.admin().post("/api/v1/jobs", &add(1, 1)), 503, "unavailable");

    let _ = one.delete(&format!("/api/v1/jobs/{busy}"));
    eventually("all jobs have ended", || {
        let left = server.admin().get("/api/v1/jobs?state=available,running").expect(200);
        left["jobs"] == json!([])
    });
}

#[test]
fn ended_jobs_are_forgotten_when_asked() {
    let Some(server) = workshop() else { return };
    let (_, client) = server.admin().new_key("tidy", "call");
    let ids: Vec<_> = (0..4).map(|n| submit(&client, &add(n, n))).collect();
    ids.iter().for_each(|id| drop(ended(&client, id)));

    assert_eq!(client.delete(&format!("/api/v1/jobs/{}?purge=true", ids[0])).status, 204);
    let pruned = client.post("/api/v1/jobs/prune", &json!({ "states": ["completed"], "keep": 1 })).expect(200);

    assert_eq!(pruned["pruned"], 2);
    let left = client.get("/api/v1/jobs").expect(200);
    assert_eq!(left["jobs"].as_array().unwrap().len(), 1);
    client.post("/api/v1/jobs/prune", &json!({ "states": ["running"] })).refused(400, "malformed");
}

#[test]
fn pages_follow_one_another() {
    let Some(server) = workshop() else { return };
    let (_, client) = server.admin().new_key("many", "call");
    let ids: Vec<_> = (0..5).map(|n| submit(&client, &add(n, n))).collect();
    let mut seen = Vec::new();
    let mut path = "/api/v1/jobs?limit=2".to_owned();

    loop {
        let page = client.get(&path).expect(200);
        seen.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/jobs?limit=2&before={next}");
    }

    assert_eq!(seen, ids.iter().rev().cloned().collect::<Vec<_>>());
}

#[test]
fn a_job_of_a_removed_module_says_so_and_one_of_a_replaced_module_runs_as_it_was() {
    let Some(setup) = setup() else { return };
    let Some(calculator) = guest("calculator") else { return };
    let component = std::fs::read(calculator).unwrap();
    let server = setup.start();
    let admin = server.admin();
    // The same code with one more custom section has another digest, and is nobody else's.
    let other = |name: u8| [&component[..], &[0, 5, 4, b'm', b'o', b'r', name]].concat();
    assert!(admin.upload("mine", &other(b'1')).status < 300);
    assert!(admin.upload("gone", &other(b'2')).status < 300);
    let later = |module: &str| {
        let job = json!({ "tool": format!("{module}.add"), "input": { "a": 1, "b": 2 }, "delay_ms": 1_500 });
        submit(admin, &job)
    };
    let (replaced, removed) = (later("mine"), later("gone"));
    let digest = show(admin, &replaced)["digest"].clone();

    assert!(admin.upload("mine", &other(b'3')).status < 300);
    assert_eq!(admin.delete("/api/v1/modules/gone").status, 204);

    let job = ended(admin, &replaced);
    assert_eq!((&job["state"], &job["result"], &job["digest"]), (&json!("completed"), &json!(3), &digest));
    let job = ended(admin, &removed);
    assert_eq!((&job["state"], &job["error"]["code"]), (&json!("failed"), &json!("gone")), "{job}");
}

#[test]
fn jobs_of_another_system_are_taken_in_once_under_their_own_ids() {
    let Some(server) = workshop() else { return };
    let (_, owner) = server.admin().new_key("imported", "call");
    let text = owner.key().to_owned();
    let id = |last: u8| format!("6f1f5e0e-0000-4000-8000-0000000000{last:02x}");
    let entry = |last, status: &str, result: Value| {
        json!({
            "queue_id": id(last), "api_key": text, "endpoint": "calculator/add", "data": { "a": 2, "b": 3 },
            "status": status, "result": result, "error": "it broke", "created_at": 1_700_000_000.5, "updated_at": "x",
        })
    };
    let mut lost = entry(5, "queued", Value::Null);
    lost["endpoint"] = json!("nothing/here");
    let file = json!({ "queue": [
        entry(1, "queued", Value::Null), entry(2, "processing", Value::Null), entry(3, "completed", json!({ "x": 1 })),
        entry(4, "failed", Value::Null), lost, { "queue_id": 7 },
    ] });

    owner.post("/api/v1/jobs/import", &file).refused(403, "forbidden");
    let first = server.admin().post("/api/v1/jobs/import", &file).expect(200);
    let again = server.admin().post("/api/v1/jobs/import", &file).expect(200);

    assert_eq!((&first["imported"], &first["known"]), (&json!(4), &json!(0)), "{first}");
    assert_eq!((&again["imported"], &again["known"]), (&json!(0), &json!(4)), "{again}");
    let positions: Vec<_> = first["refused"].as_array().unwrap().iter().map(|refused| &refused["position"]).collect();
    assert_eq!(positions, [4, 5]);
    assert_eq!(ended(&owner, &id(1))["result"], 5);
    assert_eq!(ended(&owner, &id(2))["result"], 5);
    let done = owner.post("/api/calculator/add/queue", &json!({ "queue_id": id(3) }));
    assert_eq!((done.status, done.json()), (200, json!({ "x": 1 })));
    assert_eq!(show(&owner, &id(4))["error"]["message"], "it broke");
    assert!(!server.log().contains(&text), "no text of a key is written anywhere");
}
