//! Tools whose calls a person must confirm: asked through the client, which shows the question to its user.
//!
//! What the door wants to see is not told to the client in the clear: it travels as sealed state, and the model that wants the
//! call done never reads it.

use fumehood_dispatch::{
    Arguments, DispatchError, Tool,
    rich::{Aside, Asks, Question, Request, Resumption},
};
use fumehood_model::Principal;
use rmcp::{ErrorData, RoleServer, service::RequestContext};
use serde_json::{Map, Value, json};

use crate::{
    handler::Handler,
    input::{Given, Step, rounds},
};

/// The name of the question.
const KEY: &str = "confirm";

/// Longest part of the arguments that the question shows, in characters.
const SHOWN: usize = 600;

/// What a person has said.
pub(crate) enum Said {
    /// Yes; with what the door wants to see, unless the tool had begun before.
    Yes(Option<String>),
    /// No, or nobody could be asked.
    No(String),
}

impl Handler {
    /// Have a call confirmed. What is `given` is taken if it answers that.
    pub(crate) async fn confirmed(
        &self,
        principal: &Principal,
        tool: &Tool,
        arguments: &Value,
        given: &mut Given,
        context: &RequestContext<RoleServer>,
    ) -> Result<Step<Result<Said, DispatchError>>, ErrorData> {
        let door = &self.dispatcher;
        let call = format!("confirm {} {} {arguments}", tool.name, tool.digest_text);
        let answers = given.state.as_deref().map(|state| door.unseal(principal, &call, state).is_some());
        if answers == Some(false) && tool.rich.is_some() {
            // It answers what the tool itself has asked, which is looked at where that goes on.
            return Ok(Step::Done(Ok(Said::Yes(None))));
        }
        // Answers to what nobody has asked are none.
        let given = if answers == Some(true) { std::mem::take(given) } else { Given::default() };
        let question = asks(tool, arguments);
        rounds(door, principal, Some(&call), given, context, |told| {
            let question = question.clone();
            async move {
                if let Some(Resumption { state: Some(token), responses }) = told.resumption {
                    let token = String::from_utf8(token).unwrap_or_default();
                    if agrees(&responses) {
                        return Ok(Ok(Ok(Said::Yes(Some(token)))));
                    }
                    let arguments = Arguments::Parsed(arguments.clone());
                    let declined = door.decline(principal, tool, &arguments, &token).await;
                    return Ok(Ok(declined.map(|()| Said::No("its user did not agree".to_owned()))));
                }
                let arguments = Arguments::Parsed(arguments.clone());
                match door.ask_to_confirm(principal, tool, &arguments, told.client.elicitation_form).await {
                    Ok(()) => Ok(Ok(Ok(Said::Yes(None)))),
                    Err(DispatchError::Unconfirmed { token: Some(token), .. }) => {
                        let state = Some(token.into_bytes());
                        Ok(Err(Aside::Asks(Asks { requests: vec![question], state })))
                    }
                    Err(DispatchError::Unconfirmed { id, token: None, .. }) => {
                        let why = match told.client.elicitation_form {
                            true => "here only an administrator can",
                            false => "this client cannot ask its user",
                        };
                        let next = "an administrator of this server can confirm it";
                        Ok(Ok(Ok(Said::No(format!(
                            "{why}: {next}, as confirmation {id}; then make the same call again"
                        )))))
                    }
                    Err(error) => Ok(Ok(Err(error))),
                }
            }
        })
        .await
    }
}

fn asks(tool: &Tool, arguments: &Value) -> Request {
    let arguments = arguments.to_string();
    let shown: String = arguments.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    let more = if arguments.chars().nth(SHOWN).is_some() { " …" } else { "" };
    let message = format!("Run {} with {}{more}?", tool.name, shown.replace("\\\"", "\""));
    let schema = json!({
        "type": "object",
        "properties": { "confirm": { "type": "boolean", "title": "Run it", "description": "Nothing is done without this." } },
        "required": ["confirm"],
    });
    let Value::Object(schema) = schema else { unreachable!("it is written as an object") };
    Request { key: KEY.to_owned(), question: Question::Form { message, schema } }
}

/// Whether the answer to the question is yes.
fn agrees(responses: &[(String, Value)]) -> bool {
    let answer = responses.iter().find(|(key, _)| key == KEY).map(|(_, answer)| answer);
    let nothing = Value::Object(Map::new());
    let answer = answer.unwrap_or(&nothing);
    answer["action"] == "accept" && answer["content"]["confirm"] == true
}
