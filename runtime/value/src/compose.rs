//! One component of several: what it imports is taken from what others export.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use wasm_compose::graph::{Component, ComponentId, CompositionGraph, EncodeOptions, InstanceId};
use wasmparser::{Validator, WasmFeatures};

use crate::{DOCS_SECTION, MANIFEST_SECTION, Section};

/// How the bytes of several components follow each other, and what each gives to the first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// How many bytes the first has.
    pub root_bytes: usize,
    /// The others: how many bytes each has, and what it meets.
    pub suppliers: Vec<(usize, Vec<(String, String)>)>,
}

/// The component that is made of those in `bytes`. It says of itself what the first of them said.
///
/// # Errors
///
/// With why not, in words for the author of the first.
pub fn compose(recipe: &Recipe, bytes: &[u8]) -> Result<Vec<u8>, String> {
    // The library panics on some components that it should refuse. That is their fault, as far as an upload goes.
    match catch_unwind(AssertUnwindSafe(|| composed(recipe, bytes))) {
        Ok(composed) => composed,
        Err(_) => Err("the components cannot be put together".to_owned()),
    }
}

fn composed(recipe: &Recipe, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let cut = || "what was sent is cut off".to_owned();
    let (root, mut rest) = bytes.split_at_checked(recipe.root_bytes).ok_or_else(cut)?;
    // One for all, which tells the types of the one in those of the other. Each was validated when it was described, with
    // fewer features than these.
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut graph = CompositionGraph::new();
    let (root_id, root_instance) = add(&mut graph, &mut validator, "root".to_owned(), root)?;
    for (position, (length, meets)) in recipe.suppliers.iter().enumerate() {
        let (supplier, others) = rest.split_at_checked(*length).ok_or_else(cut)?;
        rest = others;
        let (id, instance) = add(&mut graph, &mut validator, format!("supplier-{position}"), supplier)?;
        for (import, export) in meets {
            let wanted = graph.get_component(root_id).and_then(|root| root.import_by_name(import));
            let given = graph.get_component(id).and_then(|supplier| supplier.export_by_name(export));
            let (wanted, _) = wanted.ok_or_else(|| format!("there is no import `{}`", printable(import)))?;
            let (given, _, _) = given.ok_or_else(|| format!("there is no export `{}`", printable(export)))?;
            let connected = graph.connect(instance, Some(given), root_instance, wanted);
            connected.map_err(|error| format!("`{}` does not fit: {}", printable(export), told(error)))?;
        }
    }
    let options = EncodeOptions { export: Some(root_instance), define_components: true, validate: false };
    let mut composed = graph.encode(options).map_err(told)?;
    for (name, content) in said(root) {
        Section::append(&mut composed, name, content);
    }
    Ok(composed)
}

fn add<'a>(
    graph: &mut CompositionGraph<'a>,
    validator: &mut Validator,
    name: String,
    bytes: &'a [u8],
) -> Result<(ComponentId, InstanceId), String> {
    let component = Component::from_bytes(validator, name, bytes).map_err(told)?;
    let id = graph.add_component(component).map_err(told)?;
    Ok((id, graph.instantiate(id).map_err(told)?))
}

/// What a component says of itself in custom sections.
fn said(component: &[u8]) -> Vec<(&'static str, &[u8])> {
    /// What comes before the first section.
    const HEAD: usize = 8;
    let mut said = Vec::new();
    let mut rest = component.get(HEAD..).unwrap_or_default();
    while let Some(Section { length, custom, content, .. }) = Section::first_of(rest) {
        rest = &rest[length..];
        let Some(name) = custom else { continue };
        let known = [MANIFEST_SECTION, DOCS_SECTION].into_iter().find(|known| known.as_bytes() == name);
        said.extend(known.map(|known| (known, content)));
    }
    said
}

fn told(error: impl std::fmt::Display) -> String {
    printable(&format!("{error:#}"))
}

/// What the library says may quote names of a component: short, and nothing that moves a cursor.
fn printable(text: &str) -> String {
    text.chars().take(300).flat_map(char::escape_debug).collect()
}
