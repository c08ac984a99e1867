use axum::{
    Json,
    extract::{Request, State as Shared},
    response::{IntoResponse, Response},
};
use fumehood_dispatch::{
    Changed, Compatibility, Dispatcher, Fit, Fitting, Inspected, Installed, Module, Origin, Overwrite,
    Problem as Unserved, Tool,
};
use fumehood_http::{Caller, Path, Problem};
use fumehood_model::{Code, Composition, Digest, Lowered, ModuleName, Part, Principal, Timestamp};
use fumehood_policy::Action;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    State,
    may::{Installing, May},
    permissions::{ChangeBody, Held},
    signatures::SignatureEntry,
    tools::Schemas,
    upload::{self, MultipartUpload},
    versions::KeptVersion,
};

/// All modules, and what could not be served.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModuleList {
    modules: Vec<ModuleEntry>,
    /// Files and stored modules that are not served, and why: for who may review. `health/detailed` tells all how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<Vec<ProblemEntry>>,
}

/// A module in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModuleEntry {
    #[schema(value_type = String, example = "text-stats")]
    name: ModuleName,
    #[schema(value_type = String)]
    digest: Digest,
    /// Size of the component.
    size_bytes: u64,
    source: Source,
    /// The file, where the source is one: for who may review.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Name of the key that uploaded it: for who may review.
    #[serde(skip_serializing_if = "Option::is_none")]
    installed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    installed_at: Option<Timestamp>,
    /// How much of it can be used, all in all.
    compatibility: FitWord,
    /// How many of its functions are tools.
    tools: usize,
    /// The component of a version that waits to be reviewed: for who may do that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    waiting: Option<Digest>,
    /// What is known of its signature: for who may review, where signatures are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureEntry>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Upload,
    File,
}

/// The bytes of a component.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "only its description is used: the body is read as a stream")]
struct Component(Vec<u8>);

/// Something that is not served.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProblemEntry {
    path: String,
    reason: String,
}

/// A module with everything that is known of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModuleDetail {
    #[serde(flatten)]
    module: ModuleEntry,
    functions: Vec<FunctionEntry>,
    /// Exports that are not tools, and why.
    rejected: Vec<RejectedEntry>,
    /// What the component needs from its host.
    imports: Vec<ImportEntry>,
    /// What the component was made of, where it needs what other modules export.
    #[serde(skip_serializing_if = "Option::is_none")]
    made_of: Option<MadeOf>,
    /// What its author calls this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// What its author says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Whether the component holds a `tool.toml`, which counts where none was sent beside it.
    holds_manifest: bool,
    /// Bounds on each of its calls that are lower than those of the server, by their keys in the configuration.
    #[serde(skip_serializing_if = "Lowered::is_none")]
    #[schema(value_type = Option<Object>)]
    limits: Lowered,
}

/// What a component was made of. It stays what it is, whatever becomes of the modules that its parts were taken from.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeOf {
    /// The component as it was uploaded.
    #[schema(value_type = String)]
    root: Digest,
    parts: Vec<PartEntry>,
}

/// A component that was put into another.
#[derive(Serialize, ToSchema)]
pub(crate) struct PartEntry {
    /// The module that it was taken from.
    #[schema(value_type = String)]
    module: ModuleName,
    #[schema(value_type = String)]
    digest: Digest,
    /// The imports that it meets.
    imports: Vec<String>,
    /// What it was made of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    made_of: Option<Box<MadeOf>>,
}

impl From<&Composition> for MadeOf {
    fn from(Composition { root, parts }: &Composition) -> Self {
        let part = |part: &Part| PartEntry {
            module: part.module.clone(),
            digest: part.digest,
            imports: part.imports.clone(),
            made_of: part.composition.as_ref().map(|composition| Box::new(composition.into())),
        };
        Self { root: *root, parts: parts.iter().map(part).collect() }
    }
}

/// How much of a module somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// Everything, for who may review.
    All,
    /// What is of use to call it, and nothing of the machine or of other keys.
    Tools,
}

impl Sight {
    fn of(principal: &Principal) -> Self {
        if Action::Review.check(principal).is_ok() { Self::All } else { Self::Tools }
    }
}

impl ModuleEntry {
    /// What of it is told with this sight.
    fn seen(self, sight: Sight) -> Self {
        match sight {
            Sight::All => self,
            Sight::Tools => Self { path: None, installed_by: None, waiting: None, signature: None, ..self },
        }
    }
}

/// A version that was uploaded and is not served yet.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum NotServed {
    Waits(Held),
    Pinned(KeptVersion),
}

/// A module that was just installed.
#[derive(Serialize, ToSchema)]
pub(crate) struct InstalledBody {
    #[serde(flatten)]
    module: ModuleDetail,
    /// What it asks for that it is not granted and that the version before it did not ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<ChangeBody>,
}

impl InstalledBody {
    pub(crate) fn of(module: &Module, changed: Changed, door: &Dispatcher) -> Self {
        let changed = (!changed.is_harmless()).then(|| ChangeBody::from(changed));
        Self { module: detail(module, door), changed }
    }
}

/// A function that is a tool.
#[derive(Serialize, ToSchema)]
pub(crate) struct FunctionEntry {
    name: String,
    /// Its name for MCP clients.
    tool: String,
    /// Its signature in WIT.
    signature: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// That it is not to be used any more, and what instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecated: Option<String>,
    /// Whether a person must confirm each call.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    requires_confirmation: bool,
    #[serde(flatten)]
    #[schema(inline)]
    schemas: Schemas,
}

/// An export that is not a tool.
#[derive(Serialize, ToSchema)]
pub(crate) struct RejectedEntry {
    export: String,
    reason: String,
}

/// An import of a component.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportEntry {
    name: String,
    /// Whether this server offers it. What it then reaches is a matter of grants.
    offered: bool,
    /// How much of it can be used.
    fit: FitWord,
    /// Why.
    reason: String,
}

/// How much of something can be used.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FitWord {
    Full,
    Partial,
    #[serde(rename = "incompatible")]
    None,
}

impl From<Fit> for FitWord {
    fn from(fit: Fit) -> Self {
        match fit {
            Fit::Full => Self::Full,
            Fit::Partial => Self::Partial,
            Fit::None => Self::None,
        }
    }
}

impl From<Fitting> for ImportEntry {
    fn from(Fitting { name, fit, why }: Fitting) -> Self {
        Self { name, offered: fit != Fit::None, fit: fit.into(), reason: why }
    }
}

/// What of a component can be served here.
#[derive(Serialize, ToSchema)]
pub(crate) struct InspectedBody {
    /// All in all.
    compatibility: FitWord,
    /// Why it cannot be a module as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// Every function that it exports.
    exports: Vec<ExportEntry>,
    /// What it needs from its host.
    imports: Vec<ImportEntry>,
    /// Its tools as they would be served, if it can be a module.
    functions: Vec<FunctionEntry>,
    /// What is known of its signature, where signatures are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureEntry>,
}

/// A function that a component exports, and what becomes of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExportEntry {
    name: String,
    /// How much of it can be used.
    fit: FitWord,
    /// Why.
    reason: String,
}

impl From<Fitting> for ExportEntry {
    fn from(Fitting { name, fit, why }: Fitting) -> Self {
        Self { name, fit: fit.into(), reason: why }
    }
}

/// List all modules.
#[utoipa::path(get, path = "/api/v1/modules", tag = "modules", operation_id = "listModules", responses(
    (status = 200, description = "All modules, by name", body = ModuleList),
))]
pub(crate) async fn list(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
) -> Result<Json<ModuleList>, Problem> {
    let catalogue = door.catalogue(&principal)?;
    let sight = Sight::of(&principal);
    let modules = catalogue.modules().map(|module| entry(module, &door).seen(sight)).collect();
    let problems = (sight == Sight::All).then(|| catalogue.problems().map(problem_entry).collect());
    Ok(Json(ModuleList { modules, problems }))
}

/// Show one module: its tools, what is not a tool and why, and its imports.
#[utoipa::path(get, path = "/api/v1/modules/{module}", tag = "modules", operation_id = "showModule",
    params(("module" = String, Path, description = "Name of the module")),
    responses((status = 200, description = "The module", body = ModuleDetail)))]
pub(crate) async fn show(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<Json<ModuleDetail>, Problem> {
    let mut shown = detail(&*door.module(&principal, &name)?, &door);
    shown.module = shown.module.seen(Sight::of(&principal));
    Ok(Json(shown))
}

/// Upload a component under this name, new or in place of the one that has it.
///
/// It is read, compiled and linked before it is answered: what was accepted can be called at once. With
/// `If-None-Match: *` only a new name is accepted. A `tool.toml` may come beside the component; nothing that it asks for
/// is granted by that.
#[utoipa::path(put, path = "/api/v1/modules/{module}", tag = "modules", operation_id = "putModule",
    params(("module" = String, Path, description = "Name of the module: a-z, 0-9 and `-`")),
    request_body(description = "The component", content(
        (Component = "application/wasm"),
        (Component = "application/octet-stream"),
        (MultipartUpload = "multipart/form-data"),
    )),
    responses(
        (status = 200, description = "The module was replaced", body = InstalledBody),
        (status = 201, description = "The module is new", body = InstalledBody),
        (status = 202, description = "It asks for more than the served version and waits to be reviewed, or the module is pinned",
            body = NotServed),
    ))]
pub(crate) async fn put(
    Shared(state): Shared<State>,
    Caller(principal): Caller,
    _: May<Installing>,
    Path(name): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let name: ModuleName = name.parse().map_err(|error| Problem::new(Code::Malformed, format!("{error}")))?;
    let kind = upload::Kind::of(&headers)?;
    let overwrite = if headers.get(header::IF_NONE_MATCH).is_some_and(|value| value == "*") {
        Overwrite::Refused
    } else {
        Overwrite::Allowed
    };
    // Whoever may not install is told before the upload is read.
    state.dispatcher.may_install(&principal)?;
    let upload = kind.read(request, state.dispatcher.max_component()).await?;
    let installed = state.dispatcher.install(&principal, name.clone(), upload, overwrite).await?;
    let (status, mut response) = match installed {
        Installed::Held { changed } => {
            let body = NotServed::Waits(Held::of(&name, changed));
            (StatusCode::ACCEPTED, Json(body).into_response())
        }
        Installed::Kept { version } => {
            (StatusCode::ACCEPTED, Json(NotServed::Pinned(KeptVersion::of(&name, version))).into_response())
        }
        Installed::Served { module, created, changed } => {
            let body = InstalledBody::of(&module, changed, &state.dispatcher);
            (if created { StatusCode::CREATED } else { StatusCode::OK }, Json(body).into_response())
        }
    };
    *response.status_mut() = status;
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/modules/{name}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Tell what of a component can be served here, and why not the rest, without keeping anything of it.
///
/// The body is that of an upload.
#[utoipa::path(post, path = "/api/v1/inspect", tag = "modules", operation_id = "inspectComponent",
    request_body(description = "The component", content(
        (Component = "application/wasm"),
        (Component = "application/octet-stream"),
        (MultipartUpload = "multipart/form-data"),
    )),
    responses((status = 200, description = "What becomes of each of its functions and imports", body = InspectedBody)))]
pub(crate) async fn inspect(
    Shared(state): Shared<State>,
    Caller(principal): Caller,
    _: May<Installing>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<InspectedBody>, Problem> {
    let kind = upload::Kind::of(&headers)?;
    state.dispatcher.may_install(&principal)?;
    let upload = kind.read(request, state.dispatcher.max_component()).await?;
    let Inspected { compatibility, module, standing } = state.dispatcher.inspect(&principal, upload).await?;
    let Compatibility { fit, functions, imports } = compatibility;
    let (served, problem) = match module {
        Ok(module) => (module.tools.iter().map(|tool| function_entry(tool)).collect(), None),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    Ok(Json(InspectedBody {
        // As it is, nothing of it can be served.
        compatibility: if problem.is_some() { Fit::None } else { fit }.into(),
        problem,
        exports: functions.into_iter().map(ExportEntry::from).collect(),
        imports: imports.into_iter().map(ImportEntry::from).collect(),
        functions: served,
        signature: SignatureEntry::of(&standing),
    }))
}

/// Remove an uploaded module. Calls that are running finish.
#[utoipa::path(delete, path = "/api/v1/modules/{module}", tag = "modules", operation_id = "removeModule",
    params(("module" = String, Path, description = "Name of the module")),
    responses((status = 204, description = "The module is gone")))]
pub(crate) async fn remove(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    door.remove(&principal, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn entry(module: &Module, door: &Dispatcher) -> ModuleEntry {
    let (source, path, installed_by, installed_at) = match &module.origin {
        Origin::File { path } => (Source::File, Some(path.display().to_string()), None, None),
        Origin::Upload { by, at } => (Source::Upload, None, Some(by.clone()), Some(*at)),
    };
    let compatibility = Compatibility::of(&module.interface).fit.into();
    ModuleEntry {
        name: module.name.clone(),
        digest: module.digest,
        size_bytes: module.size_bytes,
        source,
        path,
        installed_by,
        installed_at,
        compatibility,
        tools: module.tools.len(),
        waiting: door.waiting_digest(&module.name),
        signature: SignatureEntry::of(&module.standing),
    }
}

fn problem_entry(problem: &Unserved) -> ProblemEntry {
    ProblemEntry { path: problem.path.display().to_string(), reason: problem.reason.clone() }
}

/// Everything about a module, for who may review it.
pub(crate) fn detail(module: &Module, door: &Dispatcher) -> ModuleDetail {
    let functions = module.tools.iter().map(|tool| function_entry(tool));
    let rejected = module.interface.rejected.iter();
    ModuleDetail {
        module: entry(module, door),
        functions: functions.collect(),
        rejected: rejected.map(|r| RejectedEntry { export: r.export.clone(), reason: r.reason.clone() }).collect(),
        imports: Compatibility::of(&module.interface).imports.into_iter().map(ImportEntry::from).collect(),
        made_of: module.composition.as_ref().map(MadeOf::from),
        version: module.manifest.version.clone(),
        description: module.manifest.description.clone(),
        holds_manifest: module.interface.manifest.is_some(),
        limits: door.limits().in_force(&module.manifest.limits),
    }
}

fn function_entry(tool: &Tool) -> FunctionEntry {
    FunctionEntry {
        name: tool.function.clone(),
        tool: tool.name.to_string(),
        signature: tool.signature.clone(),
        description: tool.documented.then(|| tool.description.clone()),
        deprecated: tool.deprecated.as_ref().map(|deprecated| deprecated.words.clone()),
        requires_confirmation: tool.requires_confirmation,
        schemas: Schemas::of(tool),
    }
}
