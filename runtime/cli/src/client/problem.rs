//! What the server says when it does not do what it was asked: RFC 9457 problem documents.

use fumehood_model::Code;
use serde::Deserialize;
use serde_json::Value;

use crate::exit::{Exit, Failure};

/// The members of a problem document that we use.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    error: String,
    message: String,
    detail: String,
    title: String,
    details: Value,
    request_id: Option<String>,
}

/// The failure that an answer with `status` and `body` stands for.
pub(super) fn failure(status: u16, body: &[u8], had_key: bool) -> Failure {
    let document = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object);
    let problem: Problem = document.clone().and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    let known = serde_json::from_value::<Code>(problem.error.clone().into()).ok();
    let exit = known.map_or_else(|| of_status(status), Exit::of);
    let code = if problem.error.is_empty() { format!("http_{status}") } else { problem.error.clone() };
    let failure = Failure::with_exit(exit, code, message(&problem, status)).lines(lines(known, &problem));
    let failure = match next_step(exit, known, had_key, &problem) {
        Some(hint) => failure.hint(hint),
        None => failure,
    };
    match document {
        Some(document) => failure.document(document),
        None => failure,
    }
}

/// For codes that this build does not know, and for what is not a problem document at all.
fn of_status(status: u16) -> Exit {
    match status {
        401 | 403 => Exit::Denied,
        404 | 503 => Exit::NotFound,
        429 | 499 | 502 | 504 | 507 | 508 => Exit::Stopped,
        400..=499 => Exit::Invalid,
        _ => Exit::Internal,
    }
}

fn message(problem: &Problem, status: u16) -> String {
    let texts = [&problem.message, &problem.detail, &problem.title];
    let text = texts.into_iter().find(|text| !text.is_empty());
    let text = text.cloned().unwrap_or_else(|| format!("the server answered with status {status} and did not say why"));
    // What the configuration sets is what everybody gets, and needs no word.
    match problem.details["set_by"].as_str().filter(|who| *who != "configuration") {
        Some(who) => format!("{text}, as its {who} sets it"),
        None => text,
    }
}

fn lines(code: Option<Code>, problem: &Problem) -> Vec<String> {
    match (code, &problem.details) {
        (_, Value::Null) => Vec::new(),
        // What the tool said in one line is the message already.
        (Some(Code::ToolError), details) => {
            details.get("error").map(text).filter(|said| *said != problem.message).into_iter().collect()
        }
        // The message names the bound and what it allows, or the kind of what was denied.
        (_, Value::Object(details)) if details.contains_key("limit") || details.contains_key("denied") => Vec::new(),
        (_, Value::Array(mistakes)) => mistakes.iter().map(mistake).collect(),
        (_, details) => vec![text(details)],
    }
}

fn mistake(mistake: &Value) -> String {
    match (mistake["pointer"].as_str(), mistake["message"].as_str()) {
        (Some("") | None, Some(message)) => message.to_owned(),
        (Some(pointer), Some(message)) => format!("{pointer}: {message}"),
        _ => text(mistake),
    }
}

/// Text as it is, and everything else as JSON.
fn text(value: &Value) -> String {
    let json = || serde_json::to_string_pretty(value).unwrap_or_default();
    value.as_str().map_or_else(json, str::to_owned)
}

fn next_step(exit: Exit, code: Option<Code>, had_key: bool, problem: &Problem) -> Option<String> {
    match (exit, code) {
        (_, Some(Code::ToolError | Code::Denied)) => whom_to_ask(&problem.details),
        (Exit::Denied, _) if !had_key => {
            Some("pass --key or FUMEHOOD_KEY; on the server's machine, --data-dir finds its admin.key".to_owned())
        }
        (Exit::Denied, Some(Code::Unauthenticated)) => {
            Some("the key is unknown or revoked; an administrator makes one with `fumehood keys create`".to_owned())
        }
        (Exit::Internal, _) => {
            problem.request_id.as_ref().map(|id| format!("the server's log has more under request {id}"))
        }
        _ => None,
    }
}

/// Who can grant what the tool was denied on its way, or which bounds it had reached.
fn whom_to_ask(details: &Value) -> Option<String> {
    if let Some(denied) = details["denied"].as_array() {
        let denied: Vec<_> = denied.iter().filter_map(Value::as_str).collect();
        return Some(format!("{}: it was denied {}", details["ask"].as_str()?, denied.join(", ")));
    }
    let reached = details["reached"].as_array()?.iter();
    let reached: Vec<_> = reached.map(|bound| format!("{} of {}", bound["limit"], text(&bound["allowed"]))).collect();
    Some(format!("it had reached its bound {}", reached.join(", ").replace('"', "")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(status: u16, document: &Value) -> Failure {
        failure(status, document.to_string().as_bytes(), true)
    }

    #[test]
    fn a_tool_error_shows_what_the_tool_said() {
        let document =
            json!({ "error": "tool_error", "message": "the tool said no", "details": { "error": "divided by zero" } });

        let failure = of(422, &document);

        assert_eq!(failure.exit(), Exit::ToolError);
        assert_eq!(failure.to_string(), "the tool said no\n  divided by zero");
    }

    #[test]
    fn a_tool_error_of_one_line_is_told_once() {
        let document = json!({ "error": "tool_error", "message": "no room", "details": { "error": "no room" } });

        assert_eq!(of(422, &document).to_string(), "no room");
    }

    #[test]
    fn every_mistake_of_an_input_has_its_line() {
        let details =
            json!([{ "pointer": "/a", "message": "is not a number" }, { "pointer": "", "message": "b is missing" }]);

        let failure = of(422, &json!({ "error": "invalid_input", "message": "no", "details": details }));

        assert_eq!(failure.exit(), Exit::Invalid);
        assert_eq!(failure.to_string(), "no\n  /a: is not a number\n  b is missing");
    }

    #[test]
    fn who_calls_a_tool_that_was_denied_something_is_told_whom_to_ask_and_not_for_a_key() {
        let details = json!({ "denied": ["http", "secret"], "ask": "an administrator can review it" });

        let denied = failure(
            403,
            json!({ "error": "denied", "message": "no", "details": details }).to_string().as_bytes(),
            false,
        );
        let forbidden = failure(403, json!({ "error": "forbidden", "message": "no" }).to_string().as_bytes(), false);

        assert_eq!((denied.exit(), forbidden.exit()), (Exit::Denied, Exit::Denied));
        assert_eq!(denied.to_string(), "no\nhint: an administrator can review it: it was denied http, secret");
        assert!(forbidden.to_string().contains("--key"));
    }

    #[test]
    fn the_status_decides_when_the_code_is_unknown_or_there_is_none() {
        assert_eq!(of(404, &json!({ "error": "something_new" })).exit(), Exit::NotFound);
        assert_eq!(failure(502, b"<html>", true).exit(), Exit::Stopped);
        assert_eq!(failure(500, b"", true).exit(), Exit::Internal);
    }

    #[test]
    fn who_has_no_key_is_told_how_to_pass_one() {
        let document = json!({ "error": "unauthenticated", "message": "no key" }).to_string();

        assert!(failure(401, document.as_bytes(), false).to_string().contains("--key"));
    }
}
