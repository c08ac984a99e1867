//! What a module takes from others, as its author says.

use std::collections::BTreeMap;

use fumehood_model::{Digest, ModuleName};
use toml::de::DeTable;

use super::{MAX_BUILD, MAX_DESCRIPTION, MAX_WORD, Reader, Text, reader};

/// Most imports that are met by other modules.
pub const MAX_DEPENDENCIES: usize = 32;

/// Where an import is to be taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The module that exports it.
    pub module: ModuleName,
    /// Its one component that will do.
    pub digest: Option<Digest>,
    /// Where its component lies on the author's machine, from the manifest's folder. Only the author's own tools read it.
    pub path: Option<String>,
    /// The line where this stands.
    pub line: usize,
}

/// The table `dependencies`: what is said of imports, by their names with or without a version.
pub(super) fn read(reader: &mut Reader<'_>, table: &DeTable<'_>) -> BTreeMap<String, Dependency> {
    let Some(entries) = reader.table(table, "dependencies") else { return BTreeMap::new() };
    reader.at_most(table, "dependencies", entries.len(), MAX_DEPENDENCIES);
    let mut dependencies = BTreeMap::new();
    for (import, _) in entries.iter().take(MAX_DEPENDENCIES) {
        let (name, position) = (import.get_ref(), import.span().start);
        if name.len() > MAX_DESCRIPTION {
            reader.mistake(position, format!("the name of an import has at most {MAX_DESCRIPTION} characters"));
            continue;
        }
        let Some(entry) = reader.table(entries, name) else { continue };
        reader.known(entry, "dependencies.NAME.", &["module", "digest", "path"]);
        let word = Text { most: MAX_WORD, lines: false };
        let path = reader.text(entry, "path", Text { most: MAX_BUILD, lines: false });
        let digest = reader.text(entry, "digest", Text { most: 2 * MAX_WORD, lines: false });
        let digest = digest.and_then(|text| parsed::<Digest>(reader, entry, "digest", &text));
        let Some(module) = reader.text(entry, "module", word) else {
            let what = format!("`{}` needs a `module`: the one that exports it", reader::shown(name));
            reader.mistake(position, what);
            continue;
        };
        let Some(module) = parsed(reader, entry, "module", &module) else { continue };
        let line = reader.line(position);
        dependencies.insert(name.to_string(), Dependency { module, digest, path, line });
    }
    dependencies
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    reader: &mut Reader<'_>,
    entry: &DeTable<'_>,
    key: &str,
    text: &str,
) -> Option<T> {
    match text.parse() {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            reader.mistake_at(entry, key, reader::shown(&error.to_string()));
            None
        }
    }
}
