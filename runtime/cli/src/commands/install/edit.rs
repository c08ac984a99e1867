//! One entry of a configuration file changed, and nothing besides.

use serde_json::{Map, Value};

use super::{json_text, programs::Format, toml_text, yaml_text};

/// A file's text with the entry in it.
#[derive(Debug)]
pub(super) struct Edited {
    pub(super) text: String,
    /// The entry that was there before.
    pub(super) replaced: Option<Value>,
}

/// Why a file is left as it is. Never with words of the file: they may be secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is not what it should be.
    Unreadable { line: usize, what: String },
    /// The entry has no place in it.
    InTheWay(String),
}

/// `text` with `entry` as `name` in `section`.
pub(super) fn with_entry(
    format: Format,
    text: &str,
    section: &str,
    name: &str,
    entry: &Value,
) -> Result<Edited, Refusal> {
    match format {
        Format::Json => json_text::with_entry(text, section, name, entry),
        Format::Toml => toml_text::with_entry(text, section, name, entry),
        Format::Yaml => Err(Refusal::InTheWay("YAML is not changed".to_owned())),
    }
}

/// A file that holds only `entry`.
pub(super) fn alone(format: Format, section: &str, name: &str, entry: &Value) -> String {
    let whole = nested(&[section, name], entry);
    match format {
        Format::Json => json_text::pretty(&whole, "  "),
        Format::Toml => toml_text::rendered(&whole),
        Format::Yaml => yaml_text::rendered(&whole),
    }
}

/// `value` below these keys.
pub(super) fn nested(keys: &[&str], value: &Value) -> Value {
    let below = |inner, key: &&str| Value::Object(Map::from_iter([((*key).to_owned(), inner)]));
    keys.iter().rev().fold(value.clone(), below)
}

/// `whole` with `entry` as `name` in `section`, and what was there before.
///
/// The result of an edit must be this, or something would be lost.
pub(super) fn put(mut whole: Value, section: &str, name: &str, entry: &Value) -> (Value, Option<Value>) {
    let mut replaced = None;
    if let Some(root) = whole.as_object_mut() {
        let servers = root.entry(section).or_insert_with(|| Value::Object(Map::new()));
        replaced = servers.as_object_mut().and_then(|servers| servers.insert(name.to_owned(), entry.clone()));
    }
    (whole, replaced)
}

/// The line in which the byte at `offset` is, counted from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}
