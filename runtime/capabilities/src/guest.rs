use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use fumehood_model::{ByteSize, Captured};
use fumehood_policy::Limits;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView, clocks::WasiClocksCtxView};
use wasmtime_wasi_config::WasiConfigVariables;

use crate::{
    call, clocks, config, files,
    granted::Granted,
    handed::Handed,
    host::{Ask, Host},
    http, invoke, job, keyvalue,
    listener::{Heard, Stream},
    logging::{self, Log, Logged},
    output::Output,
    random, secrets,
    still::{self, Still},
    streams,
    told::{Teller, Telling},
};

/// The state of one call: what its imports work on, and what `X` the sandbox adds to it.
pub struct Guest<X> {
    wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    stdout: Output,
    stderr: Output,
    files: files::Files,
    pub(crate) handed: Handed,
    random: random::Budget,
    /// The time that it is given, where its clocks stand still.
    pub(crate) still: Option<Arc<Still>>,
    pub(crate) config: WasiConfigVariables,
    pub(crate) keyvalue: keyvalue::State,
    pub(crate) log: Log,
    pub(crate) progress: call::Reporter,
    telling: Telling,
    pub(crate) http: http::Outgoing,
    /// Where everything outside is asked for.
    pub(crate) host: Arc<dyn Host>,
    /// When the call is stopped.
    pub(crate) deadline: Instant,
    /// Whether its caller wants it to end.
    pub(crate) cancelled: Cancelled,
    /// Who listens.
    pub(crate) heard: Heard,
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
    /// Who listens to it.
    pub heard: Heard,
}

/// Bounds on what the imports of one call hand out or keep.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Kept of each of standard output and standard error.
    pub output: ByteSize,
    /// Handed to the host by the whole call: written, logged, kept, sent.
    pub host_bytes: ByteSize,
    /// Handles (streams, descriptors, pollables, …) that are held at a time. Each costs about a kilobyte.
    pub handles: u64,
    /// Random bytes.
    pub random: ByteSize,
    /// Kept of what it logs.
    pub log: ByteSize,
    /// Of requests to the outside.
    pub http: http::Bounds,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        let Limits { output, handles, random, log, host_bytes, .. } = *limits;
        Self { output, host_bytes, handles, random, log, http: limits.into() }
    }
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
        let Setup { bounds, granted, host, deadline, cancelled, heard } = setup;
        let teller = heard.told.then(|| Teller::new(Arc::clone(&host)));
        let output = |stream| Output::new(bounds.output, teller.clone().map(|teller| (teller, stream)));
        let (stdout, stderr) = (output(Stream::Stdout), output(Stream::Stderr));
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(bounds.handles).unwrap_or(usize::MAX));
        let mut wasi = WasiCtx::builder();
        wasi.stdout(stdout.clone())
            .stderr(stderr.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(bounds.random.0);
        let still = granted.fixed.time.as_ref().map(|time| Arc::new(Still::new(time)));
        match &still {
            None => wasi.wall_clock(clocks::Wall).monotonic_clock(clocks::Monotonic(Instant::now())),
            Some(still) => {
                wasi.wall_clock(still::Wall(Arc::clone(still))).monotonic_clock(still::Monotonic(Arc::clone(still)))
            }
        };
        if let Some(seed) = granted.fixed.seed {
            wasi.insecure_random_seed(random::Seeded(seed).next().into());
        }
        for (name, value) in &granted.environment {
            wasi.env(name, value);
        }
        let files = files::Files::open(&mut wasi, granted.folders);
        let random = random::Budget::new(bounds.random, granted.fixed.seed);
        Self {
            wasi: wasi.build(),
            table,
            stdout,
            stderr,
            files,
            handed: Handed::up_to(bounds.host_bytes),
            random,
            config: config::variables(&granted.config),
            keyvalue: keyvalue::State::default(),
            log: Log::new(bounds.log, teller.clone()),
            progress: call::Reporter::new(Arc::clone(&host)),
            telling: Telling(teller),
            http: http::Outgoing::new(Arc::clone(&host), deadline, bounds.http, still.clone()),
            still,
            host,
            deadline,
            cancelled,
            heard,
            extra,
        }
    }

    /// What the guest has logged so far.
    #[must_use]
    pub fn logged(&self) -> &Logged {
        self.log.logged()
    }

    /// What went wrong around the guest that is no fault of its own.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.files.missing
    }

    /// Tell the host what the guest has told last, if that still waits: of its progress, what it logged and printed. And
    /// which quotas it used up.
    pub async fn flush(&mut self) {
        self.progress.flush().await;
        if let Some(teller) = &self.telling.0 {
            teller.flush().await;
        }
        for exhausted in self.files.exhausted() {
            self.host.ask(Ask::Spent(exhausted)).await;
        }
    }

    /// What the guest has printed so far: standard output, then standard error.
    #[must_use]
    pub fn captured(&self) -> (Captured, Captured) {
        (self.stdout.captured(), self.stderr.captured())
    }

    pub(crate) fn files(&mut self) -> files::View<'_> {
        files::View {
            ctx: self.wasi.filesystem(),
            table: &mut self.table,
            files: &mut self.files,
            handed: &mut self.handed,
        }
    }

    pub(crate) fn clocks(&mut self) -> clocks::Clocks<'_> {
        let wasi = WasiClocksCtxView { ctx: self.wasi.clocks(), table: &mut self.table };
        clocks::Clocks { wasi, still: self.still.as_ref() }
    }

    pub(crate) fn random(&mut self) -> random::Counted<'_> {
        random::Counted { source: self.wasi.random(), budget: &mut self.random }
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
    // Where ours stand in the place of theirs.
    linker.allow_shadowing(true);
    clocks::link(linker)?;
    streams::link(linker)?;
    files::link(linker)?;
    random::link(linker)?;
    linker.allow_shadowing(false);
    http::link(linker)?;
    config::link(linker)?;
    logging::link(linker)?;
    call::link(linker)?;
    secrets::link(linker)?;
    keyvalue::link(linker)?;
    invoke::link(linker)?;
    job::link(linker)
}

/// The status with which a guest exited, if that is what ended it.
#[must_use]
pub fn exit_code(error: &wasmtime::Error) -> Option<i32> {
    error.downcast_ref::<I32Exit>().map(|exit| exit.0)
}
