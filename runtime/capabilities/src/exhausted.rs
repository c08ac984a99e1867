use fumehood_model::ByteSize;
use wasmtime_wasi::ResourceTableError;

use crate::http::TooMuchHeld;

/// A bound of a call that its imports keep, and that the guest has reached.
///
/// It travels as the error of an import, so that the guest is stopped; [`exhausted`] finds it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// Random bytes.
    #[error("the call asked for more than {allowed} of random bytes")]
    Random {
        /// How many one call may have.
        allowed: ByteSize,
    },
    /// Calls of the host.
    #[error("the call made more than {allowed} calls of the host")]
    HostCalls {
        /// How many one call may make.
        allowed: u64,
    },
    /// Bytes handed to the host, summed.
    #[error("the call handed more than {allowed} to its host")]
    HostBytes {
        /// How many one call may hand over.
        allowed: ByteSize,
    },
    /// Headers, bodies and addresses of requests to the outside.
    #[error("the call made its host hold too much")]
    HostMemory,
    /// Handles held at a time: streams, descriptors, requests, pollables.
    #[error("the call held too many handles at a time")]
    Handles,
}

/// What the engine says when a guest and the host exchange too many handles; it has no type for it.
const STORE_FULL: &str = "store handle limit exceeded";

/// The bound that `error`, which ended a call, stands for, if it is one.
#[must_use]
pub fn exhausted(error: &wasmtime::Error) -> Option<Exhausted> {
    error.chain().find_map(|cause| {
        // The tables of handles, on both sides, are the runtime's own, and report in their own words.
        let full =
            matches!(cause.downcast_ref(), Some(ResourceTableError::Full)) || cause.to_string().ends_with(STORE_FULL);
        let held = cause.downcast_ref::<TooMuchHeld>().map(|_| Exhausted::HostMemory);
        cause.downcast_ref::<Exhausted>().copied().or(held).or_else(|| full.then_some(Exhausted::Handles))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_recognised_below_what_was_said_about_it() {
        let random = Exhausted::Random { allowed: ByteSize::kib(1) };

        assert_eq!(exhausted(&wasmtime::Error::from(random).context("while it ran")), Some(random));
        assert_eq!(exhausted(&wasmtime::Error::from(ResourceTableError::Full)), Some(Exhausted::Handles));
        assert_eq!(exhausted(&wasmtime::Error::from(ResourceTableError::NotPresent)), None);
        assert_eq!(exhausted(&wasmtime::format_err!("something else")), None);
    }
}
