//! From what wasmtime says to why a call ended.

use fumehood_capabilities::{Exhausted, exhausted, exit_code};
use fumehood_model::{Crash, StopReason};
use fumehood_policy::Limits;
use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::turn::Late;

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
    if let Some(exhausted) = exhausted(error) {
        return End::Stopped(match exhausted {
            Exhausted::HostCalls { allowed } => StopReason::HostCalls { allowed },
            Exhausted::HostBytes { allowed } => StopReason::HostBytes { allowed },
            Exhausted::Random { allowed } => StopReason::Random { allowed },
            Exhausted::HostMemory => StopReason::HostMemory { allowed: limits.host_memory },
            Exhausted::Handles => StopReason::Handles { allowed: limits.handles },
        });
    }
    if error.downcast_ref::<Late>().is_some() {
        return End::Stopped(StopReason::Deadline { allowed: limits.deadline() });
    }
    End::Stopped(match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => StopReason::Fuel { allowed: limits.fuel_units },
        _ if refused_memory => StopReason::Memory { allowed: limits.memory },
        Some(trap) => StopReason::Trap { crash: crash(*trap) },
        None => match exit_code(error) {
            Some(0) => StopReason::Trap { crash: Crash::Exit },
            Some(_) => StopReason::Trap { crash: Crash::ExitFailure },
            None if is_hostcall_budget(error) => StopReason::ResultTooLarge { allowed: limits.result },
            None => StopReason::Trap { crash: Crash::Value },
        },
    })
}

/// wasmtime has no type for this error; the text is checked by a test.
fn is_hostcall_budget(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| cause.to_string().contains("fuel allocated for hostcalls has been exhausted"))
}

fn crash(trap: Trap) -> Crash {
    match trap {
        Trap::StackOverflow => Crash::Stack,
        Trap::UnreachableCodeReached => Crash::Unreachable,
        Trap::MemoryOutOfBounds | Trap::HeapMisaligned => Crash::Memory,
        Trap::TableOutOfBounds => Crash::Table,
        Trap::IndirectCallToNull | Trap::BadSignature => Crash::Function,
        Trap::IntegerOverflow => Crash::Overflow,
        Trap::IntegerDivisionByZero => Crash::Division,
        Trap::BadConversionToInteger => Crash::Conversion,
        _ => Crash::Rules,
    }
}
