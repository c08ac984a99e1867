//! The walls of the house: which crate may use which, and who keeps what.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test, in helpers of tests as in tests")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// The floor of each crate of the runtime, from below. A crate uses only crates of floors below its own.
const FLOORS: [(&str, u8); 16] = [
    ("fumehood-model", 1),
    ("fumehood-store", 2),
    ("fumehood-value", 2),
    ("fumehood-policy", 2),
    ("fumehood-shape", 2),
    ("fumehood-signature", 2),
    ("fumehood-registry", 3),
    ("fumehood-sources", 2),
    ("fumehood-capabilities", 3),
    ("fumehood-sandbox", 4),
    ("fumehood-scheduler", 5),
    ("fumehood-dispatch", 6),
    ("fumehood-http", 7),
    ("fumehood-rest", 8),
    ("fumehood-mcp", 8),
    ("fumehood", 9),
];

/// What only its keepers may use, so that there is one place to look at and one to change.
const KEEPERS: [(&str, &[&str]); 17] = [
    ("wasmtime", &["fumehood-value", "fumehood-sandbox", "fumehood-capabilities"]),
    ("wasmtime-wasi", &["fumehood-capabilities"]),
    ("wasmtime-wasi-http", &["fumehood-capabilities"]),
    ("landlock", &["fumehood-sandbox"]),
    ("seccompiler", &["fumehood-sandbox"]),
    ("wasmparser", &["fumehood-value"]),
    ("wasm-compose", &["fumehood-value"]),
    ("rusqlite", &["fumehood-store"]),
    ("sigstore-verify", &["fumehood-signature"]),
    ("axum", &["fumehood-http", "fumehood-rest", "fumehood-mcp", "fumehood"]),
    ("hyper", &["fumehood-http", "fumehood-capabilities"]),
    ("http", &["fumehood-http", "fumehood-rest", "fumehood-mcp", "fumehood-capabilities"]),
    ("utoipa", &["fumehood-rest"]),
    ("rmcp", &["fumehood-mcp"]),
    ("ureq", &["fumehood", "fumehood-sources"]),
    ("clap", &["fumehood"]),
    ("anyhow", &["fumehood"]),
];

/// What no crate of the first floor may know.
const NOT_IN_THE_MODEL: [&str; 6] = ["tokio", "wasmtime", "rusqlite", "axum", "hyper", "tracing"];

/// Crates of the workspace that test or measure, and may use what they like.
const EXEMPT: [&str; 2] = ["fumehood-tests", "fumehood-bench"];

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().unwrap()
}

/// The crates of the runtime.
fn crates(metadata: &Metadata) -> Vec<&Package> {
    metadata.workspace_packages().into_iter().filter(|package| !EXEMPT.contains(&package.name.as_str())).collect()
}

/// What the code of a crate uses; tests may use more.
fn uses(package: &Package) -> impl Iterator<Item = &str> {
    let real = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    real.map(|dependency| dependency.name.as_str())
}

#[test]
fn every_crate_has_a_floor_and_every_floor_its_crate() {
    let metadata = metadata();

    let present: BTreeSet<_> = crates(&metadata).into_iter().map(|package| package.name.as_str()).collect();
    let known: BTreeSet<_> = FLOORS.into_iter().map(|(name, _)| name).collect();

    assert_eq!(present, known);
}

#[test]
fn a_crate_uses_only_crates_of_lower_floors() {
    let floors = BTreeMap::from(FLOORS);
    let metadata = metadata();
    let mut violations = Vec::new();

    for package in crates(&metadata) {
        let own = floors[package.name.as_str()];
        let above = package
            .dependencies
            .iter()
            .filter(|used| floors.get(used.name.as_str()).is_some_and(|floor| *floor >= own));
        violations.extend(above.map(|used| {
            format!("{} (floor {own}) uses {} (floor {})", package.name, used.name, floors[used.name.as_str()])
        }));
    }

    assert_eq!(violations, Vec::<String>::new());
}

#[test]
fn a_crate_of_ours_uses_no_crate_that_tests_or_measures() {
    let metadata = metadata();

    let uses = |package: &&Package| package.dependencies.iter().any(|used| EXEMPT.contains(&used.name.as_str()));

    assert_eq!(
        crates(&metadata).into_iter().filter(uses).map(|package| package.name.as_str()).collect::<Vec<_>>(),
        Vec::<&str>::new()
    );
}

#[test]
fn what_has_keepers_is_used_by_nobody_else() {
    let metadata = metadata();
    let mut violations = Vec::new();

    for package in crates(&metadata) {
        for (kept, keepers) in KEEPERS {
            if uses(package).any(|used| used == kept) && !keepers.contains(&package.name.as_str()) {
                violations.push(format!("{} uses {kept}, which is kept by {}", package.name, keepers.join(", ")));
            }
        }
    }

    assert_eq!(violations, Vec::<String>::new());
}

#[test]
fn every_keeper_keeps_something() {
    let metadata = metadata();
    let crates: BTreeMap<_, _> =
        crates(&metadata).into_iter().map(|package| (package.name.as_str(), package)).collect();

    let idle: Vec<_> = KEEPERS
        .into_iter()
        .flat_map(|(kept, keepers)| keepers.iter().map(move |keeper| (kept, *keeper)))
        .filter(|(kept, keeper)| !uses(crates[keeper]).any(|used| used == *kept))
        .collect();

    assert_eq!(idle, Vec::<(&str, &str)>::new());
}

#[test]
fn the_nouns_know_no_machinery() {
    let metadata = metadata();
    let model = crates(&metadata).into_iter().find(|package| package.name.as_str() == "fumehood-model").unwrap();

    let known: Vec<_> = uses(model).filter(|used| NOT_IN_THE_MODEL.contains(used)).collect();

    assert_eq!(known, Vec::<&str>::new());
}

#[test]
fn versions_stand_in_the_workspace_only() {
    let metadata = metadata();
    let own = |package: &&Package| {
        let text = std::fs::read_to_string(&package.manifest_path).unwrap();
        let dependencies = text.split("\n[").filter(|table| table.contains("dependencies]"));
        dependencies.flat_map(str::lines).skip(1).any(|line| line.contains(" = ") && !line.contains("workspace = true"))
    };

    let with_versions: Vec<_> =
        metadata.workspace_packages().into_iter().filter(own).map(|package| package.name.to_string()).collect();

    assert_eq!(with_versions, Vec::<String>::new());
}
