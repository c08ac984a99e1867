//! `fumehood:host/job`: what a guest may know of the job that its call is an attempt of, and leave for the next attempt.
//!
//! Whether a call is an attempt of a job at all travels with it: for all other calls nothing is asked.

use std::{fmt, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wasmtime::component::{HasSelf, Linker};

use crate::{
    Ask, Guest, Reply, Visit,
    bindings::job::{self as wit, add_to_linker},
};

/// The imports that this module links.
pub(crate) const IMPORTS: [&str; 1] = ["fumehood:host/job@0.1.0"];

/// Largest checkpoint, in bytes: what is kept beside a job, and written anew each time.
pub const MAX_STATE: usize = 1 << 20;

/// Time that a checkpoint stands for beside its size: a thousand a second are as many as a disk takes for all.
const EACH: Duration = Duration::from_millis(1);

/// Time that each byte of a checkpoint stands for: ten mebibytes a second leave the disk to others.
const EACH_BYTE: Duration = Duration::from_nanos(95);

/// What an attempt leaves for a later one. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State(#[serde(with = "serde_bytes")] pub Vec<u8>);

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({} bytes)", self.0.len())
    }
}

/// Why a checkpoint is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// The call is no attempt of a job.
    NotAJob,
    /// It is larger than [`MAX_STATE`].
    TooLarge,
    /// It could not be kept, or the attempt is not the job's any more.
    Unavailable,
}

/// The host side: have a checkpoint kept.
pub(crate) async fn checkpoint(visit: &Visit, state: State) -> Result<(), Refused> {
    let State(state) = state;
    let listening = visit.job().ok_or(Refused::NotAJob)?;
    if state.len() > MAX_STATE {
        return Err(Refused::TooLarge);
    }
    let bytes = u32::try_from(state.len()).unwrap_or(u32::MAX);
    let is_kept = listening.checkpoint(Bytes::from(state), EACH + EACH_BYTE * bytes).await;
    is_kept.then_some(()).ok_or(Refused::Unavailable)
}

/// The host side: what an earlier attempt left.
pub(crate) fn resumed(visit: &Visit) -> Option<State> {
    Some(State(visit.job()?.resumed()?.into()))
}

impl<X: Send> wit::Host for Guest<X> {
    async fn checkpoint(&mut self, state: Vec<u8>) -> Result<(), wit::Error> {
        if self.heard.attempt.is_none() {
            return Err(wit::Error::NotAJob);
        }
        // It need not travel.
        if state.len() > MAX_STATE {
            return Err(wit::Error::TooLarge);
        }
        match self.host.ask(Ask::Checkpoint(State(state))).await {
            Reply::Checkpoint(Ok(())) => Ok(()),
            Reply::Checkpoint(Err(Refused::NotAJob)) => Err(wit::Error::NotAJob),
            Reply::Checkpoint(Err(Refused::TooLarge)) => Err(wit::Error::TooLarge),
            Reply::Checkpoint(Err(Refused::Unavailable))
            | Reply::Http(_)
            | Reply::KeyValue(_)
            | Reply::Secret(_)
            | Reply::Invoke(_)
            | Reply::Progress
            | Reply::Told
            | Reply::Resumed(_) => Err(wit::Error::Unavailable),
        }
    }

    async fn resumed(&mut self) -> Option<Vec<u8>> {
        self.heard.attempt?;
        match self.host.ask(Ask::Resumed).await {
            Reply::Resumed(state) => state.map(|State(state)| state),
            Reply::Http(_)
            | Reply::KeyValue(_)
            | Reply::Secret(_)
            | Reply::Invoke(_)
            | Reply::Progress
            | Reply::Told
            | Reply::Checkpoint(_) => None,
        }
    }

    fn attempt(&mut self) -> u32 {
        self.heard.attempt.unwrap_or(1)
    }
}

pub(crate) fn link<X: Send + 'static>(linker: &mut Linker<Guest<X>>) -> wasmtime::Result<()> {
    add_to_linker::<_, HasSelf<Guest<X>>>(linker, |guest| guest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debugging_shows_no_state() {
        assert_eq!(format!("{:?}", Ask::Checkpoint(State(b"hidden".into()))), "Checkpoint(State(6 bytes))");
    }
}
