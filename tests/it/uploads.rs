//! Files as arguments, bytes as answers, and results that are fetched later.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fumehood_tests::{Answer, Server, Shared, guest};
use serde_json::json;

static FILES: Shared = Shared::new();

const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=xxBOUNDARYxx");
const MINIMAL: (&str, &str) = ("prefer", "return=minimal");

fn files() -> Option<Arc<Server>> {
    let component = guest("files")?;
    Some(FILES.get(|| Server::setup().guest("files", &component).set("limits.fuel_units", 3_000_000_000_u64).start()))
}

/// A part: what its header says beside `form-data`, and what is in it.
type Part<'a> = (&'a str, &'a [u8]);

fn body(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend_from_slice(format!("--xxBOUNDARYxx\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--xxBOUNDARYxx--\r\n");
    body
}

fn send(server: &Server, function: &str, parts: &[Part<'_>]) -> Answer {
    server.admin().send("POST", &format!("/api/files/{function}"), &[FORM], &body(parts))
}

#[test]
fn a_file_is_bytes_without_base64() {
    let Some(server) = files() else { return };
    let content: Vec<u8> = (0..=255).cycle().take(10_000).collect();

    let size = send(&server, "size", &[("name=\"bytes\"; filename=\"a.bin\"", &content)]);
    let typed = send(&server, "echo", &[("name=\"bytes\"\r\nContent-Type: image/png", &content)]);

    assert_eq!(size.value(), json!(10_000));
    assert_eq!(typed.value(), json!(STANDARD.encode(&content)));
}

#[test]
fn parts_become_what_their_parameters_are() {
    let Some(server) = files() else { return };
    let form = |parts: &[Part<'_>]| send(&server, "form", parts).value();

    let text = form(&[("name=\"name\"", b"12"), ("name=\"count\"", b"7"), ("name=\"bytes\"", b"AAEC")]);
    let file =
        form(&[("name=\"name\"; filename=\"a.txt\"", "ü".as_bytes()), ("name=\"bytes\"; filename=\"b\"", b"ABC")]);
    let many = form(&[
        ("name=\"name\"\r\nContent-Type: application/json", b"\"x\""),
        ("name=\"files\"; filename=\"1\"", b"a"),
        ("name=\"files\"; filename=\"2\"", b"bc"),
    ]);
    let rest =
        form(&[("name=\"arguments\"", br#"{"name": "n", "count": 3}"#), ("name=\"bytes\"; filename=\"b\"", b"")]);

    assert_eq!(text, json!("12 Some(7) Some(3) None"));
    assert_eq!(file, json!("ü None Some(3) None"));
    assert_eq!(many, json!("x None None Some([1, 2])"));
    assert_eq!(rest, json!("n Some(3) Some(0) None"));
}

#[test]
fn every_mistake_of_a_form_is_told_with_its_place() {
    let Some(server) = files() else { return };

    let answer = send(
        &server,
        "form",
        &[
            ("name=\"nobody\"", b"1"),
            ("name=\"count\"", b"seven"),
            ("name=\"bytes\"", b"AAEC"),
            ("name=\"bytes\"; filename=\"b\"", b"1"),
            ("name=\"arguments\"", b"[]"),
            ("name=\"name\"; filename=\"x\"", b"\xff"),
        ],
    );
    let near = send(&server, "form", &[("name=\"nam\"", b"x"), ("name=\"count\"", b"seven")]);
    let fits_not = send(&server, "form", &[("name=\"name\"", b"x"), ("name=\"count\"", b"-1")]);
    let no_file = send(&server, "form", &[("name=\"name\"", b"x"), ("name=\"count\"; filename=\"7\"", b"7")]);

    let problem = answer.refused(422, "invalid_input");
    assert_eq!(problem.pointers(), ["/bytes", "/arguments", "/name", "/nobody", "/count"]);
    let near = near.refused(422, "invalid_input");
    let messages: Vec<_> = near.details.as_array().unwrap().iter().map(|mistake| mistake["message"].clone()).collect();
    assert_eq!(near.pointers(), ["/nam", "/count", "/name"]);
    assert_eq!(
        (&messages[0], &messages[2]),
        (&json!("`nam` is not known here, did you mean `name`?"), &json!("`name` is required"))
    );
    assert!(messages[1].as_str().unwrap().starts_with("expected an integer"), "{}", messages[1]);
    assert_eq!(fits_not.refused(422, "invalid_input").pointers(), ["/count"]);
    assert_eq!(no_file.refused(422, "invalid_input").pointers(), ["/count"]);
}

#[test]
fn what_is_no_form_is_refused() {
    let Some(server) = files() else { return };
    let client = server.admin();
    let post = |kind: &str, body: &[u8]| client.send("POST", "/api/files/size", &[("content-type", kind)], body);
    let part = "name=\"bytes\"; filename=\"x\"";
    let whole = body(&[(part, b"123")]);
    let long = format!("name=\"{}\"", "n".repeat(129));

    post("multipart/form-data", &whole).refused(400, "malformed");
    post("multipart/form-data; boundary=other", &whole).refused(400, "malformed");
    post(FORM.1, b"{}").refused(400, "malformed");
    post(FORM.1, &whole[..whole.len() - 10]).refused(400, "malformed");
    send(&server, "size", &[("filename=\"x\"", b"1")]).refused(400, "malformed");
    send(&server, "size", &[(&long, b"1")]).refused(400, "malformed");
    send(&server, "size", &vec![("name=\"x\"", &b"1"[..]); 65]).refused(400, "malformed");
    post("multipart/mixed; boundary=x", &whole).refused(415, "unsupported_media_type");
    let execute = client.send("POST", "/api/v1/tools/files__size/execute", &[FORM], &whole);
    execute.refused(415, "unsupported_media_type");
}

#[test]
fn a_form_is_bounded_like_every_body() {
    let Some(component) = guest("files") else { return };
    let server = Server::setup().guest("files", &component).set("server.max_body", "1 KiB").start();
    let part = "name=\"bytes\"; filename=\"x\"";

    assert_eq!(send(&server, "size", &[(part, &[0; 512])]).value(), json!(512));
    send(&server, "size", &[(part, &[0; 1_024])]).refused(413, "too_large");
}

#[test]
fn bytes_come_back_raw_when_the_caller_asks_for_them() {
    let Some(server) = files() else { return };
    let client = server.admin();
    let raw = ("accept", "application/octet-stream, application/problem+json;q=0.5");

    let answer = client.call_with("files/echo", &[raw], &json!({ "bytes": "AAECgP8=" }));
    let text = client.call_with("files/form", &[raw], &json!({ "name": "x" }));
    let anything = client.call_with("files/echo", &[("accept", "*/*")], &json!({ "bytes": "AAEC" }));
    let refused = client.call_with("files/echo", &[raw], &json!({ "bytes": 7 }));

    assert_eq!((answer.status, answer.body.as_slice()), (200, &[0, 1, 2, 0x80, 0xff][..]));
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"files-echo.bin\""));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert!(answer.number("fumehood-fuel") > 0);
    assert_eq!(text.value(), json!("x None None None"));
    assert_eq!(anything.value(), json!("AAEC"));
    refused.refused(422, "invalid_input");
}

#[test]
fn a_result_can_be_fetched_later_by_its_caller_alone() {
    let Some(server) = files() else { return };
    let client = server.admin();
    let made = client.post("/api/v1/keys", &json!({ "name": "other", "roles": ["admin"] }));
    let other = client.with_key(made.json()["key"].as_str().unwrap());

    let kept = client.call_with("files/zeroes", &[MINIMAL], &json!({ "count": 3_000 }));

    let told = kept.expect(201);
    let path = told["result"].as_str().unwrap();
    assert_eq!(kept.header("location"), Some(path));
    assert_eq!(kept.header("preference-applied"), Some("return=minimal"));
    assert_eq!(told["size_bytes"], 4_002);
    assert!(told["expires_at"].as_str().unwrap().ends_with('Z'));
    let missing = other.get("/api/v1/results/00000000000000000000000000000000").refused(404, "not_found");
    let foreign = other.get(path).refused(404, "not_found");
    assert_eq!(
        foreign.message.replace(path.rsplit('/').next().unwrap(), "ID"),
        missing.message.replace("00000000000000000000000000000000", "ID")
    );
    other.delete(path).refused(404, "not_found");
    client.anonymous().get(path).refused(401, "unauthenticated");

    assert_eq!(client.get(path).value(), json!(STANDARD.encode(vec![0; 3_000])));
    client.delete(path).empty(204);
    client.get(path).refused(404, "not_found");
    client.delete(path).refused(404, "not_found");
    client.get("/api/v1/results/..%2Fsecret").refused(404, "not_found");
}

#[test]
fn an_error_is_told_at_once_also_to_who_prefers_little() {
    let Some(server) = files() else { return };

    let answer = server.admin().call_with("files/read", &[MINIMAL], &json!({ "path": "/etc/passwd" }));

    assert_eq!(answer.refused(422, "tool_error").details["error"], "no-folder");
}

#[test]
fn results_do_not_outlive_the_server() {
    let Some(component) = guest("files") else { return };
    let server = Server::setup().guest("files", &component).start();
    let kept = server.admin().call_with("files/zeroes", &[MINIMAL], &json!({ "count": 3 })).expect(201);

    let server = server.restart();

    server.admin().get(kept["result"].as_str().unwrap()).refused(404, "not_found");
    assert_eq!(std::fs::read_dir(server.data().join("results")).unwrap().count(), 0);
}

#[test]
fn forms_and_downloads_are_described() {
    let Some(server) = files() else { return };

    let document = server.admin().get("/openapi.json").json();

    let echo = &document["paths"]["/api/files/echo"]["post"];
    let form = &echo["requestBody"]["content"]["multipart/form-data"]["schema"];
    assert_eq!(form["properties"]["bytes"]["contentMediaType"], "application/octet-stream");
    assert!(echo["responses"]["200"]["content"].get("application/octet-stream").is_some());
    assert!(echo["responses"].get("201").is_some());
    let size = &document["paths"]["/api/files/size"]["post"];
    assert!(size["responses"]["200"]["content"].get("application/octet-stream").is_none());
}
