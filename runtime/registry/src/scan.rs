use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use fumehood_model::ModuleName;

/// Deepest nesting of folders that is followed: also what ends a circle of links.
const MAX_DEPTH: usize = 8;

/// Folders that toolchains fill with copies and parts of components.
const BUILD_OUTPUT: [&str; 2] = ["target", "node_modules"];

/// What the name of a component's file is continued with in that of its signature, the best first.
pub const SIGNATURES: [&str; 2] = [".sigstore.json", ".sig"];

/// The file beside `path` whose name goes on with `ending`.
#[must_use]
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A component file in a folder of APIs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name that its place gives it.
    pub name: ModuleName,
    /// The file.
    pub path: PathBuf,
    /// The manifest beside it: `NAME.tool.toml`, or `tool.toml` where the folder holds one component only.
    pub manifest: Option<PathBuf>,
    /// The signature beside it: `NAME.wasm.sigstore.json`, or else `NAME.wasm.sig`.
    pub signature: Option<PathBuf>,
}

/// A file or folder that could not be used. The others are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which.
    pub path: PathBuf,
    /// Why, in words for the operator.
    pub reason: String,
}

/// All `.wasm` files below `folders`, in a stable order.
///
/// Files and folders that start with `_` or `.`, and folders of build output, are left out. A file in nested folders gets their names before its own,
/// joined with `.`; upper case becomes lower case and `_` becomes `-`. Of two that get the same name the one that is `serving`
/// under it keeps it. Blocking.
#[must_use]
pub fn scan(folders: &[PathBuf], serving: HashMap<ModuleName, PathBuf>) -> (Vec<Found>, Vec<Problem>) {
    let mut scan = Scan { serving, ..Scan::default() };
    for folder in folders {
        scan.folder(folder, "", 0);
    }
    (scan.found, scan.problems)
}

#[derive(Default)]
struct Scan {
    found: Vec<Found>,
    problems: Vec<Problem>,
    taken: HashMap<ModuleName, PathBuf>,
    serving: HashMap<ModuleName, PathBuf>,
}

/// What the `tool.toml` of a folder is.
enum Shared {
    /// There is none.
    Nothing,
    /// That of the one component.
    Of(PathBuf),
    /// Nobody can know whose it is.
    Ambiguous,
}

impl Scan {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return self.problem(folder, format!("folders are nested more than {MAX_DEPTH} deep"));
        }
        let mut entries: Vec<_> = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
            Err(error) => return self.problem(folder, format!("the folder cannot be read: {error}")),
        };
        entries.sort();
        let manifest = self.shared_manifest(folder, &entries);
        for path in entries {
            let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else {
                self.problem(&path, "its name is not valid UTF-8".to_owned());
                continue;
            };
            if file_name.starts_with(['_', '.']) || BUILD_OUTPUT.contains(&file_name) {
                continue;
            }
            if path.is_dir() {
                self.folder(&path, &format!("{prefix}{}.", tidy(file_name)), depth + 1);
            } else if let Some(stem) = file_name.strip_suffix(".wasm") {
                // A pipe would be waited for, for ever.
                if !path.is_file() {
                    self.problem(&path, "it is not a file that can be read".to_owned());
                    continue;
                }
                self.file(&path, &format!("{prefix}{}", tidy(stem)), &manifest);
            }
        }
    }

    /// The `tool.toml` of a folder, which can only be that of its one component.
    fn shared_manifest(&mut self, folder: &Path, entries: &[PathBuf]) -> Shared {
        let manifest = folder.join("tool.toml");
        if !manifest.is_file() {
            return Shared::Nothing;
        }
        let named =
            |path: &&PathBuf| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with(['_', '.']));
        let is_component = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "wasm");
        if entries.iter().filter(is_component).filter(named).count() > 1 {
            return Shared::Ambiguous;
        }
        Shared::Of(manifest)
    }

    fn file(&mut self, path: &Path, name: &str, shared: &Shared) {
        let name: ModuleName = match name.parse() {
            Ok(name) => name,
            Err(error) => return self.problem(path, format!("{error}: rename the file")),
        };
        let is_serving = self.serving.get(&name).is_some_and(|serving| serving == path);
        if let Some(first) = self.taken.get(&name).cloned() {
            let (stays, goes) = if is_serving { (path, &*first) } else { (&*first, path) };
            let reason = format!("the name {name} is taken by {}: rename one of the two", stays.display());
            self.problem(goes, reason);
            if !is_serving {
                return;
            }
            self.found.retain(|found| found.name != name);
        }
        self.taken.insert(name.clone(), path.to_owned());
        let own = path.with_extension("tool.toml");
        let manifest = match shared {
            _ if own.is_file() => Some(own),
            Shared::Nothing => None,
            Shared::Of(manifest) => Some(manifest.clone()),
            // It may hold what keeps the component within bounds.
            Shared::Ambiguous => {
                let reason = "the folder holds several components and a tool.toml that may be that of any: name it \
                    NAME.tool.toml, for NAME.wasm";
                return self.problem(path, reason.to_owned());
            }
        };
        let signatures = SIGNATURES.iter().map(|ending| beside(path, ending));
        let signature = signatures.into_iter().find(|path| path.is_file());
        self.found.push(Found { name, path: path.to_owned(), manifest, signature });
    }

    fn problem(&mut self, path: &Path, reason: String) {
        self.problems.push(Problem { path: path.to_owned(), reason });
    }
}

/// A file name as toolchains write it, as a module name.
fn tidy(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_their_place_and_bad_ones_are_reported() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        };
        for path in [
            "Text_Stats.wasm",
            "geo/maps/route.wasm",
            "_draft.wasm",
            "target/x.wasm",
            ".x.wasm",
            "a.txt",
            "text-stats.wasm",
            "jobs.wasm",
            "a b.wasm",
        ] {
            put(path);
        }

        let (found, problems) = scan(&[root.path().to_owned(), root.path().join("missing")], HashMap::new());

        let names: Vec<_> = found.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(names, ["text-stats", "geo.maps.route"]);
        let paths: Vec<_> = problems.iter().map(|p| p.path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(paths, ["a b.wasm", "jobs.wasm", "text-stats.wasm", "missing"]);
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let pipe = root.path().join("pipe.wasm");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        std::os::unix::fs::symlink("nowhere", root.path().join("link.wasm")).unwrap();

        let (found, problems) = scan(&[root.path().to_owned()], HashMap::new());

        assert_eq!((found.len(), problems.len()), (0, 2), "{problems:?}");
    }

    #[test]
    fn a_manifest_belongs_to_the_only_component_or_to_the_one_of_its_name() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("one")).unwrap();
        for path in ["a.wasm", "b.wasm", "b.tool.toml", "tool.toml", "one/c.wasm", "one/tool.toml"] {
            fs::write(root.path().join(path), b"").unwrap();
        }

        let (found, problems) = scan(&[root.path().to_owned()], HashMap::new());

        let manifests: Vec<_> = found.into_iter().map(|found| (found.name.to_string(), found.manifest)).collect();
        let at = |path: &str| Some(root.path().join(path));
        assert_eq!(manifests, [("b".into(), at("b.tool.toml")), ("one.c".into(), at("one/tool.toml"))]);
        let problems: Vec<_> = problems.iter().map(|problem| Some(problem.path.clone())).collect();
        assert_eq!(problems, [at("a.wasm")], "nobody can know what was said of it");
    }

    #[test]
    fn of_two_files_with_the_same_name_the_one_that_is_served_keeps_it() {
        let root = tempfile::tempdir().unwrap();
        let [upper, lower] = ["A.wasm", "a.wasm"].map(|name| root.path().join(name));
        for path in [&upper, &lower] {
            fs::write(path, b"").unwrap();
        }
        for (serving, expected) in [(None, &upper), (Some(&upper), &upper), (Some(&lower), &lower)] {
            let serving = serving.map(|path| ("a".parse().unwrap(), path.clone()));

            let (found, problems) = scan(&[root.path().to_owned()], serving.into_iter().collect());

            assert_eq!((found.len(), &found[0].path, problems.len()), (1, expected, 1));
            assert_ne!(&problems[0].path, expected);
        }
    }
}
