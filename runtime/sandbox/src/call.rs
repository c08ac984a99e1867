use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fumehood_capabilities::{Bounds, Cancelled, Granted, Guest, Nothing, Setup};
use fumehood_model::{Captured, Digest, Outcome, StopReason, Stopped, Usage};
use fumehood_policy::Limits;
use fumehood_value::{Input, LiftError, Plan};
use wasmtime::{Store, component::Val};

use crate::{
    engine::Yield,
    error::SandboxError,
    limiter::Limiter,
    loader::{Ready, Sandbox},
    stop::{End, reason},
};

/// Fuel after which a call lets others run.
///
/// About a tenth of a millisecond: a call that loops costs a neighbour no more than that for each turn, and a deadline
/// is missed by no more than that for each call that is running. `cargo bench -p fumehood-bench --bench yields`
/// measures what it costs.
pub(crate) const SLICE: u64 = 200_000;

/// Most handles that a guest and the host exchange in one call.
const MAX_COMPONENT_HANDLES: usize = 1_000;

/// Host memory that the values of one answer may take while they become JSON, for each byte of JSON allowed.
///
/// A byte of a `list<u8>` is a value of its own on its way: 32 times its size, of which base64 gives back a quarter.
const VALUE_BYTES_FOR_BYTES: usize = 24;

/// One call, complete in itself.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which component.
    pub digest: Digest,
    /// Which of its functions, as its position in `Interface::functions`.
    pub function: usize,
    /// How its arguments and answer are converted.
    pub plan: Plan,
    /// The checked arguments.
    pub input: Input,
    /// What it may use.
    pub limits: Limits,
    /// When it must have ended.
    pub deadline: Instant,
}

/// How a call ended, and what it used.
#[derive(Debug)]
pub struct Finished {
    /// Its outcome, as JSON text.
    pub outcome: Outcome<Bytes>,
    /// What it used; the duration is that of the sandbox alone.
    pub usage: Usage,
    /// What it wrote to standard output.
    pub stdout: Captured,
    /// What it wrote to standard error.
    pub stderr: Captured,
}

impl Sandbox {
    /// Run one call to its end, and drop `place` only when nothing of the call is left.
    ///
    /// Whoever counts calls hands in what stands for one: a call that is dropped may hold its memory until its current
    /// slice ends, and must be counted for as long.
    ///
    /// # Errors
    ///
    /// When the component cannot be loaded or there is no place. Whatever the guest does is an [`Outcome`].
    ///
    /// # Cancellation
    ///
    /// Dropping the future stops the guest, at the latest when its current slice ends.
    pub async fn call(&self, call: Call, place: impl Send + 'static) -> Result<Finished, SandboxError> {
        let started = Instant::now();
        let digest = call.digest;
        let Some(ready) = within(call.deadline, self.ready(&digest)).await else {
            return Ok(Finished::stopped(StopReason::Deadline { allowed: call.limits.deadline() }, started));
        };
        let ready = ready?;
        let engine = self.engine();
        let yields = self.yields();
        let mut running = Box::pin(run(engine.clone(), ready, call, yields, started, place));
        // Most calls end within their first slice, here and now.
        if let Poll::Ready(finished) = poll_fn(|cx| Poll::Ready(running.as_mut().poll(cx))).await {
            return finished;
        }
        self.background().run(running).await?
    }
}

impl Finished {
    fn stopped(reason: StopReason, started: Instant) -> Self {
        let usage = Usage { duration_us: micros(started.elapsed()), ..Usage::default() };
        Self {
            outcome: Outcome::Stopped(Stopped { reason }),
            usage,
            stdout: Captured::default(),
            stderr: Captured::default(),
        }
    }
}

async fn run(
    engine: wasmtime::Engine,
    ready: Ready,
    call: Call,
    yields: Yield,
    started: Instant,
    // Dropped after the store, also when this future is dropped before its end.
    _place: impl Send,
) -> Result<Finished, SandboxError> {
    let limits = call.limits;
    let limiter = Limiter::new(limits.memory.0, limits.table_elements);
    let setup = Setup {
        bounds: Bounds { output: limits.output, handles: limits.handles, random: limits.random },
        granted: Granted::default(),
        host: std::sync::Arc::new(Nothing),
        deadline: call.deadline,
        cancelled: Cancelled::default(),
    };
    let mut store = Store::new(&engine, Guest::new(setup, limiter));
    prepare(&mut store, &call, yields).map_err(|source| SandboxError::Engine { source })?;

    let answer = within(call.deadline, invoke(&mut store, &ready, &call)).await;

    let fuel_units = limits.fuel_units.saturating_sub(store.get_fuel().unwrap_or(0));
    let memory_bytes = store.data().extra.peak_bytes();
    let (stdout, stderr) = store.data().captured();
    let outcome = match answer {
        None => stopped(StopReason::Deadline { allowed: limits.deadline() }),
        Some(Ok(value)) => lifted(&call, value.as_ref()),
        Some(Err(error)) => match reason(&error, store.data().extra.refused, &limits) {
            End::Full => return Err(SandboxError::Full),
            End::Stopped(reason) => {
                tracing::debug!(
                    component.digest = %call.digest, reason = %reason, blame = "guest", error = format!("{error:?}"),
                    "A guest was stopped"
                );
                stopped(reason)
            }
        },
    };
    let usage = Usage { fuel_units, memory_bytes, duration_us: micros(started.elapsed()) };
    Ok(Finished { outcome, usage, stdout, stderr })
}

fn prepare(store: &mut Store<Guest<Limiter>>, call: &Call, yields: Yield) -> wasmtime::Result<()> {
    store.limiter(|guest| &mut guest.extra);
    store.set_fuel(call.limits.fuel_units)?;
    match yields {
        Yield::Fuel(slice) => store.fuel_async_yield_interval(Some(slice))?,
        Yield::Epoch => store.epoch_deadline_async_yield_and_update(1),
    }
    store.set_max_component_handles(MAX_COMPONENT_HANDLES);
    store.set_hostcall_fuel(value_budget(call));
    Ok(())
}

/// Host memory that values handed over by the guest may take at a time.
fn value_budget(call: &Call) -> usize {
    let host_memory = call.limits.host_memory.as_usize();
    if call.plan.returns_bytes() {
        return host_memory.max(call.limits.result.as_usize().saturating_mul(VALUE_BYTES_FOR_BYTES));
    }
    host_memory
}

async fn invoke(store: &mut Store<Guest<Limiter>>, ready: &Ready, call: &Call) -> wasmtime::Result<Option<Val>> {
    let instance = ready.pre.instantiate_async(&mut *store).await?;
    let export = &ready.exports[call.function];
    let function = instance.get_func(&mut *store, export).ok_or_else(|| wasmtime::format_err!("no such export"))?;
    let mut results = [Val::Bool(false)];
    let results = if call.plan.has_result() { &mut results[..] } else { &mut results[..0] };
    function.call_async(&mut *store, &call.input.0, results).await?;
    Ok(results.first_mut().map(|value| std::mem::replace(value, Val::Bool(false))))
}

fn lifted(call: &Call, value: Option<&Val>) -> Outcome<Bytes> {
    match call.plan.lift(value, call.limits.result) {
        Ok(Outcome::Value(json)) => Outcome::Value(json.into()),
        Ok(Outcome::ToolError(json)) => Outcome::ToolError(json.into()),
        Ok(Outcome::Stopped(why)) => Outcome::Stopped(why),
        Err(LiftError::TooLarge { allowed }) => stopped(StopReason::ResultTooLarge { allowed }),
        Err(error) => {
            tracing::error!(component.digest = %call.digest, %error, blame = "host", "An answer could not be written as JSON");
            stopped(StopReason::Trap { what: "what it handed over was not a valid value of its type" })
        }
    }
}

fn stopped(reason: StopReason) -> Outcome<Bytes> {
    Outcome::Stopped(Stopped { reason })
}

/// The output of `work`, or nothing if it is not there by `deadline`.
///
/// The clock is read on every turn: a timer alone fires late when threads are busy with guests. The timer is made only
/// when the work first has to wait, which most calls never do.
async fn within<T>(deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut timer: Option<Pin<Box<tokio::time::Sleep>>> = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if Instant::now() >= deadline {
            return Poll::Ready(None);
        }
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
