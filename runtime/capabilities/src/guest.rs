use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use fumehood_model::{ByteSize, Captured};
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};

use crate::{granted::Granted, host::Host, http, output::Output};

/// Most handles (streams, pollables, …) that one call holds at a time.
///
/// Each costs about a kilobyte of host memory: this keeps them to one megabyte.
const MAX_HANDLES: usize = 1_000;

/// Most random bytes that one call of the host hands out.
const MAX_RANDOM_BYTES: u64 = 64 << 10;

/// The state of one call: what its imports work on, and what `X` the sandbox adds to it.
pub struct Guest<X> {
    wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    stdout: Output,
    stderr: Output,
    pub(crate) http: http::Outgoing,
    /// Where everything outside is asked for.
    pub(crate) host: Arc<dyn Host>,
    /// When the call is stopped.
    pub(crate) deadline: Instant,
    /// Whether its caller wants it to end.
    pub(crate) cancelled: Cancelled,
    /// What the sandbox keeps beside it.
    pub extra: X,
}

/// What a call starts with.
pub struct Setup {
    /// Bounds on what its imports hand out or keep.
    pub bounds: Bounds,
    /// What it is granted.
    pub granted: Granted,
    /// Where it asks for everything else.
    pub host: Arc<dyn Host>,
    /// When it must have ended.
    pub deadline: Instant,
    /// Tells it that its caller wants it to end.
    pub cancelled: Cancelled,
}

/// Bounds on what the imports of one call hand out or keep.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Kept of each of standard output and standard error.
    pub output: ByteSize,
}

/// Whether the caller of a call wants it to end. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct Cancelled(Arc<AtomicBool>);

impl Cancelled {
    /// Ask the call to end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<X> Guest<X> {
    /// The state of a call.
    #[must_use]
    pub fn new(setup: Setup, extra: X) -> Self {
        let Setup { bounds, granted, host, deadline, cancelled } = setup;
        let (stdout, stderr) = (Output::new(bounds.output), Output::new(bounds.output));
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(stdout.clone())
            .stderr(stderr.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(MAX_RANDOM_BYTES);
        for (name, value) in &granted.environment {
            wasi.env(name, value);
        }
        let http = http::Outgoing::new(Arc::clone(&host), deadline, http::Bounds::default());
        Self { wasi: wasi.build(), table, stdout, stderr, http, host, deadline, cancelled, extra }
    }

    /// The same with other bounds on requests to the outside.
    #[must_use]
    pub fn with_http(mut self, bounds: http::Bounds) -> Self {
        self.http = http::Outgoing::new(Arc::clone(&self.host), self.deadline, bounds);
        self
    }

    /// What the guest has printed so far: standard output, then standard error.
    #[must_use]
    pub fn captured(&self) -> (Captured, Captured) {
        (self.stdout.captured(), self.stderr.captured())
    }
}

impl<X: Send> WasiView for Guest<X> {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Offer every import that there is.
///
/// # Errors
///
/// When the linker refuses a definition, which would be a fault of ours.
pub fn link<X: Send + 'static>(linker: &mut Linker<Guest<X>>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    http::link(linker)
}

/// The status with which a guest exited, if that is what ended it.
#[must_use]
pub fn exit_code(error: &wasmtime::Error) -> Option<i32> {
    error.downcast_ref::<I32Exit>().map(|exit| exit.0)
}
