//! Who may do what, and how much a call may use.
//!
//! Decisions only: this crate looks nothing up and enforces nothing. The dispatcher asks [`Action::check`] before it
//! acts; the sandbox is handed the [`Limits`] that it must hold.

mod access;
mod grant;
mod limits;
mod review;
mod trusted;

pub use access::{Action, Forbidden};
pub use fumehood_model::Lowered;
pub use grant::{
    Credential, FileAccess, FilesGrant, Grant, GrantError, HostPattern, HttpGrant, HttpUse, InvokeGrant, KeyValueGrant,
    NamedValue, Quota, Scheme, ScratchGrant, is_of_connection,
};
pub use limits::{BoundNote, Limits};
pub use review::{ConfirmedBy, OnChangedDefinitions, OnNewPermissions};
pub use trusted::Trusted;
