//! Tools that ask the client before they answer. Each is called again with what it had asked for.

use serde_json::{Value, json};

use super::{Call, Ended, refuse, say, working::work};
use crate::{
    exports::fumehood::tool::tools::Outcome,
    fumehood::tool::types::{Capability, ClientCapabilities, Error, InputRequest},
    questions::{answer, ask, ask_with_state, filled, filled_text, form, is_answerable, roots, said, sampling, state},
    questions::{text_form, yes_or_no},
};

/// It may be left out, so that every tool answers when it is called with as little as its schema allows.
pub(super) const FILE: &str = r#"{"type": "object", "properties": {"filename": {"type": "string"}}}"#;

pub(super) const PROMPT: &str =
    r#"{"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}"#;

pub(super) const MESSAGE: &str =
    r#"{"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}"#;

/// The key of a question that is the only one.
const ANSWER: &str = "answer";

pub(super) fn sampling_of_prompt(call: &Call) -> Ended {
    match said(&call.context, ANSWER) {
        Some(said) => say(&format!("LLM response: {said}")),
        None => require(call, vec![sampling(ANSWER, call.text("prompt")?, 100)]),
    }
}

pub(super) fn user(call: &Call) -> Ended {
    show(call, "User response", call.text("message")?, include_str!("../schemas/user.json"))
}

pub(super) fn defaults(call: &Call) -> Ended {
    show(call, "Elicitation completed", "Change what is wrong.", include_str!("../schemas/defaults.json"))
}

pub(super) fn enums(call: &Call) -> Ended {
    show(call, "Elicitation completed", "Choose.", include_str!("../schemas/enums.json"))
}

pub(super) fn missing_capability(call: &Call) -> Ended {
    if call.context.client.contains(ClientCapabilities::SAMPLING) {
        say("Nothing is missing.")
    } else {
        Err(Error::MissingCapability(Capability::Sampling))
    }
}

pub(super) fn name(call: &Call) -> Ended {
    match filled_text(&call.context, "user_name", "name") {
        Some(name) => say(&format!("Hello, {name}!")),
        None => require(call, vec![text_form("user_name", "What is your name?", "name")]),
    }
}

pub(super) fn capital(call: &Call) -> Ended {
    match said(&call.context, "capital_question") {
        Some(said) => say(&said),
        None => require(call, vec![sampling("capital_question", "What is the capital of France?", 100)]),
    }
}

pub(super) fn folders(call: &Call) -> Ended {
    match uris(&answer(&call.context, "client_roots")) {
        Some(uris) => say(&format!("Your folders: {uris}")),
        None => require(call, vec![roots("client_roots")]),
    }
}

pub(super) fn remembering(call: &Call) -> Ended {
    let is_remembered = state(&call.context)["asked"] == true;
    match filled(&call.context, "confirm", "ok") {
        Some(ok) if is_remembered => say(&format!("state-ok, and the answer was {ok}")),
        _ => require_and_remember(call, vec![yes_or_no("confirm", "Please confirm", "ok")], &json!({"asked": true})),
    }
}

pub(super) fn three_at_once(call: &Call) -> Ended {
    let name = filled_text(&call.context, "user_name", "name");
    let greeting = said(&call.context, "greeting");
    let uris = uris(&answer(&call.context, "client_roots"));
    match (name, greeting, uris) {
        (Some(name), Some(greeting), Some(uris)) => say(&format!("{greeting} {name}, your folders are {uris}")),
        _ => {
            let requests = vec![
                text_form("user_name", "What is your name?", "name"),
                sampling("greeting", "Generate a greeting", 50),
                roots("client_roots"),
            ];
            require_and_remember(call, requests, &json!({"asked": true}))
        }
    }
}

pub(super) fn two_rounds(call: &Call) -> Ended {
    let remembered = state(&call.context)["name"].as_str().map(str::to_owned);
    let Some(name) = remembered.or_else(|| filled_text(&call.context, "step1", "name")) else {
        let requests = vec![text_form("step1", "Step 1: What is your name?", "name")];
        return require_and_remember(call, requests, &json!({}));
    };
    match filled_text(&call.context, "step2", "color") {
        Some(color) => say(&format!("{name} likes {color}.")),
        None => {
            let requests = vec![text_form("step2", "Step 2: What is your favorite color?", "color")];
            require_and_remember(call, requests, &json!({"name": name}))
        }
    }
}

pub(super) fn possible(call: &Call) -> Ended {
    let mut requests = vec![
        text_form("user_name", "What is your name?", "name"),
        sampling("greeting", "Generate a greeting", 50),
        roots("client_roots"),
    ];
    requests.retain(|request| is_answerable(&call.context, request));
    let is_answered = |request: &InputRequest| answer(&call.context, &request.key).is_object();
    if requests.iter().all(is_answered) {
        say(&format!("Asked {} of 3 things.", requests.len()))
    } else {
        require(call, requests)
    }
}

pub(super) fn confirm_delete(call: &Call) -> Ended {
    let file = call.arguments["filename"].as_str().unwrap_or("the file");
    let decision = answer(&call.context, "confirm");
    if decision["action"] == "accept" && decision["content"]["confirm"] == true {
        say(&format!("Deleted {file}."))
    } else if decision["action"].is_string() {
        say(&format!("Kept {file}."))
    } else {
        // The suite wants this question of a job, and that of `then_working` of the call itself.
        work();
        require(call, vec![yes_or_no("confirm", &format!("Delete {file}?"), "confirm")])
    }
}

pub(super) fn two_at_once(call: &Call) -> Ended {
    let (first, second) = ("first", "second");
    match [first, second].map(|key| filled_text(&call.context, key, "name")) {
        [Some(one), Some(other)] => say(&format!("Heard of {one} and {other}.")),
        _ => {
            work();
            let asked = [first, second].map(|key| text_form(key, &format!("What is the {key} name?"), "name"));
            require(call, asked.into())
        }
    }
}

pub(super) fn then_working(call: &Call) -> Ended {
    match filled_text(&call.context, "user_name", "name") {
        Some(name) => {
            work();
            say(&format!("Hello, {name}! The work is done."))
        }
        None => require(call, vec![text_form("user_name", "What is your name?", "name")]),
    }
}

/// Show a form, and tell what the user made of it after the words `told`.
fn show(call: &Call, told: &str, message: &str, schema: &str) -> Ended {
    let decision = answer(&call.context, ANSWER);
    match decision["action"].as_str() {
        Some(action) => say(&format!("{told}: action={action}, content={}", decision["content"])),
        None => {
            let schema = serde_json::from_str(schema).map_err(|error| Error::Internal(error.to_string()))?;
            require(call, vec![form(ANSWER, message, &schema)])
        }
    }
}

fn require(call: &Call, requests: Vec<InputRequest>) -> Ended {
    match refusal(call) {
        Some(why) => refuse(why),
        None => ask(&call.context, requests).map(Outcome::InputRequired),
    }
}

fn require_and_remember(call: &Call, requests: Vec<InputRequest>, remembered: &Value) -> Ended {
    match refusal(call) {
        Some(why) => refuse(why),
        None => ask_with_state(&call.context, requests, remembered).map(Outcome::InputRequired),
    }
}

/// What to tell if the user does not want to be asked: who declines is not asked the same again.
fn refusal(call: &Call) -> Option<&'static str> {
    let responses = call.context.resumption.iter().flat_map(|resumption| &resumption.responses);
    let mut actions = responses.filter_map(|response| serde_json::from_str::<Value>(&response.body).ok());
    actions
        .any(|body| matches!(body["action"].as_str(), Some("decline" | "cancel")))
        .then_some("The user does not want to answer.")
}

/// The folders of the client, if these are some.
fn uris(answer: &Value) -> Option<String> {
    let roots = answer["roots"].as_array()?.iter();
    Some(roots.filter_map(|root| root["uri"].as_str()).collect::<Vec<_>>().join(", "))
}
