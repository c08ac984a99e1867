//! `wasi:http`: requests to places outside.

use serde::{Deserialize, Serialize};

/// A request as the guest made it, whole and bounded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// The method, as written.
    pub method: String,
    /// Whether it goes over TLS.
    pub https: bool,
    /// Host and port, as written.
    pub authority: String,
    /// Path and query, as written.
    pub path: String,
    /// The headers in order.
    pub headers: Vec<(String, serde_bytes::ByteBuf)>,
    /// The body.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// Longest that connecting may take, in milliseconds; the deadline of the call bounds it too.
    pub connect_ms: Option<u64>,
    /// Longest until the answer begins, in milliseconds.
    pub first_byte_ms: Option<u64>,
}

/// The answer, whole and bounded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers in order, without those that concern the connection.
    pub headers: Vec<(String, serde_bytes::ByteBuf)>,
    /// The body.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// Why there is no answer. The guest sees the nearest `error-code` of `wasi:http`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// No grant covers the request.
    Denied,
    /// The name stands for an address that is not public and was not granted.
    AddressProhibited,
    /// The name stands for no address.
    NotResolved,
    /// Nobody answers at the address.
    NotReached,
    /// It took too long.
    TimedOut,
    /// The connection broke, or the answer is not HTTP.
    Broken,
    /// No trust in the other side could be established.
    NotTrusted,
    /// The request is not valid, or larger than allowed.
    BadRequest,
    /// The answer is larger than allowed.
    ResponseTooLarge,
    /// The call has made as many requests as it may.
    TooMany,
}

/// The way out: decides which requests may leave, and sends them. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Egress {}

impl Egress {
    /// Send `request` for a call, if it may leave.
    #[expect(clippy::unused_async, reason = "a stand-in that refuses")]
    pub(crate) async fn send(
        &self,
        _visit: &crate::Visit,
        _secrets: &crate::secrets::Safe,
        _request: Request,
    ) -> Result<Response, Refused> {
        Err(Refused::Denied)
    }
}
