//! Resources of the server itself: jobs, kept results, what modules and tools are, and how the server stands.
//!
//! Components cannot offer any of these: their schemes are refused when a component describes itself.

use std::fmt::Write;

use fumehood_model::{Job, JobOutcome, Outcome, Principal};
use fumehood_registry::{
    Module, Tool,
    rich::{Resource, Template},
};
use serde_json::{Value, json};

use crate::{DispatchError, Dispatcher};

/// Where it tells how it stands.
const SYSTEM: &str = "fumehood://system";

/// Most names that complete a part of a URI.
const MAX_NAMES: usize = 100;

/// A resource of the server, by its URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnResource<'a> {
    /// How the server stands: `fumehood://system`.
    System,
    /// What a module is for and what its tools do, for reading: `fumehood://modules/{module}`.
    Module(&'a str),
    /// What a tool takes and answers: `fumehood://tools/{tool}`.
    Tool(&'a str),
    /// A result that is kept for its caller: `fumehood://results/{id}`.
    Result(&'a str),
    /// How a job stands: `job://{id}`, or `queue://{id}`.
    Job(&'a str),
}

impl<'a> OwnResource<'a> {
    /// The one at `uri`, if it is one of these.
    #[must_use]
    pub fn at(uri: &'a str) -> Option<Self> {
        let job = uri.strip_prefix("job://").or_else(|| uri.strip_prefix("queue://"));
        if let Some(id) = job {
            return Some(Self::Job(id));
        }
        let ours = uri.strip_prefix("fumehood://")?;
        match ours.split_once('/') {
            None if ours == "system" => Some(Self::System),
            Some(("modules", name)) => Some(Self::Module(name)),
            Some(("tools", name)) => Some(Self::Tool(name)),
            Some(("results", id)) => Some(Self::Result(id)),
            _ => None,
        }
    }

    /// Whether it is one of the caller's own, and says nothing of what else is served.
    #[must_use]
    pub fn is_callers(self) -> bool {
        matches!(self, Self::Job(_) | Self::Result(_))
    }

    /// The one that is always there.
    #[must_use]
    pub fn system() -> Resource {
        Resource {
            uri: SYSTEM.to_owned(),
            name: "system".to_owned(),
            title: None,
            description: Some("What is served here, what runs at this moment, and what one call may use".to_owned()),
            mime_type: Some("application/json".to_owned()),
            size: None,
            icons: Vec::new(),
            annotations: None,
            text: None,
        }
    }

    /// How the URIs of those look that are many, the caller's own first.
    #[must_use]
    pub fn templates() -> [Template; 5] {
        let template = |uri: &str, name: &str, description: &str, kind: &str| Template {
            uri_template: uri.to_owned(),
            name: name.to_owned(),
            title: None,
            description: Some(description.to_owned()),
            mime_type: Some(kind.to_owned()),
        };
        let (json, text) = ("application/json", "text/markdown");
        [
            template("job://{id}", "job", "How a job of yours stands, with its result; tells when it moves", json),
            template("queue://{id}", "queue", "The same as job://{id}", json),
            template("fumehood://results/{id}", "result", "A result that is kept for you for an hour", json),
            template("fumehood://modules/{module}", "module", "What a module is for and what its tools do", text),
            template("fumehood://tools/{tool}", "tool", "What a tool takes and answers, as JSON Schema", json),
        ]
    }
}

impl Dispatcher {
    /// What is in a resource of the server: the object of a result of `resources/read`.
    ///
    /// # Errors
    ///
    /// When there is nothing of this name for `principal`.
    pub async fn own_resource(
        &self,
        principal: &Principal,
        uri: &str,
        own: OwnResource<'_>,
    ) -> Result<Value, DispatchError> {
        let (kind, text) = match own {
            OwnResource::System => ("application/json", self.system(principal)?.to_string()),
            OwnResource::Module(name) => ("text/markdown", described(&*self.module(principal, name)?)),
            OwnResource::Tool(name) => ("application/json", schemas(&*self.tool(principal, name)?).to_string()),
            OwnResource::Job(id) => ("application/json", standing(&self.job(principal, id).await?).to_string()),
            OwnResource::Result(id) => {
                let json = self.result(principal, id).await?;
                ("application/json", String::from_utf8_lossy(&json).into_owned())
            }
        };
        Ok(json!({ "contents": [{ "uri": uri, "mimeType": kind, "text": text }] }))
    }

    /// Whether there is such a resource for `principal`.
    pub async fn has_own_resource(&self, principal: &Principal, own: OwnResource<'_>) -> bool {
        match own {
            OwnResource::System => self.catalogue(principal).is_ok(),
            OwnResource::Module(name) => self.module(principal, name).is_ok(),
            OwnResource::Tool(name) => self.tool(principal, name).is_ok(),
            OwnResource::Job(id) => self.job(principal, id).await.is_ok(),
            OwnResource::Result(id) => self.result(principal, id).await.is_ok(),
        }
    }

    /// Names that begin with `begun` and could stand in the part `name` of the URIs of `template`: the object `completion` of
    /// a result of `completion/complete`.
    ///
    /// # Errors
    ///
    /// When `principal` may see none.
    pub fn complete_own(
        &self,
        principal: &Principal,
        template: &str,
        name: &str,
        begun: &str,
    ) -> Result<Value, DispatchError> {
        let catalogue = self.catalogue(principal)?;
        let names: Vec<&str> = match (template, name) {
            ("fumehood://modules/{module}", "module") => {
                catalogue.modules().map(|module| module.name.as_str()).collect()
            }
            ("fumehood://tools/{tool}", "tool") => catalogue.tools().map(|tool| tool.name.as_str()).collect(),
            _ => Vec::new(),
        };
        let fitting: Vec<_> = names.into_iter().filter(|name| name.starts_with(begun)).collect();
        let (total, shown) = (fitting.len(), &fitting[..fitting.len().min(MAX_NAMES)]);
        Ok(json!({ "values": shown, "total": total, "hasMore": total > shown.len() }))
    }

    fn system(&self, principal: &Principal) -> Result<Value, DispatchError> {
        let catalogue = self.catalogue(principal)?;
        let (running, waiting) = self.load_now();
        Ok(json!({
            "name": "fumehood",
            "version": env!("CARGO_PKG_VERSION"),
            "ready": self.is_ready(),
            "modules": catalogue.modules().len(),
            "tools": catalogue.tools().len(),
            "calls_running": running,
            "calls_waiting": waiting,
            "keeps_jobs": self.keeps_jobs(),
            "limits": self.limits(),
        }))
    }
}

/// A module for who reads.
fn described(module: &Module) -> String {
    let mut text = format!("# {}\n", module.name);
    // Writing to a string cannot fail.
    if let Some(about) = &module.manifest.description {
        let _ = write!(text, "\n{about}\n");
    }
    let version = module.manifest.version.as_ref().map(|version| format!("Version {version}. ")).unwrap_or_default();
    let _ = write!(text, "\n{version}Component `{}`.\n", module.digest);
    for tool in &module.tools {
        let _ = write!(text, "\n## {}\n\n`{}`\n", tool.name, tool.signature);
        if tool.documented {
            let _ = write!(text, "\n{}\n", tool.description);
        }
    }
    text
}

fn schemas(tool: &Tool) -> Value {
    json!({
        "name": tool.name,
        "description": tool.description,
        "signature": tool.signature,
        "inputSchema": *tool.input_schema,
        "outputSchema": *tool.output_schema,
        "definition": tool.definition,
    })
}

/// A job as its owner sees it.
fn standing(job: &Job) -> Value {
    let mut told = json!({
        "id": job.id,
        "module": job.tool.module,
        "function": job.tool.function,
        "state": job.state,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
    });
    let mut tell = |name: &str, value: Value| {
        if !value.is_null() {
            told[name] = value;
        }
    };
    tell("started_at", json!(job.started_at));
    tell("finished_at", json!(job.finished_at));
    tell("progress", json!(job.progress));
    tell("result_bytes", json!(job.result_bytes));
    let parsed = |json: &str| serde_json::from_str(json).unwrap_or(Value::Null);
    match &job.outcome {
        // A large one stands apart, and is empty here.
        Some(JobOutcome::Ended(Outcome::Value(json))) => tell("result", parsed(json)),
        Some(JobOutcome::Ended(Outcome::ToolError(json))) => {
            tell("error", json!({ "code": fumehood_model::Code::ToolError, "message": parsed(json) }));
        }
        Some(JobOutcome::Ended(Outcome::Stopped(stopped))) => {
            tell("error", json!({ "code": stopped.reason.code(), "message": stopped.to_string() }));
        }
        Some(JobOutcome::Failed(failure)) => tell("error", json!({ "code": failure.code, "message": failure.message })),
        None => {}
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_known_by_its_uri() {
        assert_eq!(OwnResource::at("job://7"), Some(OwnResource::Job("7")));
        assert_eq!(OwnResource::at("queue://7"), Some(OwnResource::Job("7")));
        assert_eq!(OwnResource::at(SYSTEM), Some(OwnResource::System));
        assert_eq!(OwnResource::at("fumehood://tools/a__b"), Some(OwnResource::Tool("a__b")));
        for foreign in ["fumehood://", "fumehood://system/x", "fumehood://other/x", "notes://a", "job:7", ""] {
            assert_eq!(OwnResource::at(foreign), None, "{foreign}");
        }
    }
}
