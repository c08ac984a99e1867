//! Which modules and tools there are.
//!
//! A [`Catalogue`] is a complete picture at one moment: readers take it without a lock and keep it as long as they
//! like, and whoever installs or removes a module puts a new one in its place. Schemas, signatures and conversion
//! plans are made here, once, when a module enters the catalogue.
//!
//! This crate runs and compiles nothing, and decides nothing about who may see what.

mod catalogue;
mod error;
mod library;
mod manifest;
mod module;
mod near;
pub mod rich;
mod scan;
mod search;

pub use catalogue::{Catalogue, Registry};
pub use error::AdmitError;
pub use library::Library;
pub use manifest::{
    Bindings, Build, Dependency, Example, Expected, FunctionNotes, MAX_DEPENDENCIES, MAX_MANIFEST_BYTES, MAX_REASON,
    Manifest, ManifestError, ManifestMistake, Mode, Wish,
};
pub use module::{Deprecated, Module, Origin, Told, Tool, Turns};
pub use scan::{Found, Problem, SIGNATURES, beside, scan};
pub use search::Words;
