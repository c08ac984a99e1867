//! One call of one component, under limits.
//!
//! Every call gets a store and an instance of its own and leaves nothing behind. Fuel bounds the instructions it
//! executes, a deadline the wall-clock time it takes wherever it is, a limiter the memory and tables of everything it
//! instantiates, and bounds on results and output what it hands back. Compiling happens in a child process with limits
//! of its own, because a small file can make a compiler take minutes and gigabytes, or abort.
//!
//! This crate is the keeper of the wasmtime engine. It knows nothing of names, callers, HTTP or queues: it is handed a
//! digest, an export, checked input and limits, and gives back an outcome.

mod background;
mod call;
mod chamber;
mod compiler;
mod engine;
mod error;
mod limits;
mod listing;
mod loader;
mod run;
mod stop;
mod trace;
mod turn;
mod workers;

pub use call::{Call, Finished, Said};
pub use compiler::{Compiler, CompilerLimits, Isolation, worker as compile_worker};
pub use engine::{Config, Yield};
pub use error::SandboxError;
pub use fumehood_capabilities::is_offered;
pub use loader::{Sandbox, Supplier};
pub use workers::{Attempt, Attempts, Isolated, Settings, Strength, Workers, attempts, worker as sandbox_worker};
