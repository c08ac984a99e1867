//! What a tool may touch, as an administrator writes it down: `kind:subject,option=value`.
//!
//! | kind | what it gives | example |
//! |---|---|---|
//! | `http` | requests to one place outside | `http:GET+POST https://api.example.com/v1,bearer=API_TOKEN` |
//! | `files` | a folder of the server | `files:/srv/data,at=/data,mode=read-write,bytes=100MiB,files=1000` |
//! | `scratch` | an empty folder for the length of a call | `scratch,bytes=64MiB,files=1000` |
//! | `env` | an environment variable | `env:LOG_LEVEL=debug` |
//! | `config` | a value of `wasi:config` | `config:region=eu` |
//! | `keyvalue` | a bucket of values that last | `keyvalue:cache,bytes=1MiB,keys=1000,ttl=3600s` |
//! | `secret` | a secret by name | `secret:API_TOKEN` |
//! | `invoke` | other tools, as the caller | `invoke:calculator.add`, `invoke:calculator.*` |
//!
//! A module that asks for something leaves out what only the operator knows: `files,at=/data`, `env:LOG_LEVEL`.

mod files;
mod http;
mod http_match;
mod invoke;
mod keyvalue;
mod named;
mod scratch;
mod syntax;

#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use fumehood_model::ByteSize;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use syntax::{Options, split};

pub use files::{FileAccess, FilesGrant};
pub use http::{Credential, HostPattern, HttpGrant, Scheme, is_of_connection};
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

/// The kinds of grants, as they are written.
const KINDS: [&str; 8] = ["http", "files", "scratch", "env", "config", "keyvalue", "secret", "invoke"];

/// How much may be kept, and in how many pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Bytes in all.
    pub bytes: ByteSize,
    /// Files, or keys.
    pub count: u64,
}

impl Grant {
    /// The word that the text form begins with.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Files(_) => "files",
            Self::Scratch(_) => "scratch",
            Self::Environment(_) => "env",
            Self::Config(_) => "config",
            Self::KeyValue(_) => "keyvalue",
            Self::Secret(_) => "secret",
            Self::Invoke(_) => "invoke",
        }
    }

    /// Whether this grant gives what is asked for or used.
    ///
    /// What is `wanted` may leave out what only the operator knows: a folder, a value.
    #[must_use]
    pub fn covers(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Http(own), Self::Http(wanted)) => own.covers(wanted),
            (Self::Files(own), Self::Files(wanted)) => own.covers(wanted),
            (Self::Scratch(own), Self::Scratch(wanted)) => own.quota.holds(&wanted.quota),
            (Self::Environment(own), Self::Environment(wanted)) | (Self::Config(own), Self::Config(wanted)) => {
                own.covers(wanted)
            }
            (Self::KeyValue(own), Self::KeyValue(wanted)) => own.covers(wanted),
            (Self::Secret(own), Self::Secret(wanted)) => own == wanted,
            (Self::Invoke(own), Self::Invoke(wanted)) => own.covers(wanted),
            (
                Self::Http(_)
                | Self::Files(_)
                | Self::Scratch(_)
                | Self::Environment(_)
                | Self::Config(_)
                | Self::KeyValue(_)
                | Self::Secret(_)
                | Self::Invoke(_),
                _,
            ) => false,
        }
    }

    /// The secret that this gives to a guest, or to a server for it.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Secret(name) => Some(name),
            Self::Http(http) => http.credential.as_ref().map(|credential| credential.secret.as_str()),
            Self::Files(_)
            | Self::Scratch(_)
            | Self::Environment(_)
            | Self::Config(_)
            | Self::KeyValue(_)
            | Self::Invoke(_) => None,
        }
    }

    /// Whether both are about the same folder of the guest, variable, value, bucket or scratch space, of which a guest has
    /// one: two such grants do not add up.
    #[must_use]
    pub fn shares_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Files(own), Self::Files(other)) => own.at == other.at,
            (Self::Scratch(_), Self::Scratch(_)) => true,
            (Self::Environment(own), Self::Environment(other)) | (Self::Config(own), Self::Config(other)) => {
                own.name == other.name
            }
            (Self::KeyValue(own), Self::KeyValue(other)) => own.bucket == other.bucket,
            // The others add up, or are the same.
            (
                Self::Files(_)
                | Self::Scratch(_)
                | Self::Environment(_)
                | Self::Config(_)
                | Self::KeyValue(_)
                | Self::Http(_)
                | Self::Secret(_)
                | Self::Invoke(_),
                _,
            ) => false,
        }
    }

    /// What must be added before this can be granted, in words; nothing for a complete grant.
    #[must_use]
    pub fn lacks(&self) -> Option<&'static str> {
        match self {
            Self::Files(FilesGrant { folder: None, .. }) => Some("the folder, as in `files:/srv/data,at=/data`"),
            Self::Environment(NamedValue { value: None, .. }) => Some("the value, as in `env:LOG_LEVEL=debug`"),
            Self::Config(NamedValue { value: None, .. }) => Some("the value, as in `config:region=eu`"),
            Self::Http(_)
            | Self::Files(_)
            | Self::Scratch(_)
            | Self::Environment(_)
            | Self::Config(_)
            | Self::KeyValue(_)
            | Self::Secret(_)
            | Self::Invoke(_) => None,
        }
    }

    /// The same without what only the operator knows: fit for logs, and for comparing with what is asked for.
    #[must_use]
    pub fn as_ask(&self) -> Self {
        let mut ask = self.clone();
        match &mut ask {
            Self::Files(files) => files.folder = None,
            Self::Environment(named) | Self::Config(named) => named.value = None,
            Self::Http(_) | Self::Scratch(_) | Self::KeyValue(_) | Self::Secret(_) | Self::Invoke(_) => {}
        }
        ask
    }
}

impl Quota {
    /// Whether `wanted` fits into it.
    #[must_use]
    pub fn holds(&self, wanted: &Self) -> bool {
        wanted.bytes <= self.bytes && wanted.count <= self.count
    }
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parsed(text).map_err(|what| GrantError::new(text, what))
    }
}

fn parsed(text: &str) -> Result<Grant, String> {
    let (kind, rest) = split(text)?;
    // Values are taken as they are, commas and all.
    match kind {
        "env" => return NamedValue::parsed(rest, "env:LOG_LEVEL=debug").map(Grant::Environment),
        "config" => return NamedValue::parsed(rest, "config:region=eu").map(Grant::Config),
        _ => {}
    }
    let (subject, mut options) = Options::of(rest)?;
    let grant = match kind {
        "http" => Grant::Http(HttpGrant::parsed(subject, &mut options)?),
        "files" => Grant::Files(FilesGrant::parsed(subject, &mut options)?),
        "scratch" => Grant::Scratch(ScratchGrant::parsed(subject, &mut options)?),
        "keyvalue" => Grant::KeyValue(KeyValueGrant::parsed(subject, &mut options)?),
        "secret" => Grant::Secret(syntax::secret_name(subject.unwrap_or_default())?.to_owned()),
        "invoke" => Grant::Invoke(InvokeGrant::parsed(subject)?),
        other => return Err(syntax::unknown("kind", other, &KINDS)),
    };
    options.finish()?;
    // It is kept and shown with all that it leaves out, and must be readable then.
    syntax::bounded(&grant.to_string())?;
    Ok(grant)
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Http(http) => write!(f, "{kind}:{http}"),
            Self::Files(files) => write!(f, "{kind}{files}"),
            Self::Scratch(scratch) => write!(f, "{kind}{scratch}"),
            Self::Environment(named) | Self::Config(named) => write!(f, "{kind}:{named}"),
            Self::KeyValue(keyvalue) => write!(f, "{kind}:{keyvalue}"),
            Self::Secret(name) => write!(f, "{kind}:{name}"),
            Self::Invoke(invoke) => write!(f, "{kind}:{invoke}"),
        }
    }
}

impl Serialize for Grant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Grant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
