//! `fumehood:host/secrets`: secrets by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Its name.
    pub name: String,
}

/// A secret. Its `Debug` form does not show it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Response {
    /// The value.
    pub value: String,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Response(…)")
    }
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// No grant names it.
    Denied,
    /// It is granted, but nobody has set it.
    NotSet,
    /// The store failed.
    Failed,
}

/// Where secrets are looked up. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Safe {
    #[expect(dead_code, reason = "a stand-in that refuses")]
    database: fumehood_store::Database,
}

impl Safe {
    /// The secrets in `database`.
    #[must_use]
    pub fn new(database: fumehood_store::Database) -> Self {
        Self { database }
    }

    /// The secret called `name`, for the server's own use: whoever asks has checked the grant.
    #[expect(clippy::unused_async, reason = "a stand-in that refuses")]
    pub(crate) async fn value(&self, _name: &str) -> Result<String, Refused> {
        Err(Refused::NotSet)
    }

    #[expect(clippy::unused_async, reason = "a stand-in that refuses")]
    pub(crate) async fn answer(&self, _visit: &crate::Visit, _request: Request) -> Result<Response, Refused> {
        Err(Refused::Denied)
    }
}
