//! The one door.
//!
//! Every front end comes in here and nowhere else: list, call, install, remove, grant, review, and manage keys. What a principal may
//! do is decided here, once; what went wrong is told in one set of errors that front ends only translate.
//!
//! This crate knows nothing of HTTP, MCP or command lines.

mod call;
mod compatibility;
mod compose;
mod confirm;
mod dispatcher;
mod error;
mod files;
mod follow;
mod history;
mod input;
mod install;
mod invoke;
mod jobs;
mod keys;
mod limits;
mod load;
mod patience;
mod permissions;
mod pin;
mod prompts;
mod resources;
mod results;
mod run;
mod said;
mod schedules;
mod secrets;
mod shaping;
mod signatures;
mod versions;
mod witness;
mod work;

pub use call::{Answer, Terms};
pub use compatibility::{Compatibility, Fit, Fitting, Inspected};
pub use compose::{Unmet, export_for};
pub use confirm::{Confirmations, MAX_CONFIRMATIONS};
pub use dispatcher::{Config, Dispatcher, Parts, Records};
pub use error::DispatchError;
pub use fumehood_capabilities::Told as Said;
pub use fumehood_capabilities::{Listener, logging::Level};
pub use fumehood_registry::{
    Bindings, Build, Catalogue, Deprecated, Example, Expected, Manifest, Module, Origin, Problem, Tool, Wish, Words,
    rich,
};
pub use fumehood_registry::{Mode, SIGNATURES, beside};
pub use fumehood_scheduler::{RunnerConfig, ScheduleSpec, SpecError};
pub use fumehood_store::{
    ApiKey, Body, CallFilter, Confirmation, ConfirmationState, Counts, Decided, Filter, JobEvent, NewKey, Observation,
    Prune, Schedule, SecretEntry, StoredCall, Told, ToolStatistics, VersionRow,
};
pub use fumehood_value::Arguments;
pub use history::{HistoryConfig, MAX_CALLS, Via};
pub use input::Offers;
pub use install::{Installed, Overwrite, Upload};
pub use jobs::{Called, Follow, Imported, JobsConfig, MAX_PAGE, Order, Ticket, Update};
pub use keys::KeyRequest;
pub use permissions::{Approved, Asked, Changed, Granted, InForce, Reach, Redefined, Review, Waiting};
pub use resources::OwnResource;
pub use results::KeptResult;
pub use shaping::Shape;
pub use versions::{Version, Versions, Which};
