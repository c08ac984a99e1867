use axum::{
    Json,
    extract::State as Shared,
    response::{IntoResponse, Response},
};
use fumehood_dispatch::{Dispatcher, Installed, Version, Versions, Which};
use fumehood_http::{Caller, Path, Problem};
use fumehood_model::{Code, Digest, ModuleName, Timestamp};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{modules::InstalledBody, permissions::Held, signatures::SignatureEntry};

/// The versions of a module.
#[derive(Serialize, ToSchema)]
pub(crate) struct VersionList {
    #[schema(value_type = String)]
    module: ModuleName,
    /// Whether uploads become versions only, until one is promoted.
    pinned: bool,
    /// The newest first.
    versions: Vec<VersionEntry>,
}

/// A version of a module: one component with one manifest, as it was uploaded.
#[derive(Serialize, ToSchema)]
pub(crate) struct VersionEntry {
    /// Its number, in the order of the uploads. None is given twice.
    number: u64,
    #[schema(value_type = String)]
    digest: Digest,
    /// Size of the component.
    size_bytes: u64,
    /// What its author calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Name of the key that uploaded it.
    uploaded_by: String,
    #[schema(value_type = String, format = DateTime)]
    uploaded_at: Timestamp,
    state: VersionState,
    /// Whether it is or was served: what rolling back looks for.
    was_served: bool,
    /// What is known of its signature, where signatures are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureEntry>,
}

/// What becomes of a version.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum VersionState {
    /// It is served.
    Served,
    /// It waits to be reviewed.
    Waiting,
    /// It can be served.
    Kept,
}

/// A version that is not served, as its module is pinned.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeptVersion {
    #[schema(value_type = String)]
    module: ModuleName,
    /// Always `pinned`.
    status: &'static str,
    /// Its number.
    version: u64,
    /// Where it is promoted.
    promote: String,
}

impl KeptVersion {
    pub(crate) fn of(module: &ModuleName, version: u64) -> Self {
        let promote = format!("/api/v1/modules/{module}/versions/{version}/promote");
        Self { module: module.clone(), status: "pinned", version, promote }
    }
}

impl From<Versions> for VersionList {
    fn from(Versions { module, is_pinned, versions }: Versions) -> Self {
        Self { module, pinned: is_pinned, versions: versions.into_iter().map(VersionEntry::from).collect() }
    }
}

impl From<Version> for VersionEntry {
    fn from(Version { row, is_served, waits, called, standing }: Version) -> Self {
        Self {
            number: row.number,
            digest: row.digest,
            size_bytes: row.size_bytes,
            version: called,
            uploaded_by: row.by,
            uploaded_at: row.at,
            state: match (is_served, waits) {
                (true, _) => VersionState::Served,
                (false, true) => VersionState::Waiting,
                (false, false) => VersionState::Kept,
            },
            was_served: row.served.is_some(),
            signature: SignatureEntry::of(&standing),
        }
    }
}

/// List the versions of an uploaded module.
#[utoipa::path(get, path = "/api/v1/modules/{module}/versions", tag = "modules", operation_id = "listVersions",
    params(("module" = String, Path, description = "Name of the module")),
    responses((status = 200, description = "Its versions, the newest first", body = VersionList)))]
pub(crate) async fn list(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<Json<VersionList>, Problem> {
    Ok(Json(door.versions(&principal, &name).await?.into()))
}

/// Serve another version of an uploaded module.
///
/// One that was served before is served at once. One that never was is held to what an upload is held to.
#[utoipa::path(post, path = "/api/v1/modules/{module}/versions/{version}/promote", tag = "modules", operation_id = "promoteVersion",
    params(
        ("module" = String, Path, description = "Name of the module"),
        ("version" = String, Path, description = "Its number, or `sha256:` and the first six digits or more of its component's digest"),
    ),
    responses(
        (status = 200, description = "It is served", body = InstalledBody),
        (status = 202, description = "It waits to be reviewed", body = Held),
    ))]
pub(crate) async fn promote(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path((name, version)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let which = Which::parse(&version).ok_or_else(|| {
        Problem::new(Code::Malformed, "a version is a number, or sha256: and the first six digits or more of a digest")
    })?;
    served(&door, &name, door.promote(&principal, &name, which).await?)
}

/// Serve the version of an uploaded module that was served before this one.
#[utoipa::path(post, path = "/api/v1/modules/{module}/rollback", tag = "modules", operation_id = "rollBackModule",
    params(("module" = String, Path, description = "Name of the module")),
    responses((status = 200, description = "It is served", body = InstalledBody)))]
pub(crate) async fn roll_back(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    served(&door, &name, door.promote(&principal, &name, Which::Before).await?)
}

/// Keep an uploaded module on the version that is served: uploads become versions, and are served when they are promoted.
#[utoipa::path(put, path = "/api/v1/modules/{module}/pin", tag = "modules", operation_id = "pinModule",
    params(("module" = String, Path, description = "Name of the module")),
    responses((status = 200, description = "It is pinned", body = VersionList)))]
pub(crate) async fn pin(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<Json<VersionList>, Problem> {
    Ok(Json(door.set_pinned(&principal, &name, true).await?.into()))
}

/// Serve uploads of a module again as they come.
#[utoipa::path(delete, path = "/api/v1/modules/{module}/pin", tag = "modules", operation_id = "unpinModule",
    params(("module" = String, Path, description = "Name of the module")),
    responses((status = 204, description = "It is not pinned")))]
pub(crate) async fn unpin(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    door.set_pinned(&principal, &name, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn served(door: &Dispatcher, name: &str, installed: Installed) -> Result<Response, Problem> {
    match installed {
        Installed::Served { module, changed, .. } => {
            Ok(Json(InstalledBody::of(&module, changed, door)).into_response())
        }
        Installed::Held { changed } => {
            let name = name.parse().map_err(|error| Problem::new(Code::Malformed, format!("{error}")))?;
            Ok((StatusCode::ACCEPTED, Json(Held::of(&name, changed))).into_response())
        }
        Installed::Kept { .. } => Err(Problem::new(Code::Internal, "what was promoted was kept back")),
    }
}
