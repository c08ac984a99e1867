//! Publishing a component in a registry.

use std::{collections::BTreeSet, fs, io::Write, path::Path, process::ExitCode};

use anyhow::Context;
use fumehood_model::{Code, Timestamp};
use fumehood_sources::{Publication, Reference, Source, Sources};
use indicatif::ProgressBar;
use serde_json::json;
use wit_parser::decoding::{DecodedWasm, decode};

use crate::{
    args::PushArgs,
    exit::Failure,
    local,
    project::{stamped, with_permissions_of},
    session::Session,
};

use super::{Manifest, TURN, fetch};

/// Put the component of `source` into the registry that `destination` names.
pub(super) fn run(
    session: &Session<'_>,
    args: &PushArgs,
    source: &Source,
    destination: &str,
) -> anyhow::Result<ExitCode> {
    let Source::Registry(reference) = destination.parse().map_err(Failure::from)? else {
        let message = format!("`{}` is no place to publish in", destination.escape_debug());
        return Err(Failure::usage(message).hint("name one as oci://REGISTRY/REPOSITORY[:TAG]").into());
    };
    let component = fetch(session, source)?.component;
    let component = with_manifest(session, args, source, component)?;
    let (exports, imports) = interfaces(&component)?;
    let title = title(source, &reference);
    let publication = Publication { component, title, exports, imports, created: Timestamp::now() };
    let config = &session.loaded.config;
    let sources = Sources::new(&config.sources, config.components.max_size).map_err(Failure::from)?;
    let progress = if session.output.shows_progress() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    progress.set_message("publishing");
    progress.enable_steady_tick(TURN);
    let published = sources.publish(&reference, &publication);
    progress.finish_and_clear();
    let published = published.map_err(Failure::from)?;
    let pinned = Source::Registry(published.reference.clone());
    session.output.talk(&format!("published as {}", Source::Registry(reference)));
    let answer = json!({
        "reference": pinned, "manifest": published.manifest, "digest": published.digest,
        "size_bytes": publication.component.len(),
    });
    session.output.data(&answer, || pinned.to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// The component as it is published: with the manifest in it that was named, or else as it is.
fn with_manifest(
    session: &Session<'_>,
    args: &PushArgs,
    source: &Source,
    component: Vec<u8>,
) -> Result<Vec<u8>, Failure> {
    let Manifest { text: Some(text), places } = Manifest::find(args, source)? else { return Ok(component) };
    if args.manifest.is_none() {
        let place = places.first().map(|place| place.display().to_string()).unwrap_or_default();
        session.output.talk(&format!(
            "the component is published as it is: what {place} says goes along if `fumehood build` has put it in, or with --manifest {place}"
        ));
        return Ok(component);
    }
    let stamped = with_permissions_of(&component, &text).and_then(|text| stamped(&component, &text, None));
    stamped.map_err(|why| Failure::new(Code::InvalidComponent, format!("{source}: {why}")))
}

/// What a component exports and imports, by name, as tools for registries list it.
fn interfaces(component: &[u8]) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    // Read first where reading has bounds: it may be anybody's.
    let mut file = tempfile::Builder::new().suffix(".wasm").tempfile().context("no temporary file can be made")?;
    file.write_all(component).context("the temporary file cannot be written")?;
    local::inspect(file.path()).map_err(|error| renamed(error, file.path()))?;
    let unreadable = |error: String| Failure::new(Code::InvalidComponent, format!("it is no component: {error}"));
    let decoded = decode(component).map_err(|error| unreadable(error.to_string()))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(unreadable("it holds WIT and nothing to run".to_owned()).into());
    };
    let world = &resolve.worlds[world];
    let names = |keys: &mut dyn Iterator<Item = &wit_parser::WorldKey>| {
        let names: Vec<_> = keys.map(|key| resolve.name_world_key(key)).collect();
        let mut seen = BTreeSet::new();
        names.into_iter().filter(|name| seen.insert(name.clone())).collect::<Vec<_>>()
    };
    Ok((names(&mut world.exports.keys()), names(&mut world.imports.keys())))
}

/// A failure that names the temporary file says nothing to who reads it.
fn renamed(error: anyhow::Error, path: &Path) -> anyhow::Error {
    match error.downcast::<Failure>() {
        Ok(failure) => {
            let told = failure.told();
            let told = told.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&told);
            Failure::new(Code::InvalidComponent, format!("it is not published: {told}")).into()
        }
        Err(error) => error,
    }
}

/// The name that tools give the file when they fetch it.
fn title(source: &Source, reference: &Reference) -> String {
    match source {
        Source::File(path) if fs::metadata(path).is_ok() => {
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        }
        _ => format!("{}.wasm", Source::Registry(reference.clone()).name()),
    }
}
