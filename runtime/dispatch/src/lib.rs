//! The one door.
//!
//! Every front end comes in here and nowhere else: list, call, install, remove, grant, review, and manage keys. What a principal may
//! do is decided here, once; what went wrong is told in one set of errors that front ends only translate.
//!
//! This crate knows nothing of HTTP, MCP or command lines.

mod call;
mod dispatcher;
mod error;
mod install;
mod invoke;
mod keys;
mod limits;
mod load;
mod permissions;
mod pin;
mod results;
mod run;
mod said;
mod secrets;
mod witness;

pub use call::Answer;
pub use dispatcher::{Config, Dispatcher, Parts};
pub use error::DispatchError;
pub use fumehood_registry::{Catalogue, Manifest, Module, Origin, Problem, Tool, Wish};
pub use fumehood_sandbox::is_offered;
pub use fumehood_store::{ApiKey, NewKey, Observation, SecretEntry};
pub use fumehood_value::Arguments;
pub use install::{Installed, Overwrite, Upload};
pub use keys::KeyRequest;
pub use permissions::{Approved, Asked, Changed, Granted, InForce, Reach, Review, Waiting};
pub use results::KeptResult;
pub use witness::Ledger;
