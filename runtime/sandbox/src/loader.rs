use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use fumehood_capabilities::{Guest, is_offered};
use fumehood_model::Digest;
use fumehood_store::{Blobs, Cache};
use fumehood_value::Interface;
use wasmtime::{
    Engine,
    component::{Component, ComponentExportIndex, InstancePre, Linker},
};

use crate::{
    background::Background,
    compiler::Compiler,
    engine::{self, Config, Yield},
    error::SandboxError,
    limiter::Limiter,
};

/// Version of what is kept of a component's description. Raise it when [`Interface`] changes.
const INTERFACE_VERSION: u32 = 3;

/// The sandbox. Cloning is cheap.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    linker: Linker<Guest<Limiter>>,
    config: Config,
    background: Background,
    compiler: Compiler,
    blobs: Blobs,
    cache: Cache,
    /// Tells caches of other engine versions, settings and processors apart.
    engine_id: String,
    /// What is ready to be called. Read without a lock on every call; replaced as a whole when something is loaded.
    ready: ArcSwap<HashMap<Digest, Arc<Slot>>>,
    loading: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    clock: AtomicU64,
}

/// A component that is ready to be instantiated. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Ready {
    pub(crate) pre: InstancePre<Guest<Limiter>>,
    pub(crate) exports: Arc<[ComponentExportIndex]>,
}

struct Slot {
    ready: Ready,
    /// When it was last called, by a counter: which to let go first.
    used: AtomicU64,
}

impl Sandbox {
    /// Set up the engine and the threads of the sandbox.
    ///
    /// # Errors
    ///
    /// When the machine does not give what the engine needs, usually address space.
    pub fn new(config: Config, compiler: Compiler, blobs: Blobs, cache: Cache) -> Result<Self, SandboxError> {
        let engine = engine::running(&config)?;
        let linker = engine::linker(&engine)?;
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let background = Background::new(threads).map_err(|error| SandboxError::Engine { source: error.into() })?;
        let engine_id = engine_id(&engine);
        let inner = Inner {
            engine,
            linker,
            config,
            background,
            compiler,
            blobs,
            cache,
            engine_id,
            ready: ArcSwap::default(),
            loading: Mutex::default(),
            clock: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What the component `digest` offers and needs, read in a child process the first time.
    ///
    /// # Errors
    ///
    /// When its bytes are not stored, or are not a component.
    pub async fn describe(&self, digest: &Digest) -> Result<Interface, SandboxError> {
        let name = interface_name(digest);
        let (cache, cached_name) = (self.inner.cache.clone(), name.clone());
        let cached = blocking(move || Ok(cache.read(&cached_name))).await?;
        if let Some(interface) = cached.and_then(|json| serde_json::from_slice(&json).ok()) {
            return Ok(interface);
        }
        let bytes = self.bytes(digest).await?;
        let interface = self.inner.compiler.describe(bytes).await?;
        let json =
            serde_json::to_vec(&interface).map_err(|error| SandboxError::Compiler { what: error.to_string() })?;
        let cache = self.inner.cache.clone();
        blocking(move || Ok(cache.put(&name, &json)?)).await?;
        Ok(interface)
    }

    /// Compile and link the component `digest` so that its next call starts at once.
    ///
    /// # Errors
    ///
    /// When it cannot be loaded: its author or operator is told why.
    pub async fn load(&self, digest: &Digest) -> Result<(), SandboxError> {
        self.ready(digest).await.map(drop)
    }

    /// Let go of a component that no module uses any more, and of what was made of it. Blocking.
    pub fn forget(&self, digest: &Digest) {
        self.inner.cache.remove(&self.code_name(digest));
        self.inner.cache.remove(&interface_name(digest));
        self.inner.ready.rcu(|ready| {
            let mut ready = HashMap::clone(ready);
            ready.remove(digest);
            ready
        });
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn yields(&self) -> Yield {
        self.inner.config.yields
    }

    pub(crate) fn background(&self) -> &Background {
        &self.inner.background
    }

    /// Advance the epoch, for [`Yield::Epoch`].
    pub fn tick(&self) {
        self.inner.engine.increment_epoch();
    }

    pub(crate) async fn ready(&self, digest: &Digest) -> Result<Ready, SandboxError> {
        if let Some(ready) = self.find(digest) {
            return Ok(ready);
        }
        // However many calls wait for the same component, one of them loads it.
        let turn = {
            let mut loading = self.inner.loading.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(loading.entry(*digest).or_default())
        };
        let guard = turn.lock().await;
        let result = match self.find(digest) {
            Some(ready) => Ok(ready),
            // On a task of its own: a caller that gives up does not throw away what others wait for.
            None => {
                let (sandbox, digest) = (self.clone(), *digest);
                tokio::spawn(async move { sandbox.load_now(&digest).await }).await.map_err(|_| SandboxError::Lost)?
            }
        };
        drop(guard);
        self.inner.loading.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
        result
    }

    fn find(&self, digest: &Digest) -> Option<Ready> {
        let ready = self.inner.ready.load();
        let slot = ready.get(digest)?;
        slot.used.store(self.inner.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(slot.ready.clone())
    }

    async fn load_now(&self, digest: &Digest) -> Result<Ready, SandboxError> {
        let interface = self.describe(digest).await?;
        if let Some(import) = interface.imports.iter().find(|import| !is_offered(import)) {
            return Err(SandboxError::UnknownImport { import: import.clone() });
        }
        let component = self.component(digest).await?;
        let ready = self.link(digest, &component, &interface)?;
        self.keep(*digest, ready.clone());
        Ok(ready)
    }

    /// The compiled component, from the cache or compiled now.
    async fn component(&self, digest: &Digest) -> Result<Component, SandboxError> {
        let name = self.code_name(digest);
        match self.cached(name.clone()).await {
            Ok(Some(component)) => return Ok(component),
            Ok(None) => {}
            // Ours, but not for this engine after all: made again below.
            Err(error) => tracing::warn!(component.digest = %digest, %error, "Cached code of {digest} is not used"),
        }
        let bytes = self.bytes(digest).await?;
        let code = self.inner.compiler.compile(bytes, self.inner.config.yields).await?;
        let (cache, put_name) = (self.inner.cache.clone(), name.clone());
        blocking(move || Ok(cache.put(&put_name, &code)?)).await?;
        self.cached(name)
            .await?
            .ok_or_else(|| SandboxError::Compiler { what: "its output is not what it wrote".to_owned() })
    }

    async fn cached(&self, name: String) -> Result<Option<Component>, SandboxError> {
        let (cache, engine) = (self.inner.cache.clone(), self.inner.engine.clone());
        blocking(move || {
            let Some(sealed) = cache.open(&name) else { return Ok(None) };
            #[expect(unsafe_code, reason = "loading compiled code; see the decision record on the compile cache")]
            // SAFETY: the seal was just checked over this very file: its bytes are what our compiler process wrote for
            // this name, in a directory that only our user can write to. wasmtime itself checks engine version,
            // settings and processor.
            let component = unsafe { Component::deserialize_file(&engine, sealed.path()) };
            // Written by our compiler yet refused by our engine: beyond what a pool slot holds, for one.
            component.map(Some).map_err(|error| SandboxError::Refused { what: format!("{error:#}") })
        })
        .await
    }

    fn link(&self, digest: &Digest, component: &Component, interface: &Interface) -> Result<Ready, SandboxError> {
        let pre = self.inner.linker.instantiate_pre(component);
        let pre = pre.map_err(|error| SandboxError::Refused { what: format!("{error:#}") })?;
        let exports = interface.functions.iter().map(|function| {
            let instance = match &function.interface {
                Some(name) => Some(component.get_export_index(None, name)?),
                None => None,
            };
            component.get_export_index(instance.as_ref(), &function.export)
        });
        let exports: Option<Arc<[_]>> = exports.collect();
        let exports = exports
            .ok_or_else(|| SandboxError::NoSuchExport { digest: *digest, export: "a described function".to_owned() })?;
        Ok(Ready { pre, exports })
    }

    fn keep(&self, digest: Digest, ready: Ready) {
        let used = self.inner.clock.fetch_add(1, Ordering::Relaxed);
        let slot = Arc::new(Slot { ready, used: AtomicU64::new(used) });
        self.inner.ready.rcu(|ready| {
            let mut ready = HashMap::clone(ready);
            ready.insert(digest, Arc::clone(&slot));
            while ready.len() > self.inner.config.loaded_components.max(1) {
                let oldest =
                    ready.iter().min_by_key(|(_, slot)| slot.used.load(Ordering::Relaxed)).map(|(digest, _)| *digest);
                let Some(oldest) = oldest else { break };
                ready.remove(&oldest);
            }
            ready
        });
    }

    fn code_name(&self, digest: &Digest) -> String {
        format!("{}.{}.cwasm", digest.hex(), self.inner.engine_id)
    }

    async fn bytes(&self, digest: &Digest) -> Result<Vec<u8>, SandboxError> {
        let (blobs, digest) = (self.inner.blobs.clone(), *digest);
        blocking(move || Ok(blobs.read(&digest)?)).await
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

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
) -> Result<T, SandboxError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| SandboxError::Lost)?
}
