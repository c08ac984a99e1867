//! What a tool takes and answers, told to compilers that do not read WIT, and components made of what they write.

use std::{
    fs,
    panic::{self, AssertUnwindSafe},
    path::Path,
};

use fumehood_dispatch::Bindings;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_bindgen_core::{Files, WorldGenerator};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

/// Where bindings for C are.
const BUILD: &str = "build";

/// Declare the world in `wit` for a compiler, in the project's `folder`. Files that say the same already stay as they are.
pub(super) fn write(language: Bindings, wit: &Path, folder: &Path) -> Result<(), String> {
    let (mut resolve, world) = world_in(wit)?;
    let (mut generator, into): (Box<dyn WorldGenerator>, _) = match language {
        Bindings::C => (wit_bindgen_c::Opts::default().build(), folder.join(BUILD)),
        // Where Go looks for packages.
        Bindings::Go => (wit_bindgen_go::Opts::default().build(), folder.to_owned()),
    };
    let mut files = Files::default();
    // They panic at some types that they do not know yet.
    let generated = panic::catch_unwind(AssertUnwindSafe(|| generator.generate(&mut resolve, world, &mut files)));
    let generated = generated.map_err(|_| "the bindings of this language do not know one of its types".to_owned())?;
    generated.map_err(|error| format!("{error:#}"))?;
    // The module's own file is the author's.
    for (name, bytes) in files.iter().filter(|(name, _)| *name != "go.mod") {
        let path = into.join(name);
        if fs::read(&path).is_ok_and(|old| old == bytes) {
            continue;
        }
        let write = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, bytes));
        write.map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    }
    Ok(())
}

/// The component that a core `module` is, with the world in `wit` unless the module says itself which it has.
pub(super) fn component_of(module: &[u8], has_world: bool, wit: &Path) -> Result<Vec<u8>, String> {
    let mut module = module.to_vec();
    let mut encode = || -> anyhow::Result<Vec<u8>> {
        if !has_world {
            let (resolve, world) = world_in(wit).map_err(anyhow::Error::msg)?;
            embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        }
        ComponentEncoder::default()
            .validate(true)
            .module(&module)?
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
            .encode()
    };
    encode().map_err(|error| format!("no component can be made of it: {error:#}"))
}

/// The one world of the package in `folder`.
fn world_in(folder: &Path) -> Result<(Resolve, WorldId), String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder).map_err(|error| format!("{error:#}"))?;
    let world = resolve.select_world(&[package], None).map_err(|error| format!("{error:#}"))?;
    Ok((resolve, world))
}
