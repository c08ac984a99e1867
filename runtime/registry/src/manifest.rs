//! `tool.toml`: what the author of a module says of it.
//!
//! It comes beside the component, with the upload, or in the component itself. It describes, asks and lowers; it never
//! grants anything. Whoever wrote it is a stranger: everything in it is bounded, and every mistake is told with its
//! line.

mod dependencies;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use fumehood_model::{Bound, Lowered, ModuleName, Unit};
use fumehood_policy::Grant;
use serde_json::Value;
use toml::de::DeTable;

pub use dependencies::{Dependency, MAX_DEPENDENCIES};
use reader::{Reader, Text};

use crate::rich::{Prompt, Resource, WrittenPrompt, WrittenResource};
use crate::{AdmitError, near::near};

/// Largest manifest: a thousand lines, of which a person reads ten.
pub const MAX_MANIFEST_BYTES: usize = 64 << 10;

/// Longest reason for a permission, in characters: two lines of a table.
pub const MAX_REASON: usize = 300;

/// Most permissions that one module asks for: more than anyone would review.
const MAX_PERMISSIONS: usize = 64;

/// Longest description, in characters; as for documentation inside a component.
const MAX_DESCRIPTION: usize = 4_000;

/// Longest name, version, category or tag, in characters.
const MAX_WORD: usize = 64;

/// Most tags.
const MAX_TAGS: usize = 16;

/// Most functions that are described, and parameters of one: as many as a component may have.
const MAX_ENTRIES: usize = 1_000;

/// Most examples.
const MAX_EXAMPLES: usize = 200;

/// The keys at the top.
const KEYS: [&str; 16] = [
    "name",
    "version",
    "description",
    "category",
    "tags",
    "mode",
    "functions",
    "limits",
    "permissions",
    "examples",
    "example",
    "prompts",
    "resources",
    "deprecated",
    "build",
    "dependencies",
];

/// Longest command or path in `build`, in characters.
const MAX_BUILD: usize = 1_000;

/// What is said instead of a tool that is not to be used any more: it travels with every list.
const DEPRECATED: Text = Text { most: MAX_REASON, lines: false };

/// What the author of a module says of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifest {
    /// What the author calls it. The name under which it is served is the operator's choice.
    pub name: Option<String>,
    /// Its version, in the author's words.
    pub version: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// That it is not to be used any more, and what instead.
    pub deprecated: Option<String>,
    /// Where it belongs.
    pub category: Option<String>,
    /// Words under which it may be found.
    pub tags: Vec<String>,
    /// How its functions are meant to be called.
    pub mode: Mode,
    /// Bounds of its own; they only lower those of the server.
    pub limits: Lowered,
    /// How many of its calls may run at a time.
    pub concurrent_calls: Option<usize>,
    /// What is said of single functions.
    pub functions: BTreeMap<String, FunctionNotes>,
    /// What it asks for. Nothing of it is granted by asking.
    pub permissions: Vec<Wish>,
    /// Which modules its imports are to be taken from.
    pub dependencies: BTreeMap<String, Dependency>,
    /// How it is built, for its author's own tools. Nothing else reads it.
    pub build: Option<Build>,
    /// Calls and what comes of them.
    pub examples: Vec<Example>,
    /// Its prompts.
    pub prompts: Vec<Prompt>,
    /// Its resources.
    pub resources: Vec<Resource>,
}

/// How a component is made of its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The command of the language's own toolchain, for a shell in the folder of the manifest.
    pub command: String,
    /// The component that comes of it, from there.
    pub component: String,
    /// The language for which the functions of its WIT are declared before.
    pub bindings: Option<Bindings>,
}

/// A language that learns from files what a tool takes and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bindings {
    /// Files in `build`.
    C,
    /// Files in packages beside the module's own.
    Go,
}

/// How functions are meant to be called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// The caller waits for the answer.
    #[default]
    Direct,
    /// The caller comes back for it.
    Queue,
    /// The caller waits for a while, and comes back for what takes longer.
    Auto,
}

/// What is said of a function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunctionNotes {
    /// What it does.
    pub description: Option<String>,
    /// That it is not to be used any more, and what instead.
    pub deprecated: Option<String>,
    /// What its parameters mean.
    pub params: BTreeMap<String, String>,
    /// How it is meant to be called, if not as the module says.
    pub mode: Option<Mode>,
    /// Whether running it twice does no more than running it once.
    pub is_idempotent: bool,
    /// Whether it does nothing until a person has confirmed the call.
    pub requires_confirmation: bool,
    /// The line where this stands.
    pub line: usize,
}

/// A permission that a module asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What it wants, without what only the operator knows.
    pub grant: Grant,
    /// What for, in the author's words.
    pub reason: String,
}

/// A call and what comes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The function.
    pub function: String,
    /// Its arguments.
    pub args: Value,
    /// What comes of it, if the author says.
    pub expected: Option<Expected>,
}

/// What comes of an example.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// This value.
    Value(Value),
    /// This error of the tool.
    Error(Value),
}

/// Why a manifest is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", .mistakes.first().map(|first| format!("{file}:{}: {}", first.line, first.what)).unwrap_or_default(), more(.mistakes.len()))]
pub struct ManifestError {
    /// Which manifest: a path, or `tool.toml`.
    pub file: String,
    /// Everything that is wrong with it, by line.
    pub mistakes: Vec<ManifestMistake>,
}

/// One thing that is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestMistake {
    /// Where, from 1.
    pub line: usize,
    /// What, and what was probably meant.
    pub what: String,
}

fn more(count: usize) -> String {
    if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() }
}

impl Manifest {
    /// Read a manifest. `file` is what mistakes are told to be in.
    ///
    /// # Errors
    ///
    /// With everything that is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        let single = |line, what: String| ManifestError {
            file: file.to_owned(),
            mistakes: vec![ManifestMistake { line, what }],
        };
        if text.len() > MAX_MANIFEST_BYTES {
            return Err(single(1, format!("the file has {} bytes, and {MAX_MANIFEST_BYTES} are the most", text.len())));
        }
        let mut reader = Reader::new(text);
        let syntax = |error: &toml::de::Error| {
            single(reader.line(error.span().map_or(0, |span| span.start)), reader::shown(error.message()))
        };
        let table = DeTable::parse(text).map_err(|error| syntax(&error))?;
        let values: Value = toml::from_str(text).map_err(|error| syntax(&error))?;
        let manifest = read(&mut reader, table.get_ref(), &values);
        let mut mistakes = reader.finish();
        if mistakes.is_empty() {
            return Ok(manifest);
        }
        mistakes.sort_by_key(|mistake| mistake.line);
        Err(ManifestError { file: file.to_owned(), mistakes })
    }

    /// Where an import is to be taken from, by its whole name or else without its version.
    #[must_use]
    pub fn dependency(&self, import: &str) -> Option<&Dependency> {
        let bare = || self.dependencies.get(import.split('@').next().unwrap_or(import));
        self.dependencies.get(import).or_else(bare)
    }

    /// Refuse what is said of imports that a component does not have: a slip of the pen would let go of what it locks.
    ///
    /// # Errors
    ///
    /// With the first of them.
    pub fn check_dependencies(&self, module: &ModuleName, imports: &[String]) -> Result<(), AdmitError> {
        let bare = |import: &str| import.split('@').next().unwrap_or_default().to_owned();
        for (name, dependency) in &self.dependencies {
            if !imports.iter().any(|import| import == name || bare(import) == *name) {
                let near = near(name, imports.iter().map(String::as_str));
                let what = format!("import `{}`", reader::shown(name));
                return Err(AdmitError::UnknownInManifest {
                    module: module.clone(),
                    line: dependency.line,
                    what,
                    near,
                });
            }
        }
        Ok(())
    }

    /// What it asks for, as text.
    #[must_use]
    pub fn asks(&self) -> Vec<String> {
        self.permissions.iter().map(|wish| wish.grant.to_string()).collect()
    }
}

fn read(reader: &mut Reader<'_>, table: &DeTable<'_>, values: &Value) -> Manifest {
    reader.known(table, "", &KEYS);
    let word = Text { most: MAX_WORD, lines: false };
    let (limits, concurrent_calls) = limits(reader, table);
    Manifest {
        name: reader.text(table, "name", word),
        version: reader.text(table, "version", word),
        description: reader.text(table, "description", Text { most: MAX_DESCRIPTION, lines: true }),
        deprecated: deprecated(reader, table),
        category: reader.text(table, "category", word),
        tags: reader.texts(table, "tags", word, MAX_TAGS),
        mode: mode(reader, table).unwrap_or_default(),
        limits,
        concurrent_calls,
        functions: functions(reader, table),
        permissions: permissions(reader, table),
        dependencies: dependencies::read(reader, table),
        build: build(reader, table),
        examples: examples(reader, table, values),
        prompts: written(reader, table, "prompts", WrittenPrompt::checked),
        resources: written(reader, table, "resources", WrittenResource::checked),
    }
}

/// Prompts or resources, each as it is written and then `checked`.
fn written<W: serde::de::DeserializeOwned, T>(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    key: &str,
    checked: impl Fn(W) -> Result<T, String>,
) -> Vec<T> {
    let mut read = Vec::new();
    for (entry, start) in reader.tables(table, key, MAX_ENTRIES) {
        match reader.typed(entry, start).and_then(&checked) {
            Ok(entry) => read.push(entry),
            Err(what) => reader.mistake(start, what),
        }
    }
    read
}

fn mode(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<Mode> {
    match reader.text(table, "mode", Text { most: MAX_WORD, lines: false })?.as_str() {
        "direct" => Some(Mode::Direct),
        "queue" => Some(Mode::Queue),
        "auto" => Some(Mode::Auto),
        other => {
            let what = format!("`{}` is not a mode: use \"direct\", \"queue\" or \"auto\"", reader::shown(other));
            reader.mistake_at(table, "mode", what);
            None
        }
    }
}

fn deprecated(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<String> {
    let words = reader.text(table, "deprecated", DEPRECATED)?;
    if words.trim().is_empty() {
        reader.mistake_at(table, "deprecated", "`deprecated` says nothing: say what to use instead".to_owned());
    }
    Some(words)
}

fn build(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<Build> {
    let build = reader.table(table, "build")?;
    reader.known(build, "build.", &["command", "component", "bindings"]);
    let line = Text { most: MAX_BUILD, lines: false };
    let command = reader.text(build, "command", line);
    let component = reader.text(build, "component", line);
    if command.is_none() || component.is_none() {
        let what = "`build` needs a `command` and the `component` that comes of it";
        reader.mistake_at(table, "build", what.to_owned());
    }
    let bindings = match reader.text(build, "bindings", Text { most: MAX_WORD, lines: false }).as_deref() {
        None => None,
        Some("c") => Some(Bindings::C),
        Some("go") => Some(Bindings::Go),
        Some(other) => {
            let what = format!("there are no bindings for `{}`: use \"c\" or \"go\"", reader::shown(other));
            reader.mistake_at(build, "bindings", what);
            None
        }
    };
    Some(Build { command: command?, component: component?, bindings })
}

fn limits(reader: &mut Reader<'_>, table: &DeTable<'_>) -> (Lowered, Option<usize>) {
    let Some(limits) = reader.table(table, "limits") else { return (Lowered::default(), None) };
    let known: Vec<_> = Bound::ALL.into_iter().map(Bound::key).chain(["concurrent_calls"]).collect();
    reader.known(limits, "limits.", &known);
    let lowered = Bound::ALL.into_iter().fold(Lowered::default(), |lowered, bound| {
        let most = match bound.unit() {
            Unit::Count => reader.number(limits, bound.key()),
            Unit::Bytes => reader.size(limits, bound.key()).map(|size| size.0),
        };
        most.map_or(lowered, |most| lowered.with(bound, most))
    });
    (lowered, reader.number(limits, "concurrent_calls").map(|count| usize::try_from(count).unwrap_or(usize::MAX)))
}

fn functions(reader: &mut Reader<'_>, table: &DeTable<'_>) -> BTreeMap<String, FunctionNotes> {
    let Some(functions) = reader.table(table, "functions") else { return BTreeMap::new() };
    reader.at_most(table, "functions", functions.len(), MAX_ENTRIES);
    let mut notes = BTreeMap::new();
    for (name, _) in functions.iter().take(MAX_ENTRIES) {
        let line = reader.line(name.span().start);
        let Some(function) = reader.table(functions, name.get_ref()) else { continue };
        reader.known(
            function,
            "functions.NAME.",
            &["description", "deprecated", "params", "mode", "idempotent", "requires_confirmation"],
        );
        let text = Text { most: MAX_DESCRIPTION, lines: true };
        let mut params = BTreeMap::new();
        if let Some(table) = reader.table(function, "params") {
            reader.at_most(function, "params", table.len(), MAX_ENTRIES);
            for (param, _) in table.iter().take(MAX_ENTRIES) {
                if let Some(description) = reader.text(table, param.get_ref(), text) {
                    params.insert(param.get_ref().to_string(), description);
                }
            }
        }
        let description = reader.text(function, "description", text);
        let deprecated = deprecated(reader, function);
        let mode = mode(reader, function);
        let is_idempotent = reader.boolean(function, "idempotent").unwrap_or_default();
        let requires_confirmation = reader.boolean(function, "requires_confirmation").unwrap_or_default();
        let function =
            FunctionNotes { description, deprecated, params, mode, is_idempotent, requires_confirmation, line };
        notes.insert(name.get_ref().to_string(), function);
    }
    notes
}

fn permissions(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Vec<Wish> {
    let entries = reader.tables(table, "permissions", MAX_PERMISSIONS);
    let mut wishes: Vec<Wish> = Vec::with_capacity(entries.len());
    for (entry, start) in entries {
        reader.known(entry, "permissions.", &["allow", "reason"]);
        let reason = reader.text(entry, "reason", Text { most: MAX_REASON, lines: false });
        if reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
            reader.mistake(start, "a permission needs a `reason`: say in a sentence what it is for".to_owned());
        }
        let Some(allow) = reader.text(entry, "allow", Text { most: MAX_MANIFEST_BYTES, lines: false }) else {
            reader.mistake(
                start,
                "a permission needs `allow`, as in allow = \"http:GET https://api.example.com\"".to_owned(),
            );
            continue;
        };
        match asked(&allow) {
            Err(what) => reader.mistake_at(entry, "allow", what),
            Ok(grant) if wishes.iter().any(|wish| wish.grant == grant) => {
                reader.mistake_at(entry, "allow", format!("`{grant}` is asked for twice"));
            }
            Ok(grant) => wishes.push(Wish { grant, reason: reason.unwrap_or_default() }),
        }
    }
    wishes
}

/// What a module may ask for: not the operator's folders and values.
fn asked(text: &str) -> Result<Grant, String> {
    let grant: Grant = text.parse().map_err(|error: fumehood_policy::GrantError| error.to_string())?;
    let ask = grant.as_ask();
    if ask == grant {
        return Ok(grant);
    }
    Err(format!("a module cannot know the operator's folders and values: ask for `{ask}`"))
}

fn examples(reader: &mut Reader<'_>, table: &DeTable<'_>, values: &Value) -> Vec<Example> {
    let mut examples = Vec::new();
    for key in ["examples", "example"] {
        for (position, (entry, start)) in reader.tables(table, key, MAX_EXAMPLES).into_iter().enumerate() {
            reader.known(entry, "examples.", &["function", "args", "expect", "expect_error"]);
            let Some(function) = reader.text(entry, "function", Text { most: MAX_DESCRIPTION, lines: false }) else {
                reader.mistake(start, "an example needs a `function`".to_owned());
                continue;
            };
            let values = &values[key][position];
            let mut json = |key| json(reader, entry, key, &values[key]);
            let args = json("args").unwrap_or_else(|| Value::Object(serde_json::Map::new()));
            let expected = match (json("expect"), json("expect_error")) {
                (None, None) => None,
                (Some(value), None) => Some(Expected::Value(value)),
                (None, Some(error)) => Some(Expected::Error(error)),
                (Some(_), Some(_)) => {
                    reader.mistake(start, "an example has `expect` or `expect_error`, not both".to_owned());
                    None
                }
            };
            examples.push(Example { function, args, expected });
        }
    }
    examples
}

/// A value as TOML, or as JSON in a text.
fn json(reader: &mut Reader<'_>, entry: &DeTable<'_>, key: &str, value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) => match serde_json::from_str(text) {
            Ok(value) => Some(value),
            Err(error) => {
                reader.mistake_at(entry, key, format!("`{key}` is a text that is not JSON: {error}"));
                None
            }
        },
        value => Some(value.clone()),
    }
}
