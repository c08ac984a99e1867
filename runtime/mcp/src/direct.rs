//! Calls and lists of tools that need no conversation: answered where they arrive.
//!
//! rmcp starts a service of its own for every request that comes outside of a session: tasks, channels, a copy of the message as
//! a tree. What is answered once, hears nothing on the way and cannot ask needs none of it. Such requests are told here by
//! what they do *not* have; whatever is in doubt, wrong or unknown is left to rmcp, which knows every rule and how to
//! refuse. So both ways answer alike, and this one never says no.

use std::{borrow::Cow, convert::Infallible, fmt, marker::PhantomData, sync::Arc};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use fumehood_dispatch::{Arguments, Dispatcher, Mode, Terms, Tool, Via};
use fumehood_model::Principal;
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use rmcp::model::{
    CallToolResult, ClientCapabilities, JsonRpcError, JsonRpcResponse, JsonRpcVersion2_0, ProtocolVersion, RequestId,
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

use crate::{
    convert,
    handler::Handler,
    listing::List,
    page,
    transport::{PROTOCOL_VERSION, ProfileName},
};

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CALL: &str = "tools/call";
const LIST: &str = "tools/list";

/// A request that can be answered here.
pub(crate) struct Direct {
    id: RequestId,
    /// Of the era in which results tell their kind.
    is_modern: bool,
    what: What,
}

#[expect(clippy::large_enum_variant, reason = "calls are the common case, and none is to cost another allocation")]
enum What {
    Call(Call),
    /// A list of tools, as it is answered but for its kind.
    List(Bytes),
}

struct Call {
    principal: Principal,
    tool: Arc<Tool>,
    arguments: Arguments,
}

/// A message that may be such a request. What has members beside these is not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Message<'a> {
    #[serde(rename = "jsonrpc")]
    _jsonrpc: JsonRpcVersion2_0,
    id: RequestId,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Object<Params<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Params<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    cursor: Option<Text<'a>>,
    #[serde(borrow, rename = "_meta", default)]
    meta: Object<Meta<'a>>,
}

/// What is written as an object: serde takes a list of the values of a struct for it too, and rmcp does not.
#[derive(Default)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// A text that is borrowed where it can be: of an optional one serde does not see that by itself.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What a message asks for.
pub(crate) enum Asked<'a> {
    Call { name: Cow<'a, str>, arguments: Option<&'a RawValue> },
    List { cursor: Option<Cow<'a, str>> },
}

/// What matters here of what a client says beside its request.
#[derive(Deserialize, Default)]
struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<Text<'a>>,
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Option<ClientCapabilities>,
    #[serde(rename = "io.modelcontextprotocol/logLevel")]
    log_level: Option<IgnoredAny>,
    #[serde(rename = "progressToken")]
    progress: Option<IgnoredAny>,
}

impl<'a> Message<'a> {
    /// Its id, its method and what it asks for, if that can be answered here.
    pub(crate) fn asked(self) -> Option<(RequestId, Cow<'a, str>, Asked<'a>)> {
        let Object(Params { name, arguments, cursor, meta: Object(meta) }) = self.params;
        if meta.log_level.is_some() || meta.progress.is_some() {
            return None;
        }
        let asked = match (&*self.method, name, arguments, cursor) {
            (CALL, Some(Text(name)), arguments, None) => Asked::Call { name, arguments },
            (LIST, None, None, cursor) => Asked::List { cursor: cursor.map(|Text(cursor)| cursor) },
            _ => return None,
        };
        Some((self.id, self.method, asked))
    }
}

impl Direct {
    /// The request in `message`, if it is one that can be answered here. `parts` are of one that enters no session.
    pub(crate) fn of(handler: &Handler, parts: &Parts, message: &Bytes) -> Option<Self> {
        let headers = &parts.headers;
        if parts.method != Method::POST || !speaks_json(headers) {
            return None;
        }
        let read = read(message)?;
        let is_modern = read.params.0.meta.0.version.is_some();
        if !agrees(headers, &read) {
            return None;
        }
        let (id, _, asked) = read.asked()?;
        let what = match asked {
            Asked::Call { name, arguments } => call(handler, parts, &name, arguments, message).map(What::Call),
            Asked::List { cursor } => list(handler, parts, cursor.as_deref()).map(What::List),
        }?;
        Some(Self { id, is_modern, what })
    }

    /// Make the call, if it is one.
    ///
    /// # Cancellation
    ///
    /// Dropping the future stops the guest.
    pub(crate) async fn answer(self, door: &Dispatcher) -> Response {
        let Self { id, is_modern, what } = self;
        let Call { principal, tool, arguments } = match what {
            What::Call(call) => call,
            What::List(list) => return listed(&id, is_modern, &list),
        };
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

fn call(handler: &Handler, parts: &Parts, name: &str, arguments: Option<&RawValue>, message: &Bytes) -> Option<Call> {
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
    let tool = profile.tool(&catalogue, name)?;
    let is_settled = profile.told(tool).is_some_and(|told| !told.arguments.is_empty());
    let waits = !is_settled
        && tool.rich.is_none()
        && !tool.requires_confirmation
        && handler.dispatcher.mode(tool) == Mode::Direct;
    let (principal, arguments) = (principal.clone(), Arguments::Text(arguments));
    waits.then(|| Call { principal, tool: Arc::clone(tool), arguments })
}

fn list(handler: &Handler, parts: &Parts, cursor: Option<&str>) -> Option<Bytes> {
    let (principal, profile) = (Handler::sender(parts)?, handler.profile_of(parts).ok()?);
    let name = parts.extensions.get().map_or("", |ProfileName(name)| name);
    let start = cursor.map_or(Some(String::new()), page::name)?;
    handler.pages.get(profile, name, &handler.catalogue(principal).ok()?, &start)
}

/// A list as the answer of the request `id`. It is sent from where it was written: not even copied.
fn listed(id: &RequestId, is_modern: bool, list: &Bytes) -> Response {
    let id = serde_json::to_string(id).unwrap_or_default();
    let kind = if is_modern { r#""resultType":"complete","# } else { "" };
    let head = Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{{kind}"#));
    // Its own brace has been opened.
    let chunks = [head, list.slice(1..), Bytes::from_static(b"}")];
    let length = chunks.iter().map(Bytes::len).sum::<usize>();
    let headers = [(header::CONTENT_TYPE, JSON), (header::CONTENT_LENGTH, length.into())];
    (headers, Body::from_stream(stream::iter(chunks.map(Ok::<_, Infallible>)))).into_response()
}

/// The message in `bytes`, if it may be a request that is answered here. Texts that nobody reads here must be UTF-8 too, as for rmcp.
pub(crate) fn read(bytes: &[u8]) -> Option<Message<'_>> {
    serde_json::from_str::<Object<_>>(std::str::from_utf8(bytes).ok()?).ok().map(|Object(message)| message)
}

/// Whether a request brings JSON and takes what rmcp answers with. Weights and parameters are left to rmcp.
fn speaks_json(headers: &HeaderMap) -> bool {
    let takes = |kind: &str, accepted: &str| accepted.split(',').any(|entry| entry.trim() == kind);
    only(headers, &header::CONTENT_TYPE) == Some("application/json")
        && only(headers, &header::ACCEPT)
            .is_some_and(|accepted| takes("application/json", accepted) && takes("text/event-stream", accepted))
}

/// Whether the headers of a request say what its message says, as each era wants it.
fn agrees(headers: &HeaderMap, message: &Message<'_>) -> bool {
    let Object(Params { name, meta: Object(meta), .. }) = &message.params;
    let modern = ProtocolVersion::V_2026_07_28.as_str();
    let names = match name {
        Some(Text(name)) => only(headers, &NAME) == Some(name),
        None => !headers.contains_key(NAME),
    };
    match (only(headers, &PROTOCOL_VERSION), &meta.version) {
        (Some(sent), Some(Text(version))) => {
            sent == modern
                && version == modern
                && meta.capabilities.is_some()
                && only(headers, &METHOD) == Some(&message.method)
                && names
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
    fn lists_in_the_place_of_objects_are_left_to_rmcp() {
        for message in [
            r#"["2.0",1,"tools/call",["a",{"a":1},null,{}]]"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[null,null,null]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":["2026-07-28",{},null,null]}}"#,
        ] {
            assert!(read(message.as_bytes()).is_none(), "{message}");
            assert!(serde_json::from_str::<ClientJsonRpcMessage>(message).is_err(), "{message}");
        }
    }

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
