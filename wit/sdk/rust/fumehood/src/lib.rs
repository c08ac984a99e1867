//! Write tools for fumehood: a typed function is a tool.
//!
//! [`macro@tool`] reads the function: its name, its comments, its arguments and what it answers become what models and
//! people are told, with JSON Schemas made of the types. [`tools!`] says which functions the component offers. A tool that
//! needs something from outside takes a [`Ctx`]; what it does not use is not imported.
//!
//! ```
//! use fumehood::prelude::*;
//!
//! /// Convert an amount of money.
//! #[tool(read_only, example(amount = 2.5, rate = 4.0))]
//! fn convert(
//!     /// How much.
//!     #[schemars(range(min = 0.0))]
//!     amount: f64,
//!     /// What one is worth.
//!     rate: f64,
//! ) -> Result<Converted, ToolError> {
//!     if rate <= 0.0 {
//!         return Err(ToolError::invalid("/rate", "give a rate above zero"));
//!     }
//!     Ok(Converted { value: amount * rate })
//! }
//!
//! /// What came of it.
//! #[data]
//! struct Converted {
//!     value: f64,
//! }
//!
//! tools![convert];
//!
//! // The same function runs here.
//! assert_eq!(convert(2.5, 4.0).unwrap().value, 10.0);
//! ```
//!
//! On WebAssembly, [`Ctx`] is the host. Elsewhere `Ctx::fake` makes one that records what it is told and answers what it was
//! given, so that `cargo test` runs tools on the author's machine.
//!
//! This crate knows nothing of servers, MCP or REST: only the WIT packages `fumehood:tool` and `fumehood:host`.

mod answer;
mod ask;
mod ctx;
mod error;
mod http;
mod kv;
mod schema;
mod tool;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod bindings;
#[cfg(target_family = "wasm")]
mod export;
#[cfg(not(target_family = "wasm"))]
mod fake;
#[cfg(target_family = "wasm")]
mod host;

pub use answer::{Answer, Content, Image, Link, Reply};
pub use ask::{Asks, Question, Request as Asked};
pub use ctx::{Ctx, Level};
pub use error::{Kind, ToolError};
#[cfg(not(target_family = "wasm"))]
pub use fake::{Progress, Told};
pub use fumehood_macros::{data, permissions, tool, tools};
pub use http::{Method, Request, Response};
pub use kv::Bucket;
pub use schemars;
pub use serde;
pub use serde_json::{self, Value, json};
pub use tool::{Description, Entry, Hints, Tasks, Tool};

/// What a tool needs by name.
pub mod prelude {
    pub use crate::{
        Answer, Content, Ctx, Image, ToolError, Value, data, json, permissions, schemars::JsonSchema, serde, tool,
        tools,
    };
}

/// What the macros write uses. Not for authors: it may change at any time.
#[doc(hidden)]
pub mod private {
    pub use crate::tool::{Fits, arguments, description};

    #[cfg(target_family = "wasm")]
    pub use crate::{
        bindings,
        export::{call, list},
    };
}

/// What cannot be a tool is said in words.
///
/// ```compile_fail
/// use fumehood::prelude::*;
///
/// #[tool] // Nothing says what it does.
/// fn silent() {}
/// ```
///
/// ```compile_fail
/// use fumehood::prelude::*;
///
/// /// A tool of the future.
/// #[tool]
/// async fn later() {}
/// ```
///
/// ```compile_fail
/// use fumehood::prelude::*;
///
/// /// A tool whose example has an argument that it does not have.
/// #[tool(example(nam = "Ada"))]
/// fn hello(name: String) -> String {
///     name
/// }
/// ```
///
/// ```compile_fail
/// fumehood::permissions! { "everything" => "Because." }
/// ```
///
/// ```compile_fail
/// fumehood::permissions! { "keyvalue:cache" }
/// ```
#[cfg(doctest)]
struct Refused;
