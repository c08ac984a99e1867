//! What end-to-end tests need: the real binary, started and ended; guests built from their sources; HTTP and MCP
//! clients that assert what every answer must have.
//!
//! Nothing here links the product: it is driven through its process, its sockets and its files only.
//!
//! ```no_run
//! use fumehood_tests::{Server, wat};
//! use serde_json::json;
//!
//! let server = Server::setup().api("add", wat("add")).start();
//! assert_eq!(server.admin().call("add/add", &json!({ "a": 2, "b": 40 })).value(), json!(42));
//! ```

mod answer;
pub mod bombs;
mod client;
mod command;
mod examples;
mod guests;
mod mcp;
mod program;
mod registry;
mod server;
mod shared;
mod values;
mod wait;
mod wire;
pub mod zoo;

pub use answer::{Answer, Problem};
pub use client::Client;
pub use command::{Finished, command, fumehood};
pub use examples::{Example, Expected, examples};
pub use guests::{files, folder, guest, parse_wat, skip, sources, target_dir, wat, workspace};
pub use mcp::Mcp;
pub use program::program;
pub use registry::{Authority, Registry, RegistrySetup, USER};
pub use server::{Server, Setup};
pub use shared::Shared;
pub use values::Values;
pub use wait::{eventually, until};
pub use wire::{connect, exchange, read_answer, read_until};
