//! What was fetched, kept for when its source is not there.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use fumehood_model::{Digest, ModuleName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Fetched, Source, SourceError};

/// What may lie there of a module, by what comes after its name.
const FILES: [&str; 4] = [".wasm.sigstore.json", ".wasm.sig", ".wasm", ".json"];

/// A folder with one component for each module: `NAME.wasm`, and beside it `NAME.json`, which says where it is from.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
}

/// Where a component on the shelf is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The source that was asked.
    pub source: Source,
    /// The digest of the component.
    pub digest: Digest,
    /// The digest of the manifest that named it, if it came from a registry.
    pub manifest: Option<Digest>,
    /// When it was fetched.
    pub fetched_at: Timestamp,
}

impl Kept {
    /// Whether it is what `source` names, for ever: then nobody has to be asked.
    #[must_use]
    pub fn satisfies(&self, source: &Source) -> bool {
        match source {
            Source::Web { digest: Some(digest), .. } => self.digest == *digest,
            Source::Registry(reference) => reference.digest.is_some() && reference.digest == self.manifest,
            _ => false,
        }
    }
}

impl Shelf {
    /// The shelf in `folder`, which is made on first use, for its owner only.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, SourceError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| SourceError::File { path: folder.to_owned(), doing: "written", source })?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// What is kept for the module `name`, if its bytes are still those that were fetched.
    #[must_use]
    pub fn kept(&self, name: &ModuleName) -> Option<Kept> {
        let kept: Kept = serde_json::from_slice(&fs::read(self.file(name, "json")).ok()?).ok()?;
        let component = fs::read(self.file(name, "wasm")).ok()?;
        (Digest::of(&component) == kept.digest).then_some(kept)
    }

    /// Keep what was fetched for the module `name`, in the place of what was kept.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn keep(&self, name: &ModuleName, source: &Source, fetched: &Fetched) -> Result<Kept, SourceError> {
        let kept = Kept {
            source: source.clone(),
            digest: fetched.digest,
            manifest: fetched.artifact.as_ref().map(|artifact| artifact.manifest),
            fetched_at: Timestamp::now(),
        };
        let told = serde_json::to_vec(&kept).expect("texts are JSON");
        self.write(&self.file(name, "wasm"), &fetched.component)?;
        self.write(&self.file(name, "json"), &told)?;
        Ok(kept)
    }

    /// Let go of what is kept for the module `name`: it is not what is served under that name any more.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub fn remove(&self, name: &ModuleName) -> Result<(), SourceError> {
        ["wasm", "json"].into_iter().try_for_each(|ending| remove(&self.file(name, ending)))
    }

    /// Let go of what is kept for any module but those that are `wanted`.
    ///
    /// # Errors
    ///
    /// When something cannot be removed.
    pub fn retain(&self, wanted: impl Fn(&str) -> bool) -> Result<(), SourceError> {
        let unreadable = |source| SourceError::File { path: self.folder.clone(), doing: "read", source };
        for entry in fs::read_dir(&self.folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            // A signature that the operator has put beside a component stays with it.
            let of = |name: &str| FILES.iter().find_map(|ending| name.strip_suffix(ending)).is_some_and(&wanted);
            let is_wanted = path.file_name().and_then(|name| name.to_str()).is_some_and(of);
            if !is_wanted && path.is_file() {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn file(&self, name: &ModuleName, ending: &str) -> PathBuf {
        self.folder.join(format!("{name}.{ending}"))
    }

    /// All of it or nothing, also when the power fails.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), SourceError> {
        let unwritten = |source| SourceError::File { path: path.to_owned(), doing: "written", source };
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).map_err(unwritten)?;
        file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(unwritten)?;
        file.persist(path).map_err(|error| unwritten(error.error))?;
        fs::File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(unwritten)
    }
}

fn remove(path: &Path) -> Result<(), SourceError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(SourceError::File { path: path.to_owned(), doing: "removed", source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_on_the_shelf_is_not_taken_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(&folder.path().join("sources")).unwrap();
        let (name, source) = ("x".parse().unwrap(), "oci://ghcr.io/a/b".parse().unwrap());
        let component = b"abc".to_vec();
        let fetched = Fetched { digest: Digest::of(&component), component, artifact: None };
        assert_eq!(shelf.kept(&name), None);

        let kept = shelf.keep(&name, &source, &fetched).unwrap();

        assert_eq!(shelf.kept(&name), Some(kept));
        fs::write(shelf.path().join("x.wasm"), b"abd").unwrap();
        assert_eq!(shelf.kept(&name), None);
    }

    #[test]
    fn what_nobody_wants_any_more_goes() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        for file in ["a.wasm", "a.json", "b.wasm", "b.json", ".tmpx"] {
            fs::write(folder.path().join(file), b"").unwrap();
        }

        shelf.retain(|name| name == "a").unwrap();

        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a.json", "a.wasm"]);
    }

    #[test]
    fn only_a_digest_that_was_named_saves_asking() {
        let kept = |source: &str, manifest| Kept {
            source: source.parse().unwrap(),
            digest: Digest::of(b"abc"),
            manifest,
            fetched_at: Timestamp { unix_ms: 0 },
        };
        let (tag, manifest) = ("oci://ghcr.io/a/b:1", Digest::of(b"manifest"));
        let pinned = format!("oci://ghcr.io/a/b@{manifest}");
        let page = format!("https://x.y/z#{}", Digest::of(b"abc"));

        assert!(!kept(tag, Some(manifest)).satisfies(&tag.parse().unwrap()));
        assert!(kept(tag, Some(manifest)).satisfies(&pinned.parse().unwrap()));
        assert!(!kept(&pinned, Some(Digest::of(b""))).satisfies(&pinned.parse().unwrap()));
        assert!(!kept(tag, None).satisfies(&"oci://ghcr.io/a/b".parse().unwrap()));
        assert!(kept(&page, None).satisfies(&page.parse().unwrap()));
    }
}
