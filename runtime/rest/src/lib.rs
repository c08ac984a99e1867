//! The REST front end: routes of tools, administration, OpenAPI and its page.
//!
//! Handlers take apart a request, make one call to the dispatcher and wrap the answer; every rule lives behind the
//! dispatcher. Routes and their OpenAPI descriptions are declared in one place, on the handler.

mod asks;
mod calls;
mod confirmations;
mod docs;
mod form;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod health;
mod history;
mod jobs;
mod keys;
mod may;
mod modules;
mod offers;
mod openapi;
mod permissions;
mod results;
mod router;
mod schedules;
mod secrets;
mod signatures;
mod tools;
mod upload;
mod versions;

pub use router::{State, router};
