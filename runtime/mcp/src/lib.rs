//! The MCP front end: Streamable HTTP at `/mcp` and stdio, for both eras of the protocol.
//!
//! rmcp speaks the protocol; this crate tells it which tools there are and what became of a call. It knows nothing of
//! REST and decides nothing.

#![expect(
    deprecated,
    reason = "clients of the older eras ask models, tell folders and read logs, for another year at least"
)]

mod card;
mod commit;
mod compat;
mod confirm;
mod convert;
mod direct;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod gaps;
mod handler;
mod input;
mod listing;
mod offers;
mod overrides;
mod page;
mod pages;
mod reports;
mod sessions;
mod shaped;
mod subscriptions;
mod tasks;
mod transport;
mod view;

pub use card::card_router;
pub use listing::List;
pub use overrides::Override;
pub use sessions::Config;
pub use transport::{State, router, stdio};
pub use view::Profile;
