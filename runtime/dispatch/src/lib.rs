//! The one door.
//!
//! Every front end comes in here and nowhere else: list, call, install, remove, and manage keys. What a principal may
//! do is decided here, once; what went wrong is told in one set of errors that front ends only translate.
//!
//! This crate knows nothing of HTTP, MCP or command lines.

mod call;
mod dispatcher;
mod error;
mod install;
mod invoke;
mod keys;
mod load;
mod secrets;

pub use call::{Answer, Arguments};
pub use dispatcher::{Config, Dispatcher};
pub use error::DispatchError;
pub use fumehood_registry::{Catalogue, Module, Origin, Problem, Tool};
pub use fumehood_sandbox::is_offered;
pub use fumehood_store::{ApiKey, NewKey, SecretEntry};
pub use install::{Installed, Overwrite};
pub use invoke::Onward;
