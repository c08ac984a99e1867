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
use wasmtime_wasi_config::WasiConfigVariables;

use crate::{
    call, config,
    granted::Granted,
    host::Host,
    invoke, keyvalue,
    logging::{self, Log, Logged},
    output::Output,
    secrets,
};

/// Most handles (streams, pollables, …) that one call holds at a time.
///
/// Each costs about a kilobyte of host memory: this keeps them to one megabyte.
const MAX_HANDLES: usize = 1_000;

/// Most random bytes that one call of the host hands out.
const MAX_RANDOM_BYTES: u64 = 64 << 10;

/// Kept of what a guest logs, unless [`Guest::with_log`] says otherwise: as much as of what it prints.
const LOG: ByteSize = ByteSize::kib(64);

/// The state of one call: what its imports work on, and what `X` the sandbox adds to it.
pub struct Guest<X> {
    wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    stdout: Output,
    stderr: Output,
    pub(crate) config: WasiConfigVariables,
    pub(crate) keyvalue: keyvalue::State,
    pub(crate) log: Log,
    pub(crate) progress: call::Reporter,
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
        Self {
            wasi: wasi.build(),
            table,
            stdout,
            stderr,
            config: config::variables(&granted.config),
            keyvalue: keyvalue::State::default(),
            log: Log::new(LOG),
            progress: call::Reporter::new(Arc::clone(&host)),
            host,
            deadline,
            cancelled,
            extra,
        }
    }

    /// The same with another bound on what it logs.
    #[must_use]
    pub fn with_log(mut self, most: ByteSize) -> Self {
        self.log = Log::new(most);
        self
    }

    /// What the guest has logged so far.
    #[must_use]
    pub fn logged(&self) -> &Logged {
        self.log.logged()
    }

    /// Tell the host what the guest has told last of its progress, if that still waits.
    pub async fn flush_progress(&mut self) {
        self.progress.flush().await;
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
    config::link(linker)?;
    logging::link(linker)?;
    call::link(linker)?;
    secrets::link(linker)?;
    keyvalue::link(linker)?;
    invoke::link(linker)
}

/// The status with which a guest exited, if that is what ended it.
#[must_use]
pub fn exit_code(error: &wasmtime::Error) -> Option<i32> {
    error.downcast_ref::<I32Exit>().map(|exit| exit.0)
}
