//! One call of `calculator.add`, JSON in and JSON out, beside the bare wasmtime call that it is made of.

#![expect(missing_docs, reason = "criterion's macro makes a public function")]

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use fumehood_capabilities::{Cancelled, Granted, Guest, Heard, Nothing, Setup};
use fumehood_model::{ByteSize, Digest};
use fumehood_policy::Limits;
use fumehood_sandbox::{Call, Compiler, CompilerLimits, Config, Isolation, Sandbox};
use fumehood_store::{Access, DataDirectory};
use fumehood_value::{Arguments, Plan};
use tokio::runtime::Runtime;
use wasmtime::{
    Config as EngineConfig, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, Linker, Val},
};

const ARGUMENTS: &[u8] = br#"{"a":2,"b":40}"#;

/// What a call starts with that is granted nothing.
fn nothing() -> Setup {
    Setup {
        bounds: (&Limits::default()).into(),
        granted: Granted::default(),
        host: Arc::new(Nothing),
        deadline: Instant::now() + Duration::from_secs(30),
        cancelled: Cancelled::default(),
        heard: Heard::default(),
    }
}

fn calculator() -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../runtime/cli/demo/calculator.wasm");
    std::fs::read(path).expect("the prebuilt calculator is part of the repository")
}

/// The engine profile that costs least, with what every call of ours has too: fuel, WASI, an instance of its own.
fn bare(c: &mut Criterion) {
    let mut pool = PoolingAllocationConfig::new();
    pool.linear_memory_keep_resident(1 << 20).table_keep_resident(64 << 10).pagemap_scan(Enabled::Auto);
    let mut config = EngineConfig::new();
    config.consume_fuel(true).concurrency_support(false);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config).expect("the engine starts");
    let component = Component::new(&engine, calculator()).expect("the calculator compiles");
    let mut linker: Linker<Guest<()>> = Linker::new(&engine);
    fumehood_capabilities::link(&mut linker).expect("WASI links");
    let pre = linker.instantiate_pre(&component).expect("the calculator links");
    let add = component.get_export_index(None, "add").expect("the calculator adds");
    let runtime = Runtime::new().expect("tokio starts");

    c.bench_function("call/bare wasmtime, typed", |b| {
        b.to_async(&runtime).iter(|| async {
            let mut store = Store::new(&engine, Guest::new(nothing(), ()));
            store.set_fuel(1_000_000_000).expect("fuel is on");
            let instance = pre.instantiate_async(&mut store).await.expect("it instantiates");
            let add = instance.get_typed_func::<(f64, f64), (f64,)>(&mut store, &add).expect("add takes two floats");
            add.call_async(&mut store, (2.0, 40.0)).await.expect("add answers")
        });
    });
}

fn ours(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let directory = DataDirectory::open(folder.path(), Access::Own).expect("a fresh data directory");
    let (blobs, cache) = (directory.blobs().expect("blobs"), directory.cache().expect("cache"));
    let bytes = calculator();
    let digest = Digest::of(&bytes);
    blobs.put(&digest, &bytes).expect("the component is kept");
    let runtime = Runtime::new().expect("tokio starts");
    let compiler = Compiler::new(Isolation::None, CompilerLimits::default());
    let sandbox = Sandbox::new(Config::default(), compiler, blobs, cache, None).expect("the sandbox starts");
    let interface = runtime.block_on(sandbox.describe(&digest)).expect("the calculator is a component");
    let function = interface.functions.iter().position(|f| f.name == "add").expect("the calculator adds");
    let limits = Limits::default();

    c.bench_function("call/in process, JSON in and out, all bounds on", |b| {
        b.to_async(&runtime).iter(|| async {
            let call = Call {
                digest,
                function,
                arguments: Arguments::Text(Bytes::from_static(ARGUMENTS)),
                limits,
                deadline: Instant::now() + Duration::from_secs(30),
                granted: Granted::default(),
                host: Arc::new(Nothing),
                heard: Heard::default(),
                trusted: true,
            };
            sandbox.call(call, ()).await.expect("the call takes place")
        });
    });
}

/// The same call, JSON in and JSON out, with nothing that bounds it: no fuel, no deadline, no limiter, no counting.
fn unbounded(c: &mut Criterion) {
    let mut pool = PoolingAllocationConfig::new();
    pool.linear_memory_keep_resident(1 << 20).table_keep_resident(64 << 10).pagemap_scan(Enabled::Auto);
    let mut config = EngineConfig::new();
    config.concurrency_support(false);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config).expect("the engine starts");
    let bytes = calculator();
    let component = Component::new(&engine, &bytes).expect("the calculator compiles");
    let mut linker: Linker<Guest<()>> = Linker::new(&engine);
    fumehood_capabilities::link(&mut linker).expect("WASI links");
    let pre = linker.instantiate_pre(&component).expect("the calculator links");
    let interface = fumehood_value::describe(&bytes).expect("the calculator is a component");
    let function = interface.functions.iter().position(|f| f.name == "add").expect("the calculator adds");
    let plan = Plan::of(&interface).swap_remove(function);
    let add = component.get_export_index(None, "add").expect("the calculator adds");
    let runtime = Runtime::new().expect("tokio starts");

    c.bench_function("call/in process, JSON in and out, no bounds", |b| {
        b.to_async(&runtime).iter(|| async {
            let input = plan.lower_slice(ARGUMENTS).expect("the arguments fit");
            let mut store = Store::new(&engine, Guest::new(nothing(), ()));
            let instance = pre.instantiate_async(&mut store).await.expect("it instantiates");
            let add = instance.get_func(&mut store, add).expect("the calculator adds");
            let mut results = [Val::Bool(false)];
            add.call_async(&mut store, &input.0, &mut results).await.expect("add answers");
            plan.lift(results.first(), ByteSize::mib(8)).expect("the answer is JSON")
        });
    });
}

criterion_group!(benches, bare, unbounded, ours);
criterion_main!(benches);
