//! A layer for clients that know nothing newer: MCP over a WebSocket, and the HTTP with server-sent events of 2024-11-05.
//!
//! Neither is part of the protocol today. Both speak to the same handler as `/mcp`, with the same keys and limits, and
//! point to it in their answers; nothing of them is worth having in a new client.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    future::ready,
    io,
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
use fumehood_http::{Body, Caller, Problem};
use fumehood_model::{Code, KeyId, Principal};
use futures::{SinkExt, StreamExt, sink, stream};
use http::{HeaderName, HeaderValue, StatusCode, header};
use rmcp::{
    ServiceExt,
    model::{
        ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, JsonRpcNotification, RequestId, ServerJsonRpcMessage,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

use crate::{commit::KEEP_ALIVE, transport::Served};

/// Most connections of this kind at a time, of all keys and of one. Each is a connection, and takes tens of kilobytes.
const MOST: usize = 256;
const MOST_OF_A_KEY: usize = 64;

/// Messages that wait to be read or sent on one connection.
const WAITING: usize = 4;

/// Requests of one connection whose answers it has not taken yet: each may be as large as a result.
const IN_FLIGHT: usize = 16;

/// How often it is looked whether the key of a connection is still in force.
const LOOK: Duration = Duration::from_secs(1);

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
    streams: HashMap<String, (KeyId, Said)>,
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
        if rooms.of_keys.get(&principal.key).is_some_and(|own| *own >= MOST_OF_A_KEY) {
            return Err(Problem::new(
                Code::Busy,
                "this key has too many of these connections: use /mcp, which needs none",
            ));
        }
        if all >= MOST {
            return Err(Problem::new(Code::Unavailable, "there are too many of these connections: use /mcp"));
        }
        *rooms.of_keys.entry(principal.key.clone()).or_default() += 1;
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
    said: Said,
    told: Told,
}

/// What the client says. Cloning is cheap.
#[derive(Clone)]
struct Said {
    to: mpsc::Sender<ClientJsonRpcMessage>,
    in_flight: InFlight,
}

/// What the client is told.
struct Told {
    from: mpsc::Receiver<ServerJsonRpcMessage>,
    in_flight: InFlight,
}

/// The requests whose answers were not taken yet.
type InFlight = Arc<Mutex<HashSet<RequestId>>>;

/// Why a message is not taken.
enum Refused {
    /// Too many answers were not taken yet.
    TooMany,
    /// The conversation is over.
    Over,
}

impl Said {
    async fn say(&self, message: ClientJsonRpcMessage) -> Result<(), Refused> {
        {
            let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
            match &message {
                JsonRpcMessage::Request(request) => {
                    if in_flight.len() >= IN_FLIGHT {
                        return Err(Refused::TooMany);
                    }
                    in_flight.insert(request.id.clone());
                }
                // What was given up is not answered.
                JsonRpcMessage::Notification(JsonRpcNotification {
                    notification: ClientNotification::CancelledNotification(cancelled),
                    ..
                }) => drop(cancelled.params.request_id.as_ref().map(|id| in_flight.remove(id))),
                _ => {}
            }
        }
        self.to.send(message).await.map_err(|_| Refused::Over)
    }
}

impl Told {
    async fn next(&mut self) -> Option<String> {
        let message = self.from.recv().await?;
        let id = match &message {
            JsonRpcMessage::Response(response) => Some(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            _ => None,
        };
        if let Some(id) = id {
            self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        }
        serde_json::to_string(&message).ok()
    }
}

/// Begin a conversation of `principal`, which holds `place` and ends when either end is dropped, or the key is revoked.
fn begin(served: &Served, principal: Principal, place: Place) -> Conversation {
    let (to, mut heard) = mpsc::channel(WAITING);
    let (tell, from) = mpsc::channel(WAITING);
    let (door, key) = (served.door().clone(), principal.key.clone());
    let handler = served.handler().anew_for(principal);
    tokio::spawn(async move {
        let heard = stream::poll_fn(move |cx| heard.poll_recv(cx));
        let tell = sink::unfold(tell, |tell: mpsc::Sender<_>, message| async move {
            tell.send(message).await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            Ok::<_, io::Error>(tell)
        });
        let revoked = async {
            while door.is_in_force(&key) {
                tokio::time::sleep(LOOK).await;
            }
        };
        let conversation = async {
            match handler.serve((Box::pin(tell), heard)).await {
                // A client that goes away ends the conversation; nothing is left to report.
                Ok(running) => drop(running.waiting().await),
                Err(error) => tracing::debug!(%error, "A client did not open the conversation as the protocol asks"),
            }
        };
        tokio::select! {
            () = conversation => {}
            () = revoked => {}
        }
        drop(place);
    });
    let in_flight = InFlight::default();
    Conversation { said: Said { to, in_flight: Arc::clone(&in_flight) }, told: Told { from, in_flight } }
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
        let conversation = begin(&served, principal, place);
        converse(conversation, socket).await;
    })))
}

async fn converse(Conversation { said, mut told }: Conversation, socket: WebSocket) {
    let (mut sink, mut stream) = socket.split();
    let mut pings = tokio::time::interval(KEEP_ALIVE);
    let mut heard = Instant::now();
    loop {
        let answer = tokio::select! {
            message = stream.next() => {
                let Some(Ok(message)) = message else { break };
                heard = Instant::now();
                match message {
                    Message::Text(text) => match taken(&said, &text).await {
                        Ok(None) => continue,
                        Ok(Some(refusal)) => Message::text(refusal),
                        Err(Over) => break,
                    },
                    Message::Close(_) => break,
                    Message::Binary(_) => Message::text(failure(None, -32_600, "messages are texts")),
                    Message::Ping(_) | Message::Pong(_) => continue,
                }
            }
            message = told.next() => {
                let Some(message) = message else { break };
                Message::text(message)
            }
            _ = pings.tick() => {
                // Whoever is there answers pings.
                if heard.elapsed() > SILENCE {
                    break;
                }
                Message::Ping(bytes::Bytes::new())
            }
        };
        // Whoever reads nothing is not there either.
        if !matches!(timeout(SILENCE, sink.send(answer)).await, Ok(Ok(()))) {
            break;
        }
    }
    let _ = timeout(LOOK, sink.close()).await;
}

/// The conversation is over.
struct Over;

/// Pass a text on; what is said of one that is not.
async fn taken(said: &Said, text: &str) -> Result<Option<String>, Over> {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => return Ok(Some(failure(None, -32_700, &format!("the message cannot be read: {error}")))),
    };
    let id = value.get("id").cloned();
    let id = id.as_ref();
    let Ok(message) = serde_json::from_value(value) else {
        return Ok(Some(failure(id, -32_600, "this is no message of the protocol")));
    };
    match said.say(message).await {
        Ok(()) => Ok(None),
        Err(Refused::Over) => Err(Over),
        Err(Refused::TooMany) => Ok(Some(failure(id, -32_000, TOO_MANY))),
    }
}

/// What is said to whoever asks and takes no answers.
const TOO_MANY: &str = "too many requests of this connection wait for their answers to be taken";

fn failure(id: Option<&Value>, code: i32, message: &str) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }).to_string()
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
    let told = stream::unfold(told, async |mut told: Told| Some((told.next().await?, told)));
    let told = told.map(|message| Event::default().event("message").data(message));
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
    let said = said.ok_or_else(missing)?;
    let message = serde_json::from_slice(&body.0)
        .map_err(|error| Problem::new(Code::Malformed, format!("the message cannot be read: {error}")))?;
    said.say(message).await.map_err(|refused| match refused {
        Refused::Over => missing(),
        Refused::TooMany => Problem::new(Code::Busy, TOO_MANY),
    })?;
    Ok(marked(StatusCode::ACCEPTED.into_response()))
}

/// An answer that says what to use instead.
fn marked(mut response: Response) -> Response {
    response.headers_mut().insert(DEPRECATED.0, DEPRECATED.1);
    response.headers_mut().insert(header::LINK, SUCCESSOR);
    response
}
