use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use fumehood_model::{Composition, Digest, Lowered, ModuleName, Standing, Timestamp, ToolName};
use fumehood_value::{Function, Interface, LOCAL, Object, Plan};

use crate::{
    AdmitError, FunctionNotes, Manifest, Mode,
    near::near,
    rich::{Described, Prompt, Resource, RichTool, Tasks, Template, unique},
};

pub use rich::Told;
pub use turns::Turns;

mod rich;
mod turns;

/// Most bytes that the schemas of one module may have together.
///
/// Every list of tools carries them; beyond this a client could not use them either.
const MAX_SCHEMA_BYTES: usize = 4 << 20;

/// A named module and everything about it that a call or a list needs.
#[derive(Debug)]
pub struct Module {
    /// Its name.
    pub name: ModuleName,
    /// Which component it is.
    pub digest: Digest,
    /// Size of the component in bytes.
    pub size_bytes: u64,
    /// Where it came from.
    pub origin: Origin,
    /// What is known of its signature.
    pub standing: Standing,
    /// What the component offers and needs.
    pub interface: Interface,
    /// What its author says of it; nothing, if there is no manifest.
    pub manifest: Manifest,
    /// What its component was made of, if it needs what other modules export.
    pub composition: Option<Composition>,
    /// Its tools, in the order in which the component exports or lists them.
    pub tools: Vec<Arc<Tool>>,
    /// Its prompts.
    pub prompts: Vec<Prompt>,
    /// Its resources.
    pub resources: Vec<Resource>,
    /// Its templates of resources.
    pub templates: Vec<Template>,
    /// The functions behind these, which are no tools themselves.
    pub answers: Answers,
    by_function: HashMap<String, usize>,
}

/// The functions through which a component that describes itself answers.
#[derive(Debug, Default)]
pub struct Answers {
    /// Makes the messages of a prompt.
    pub get_prompt: Option<Arc<Tool>>,
    /// Reads a resource.
    pub read_resource: Option<Arc<Tool>>,
    /// Completes an argument.
    pub complete: Option<Arc<Tool>>,
}

/// Where a module came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Somebody uploaded it.
    Upload {
        /// Name of the key.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// It was found in a folder of APIs.
    File {
        /// The file.
        path: PathBuf,
    },
}

/// One function of a module, ready to be listed and called.
#[derive(Debug)]
pub struct Tool {
    /// Its name for MCP clients.
    pub name: ToolName,
    /// Its module.
    pub module: ModuleName,
    /// Its name in REST paths.
    pub function: String,
    /// Which component runs.
    pub digest: Digest,
    /// The same as text, which every answer carries.
    pub digest_text: String,
    /// Its position in [`Interface::functions`].
    pub position: usize,
    /// What it does: the author's words, or its signature.
    pub description: String,
    /// Whether the description is the author's.
    pub documented: bool,
    /// Its signature in the notation of WIT.
    pub signature: String,
    /// How its arguments and answers are converted.
    pub plan: Plan,
    /// The schema of its arguments.
    pub input_schema: Arc<Object>,
    /// The schema of its answer as an object.
    pub output_schema: Arc<Object>,
    /// Whether an answer must be put into `{"result": …}` to be that object.
    pub wraps_answer: bool,
    /// Bounds that its module sets for itself.
    pub limits: Lowered,
    /// How many calls of its module may run at a time, if it says so.
    pub turns: Option<Turns>,
    /// How it is meant to be called.
    pub mode: Mode,
    /// Whether running it twice does no more than running it once, as its author says.
    pub is_idempotent: bool,
    /// Whether it does nothing until a person has confirmed the call, as its author says.
    pub requires_confirmation: bool,
    /// What its component says of it, if that describes its tools itself.
    pub rich: Option<Arc<RichTool>>,
    /// A hash of everything that a model reads of it: its name, its description and its schemas. As long as it stays, whoever
    /// approved the tool has seen what it says.
    pub definition: String,
    /// Whether it says something else than when its module was reviewed.
    pub is_redefined: bool,
    /// That it is not to be used any more, if its author says so.
    pub deprecated: Option<Deprecated>,
    param_notes: BTreeMap<String, String>,
}

/// That a tool is not to be used any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deprecated {
    /// What to use instead, in the author's words.
    pub words: String,
    /// Since when its module has been served that says so.
    pub since: Timestamp,
}

impl Module {
    /// A module made of a described component.
    ///
    /// # Errors
    ///
    /// When it has no tools, schemas beyond all measure, or a manifest that speaks of other functions.
    pub fn new(
        name: ModuleName,
        digest: Digest,
        size_bytes: u64,
        origin: Origin,
        interface: Interface,
        manifest: Manifest,
    ) -> Result<Self, AdmitError> {
        let described = interface.listing.as_deref().map_or_else(|| Ok(Described::default()), Described::parse);
        let described = described.map_err(|what| AdmitError::SelfDescription { module: name.clone(), what })?;
        if interface.functions.iter().all(Function::is_self_description) && described.tools.is_empty() {
            let rejected = interface.rejected.iter().map(|r| format!("`{}`: {}", r.export, r.reason)).collect();
            return Err(AdmitError::NoTools { module: name, rejected });
        }
        check_notes(&name, &interface, &manifest)?;
        let turns = manifest.concurrent_calls.map(Turns::new);
        let plans = Plan::of(&interface);
        let since = match &origin {
            Origin::Upload { at, .. } => *at,
            Origin::File { .. } => Timestamp::now(),
        };
        let made = |position: usize| {
            let (function, plan) = (&interface.functions[position], plans[position].clone());
            let mut tool = Tool::new(&name, digest, position, function, plan, &interface);
            tool.limits = manifest.limits;
            tool.turns.clone_from(&turns);
            tool.mode = manifest.mode;
            tool.deprecated = manifest.deprecated.clone().map(|words| Deprecated { words, since });
            tool
        };
        let mut tools = Vec::with_capacity(plans.len() + described.tools.len());
        for (position, function) in interface.functions.iter().enumerate().filter(|(_, f)| !f.is_self_description()) {
            let mut tool = made(position);
            if let Some(notes) = manifest.functions.get(&function.name) {
                tool.annotate(notes, since);
            }
            tools.push(Arc::new(tool.pinned()));
        }
        let Described { tools: rich, mut prompts, mut resources, templates } = described;
        prompts.extend(manifest.prompts.iter().cloned());
        resources.extend(manifest.resources.iter().cloned());
        unique("prompt", prompts.iter().map(|prompt| &prompt.name))
            .and_then(|()| unique("resource", resources.iter().map(|resource| &resource.uri)))
            .map_err(|what| AdmitError::SelfDescription { module: name.clone(), what })?;
        if let Some(call_tool) = interface.self_description("tools", "call-tool") {
            tools.extend(rich.into_iter().map(|rich| Arc::new(made(call_tool).described(&name, rich).pinned())));
        }
        if tools.iter().map(|tool| tool.schema_bytes()).sum::<usize>() > MAX_SCHEMA_BYTES {
            return Err(AdmitError::SchemasTooLarge { module: name, most: MAX_SCHEMA_BYTES });
        }
        let answering = |of: &str, export: &str| {
            interface
                .self_description(of, export)
                .map(|position| Arc::new(Tool { mode: Mode::Direct, ..made(position) }))
        };
        let answers = Answers {
            get_prompt: answering("prompts", "get-prompt"),
            read_resource: answering("resources", "read-resource"),
            complete: answering("completion", "complete"),
        };
        let mut by_function = HashMap::with_capacity(tools.len());
        let mut names = HashSet::with_capacity(tools.len());
        for (position, tool) in tools.iter().enumerate() {
            if by_function.insert(tool.function.clone(), position).is_some() || !names.insert(tool.name.clone()) {
                let what = format!("has two tools that would be called {}", tool.name);
                return Err(AdmitError::SelfDescription { module: name, what });
            }
        }
        Ok(Self {
            name,
            digest,
            size_bytes,
            origin,
            standing: Standing::Unchecked,
            manifest,
            composition: None,
            tools,
            prompts,
            resources,
            templates,
            answers,
            by_function,
            interface,
        })
    }

    /// The same, with what its component was made of.
    #[must_use]
    pub fn made_of(self, composition: Option<Composition>) -> Self {
        Self { composition, ..self }
    }

    /// The hash of what each of its tools says of itself, by function, and of the prompts and resources that are written
    /// down, as `prompt:NAME` and `resource:URI`: all that a model reads of it without asking its code.
    #[must_use]
    pub fn definitions(&self) -> BTreeMap<String, String> {
        let tools = self.tools.iter().map(|tool| (tool.function.clone(), tool.definition.clone()));
        let written = self.written().map(|(name, text)| (name, Digest::of(text.as_bytes()).to_string()));
        tools.chain(written).collect()
    }

    fn written(&self) -> impl Iterator<Item = (String, String)> {
        let prompts = self.manifest.prompts.iter();
        let prompts = prompts.map(|prompt| (format!("prompt:{}", prompt.name), prompt.shown()));
        let resources = self.manifest.resources.iter().map(|resource| {
            (format!("resource:{}", resource.uri), resource.text.as_deref().unwrap_or_default().to_owned())
        });
        prompts.chain(resources)
    }

    /// What a model reads under one of the names of [`Module::definitions`], for whoever reviews it.
    #[must_use]
    pub fn says(&self, name: &str) -> Option<String> {
        let tool = self.tool(name).map(|tool| {
            let confirmed = if tool.requires_confirmation { "\n(each call must be confirmed)" } else { "" };
            let deprecated = tool.deprecated.as_ref().map(|deprecated| format!("\n(deprecated: {})", deprecated.words));
            let notes = tool.param_notes.iter().map(|(name, text)| format!("\n{name}: {text}"));
            let notes: String = notes.collect();
            format!("{}\n{}{notes}{confirmed}{}", tool.signature, tool.description, deprecated.unwrap_or_default())
        });
        tool.or_else(|| self.written().find(|(known, _)| known == name).map(|(_, text)| text))
    }

    /// What was there `before` and says something else now, by the names of [`Module::definitions`].
    #[must_use]
    pub fn redefined_since(&self, before: &BTreeMap<String, String>) -> Vec<String> {
        let is_other = |(name, now): &(String, String)| before.get(name).is_some_and(|before| before != now);
        self.definitions().into_iter().filter(is_other).map(|(name, _)| name).collect()
    }

    /// The same, of whose signature this is known.
    #[must_use]
    pub fn of_standing(self, standing: Standing) -> Self {
        Self { standing, ..self }
    }

    /// The same, whose tools know which of them say something else than `before`.
    #[must_use]
    pub fn compared_with(mut self, before: Option<&BTreeMap<String, String>>) -> Self {
        let redefined = before.map(|before| self.redefined_since(before)).unwrap_or_default();
        for tool in &mut self.tools {
            if redefined.contains(&tool.function)
                // Nobody else has it yet.
                && let Some(tool) = Arc::get_mut(tool)
            {
                tool.is_redefined = true;
            }
        }
        self
    }

    fn redefined(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().filter(|tool| tool.is_redefined).map(|tool| tool.function.as_str())
    }

    /// Whether `other` would be served just as this is.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        // All else comes from the bytes of the component and from what its author says of it.
        self.name == other.name
            && self.digest == other.digest
            && self.origin == other.origin
            && self.standing == other.standing
            && self.manifest == other.manifest
            && self.redefined().eq(other.redefined())
    }

    /// The tool for the function called `function`.
    #[must_use]
    pub fn tool(&self, function: &str) -> Option<&Arc<Tool>> {
        self.by_function.get(function).map(|position| &self.tools[*position])
    }

    /// Which of `modules` has the resource `uri`: the first that lists it, or else the first whose template describes it.
    pub fn with_resource<'a>(modules: impl Iterator<Item = &'a Arc<Self>> + Clone, uri: &str) -> Option<&'a Arc<Self>> {
        let lists = |module: &&Arc<Self>| module.resources.iter().any(|resource| resource.uri == uri);
        let describes = |module: &&Arc<Self>| module.templates.iter().any(|template| template.matches(uri));
        let mut all = modules.clone();
        all.find(lists).or_else(move || {
            let mut modules = modules;
            modules.find(describes)
        })
    }

    /// What somebody has seen who has reviewed it: the component, what is asked for it, and what its tools say.
    #[must_use]
    pub fn revision(&self) -> Digest {
        let mut seen = self.digest.to_string();
        for asked in self.manifest.asks() {
            // No permission holds the end of a line.
            seen.push('\n');
            seen.push_str(&asked);
        }
        for (function, definition) in self.definitions() {
            seen.push_str(&format!("\n{function}\t{definition}"));
        }
        Digest::of(seen.as_bytes())
    }
}

impl Tool {
    fn new(
        module: &ModuleName,
        digest: Digest,
        position: usize,
        function: &Function,
        plan: Plan,
        interface: &Interface,
    ) -> Self {
        let signature = interface.signature(function);
        Self {
            name: ToolName::of(module, &function.name),
            module: module.clone(),
            function: function.name.clone(),
            digest,
            digest_text: digest.to_string(),
            position,
            description: function.docs.clone().unwrap_or_else(|| format!("{module}: {signature}")),
            documented: function.docs.is_some(),
            signature,
            input_schema: Arc::new(plan.input_schema(LOCAL).into_document()),
            output_schema: Arc::new(plan.output_object_schema(LOCAL).into_document()),
            wraps_answer: !plan.answers_object(),
            limits: Lowered::default(),
            turns: None,
            mode: Mode::default(),
            is_idempotent: false,
            requires_confirmation: false,
            is_redefined: false,
            deprecated: None,
            rich: None,
            definition: String::new(),
            param_notes: BTreeMap::new(),
            plan,
        }
    }

    /// The tool that a component describes as `rich`, made of the function through which it is called.
    fn described(self, module: &ModuleName, rich: RichTool) -> Self {
        let mode = match rich.tasks {
            Tasks::Forbidden => Mode::Direct,
            Tasks::Optional => self.mode,
            Tasks::Required => Mode::Queue,
        };
        let output =
            rich.output.as_ref().map_or_else(|| Arc::new(contents_schema()), |output| output.document().clone());
        Self {
            name: ToolName::of(module, &rich.name),
            function: rich.name.clone(),
            description: rich.description.clone(),
            documented: true,
            signature: rich.name.clone(),
            input_schema: rich.input.document().clone(),
            output_schema: output,
            wraps_answer: false,
            mode,
            is_idempotent: rich.hints.idempotent == Some(true) || rich.hints.read_only == Some(true),
            rich: Some(Arc::new(rich)),
            ..self
        }
    }

    /// The same with the hash of its definition.
    fn pinned(self) -> Self {
        let schema = |schema: &Object| serde_json::to_string(schema).unwrap_or_default();
        let title = self.rich.as_ref().and_then(|rich| rich.title.as_deref()).unwrap_or_default();
        let hints = self.rich.as_ref().map(|rich| format!("{:?}", rich.hints)).unwrap_or_default();
        let deprecated = self.deprecated.as_ref().map(|deprecated| deprecated.words.as_str());
        let parts = [
            self.name.as_str(),
            title,
            &self.description,
            &schema(&self.input_schema),
            &schema(&self.output_schema),
            &hints,
            // Whoever has approved a tool counts on being asked.
            if self.requires_confirmation { "confirmed" } else { "" },
        ];
        // Each with its length, so that no two definitions are the same text.
        let text: String =
            parts.iter().copied().chain(deprecated).map(|part| format!("{}:{part}", part.len())).collect();
        Self { definition: Digest::of(text.as_bytes()).to_string(), ..self }
    }

    /// Say of it what the manifest says.
    fn annotate(&mut self, notes: &FunctionNotes, since: Timestamp) {
        if let Some(words) = notes.deprecated.clone() {
            self.deprecated = Some(Deprecated { words, since });
        }
        if let Some(description) = &notes.description {
            self.description.clone_from(description);
            self.documented = true;
        }
        self.mode = notes.mode.unwrap_or(self.mode);
        self.is_idempotent = notes.is_idempotent;
        self.requires_confirmation = notes.requires_confirmation;
        self.param_notes = notes.params.iter().map(|(name, text)| (json_name(name), text.clone())).collect();
        let mut schema = Object::clone(&self.input_schema);
        self.describe_params(&mut schema);
        self.input_schema = Arc::new(schema);
    }

    /// Add what the author says of the parameters to a schema of the arguments object.
    pub fn describe_params(&self, schema: &mut Object) {
        let Some(properties) = schema.get_mut("properties").and_then(|properties| properties.as_object_mut()) else {
            return;
        };
        for (name, text) in &self.param_notes {
            if let Some(property) = properties.get_mut(name).and_then(|property| property.as_object_mut()) {
                property.insert("description".to_owned(), text.as_str().into());
            }
        }
    }

    fn schema_bytes(&self) -> usize {
        let size = |schema: &Object| serde_json::to_string(schema).map_or(0, |text| text.len());
        size(&self.input_schema) + size(&self.output_schema)
    }
}

/// The schema of an answer that is nothing but content blocks.
fn contents_schema() -> Object {
    let block =
        serde_json::json!({ "type": "object", "properties": { "type": { "type": "string" } }, "required": ["type"] });
    let schema = serde_json::json!({
        "type": "object",
        "properties": { "content": { "type": "array", "items": block } },
        "required": ["content"],
    });
    match schema {
        serde_json::Value::Object(schema) => schema,
        _ => Object::new(),
    }
}

/// Parameters may be written as in WIT or as in JSON.
fn json_name(name: &str) -> String {
    name.replace('-', "_")
}

/// Refuse notes about what is not there: they are slips, and would be lost in silence.
fn check_notes(module: &ModuleName, interface: &Interface, manifest: &Manifest) -> Result<(), AdmitError> {
    for (name, notes) in &manifest.functions {
        let unknown = |what: String, near: Vec<String>| AdmitError::UnknownInManifest {
            module: module.clone(),
            line: notes.line,
            what,
            near,
        };
        let Some(function) = interface.functions.iter().find(|function| function.name == *name) else {
            let near = near(name, interface.functions.iter().map(|function| function.name.as_str()));
            return Err(unknown(format!("function `{}`", name.escape_debug()), near));
        };
        let has = |name: &str| function.params.iter().any(|param| json_name(&param.name) == json_name(name));
        if let Some(param) = notes.params.keys().find(|param| !has(param)) {
            let near = near(param, function.params.iter().map(|param| param.name.as_str()));
            return Err(unknown(format!("parameter `{}` of `{name}`", param.escape_debug()), near));
        }
    }
    Ok(())
}
