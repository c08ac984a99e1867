//! Few tools in the place of many: with them a model finds, reads about and calls all that a profile has.

use std::{collections::BTreeMap, sync::Arc};

use fumehood_dispatch::{Catalogue, Tool as OurTool, Words};
use rmcp::{
    ErrorData,
    model::{CallToolResult, ContentBlock, JsonObject, Tool},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::view::Profile;

/// Most modules that have a tool of their own beside the three: together they are thirteen.
const MOST_CATEGORIES: usize = 10;

/// Most tools that one answer names.
const MOST_FOUND: usize = 50;

/// Functions that the description of a category names.
const NAMED: usize = 20;

/// What `tools/list` holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum List {
    /// Every tool.
    #[default]
    Full,
    /// Three tools that find, describe and call the others.
    Search,
    /// Three tools of the same kind, and one for each of the ten largest modules.
    Hybrid,
    /// Tools that list, find, describe and call the others.
    BaseOnly,
    /// One tool for each module.
    CategoriesOnly,
}

/// What a call of one of the few comes to.
pub(crate) enum Turned<'a> {
    /// It is a call of this tool.
    Call(&'a Arc<OurTool>, JsonObject),
    /// It is answered at once.
    Answer(CallToolResult),
}

/// What each of the few does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Find,
    Describe,
    Call,
}

impl List {
    /// The tools that are listed; none if all are.
    pub(crate) fn tools(self, profile: &Profile, catalogue: &Catalogue) -> Option<Vec<Tool>> {
        if self == Self::Full {
            return None;
        }
        let few = self.few().iter().map(|(name, act)| listed(name, act.description(), act.schema()));
        let categories = self.categories(profile, catalogue).into_iter().map(|(module, functions)| {
            let named: Vec<_> = functions.keys().take(NAMED).copied().collect();
            let more = functions.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let description = format!("Calls the functions of `{module}`: {}{more}.", named.join(", "));
            listed(&category(&module), &description, category_schema())
        });
        Some(few.chain(categories).collect())
    }

    /// What a call of the tool `name` means; nothing if it is none of the few.
    pub(crate) fn turn<'a>(
        self,
        profile: &'a Profile,
        catalogue: &'a Catalogue,
        name: &str,
        arguments: &JsonObject,
    ) -> Result<Option<Turned<'a>>, ErrorData> {
        if let Some((_, act)) = self.few().iter().find(|(known, _)| *known == name) {
            return act.turn(profile, catalogue, arguments).map(Some);
        }
        if !name.starts_with("manage_") {
            return Ok(None);
        }
        let categories = self.categories(profile, catalogue);
        let Some((module, functions)) = categories.into_iter().find(|(module, _)| category(module) == name) else {
            return Ok(None);
        };
        let action = text(arguments, "action")?;
        let inner = object(arguments, "action_args")?;
        match functions.get(action) {
            Some(tool) => Ok(Some(Turned::Call(tool, inner))),
            None => {
                let known: Vec<_> = functions.keys().copied().collect();
                let told = format!("`{module}` has no action `{}`; it has {}", action.escape_debug(), known.join(", "));
                Ok(Some(Turned::Answer(refused(told))))
            }
        }
    }

    fn few(self) -> &'static [(&'static str, Act)] {
        match self {
            Self::Full | Self::CategoriesOnly => &[],
            Self::Search => &[("search_tools", Act::Find), ("describe_tool", Act::Describe), ("call_tool", Act::Call)],
            Self::Hybrid => {
                &[("list_endpoints", Act::Find), ("get_schema", Act::Describe), ("call_endpoint", Act::Call)]
            }
            Self::BaseOnly => &[
                ("list_endpoints", Act::Find),
                ("quick_find", Act::Find),
                ("get_schema", Act::Describe),
                ("call_endpoint", Act::Call),
            ],
        }
    }

    /// The modules that have a tool of their own, with their functions.
    fn categories<'a>(
        self,
        profile: &'a Profile,
        catalogue: &'a Catalogue,
    ) -> BTreeMap<String, BTreeMap<&'a str, &'a Arc<OurTool>>> {
        if !matches!(self, Self::Hybrid | Self::CategoriesOnly) {
            return BTreeMap::new();
        }
        let mut modules: BTreeMap<String, BTreeMap<&str, &Arc<OurTool>>> = BTreeMap::new();
        for (_, tool) in profile.tools_after(catalogue, "") {
            modules.entry(tool.module.to_string()).or_default().insert(&tool.function, tool);
        }
        if self == Self::Hybrid && modules.len() > MOST_CATEGORIES {
            let mut sizes: Vec<_> = modules.iter().map(|(name, tools)| (tools.len(), name.clone())).collect();
            sizes.sort_by(|(a, one), (b, two)| b.cmp(a).then(one.cmp(two)));
            let kept: Vec<_> = sizes.into_iter().take(MOST_CATEGORIES).map(|(_, name)| name).collect();
            modules.retain(|name, _| kept.contains(name));
        }
        modules
    }
}

impl Act {
    fn description(self) -> &'static str {
        match self {
            Self::Find => {
                "Finds tools by words in their names and descriptions. Without words it lists them; `category` is a module."
            }
            Self::Describe => "Tells of one tool what it does, which arguments it takes and what it answers.",
            Self::Call => "Calls a tool by its name, with the arguments that its schema tells of.",
        }
    }

    fn schema(self) -> Value {
        let name = json!({ "type": "string", "description": "The name of the tool, as it was found." });
        match self {
            Self::Find => json!({
                "type": "object",
                "properties": {
                    "query": { "type": "string", "description": "What the tool should do, in a few words." },
                    "category": { "type": "string" },
                    "limit": { "type": "integer", "minimum": 1, "maximum": MOST_FOUND },
                },
                "additionalProperties": false,
            }),
            Self::Describe => json!({
                "type": "object", "properties": { "name": name }, "required": ["name"], "additionalProperties": false,
            }),
            Self::Call => json!({
                "type": "object",
                "properties": { "name": name, "arguments": { "type": "object" } },
                "required": ["name"],
                "additionalProperties": false,
            }),
        }
    }

    fn turn<'a>(
        self,
        profile: &'a Profile,
        catalogue: &'a Catalogue,
        arguments: &JsonObject,
    ) -> Result<Turned<'a>, ErrorData> {
        if self == Self::Find {
            return find(profile, catalogue, arguments).map(Turned::Answer);
        }
        let name = text(arguments, "name")?;
        let Some(tool) = profile.tool(catalogue, name) else {
            let told = format!("Unknown tool: {}", name.escape_debug());
            let near = catalogue.near_tools(name).into_iter().find(|near| profile.tool(catalogue, near).is_some());
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Ok(Turned::Answer(refused(told + &near)));
        };
        if self == Self::Call {
            return Ok(Turned::Call(tool, object(arguments, "arguments")?));
        }
        let listed = profile.listed(name, tool);
        let described = json!({
            "name": name, "description": profile.description(tool),
            "inputSchema": *profile.input_schema(tool), "outputSchema": *tool.output_schema,
            // What the full list tells beside these: whether it must be confirmed, whether it was reviewed.
            "_meta": listed.meta,
        });
        Ok(Turned::Answer(answered(&described)))
    }
}

fn find(profile: &Profile, catalogue: &Catalogue, arguments: &JsonObject) -> Result<CallToolResult, ErrorData> {
    let optional = |name| if arguments.contains_key(name) { text(arguments, name).map(Some) } else { Ok(None) };
    let query = Words::of(optional("query")?.unwrap_or_default());
    let category = optional("category")?;
    let limit = arguments
        .get("limit")
        .and_then(Value::as_u64)
        .map_or(MOST_FOUND, |limit| usize::try_from(limit).unwrap_or(MOST_FOUND).clamp(1, MOST_FOUND));
    let of_category = |tool: &OurTool| category.is_none_or(|category| category == tool.module.as_str());
    let tools = profile.tools_after(catalogue, "").into_iter().filter(|(_, tool)| of_category(tool));
    let found = query.best(tools, |(name, tool)| (name.to_string(), profile.description(tool).to_string()));
    let shown = found.iter().take(limit).map(|(name, tool)| {
        let sentence = profile.description(tool).lines().next().unwrap_or_default();
        json!({ "name": name, "description": sentence.chars().take(200).collect::<String>() })
    });
    let shown: Vec<_> = shown.collect();
    Ok(answered(&json!({ "tools": shown, "total": found.len() })))
}

fn listed(name: &str, description: &str, schema: Value) -> Tool {
    let schema = match schema {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    };
    Tool::new(name.to_owned(), description.to_owned(), Arc::new(schema))
}

fn category(module: &str) -> String {
    format!("manage_{}", module.replace('.', "_"))
}

fn category_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "action": { "type": "string", "description": "The function." },
            "action_args": { "type": "object", "description": "Its arguments." },
        },
        "required": ["action"],
        "additionalProperties": false,
    })
}

fn answered(value: &Value) -> CallToolResult {
    let mut result = CallToolResult::success(vec![ContentBlock::text(value.to_string())]);
    result.structured_content = Some(value.clone());
    result
}

fn refused(told: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(told)])
}

fn text<'a>(arguments: &'a JsonObject, name: &str) -> Result<&'a str, ErrorData> {
    let found = arguments.get(name).and_then(Value::as_str);
    found.ok_or_else(|| ErrorData::invalid_params(format!("`{name}` is needed, as a text"), None))
}

fn object(arguments: &JsonObject, name: &str) -> Result<JsonObject, ErrorData> {
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(JsonObject::new()),
        Some(Value::Object(object)) => Ok(object.clone()),
        Some(_) => Err(ErrorData::invalid_params(format!("`{name}` must be an object"), None)),
    }
}
