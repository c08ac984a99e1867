//! What becomes of jobs when the server, or a process of it, ends in the middle.

use fumehood_tests::eventually;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{add, ended, running, setup, show, submit};

#[test]
fn after_a_crash_everything_that_was_accepted_ends_and_nothing_that_may_do_harm_runs_twice() {
    let Some(setup) = setup() else { return };
    let server = setup.set("jobs.running", 3).start();
    let admin = server.admin();
    let done = submit(admin, &add(20, 3));
    ended(admin, &done);
    let nap = |module: &str| json!({ "tool": format!("{module}.nap"), "input": { "millis": 1_500 } });
    let (harmful, harmless) = (submit(admin, &nap("long-work")), submit(admin, &nap("again")));
    let mut waiting = add(1, 1);
    waiting["delay_ms"] = json!(1_000);
    let waiting = submit(admin, &waiting);
    running(admin, &harmful);
    running(admin, &harmless);

    let server = server.crash().start();

    let admin = server.admin();
    assert_eq!(show(admin, &done)["result"], 23, "what had ended is as it was");
    let job = ended(admin, &harmful);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("interrupted"), &json!(1)), "{job}");
    assert_eq!(job["error"]["code"], "interrupted");
    let job = ended(admin, &harmless);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(2)), "{job}");
    assert_eq!(ended(admin, &waiting)["result"], 2);
    let dead = admin.get("/api/v1/jobs?state=dead").expect(200);
    assert_eq!(dead["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(admin.post(&format!("/api/v1/jobs/{harmful}/retry"), &json!({})).status, 202);
    assert_eq!(ended(admin, &harmful)["state"], "completed", "unless asked to");
}

#[test]
fn a_submitter_can_say_that_running_twice_does_no_harm() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let job = json!({ "tool": "long-work.nap", "input": { "millis": 1_000 }, "repeatable": true });
    let id = submit(server.admin(), &job);
    running(server.admin(), &id);

    let server = server.crash().start();

    assert_eq!(ended(server.admin(), &id)["state"], "completed");
}

#[test]
fn a_job_goes_on_from_its_checkpoint() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let id = submit(server.admin(), &json!({ "tool": "again.resume", "input": { "total": 40, "millis": 100 } }));
    eventually("it has come some way", || {
        show(server.admin(), &id)["progress"]["done"].as_f64().is_some_and(|done| done >= 5.0)
    });

    let server = server.crash().start();
    let job = ended(server.admin(), &id);

    assert_eq!(job["state"], "completed", "{job}");
    let done = &job["result"];
    assert_eq!((&done["attempt"], &done["to"]), (&json!(2), &json!(40)));
    assert!(done["from"].as_u64().is_some_and(|from| from >= 5), "{done}");
}

#[test]
fn a_cancelled_job_stays_cancelled_after_a_crash() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let mut later = add(1, 1);
    later["delay_ms"] = json!(500);
    let id = submit(server.admin(), &later);
    let _ = server.admin().delete(&format!("/api/v1/jobs/{id}"));

    let server = server.crash().start();

    assert_eq!(show(server.admin(), &id)["state"], "cancelled");
}

#[test]
fn asked_to_end_a_server_lets_short_jobs_finish_and_gives_back_what_has_not_begun() {
    let Some(setup) = setup() else { return };
    let server = setup.set("jobs.running", 1).start();
    let admin = server.admin();
    let short = submit(admin, &json!({ "tool": "long-work.nap", "input": { "millis": 1_000 } }));
    running(admin, &short);
    let waits = submit(admin, &add(1, 1));

    let server = server.stop().start();

    assert_eq!(show(server.admin(), &short)["state"], "completed");
    let job = ended(server.admin(), &waits);
    assert_eq!((&job["result"], &job["attempt"]), (&json!(2), &json!(1)));
}

#[test]
fn a_job_whose_process_dies_is_tried_again_only_if_it_may() {
    let Some(setup) = setup() else { return };
    let server = setup.start();
    let admin = server.admin();
    let nap = |module: &str| json!({ "tool": format!("{module}.nap"), "input": { "millis": 2_000 } });
    let (harmful, harmless) = (submit(admin, &nap("long-work")), submit(admin, &nap("again")));
    running(admin, &harmful);
    running(admin, &harmless);

    for worker in workers(server.pid()) {
        // One may have ended by itself meanwhile.
        let _ = kill_process(worker, Signal::KILL);
    }

    let job = ended(admin, &harmful);
    assert_eq!((&job["state"], &job["error"]["code"]), (&json!("interrupted"), &json!("trap")), "{job}");
    let job = ended(admin, &harmless);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(2)), "{job}");
}

/// The processes in which guests of a server run.
fn workers(server: u32) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{server}/task")).unwrap();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok());
    let ids: Vec<i32> =
        children.flat_map(|text| text.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>()).collect();
    let is_worker = |id: &i32| {
        std::fs::read_to_string(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.contains("sandbox-worker"))
    };
    ids.into_iter().filter(is_worker).filter_map(Pid::from_raw).collect()
}
