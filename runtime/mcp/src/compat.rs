//! A layer for clients that know nothing newer: MCP over a WebSocket, and the HTTP with server-sent events of 2024-11-05.
//!
//! Neither is part of the protocol today. Both speak to the same handler as `/mcp`, with the same keys and limits, and
//! point to it in their answers; nothing of them is worth having in a new client.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{poll_fn, ready},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{
        Query, State as Shared,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fumehood_dispatch::Dispatcher;
use fumehood_http::{Body, Caller, Problem};
use fumehood_model::{Code, KeyId, Principal};
use futures::{SinkExt, StreamExt, channel::mpsc, stream};
use http::{HeaderName, HeaderValue, StatusCode, header};
use rmcp::{
    ServiceExt,
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
};
use serde::Deserialize;
use serde_json::json;

use crate::{commit::KEEP_ALIVE, transport::Served};

/// Most connections of this kind at a time, of all keys and of one. Each is a connection, and takes tens of kilobytes.
const MOST: usize = 1_024;
const MOST_OF_A_KEY: usize = 256;

/// Messages that wait to be read or sent on one connection.
const WAITING: usize = 16;

/// How long a client that answers no ping is still taken to be there.
const SILENCE: Duration = Duration::from_secs(60);

/// Where a WebSocket and an event stream are opened, and where the messages of the latter go.
pub(crate) const SOCKET: &str = "/mcp_ws";
pub(crate) const STREAM: &str = "/mcp_sse";
pub(crate) const MESSAGES: &str = "/mcp_sse/messages";

/// RFC 9745: since when this is deprecated; the day on which the protocol dropped it.
const DEPRECATED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("deprecation"), HeaderValue::from_static("@1742947200"));

/// RFC 8288: what to use instead.
const SUCCESSOR: HeaderValue = HeaderValue::from_static("</mcp>; rel=\"successor-version\"");

/// Everybody who is connected in one of these ways. Cloning is cheap.
#[derive(Clone, Default)]
pub(crate) struct Connected(Arc<Mutex<Rooms>>);

#[derive(Default)]
struct Rooms {
    of_keys: HashMap<KeyId, usize>,
    /// The event streams, by their ids: whose each is, and where its messages go.
    streams: HashMap<String, (KeyId, mpsc::Sender<ClientJsonRpcMessage>)>,
}

/// A place of one connection, until it is dropped.
struct Place {
    connected: Connected,
    key: KeyId,
    stream: Option<String>,
}

impl Connected {
    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, principal: &Principal) -> Result<Place, Problem> {
        let mut rooms = self.rooms();
        let all: usize = rooms.of_keys.values().sum();
        let own = rooms.of_keys.entry(principal.key.clone()).or_default();
        if *own >= MOST_OF_A_KEY {
            return Err(Problem::new(
                Code::Busy,
                "this key has too many of these connections: use /mcp, which needs none",
            ));
        }
        if all >= MOST {
            return Err(Problem::new(Code::Unavailable, "there are too many of these connections: use /mcp"));
        }
        *own += 1;
        Ok(Place { connected: self.clone(), key: principal.key.clone(), stream: None })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut rooms = self.connected.rooms();
        if let Some(stream) = &self.stream {
            rooms.streams.remove(stream);
        }
        if let Some(own) = rooms.of_keys.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                rooms.of_keys.remove(&self.key);
            }
        }
    }
}

/// The two ends of a conversation with the handler.
struct Conversation {
    /// What the client says.
    said: mpsc::Sender<ClientJsonRpcMessage>,
    /// What it is told.
    told: mpsc::Receiver<ServerJsonRpcMessage>,
}

/// Begin a conversation of `principal`, which holds `place` and ends when either end is dropped.
fn begin(served: &Served, principal: Principal, place: Place) -> Conversation {
    let (said, heard) = mpsc::channel(WAITING);
    let (tell, told) = mpsc::channel(WAITING);
    let handler = served.handler().anew_for(principal);
    tokio::spawn(async move {
        match handler.serve((tell, heard)).await {
            // A client that goes away ends the conversation; nothing is left to report.
            Ok(running) => drop(running.waiting().await),
            Err(error) => tracing::debug!(%error, "A client did not open the conversation as the protocol asks"),
        }
        drop(place);
    });
    Conversation { said, told }
}

/// MCP over a WebSocket: one message of the protocol in each text.
pub(crate) async fn websocket(
    Shared(served): Shared<Served>,
    Caller(principal): Caller,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let place = served.connected().enter(&principal)?;
    let most = served.max_body();
    let upgrade = upgrade.protocols(["mcp"]).max_message_size(most).max_frame_size(most);
    Ok(marked(upgrade.on_upgrade(async move |socket| {
        let (door, key) = (served.door().clone(), principal.key.clone());
        let conversation = begin(&served, principal, place);
        converse(&door, &key, conversation, socket).await;
    })))
}

async fn converse(door: &Dispatcher, key: &KeyId, conversation: Conversation, socket: WebSocket) {
    let Conversation { mut said, mut told } = conversation;
    let (mut sink, mut stream) = socket.split();
    let mut pings = tokio::time::interval(KEEP_ALIVE);
    let mut heard = Instant::now();
    // What the handler has no room for yet: nothing more is read until it has.
    let mut waits = None;
    loop {
        let answer = tokio::select! {
            room = poll_fn(|cx| said.poll_ready(cx)), if waits.is_some() => {
                let Some(message) = waits.take().filter(|_| room.is_ok()) else { break };
                if said.start_send(message).is_err() {
                    break;
                }
                continue;
            }
            message = stream.next(), if waits.is_none() => {
                let Some(Ok(message)) = message else { break };
                heard = Instant::now();
                match message {
                    // A key that was revoked meanwhile says nothing more.
                    Message::Text(_) if !door.is_in_force(key) => break,
                    Message::Text(text) => match serde_json::from_str(&text) {
                        Ok(message) => {
                            waits = Some(message);
                            continue;
                        }
                        Err(error) => Message::text(unreadable(&error)),
                    },
                    Message::Close(_) => break,
                    Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => continue,
                }
            }
            message = told.next() => {
                let Some(message) = message else { break };
                Message::text(serde_json::to_string(&message).unwrap_or_default())
            }
            _ = pings.tick() => {
                // Whoever is there answers pings.
                if heard.elapsed() > SILENCE {
                    break;
                }
                Message::Ping(bytes::Bytes::new())
            }
        };
        if sink.send(answer).await.is_err() {
            break;
        }
    }
    let _ = sink.close().await;
}

/// What is said of a text that is no message.
fn unreadable(error: &serde_json::Error) -> String {
    let error = json!({ "code": -32_700, "message": format!("the message cannot be read: {error}") });
    json!({ "jsonrpc": "2.0", "id": null, "error": error }).to_string()
}

/// The event stream of 2024-11-05: first where messages go, then what the client is told.
pub(crate) async fn events(Shared(served): Shared<Served>, Caller(principal): Caller) -> Result<Response, Problem> {
    let mut place = served.connected().enter(&principal)?;
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| Problem::new(Code::Internal, "the system gave no random bytes"))?;
    let id = URL_SAFE_NO_PAD.encode(id);
    place.stream = Some(id.clone());
    let key = principal.key.clone();
    let Conversation { said, told } = begin(&served, principal, place);
    served.connected().rooms().streams.insert(id.clone(), (key, said));
    let first = Event::default().event("endpoint").data(format!("{MESSAGES}?session_id={id}"));
    let told =
        told.map(|message| Event::default().event("message").data(serde_json::to_string(&message).unwrap_or_default()));
    let gone = Gone { connected: served.connected().clone(), id };
    let events = stream::once(ready(first)).chain(told).map(move |event| {
        let _until_dropped = &gone;
        Ok::<_, Infallible>(event)
    });
    Ok(marked(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()))
}

/// Ends a conversation with its event stream.
struct Gone {
    connected: Connected,
    id: String,
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.connected.rooms().streams.remove(&self.id);
    }
}

/// Which event stream a message belongs to.
#[derive(Deserialize)]
pub(crate) struct Belonging {
    session_id: String,
}

/// A message of a client that has an event stream, on which it is answered.
pub(crate) async fn message(
    Shared(served): Shared<Served>,
    Caller(principal): Caller,
    Query(Belonging { session_id }): Query<Belonging>,
    body: Body,
) -> Result<Response, Problem> {
    let said = {
        let rooms = served.connected().rooms();
        let own = rooms.streams.get(&session_id).filter(|(key, _)| *key == principal.key);
        own.map(|(_, said)| said.clone())
    };
    // Whose it is, a stranger does not learn.
    let missing = || Problem::new(Code::NotFound, format!("there is no such stream: open one with GET {STREAM}"));
    let mut said = said.ok_or_else(missing)?;
    let message = serde_json::from_slice(&body.0)
        .map_err(|error| Problem::new(Code::Malformed, format!("the message cannot be read: {error}")))?;
    said.send(message).await.map_err(|_| missing())?;
    Ok(marked(StatusCode::ACCEPTED.into_response()))
}

/// An answer that says what to use instead.
fn marked(mut response: Response) -> Response {
    response.headers_mut().insert(DEPRECATED.0, DEPRECATED.1);
    response.headers_mut().insert(header::LINK, SUCCESSOR);
    response
}
