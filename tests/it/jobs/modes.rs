//! Calls that become jobs because their tool, or their caller, wants it so.

use fumehood_tests::{Server, eventually, guest};
use serde_json::{Value, json};

use super::{ended, workshop};

#[test]
fn the_path_of_a_function_takes_jobs_and_answers_for_them() {
    let Some(server) = workshop() else { return };
    let admin = server.admin();

    let queued = admin.post("/api/long-work/count-slowly/queue", &json!({ "steps": 5, "millis": 100 }));
    let id = queued.json()["queue_id"].as_str().unwrap().to_owned();
    let asked = json!({ "queue_id": id });
    let pending = admin.post("/api/long-work/count-slowly/queue", &asked);
    ended(admin, &id);
    let done = admin.post("/api/long-work/count-slowly/queue", &asked);

    assert_eq!((queued.status, queued.header("location")), (202, Some(&*format!("/api/v1/jobs/{id}"))));
    assert_eq!((pending.status, pending.json()), (202, asked.clone()));
    assert_eq!((done.status, done.text().as_str()), (200, "5"));
    assert!(done.number("fumehood-fuel") > 0);
    admin.post("/api/calculator/add/queue", &asked).refused(404, "not_found");
    let mistakes = admin.post("/api/calculator/add/queue", &json!({ "a": "x" }));
    assert_eq!(mistakes.refused(422, "invalid_input").pointers(), ["/a", "/b"]);
}

#[test]
fn a_failed_job_answers_with_the_status_of_its_failure() {
    let Some(server) = workshop() else { return };
    let admin = server.admin();

    let queued = admin.post("/api/calculator/divide/queue", &json!({ "a": 1, "b": 0 }));
    let id = queued.json()["queue_id"].as_str().unwrap().to_owned();
    ended(admin, &id);

    admin.post("/api/calculator/divide/queue", &json!({ "queue_id": id })).refused(422, "tool_error");
}

#[test]
fn a_caller_can_ask_for_a_job_and_wait_for_it() {
    let Some(server) = workshop() else { return };
    let admin = server.admin();
    let call = |prefer: &str, millis: u64| {
        admin.call_with("long-work/nap", &[("prefer", prefer)], &json!({ "millis": millis }))
    };

    let at_once = call("respond-async", 1);
    let waited = call("respond-async, wait=30", 1);
    let given_up = call("respond-async, wait=0", 2_000);

    assert_eq!((at_once.status, at_once.header("preference-applied")), (202, Some("respond-async")));
    assert_eq!(waited.status, 200, "{}", waited.text());
    assert_eq!(given_up.status, 202);
    for answer in [at_once, given_up] {
        ended(admin, answer.json()["queue_id"].as_str().unwrap());
    }
}

#[test]
fn an_author_says_how_a_tool_is_meant_to_be_called() {
    let Some(long) = guest("long-work") else { return };
    let setup = Server::setup().patient().guest("queue", &long).guest("auto", &long);
    let setup = setup.file("queue.tool.toml", "mode = \"queue\"\n");
    let setup = setup.file("auto.tool.toml", "mode = \"auto\"\n[functions.spin]\nmode = \"direct\"\n");
    let server = setup.set("jobs.auto_after_ms", 400).start();
    let admin = server.admin();
    let nap = |module: &str, millis: u64| admin.call(&format!("{module}/nap"), &json!({ "millis": millis }));

    let (queued, quick, slow) = (nap("queue", 1), nap("auto", 1), nap("auto", 2_000));

    assert_eq!((queued.status, quick.status, slow.status), (202, 200, 202), "{}", slow.text());
    let id = slow.json()["queue_id"].as_str().unwrap().to_owned();
    let job = admin.get(&format!("/api/v1/jobs/{id}")).expect(200);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("running"), &json!(1)), "it goes on where it was");
    let job = ended(admin, &id);
    assert_eq!(job["state"], "completed");
    assert!(job["usage"]["duration_us"].as_u64().unwrap() >= 2_000_000, "nothing was run twice: {job}");
    ended(admin, queued.json()["queue_id"].as_str().unwrap());
    let document = admin.get("/openapi.json").expect(200);
    let told = &document["paths"]["/api/auto/nap"]["post"]["responses"]["202"]["content"]["application/json"]["schema"];
    assert_eq!(told["$ref"], "#/components/schemas/Queued", "whoever asks for nothing may get a job");
    let listed = admin.get("/api/v1/tools/auto__spin").expect(200);
    assert_eq!(listed["mode"], "direct");
}

#[test]
fn a_call_that_became_a_job_is_cancelled_like_any() {
    let Some(long) = guest("long-work") else { return };
    let setup = Server::setup().patient().guest("auto", &long).file("auto.tool.toml", "mode = \"auto\"\n");
    let server = setup.set("jobs.auto_after_ms", 200).start();
    let admin = server.admin();

    let slow = admin.call("auto/count-slowly", &json!({ "steps": 2_000, "millis": 50 }));
    let id = slow.json()["queue_id"].as_str().unwrap().to_owned();
    eventually("its progress is heard", || {
        let job = admin.get(&format!("/api/v1/jobs/{id}")).expect(200);
        job["progress"]["done"].as_f64().is_some_and(|done| done > 1.0)
    });
    let _ = admin.delete(&format!("/api/v1/jobs/{id}"));

    assert_eq!(ended(admin, &id)["state"], "cancelled");
    eventually("no guest is left", || admin.calls_running() == 0);
}

#[test]
fn the_openapi_document_tells_of_both_ways() {
    let Some(server) = workshop() else { return };

    let document = server.admin().get("/openapi.json").expect(200);

    let queue = &document["paths"]["/api/calculator/add/queue"]["post"];
    assert_eq!(queue["operationId"], "calculator__add_queue");
    let of = |operation: &Value, status: &str| operation["responses"][status]["content"]["application/json"].clone();
    let direct = &document["paths"]["/api/calculator/add"]["post"];
    assert_eq!(of(queue, "202")["schema"]["$ref"], "#/components/schemas/Queued");
    // Who does not ask for a job gets none, and need not look for one in the type of the answer.
    assert!(direct["responses"]["202"]["headers"]["Location"].is_object() && of(direct, "202").is_null());
    assert!(document["paths"]["/api/v1/jobs/{id}/events"]["get"].is_object());
}
