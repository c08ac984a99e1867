//! Modules and tools as people read them.

use serde::Deserialize;
use serde_json::Value;

use crate::output::{limits, pretty, single_line, size, table, terminal_safe};

/// A module, as far as we show it. Everything is optional: a component file has no name and no history.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Module {
    name: Option<String>,
    digest: String,
    size_bytes: u64,
    source: Option<String>,
    path: Option<String>,
    installed_by: Option<String>,
    installed_at: Option<String>,
    compatibility: String,
    version: Option<String>,
    description: Option<String>,
    waiting: Option<String>,
    signature: Value,
    limits: Value,
    functions: Vec<Function>,
    rejected: Vec<Rejected>,
    imports: Vec<Import>,
}

/// A function of a module, or a tool.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Function {
    name: String,
    tool: String,
    module: String,
    function: String,
    signature: String,
    description: Option<String>,
    deprecated: Option<String>,
    requires_confirmation: bool,
    input_schema: Value,
    output_schema: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rejected {
    export: String,
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Import {
    name: String,
    reason: String,
}

/// A module in full.
pub(crate) fn module(value: &Value) -> String {
    let module: Module = read(value);
    let mut text = module.name.as_deref().map(|name| single_line(name) + "\n").unwrap_or_default();
    text += &facts(&[
        ("version", module.version.clone()),
        ("description", module.description.clone()),
        ("digest", Some(module.digest.clone())),
        ("waiting", module.waiting.as_ref().map(|digest| format!("{digest}, to be reviewed"))),
        ("size", Some(size(module.size_bytes))),
        ("source", module.source.as_ref().map(|source| module.origin(source))),
        ("signature", module.signature["text"].as_str().map(str::to_owned)),
        ("compatibility", Some(module.compatibility.clone())),
        ("limits", module.limits.is_object().then(|| limits(&module.limits))),
    ]);
    let functions = module.functions.iter().map(Function::entry);
    let rejected = module.rejected.iter().map(|rejected| format!("{}: {}", rejected.export, rejected.reason));
    let imports = module.imports.iter().map(|import| match import.reason.as_str() {
        "" | "offered" => import.name.clone(),
        reason => format!("{}: {reason}", import.name),
    });
    text + &section("functions", functions)
        + &section("rejected", rejected)
        + &section("made of", parts(&value["made_of"], 0))
        + &section("imports", imports)
}

/// What a component was made of, one part a line, and further in what that was made of.
fn parts(made_of: &Value, depth: usize) -> Vec<String> {
    let parts = made_of["parts"].as_array().into_iter().flatten().flat_map(|part| {
        let text = |key: &str| single_line(part[key].as_str().unwrap_or("?"));
        let imports = part["imports"].as_array().into_iter().flatten().filter_map(Value::as_str).map(single_line);
        let imports = imports.collect::<Vec<_>>().join(", ");
        let line = format!("{}{} {}: {imports}", "  ".repeat(depth), text("module"), short(&text("digest")));
        std::iter::once(line).chain(parts(&part["made_of"], depth + 1))
    });
    parts.collect()
}

/// The modules of a list, one a line.
pub(crate) fn modules(values: &[Value]) -> String {
    let rows = values.iter().map(|value| {
        let module: Module = read(value);
        let tools = value["tools"].as_u64().unwrap_or_default().to_string();
        let waiting = module.waiting.as_deref().map_or_else(|| "-".to_owned(), short);
        let source = module.source.clone().unwrap_or_default();
        vec![
            module.name.clone().unwrap_or_default(),
            tools,
            size(module.size_bytes),
            module.compatibility,
            source,
            short(&module.digest),
            waiting,
        ]
    });
    table(&["NAME", "TOOLS", "SIZE", "COMPATIBILITY", "SOURCE", "DIGEST", "WAITING"], rows)
}

/// The versions of a module, one a line.
pub(crate) fn versions(value: &Value) -> String {
    let rows = value["versions"].as_array().into_iter().flatten().map(|version| {
        let text = |key: &str| single_line(version[key].as_str().unwrap_or("-"));
        vec![
            version["number"].to_string(),
            if value["pinned"] == true && version["state"] == "served" {
                "served, pinned".to_owned()
            } else {
                text("state")
            },
            short(&text("digest")),
            text("version"),
            size(version["size_bytes"].as_u64().unwrap_or_default()),
            text("uploaded_by"),
            text("uploaded_at"),
            single_line(version["signature"]["text"].as_str().unwrap_or("-")),
        ]
    });
    table(&["VERSION", "STATE", "COMPONENT", "AUTHOR'S", "SIZE", "BY", "AT", "SIGNATURE"], rows)
}

/// Enough of a digest to tell it from others.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

/// What is said of a tool that must be confirmed.
const CONFIRMED: &str = "a person must confirm each call";

/// A tool in full.
pub(crate) fn tool(value: &Value) -> String {
    let tool: Function = read(value);
    let title = single_line(&format!("{}.{}", tool.module, tool.function));
    let confirmed = tool.requires_confirmation.then(|| CONFIRMED.to_owned());
    let facts = facts(&[
        ("signature", Some(tool.signature)),
        ("MCP name", Some(tool.name)),
        ("deprecated", tool.deprecated),
        ("confirmation", confirmed),
    ]);
    let description = section("description", tool.description);
    let input = section("input", [pretty(&tool.input_schema)]);
    let answer = section("output", [pretty(&tool.output_schema)]);
    format!("{title}\n{facts}{description}{input}{answer}")
}

/// The tools of a list, one a line.
pub(crate) fn tools(values: &[Value]) -> String {
    let rows = values.iter().map(|value| {
        let tool: Function = read(value);
        let description = tool.description.as_deref().and_then(|text| text.lines().next()).unwrap_or_default();
        let deprecated = if tool.deprecated.is_some() { "(deprecated) " } else { "" };
        vec![
            format!("{}.{}", tool.module, tool.function),
            tool.signature.clone(),
            shortened(&format!("{deprecated}{description}")),
        ]
    });
    table(&["TOOL", "SIGNATURE", "DESCRIPTION"], rows)
}

impl Module {
    fn origin(&self, source: &str) -> String {
        let path = self.path.as_ref().map(|path| format!(" {path}"));
        let by = self.installed_by.as_ref().map(|by| format!(" by {by}"));
        let at = self.installed_at.as_ref().map(|at| format!(" at {at}"));
        [path, by, at].into_iter().flatten().fold(source.to_owned(), |text, part| text + &part)
    }
}

impl Function {
    /// The signature, or the name when there is none, with the description below.
    fn entry(&self) -> String {
        let head = if self.signature.is_empty() { &self.name } else { &self.signature };
        let tool = if self.tool.is_empty() { String::new() } else { format!("\ntool {}", self.tool) };
        let description = self.description.as_ref().map(|text| format!("\n{text}")).unwrap_or_default();
        let confirmed = if self.requires_confirmation { format!("\n{CONFIRMED}") } else { String::new() };
        let deprecated = self.deprecated.as_ref().map(|words| format!("\ndeprecated: {words}")).unwrap_or_default();
        format!("{head}{description}{tool}{deprecated}{confirmed}").replace('\n', "\n    ")
    }
}

/// What could be read; a server that is newer than we are may leave out or change what we show.
fn read<T: Default + for<'de> Deserialize<'de>>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_default()
}

fn facts(facts: &[(&str, Option<String>)]) -> String {
    let known =
        facts.iter().filter_map(|(name, value)| Some((name, value.as_ref().filter(|value| !value.is_empty())?)));
    known.map(|(name, value)| format!("  {name:<14} {}\n", single_line(value))).collect()
}

fn section(title: &str, entries: impl IntoIterator<Item = String>) -> String {
    let lines: String =
        entries.into_iter().map(|entry| format!("  {}\n", terminal_safe(&entry).replace('\n', "\n  "))).collect();
    if lines.is_empty() { lines } else { format!("\n{title}\n{lines}") }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_is_shown_like_a_module_without_a_name() {
        let value = json!({
            "digest": "sha256:00", "size_bytes": 2048, "compatibility": "partial",
            "functions": [{ "name": "add", "signature": "add(a: s32) -> s32", "description": "Adds." }],
            "rejected": [{ "export": "init", "reason": "resources cannot cross" }],
            "imports": [{ "name": "wasi:cli/exit", "reason": "offered" }, { "name": "x:y/z", "reason": "not offered" }],
        });

        let text = module(&value);

        assert_eq!(
            text,
            "  digest         sha256:00\n  size           2.0 KiB\n  compatibility  partial\n\
             \nfunctions\n  add(a: s32) -> s32\n      Adds.\n\
             \nrejected\n  init: resources cannot cross\n\
             \nimports\n  wasi:cli/exit\n  x:y/z: not offered\n"
        );
    }

    #[test]
    fn descriptions_of_strangers_cannot_drive_the_terminal() {
        let value = json!([{ "module": "m", "function": "f", "signature": "f()", "description": "\u{1b}[2Jhi" }]);

        let text = tools(value.as_array().unwrap());

        assert!(text.contains("\\u{1b}[2Jhi"), "{text}");
    }

    #[test]
    fn an_answer_of_another_shape_does_not_stop_us() {
        assert_eq!(modules(&[json!(3)]).lines().count(), 2);
    }
}
