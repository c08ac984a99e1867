//! Prompts in files, which belong to no module: what an operator gives to everybody.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

use crate::{
    Problem,
    rich::{Prompt, WrittenPrompt},
};

/// Largest file of prompts.
const MAX_FILE: u64 = 1 << 20;

/// Most files of prompts of one folder.
const MAX_FILES: usize = 1_000;

/// All prompts of the library, and the files that hold them.
#[derive(Debug, Clone, Default)]
pub struct Library {
    files: BTreeMap<PathBuf, Arc<[Prompt]>>,
    prompts: BTreeMap<String, Prompt>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    prompts: Vec<WrittenPrompt>,
}

impl Library {
    /// Every `.toml` and `.json` file in `folders`, and what is wrong with the others. Files that start with `_` or `.` are
    /// left out, and of a file that cannot be used what it held `before` stays. Blocking.
    #[must_use]
    pub fn read(folders: &[PathBuf], before: &Self) -> (Self, Vec<Problem>) {
        let (mut library, mut problems) = (Self::default(), Vec::new());
        let mut whose: HashMap<String, PathBuf> = HashMap::new();
        for path in folders.iter().flat_map(|folder| files(folder, before, &mut problems)).collect::<Vec<_>>() {
            let prompts = match read(&path) {
                Ok(prompts) => prompts.into(),
                Err(reason) => {
                    problems.push(Problem { path: path.clone(), reason });
                    before.files.get(&path).cloned().unwrap_or_default()
                }
            };
            for prompt in prompts.iter() {
                if let Some(other) = whose.get(&prompt.name) {
                    let reason =
                        format!("the prompt `{}` is in {} too, and taken from there", prompt.name, other.display());
                    problems.push(Problem { path: path.clone(), reason });
                    continue;
                }
                whose.insert(prompt.name.clone(), path.clone());
                library.prompts.insert(prompt.name.clone(), prompt.clone());
            }
            library.files.insert(path, prompts);
        }
        (library, problems)
    }

    /// All prompts, by name.
    pub fn prompts(&self) -> impl ExactSizeIterator<Item = &Prompt> {
        self.prompts.values()
    }

    /// The prompt called `name`.
    #[must_use]
    pub fn prompt(&self, name: &str) -> Option<&Prompt> {
        self.prompts.get(name)
    }

    /// Whether the same prompts are in both.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.prompts == other.prompts
    }
}

/// The files of prompts in a folder, in a stable order.
fn files(folder: &Path, before: &Library, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let reason = format!("the folder cannot be read: {error}");
            problems.push(Problem { path: folder.to_owned(), reason });
            // What was there stays.
            return before.files.keys().filter(|file| file.parent() == Some(folder)).cloned().collect();
        }
    };
    let is_meant = |path: &PathBuf| {
        let hidden = path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with(['_', '.']));
        let kind = path.extension().and_then(|kind| kind.to_str());
        // A pipe would be waited for, for ever.
        !hidden && matches!(kind, Some("toml" | "json")) && path.is_file()
    };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_meant).collect();
    files.sort();
    if files.len() > MAX_FILES {
        let reason = format!("it holds {} files of prompts, and only the first {MAX_FILES} are read", files.len());
        problems.push(Problem { path: folder.to_owned(), reason });
        files.truncate(MAX_FILES);
    }
    files
}

fn read(path: &Path) -> Result<Vec<Prompt>, String> {
    let file = fs::File::open(path).map_err(|error| format!("it cannot be read: {error}"))?;
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| format!("it cannot be read: {error}"))?;
    if text.len() as u64 > MAX_FILE {
        return Err(format!("it has more than {MAX_FILE} bytes"));
    }
    let File { prompts } = if path.extension().is_some_and(|kind| kind == "json") {
        serde_json::from_str(&text).map_err(|error| error.to_string())?
    } else {
        toml::from_str(&text).map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            format!("line {line}: {}", error.message())
        })?
    };
    prompts.into_iter().map(WrittenPrompt::checked).collect()
}
