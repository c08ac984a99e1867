//! What the guest side asks of the host side, whether they share a process or not.

use std::{future::Future, pin::Pin};

use fumehood_model::ModuleName;
use serde::{Deserialize, Serialize};

use crate::{call, files, http, invoke, job, keyvalue, secrets, told};

/// Something that a guest wants from outside its sandbox.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Send a request and wait for the whole answer.
    Http(http::Request),
    /// Read or change what is kept from call to call.
    KeyValue(keyvalue::Request),
    /// Read a secret.
    Secret(secrets::Request),
    /// Call another tool.
    Invoke(invoke::Request),
    /// Tell the caller how far the work is.
    Progress(call::Progress),
    /// Tell the caller what was logged and printed.
    Told(Vec<told::Piece>),
    /// Keep what a later attempt is to go on from.
    Checkpoint(job::State),
    /// Read what an earlier attempt left.
    Resumed,
    /// Tell the operator that the quota of a folder was used up.
    Spent(files::Exhausted),
    /// Tell that the body of a request was larger than allowed.
    BodyTooLarge,
}

/// What the host side says to an [`Ask`]; always of the same kind.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Ask::Http`].
    Http(Result<http::Response, http::Refused>),
    /// To [`Ask::KeyValue`].
    KeyValue(Result<keyvalue::Response, keyvalue::Refused>),
    /// To [`Ask::Secret`].
    Secret(Result<secrets::Response, secrets::Refused>),
    /// To [`Ask::Invoke`].
    Invoke(Result<invoke::Response, invoke::Refused>),
    /// To [`Ask::Progress`], [`Ask::Spent`] and [`Ask::BodyTooLarge`]: that it was heard.
    Progress,
    /// To [`Ask::Told`].
    Told,
    /// To [`Ask::Checkpoint`].
    Checkpoint(Result<(), job::Refused>),
    /// To [`Ask::Resumed`].
    Resumed(Option<job::State>),
}

/// The host side of one call: decides what the call may have, and gets it.
///
/// Guests reach it directly, or from a worker process over a socket. Nothing that comes in has been checked.
pub trait Host: Send + Sync + 'static {
    /// Answer `ask`. Dropping the future gives up what it was doing.
    fn ask(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Reply> + Send + '_>>;

    /// The module that is called, for the log; none where there are no modules.
    fn module(&self) -> Option<&ModuleName> {
        None
    }
}

/// A host that grants nothing: for calls outside of any server.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Nothing {
    /// What it says to `ask`, at once.
    #[must_use]
    pub fn reply(ask: &Ask) -> Reply {
        match ask {
            Ask::Http(_) => Reply::Http(Err(http::Refused::Denied)),
            Ask::KeyValue(_) => Reply::KeyValue(Err(keyvalue::Refused::Denied)),
            Ask::Secret(_) => Reply::Secret(Err(secrets::Refused::Denied)),
            Ask::Invoke(_) => Reply::Invoke(Err(invoke::Refused::Denied)),
            Ask::Progress(_) | Ask::Spent(_) | Ask::BodyTooLarge => Reply::Progress,
            Ask::Told(_) => Reply::Told,
            Ask::Checkpoint(_) => Reply::Checkpoint(Err(job::Refused::NotAJob)),
            Ask::Resumed => Reply::Resumed(None),
        }
    }
}

impl Host for Nothing {
    fn ask(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Reply> + Send + '_>> {
        Box::pin(std::future::ready(Self::reply(&ask)))
    }
}
