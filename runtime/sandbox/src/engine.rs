use fumehood_capabilities::Guest;
use fumehood_model::ByteSize;
use wasmtime::{
    Config as EngineConfig, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, component::Linker,
};

use crate::{error::SandboxError, limits::Held};

/// Most core instances of one call: a Python component has about forty.
const INSTANCES_PER_CALL: u32 = 100;

/// Most memories and tables of one call. What they hold together is bounded by the call's limits.
const MEMORIES_PER_CALL: u32 = 8;
const TABLES_PER_CALL: u32 = 32;

/// Stack of a guest. Deep recursion ends here, as a trap.
const WASM_STACK: usize = 512 << 10;

/// Stack that a guest and the host functions it calls run on.
const ASYNC_STACK: usize = 1 << 20;

/// Memory of a finished call that stays with its place, so that the next call need not fault it in again.
///
/// The kernel tells which pages were written (`PAGEMAP_SCAN`, Linux 6.7), so only these are reset. Without it this
/// many bytes would be cleared for every call, and less is kept: see [`resident_bytes`].
const MEMORY_KEPT: usize = 1 << 20;
const MEMORY_KEPT_WITHOUT_SCAN: usize = 64 << 10;

/// How a long call lets others run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Yield {
    /// After so many units of fuel: the instructions count them anyway.
    Fuel(u64),
    /// When an epoch ends, beside counting fuel. Kept to be measured against; see the decision record on deadlines.
    Epoch,
}

/// What the sandbox is set up for.
#[derive(Debug, Clone)]
pub struct Config {
    /// Calls that can be in the sandbox at a time.
    pub concurrent_calls: u32,
    /// How deep tools that call tools may go: each of these calls holds its place while the next one runs.
    pub invoke_depth: u32,
    /// Largest memory that any call may be allowed.
    pub max_memory: ByteSize,
    /// Most table elements that any call may be allowed.
    pub max_table_elements: u64,
    /// Components kept ready in memory; more are loaded again from the cache when called.
    pub loaded_components: usize,
    /// How long calls let others run.
    pub yields: Yield,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            concurrent_calls: 4,
            invoke_depth: 4,
            max_memory: ByteSize::mib(64),
            max_table_elements: 100_000,
            loaded_components: 256,
            yields: Yield::Fuel(crate::run::SLICE),
        }
    }
}

impl Config {
    /// Places for instances, wherever components run: for every call, those that it makes of other tools.
    pub(crate) fn places(&self) -> u32 {
        self.concurrent_calls.saturating_mul(self.invoke_depth.saturating_add(1))
    }
}

/// What must be the same where a component is compiled and where it runs.
///
/// Features beyond WebAssembly 2.0 are off unless named in `fumehood_value::describe`: each is attack surface, and
/// most of wasmtime's advisories of 2026 concern the newest of them.
fn shared(yields: Yield) -> EngineConfig {
    let mut config = EngineConfig::new();
    config
        .consume_fuel(true)
        .epoch_interruption(yields == Yield::Epoch)
        .concurrency_support(false)
        .wasm_component_model(true)
        // Only for the adapters that the engine writes between two composed components, each with a memory of its own:
        // without it the compiler panics on them. A guest's module with two memories is refused when it is described.
        .wasm_multi_memory(true)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(ASYNC_STACK)
        .memory_init_cow(true);
    config
}

/// The engine that runs components.
pub(crate) fn running(config: &Config) -> Result<Engine, SandboxError> {
    let mut engine = shared(config.yields);
    engine.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)));
    Engine::new(&engine).map_err(|source| SandboxError::Engine { source })
}

/// The engine that only compiles: without a pool, whose address space a compiler process may not reserve.
pub(crate) fn compiling(yields: Yield) -> Result<Engine, SandboxError> {
    Engine::new(&shared(yields)).map_err(|source| SandboxError::Engine { source })
}

fn pool(config: &Config) -> PoolingAllocationConfig {
    let calls = config.places();
    let scan = scans_pages();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(INSTANCES_PER_CALL))
        .total_memories(calls.saturating_mul(MEMORIES_PER_CALL))
        .total_tables(calls.saturating_mul(TABLES_PER_CALL))
        .total_stacks(calls)
        .max_core_instances_per_component(INSTANCES_PER_CALL)
        .max_memories_per_component(MEMORIES_PER_CALL)
        .max_tables_per_component(TABLES_PER_CALL)
        .max_tables_per_module(TABLES_PER_CALL)
        .max_memories_per_module(1)
        .max_memory_size(config.max_memory.as_usize())
        .table_elements(usize::try_from(config.max_table_elements).unwrap_or(usize::MAX))
        .max_unused_warm_slots(calls.saturating_mul(2))
        .linear_memory_keep_resident(if scan { MEMORY_KEPT } else { MEMORY_KEPT_WITHOUT_SCAN })
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(if scan { Enabled::Yes } else { Enabled::No });
    pool
}

/// Whether the kernel can tell which pages were written.
fn scans_pages() -> bool {
    PoolingAllocationConfig::is_pagemap_scan_available()
}

/// The linker with every import that is offered.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<Guest<Held>>, SandboxError> {
    let mut linker = Linker::new(engine);
    fumehood_capabilities::link(&mut linker).map_err(|source| SandboxError::Engine { source })?;
    Ok(linker)
}
