//! What a tool may touch, as an administrator writes it down: `kind:subject,option=value`.

mod files;
mod http;
mod http_match;
mod invoke;
mod keyvalue;
mod named;
mod scratch;
mod syntax;

use fumehood_model::ByteSize;

pub use files::{FileAccess, FilesGrant};
pub use http::{Credential, HostPattern, HttpGrant, Scheme};
pub use http_match::HttpUse;
pub use invoke::InvokeGrant;
pub use keyvalue::KeyValueGrant;
pub use named::NamedValue;
pub use scratch::ScratchGrant;
pub use syntax::GrantError;

/// One thing that a module is allowed, or asks for.
///
/// The text form is the only one: on the command line, over REST, in `tool.toml` and in the database.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Grant {
    /// `http:GET+POST https://api.example.com:8443/v1/,bearer=TOKEN`
    Http(HttpGrant),
    /// `files:/srv/data,at=/data,mode=read-write,bytes=100MiB,files=1000`
    Files(FilesGrant),
    /// `scratch,bytes=64MiB,files=1000`
    Scratch(ScratchGrant),
    /// `env:LOG_LEVEL=debug`
    Environment(NamedValue),
    /// `config:region=eu`
    Config(NamedValue),
    /// `keyvalue:cache,bytes=1MiB,keys=1000,ttl=3600s`
    KeyValue(KeyValueGrant),
    /// `secret:API_TOKEN`
    Secret(String),
    /// `invoke:calculator.add`, `invoke:calculator.*`
    Invoke(InvokeGrant),
}

/// How much may be kept, and in how many pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Bytes in all.
    pub bytes: ByteSize,
    /// Files, or keys.
    pub count: u64,
}
