//! One call in a chamber, from its arguments to its outcome.

use std::{
    future::{Future, poll_fn},
    task::Poll,
    time::Instant,
};

use bytes::Bytes;
use fumehood_capabilities::{Cancelled, Guest, Setup};
use fumehood_model::{Crash, Outcome, StopReason, Stopped, Usage};
use fumehood_policy::Limits;
use fumehood_value::{Input, LiftError, Plan};
use wasmtime::{Engine, Store, component::Val};

use crate::{
    call::{Call, Finished, Said, micros},
    chamber::{Chamber, Ready},
    engine::Yield,
    error::SandboxError,
    limits::Held,
    stop::{End, reason},
    trace::frames,
    turn::{Passage, Turn},
};

/// Fuel after which a call lets others run.
///
/// About a tenth of a millisecond: a call that loops costs a neighbour no more than that for each turn, and a deadline
/// is missed by no more than that for each call that is running. `cargo bench -p fumehood-bench --bench yields`
/// measures what it costs.
pub(crate) const SLICE: u64 = 200_000;

/// Host memory that the values of one answer may take while they become JSON, for each byte of JSON allowed.
///
/// A byte of a `list<u8>` is a value of its own on its way: 32 times its size, of which base64 gives back a quarter.
const VALUE_BYTES_FOR_BYTES: usize = 24;

/// Longest sentence of the engine that is kept, in characters.
const MOST_CAUSE: usize = 300;

/// Longest that the last word of a call, about its progress or by its guest, may take.
const LAST_WORD: std::time::Duration = std::time::Duration::from_millis(100);

impl Chamber {
    /// Run `call` on the component that is `ready`, and drop `place` only when nothing of the call is left.
    ///
    /// # Cancellation
    ///
    /// Dropping the future asks the guest to end, and stops it soon after.
    pub(crate) async fn run(
        &self,
        ready: Ready,
        call: Call,
        place: impl Send + 'static,
    ) -> Result<Finished, SandboxError> {
        let (started, digest) = (Instant::now(), call.digest);
        let cancelled = Cancelled::default();
        let mut running = Box::pin(self.start(ready, call, cancelled.clone(), place)?);
        // Most calls end within their first slice, here and now.
        if let Poll::Ready(finished) = poll_fn(|cx| Poll::Ready(running.as_mut().poll(cx))).await {
            return finished;
        }
        self.background().run(running, cancelled).await.unwrap_or_else(|| {
            tracing::error!(component = %digest, blame = "host", "A call was lost because the server panicked in it");
            // As when a worker process dies: the guest had begun, and what it has done by then is done.
            Ok(Finished::stopped(StopReason::Trap { crash: Crash::Process }, started))
        })
    }

    /// The call as a future that does nothing until it is polled; its arguments are checked now.
    pub(crate) fn start<P: Send + 'static>(
        &self,
        ready: Ready,
        call: Call,
        cancelled: Cancelled,
        place: P,
    ) -> Result<impl Future<Output = Result<Finished, SandboxError>> + Send + 'static + use<P>, SandboxError> {
        let started = Instant::now();
        let function = ready.functions.get(call.function);
        let plan = function.ok_or(SandboxError::Lost)?.plan.clone();
        let input = plan.accept(call.arguments)?;
        let setup = Setup {
            bounds: (&call.limits).into(),
            granted: call.granted,
            host: call.host,
            deadline: call.deadline,
            cancelled,
            heard: call.heard,
        };
        let work = Work {
            engine: self.engine().clone(),
            yields: self.yields(),
            function: call.function,
            ready,
            plan,
            input,
            limits: call.limits,
            deadline: call.deadline,
            started,
        };
        Ok(work.run(setup, place))
    }
}

/// Everything that a running call works with.
struct Work {
    engine: Engine,
    yields: Yield,
    function: usize,
    ready: Ready,
    plan: Plan,
    input: Input,
    limits: Limits,
    deadline: Instant,
    started: Instant,
}

impl Work {
    async fn run(
        self,
        setup: Setup,
        // Dropped after the store, also when this future is dropped before its end.
        _place: impl Send,
    ) -> Result<Finished, SandboxError> {
        let limits = &self.limits;
        let mut store = Store::new(&self.engine, Guest::new(setup, Held::new(limits)));
        let turn = Turn::first(self.started);
        self.prepare(&mut store, turn.clone()).map_err(|source| SandboxError::Engine { source })?;

        let answer = turn.within(self.deadline, self.invoke(&mut store)).await;

        let fuel_units = limits.fuel_units.saturating_sub(store.get_fuel().unwrap_or(0));
        let memory_bytes = store.data().extra.peak_bytes();
        let (stdout, stderr) = store.data().captured();
        let logged = store.data().logged().clone();
        let mut said = Said { stdout, stderr, logged, trace: None, faults: store.data().faults().to_vec() };
        // What is told last is told also when the guest was too quick for its turn.
        let _ = tokio::time::timeout(LAST_WORD, store.data_mut().flush()).await;
        let outcome = match answer {
            None => stopped(StopReason::Deadline { allowed: limits.deadline() }),
            Some(Ok(value)) => self.lifted(value.as_ref(), &mut said.faults),
            Some(Err(error)) => match reason(&error, &store.data().extra, limits) {
                End::Full => return Err(SandboxError::Full),
                End::Stopped(reason) => {
                    if matches!(reason, StopReason::Trap { .. }) {
                        said.trace = Some(trace(&error));
                    }
                    stopped(reason)
                }
            },
        };
        let usage = Usage { fuel_units, memory_bytes, duration_us: micros(self.started.elapsed()) };
        Ok(Finished { outcome, usage, said })
    }

    fn prepare(&self, store: &mut Store<Guest<Held>>, turn: Turn) -> wasmtime::Result<()> {
        store.limiter(|guest| &mut guest.extra);
        store.set_fuel(self.limits.fuel_units)?;
        match self.yields {
            Yield::Fuel(slice) => store.fuel_async_yield_interval(Some(slice))?,
            Yield::Epoch => store.epoch_deadline_async_yield_and_update(1),
        }
        let (passing, answering) = (self.limits.host_memory.as_usize(), self.value_budget());
        store.call_hook_async(Passage { turn, deadline: self.deadline, passing, answering });
        store.set_max_component_handles(usize::try_from(self.limits.handles).unwrap_or(usize::MAX));
        store.set_hostcall_fuel(passing);
        Ok(())
    }

    /// Host memory that values handed over by the guest may take at a time.
    fn value_budget(&self) -> usize {
        let host_memory = self.limits.host_memory.as_usize();
        if self.plan.returns_bytes() {
            return host_memory.max(self.limits.result.as_usize().saturating_mul(VALUE_BYTES_FOR_BYTES));
        }
        host_memory
    }

    async fn invoke(&self, store: &mut Store<Guest<Held>>) -> wasmtime::Result<Option<Val>> {
        let instance = self.ready.pre.instantiate_async(&mut *store).await?;
        let export = &self.ready.functions[self.function].export;
        let function = instance.get_func(&mut *store, export).ok_or_else(|| wasmtime::format_err!("no such export"))?;
        let mut results = [Val::Bool(false)];
        let results = if self.plan.has_result() { &mut results[..] } else { &mut results[..0] };
        function.call_async(&mut *store, &self.input.0, results).await?;
        Ok(results.first_mut().map(|value| std::mem::replace(value, Val::Bool(false))))
    }

    fn lifted(&self, value: Option<&Val>, faults: &mut Vec<String>) -> Outcome<Bytes> {
        match self.plan.lift(value, self.limits.result) {
            Ok(Outcome::Value(json)) => Outcome::Value(json.into()),
            Ok(Outcome::ToolError(json)) => Outcome::ToolError(json.into()),
            Ok(Outcome::Stopped(why)) => Outcome::Stopped(why),
            Err(LiftError::TooLarge { allowed }) => stopped(StopReason::ResultTooLarge { allowed }),
            Err(error) => {
                faults.push(format!("its answer could not be written as JSON: {error}"));
                stopped(StopReason::Trap { crash: Crash::Value })
            }
        }
    }
}

/// What the engine says and where the guest was, for the operator.
fn trace(error: &wasmtime::Error) -> String {
    // The outermost cause is the place, which is written below it.
    let cause = error.root_cause().to_string();
    let cause = cause.lines().next().unwrap_or_default();
    let cause: String = cause.chars().take(MOST_CAUSE).collect();
    frames(error).map_or_else(|| cause.clone(), |frames| format!("{cause}\n{frames}"))
}

fn stopped(reason: StopReason) -> Outcome<Bytes> {
    Outcome::Stopped(Stopped { reason })
}
