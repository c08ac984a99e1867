use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::{Answer, Client};

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// A client of the MCP endpoint, in one of the two eras.
#[derive(Debug)]
pub struct Mcp {
    client: Client,
    /// The session of the handshake eras.
    session: Option<String>,
    /// What the client says that it can do, where there is no handshake in which to say it.
    capabilities: Value,
    /// Which address of the server it uses.
    path: String,
    next: AtomicU64,
}

impl Mcp {
    /// A client that shakes hands and keeps a session.
    ///
    /// # Panics
    ///
    /// When the server does not.
    #[must_use]
    pub fn legacy(client: &Client) -> Self {
        let mut mcp = Self::modern(client);
        let hello = json!({
            "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "fumehood-tests", "version": "0" },
        });
        let message = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello });
        let answer = mcp.post(&[], &message);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(reply(&answer)["result"]["protocolVersion"], LEGACY);
        mcp.session = Some(answer.header("mcp-session-id").expect("the server opens a session").to_owned());
        let answer = mcp.post(&[], &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        assert_eq!(answer.status, 202, "{}", answer.text());
        mcp
    }

    /// A client without sessions.
    #[must_use]
    pub fn modern(client: &Client) -> Self {
        Self {
            client: client.clone(),
            session: None,
            capabilities: json!({}),
            path: "/mcp".to_owned(),
            next: AtomicU64::new(1),
        }
    }

    /// Its session, if it keeps one.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The same at another address.
    #[must_use]
    pub fn at(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// The same after its server was started again, with its session.
    #[must_use]
    pub fn of(self, client: &Client) -> Self {
        Self { client: client.clone(), ..self }
    }

    /// The same with other abilities.
    #[must_use]
    pub fn able(self, capabilities: Value) -> Self {
        Self { capabilities, ..self }
    }

    /// A client without sessions that knows tasks.
    #[must_use]
    pub fn with_tasks(client: &Client) -> Self {
        let capabilities = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
        Self { capabilities, ..Self::modern(client) }
    }

    /// Send a request and give its whole answer.
    #[must_use]
    pub fn send(&self, method: &str, mut params: Value) -> Answer {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let named = ["name", "taskId", "uri"].into_iter().find_map(|name| params[name].as_str());
        let name = named.map(str::to_owned);
        let mut headers = Vec::new();
        if self.session.is_none() {
            let meta = &mut params["_meta"];
            meta["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
            meta["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
            meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": "fumehood-tests", "version": "0" });
            headers.push(("mcp-method", method));
            headers.extend(name.as_deref().map(|name| ("mcp-name", name)));
        }
        self.post(&headers, &json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
    }

    /// The result of a request.
    ///
    /// # Panics
    ///
    /// When it was answered with an error of the protocol.
    #[must_use]
    pub fn request(&self, method: &str, params: Value) -> Value {
        let answer = self.send(method, params);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let reply = reply(&answer);
        assert!(reply.get("result").is_some(), "{reply}");
        reply["result"].clone()
    }

    /// The error of the protocol with which a request is answered.
    ///
    /// # Panics
    ///
    /// When it is answered with a result.
    #[must_use]
    pub fn refused(&self, method: &str, params: Value) -> Value {
        let reply = reply(&self.send(method, params));
        assert!(reply.get("error").is_some(), "{reply}");
        reply["error"].clone()
    }

    /// Call a tool.
    #[must_use]
    pub fn call(&self, tool: &str, arguments: &Value) -> Value {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// All tools, page by page.
    ///
    /// # Panics
    ///
    /// When the pages do not end.
    #[must_use]
    pub fn tools(&self) -> Vec<Value> {
        let mut tools = Vec::new();
        let mut params = json!({});
        for _ in 0..100 {
            let mut page = self.request("tools/list", params);
            tools.append(page["tools"].as_array_mut().expect("a list of tools"));
            match page["nextCursor"].as_str() {
                Some(cursor) => params = json!({ "cursor": cursor }),
                None => return tools,
            }
        }
        panic!("the pages of tools do not end");
    }

    fn post(&self, extra: &[(&str, &str)], message: &Value) -> Answer {
        let version = if message["method"] == "initialize" || self.session.is_some() { LEGACY } else { MODERN };
        let mut headers = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", version),
        ];
        headers.extend(self.session.as_deref().map(|session| ("mcp-session-id", session)));
        headers.extend(extra);
        self.client.send("POST", &self.path, &headers, message.to_string().as_bytes())
    }
}

/// The message in an answer, which may come as JSON or as a stream of events.
fn reply(answer: &Answer) -> Value {
    if answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        return answer.json();
    }
    let text = answer.text();
    let events = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    let messages = events.filter_map(|event| serde_json::from_str::<Value>(event).ok());
    messages.into_iter().find(|message| message.get("id").is_some()).unwrap_or_else(|| panic!("no reply in {text}"))
}
