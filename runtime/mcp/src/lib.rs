//! The MCP front end: Streamable HTTP at `/mcp` and stdio, for both eras of the protocol.
//!
//! rmcp speaks the protocol; this crate tells it which tools there are and what became of a call. It knows nothing of
//! REST and decides nothing.

mod convert;
mod handler;
mod page;
mod progress;
mod tasks;
mod transport;

pub use transport::{State, router, stdio};
