//! Questions to the client, and what it answers. The guest is called again with the answers, never waits for them.

use serde_json::{Value, json};

use crate::fumehood::tool::types::{
    Capability, ClientCapabilities, Context, Error, Form, InputRequest, InputRequired, Question,
};

/// A form with one text that must be filled in.
pub(crate) fn text_form(key: &str, message: &str, field: &str) -> InputRequest {
    form(key, message, &json!({"type": "object", "properties": {field: {"type": "string"}}, "required": [field]}))
}

/// A form with one box that is ticked or not.
pub(crate) fn yes_or_no(key: &str, message: &str, field: &str) -> InputRequest {
    form(key, message, &json!({"type": "object", "properties": {field: {"type": "boolean"}}, "required": [field]}))
}

pub(crate) fn form(key: &str, message: &str, schema: &Value) -> InputRequest {
    let form = Form { message: message.to_owned(), schema: schema.to_string() };
    InputRequest { key: key.to_owned(), question: Question::ElicitForm(form) }
}

/// A prompt for the client's model.
pub(crate) fn sampling(key: &str, prompt: &str, max_tokens: u32) -> InputRequest {
    let message = json!({"role": "user", "content": {"type": "text", "text": prompt}});
    let parameters = json!({"messages": [message], "maxTokens": max_tokens});
    InputRequest { key: key.to_owned(), question: Question::Sampling(parameters.to_string()) }
}

pub(crate) fn roots(key: &str) -> InputRequest {
    InputRequest { key: key.to_owned(), question: Question::Roots }
}

/// Ask the client all of these.
///
/// # Errors
///
/// When the client has not said that it can answer one of them.
pub(crate) fn ask(context: &Context, requests: Vec<InputRequest>) -> Result<InputRequired, Error> {
    match requests.iter().find(|request| !is_answerable(context, request)) {
        Some(request) => Err(Error::MissingCapability(needed(&request.question))),
        None => Ok(InputRequired { requests, state: None }),
    }
}

/// Ask the client all of these, and remember `state` until it has answered.
pub(crate) fn ask_with_state(
    context: &Context,
    requests: Vec<InputRequest>,
    state: &Value,
) -> Result<InputRequired, Error> {
    let asked = ask(context, requests)?;
    Ok(InputRequired { state: Some(state.to_string().into_bytes()), ..asked })
}

/// Whether the client has said that it can answer this.
pub(crate) fn is_answerable(context: &Context, request: &InputRequest) -> bool {
    context.client.contains(match needed(&request.question) {
        Capability::ElicitationForm => ClientCapabilities::ELICITATION_FORM,
        Capability::ElicitationUrl => ClientCapabilities::ELICITATION_URL,
        Capability::Sampling => ClientCapabilities::SAMPLING,
        Capability::Roots => ClientCapabilities::ROOTS,
    })
}

fn needed(question: &Question) -> Capability {
    match question {
        Question::ElicitForm(_) => Capability::ElicitationForm,
        Question::ElicitUrl(_) => Capability::ElicitationUrl,
        Question::Sampling(_) => Capability::Sampling,
        Question::Roots => Capability::Roots,
    }
}

/// What the client has answered under `key`. `null` if that is nothing, or nonsense: then it is asked again.
pub(crate) fn answer(context: &Context, key: &str) -> Value {
    let responses = context.resumption.iter().flat_map(|resumption| &resumption.responses);
    let response = responses.into_iter().find(|response| response.key == key);
    response.and_then(|response| serde_json::from_str(&response.body).ok()).unwrap_or_default()
}

/// What was filled into `field` of the form `key`, if the user has sent it off.
pub(crate) fn filled(context: &Context, key: &str, field: &str) -> Option<Value> {
    let answer = answer(context, key);
    let value = answer.get("content")?.get(field)?;
    (answer["action"] == "accept").then(|| value.clone())
}

/// The text that was filled into `field` of the form `key`, if the user has sent it off.
pub(crate) fn filled_text(context: &Context, key: &str, field: &str) -> Option<String> {
    filled(context, key, field)?.as_str().map(str::to_owned)
}

/// What the client's model has said under `key`.
pub(crate) fn said(context: &Context, key: &str) -> Option<String> {
    let answer = answer(context, key);
    // Since 2025-11-25 the content may be a list as well.
    let text = answer.pointer("/content/text").or_else(|| answer.pointer("/content/0/text"));
    text?.as_str().map(str::to_owned)
}

/// What was remembered when the client was asked; `null` if that is nothing.
pub(crate) fn state(context: &Context) -> Value {
    let state = context.resumption.as_ref().and_then(|resumption| resumption.state.as_deref());
    state.and_then(|state| serde_json::from_slice(state).ok()).unwrap_or_default()
}
