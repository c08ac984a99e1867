use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Instant,
};

use fumehood_capabilities::is_offered;
use fumehood_model::Digest;
use fumehood_store::{Blobs, Cache, Sealed};
use fumehood_value::{Interface, Recipe};
use wasmtime::Engine;

use crate::{
    background::Background,
    chamber::{Chamber, Code, Ready},
    compiler::Compiler,
    engine::{self, Config},
    error::SandboxError,
    workers::{Isolated, Workers},
};

/// Version of what is kept of a component's description. Raise it when [`Interface`] changes.
const INTERFACE_VERSION: u32 = 6;

/// A component that gives another what that imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supplier {
    /// Which component it is.
    pub digest: Digest,
    /// What it gives: the name under which the other imports an interface, and the one under which this exports it.
    pub meets: Vec<(String, String)>,
}

/// The sandbox. Cloning is cheap.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

/// Where workers get components from, while the sandbox is there.
pub(crate) struct Source(Weak<Inner>);

impl Source {
    pub(crate) fn sandbox(&self) -> Option<Sandbox> {
        self.0.upgrade().map(|inner| Sandbox { inner })
    }
}

struct Inner {
    config: Config,
    compiler: Compiler,
    blobs: Blobs,
    cache: Cache,
    /// Tells caches of other engine versions, settings and processors apart.
    engine_id: String,
    /// Where trusted components run; made when the first of them is loaded.
    chamber: OnceLock<Chamber>,
    /// Where all others run.
    workers: Option<Workers>,
    loading: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

impl Sandbox {
    /// Set up the sandbox. Without `workers`, everything runs in this process: for components that are all trusted.
    ///
    /// # Errors
    ///
    /// When the machine does not give what the engine needs, usually address space.
    pub fn new(
        config: Config,
        compiler: Compiler,
        blobs: Blobs,
        cache: Cache,
        workers: Option<Workers>,
    ) -> Result<Self, SandboxError> {
        let engine_id = engine_id(&engine::compiling(config.yields)?);
        let chamber = OnceLock::new();
        let loading = Mutex::default();
        let inner = Arc::new(Inner { config, compiler, blobs, cache, engine_id, chamber, workers, loading });
        if let Some(workers) = &inner.workers {
            workers.bring_from(Source(Arc::downgrade(&inner)));
        }
        Ok(Self { inner })
    }

    /// What the component `digest` offers and needs, read in a child process the first time. One that describes its own
    /// tools is asked for them then.
    ///
    /// # Errors
    ///
    /// When its bytes are not stored, are not a component, or its lists cannot be had.
    pub async fn describe(&self, digest: &Digest) -> Result<Interface, SandboxError> {
        let mut interface = self.read(digest).await?;
        if Self::must_be_asked(&interface) {
            interface.listing = Some(self.ask(digest, &interface).await?);
            self.keep(digest, &interface).await?;
        }
        Ok(interface)
    }

    /// What can be read of the component `digest` without running it.
    async fn read(&self, digest: &Digest) -> Result<Interface, SandboxError> {
        let name = interface_name(digest);
        let cache = self.inner.cache.clone();
        let cached = blocking(move || Ok(cache.read(&name))).await?;
        if let Some(interface) = cached.and_then(|json| serde_json::from_slice(&json).ok()) {
            return Ok(interface);
        }
        let bytes = self.bytes(digest).await?;
        let interface = self.inner.compiler.describe(bytes).await?;
        self.keep(digest, &interface).await?;
        Ok(interface)
    }

    async fn keep(&self, digest: &Digest, interface: &Interface) -> Result<(), SandboxError> {
        let json = serde_json::to_vec(interface).map_err(|error| SandboxError::Compiler { what: error.to_string() })?;
        let (cache, name) = (self.inner.cache.clone(), interface_name(digest));
        blocking(move || Ok(cache.put(&name, &json)?)).await
    }

    /// One component of the component `root` and of those that give it what it imports. It is nothing but bytes: whoever wants
    /// to run it stores it first.
    ///
    /// # Errors
    ///
    /// When one of them is not stored, they do not fit, or putting them together takes too much.
    pub async fn compose(&self, root: &Digest, suppliers: Vec<Supplier>) -> Result<Vec<u8>, SandboxError> {
        let mut bytes = self.bytes(root).await?;
        let mut recipe = Recipe { root_bytes: bytes.len(), suppliers: Vec::with_capacity(suppliers.len()) };
        for Supplier { digest, meets } in suppliers {
            let supplier = self.bytes(&digest).await?;
            recipe.suppliers.push((supplier.len(), meets));
            bytes.extend_from_slice(&supplier);
        }
        self.inner.compiler.compose(recipe, bytes).await
    }

    /// Compile the component `digest` and link it where it will run, so that its next call starts at once.
    ///
    /// # Errors
    ///
    /// When it cannot be loaded: its author or operator is told why.
    pub async fn load(&self, digest: &Digest) -> Result<(), SandboxError> {
        match &self.inner.workers {
            Some(workers) => workers.load(self, digest).await,
            None => self.ready(digest).await.map(drop),
        }
    }

    /// Let go of a component that no module uses any more, and of what was made of it. Blocking.
    pub fn forget(&self, digest: &Digest) {
        self.inner.cache.remove(&self.code_name(digest));
        self.inner.cache.remove(&interface_name(digest));
        if let Some(chamber) = self.inner.chamber.get() {
            chamber.forget(digest);
        }
        if let Some(workers) = &self.inner.workers {
            workers.forget(digest);
        }
    }

    /// Say that the server is about to end: worker processes that end from now on are no failure.
    pub fn stopping(&self) {
        if let Some(workers) = &self.inner.workers {
            workers.stopping();
        }
    }

    /// How well what runs in worker processes is isolated; none if nothing does.
    ///
    /// # Errors
    ///
    /// When no worker process can be started.
    pub async fn isolation(&self) -> Result<Option<Isolated>, SandboxError> {
        match &self.inner.workers {
            Some(workers) => workers.isolation().await.map(Some),
            None => Ok(None),
        }
    }

    /// Advance the epoch of the components that run in this process, for [`crate::Yield::Epoch`].
    pub fn tick(&self) {
        if let Some(chamber) = self.inner.chamber.get() {
            chamber.engine().increment_epoch();
        }
    }

    pub(crate) fn workers(&self) -> Option<&Workers> {
        self.inner.workers.as_ref()
    }

    /// Where components run in this process.
    pub(crate) fn chamber(&self) -> Result<&Chamber, SandboxError> {
        if let Some(chamber) = self.inner.chamber.get() {
            return Ok(chamber);
        }
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let background = Background::new(threads).map_err(|error| SandboxError::Engine { source: error.into() })?;
        let chamber = Chamber::new(engine::running(&self.inner.config)?, &self.inner.config, background)?;
        Ok(self.inner.chamber.get_or_init(|| chamber))
    }

    /// The component `digest`, ready to run in this process.
    pub(crate) async fn ready(&self, digest: &Digest) -> Result<Ready, SandboxError> {
        if let Some(ready) = self.chamber()?.find(digest) {
            return Ok(ready);
        }
        let (interface, code) = self.prepare(digest).await?;
        let (chamber, digest) = (self.chamber()?.clone(), *digest);
        blocking(move || match chamber.find(&digest) {
            Some(ready) => Ok(ready),
            None => chamber.load(digest, &interface, &Code::File(code)),
        })
        .await
    }

    /// What a component needs to be loaded anywhere: what it offers, and its compiled code from the cache.
    pub(crate) async fn prepare(&self, digest: &Digest) -> Result<(Interface, Sealed), SandboxError> {
        let interface = self.read(digest).await?;
        if let Some(import) = interface.imports.iter().find(|import| !is_offered(import)) {
            return Err(SandboxError::UnknownImport { import: import.clone() });
        }
        if let Some(code) = self.cached(digest).await? {
            tracing::debug!(component = %digest, "Compiled code of component {digest} comes from the cache");
            return Ok((interface, code));
        }
        // However many calls wait for the same component, one of them compiles it. It does so on a task of its own, which
        // keeps the turn: a caller that gives up neither throws away what others wait for nor lets the next begin beside it.
        let turn = Compiling::of(self, digest);
        let guard = Arc::clone(&turn.lock).lock_owned().await;
        let sandbox = self.clone();
        let task = tokio::spawn(async move {
            let turn = turn;
            let _guard = guard;
            match sandbox.cached(&turn.digest).await? {
                Some(code) => Ok(code),
                None => sandbox.compile(&turn.digest).await,
            }
        });
        Ok((interface, task.await.map_err(|_| SandboxError::Lost)??))
    }

    async fn compile(&self, digest: &Digest) -> Result<Sealed, SandboxError> {
        let (bytes, started) = (self.bytes(digest).await?, Instant::now());
        tracing::debug!(component = %digest, size_bytes = bytes.len(), "Component {digest} is being compiled");
        let code = self.inner.compiler.compile(bytes, self.inner.config.yields).await?;
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(component = %digest, duration_ms, "Component {digest} was compiled in {duration_ms} ms");
        let (cache, name) = (self.inner.cache.clone(), self.code_name(digest));
        blocking(move || Ok(cache.put(&name, &code)?)).await?;
        self.cached(digest)
            .await?
            .ok_or_else(|| SandboxError::Compiler { what: "its output is not what it wrote".to_owned() })
    }

    fn loading(&self) -> MutexGuard<'_, HashMap<Digest, Arc<tokio::sync::Mutex<()>>>> {
        self.inner.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn cached(&self, digest: &Digest) -> Result<Option<Sealed>, SandboxError> {
        let (cache, name) = (self.inner.cache.clone(), self.code_name(digest));
        blocking(move || Ok(cache.open(&name))).await
    }

    fn code_name(&self, digest: &Digest) -> String {
        format!("{}.{}.cwasm", digest.hex(), self.inner.engine_id)
    }

    async fn bytes(&self, digest: &Digest) -> Result<Vec<u8>, SandboxError> {
        let (blobs, digest) = (self.inner.blobs.clone(), *digest);
        blocking(move || Ok(blobs.read(&digest)?)).await
    }
}

/// Whoever compiles a component, or waits for that. The last one that lets go takes the entry away.
struct Compiling {
    sandbox: Sandbox,
    digest: Digest,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl Compiling {
    fn of(sandbox: &Sandbox, digest: &Digest) -> Self {
        let lock = Arc::clone(sandbox.loading().entry(*digest).or_default());
        Self { sandbox: sandbox.clone(), digest: *digest, lock }
    }
}

impl Drop for Compiling {
    fn drop(&mut self) {
        let mut loading = self.sandbox.loading();
        // This one and the entry itself.
        if Arc::strong_count(&self.lock) == 2 {
            loading.remove(&self.digest);
        }
    }
}

fn interface_name(digest: &Digest) -> String {
    format!("{}.interface-{INTERFACE_VERSION}.json", digest.hex())
}

/// A short name for everything about an engine that compiled code depends on.
fn engine_id(engine: &Engine) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
) -> Result<T, SandboxError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| SandboxError::Lost)?
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fumehood_store::{Access, DataDirectory};

    use super::*;
    use crate::compiler::{CompilerLimits, Isolation};

    #[tokio::test]
    async fn a_caller_that_gives_up_leaves_the_turn_to_the_compiler_and_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let directory = DataDirectory::open(folder.path(), Access::Own).unwrap();
        let (blobs, cache) = (directory.blobs().unwrap(), directory.cache().unwrap());
        let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/demo/calculator.wasm")).unwrap();
        let digest = Digest::of(&bytes);
        blobs.put(&digest, &bytes).unwrap();
        let compiler = Compiler::new(Isolation::None, CompilerLimits::default());
        let sandbox = Sandbox::new(Config::default(), compiler, blobs, cache, None).unwrap();
        let turn = || sandbox.loading().get(&digest).map(|lock| lock.try_lock().is_err());

        let caller = tokio::spawn({
            let sandbox = sandbox.clone();
            async move { sandbox.prepare(&digest).await.map(drop) }
        });
        while turn() != Some(true) {
            tokio::task::yield_now().await;
        }
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());

        assert_eq!(turn(), Some(true), "the next caller waits for the same compiler");
        assert!(sandbox.cached(&digest).await.unwrap().is_none());
        while turn().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(sandbox.cached(&digest).await.unwrap().is_some());
    }
}
