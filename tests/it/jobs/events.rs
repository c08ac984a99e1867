//! Following a job: progress, log lines and output as they come, and from where one left off.

use fumehood_tests::{Client, eventually};
use serde_json::{Value, json};

use super::{ended, running, submit, workshop};

/// One server-sent event.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    kind: String,
    id: u64,
    data: Value,
}

/// Every event of a job after the one with this id, read until the stream ends.
fn events(client: &Client, id: &str, after: Option<u64>) -> Vec<Event> {
    let after = after.map(|after| after.to_string());
    let headers: Vec<_> = after.iter().map(|after| ("last-event-id", after.as_str())).collect();
    let answer = client.send("GET", &format!("/api/v1/jobs/{id}/events"), &headers, b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let text = answer.text();
    text.split("\n\n").filter(|block| block.contains("data:")).map(parse).collect()
}

fn parse(block: &str) -> Event {
    let field = |name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim().to_owned()
    };
    Event {
        kind: field("event"),
        id: field("id").parse().unwrap(),
        data: serde_json::from_str(&field("data")).unwrap(),
    }
}

#[test]
fn everything_that_a_guest_tells_is_heard_in_order_and_the_end_comes_last() {
    let Some(server) = workshop() else { return };
    let admin = server.admin();
    let id = submit(admin, &json!({ "tool": "long-work.count-slowly", "input": { "steps": 4, "millis": 200 } }));

    let heard = events(admin, &id, None);

    let texts = |kind: &str| -> Vec<String> {
        let of = heard.iter().filter(|event| event.kind == kind);
        of.map(|event| event.data["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(texts("log"), (1..=4).map(|step| format!("logged step {step}")).collect::<Vec<_>>());
    assert_eq!(texts("output").concat(), (1..=4).map(|step| format!("printed step {step}\n")).collect::<String>());
    let last = heard.last().unwrap();
    assert_eq!(
        (last.kind.as_str(), &last.data["state"], &last.data["result"]),
        ("state", &json!("completed"), &json!(4))
    );
    assert!(heard.iter().any(|event| event.kind == "progress" || !event.data["progress"].is_null()), "{heard:?}");
    assert!(heard.windows(2).all(|pair| pair[0].id <= pair[1].id), "{heard:?}");
    let job = ended(admin, &id);
    assert_eq!((&job["progress"]["percent"], &job["progress"]["message"]), (&json!(100.0), &json!("step 4")));
}

#[test]
fn whoever_comes_back_hears_what_came_after_and_nothing_twice() {
    let Some(server) = workshop() else { return };
    let admin = server.admin();
    let id = submit(admin, &json!({ "tool": "long-work.count-slowly", "input": { "steps": 3, "millis": 100 } }));
    let all = events(admin, &id, None);
    let told: Vec<_> = all.iter().filter(|event| matches!(event.kind.as_str(), "log" | "output")).collect();
    let middle = told[told.len() / 2].id;

    let rest = events(admin, &id, Some(middle));

    let expected: Vec<_> = told.iter().filter(|event| event.id > middle).copied().collect();
    let heard: Vec<_> = rest.iter().filter(|event| matches!(event.kind.as_str(), "log" | "output")).collect();
    assert_eq!(heard, expected);
    let last = rest.last().unwrap();
    assert_eq!(last.data["state"], "completed");
    let answer =
        admin.send("GET", &format!("/api/v1/jobs/{id}/events"), &[("last-event-id", &last.id.to_string())], b"");
    assert_eq!(answer.status, 204, "a browser stops asking");
    admin.send("GET", &format!("/api/v1/jobs/{id}/events"), &[("last-event-id", "x")], b"").refused(400, "malformed");
}

#[test]
fn a_flood_of_lines_is_bounded_and_escaped() {
    let Some(server) = workshop() else { return };
    let admin = server.admin();
    let id = submit(admin, &json!({ "tool": "long-work.flood", "input": { "lines": 20_000 } }));

    let heard = events(admin, &id, None);

    assert_eq!(heard.last().unwrap().data["state"], "completed");
    assert!(heard.len() <= 1_010, "{} events", heard.len());
    let bytes: usize = heard.iter().filter_map(|event| event.data["text"].as_str()).map(str::len).sum();
    assert!(bytes <= 256 << 10, "{bytes} bytes");
}

#[test]
fn progress_is_seen_while_the_job_runs() {
    let Some(server) = workshop() else { return };
    let admin = server.admin();
    let id = submit(admin, &json!({ "tool": "again.count-slowly", "input": { "steps": 400, "millis": 50 } }));
    running(admin, &id);

    eventually("progress is told", || {
        let job = admin.get(&format!("/api/v1/jobs/{id}")).expect(200);
        job["progress"]["percent"].as_f64().is_some_and(|percent| percent > 0.0 && percent < 100.0)
    });

    let _ = admin.delete(&format!("/api/v1/jobs/{id}"));
    assert_eq!(ended(admin, &id)["state"], "cancelled");
}
