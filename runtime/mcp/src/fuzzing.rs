//! What the fuzz target in `runtime/mcp/fuzz` calls: there for it, by `cfg(fuzzing)`, and for tests.

use rmcp::model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage};
use serde_json::Value;

use crate::{commit::Envelope, direct, page};

/// What is read in a message that calls a tool or lists them.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// Its id.
    pub id: Value,
    /// Its method.
    pub method: String,
    /// The tool that it calls.
    pub name: Option<String>,
    /// The arguments that it calls it with.
    pub arguments: Option<Value>,
    /// After which page it asks for the next.
    pub cursor: Option<String>,
}

/// What the short way reads in `message`, if it may answer it.
///
/// # Panics
///
/// When its arguments are no JSON.
#[must_use]
pub fn short(message: &[u8]) -> Option<Request> {
    let (id, method, asked) = direct::read(message)?.asked()?;
    let (id, method) = (serde_json::to_value(id).ok()?, method.into_owned());
    Some(match asked {
        direct::Asked::Call { name, arguments } => {
            let arguments = arguments.map(|text| text.get().parse().expect("a tree has been read from the whole"));
            Request { id, method, name: Some(name.into_owned()), arguments, cursor: None }
        }
        direct::Asked::List { cursor } => {
            Request { id, method, name: None, arguments: None, cursor: cursor.map(Into::into) }
        }
    })
}

/// What rmcp reads in `message`, if it calls a tool or lists them.
#[must_use]
pub fn long(message: &[u8]) -> Option<Request> {
    let JsonRpcMessage::Request(request) = serde_json::from_slice::<ClientJsonRpcMessage>(message).ok()? else {
        return None;
    };
    let id = serde_json::to_value(request.id).ok()?;
    match request.request {
        ClientRequest::CallToolRequest(call) => {
            let arguments = call.params.arguments.map(Value::Object);
            let name = Some(call.params.name.into_owned());
            Some(Request { id, method: "tools/call".to_owned(), name, arguments, cursor: None })
        }
        ClientRequest::ListToolsRequest(list) => {
            let cursor = list.params.and_then(|params| params.cursor);
            Some(Request { id, method: "tools/list".to_owned(), name: None, arguments: None, cursor })
        }
        _ => None,
    }
}

/// The method and the id of `message`, if it is one of JSON-RPC.
#[must_use]
pub fn envelope(message: &[u8]) -> Option<(Option<String>, Option<Value>)> {
    let Envelope { method, id } = Envelope::of(message)?;
    Some((method, id.and_then(|id| serde_json::to_value(id).ok())))
}

/// The name that `cursor` was made of.
#[must_use]
pub fn cursor(cursor: &str) -> Option<String> {
    page::name(cursor)
}

/// The cursor of `name`.
#[must_use]
pub fn cursor_of(name: &str) -> String {
    page::after(name)
}
