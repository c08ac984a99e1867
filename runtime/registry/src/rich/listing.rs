//! What a component says that it has.

use std::{collections::HashSet, sync::Arc};

use fumehood_value::{Declared, Object};
use serde::Deserialize;
use serde_json::Value;

use super::written::Line;

/// Most tools, prompts, resources and templates of one module, each.
const MAX_ENTRIES: usize = 1_000;

/// Longest name; longer ones are refused by some clients.
const MAX_NAME: usize = 64;

/// Longest title.
const MAX_TITLE: usize = 200;

/// Longest description, in characters; as for documentation inside a component.
const MAX_DESCRIPTION: usize = 4_000;

/// Longest URI, and longest URL of an icon that is no `data:` URL.
const MAX_URI: usize = 2_048;

/// Longest icon inside of its own URL.
const MAX_ICON: usize = 64 << 10;

/// Largest `_meta`, as JSON.
const MAX_META: usize = 16 << 10;

/// Most arguments of a prompt, and icons of anything.
const MAX_FEW: usize = 32;

/// Resources of ours, which no module can have.
const OUR_SCHEMES: [&str; 3] = ["job:", "queue:", "fumehood:"];

/// Most patterns in the schemas of one module: each takes some memory.
const MAX_PATTERNS: usize = 256;

/// Everything that a component describes, checked.
#[derive(Debug, Default)]
pub struct Described {
    /// Its tools.
    pub tools: Vec<RichTool>,
    /// Its prompts.
    pub prompts: Vec<Prompt>,
    /// Its resources.
    pub resources: Vec<Resource>,
    /// Its templates of resources.
    pub templates: Vec<Template>,
}

/// One tool as its author describes it.
#[derive(Debug)]
pub struct RichTool {
    /// The name that its author gave it.
    pub name: String,
    /// Its name for people.
    pub title: Option<String>,
    /// What it does.
    pub description: String,
    /// What its arguments are.
    pub input: Declared,
    /// What its structured answer is, if it has one.
    pub output: Option<Declared>,
    /// What a client may expect of it.
    pub hints: Hints,
    /// Pictures.
    pub icons: Vec<Value>,
    /// Passed on as `_meta`.
    pub meta: Option<Object>,
    /// Whether a call of it becomes a job.
    pub tasks: Tasks,
    /// Whether its input schema asks for arguments in headers.
    pub wants_headers: bool,
}

/// What a client may expect of a tool; nobody relies on it for safety.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Hints {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// It may destroy something.
    pub destructive: Option<bool>,
    /// Twice does no more than once.
    pub idempotent: Option<bool>,
    /// It reaches beyond this server.
    pub open_world: Option<bool>,
}

/// Whether a call of a tool becomes a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tasks {
    /// Its caller waits.
    Forbidden,
    /// As its caller wants it.
    Optional,
    /// Always.
    Required,
}

/// One prompt.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Prompt {
    /// The name that its author gave it.
    pub name: String,
    /// Its name for people.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What can be filled in.
    pub arguments: Vec<Argument>,
    /// Pictures.
    pub icons: Vec<Value>,
    /// Its messages, if they are written down and nobody has to be asked.
    #[serde(skip)]
    pub said: Option<Arc<[Line]>>,
}

/// What can be filled into a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// Whether the prompt needs it.
    pub required: bool,
    /// What alone it may be; anything, if there are none.
    #[serde(skip)]
    pub values: Vec<String>,
}

/// One resource with a fixed URI.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Resource {
    /// Where it is.
    pub uri: String,
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// What kind of content it has.
    pub mime_type: Option<String>,
    /// How large it is, in bytes.
    #[serde(default, deserialize_with = "whole")]
    pub size: Option<u64>,
    /// Pictures.
    pub icons: Vec<Value>,
    /// How a client may use it.
    pub annotations: Option<Value>,
    /// What is in it, if that is written down and nobody has to be asked.
    #[serde(skip)]
    pub text: Option<Arc<str>>,
}

/// Resources whose URIs look alike.
#[derive(Debug, Clone, Deserialize)]
pub struct Template {
    /// How they look: `notes://{year}/{name}`.
    pub uri_template: String,
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub title: Option<String>,
    /// What they are.
    pub description: Option<String>,
    /// What kind of content they have.
    pub mime_type: Option<String>,
}

/// The lists as they come from the guest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    tools: Vec<ListedTool>,
    #[serde(default)]
    prompts: Vec<Prompt>,
    #[serde(default)]
    resources: Vec<Resource>,
    #[serde(default)]
    templates: Vec<Template>,
}

#[derive(Deserialize)]
struct ListedTool {
    name: String,
    title: Option<String>,
    description: String,
    input_schema: String,
    output_schema: Option<String>,
    hints: Hints,
    icons: Vec<Value>,
    meta: Option<String>,
    tasks: Tasks,
}

impl Described {
    /// Read and check the lists in `json`.
    ///
    /// # Errors
    ///
    /// With a sentence for the author: what is wrong with which of them.
    pub fn parse(json: &str) -> Result<Self, String> {
        let Lists { tools, prompts, resources, templates } = serde_json::from_str(json)
            .map_err(|error| format!("its lists are not as `fumehood:tool` says: {error}"))?;
        let few = |what: &str, count: usize| {
            if count > MAX_ENTRIES { Err(format!("it has {count} {what}, and may have {MAX_ENTRIES}")) } else { Ok(()) }
        };
        few("tools", tools.len())?;
        few("prompts", prompts.len())?;
        few("resources", resources.len())?;
        few("templates", templates.len())?;
        unique("tool", tools.iter().map(|tool| &tool.name))?;
        unique("prompt", prompts.iter().map(|prompt| &prompt.name))?;
        unique("resource", resources.iter().map(|resource| &resource.uri))?;
        prompts.iter().try_for_each(prompt)?;
        resources.iter().try_for_each(resource)?;
        templates.iter().try_for_each(template)?;
        let tools: Vec<RichTool> = tools.into_iter().map(tool).collect::<Result<_, _>>()?;
        let patterns = |tool: &RichTool| tool.input.patterns() + tool.output.as_ref().map_or(0, Declared::patterns);
        let patterns: usize = tools.iter().map(patterns).sum();
        if patterns > MAX_PATTERNS {
            return Err(format!("its schemas have {patterns} patterns, and may have {MAX_PATTERNS} together"));
        }
        Ok(Self { tools, prompts, resources, templates })
    }
}

impl Prompt {
    /// The texts that are filled in: every one that it needs, and none that it does not know.
    ///
    /// # Errors
    ///
    /// With what is missing, unknown or no text, for the caller.
    pub fn filled(&self, given: Object) -> Result<Vec<(String, String)>, String> {
        let missing = self.arguments.iter().find(|argument| argument.required && !given.contains_key(&argument.name));
        if let Some(argument) = missing {
            return Err(format!("the prompt needs the argument `{}`", argument.name));
        }
        let text = |(name, value): (String, Value)| {
            let Some(argument) = self.arguments.iter().find(|argument| argument.name == name) else {
                return Err(format!("the prompt has no argument `{}`", shown(&name)));
            };
            match value {
                Value::String(text) if !argument.values.is_empty() && !argument.values.contains(&text) => {
                    Err(format!("the argument `{name}` must be one of {}", argument.values.join(", ")))
                }
                Value::String(text) => Ok((name, text)),
                _ => Err(format!("the argument `{name}` must be a text")),
            }
        };
        given.into_iter().map(text).collect()
    }
}

impl Template {
    /// Whether `uri` looks as this says: each `{variable}` stands for some characters without a slash.
    #[must_use]
    pub fn matches(&self, uri: &str) -> bool {
        let mut rest = uri;
        let mut parts = self.uri_template.split('{');
        let Some(after) = parts.next().and_then(|first| rest.strip_prefix(first)) else { return false };
        rest = after;
        for part in parts {
            let literal = part.split_once('}').map_or(part, |(_, literal)| literal);
            let end =
                if literal.is_empty() { rest.find('/').unwrap_or(rest.len()) } else { rest.find(literal).unwrap_or(0) };
            if end == 0 || rest[..end].contains('/') {
                return false;
            }
            rest = &rest[end + literal.len()..];
        }
        rest.is_empty()
    }
}

fn tool(listed: ListedTool) -> Result<RichTool, String> {
    let ListedTool { name, title, description, input_schema, output_schema, hints, icons, meta, tasks } = listed;
    let wrong = |what: String| format!("the tool `{}`: {what}", shown(&name));
    check_name(&name).map_err(&wrong)?;
    text("title", title.as_deref(), MAX_TITLE).map_err(&wrong)?;
    text("description", Some(&description), MAX_DESCRIPTION).map_err(&wrong)?;
    check_icons(&icons).map_err(&wrong)?;
    let schema = |what: &str, text: &str| {
        Declared::parse(text).map_err(|error| wrong(format!("its {what} schema cannot be used: {error}")))
    };
    let input = schema("input", &input_schema)?;
    let output = output_schema.map(|text| schema("output", &text)).transpose()?;
    let meta = meta.map(|text| parse_meta(&text)).transpose().map_err(&wrong)?;
    let wants_headers = input_schema.contains("x-mcp-header");
    Ok(RichTool { name, title, description, input, output, hints, icons, meta, tasks, wants_headers })
}

pub(super) fn prompt(prompt: &Prompt) -> Result<(), String> {
    let wrong = |what: String| format!("the prompt `{}`: {what}", shown(&prompt.name));
    check_name(&prompt.name).map_err(&wrong)?;
    text("title", prompt.title.as_deref(), MAX_TITLE).map_err(&wrong)?;
    text("description", prompt.description.as_deref(), MAX_DESCRIPTION).map_err(&wrong)?;
    check_icons(&prompt.icons).map_err(&wrong)?;
    if prompt.arguments.len() > MAX_FEW {
        return Err(wrong(format!("it has more than {MAX_FEW} arguments")));
    }
    unique("argument", prompt.arguments.iter().map(|argument| &argument.name)).map_err(&wrong)?;
    for argument in &prompt.arguments {
        check_name(&argument.name).map_err(&wrong)?;
        text("description", argument.description.as_deref(), MAX_DESCRIPTION).map_err(&wrong)?;
    }
    Ok(())
}

pub(super) fn resource(resource: &Resource) -> Result<(), String> {
    let wrong = |what: String| format!("the resource `{}`: {what}", shown(&resource.uri));
    check_uri(&resource.uri).map_err(&wrong)?;
    text("name", Some(&resource.name), MAX_TITLE).map_err(&wrong)?;
    text("title", resource.title.as_deref(), MAX_TITLE).map_err(&wrong)?;
    text("description", resource.description.as_deref(), MAX_DESCRIPTION).map_err(&wrong)?;
    text("type", resource.mime_type.as_deref(), MAX_TITLE).map_err(&wrong)?;
    check_icons(&resource.icons).map_err(&wrong)
}

fn template(template: &Template) -> Result<(), String> {
    let wrong = |what: String| format!("the template `{}`: {what}", shown(&template.uri_template));
    check_uri(&template.uri_template).map_err(&wrong)?;
    text("name", Some(&template.name), MAX_TITLE).map_err(&wrong)?;
    text("title", template.title.as_deref(), MAX_TITLE).map_err(&wrong)?;
    text("description", template.description.as_deref(), MAX_DESCRIPTION).map_err(&wrong)?;
    text("type", template.mime_type.as_deref(), MAX_TITLE).map_err(&wrong)
}

/// A number of component values, which is text from 2^53 on.
fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.as_ref().and_then(super::answer::whole))
}

fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(allowed) {
        return Err(format!("a name has 1 to {MAX_NAME} of the characters A-Z, a-z, 0-9, `_`, `.` and `-`"));
    }
    Ok(())
}

/// Whether a text has only what RFC 3986 allows in a URI. Clients may check that, and then refuse the whole list.
pub(super) fn is_of_uri(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let escapes = text.split('%').skip(1);
    let is_escape = |escape: &str| escape.len() >= 2 && escape.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    text.bytes().all(is_allowed) && { escapes }.all(is_escape)
}

fn check_uri(uri: &str) -> Result<(), String> {
    // The braces of a template.
    if uri.len() > MAX_URI || !uri.contains(':') || !is_of_uri(&uri.replace(['{', '}'], "")) {
        let what = "a URI has a scheme, at most";
        return Err(format!(
            "{what} {MAX_URI} characters, and what is no letter, digit or sign of a URI is written as %20"
        ));
    }
    let scheme = uri.split(':').next().unwrap_or_default();
    if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) {
        return Err("the scheme of a URI is letters and digits".to_owned());
    }
    let lower = uri.to_ascii_lowercase();
    match OUR_SCHEMES.into_iter().find(|ours| lower.starts_with(ours)) {
        Some(ours) => Err(format!("URIs that start with `{ours}` are those of the server")),
        None => Ok(()),
    }
}

fn check_icons(icons: &[Value]) -> Result<(), String> {
    if icons.len() > MAX_FEW {
        return Err(format!("it has more than {MAX_FEW} icons"));
    }
    for icon in icons {
        let src = icon["src"].as_str().unwrap_or_default();
        let fits = (src.starts_with("https://") && src.len() <= MAX_URI)
            || (src.starts_with("data:") && src.len() <= MAX_ICON);
        if !fits || !is_of_uri(src) {
            let what = "an icon is an https: URL, or a data: URL of at most 64 KiB, in which what is no letter, digit or sign of \
                a URL is written as %20 or in base64";
            return Err(what.to_owned());
        }
    }
    Ok(())
}

fn parse_meta(text: &str) -> Result<Object, String> {
    if text.len() > MAX_META {
        return Err(format!("its meta has more than {MAX_META} bytes"));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(meta)) => Ok(meta),
        _ => Err("its meta must be a JSON object".to_owned()),
    }
}

pub(super) fn text(what: &str, text: Option<&str>, most: usize) -> Result<(), String> {
    let Some(text) = text else { return Ok(()) };
    if text.chars().nth(most).is_some() {
        return Err(format!("its {what} has more than {most} characters"));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(format!("its {what} has control characters"));
    }
    Ok(())
}

pub(crate) fn unique<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("it has the {what} `{}` twice", shown(name)));
        }
    }
    Ok(())
}

pub(super) fn shown(name: &str) -> String {
    name.chars().take(MAX_NAME).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str, more: &Value) -> Value {
        let mut tool = json!({
            "name": name, "description": "d", "input_schema": r#"{"type":"object"}"#, "hints": {}, "icons": [], "tasks": "optional",
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            tool[key] = value.clone();
        }
        tool
    }

    fn refused(lists: &Value) -> String {
        Described::parse(&lists.to_string()).unwrap_err()
    }

    #[test]
    fn lists_are_read_and_what_strangers_get_wrong_is_told() {
        let fine =
            json!({ "tools": [tool("a_B.c-1", &json!({ "hints": { "read_only": true }, "meta": r#"{"x":1}"# }))] });
        let described = Described::parse(&fine.to_string()).unwrap();
        assert_eq!(described.tools[0].hints.read_only, Some(true));
        assert_eq!(described.tools[0].tasks, Tasks::Optional);

        for (more, what) in [
            (json!({ "input_schema": "{}" }), "its input schema cannot be used"),
            (json!({ "output_schema": "[" }), "its output schema cannot be used"),
            (json!({ "meta": "[]" }), "its meta must be"),
            (json!({ "icons": [{ "src": "http://x/y.png" }] }), "an icon is"),
            (json!({ "icons": [{ "src": "https://x/y z.png" }] }), "an icon is"),
            (json!({ "icons": [{ "src": "data:image/svg+xml,<svg/>" }] }), "an icon is"),
            (json!({ "icons": [{ "src": "https://x/%2" }] }), "an icon is"),
            (json!({ "description": "\u{1b}[2J" }), "control characters"),
            (json!({ "title": "x".repeat(201) }), "more than 200"),
        ] {
            assert!(refused(&json!({ "tools": [tool("t", &more)] })).contains(what), "{what}");
        }
        assert!(refused(&json!({ "tools": [tool("a b", &json!({}))] })).contains("a name has"));
        assert!(refused(&json!({ "tools": [tool("a", &json!({})), tool("a", &json!({}))] })).contains("twice"));
        assert!(refused(&json!({ "tools": 7 })).contains("not as `fumehood:tool` says"));
        let large = json!({ "uri": "x://y", "name": "n", "icons": [], "size": "9007199254740993" });
        let described = Described::parse(&json!({ "tools": [], "resources": [large] }).to_string()).unwrap();
        assert_eq!(described.resources[0].size, Some(9_007_199_254_740_993));
        for ours in ["job://1", "JOB://1", "fumehood:x"] {
            let ours = json!({ "uri": ours, "name": "n", "icons": [] });
            assert!(refused(&json!({ "tools": [], "resources": [ours] })).contains("those of the server"));
        }
        for broken in ["x://a b", "x://\u{e4}", "x://<y>", "x://%zz"] {
            let broken = json!({ "uri": broken, "name": "n", "icons": [] });
            assert!(refused(&json!({ "tools": [], "resources": [broken] })).contains("is written as %20"));
        }
        let any = json!({ "uri_template": "{scheme}://{rest}", "name": "n" });
        assert!(refused(&json!({ "tools": [], "templates": [any] })).contains("the scheme of a URI"));
    }

    #[test]
    fn a_template_matches_what_it_describes() {
        let template = |text: &str| Template {
            uri_template: text.to_owned(),
            name: String::new(),
            title: None,
            description: None,
            mime_type: None,
        };

        assert!(template("test://template/{id}/data").matches("test://template/123/data"));
        assert!(template("notes://{year}/{name}").matches("notes://2026/a"));
        for other in ["test://template//data", "test://template/1/2/data", "test://template/1/data/x", "x"] {
            assert!(!template("test://template/{id}/data").matches(other), "{other}");
        }
        assert!(!template("notes://{year}/{name}").matches("notes://2026/a/b"));
    }
}
