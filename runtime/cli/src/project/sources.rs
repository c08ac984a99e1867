//! When the sources of a project have changed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Folders in which builds write, and what is no source.
const NO_SOURCES: [&str; 8] =
    ["target", "build", "node_modules", "venv", "__pycache__", "vendor", "corpus", "artifacts"];

/// Files that builds write among the sources.
const WRITTEN: [&str; 7] =
    ["Cargo.lock", "package-lock.json", "go.sum", "wit_bindings.go", "wit_exports.go", "empty.s", "_new"];

/// Most files that are looked at.
const MOST: usize = 10_000;

/// What is known of all sources: where they are, when they were written, and how long they are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources(Vec<(PathBuf, Option<SystemTime>, u64)>);

impl Sources {
    /// The sources in `folder` as they are now. What cannot be read is none.
    pub(crate) fn of(folder: &Path) -> Self {
        let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let (path, name) = (entry.path(), entry.file_name());
                let name = name.to_string_lossy();
                // A link may lead anywhere, and in circles.
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_dir() && !name.starts_with('.') && !NO_SOURCES.contains(&&*name) {
                    folders.push(path);
                } else if metadata.is_file() && !WRITTEN.contains(&&*name) && !name.ends_with(".wasm") {
                    found.push((path, metadata.modified().ok(), metadata.len()));
                }
                if found.len() + folders.len() > MOST {
                    break;
                }
            }
        }
        found.sort();
        Self(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_what_an_author_writes() {
        let folder = tempfile::tempdir().unwrap();
        let write = |place: &str, text: &str| {
            let path = folder.path().join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("src/lib.rs", "a");
        write("tool.toml", "b");
        let before = Sources::of(folder.path());
        for place in
            ["target/debug/x", "build/tool.h", ".git/index", "my-tool.wasm", "Cargo.lock", "node_modules/a/b.js"]
        {
            write(place, "written by a build");
        }
        assert_eq!(Sources::of(folder.path()), before);

        write("wit/world.wit", "c");
        let more = Sources::of(folder.path());
        assert_ne!(more, before);
        write("src/lib.rs", "longer");
        assert_ne!(Sources::of(folder.path()), more);
    }
}
