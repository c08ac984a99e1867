//! The requests, as the bytes that go over the wire, and the answers they must get.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::client::Response;

/// The arguments of every call of `add`.
const ADDENDS: &str = r#"{"a":2,"b":40}"#;
/// The body of every answer to `add` over REST.
const SUM: &[u8] = b"42";
/// What every answer to `add` over MCP contains.
const STRUCTURED_SUM: &[u8] = br#""structuredContent":{"result":42}"#;

/// A revision of the Model Context Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2026-07-28: each request stands alone and its headers repeat what it is about.
    Modern,
    /// 2025-11-25, without a session.
    Legacy,
}

/// A request to repeat, and what must come back.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The server.
    pub(crate) address: SocketAddr,
    /// The request.
    pub(crate) request: Vec<u8>,
    /// What every response must say.
    pub(crate) expected: Expected,
}

/// What a response must say.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// The body is exactly this.
    Exactly(&'static [u8]),
    /// The body contains this.
    Containing(&'static [u8]),
}

impl Expected {
    /// Check one response.
    pub(crate) fn check(self, response: &Response<'_>) -> Result<()> {
        let fits = match self {
            Self::Exactly(bytes) => *response.body == *bytes,
            Self::Containing(bytes) => response.body.windows(bytes.len()).any(|window| window == bytes),
        };
        ensure!(response.status == 200 && fits, "expected status 200 and {self}, got {response}");
        Ok(())
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Exactly(bytes) | Self::Containing(bytes)) = self;
        formatter.write_str(&String::from_utf8_lossy(bytes))
    }
}

/// Checks the responses of one connection.
///
/// A body that was found right is remembered, because most of those that follow are the same and comparing is cheaper
/// than searching.
#[derive(Debug)]
pub(crate) struct Checker {
    expected: Expected,
    seen: Vec<u8>,
}

impl Checker {
    /// A checker that has seen nothing yet.
    pub(crate) fn new(expected: Expected) -> Self {
        Self { expected, seen: Vec::new() }
    }

    /// Check one response.
    pub(crate) fn check(&mut self, response: &Response<'_>) -> Result<()> {
        if response.status == 200 && !self.seen.is_empty() && *response.body == *self.seen {
            return Ok(());
        }
        self.expected.check(response)?;
        self.seen.clear();
        self.seen.extend_from_slice(&response.body);
        Ok(())
    }
}

/// A call of the baseline's `add` over REST.
pub(crate) fn add_over_axum(address: SocketAddr) -> Target {
    let request = post(address, "/add", None, &[], ADDENDS);
    Target { address, request, expected: Expected::Exactly(SUM) }
}

/// A call of a module's `add` over REST.
pub(crate) fn add_over_rest(address: SocketAddr, key: &str, module: &str) -> Target {
    let request = call(address, key, module, "add", ADDENDS);
    Target { address, request, expected: Expected::Exactly(SUM) }
}

/// A call of an adding tool over MCP.
pub(crate) fn add_over_mcp(address: SocketAddr, key: Option<&str>, tool: &str, era: Era) -> Target {
    let mut params = json!({ "name": tool, "arguments": { "a": 2, "b": 40 } });
    let mut headers = vec![("Accept", "application/json, text/event-stream")];
    match era {
        Era::Modern => {
            params["_meta"] = modern_meta();
            headers.push(("MCP-Protocol-Version", "2026-07-28"));
            headers.push(("Mcp-Method", "tools/call"));
            headers.push(("Mcp-Name", tool));
        }
        Era::Legacy => headers.push(("MCP-Protocol-Version", "2025-11-25")),
    }
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let request = post(address, "/mcp", key, &headers, &message.to_string());
    Target { address, request, expected: Expected::Containing(STRUCTURED_SUM) }
}

/// What a request says about its client: there was no handshake in which to say it.
fn modern_meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "fumehood-bench", "version": env!("CARGO_PKG_VERSION") },
    })
}

/// One page of the tools over MCP.
pub(crate) fn tools_over_mcp(address: SocketAddr, key: Option<&str>, cursor: Option<&str>) -> Vec<u8> {
    let mut params = json!({ "_meta": modern_meta() });
    if let Some(cursor) = cursor {
        params["cursor"] = cursor.into();
    }
    over_mcp(address, key, "tools/list", &params)
}

/// A client that wants to hear when tools change.
pub(crate) fn listen_over_mcp(address: SocketAddr, key: &str) -> Vec<u8> {
    let params = json!({ "notifications": { "toolsListChanged": true }, "_meta": modern_meta() });
    over_mcp(address, Some(key), "subscriptions/listen", &params)
}

fn over_mcp(address: SocketAddr, key: Option<&str>, method: &str, params: &Value) -> Vec<u8> {
    let headers = [
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", method),
    ];
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    post(address, "/mcp", key, &headers, &message.to_string())
}

/// A call of any function over REST.
pub(crate) fn call(address: SocketAddr, key: &str, module: &str, function: &str, arguments: &str) -> Vec<u8> {
    post(address, &format!("/api/{module}/{function}"), Some(key), &[], arguments)
}

/// A call of any function, with headers that set its bounds.
pub(crate) fn bounded_call(
    address: SocketAddr,
    key: &str,
    module: &str,
    function: &str,
    arguments: &str,
    bounds: &[(&str, &str)],
) -> Vec<u8> {
    post(address, &format!("/api/{module}/{function}"), Some(key), bounds, arguments)
}

/// A new key that may call.
pub(crate) fn new_key(address: SocketAddr, key: &str, name: &str) -> Vec<u8> {
    let body = json!({ "name": name, "roles": ["call"] });
    post(address, "/api/v1/keys", Some(key), &[], &body.to_string())
}

/// An upload of a component.
pub(crate) fn upload(address: SocketAddr, key: &str, module: &str, component: &[u8]) -> Vec<u8> {
    let mut request = head("PUT", &format!("/api/v1/modules/{module}"), address, Some(key));
    request.push_str("Content-Type: application/wasm\r\n");
    finish(request, component)
}

/// What is at a path.
pub(crate) fn get(address: SocketAddr, path: &str, key: &str) -> Vec<u8> {
    finish(head("GET", path, address, Some(key)), b"")
}

/// The question whether the server is ready.
pub(crate) fn ready(address: SocketAddr) -> Vec<u8> {
    finish(head("GET", "/api/v1/health/ready", address, None), b"")
}

/// A document that is sent to any path.
pub(crate) fn post(
    address: SocketAddr,
    path: &str,
    key: Option<&str>,
    headers: &[(&str, &str)],
    body: &str,
) -> Vec<u8> {
    let mut request = head("POST", path, address, key);
    request.push_str("Content-Type: application/json\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    finish(request, body.as_bytes())
}

fn head(method: &str, path: &str, address: SocketAddr, key: Option<&str>) -> String {
    let authorization = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}")
}

fn finish(mut head: String, body: &[u8]) -> Vec<u8> {
    // RFC 9110 §8.6: a request without content, by a method that expects none, tells no length.
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn response(status: u16, body: &str) -> Response<'_> {
        Response { status, head: b"", body: Cow::Borrowed(body.as_bytes()) }
    }

    #[test]
    fn only_the_expected_answer_passes() {
        let mut checker = Checker::new(Expected::Exactly(SUM));

        assert!(checker.check(&response(200, "")).is_err());
        assert!(checker.check(&response(200, "42")).is_ok());
        assert!(checker.check(&response(200, "43")).is_err());
        assert!(checker.check(&response(500, "42")).is_err());
    }

    #[test]
    fn the_structured_answer_is_found_inside_a_message() {
        let mut checker = Checker::new(Expected::Containing(STRUCTURED_SUM));

        assert!(checker.check(&response(200, r#"{"id":1,"structuredContent":{"result":42}}"#)).is_ok());
        assert!(checker.check(&response(200, r#"{"id":2,"structuredContent":{"result":42}}"#)).is_ok());
        assert!(checker.check(&response(200, r#"{"id":3,"structuredContent":{"result":421}}"#)).is_err());
    }
}
