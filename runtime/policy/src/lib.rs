//! Who may do what, and how much a call may use.
//!
//! Decisions only: this crate looks nothing up and enforces nothing. The dispatcher asks [`Action::check`] before it
//! acts; the sandbox is handed the [`Limits`] that it must hold.

mod access;
mod grant;
mod limits;

pub use access::{Action, Forbidden};
pub use grant::{
    Credential, FileAccess, FilesGrant, Grant, GrantError, HostPattern, HttpGrant, HttpUse, InvokeGrant, KeyValueGrant,
    NamedValue, Quota, Scheme, ScratchGrant,
};
pub use limits::{Limits, Lowered};
