mod collecting;
mod corpus;
mod decisions;
mod peer;
mod replies;
mod ssrf;
mod stage;

use super::Request;

/// A request for `url`, cut up as a guest would: at the first slash after the authority, and no cleverer.
pub(crate) fn get(url: &str) -> Request {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Request {
        method: "GET".into(),
        https: scheme == "https",
        authority: authority.into(),
        path: path.into(),
        headers: Vec::new(),
        body: Vec::new(),
        connect_ms: None,
        first_byte_ms: None,
        between_bytes_ms: None,
    }
}
