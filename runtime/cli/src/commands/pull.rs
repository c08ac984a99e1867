//! `fumehood pull`.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use fumehood_model::Code;
use fumehood_sources::Source;
use serde_json::json;

use crate::{args::PullArgs, commands::push, exit::Failure, session::Session};

/// Fetch a component into a file.
pub(crate) fn run(session: &Session<'_>, args: &PullArgs) -> anyhow::Result<ExitCode> {
    let source: Source = args.source.parse().map_err(Failure::from)?;
    if let Source::File(path) = &source {
        let message = format!("{} is a file, and here already", path.display());
        return Err(Failure::usage(message).hint("fetch https://HOST/PATH or oci://REGISTRY/REPOSITORY").into());
    }
    let path = match &args.out {
        Some(path) => path.clone(),
        None => own_file(&source)?,
    };
    let fetched = push::fetch(session, &source)?;
    let unwritten =
        |error: io::Error| Failure::new(Code::InvalidInput, format!("{} cannot be written: {error}", path.display()));
    match &args.out {
        Some(_) => fs::write(&path, &fetched.component).map_err(unwritten)?,
        None => {
            let file = OpenOptions::new().write(true).create_new(true).open(&path);
            file.and_then(|mut file| file.write_all(&fetched.component)).map_err(unwritten)?;
        }
    }
    let pinned = match &fetched.artifact {
        Some(artifact) => Source::Registry(artifact.reference.clone()),
        None => source,
    };
    let answer = json!({
        "path": path.display().to_string(), "source": pinned, "digest": fetched.digest,
        "manifest": fetched.artifact.map(|artifact| artifact.manifest), "size_bytes": fetched.component.len(),
    });
    session.output.data(&answer, || path.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// A file in the current folder that nobody has yet: nothing is written over without being named.
fn own_file(source: &Source) -> Result<PathBuf, Failure> {
    let name = source.name();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        return Err(Failure::usage(format!("{source} does not say what the file is called")).hint("name it with --out"));
    }
    let path = PathBuf::from(format!("{name}.wasm"));
    if path.exists() {
        let message = format!("{} is there already", path.display());
        return Err(Failure::new(Code::Conflict, message).hint("name the file to write with --out"));
    }
    Ok(path)
}
