//! Calls that need no conversation: answered where they arrive.
//!
//! rmcp starts a service of its own for every request that comes outside of a session: tasks, channels, a copy of the message as
//! a tree. A call that is answered once, hears nothing on the way and cannot ask needs none of it. Such calls are told here by
//! what they do *not* have; whatever is in doubt, wrong or unknown is left to rmcp, which knows every rule and how to
//! refuse. So both ways answer alike, and this one never says no.

use std::{borrow::Cow, sync::Arc};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fumehood_dispatch::{Arguments, Dispatcher, Mode, Terms, Tool, Via};
use fumehood_model::Principal;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use rmcp::model::{
    CallToolResult, ClientCapabilities, JsonRpcError, JsonRpcResponse, JsonRpcVersion2_0, ProtocolVersion, RequestId,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{convert, handler::Handler, listing::List, transport::PROTOCOL_VERSION};

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CALL: &str = "tools/call";

/// A call that can be answered here.
pub(crate) struct Direct {
    id: RequestId,
    principal: Principal,
    tool: Arc<Tool>,
    arguments: Arguments,
    /// Of the era in which results tell their kind.
    is_modern: bool,
}

/// A message that may be such a call. What has members beside these is not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<'a> {
    #[serde(rename = "jsonrpc")]
    _jsonrpc: JsonRpcVersion2_0,
    id: RequestId,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta", default)]
    meta: Meta<'a>,
}

/// What matters here of what a client says beside its request.
#[derive(Deserialize, Default)]
struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<Cow<'a, str>>,
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Option<ClientCapabilities>,
    #[serde(rename = "io.modelcontextprotocol/logLevel")]
    log_level: Option<IgnoredAny>,
    #[serde(rename = "progressToken")]
    progress: Option<IgnoredAny>,
}

impl Direct {
    /// The call in `message`, if it is one that can be answered here. `parts` are of a request that enters no session.
    pub(crate) fn of(handler: &Handler, parts: &Parts, message: &Bytes) -> Option<Self> {
        let headers = &parts.headers;
        if parts.method != Method::POST || !speaks_json(headers) {
            return None;
        }
        let Message { id, method, params, .. } = read(message)?;
        let Params { name, arguments, meta } = params;
        if method != CALL || meta.log_level.is_some() || meta.progress.is_some() || !agrees(headers, &name, &meta) {
            return None;
        }
        let arguments = match arguments {
            None => Bytes::from_static(b"{}"),
            // What is no object is refused in the words of the protocol.
            Some(given) if given.get().starts_with('{') => message.slice_ref(given.get().as_bytes()),
            Some(_) => return None,
        };
        let (principal, profile) = (Handler::sender(parts)?, handler.profile_of(parts).ok()?);
        if profile.may_shape() || profile.list != List::Full {
            return None;
        }
        let catalogue = handler.catalogue(principal).ok()?;
        let tool = profile.tool(&catalogue, &name)?;
        let is_settled = profile.told(tool).is_some_and(|told| !told.arguments.is_empty());
        let waits = !is_settled
            && tool.rich.is_none()
            && !tool.requires_confirmation
            && handler.dispatcher.mode(tool) == Mode::Direct;
        let (principal, arguments) = (principal.clone(), Arguments::Text(arguments));
        let is_modern = meta.version.is_some();
        waits.then(|| Self { id, principal, tool: Arc::clone(tool), arguments, is_modern })
    }

    /// Make the call.
    ///
    /// # Cancellation
    ///
    /// Dropping the future stops the guest.
    pub(crate) async fn answer(self, door: &Dispatcher) -> Response {
        let Self { id, principal, tool, arguments, is_modern } = self;
        let terms = Terms { via: Via::Mcp, ..Terms::default() };
        let result = match door.call(&principal, &tool, arguments, terms).await {
            Ok(answer) => Ok(convert::answered(&answer, &tool)),
            Err(error) => convert::refused(&error),
        };
        match result {
            Ok(mut result) => {
                if !is_modern {
                    result.result_type = None;
                }
                json(&JsonRpcResponse::<CallToolResult> { jsonrpc: JsonRpcVersion2_0, id, result })
            }
            Err(error) => json(&JsonRpcError::new(Some(id), error)),
        }
    }
}

/// The message in `bytes`, if it may be a call that is answered here. Texts that nobody reads here must be UTF-8 too, as for rmcp.
fn read(bytes: &[u8]) -> Option<Message<'_>> {
    serde_json::from_str(std::str::from_utf8(bytes).ok()?).ok()
}

/// Whether a request brings JSON and takes what rmcp answers with. Weights and parameters are left to rmcp.
fn speaks_json(headers: &HeaderMap) -> bool {
    let takes = |kind: &str, accepted: &str| accepted.split(',').any(|entry| entry.trim() == kind);
    only(headers, &header::CONTENT_TYPE) == Some("application/json")
        && only(headers, &header::ACCEPT)
            .is_some_and(|accepted| takes("application/json", accepted) && takes("text/event-stream", accepted))
}

/// Whether the headers of a call say what its message says, as each era wants it.
fn agrees(headers: &HeaderMap, name: &str, meta: &Meta<'_>) -> bool {
    let modern = ProtocolVersion::V_2026_07_28.as_str();
    match (only(headers, &PROTOCOL_VERSION), &meta.version) {
        (Some(sent), Some(version)) => {
            sent == modern
                && version == modern
                && meta.capabilities.is_some()
                && only(headers, &METHOD) == Some(CALL)
                && only(headers, &NAME) == Some(name)
        }
        (Some(sent), None) => {
            let older =
                [&ProtocolVersion::V_2025_03_26, &ProtocolVersion::V_2025_06_18, &ProtocolVersion::V_2025_11_25];
            older.into_iter().any(|version| sent == version.as_str())
        }
        (None, _) => false,
    }
}

/// The text of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn json(message: &impl Serialize) -> Response {
    let body = serde_json::to_vec(message).unwrap_or_default();
    ([(header::CONTENT_TYPE, JSON)], body).into_response()
}

#[cfg(test)]
mod tests {
    use rmcp::model::ClientJsonRpcMessage;

    use super::*;

    #[test]
    fn what_is_not_utf_8_is_left_to_rmcp_wherever_it_stands() {
        let message = |note: &[u8]| {
            let before = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{"note":""#;
            [&before[..], note, br#""}}}"#].concat()
        };
        for (note, is_taken) in [(&b"\xc3\xa4"[..], true), (b"\xab", false), (b"\xed\xa0\x80", false)] {
            let message = message(note);
            assert_eq!(read(&message).is_some(), is_taken, "{note:?}");
            assert_eq!(serde_json::from_slice::<ClientJsonRpcMessage>(&message).is_ok(), is_taken, "{note:?}");
        }
    }
}
