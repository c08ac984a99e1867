//! `wasi:http`: requests to places outside.
//!
//! The guest side collects a request whole, asks, and hands the answer out. The host side decides whether the request
//! may leave, resolves the name, looks at every address, and sends.

mod address;
mod dial;
mod egress;
mod exchange;
mod fields;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod guest;
mod headers;
mod held;
mod link;
mod playback;
mod recorder;
mod resolve;
mod shares;
mod target;
#[cfg(test)]
mod tests;

use fumehood_model::Bound;
use serde::{Deserialize, Serialize};

pub use egress::{Config, Egress, SetupError};
pub use fields::TooMuchHeld;
pub use guest::Bounds;
pub(crate) use guest::Outgoing;
pub(crate) use link::link;
pub use playback::{Fits, Header, Playback, Record, RecordError, header};
pub use recorder::{Exchanged, Recorder};

/// What is linked for it.
pub(crate) const IMPORTS: [&str; 2] = ["wasi:http/outgoing-handler", "wasi:http/types"];

/// Most bytes of all headers of a request, or of an answer.
///
/// Four times what common servers accept. The names and the values count, and so does a fixed part for each header.
pub(crate) const MAX_HEADER_BYTES: usize = 64 << 10;

/// Most headers of a request, or of an answer.
pub(crate) const MAX_HEADERS: usize = 100;

/// Most bytes of host, port, path and query together: what common servers accept.
pub(crate) const MAX_URL_BYTES: usize = 8 << 10;

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
    /// Longest between two pieces of the answer, in milliseconds.
    pub between_bytes_ms: Option<u64>,
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
    /// Looking up the name took too long.
    LookupTimedOut,
    /// Nobody answers at the address.
    NotReached,
    /// Connecting took too long.
    ConnectTimedOut,
    /// The answer took too long.
    TimedOut,
    /// The connection ended before the answer was whole.
    Broken,
    /// The answer is not HTTP.
    NotHttp,
    /// The answer is not one, but an invitation to speak another protocol.
    Upgrade,
    /// No trust in the other side could be established.
    NotTrusted,
    /// The method is not one that may be sent.
    BadMethod,
    /// The URL is not valid.
    BadUrl,
    /// The URL is longer than allowed.
    UrlTooLong,
    /// A header is not valid.
    BadHeader,
    /// The headers are more, or larger, than allowed.
    HeadersTooLarge,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// The headers of the answer are more, or larger, than allowed.
    ResponseHeadersTooLarge,
    /// The answer is larger than allowed.
    ResponseTooLarge,
    /// The call has made as many requests as it may.
    TooMany,
    /// The credential that belongs to the grant is not there.
    NoCredential,
}

impl Refused {
    /// The bound of the call that it stands for, if it is one.
    pub(crate) fn bound(self) -> Option<Bound> {
        match self {
            Self::TooMany => Some(Bound::HttpRequests),
            Self::BodyTooLarge | Self::ResponseTooLarge => Some(Bound::HttpBody),
            _ => None,
        }
    }
}
