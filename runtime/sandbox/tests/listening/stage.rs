//! The guest `long-work`, ready to be called inside the server and in a worker process, and who listens.

use std::{
    future::{Future, ready},
    path::{Path, PathBuf},
    pin::Pin,
    process::Command,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use fumehood_capabilities::{
    About, Ask, Desk, Granted, Heard, Host, Invoke, Listener, Nothing, Reply, Together, Told, Witness,
    call::Progress,
    http::Egress,
    invoke::{Permitted, Refused, Response},
    keyvalue::Buckets,
    secrets::Safe,
};
use fumehood_model::{ByteSize, Digest, ModuleName};
use fumehood_policy::{Grant, Limits};
use fumehood_sandbox::{Call, Compiler, CompilerLimits, Config, Finished, Isolation, Sandbox, Settings, Workers};
use fumehood_store::{Access, DataDirectory, Secrets};
use fumehood_value::{Arguments, Interface};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// Longest that any call may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a call runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    Server,
    Worker,
}

impl Where {
    pub(crate) const BOTH: [Self; 2] = [Self::Server, Self::Worker];
}

/// Everything around a call.
pub(crate) struct Stage {
    sandbox: Sandbox,
    desk: Desk,
    secrets: Secrets,
    digest: Digest,
    interface: OnceCell<Interface>,
    _data: TempDir,
}

impl Stage {
    /// A stage of its own; nothing, and loud words, on a machine that cannot build the guest.
    pub(crate) fn new() -> Option<Self> {
        let component = std::fs::read(long_work()?).unwrap();
        let data = tempfile::tempdir().unwrap();
        let directory = DataDirectory::open(data.path(), Access::Own).unwrap();
        let (blobs, cache, database) =
            (directory.blobs().unwrap(), directory.cache().unwrap(), directory.database().unwrap());
        let digest = Digest::of(&component);
        blobs.put(&digest, &component).unwrap();
        let config = Config::default();
        let settings = Settings {
            program: std::env::current_exe().unwrap(),
            arguments: ["--ignored", "--exact", "worker", "--test-threads=1"].map(str::to_owned).into(),
            processes: 1,
            recycle_after: 1_000,
            max_answer: ByteSize::mib(16),
            require: false,
        };
        let workers = Workers::new(config.clone(), settings);
        let compiler = Compiler::new(Isolation::None, CompilerLimits::default());
        let sandbox = Sandbox::new(config, compiler, blobs, cache, Some(workers)).unwrap();
        let secrets = directory.secrets(&database);
        let desk = Desk {
            http: Egress::new(&fumehood_capabilities::http::Config::default()).unwrap(),
            keyvalue: Buckets::new(database),
            secrets: Safe::new(secrets.clone()),
        };
        Some(Self { sandbox, desk, secrets, digest, interface: OnceCell::new(), _data: data })
    }

    /// Set a secret that the guest may read.
    pub(crate) fn set_secret(&self, name: &str, value: &str) {
        self.secrets.set(name, value, "test").unwrap();
    }

    /// Call `function` while `ear` listens.
    pub(crate) async fn call(&self, at: Where, function: &str, arguments: &str, limits: Limits, ear: &Ear) -> Finished {
        let visit = self.desk.visit(About {
            module: "long-work".parse().unwrap(),
            grants: Arc::new([Grant::Secret("TOKEN".into())]),
            limits,
            deadline: Instant::now() + PATIENCE,
            together: Together::default(),
            witness: Arc::new(Blind),
            invoke: Arc::new(Alone),
            listener: Some(Arc::new(ear.clone())),
        });
        let finished = self.run(at, function, arguments, limits, visit.clone(), visit.heard()).await;
        visit.over();
        finished
    }

    /// Call `function` with a host that grants nothing; also how often it was asked for something.
    pub(crate) async fn call_alone(
        &self,
        at: Where,
        function: &str,
        arguments: &str,
        heard: Heard,
    ) -> (Finished, usize) {
        let host = Arc::new(Counting(AtomicUsize::new(0)));
        let finished = self.run(at, function, arguments, Limits::default(), host.clone(), heard).await;
        (finished, host.0.load(Ordering::SeqCst))
    }

    /// Call `function` inside the server, with a host that fails.
    pub(crate) async fn call_failing(&self, function: &str, arguments: &str, heard: Heard) -> Finished {
        self.run(Where::Server, function, arguments, Limits::default(), Arc::new(Panicking), heard).await
    }

    async fn run(
        &self,
        at: Where,
        function: &str,
        arguments: &str,
        limits: Limits,
        host: Arc<dyn Host>,
        heard: Heard,
    ) -> Finished {
        let describe = async || self.sandbox.describe(&self.digest).await.unwrap();
        let interface = self.interface.get_or_init(describe).await;
        let call = Call {
            digest: self.digest,
            function: interface.functions.iter().position(|known| known.name == function).unwrap(),
            arguments: Arguments::Text(arguments.to_owned().into()),
            limits,
            deadline: Instant::now() + PATIENCE,
            granted: Granted::default(),
            host,
            heard,
            trusted: at == Where::Server,
        };
        self.sandbox.call(call, ()).await.unwrap()
    }
}

/// Listens, and keeps all that it hears.
#[derive(Clone)]
pub(crate) struct Ear {
    attempt: Option<u32>,
    /// Whether what it is to keep is refused.
    has_lost: bool,
    kept: Arc<Mutex<Option<Bytes>>>,
    heard: Arc<Mutex<Overheard>>,
}

#[derive(Default)]
struct Overheard {
    progress: Vec<Progress>,
    told: Vec<Vec<Told>>,
}

impl Ear {
    /// Who listens to an attempt of a job.
    pub(crate) fn new(attempt: u32) -> Self {
        Self { attempt: Some(attempt), has_lost: false, kept: Arc::default(), heard: Arc::default() }
    }

    /// Who listens to a call that is no job, for its progress.
    pub(crate) fn of_a_direct_call() -> Self {
        Self { attempt: None, ..Self::new(1) }
    }

    pub(crate) fn that_lost_its_job(self) -> Self {
        Self { has_lost: true, ..self }
    }

    /// Who listens to the next attempt of the same job.
    pub(crate) fn next_attempt(&self) -> Self {
        Self { attempt: self.attempt.map(|attempt| attempt + 1), heard: Arc::default(), ..self.clone() }
    }

    /// What was kept last.
    pub(crate) fn state(&self) -> Option<Bytes> {
        self.kept.lock().unwrap().clone()
    }

    /// All progress that was told.
    pub(crate) fn progress(&self) -> Vec<Progress> {
        self.heard.lock().unwrap().progress.clone()
    }

    /// All that was logged and printed, as it came.
    pub(crate) fn batches(&self) -> Vec<Vec<Told>> {
        self.heard.lock().unwrap().told.clone()
    }
}

impl Listener for Ear {
    fn progress(&self, progress: Progress) {
        self.heard.lock().unwrap().progress.push(progress);
    }

    fn wants_told(&self) -> bool {
        self.attempt.is_some()
    }

    fn told(&self, told: Vec<Told>) {
        self.heard.lock().unwrap().told.push(told);
    }

    fn attempt(&self) -> Option<u32> {
        self.attempt
    }

    fn checkpoint(&self, state: Bytes) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        if !self.has_lost {
            *self.kept.lock().unwrap() = Some(state);
        }
        Box::pin(ready(!self.has_lost))
    }

    fn resumed(&self) -> Option<Bytes> {
        self.state()
    }
}

/// Counts what it is asked, and grants nothing.
struct Counting(AtomicUsize);

impl Host for Counting {
    fn ask(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Reply> + Send + '_>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Nothing.ask(ask)
    }
}

/// Thinks for a moment, and fails.
struct Panicking;

impl Host for Panicking {
    fn ask(&self, _: Ask) -> Pin<Box<dyn Future<Output = Reply> + Send + '_>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            panic!("our own fault")
        })
    }
}

struct Blind;

impl Witness for Blind {
    fn note(&self, _: &ModuleName, _: &Grant, _: bool) {}

    fn secret_not_set(&self, _: &ModuleName, _: &str) {}

    fn reached(&self, _: &ModuleName, _: &fumehood_model::Reached, _: &str) {}
}

struct Alone;

impl Invoke for Alone {
    fn invoke(&self, _: Permitted) -> Pin<Box<dyn Future<Output = Result<Response, Refused>> + Send + '_>> {
        Box::pin(ready(Err(Refused::NotFound)))
    }
}

/// The component of the guest, built from its sources on first use.
fn long_work() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    let target = "wasm32-wasip2";
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/long-work");
    // Where the tests from outside build it too.
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("guests");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--locked", "--quiet", "--target", target, "--target-dir"]).arg(&built);
    // What was set for the outer build is not meant for guests.
    cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let output = cargo.current_dir(sources).output().unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    if talk.contains(&format!("`{target}` target may not be installed")) {
        eprintln!("SKIPPED: calls that are listened to, because the target {target} is missing");
        return None;
    }
    assert!(output.status.success(), "{talk}");
    Some(built.join(target).join("release/long_work_guest.wasm"))
}
