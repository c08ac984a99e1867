//! Where components come from, and where they are published.
//!
//! A [`Source`] names a component: a file, an `https://` address, or an artifact of an OCI registry. [`Sources::fetch`] gets
//! its bytes, bounded and checked against every digest that is known of them; [`Sources::publish`] puts a component into a
//! registry in the form that `wkg` gives it. A [`Shelf`] keeps what was fetched, so that it is there when its source is not.
//!
//! Everything here blocks, and is meant for a thread of its own. This crate knows nothing of modules, of what a component
//! holds, or of who may ask for one: whoever calls it decides, and private addresses are not refused.
//!
//! ```
//! use fumehood_sources::Source;
//!
//! let source: Source = "oci://ghcr.io/acme/weather:1.2".parse()?;
//! assert_eq!(source.name(), "weather");
//! assert!(!source.is_pinned(), "a tag may move");
//! # Ok::<(), fumehood_sources::SourceError>(())
//! ```

mod challenge;
mod config;
mod credentials;
mod error;
mod fetch;
mod manifest;
mod publish;
mod reference;
mod registry;
mod shelf;
mod source;
#[cfg(test)]
mod tests;
mod web;

pub use config::Config;
pub use error::SourceError;
pub use fetch::{Artifact, Fetched, Sources};
pub use publish::{Publication, Published};
pub use reference::Reference;
pub use shelf::{Kept, Shelf};
pub use source::Source;
