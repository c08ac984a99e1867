//! The host side of what a component may import.
//!
//! Ordinary toolchains import WASI whether the tool needs it or not, so WASI is linked for every component; what it
//! reaches is decided per call, and by default it reaches nothing: no environment, no arguments, no files, no sockets,
//! no names, and an empty standard input. Clocks and random numbers work. What a guest prints is captured, bounded.
//!
//! This crate is the only one that knows `wasmtime-wasi`. It knows nothing of modules, calls or limits other than the
//! ones it is handed.

mod bindings;
pub mod call;
mod clocks;
mod config;
mod desk;
mod exhausted;
mod files;
mod granted;
mod guest;
mod handed;
mod host;
pub mod http;
pub mod invoke;
pub mod job;
pub mod keyvalue;
mod listener;
mod listening;
pub mod logging;
mod offered;
mod output;
mod pace;
mod random;
pub mod secrets;
mod still;
mod streams;
pub mod told;

pub use desk::{About, Desk, Invoke, Together, Visit, Witness};
pub use exhausted::{Exhausted, exhausted};
pub use granted::{Fixed, Folder, Granted, Time};
pub use guest::{Bounds, Cancelled, Guest, Setup, exit_code, link};
pub use host::{Ask, Host, Nothing, Reply};
pub use listener::{Heard, Listener, Stream, Told};
pub use offered::{Support, WAYS, is_offered, support};
