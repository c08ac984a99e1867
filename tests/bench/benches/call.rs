//! One call of `calculator.add`, JSON in and JSON out, beside the bare wasmtime call that it is made of.

#![expect(missing_docs, reason = "criterion's macro makes a public function")]

#[path = "../src/in_process.rs"]
mod in_process;

use std::path::PathBuf;

use criterion::{Criterion, criterion_group, criterion_main};
use fumehood_capabilities::Guest;
use tokio::runtime::Runtime;
use wasmtime::{
    Config, Engine, Store,
    component::{Component, Linker},
};

use crate::in_process::{Bounded, Unbounded, nothing, pooled};

fn calculator() -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../runtime/cli/demo/calculator.wasm");
    std::fs::read(path).expect("the prebuilt calculator is part of the repository")
}

/// The engine profile that costs least, with what every call of ours has too: fuel, WASI, an instance of its own.
fn bare(c: &mut Criterion) {
    let mut config = Config::new();
    config.consume_fuel(true).concurrency_support(false).allocation_strategy(pooled());
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

fn unbounded(c: &mut Criterion) {
    let runtime = Runtime::new().expect("tokio starts");
    let call = Unbounded::new(&calculator()).expect("the calculator is ready");

    c.bench_function("call/in process, JSON in and out, no bounds", |b| {
        b.to_async(&runtime).iter(|| async { call.call().await.expect("the call takes place") });
    });
}

fn bounded(c: &mut Criterion) {
    let runtime = Runtime::new().expect("tokio starts");
    let call = runtime.block_on(Bounded::new(&calculator())).expect("the calculator is ready");

    c.bench_function("call/in process, JSON in and out, all bounds on", |b| {
        b.to_async(&runtime).iter(|| async { call.call().await.expect("the call takes place") });
    });
}

criterion_group!(benches, bare, unbounded, bounded);
criterion_main!(benches);
