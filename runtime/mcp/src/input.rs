//! What guests ask of clients, in the way of each era.
//!
//! Since 2026-07-28 the question is the answer: the client comes back with the same request, what came of the question, and
//! what the guest wanted to remember, sealed. Before, the server asked the client while its request was open.

use std::{future::Future, time::Duration};

use fumehood_dispatch::{
    Dispatcher,
    rich::{Aside, Asks, CallContext, Capabilities, Question, Request, Resumption, Trace},
};
use fumehood_model::Principal;
use rmcp::{
    ErrorData, Peer, RoleServer,
    model::{
        ClientCapabilities, CreateMessageRequestParams, ElicitRequestParams, InputRequest, InputRequests,
        InputRequiredResult, InputResponses, ProtocolVersion,
    },
    service::RequestContext,
};
use serde_json::{Value, json};
use tokio::time::timeout;

/// How long a client of the older eras may take to answer, while its call is open.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often the guest of one request may ask.
const MOST_ROUNDS: usize = 10;

/// What a client brings back.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) responses: Option<InputResponses>,
    pub(crate) state: Option<String>,
}

/// How a request ends.
pub(crate) enum Step<T> {
    Done(T),
    Asks(InputRequiredResult),
}

/// Do `attempt` until it does not ask any more, or the client must come back. `call` tells one call from every other, where it
/// can ask at all.
pub(crate) async fn rounds<T, Attempted>(
    door: &Dispatcher,
    principal: &Principal,
    call: Option<&str>,
    given: Given,
    context: &RequestContext<RoleServer>,
    mut attempt: impl FnMut(CallContext) -> Attempted,
) -> Result<Step<T>, ErrorData>
where
    Attempted: Future<Output = Result<Result<T, Aside>, ErrorData>>,
{
    let mut told = CallContext::default();
    if let Some(call) = call {
        told = CallContext { client: capabilities(context), trace: trace(context), resumption: None };
        told.resumption = resumption(door, principal, call, given)?;
    }
    for _ in 0..MOST_ROUNDS {
        let client = told.client;
        let asks = match attempt(told.clone()).await? {
            Ok(done) => return Ok(Step::Done(done)),
            Err(Aside::Asks(asks)) => asks,
            Err(Aside::Lacks(question)) => return Err(lacking(&question)),
            Err(Aside::Failed(text)) => return Err(ErrorData::internal_error(text, None)),
            Err(Aside::Refused(text)) => return Err(ErrorData::invalid_params(text, None)),
        };
        if let Some(request) = asks.requests.iter().find(|request| !can(client, &request.question)) {
            return Err(lacking(&request.question));
        }
        if is_modern(context) {
            let sealed =
                asks.state.as_deref().map(|state| door.seal(principal, call.unwrap_or_default(), state)).transpose();
            let sealed = sealed.map_err(|_| ErrorData::internal_error("the server failed", None))?;
            let requests = asks.requests.iter().map(|request| Ok((request.key.clone(), asked(&request.question)?)));
            let requests = requests.collect::<Result<InputRequests, ErrorData>>()?;
            return Ok(Step::Asks(InputRequiredResult::new(Some(requests).filter(|all| !all.is_empty()), sealed)));
        }
        told.resumption = Some(ask(&context.peer, asks).await?);
    }
    Err(ErrorData::internal_error(format!("the tool asked more than {MOST_ROUNDS} times"), None))
}

/// Whether a request is of the era in which questions are answers.
pub(crate) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

fn resumption(
    door: &Dispatcher,
    principal: &Principal,
    call: &str,
    given: Given,
) -> Result<Option<Resumption>, ErrorData> {
    let Given { responses, state } = given;
    if responses.is_none() && state.is_none() {
        return Ok(None);
    }
    let state = match state {
        None => None,
        Some(sealed) => Some(door.unseal(principal, call, &sealed).ok_or_else(|| {
            let what = "the request state is not what this server gave out for this request, or it is too old";
            ErrorData::invalid_params(format!("{what}: make the request anew"), None)
        })?),
    };
    Ok(Some(Resumption { state, responses: responses.unwrap_or_default().into_iter().collect() }))
}

/// Ask a client of the older eras, one question after the other.
async fn ask(peer: &Peer<RoleServer>, asks: Asks) -> Result<Resumption, ErrorData> {
    let mut responses = Vec::with_capacity(asks.requests.len());
    for Request { key, question } in asks.requests {
        let late = |_| ErrorData::internal_error("nobody has answered what the tool asked", None);
        let failed = |error: rmcp::ServiceError| {
            ErrorData::internal_error(format!("the client did not answer what the tool asked: {error}"), None)
        };
        let body = match asked(&question)? {
            InputRequest::Elicitation(request) => {
                let answer = timeout(PATIENCE, peer.create_elicitation(request.params)).await.map_err(late)?;
                json_of(&answer.map_err(failed)?)
            }
            InputRequest::CreateMessage(request) => {
                let answer = timeout(PATIENCE, peer.create_message(request.params)).await.map_err(late)?;
                json_of(&answer.map_err(failed)?)
            }
            _ => json_of(&timeout(PATIENCE, peer.list_roots()).await.map_err(late)?.map_err(failed)?),
        };
        responses.push((key, body));
    }
    Ok(Resumption { state: asks.state, responses })
}

/// A question as the protocol writes it.
fn asked(question: &Question) -> Result<InputRequest, ErrorData> {
    let broken = |error: serde_json::Error| {
        ErrorData::internal_error(format!("the tool asks something that the protocol does not allow: {error}"), None)
    };
    let (_, params) = question.request();
    Ok(match question {
        Question::Form { .. } | Question::Url { .. } => {
            let params: ElicitRequestParams = serde_json::from_value(params).map_err(broken)?;
            InputRequest::Elicitation(rmcp::model::ElicitRequest::new(params))
        }
        Question::Sampling(_) => {
            let params: CreateMessageRequestParams = serde_json::from_value(params).map_err(broken)?;
            InputRequest::CreateMessage(rmcp::model::CreateMessageRequest::new(params))
        }
        Question::Roots => InputRequest::ListRoots(rmcp::model::ListRootsRequest::default()),
    })
}

/// What the client of a request says that it can do.
fn capabilities(context: &RequestContext<RoleServer>) -> Capabilities {
    let Some(client) = context.client_capabilities() else { return Capabilities::default() };
    let client = json_of(&client);
    let elicitation = &client["elicitation"];
    // A client that says no more of it than that it has it shows forms.
    let says_nothing = elicitation.as_object().is_some_and(serde_json::Map::is_empty);
    Capabilities {
        elicitation_form: says_nothing || elicitation["form"].is_object(),
        elicitation_url: elicitation["url"].is_object(),
        sampling: client["sampling"].is_object(),
        roots: client["roots"].is_object(),
    }
}

/// The trace of a request, in its `_meta` as SEP-414 has it.
fn trace(context: &RequestContext<RoleServer>) -> Trace {
    Trace::of(|name| context.meta.get(name).and_then(Value::as_str))
}

fn can(client: Capabilities, question: &Question) -> bool {
    match question {
        Question::Form { .. } => client.elicitation_form,
        Question::Url { .. } => client.elicitation_url,
        Question::Sampling(_) => client.sampling,
        Question::Roots => client.roots,
    }
}

/// What a client must be able to do for the tool to go on.
fn lacking(question: &Question) -> ErrorData {
    let required = match question {
        Question::Form { .. } => json!({ "elicitation": { "form": {} } }),
        Question::Url { .. } => json!({ "elicitation": { "url": {} } }),
        Question::Sampling(_) => json!({ "sampling": {} }),
        Question::Roots => json!({ "roots": {} }),
    };
    let required: ClientCapabilities = serde_json::from_value(required).unwrap_or_default();
    ErrorData::missing_required_client_capability(required)
}

fn json_of(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
