//! `wasi:config/store`: values that an administrator gave the module, by name.

use wasmtime::component::Linker;
use wasmtime_wasi_config::{WasiConfig, WasiConfigVariables};

use crate::Guest;

/// The imports that this module links.
pub(crate) const IMPORTS: [&str; 1] = ["wasi:config/store@0.2.0-rc.1"];

/// The values of one call.
pub(crate) fn variables(config: &[(String, String)]) -> WasiConfigVariables {
    config.iter().cloned().collect()
}

pub(crate) fn link<X: Send + 'static>(linker: &mut Linker<Guest<X>>) -> wasmtime::Result<()> {
    wasmtime_wasi_config::add_to_linker(linker, |guest| WasiConfig::from(&guest.config))
}
