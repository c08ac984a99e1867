//! Where guests run: an engine, what is linked for them, and the components that are ready.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use fumehood_capabilities::Guest;
use fumehood_model::Digest;
use fumehood_store::Sealed;
use fumehood_value::{Interface, Plan};
use wasmtime::{
    Engine,
    component::{Component, ComponentExportIndex, InstancePre, Linker},
};

use crate::{
    background::Background,
    engine::{self, Config, Yield},
    error::SandboxError,
    limits::Held,
};

/// One in the server for trusted components, one in each worker process for all others. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Chamber {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    linker: Linker<Guest<Held>>,
    yields: Yield,
    background: Background,
    most: usize,
    /// What is ready to be called. Read without a lock on every call; replaced as a whole when something is loaded.
    ready: ArcSwap<HashMap<Digest, Arc<Slot>>>,
    clock: AtomicU64,
}

/// A component that is ready to be instantiated. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Ready {
    pub(crate) pre: InstancePre<Guest<Held>>,
    pub(crate) functions: Arc<[Function]>,
}

/// One of its functions.
pub(crate) struct Function {
    pub(crate) export: ComponentExportIndex,
    pub(crate) plan: Plan,
}

struct Slot {
    ready: Ready,
    /// When it was last called, by a counter: which to let go first.
    used: AtomicU64,
}

/// Compiled code, whose seal was checked by whoever hands it over.
pub(crate) enum Code {
    /// In the cache.
    File(Sealed),
    /// On its way from the cache of another process.
    Bytes(Vec<u8>),
}

impl Chamber {
    /// A chamber around `engine`, which was made for `config`, with threads for calls that take long.
    pub(crate) fn new(engine: Engine, config: &Config, background: Background) -> Result<Self, SandboxError> {
        let linker = engine::linker(&engine)?;
        let inner = Inner {
            engine,
            linker,
            yields: config.yields,
            background,
            most: config.loaded_components.max(1),
            ready: ArcSwap::default(),
            clock: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn yields(&self) -> Yield {
        self.inner.yields
    }

    pub(crate) fn background(&self) -> &Background {
        &self.inner.background
    }

    /// The component `digest`, if it is ready.
    pub(crate) fn find(&self, digest: &Digest) -> Option<Ready> {
        let ready = self.inner.ready.load();
        let slot = ready.get(digest)?;
        slot.used.store(self.tick(), Ordering::Relaxed);
        Some(slot.ready.clone())
    }

    /// Make a component ready, and let another go if there are too many. Blocking.
    pub(crate) fn load(&self, digest: Digest, interface: &Interface, code: &Code) -> Result<Ready, SandboxError> {
        let component = self.component(code)?;
        let ready = self.link(&digest, &component, interface)?;
        let slot = Arc::new(Slot { ready: ready.clone(), used: AtomicU64::new(self.tick()) });
        self.change(|all| {
            all.insert(digest, Arc::clone(&slot));
            while all.len() > self.inner.most {
                let oldest = all.iter().min_by_key(|(_, slot)| slot.used.load(Ordering::Relaxed));
                let Some(oldest) = oldest.map(|(digest, _)| *digest) else { break };
                all.remove(&oldest);
            }
        });
        Ok(ready)
    }

    /// Let go of a component. Calls that run on it hold what they need.
    pub(crate) fn forget(&self, digest: &Digest) {
        self.change(|all| drop(all.remove(digest)));
    }

    fn change(&self, change: impl Fn(&mut HashMap<Digest, Arc<Slot>>)) {
        self.inner.ready.rcu(|all| {
            let mut all = HashMap::clone(all);
            change(&mut all);
            all
        });
    }

    fn tick(&self) -> u64 {
        self.inner.clock.fetch_add(1, Ordering::Relaxed)
    }

    fn component(&self, code: &Code) -> Result<Component, SandboxError> {
        #[expect(unsafe_code, reason = "loading compiled code; see the decision record on the compile cache")]
        // SAFETY: the seal of the code was checked when it was read from the cache: it is what our compiler process
        // wrote for this name, in a directory that only our user can write to. As a file it is the very one that was
        // checked; as bytes it came from the server over a socket that no guest can reach. wasmtime itself checks
        // engine version, settings and processor.
        let component = unsafe {
            match code {
                Code::File(sealed) => Component::deserialize_file(&self.inner.engine, sealed.path()),
                Code::Bytes(bytes) => Component::deserialize(&self.inner.engine, bytes),
            }
        };
        // Written by our compiler yet refused by our engine: beyond what a pool slot holds, for one.
        component.map_err(refused)
    }

    fn link(&self, digest: &Digest, component: &Component, interface: &Interface) -> Result<Ready, SandboxError> {
        let pre = self.inner.linker.instantiate_pre(component).map_err(refused)?;
        let functions = interface.functions.iter().zip(Plan::of(interface)).map(|(function, plan)| {
            let instance = match &function.interface {
                Some(name) => Some(component.get_export_index(None, name)?),
                None => None,
            };
            let export = component.get_export_index(instance.as_ref(), &function.export)?;
            Some(Function { export, plan })
        });
        let functions: Option<Arc<[_]>> = functions.collect();
        let functions = functions
            .ok_or_else(|| SandboxError::NoSuchExport { digest: *digest, export: "a described function".to_owned() })?;
        Ok(Ready { pre, functions })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refused(error: wasmtime::Error) -> SandboxError {
    SandboxError::Refused { what: format!("{error:#}") }
}
