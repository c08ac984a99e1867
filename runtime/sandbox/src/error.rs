use fumehood_model::Digest;
use fumehood_store::StoreError;
use fumehood_value::{DescribeError, InputError};

/// Why the sandbox could not do what was asked: never a fault of the call itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The engine could not be set up on this machine.
    #[error("the WebAssembly engine could not be set up")]
    Engine {
        /// What wasmtime said.
        #[source]
        source: wasmtime::Error,
    },
    /// The bytes are not a component that can be served.
    #[error(transparent)]
    NotServable(#[from] DescribeError),
    /// The component needs something that no host offers here.
    #[error("the component needs `{import}`, which is not offered here{}", why_not(import))]
    UnknownImport {
        /// The first import that cannot be satisfied.
        import: String,
    },
    /// The component is valid but the compiler or the engine refuses it.
    #[error("the component cannot be loaded: {what}")]
    Refused {
        /// Why, in words for its author.
        what: String,
    },
    /// The components do not fit each other.
    #[error("the component cannot be put together with those that it needs: {what}")]
    NotComposed {
        /// Why, in words for its author.
        what: String,
    },
    /// Compiling took more than it may.
    #[error("compiling the component took more than {what}")]
    CompileBudget {
        /// Which bound was hit.
        what: String,
    },
    /// Reading what the component offers took more than it may.
    #[error("reading the component took more than {what}")]
    ReadBudget {
        /// Which bound was hit.
        what: String,
    },
    /// The compiler process did not do its work.
    #[error("the compiler process failed: {what}")]
    Compiler {
        /// What it did instead.
        what: String,
    },
    /// Stored bytes could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The arguments do not fit the function.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A worker process could not be started, or does not do its work.
    #[error("a worker process failed: {what}")]
    Worker {
        /// What went wrong.
        what: String,
    },
    /// The kernel does not give what isolation needs, and it was required.
    #[error("tools cannot be isolated as required: {what}")]
    NotIsolated {
        /// What is missing.
        what: String,
    },
    /// All places for instances are taken.
    #[error("all places for running tools are taken")]
    Full,
    /// The loaded component does not have the export that was described.
    #[error("component {digest} does not export `{export}`")]
    NoSuchExport {
        /// Which component.
        digest: Digest,
        /// What was looked for.
        export: String,
    },
    /// The thread that works on calls in the background is gone.
    #[error("a call was lost because its thread failed")]
    Lost,
}

/// What is wrong with an import that is not offered, and what to do about it.
fn why_not(import: &str) -> String {
    fumehood_capabilities::support(import).1.trim_start_matches("not offered").to_owned()
}

impl SandboxError {
    /// Why, for another process of ours that says by itself what could not be done.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Refused { what } => what,
            error => error.to_string(),
        }
    }
}
