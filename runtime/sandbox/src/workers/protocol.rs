//! What the server and a worker process say to each other.
//!
//! Each message is its length, four bytes with the least first, and then its postcard form. The worker believes the
//! server. The server believes nothing: it bounds every message, and looks at what is in it as at a guest's own words.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use fumehood_capabilities::{Ask, Granted, Heard, Reply};
use fumehood_model::{ByteSize, Digest, Outcome, Usage};
use fumehood_policy::Limits;
use fumehood_value::InputError;
use serde::{Deserialize, Serialize};

use crate::{
    call::{Finished, Said},
    error::SandboxError,
    workers::wall::{Isolated, Opening},
};

/// Longest message that a worker may be sent: a large component with its code.
const MAX_TO_WORKER: usize = 1 << 30;

/// A call, counted by the server.
pub(crate) type CallId = u64;

/// A question of a worker, counted by the worker.
pub(crate) type AskId = u64;

/// What a new worker is told first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Calls that it has room for, with those that calls make of other tools.
    pub(crate) places: u32,
    pub(crate) max_memory: ByteSize,
    pub(crate) max_table_elements: u64,
    pub(crate) loaded_components: usize,
    pub(crate) epochs: bool,
    pub(crate) threads: usize,
    pub(crate) openings: Vec<Opening>,
    /// Memory that the process may write to.
    pub(crate) max_bytes: u64,
    /// Longest message that it may send.
    pub(crate) max_report: usize,
}

/// From the server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    Setup(Setup),
    /// Make a component ready.
    Load {
        digest: Digest,
        /// What it offers, as JSON.
        #[serde(with = "serde_bytes")]
        interface: Vec<u8>,
        #[serde(with = "serde_bytes")]
        code: Vec<u8>,
    },
    /// Let it go.
    Forget {
        digest: Digest,
    },
    Call {
        call: CallId,
        order: Box<CallOrder>,
    },
    /// The caller has gone.
    Cancel {
        call: CallId,
    },
    /// To [`Report::Ask`].
    Reply {
        ask: AskId,
        reply: Reply,
    },
}

/// A call on its way to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CallOrder {
    pub(crate) digest: Digest,
    pub(crate) function: usize,
    #[serde(with = "serde_bytes")]
    pub(crate) arguments: Vec<u8>,
    pub(crate) limits: Limits,
    pub(crate) remaining_us: u64,
    pub(crate) granted: Granted,
    pub(crate) heard: Heard,
}

/// From a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It is ready for calls.
    Ready(Isolated),
    /// A component is ready, or why it is not.
    Loaded { digest: Digest, refused: Option<String> },
    /// A call was not over after its first slice.
    Long { call: CallId },
    /// A call has ended, and nothing of it is left.
    Done { call: CallId, end: End },
    /// A guest wants something of its host.
    Ask { call: CallId, ask: AskId, what: Ask },
    /// It does not want it any more.
    Withdrawn { ask: AskId },
    /// The worker cannot go on.
    Failed(String),
}

/// How a call ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum End {
    Finished { outcome: Outcome<serde_bytes::ByteBuf>, usage: Usage, said: Said },
    Input(InputError),
    Full,
    NotLoaded(String),
    Failed(String),
}

impl From<Result<Finished, SandboxError>> for End {
    fn from(result: Result<Finished, SandboxError>) -> Self {
        match result {
            Ok(Finished { outcome, usage, said }) => {
                let bytes = |json: Bytes| serde_bytes::ByteBuf::from(Vec::from(json));
                let outcome = match outcome {
                    Outcome::Value(json) => Outcome::Value(bytes(json)),
                    Outcome::ToolError(json) => Outcome::ToolError(bytes(json)),
                    Outcome::Stopped(why) => Outcome::Stopped(why),
                };
                Self::Finished { outcome, usage, said }
            }
            Err(SandboxError::Input(error)) => Self::Input(error),
            Err(SandboxError::Full) => Self::Full,
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

impl End {
    /// What the caller in the server gets.
    pub(crate) fn into_result(self) -> Result<Finished, SandboxError> {
        match self {
            Self::Finished { outcome, usage, said } => {
                let bytes = |json: serde_bytes::ByteBuf| Bytes::from(json.into_vec());
                let outcome = match outcome {
                    Outcome::Value(json) => Outcome::Value(bytes(json)),
                    Outcome::ToolError(json) => Outcome::ToolError(bytes(json)),
                    Outcome::Stopped(why) => Outcome::Stopped(why),
                };
                Ok(Finished { outcome, usage, said })
            }
            Self::Input(error) => Err(error.into()),
            Self::Full => Err(SandboxError::Full),
            Self::NotLoaded(what) => Err(SandboxError::Refused { what }),
            Self::Failed(what) => Err(SandboxError::Worker { what }),
        }
    }
}

/// Append `message` to `out`.
pub(crate) fn write(message: &impl Serialize, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut whole = postcard::to_extend(message, std::mem::take(out)).map_err(io::Error::other)?;
    let len = u32::try_from(whole.len() - start - 4).map_err(io::Error::other)?;
    whole[start..start + 4].copy_from_slice(&len.to_le_bytes());
    *out = whole;
    Ok(())
}

/// The first whole message in `input`, taken out of it; nothing if it has not all arrived.
pub(crate) fn read<T: for<'a> Deserialize<'a>>(input: &mut BytesMut, most: usize) -> io::Result<Option<T>> {
    let Some(len) = input.first_chunk::<4>() else { return Ok(None) };
    let len = u32::from_le_bytes(*len) as usize;
    if len > most {
        return Err(io::Error::other(format!("a message of {len} bytes, more than {most}")));
    }
    if input.len() < 4 + len {
        input.reserve(4 + len - input.len());
        return Ok(None);
    }
    input.advance(4);
    let message = input.split_to(len);
    postcard::from_bytes(&message).map(Some).map_err(io::Error::other)
}

/// As [`read`], for the worker.
pub(crate) fn read_order(input: &mut BytesMut) -> io::Result<Option<Order>> {
    read(input, MAX_TO_WORKER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_whole_or_not_yet() {
        let mut out = Vec::new();
        write(&Report::Failed("x".to_owned()), &mut out).unwrap();
        write(&Report::Withdrawn { ask: 7 }, &mut out).unwrap();
        let mut input = BytesMut::new();

        for byte in &out[..out.len() - 1] {
            input.extend_from_slice(&[*byte]);
            match read::<Report>(&mut input, 100).unwrap() {
                Some(Report::Failed(what)) => assert_eq!(what, "x"),
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
        input.extend_from_slice(&out[out.len() - 1..]);

        assert!(matches!(read::<Report>(&mut input, 100).unwrap(), Some(Report::Withdrawn { ask: 7 })));
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_before_it_arrives() {
        let mut input = BytesMut::from(&u32::MAX.to_le_bytes()[..]);

        assert!(read::<Report>(&mut input, 1 << 20).is_err());
    }
}
