//! What a client can read of this server before it connects: a server card, and the catalogue that points at it.
//!
//! SEP-2127, whose schema is still an experimental extension, and the AI Catalog 1.0. Both are for everyone, so they tell
//! nothing but how to connect: no tools, no modules, no profiles, nothing of the machine.

use axum::{
    Router,
    extract::{OriginalUri, State as Shared},
    response::{IntoResponse, Response},
    routing::get,
};
use fumehood_http::{Gate, Problem};
use fumehood_model::Code;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, uri::Authority};
use rmcp::model::ProtocolVersion;
use serde::Serialize;

const CARD: &str = "application/mcp-server-card+json";
const CATALOGUE: &str = "application/ai-catalog+json";

/// The schema that a card names; its version is part of it.
const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json";

/// How long an answer may be kept by whoever asked. It changes with the version of the server only.
const KEEP: &str = "public, max-age=3600";

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Card {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: String,
    title: &'static str,
    description: &'static str,
    version: &'static str,
    remotes: [Remote; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Remote {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Wanted>,
    supported_protocol_versions: Vec<&'static str>,
}

/// A header that a client must send.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    name: &'static str,
    description: &'static str,
    is_required: bool,
    is_secret: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Catalogue {
    spec_version: &'static str,
    entries: [Entry; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    identifier: String,
    display_name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

/// The card beside `/mcp`, and the catalogue at its well-known place.
pub fn card_router(gate: Gate) -> Router {
    Router::new()
        .route("/mcp/server-card", get(card))
        .route("/.well-known/ai-catalog.json", get(catalogue))
        .with_state(gate)
}

async fn card(
    Shared(gate): Shared<Gate>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let address = Address::of(&uri, &headers)?;
    // Where nobody is asked for a key, a client must not ask its user for one.
    let is_open = gate.principal(&HeaderMap::new()).is_ok();
    let key = Wanted {
        name: "Authorization",
        description: "`Bearer ` and a key of this server",
        is_required: true,
        is_secret: true,
    };
    let remote = Remote {
        kind: "streamable-http",
        url: address.url("/mcp"),
        headers: if is_open { Vec::new() } else { vec![key] },
        supported_protocol_versions: ProtocolVersion::KNOWN_VERSIONS.iter().map(ProtocolVersion::as_str).collect(),
    };
    let card = Card {
        schema: SCHEMA,
        name: format!("{}/fumehood", address.reversed()),
        title: "fumehood",
        description: "Tools compiled to WebAssembly components, each call in a sandbox of its own.",
        version: env!("CARGO_PKG_VERSION"),
        remotes: [remote],
    };
    Ok(answer(CARD, &card))
}

async fn catalogue(OriginalUri(uri): OriginalUri, headers: HeaderMap) -> Result<Response, Problem> {
    let address = Address::of(&uri, &headers)?;
    let entry = Entry {
        identifier: format!("urn:air:{}:mcp:fumehood", address.domain()),
        display_name: "fumehood",
        kind: CARD,
        url: address.url("/mcp/server-card"),
    };
    Ok(answer(CATALOGUE, &Catalogue { spec_version: "1.0", entries: [entry] }))
}

fn answer(kind: &'static str, document: &impl Serialize) -> Response {
    let json = serde_json::to_vec(document).expect("documents of text and lists are JSON");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(KEEP)),
        // What the answer is made from, so that no cache gives one host's address to who asked another.
        (header::VARY, HeaderValue::from_static("host, x-forwarded-proto")),
        // The extension demands it. Pages from elsewhere are still refused by the edge wherever it knows its own names.
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type")),
    ];
    (headers, json).into_response()
}

/// Under which address the client reached this server.
struct Address {
    scheme: &'static str,
    authority: Authority,
}

impl Address {
    /// From the host that the edge has checked, and from what a proxy says of the connection before it.
    ///
    /// A client that lies about the latter is told its own lie, and nobody else is.
    fn of(uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let named = || headers.get(header::HOST)?.to_str().ok()?.parse().ok();
        let authority = uri.authority().cloned().or_else(named).filter(|authority| !authority.as_str().contains('@'));
        let is_secure = headers.get(FORWARDED_PROTO).is_some_and(|proto| proto.as_bytes() == b"https");
        match authority {
            Some(authority) => Ok(Self { scheme: if is_secure { "https" } else { "http" }, authority }),
            None => Err(Problem::new(Code::Malformed, "the request does not say which host it is for")),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.authority)
    }

    /// The host, if it is a name; a bare address names nobody.
    fn domain(&self) -> &str {
        let host = self.authority.host();
        let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
        let is_address = host.parse::<std::net::IpAddr>().is_ok();
        if is_name && !is_address { host } else { "localhost" }
    }

    /// `com.example.tools` for `tools.example.com`.
    fn reversed(&self) -> String {
        self.domain().split('.').rev().collect::<Vec<_>>().join(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &'static str, proto: Option<&'static str>) -> Option<Address> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        if let Some(proto) = proto {
            headers.insert(FORWARDED_PROTO, HeaderValue::from_static(proto));
        }
        Address::of(&Uri::from_static("/mcp/server-card"), &headers).ok()
    }

    #[test]
    fn the_address_is_the_one_that_the_client_used() {
        assert_eq!(address("tools.example:81", None).unwrap().url("/mcp"), "http://tools.example:81/mcp");
        assert_eq!(address("tools.example", Some("https")).unwrap().url("/mcp"), "https://tools.example/mcp");
        assert_eq!(address("[::1]:81", Some("gopher")).unwrap().url("/mcp"), "http://[::1]:81/mcp");
    }

    #[test]
    fn a_host_that_is_none_is_refused() {
        assert!(address("", None).is_none());
        assert!(address("a b", None).is_none());
        assert!(address("user@tools.example", None).is_none());
    }

    #[test]
    fn only_a_name_becomes_part_of_the_name() {
        let reversed = |host| address(host, None).unwrap().reversed();

        assert_eq!(reversed("tools.example.com:81"), "com.example.tools");
        assert_eq!(["127.0.0.1", "[::1]:1", "localhost:1"].map(reversed), ["localhost"; 3]);
    }
}
