use std::{collections::HashMap, path::PathBuf, sync::Arc};

use fumehood_model::{Digest, ModuleName, Timestamp, ToolName};
use fumehood_value::{Function, Interface, LOCAL, Object, Plan};

use crate::AdmitError;

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
    /// What the component offers and needs.
    pub interface: Interface,
    /// Its tools, in the order in which the component exports them.
    pub tools: Vec<Arc<Tool>>,
    by_function: HashMap<String, usize>,
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
}

impl Module {
    /// A module made of a described component.
    ///
    /// # Errors
    ///
    /// When it has no tools, or schemas beyond all measure.
    pub fn new(
        name: ModuleName,
        digest: Digest,
        size_bytes: u64,
        origin: Origin,
        interface: Interface,
    ) -> Result<Self, AdmitError> {
        if interface.functions.is_empty() {
            let rejected = interface.rejected.iter().map(|r| format!("`{}`: {}", r.export, r.reason)).collect();
            return Err(AdmitError::NoTools { module: name, rejected });
        }
        let plans = Plan::of(&interface);
        let mut tools = Vec::with_capacity(plans.len());
        let mut schema_bytes = 0;
        for (position, (function, plan)) in interface.functions.iter().zip(plans).enumerate() {
            let tool = Tool::new(&name, digest, position, function, plan, &interface);
            schema_bytes += tool.schema_bytes();
            if schema_bytes > MAX_SCHEMA_BYTES {
                return Err(AdmitError::SchemasTooLarge { module: name, most: MAX_SCHEMA_BYTES });
            }
            tools.push(Arc::new(tool));
        }
        let by_function = tools.iter().enumerate().map(|(position, tool)| (tool.function.clone(), position)).collect();
        Ok(Self { name, digest, size_bytes, origin, interface, tools, by_function })
    }

    /// The tool for the function called `function`.
    #[must_use]
    pub fn tool(&self, function: &str) -> Option<&Arc<Tool>> {
        self.by_function.get(function).map(|position| &self.tools[*position])
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
            plan,
        }
    }

    fn schema_bytes(&self) -> usize {
        let size = |schema: &Object| serde_json::to_string(schema).map_or(0, |text| text.len());
        size(&self.input_schema) + size(&self.output_schema)
    }
}
