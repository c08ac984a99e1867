use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::Value;

/// An example of a tool, which is also its test.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Which function of the module.
    pub function: String,
    /// Its arguments.
    pub arguments: Value,
    /// What must come of it.
    pub expected: Expected,
}

/// What must come of an example.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// This value.
    Value(Value),
    /// This error of the tool.
    Error(Value),
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    example: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    function: String,
    args: String,
    expect: Option<String>,
    expect_error: Option<String>,
}

/// The examples in the `tool.toml` of `folder`.
///
/// # Panics
///
/// When there is none, or it is not what it must be.
#[must_use]
pub fn examples(folder: &Path) -> Vec<Example> {
    let path = folder.join("tool.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let manifest: Manifest = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(!manifest.example.is_empty(), "{} has no examples", path.display());
    let json =
        |text: &str| serde_json::from_str(text).unwrap_or_else(|error| panic!("{}: {error}: {text}", path.display()));
    let example = |entry: Entry| Example {
        arguments: json(&entry.args),
        expected: match (entry.expect, entry.expect_error) {
            (Some(value), None) => Expected::Value(json(&value)),
            (None, Some(error)) => Expected::Error(json(&error)),
            _ => panic!("{}: an example of {} has not one of expect and expect_error", path.display(), entry.function),
        },
        function: entry.function,
    };
    manifest.example.into_iter().map(example).collect()
}
