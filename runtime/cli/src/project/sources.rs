//! When the sources of a project have changed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Folders of a project in which builds write.
const WRITTEN: [&str; 5] = ["target", "build", "dist", "venv", "vendor"];

/// Folders that are nobody's sources, wherever they are.
const NO_SOURCES: [&str; 2] = ["node_modules", "__pycache__"];

/// Files that builds write among the sources.
const WRITTEN_FILES: [&str; 6] =
    ["Cargo.lock", "package-lock.json", "go.sum", "wit_bindings.go", "wit_exports.go", "empty.s"];

/// Most files and folders that are looked at.
const MOST: usize = 10_000;

/// What is known of all sources: where they are, when they were written, and how long they are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Sources(BTreeMap<PathBuf, (Option<SystemTime>, u64)>);

impl Sources {
    /// The sources in the folder of a project as they are now. What cannot be read is none.
    pub(crate) fn of(project: &Path) -> Self {
        let (mut found, mut folders, mut seen) = (BTreeMap::new(), vec![project.to_owned()], 0);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                seen += 1;
                if seen > MOST {
                    return Self(found);
                }
                let (path, name) = (entry.path(), entry.file_name());
                let name = name.to_string_lossy();
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let is_written = folder == project && WRITTEN.contains(&&*name) || NO_SOURCES.contains(&&*name);
                // A link to a folder may lead anywhere, and in circles.
                if is_folder && !name.starts_with('.') && !is_written {
                    folders.push(path);
                    continue;
                }
                let is_written = WRITTEN_FILES.contains(&&*name) || name.starts_with("_new") || name.ends_with(".wasm");
                if let Ok(metadata) = fs::metadata(&path)
                    && metadata.is_file()
                    && !is_written
                {
                    found.insert(path, (metadata.modified().ok(), metadata.len()));
                }
            }
        }
        Self(found)
    }

    /// The files that are not what they were in `before`.
    pub(crate) fn changed_since(&self, before: &Self) -> Vec<PathBuf> {
        let one_sided = |of: &Self, other: &Self| {
            let changed = of.0.iter().filter(|(path, state)| other.0.get(*path) != Some(*state));
            changed.map(|(path, _)| path.clone()).collect::<Vec<_>>()
        };
        let mut changed = one_sided(self, before);
        changed.extend(one_sided(before, self));
        changed.sort();
        changed.dedup();
        changed
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
        write("src/build/mod.rs", "a");
        let before = Sources::of(folder.path());
        write("src/build/mod.rs", "longer");
        assert_eq!(Sources::of(folder.path()).changed_since(&before), [folder.path().join("src/build/mod.rs")]);
        write("src/build/mod.rs", "a");
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
