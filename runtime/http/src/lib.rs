//! What the HTTP front ends share: who calls, what may be sent, how failures look, how connections are served.
//!
//! Front ends are routers of handlers. Around them, [`serve()`] gives every request an id, checks where it claims to
//! come from and go to, turns every [`Problem`] into one form and every panic into a 500, and ends connections that
//! take too long. [`Gate`] turns credentials into a principal.

mod body;
mod edge;
mod extract;
mod gate;
mod hosts;
mod linger;
mod patience;
mod problem;
mod serve;

pub use body::{Body, MaxBody};
pub use edge::RequestId;
pub use extract::{Json, Path, Query};
pub use gate::{Caller, Gate};
pub use hosts::Hosts;
pub use problem::{Problem, status_of};
pub use serve::{Config, serve};
