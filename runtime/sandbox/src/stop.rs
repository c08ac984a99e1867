//! From what wasmtime says to why a call ended.

use fumehood_capabilities::{Exhausted, exhausted, exit_code};
use fumehood_model::{Bound, Crash, StopReason};
use fumehood_policy::Limits;
use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::{limits::Held, turn::Late};

/// Why a guest ended without an answer.
pub(crate) enum End {
    /// A bound of the call, or a crash of the guest.
    Stopped(StopReason),
    /// All places were taken: nothing to do with this call.
    Full,
}

/// What `error` means for the caller of a guest that `held` so much.
pub(crate) fn reason(error: &wasmtime::Error, held: &Held, limits: &Limits) -> End {
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
        _ if held.refused == Some(Bound::TableElements) => StopReason::TableElements { allowed: limits.table_elements },
        _ if held.refused.is_some() => StopReason::Memory { allowed: limits.memory },
        Some(trap) => StopReason::Trap { crash: crash(*trap) },
        None => match exit_code(error) {
            Some(0) => StopReason::Trap { crash: Crash::Exit },
            Some(_) => StopReason::Trap { crash: Crash::ExitFailure },
            None if is_hostcall_budget(error) && held.answers && limits.result <= limits.host_memory => {
                StopReason::ResultTooLarge { allowed: limits.result }
            }
            None if is_hostcall_budget(error) => StopReason::HostMemory { allowed: limits.host_memory },
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
