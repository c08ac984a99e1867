//! `fumehood:host/call`: what a guest may know of its own call, and tell about it.

use serde::{Deserialize, Serialize};

/// How far the work is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// How much is done, in the guest's own units.
    pub done: f64,
    /// Of how much, if it is known.
    pub total: Option<f64>,
    /// What it is doing, at most 1 KiB.
    pub message: Option<String>,
}
