//! From what wasmtime says to why a call ended.

use fumehood_capabilities::exit_code;
use fumehood_model::StopReason;
use fumehood_policy::Limits;
use wasmtime::{PoolConcurrencyLimitError, Trap};

/// Why a guest ended without an answer.
pub(crate) enum End {
    /// A bound of the call, or a crash of the guest.
    Stopped(StopReason),
    /// All places were taken: nothing to do with this call.
    Full,
}

/// What `error` means for the caller. `refused_memory` tells whether the guest had asked for more than it may have.
pub(crate) fn reason(error: &wasmtime::Error, refused_memory: bool, limits: &Limits) -> End {
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return End::Full;
    }
    End::Stopped(match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => StopReason::Fuel { allowed: limits.fuel_units },
        _ if refused_memory => StopReason::Memory { allowed: limits.memory },
        Some(trap) => StopReason::Trap { what: phrase(*trap) },
        None => match exit_code(error) {
            Some(0) => StopReason::Trap { what: "it exited before it answered" },
            Some(_) => StopReason::Trap { what: "it exited with a failure before it answered" },
            None if is_hostcall_budget(error) => StopReason::ResultTooLarge { allowed: limits.result },
            None => StopReason::Trap { what: "what it handed over was not a valid value of its type" },
        },
    })
}

/// wasmtime has no type for this error; the text is checked by a test.
fn is_hostcall_budget(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| cause.to_string().contains("fuel allocated for hostcalls has been exhausted"))
}

fn phrase(trap: Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "it ran out of stack, usually by endless recursion",
        Trap::UnreachableCodeReached => "it panicked or reached code that it declared unreachable",
        Trap::MemoryOutOfBounds | Trap::HeapMisaligned => "it accessed memory out of bounds",
        Trap::TableOutOfBounds => "it accessed a table out of bounds",
        Trap::IndirectCallToNull | Trap::BadSignature => "it called a function that is not there",
        Trap::IntegerOverflow => "an integer overflowed",
        Trap::IntegerDivisionByZero => "it divided by zero",
        Trap::BadConversionToInteger => "it converted a float that no integer can hold",
        _ => "it broke the rules of WebAssembly",
    }
}
