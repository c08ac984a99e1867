use std::{collections::BTreeMap, path::PathBuf};

use fumehood_model::ModuleName;
use serde::{Deserialize, Serialize};

use crate::Source;

/// `[sources]`: what is fetched from elsewhere, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Modules that are fetched when the server starts, each with its source.
    pub modules: BTreeMap<ModuleName, Source>,
    /// PEM files of certificates that are trusted beside those that browsers trust.
    pub extra_roots: Vec<PathBuf>,
    /// Hosts beyond loopback, with their port if it is not 80, that are asked without TLS.
    pub plain_http: Vec<String>,
    /// Longest that one request may take, its answer included.
    pub timeout_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            modules: BTreeMap::new(),
            extra_roots: Vec::new(),
            plain_http: Vec::new(),
            // 64 MiB in five minutes are two megabits a second.
            timeout_s: 300,
        }
    }
}
