//! What a process works on and has.

use std::{collections::HashMap, sync::Arc};

use fumehood_capabilities::Host;
use fumehood_model::Digest;
use tokio::{sync::oneshot, task::AbortHandle};

use crate::workers::protocol::{AskId, CallId, End};

/// Its calls, their questions, and its components.
#[derive(Default)]
pub(super) struct State {
    pub(super) calls: HashMap<CallId, Waiting>,
    /// How many of them are long.
    pub(super) long: usize,
    pub(super) asks: HashMap<AskId, (CallId, AbortHandle)>,
    /// Which components the process has, and when each was last called.
    pub(super) loaded: HashMap<Digest, u64>,
    /// Who waits to hear whether a component could be loaded.
    pub(super) loading: HashMap<Digest, Vec<oneshot::Sender<Option<String>>>>,
}

/// A call that the process works on.
pub(super) struct Waiting {
    pub(super) digest: Digest,
    /// Whether it was not over after its first slice.
    pub(super) is_long: bool,
    pub(super) done: oneshot::Sender<End>,
    pub(super) host: Arc<dyn Host>,
    /// Given back when nothing of the call is left.
    pub(super) place: Box<dyn Send>,
}

/// What was in a process when it ended.
pub(super) struct Lost {
    pub(super) calls: usize,
    /// The modules that were called, each once.
    pub(super) modules: Vec<String>,
    /// Their components, each once.
    pub(super) components: Vec<Digest>,
}

impl Lost {
    /// How many calls, and of which modules.
    pub(super) fn count(&self) -> String {
        match (self.calls, self.modules.join(", ")) {
            (0, _) => "no call".to_owned(),
            (1, modules) if modules.is_empty() => "1 call".to_owned(),
            (1, modules) => format!("1 call of {modules}"),
            (calls, modules) if modules.is_empty() => format!("{calls} calls"),
            (calls, modules) => format!("{calls} calls of {modules}"),
        }
    }
}

impl State {
    /// Note that a call takes long. It may have ended before this was told.
    pub(super) fn note_long(&mut self, call: CallId) {
        if let Some(waiting) = self.calls.get_mut(&call) {
            self.long += usize::from(!std::mem::replace(&mut waiting.is_long, true));
        }
    }

    /// Forget components until there is room for one more; which ones.
    pub(super) fn make_room(&mut self, most: usize) -> Vec<Digest> {
        let mut let_go = Vec::new();
        while self.loaded.len() >= most {
            let Some(oldest) = self.loaded.iter().min_by_key(|(_, used)| **used).map(|(digest, _)| *digest) else {
                break;
            };
            self.loaded.remove(&oldest);
            let_go.push(oldest);
        }
        let_go
    }

    /// Note that a component was sent.
    pub(super) fn enter(&mut self, digest: Digest, heard: oneshot::Sender<Option<String>>) {
        let now = self.loaded.values().max().copied().unwrap_or(0);
        self.loaded.insert(digest, now);
        self.loading.entry(digest).or_default().push(heard);
    }
}
