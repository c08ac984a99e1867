//! Component files that are read and called in this process, without a server.

use std::{
    fs,
    future::ready,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use fumehood_capabilities::{
    About, Desk, Fixed, Granted, Heard, Host, Invoke, Nothing, Together, Visit, Witness, http::Egress, invoke,
    keyvalue::Buckets, secrets::Safe,
};
use fumehood_dispatch::{Compatibility, Fit, Fitting, Manifest, Module, Origin, Tool, rich::CallContext};
use fumehood_model::{ByteSize, Captured, Code, Digest, ModuleName, Outcome, Reached, Usage};
use fumehood_policy::{Grant, Limits, Trusted};
use fumehood_sandbox::{Call, Said, Sandbox, SandboxError};
use fumehood_store::{Access, DataDirectory};
use fumehood_value::{Arguments, InputError};
use serde_json::json;

use crate::{
    config::Config,
    exit::Failure,
    house::{self, runtime},
};

mod suppliers;

pub(crate) use suppliers::beside;

/// Largest file that is read here.
const MAX_FILE: ByteSize = ByteSize::mib(64);

/// How a call of a component file ended, and what it used.
pub(crate) struct LocalAnswer {
    /// The tool's answer or error as JSON text, or why it was stopped.
    pub(crate) outcome: Outcome<String>,
    /// What the call used.
    pub(crate) usage: Usage,
    /// Which bytes ran.
    pub(crate) digest: Digest,
    /// What the guest wrote to its standard output.
    pub(crate) stdout: Captured,
    /// What the guest wrote to its standard error.
    pub(crate) stderr: Captured,
    /// Where the guest was when it crashed: whoever runs a file is its operator.
    pub(crate) trace: Option<String>,
    /// What it was refused, where it is given anything at all.
    pub(crate) denied: Vec<Grant>,
}

/// What a call of a file is given beside its arguments. By default nothing.
#[derive(Default)]
pub(crate) struct Given {
    /// What of its surroundings is fixed.
    pub(crate) fixed: Fixed,
    /// What it reaches of the outside.
    pub(crate) outside: Option<Outside>,
}

/// What a call reaches of the outside.
pub(crate) struct Outside {
    /// What is granted.
    pub(crate) grants: Vec<Grant>,
    /// Where its requests go.
    pub(crate) egress: Egress,
    /// Secrets that belong to its grants, by name. No guest sees them.
    pub(crate) secrets: Vec<(String, String)>,
}

/// Seconds of processor time for compiling a file: more than a server gives to strangers, as an author's machine may be slow.
pub(crate) const COMPILE_CPU_S: u64 = 120;

/// A component file, read and described in a place of its own that is removed afterwards.
pub(crate) struct File {
    /// What it would be as a module.
    pub(crate) module: Module,
    sandbox: Sandbox,
    directory: DataDirectory,
    _place: tempfile::TempDir,
}

impl File {
    /// Read the component at `path`, whose calls have these limits at the most.
    ///
    /// # Errors
    ///
    /// With a [`Failure`] when the file cannot be read or is no component.
    pub(crate) async fn open(path: &Path, limits: &Limits) -> anyhow::Result<Self> {
        let bytes = read_component(path)?;
        let nobody_else = fs::Permissions::from_mode(0o700);
        let place = tempfile::Builder::new().permissions(nobody_else).tempdir()?;
        let directory = DataDirectory::open(place.path(), Access::Own)?;
        let (blobs, cache) = (directory.blobs()?, directory.cache()?);
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        blobs.put(&digest, &bytes)?;
        let mut config = Config { limits: *limits, ..Config::default() };
        config.components.compile_cpu_s = COMPILE_CPU_S;
        let sandbox_config = fumehood_sandbox::Config { concurrent_calls: 1, ..house::sandbox_config(&config)? };
        let workers = house::workers(&config, &sandbox_config)?;
        let sandbox = Sandbox::new(sandbox_config, house::compiler(&config)?, blobs, cache, workers)?;
        let interface = sandbox.describe(&digest).await.map_err(|error| refused(path, error))?;
        let origin = Origin::File { path: path.to_owned() };
        let invalid = |error| Failure::new(Code::InvalidComponent, format!("{}: {error}", path.display()));
        let held = interface.manifest.as_deref().map(|text| Manifest::parse("its tool.toml", text));
        let manifest = held.transpose().map_err(|error| invalid(error.to_string()))?.unwrap_or_default();
        let module = Module::new(name_of(path), digest, size, origin, interface, manifest)
            .map_err(|error| invalid(error.to_string()))?;
        Ok(Self { module, sandbox, directory, _place: place })
    }

    /// Call `tool` of it with the arguments in `json`, within `limits`, and with what it is `given`.
    ///
    /// # Errors
    ///
    /// With a [`Failure`] when the arguments do not fit; with any other error when we failed.
    pub(crate) async fn call(
        &self,
        tool: &Tool,
        json: &str,
        limits: &Limits,
        given: Given,
    ) -> anyhow::Result<LocalAnswer> {
        let Self { module, sandbox, .. } = self;
        let limits = &limits.lowered_by(&tool.limits);
        let refused = |error| refused(&self.path(), error);
        // Compiling has bounds of its own, and is not counted against a call that is made once.
        sandbox.load(&module.digest).await.map_err(refused)?;
        let deadline = Instant::now() + Duration::from_millis(limits.deadline_ms);
        let Given { fixed, outside } = given;
        let visit = outside.map(|outside| self.visit(outside, limits, deadline)).transpose()?;
        let host: Arc<dyn Host> = match &visit {
            Some(visit) => visit.clone(),
            None => Arc::new(Nothing),
        };
        let call = Call {
            digest: module.digest,
            function: tool.position,
            arguments: tool
                .for_guest(Arguments::Text(json.to_owned().into()), &CallContext::default())
                .map_err(unfit)?,
            limits: *limits,
            deadline,
            granted: Granted { fixed, ..Granted::default() },
            host,
            heard: Heard::default(),
            trusted: false,
        };
        let finished = sandbox.call(call, ()).await.map_err(refused)?;
        // What a tool answers that its component describes is told as a server tells it.
        let text = |json: bytes::Bytes| String::from_utf8_lossy(&tool.bare(json)).into_owned();
        let outcome = match tool.from_guest(finished.outcome).outcome {
            Outcome::Value(json) => Outcome::Value(text(json)),
            Outcome::ToolError(json) => Outcome::ToolError(text(json)),
            Outcome::Stopped(stopped) => Outcome::Stopped(stopped),
        };
        let (usage, said) = (finished.usage, finished.said);
        let Said { stdout, stderr, trace, .. } = said;
        let denied = visit.map(|visit| visit.denied()).unwrap_or_default();
        Ok(LocalAnswer { outcome, usage, digest: module.digest, stdout, stderr, trace, denied })
    }

    /// The host side of a call, as a server has it, that is granted this and nothing else.
    fn visit(&self, outside: Outside, limits: &Limits, deadline: Instant) -> anyhow::Result<Arc<Visit>> {
        let database = self.directory.database()?;
        let secrets = self.directory.secrets(&database);
        for (name, value) in &outside.secrets {
            secrets.set(name, value, "the environment")?;
        }
        let desk = Desk { http: outside.egress, keyvalue: Buckets::new(database), secrets: Safe::new(secrets) };
        Ok(desk.visit(About {
            module: self.module.name.clone(),
            grants: outside.grants.into(),
            limits: *limits,
            deadline,
            together: Together::default(),
            witness: Arc::new(Nobody),
            invoke: Arc::new(Nobody),
            listener: None,
        }))
    }

    fn path(&self) -> PathBuf {
        match &self.module.origin {
            Origin::File { path } => path.clone(),
            Origin::Upload { .. } => PathBuf::new(),
        }
    }
}

/// The bytes of the component at `path`, which is not read on if it is too large, and not at all if it is no file.
fn read_component(path: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error| Failure::new(Code::NotFound, format!("{} cannot be read: {error}", path.display()));
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(Failure::new(Code::NotFound, format!("{} is not a file", path.display())));
    }
    let mut bytes = Vec::new();
    fs::File::open(path).and_then(|file| file.take(MAX_FILE.0 + 1).read_to_end(&mut bytes)).map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE.0 {
        let message = format!("{} has more than the {MAX_FILE} that are allowed", path.display());
        return Err(Failure::new(Code::TooLarge, message));
    }
    Ok(bytes)
}

/// Who wants to know what a call of a file does, and which tools are beside it.
struct Nobody;

impl Witness for Nobody {
    fn note(&self, _: &ModuleName, _: &Grant, _: bool) {}

    fn secret_not_set(&self, _: &ModuleName, _: &str) {}

    fn reached(&self, _: &ModuleName, _: &Reached, _: &str) {}
}

impl Invoke for Nobody {
    fn invoke(
        &self,
        _: invoke::Permitted,
    ) -> Pin<Box<dyn Future<Output = Result<invoke::Response, invoke::Refused>> + Send + '_>> {
        Box::pin(ready(Err(invoke::Refused::Denied)))
    }
}

/// The name that the file would get; only for showing.
fn name_of(path: &Path) -> ModuleName {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_ascii_lowercase().replace('_', "-");
    stem.parse().unwrap_or_else(|_| "component".parse().expect("this is a valid name"))
}

/// Call `function` of the component at `path` with the arguments in `json`, within `limits`.
///
/// # Errors
///
/// With a [`Failure`] when the file is no component, has no such function, or the arguments do not fit; with any other
/// error when we failed.
pub(crate) fn call(path: &Path, function: &str, json: &str, limits: &Limits) -> anyhow::Result<LocalAnswer> {
    runtime(&Trusted::default())?.block_on(async {
        let file = File::open(path, limits).await?.whole().await?;
        let Some(tool) = file.module.tool(function) else {
            let known: Vec<_> = file.module.tools.iter().map(|tool| tool.function.as_str()).collect();
            let message = format!("{} has no function `{}`", path.display(), function.escape_debug());
            return Err(Failure::new(Code::NotFound, message).hint(format!("it has {}", known.join(", "))).into());
        };
        file.call(tool, json, limits, Given::default()).await
    })
}

/// What the component at `path` offers and needs, in the form in which the server shows a module.
///
/// # Errors
///
/// With a [`Failure`] when the file cannot be read or is no component.
pub(crate) fn inspect(path: &Path) -> anyhow::Result<serde_json::Value> {
    runtime(&Trusted::default())?.block_on(async {
        let File { module, .. } = File::open(path, &Limits::default()).await?;
        let functions: Vec<_> = module
            .tools
            .iter()
            .map(|tool| {
                let mut function = json!({
                    "name": tool.function, "tool": tool.name, "signature": tool.signature,
                    "input_schema": *tool.input_schema, "output_schema": *tool.output_schema,
                });
                if tool.documented {
                    function["description"] = tool.description.clone().into();
                }
                function
            })
            .collect();
        let Compatibility { fit, functions: exports, imports } =
            Compatibility::of_file(&module.interface, &module.manifest);
        let word = |fit| match fit {
            Fit::Full => "full",
            Fit::Partial => "partial",
            Fit::None => "incompatible",
        };
        let exports = exports
            .into_iter()
            .map(|Fitting { name, fit, why }| json!({ "name": name, "fit": word(fit), "reason": why }));
        let imports = imports.into_iter().map(|Fitting { name, fit, why }| {
            json!({ "name": name, "offered": fit != Fit::None, "fit": word(fit), "reason": why })
        });
        let (exports, imports): (Vec<_>, Vec<_>) = (exports.collect(), imports.collect());
        Ok(json!({
            "name": module.name, "digest": module.digest, "size_bytes": module.size_bytes, "source": "file",
            "path": path.display().to_string(), "compatibility": word(fit), "tools": module.tools.len(),
            "functions": functions, "rejected": module.interface.rejected, "exports": exports, "imports": imports,
        }))
    })
}

fn refused(path: &Path, error: SandboxError) -> anyhow::Error {
    match error {
        SandboxError::Input(error) => unfit(error).into(),
        SandboxError::NotServable(_)
        | SandboxError::UnknownImport { .. }
        | SandboxError::Refused { .. }
        | SandboxError::NotComposed { .. }
        | SandboxError::ReadBudget { .. }
        | SandboxError::CompileBudget { .. } => {
            Failure::new(Code::InvalidComponent, format!("{}: {error}", path.display())).into()
        }
        error => error.into(),
    }
}

fn unfit(error: InputError) -> Failure {
    let code = match &error {
        InputError::Malformed { .. } => Code::Malformed,
        InputError::TooLarge { .. } => Code::TooLarge,
        InputError::NoMemory => Code::Unavailable,
        _ => Code::InvalidInput,
    };
    match error {
        InputError::Mistakes { mistakes } => {
            let lines = mistakes
                .iter()
                .map(|m| format!("{}: {}", if m.pointer.is_empty() { "/" } else { &m.pointer }, m.message));
            Failure::new(code, "the arguments do not fit the function").lines(lines.collect())
        }
        error => Failure::new(code, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn what_is_too_dear_to_read_or_compile_is_invalid_and_no_failure_of_ours() {
        let what = || "5 s of CPU time".to_owned();

        for error in [SandboxError::ReadBudget { what: what() }, SandboxError::CompileBudget { what: what() }] {
            let refused = refused(Path::new("x.wasm"), error);
            assert_eq!(refused.downcast_ref().map(Failure::exit), Some(Exit::Invalid), "{refused:#}");
        }
    }
}
