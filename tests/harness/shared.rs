use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::Server;

/// A server that tests of one kind share while any of them runs.
#[derive(Debug, Default)]
pub struct Shared {
    current: Mutex<Weak<Server>>,
}

impl Shared {
    /// No server yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { current: Mutex::new(Weak::new()) }
    }

    /// The server, started by `start` if none runs.
    pub fn get(&self, start: impl FnOnce() -> Server) -> Arc<Server> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = current.upgrade() {
            return server;
        }
        let server = Arc::new(start());
        *current = Arc::downgrade(&server);
        server
    }
}
