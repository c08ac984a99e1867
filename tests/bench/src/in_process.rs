//! One call of `calculator.add` inside this process, JSON in and JSON out: as the product makes it, and with nothing
//! that bounds it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use fumehood_capabilities::{Cancelled, Granted, Guest, Heard, Nothing, Setup};
use fumehood_model::{ByteSize, Digest, Outcome};
use fumehood_policy::Limits;
use fumehood_sandbox::{Call, Compiler, CompilerLimits, Config, Isolation, Sandbox};
use fumehood_store::{Access, DataDirectory};
use fumehood_value::{Arguments, Plan};
use tempfile::TempDir;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, Val};
use wasmtime::{Config as EngineConfig, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

const ARGUMENTS: &[u8] = br#"{"a":2,"b":40}"#;

/// What a call starts with that is granted nothing.
pub(crate) fn nothing() -> Setup {
    Setup {
        bounds: (&Limits::default()).into(),
        granted: Granted::default(),
        host: Arc::new(Nothing),
        deadline: Instant::now() + Duration::from_secs(30),
        cancelled: Cancelled::default(),
        heard: Heard::default(),
    }
}

/// The product's call, with all its bounds.
pub(crate) struct Bounded {
    sandbox: Sandbox,
    digest: Digest,
    function: usize,
    _folder: TempDir,
}

/// The same call with nothing that bounds it: no fuel, no deadline, no limiter, no counting.
pub(crate) struct Unbounded {
    engine: Engine,
    pre: InstancePre<Guest<()>>,
    add: ComponentExportIndex,
    plan: Plan,
}

impl Bounded {
    /// Make the calculator in `bytes` ready.
    pub(crate) async fn new(bytes: &[u8]) -> Result<Self> {
        let folder = tempfile::tempdir().context("no directory")?;
        let directory = DataDirectory::open(folder.path(), Access::Own)?;
        let (blobs, cache) = (directory.blobs()?, directory.cache()?);
        let digest = Digest::of(bytes);
        blobs.put(&digest, bytes)?;
        let compiler = Compiler::new(Isolation::None, CompilerLimits::default());
        let sandbox = Sandbox::new(Config::default(), compiler, blobs, cache, None)?;
        let interface = sandbox.describe(&digest).await?;
        let function = interface.functions.iter().position(|f| f.name == "add").context("it does not add")?;
        Ok(Self { sandbox, digest, function, _folder: folder })
    }

    /// Call it.
    pub(crate) async fn call(&self) -> Result<Bytes> {
        let call = Call {
            digest: self.digest,
            function: self.function,
            arguments: Arguments::Text(Bytes::from_static(ARGUMENTS)),
            limits: Limits::default(),
            deadline: Instant::now() + Duration::from_secs(30),
            granted: Granted::default(),
            host: Arc::new(Nothing),
            heard: Heard::default(),
            trusted: true,
        };
        match self.sandbox.call(call, ()).await?.outcome {
            Outcome::Value(json) => Ok(json),
            other => Err(anyhow!("the calculator ended with {other:?}")),
        }
    }
}

impl Unbounded {
    /// Make the calculator in `bytes` ready.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self> {
        let of_engine = |error: wasmtime::Error| anyhow!("{error:#}");
        let mut config = EngineConfig::new();
        config.concurrency_support(false).allocation_strategy(pooled());
        let engine = Engine::new(&config).map_err(of_engine)?;
        let component = Component::new(&engine, bytes).map_err(of_engine)?;
        let mut linker: Linker<Guest<()>> = Linker::new(&engine);
        fumehood_capabilities::link(&mut linker).map_err(of_engine)?;
        let pre = linker.instantiate_pre(&component).map_err(of_engine)?;
        let interface = fumehood_value::describe(bytes)?;
        let function = interface.functions.iter().position(|f| f.name == "add").context("it does not add")?;
        let plan = Plan::of(&interface).swap_remove(function);
        let add = component.get_export_index(None, "add").context("it does not add")?;
        Ok(Self { engine, pre, add, plan })
    }

    /// Call it.
    pub(crate) async fn call(&self) -> Result<Bytes> {
        let of_engine = |error: wasmtime::Error| anyhow!("{error:#}");
        let input = self.plan.lower_slice(ARGUMENTS)?;
        let mut store = Store::new(&self.engine, Guest::new(nothing(), ()));
        let instance = self.pre.instantiate_async(&mut store).await.map_err(of_engine)?;
        let add = instance.get_func(&mut store, self.add).context("it does not add")?;
        let mut results = [Val::Bool(false)];
        add.call_async(&mut store, &input.0, &mut results).await.map_err(of_engine)?;
        match self.plan.lift(results.first(), ByteSize::mib(8))? {
            Outcome::Value(json) => Ok(json.into()),
            other => Err(anyhow!("the calculator ended with {other:?}")),
        }
    }
}

/// Slots for instances as the product has them.
pub(crate) fn pooled() -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::new();
    pool.linear_memory_keep_resident(1 << 20).table_keep_resident(64 << 10).pagemap_scan(Enabled::Auto);
    InstanceAllocationStrategy::Pooling(pool)
}
