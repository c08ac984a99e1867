use axum::{Json, extract::State as Shared};
use fumehood_dispatch::{
    Approved, Asked, Changed, Dispatcher, Granted, InForce, Observation, Reach, Redefined, Review, Waiting, Wish,
};
use fumehood_http::{Caller, Json as Sent, Path, Problem, Query};
use fumehood_model::{Code, Digest, ModuleName, Principal, Timestamp};
use fumehood_policy::Grant;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    may::{Granting, May},
    modules::{ModuleDetail, detail},
    signatures::SignatureEntry,
};

/// What a module asks for, could reach, has used and is granted.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReviewBody {
    #[schema(value_type = String)]
    module: ModuleName,
    /// The component that is served.
    #[schema(value_type = String)]
    digest: Digest,
    /// What approving is about: the component and what is asked for it, of the version that waits or else of this one.
    #[schema(value_type = String)]
    revision: Digest,
    /// What its author calls this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// What its author says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// What is known of its signature, where signatures are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureEntry>,
    /// What it asks for, in its `tool.toml`.
    asks: Vec<AskedEntry>,
    /// What its imports could reach, if it were granted.
    could_reach: Vec<ReachEntry>,
    /// What its calls have used or tried to use, the last first.
    has_used: Vec<UsedEntry>,
    /// What it is granted.
    grants: Vec<GrantEntry>,
    /// Secrets that it is granted and that nobody has set.
    unset_secrets: Vec<String>,
    /// A version that waits for this review.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<WaitingBody>,
    /// What changed in what is asked for and was not reviewed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<ChangeBody>,
}

/// Something that a module asks for.
#[derive(Serialize, ToSchema)]
pub(crate) struct AskedEntry {
    #[schema(example = "http:GET https://api.example.com/v1")]
    grant: String,
    /// What for, in the words of its author.
    reason: String,
    granted: GrantedWord,
}

/// Whether something is granted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GrantedWord {
    /// To the whole module.
    Yes,
    /// To some of its functions.
    Partly,
    No,
}

/// What some imports lead to.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReachEntry {
    /// The kind of permission that would open it, or `sockets`, which nothing opens.
    kind: &'static str,
    imports: Vec<String>,
}

/// What calls have used or tried to use.
#[derive(Serialize, ToSchema)]
pub(crate) struct UsedEntry {
    /// The narrowest permission that covers it.
    grant: String,
    /// How often it was allowed.
    allowed: u64,
    /// How often it was refused.
    denied: u64,
    #[schema(value_type = String, format = DateTime)]
    first: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last: Timestamp,
}

/// A permission in force.
#[derive(Serialize, ToSchema)]
pub(crate) struct GrantEntry {
    #[schema(value_type = String)]
    module: ModuleName,
    /// The one function that has it; absent for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    grant: String,
    /// Whether the served version does not ask for it, or not any more; absent where that was not looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    unasked: Option<bool>,
    /// Name of the key that granted it.
    granted_by: String,
    #[schema(value_type = String, format = DateTime)]
    granted_at: Timestamp,
}

/// A version that waits to be reviewed.
#[derive(Serialize, ToSchema)]
pub(crate) struct WaitingBody {
    #[schema(value_type = String)]
    digest: Digest,
    /// Name of the key that sent it.
    sent_by: String,
    #[schema(value_type = String, format = DateTime)]
    sent_at: Timestamp,
    asks: Vec<AskedEntry>,
    could_reach: Vec<ReachEntry>,
    /// What is known of its signature, where signatures are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureEntry>,
}

/// How one version differs from another in what it asks for.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeBody {
    added: Vec<WishEntry>,
    removed: Vec<String>,
    /// What was there before and says something else: a tool another description, schema or hint, a prompt or resource
    /// another text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    redefined: Vec<RedefinedEntry>,
}

/// Something that a model reads, and that is not what somebody has reviewed.
#[derive(Serialize, ToSchema)]
pub(crate) struct RedefinedEntry {
    /// The function, `prompt:NAME` or `resource:URI`.
    name: String,
    /// What it said when it was reviewed, where that is still known.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    /// What it says now.
    now: String,
}

impl From<Redefined> for RedefinedEntry {
    fn from(redefined: Redefined) -> Self {
        let Redefined { name, before, now } = redefined;
        Self { name, before, now }
    }
}

/// Something that is asked for, and what for.
#[derive(Serialize, ToSchema)]
pub(crate) struct WishEntry {
    grant: String,
    reason: String,
}

/// An upload that waits to be reviewed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Held {
    #[schema(value_type = String)]
    module: ModuleName,
    /// Always `waiting`.
    status: &'static str,
    changed: ChangeBody,
    /// Where it is reviewed.
    review: String,
}

/// A permission to be granted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedGrant {
    #[schema(example = "http:GET https://api.example.com/v1")]
    grant: String,
    /// The one function that gets it; the whole module, if absent.
    function: Option<String>,
}

/// A permission to be taken away.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnwantedGrant {
    /// The permission.
    grant: String,
    /// The one function that has it; the whole module, if absent.
    function: Option<String>,
}

/// Which version is approved.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReviewedVersion {
    /// The one that was reviewed. When another one waits or is served by now, nothing is done; if absent, whichever it
    /// is.
    #[schema(value_type = Option<String>)]
    revision: Option<Digest>,
}

/// A permission that was just granted.
#[derive(Serialize, ToSchema)]
pub(crate) struct GrantedBody {
    #[serde(flatten)]
    grant: GrantEntry,
    /// Secrets that it is about and that nobody has set.
    unset_secrets: Vec<String>,
    /// Grants that were there before for the same folder, variable, value or bucket; the two do not add up.
    beside: Vec<String>,
}

/// All permissions in force.
#[derive(Serialize, ToSchema)]
pub(crate) struct GrantList {
    grants: Vec<GrantEntry>,
}

/// What came of approving.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApprovedBody {
    /// The module as it is served now.
    module: ModuleDetail,
    /// What was granted now.
    granted: Vec<String>,
    /// What could not be granted, because only the operator knows the folder or value.
    left: Vec<String>,
    /// Secrets that were granted now and that nobody has set.
    unset_secrets: Vec<String>,
}

/// Show what a module asks for, could reach, has used and is granted.
#[utoipa::path(get, path = "/api/v1/modules/{module}/permissions", tag = "permissions", operation_id = "reviewModule",
    params(("module" = String, Path, description = "Name of the module")),
    responses((status = 200, description = "The review", body = ReviewBody)))]
pub(crate) async fn review(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<Json<ReviewBody>, Problem> {
    let review = door.review(&principal, &name).await?;
    // Nothing is served of a module whose stored version could not be loaded, and whose newer one waits.
    let manifest = door.module(&principal, &name).map(|module| module.manifest.clone()).unwrap_or_default();
    let (version, description) = (manifest.version, manifest.description);
    let unset_secrets = unset(&door, &principal, review.grants.iter().map(|grant| grant.text.as_str())).await?;
    let mut body = ReviewBody { version, description, unset_secrets, ..review.into() };
    let asks = manifest.permissions;
    for entry in body.grants.iter_mut().filter(|_| !asks.is_empty()) {
        let asked = |grant: &Grant| asks.iter().any(|wish| grant.covers(&wish.grant) || wish.grant.covers(grant));
        entry.unasked = entry.grant.parse().ok().map(|grant| !asked(&grant));
    }
    Ok(Json(body))
}

/// Grant something to a module, or to one function of it.
#[utoipa::path(post, path = "/api/v1/modules/{module}/permissions", tag = "permissions", operation_id = "grantPermission",
    params(("module" = String, Path, description = "Name of the module")), request_body = WantedGrant,
    responses(
        (status = 200, description = "It was granted already", body = GrantedBody),
        (status = 201, description = "It is granted from now on", body = GrantedBody),
    ))]
pub(crate) async fn grant(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    _: May<Granting>,
    Path(name): Path<String>,
    Sent(wanted): Sent<WantedGrant>,
) -> Result<(StatusCode, Json<GrantedBody>), Problem> {
    let grant = parsed(&wanted.grant)?;
    let (grant, is_new) = door.grant(&principal, &name, wanted.function.as_deref(), grant).await?;
    let unset_secrets = unset(&door, &principal, [grant.text.as_str()]).await?;
    let beside = beside(&door, &principal, &grant).await?;
    let body = GrantedBody { grant: grant.into(), unset_secrets, beside };
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(body)))
}

/// Take a permission away from a module, or from one function of it.
#[utoipa::path(delete, path = "/api/v1/modules/{module}/permissions", tag = "permissions", operation_id = "revokePermission",
    params(("module" = String, Path, description = "Name of the module"), UnwantedGrant),
    responses((status = 204, description = "It is not granted any more")))]
pub(crate) async fn revoke(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    _: May<Granting>,
    Path(name): Path<String>,
    Query(unwanted): Query<UnwantedGrant>,
) -> Result<StatusCode, Problem> {
    let grant = parsed(&unwanted.grant)?;
    door.revoke(&principal, &name, unwanted.function.as_deref(), grant).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Grant everything that a module asks for, and serve the version that waits, if one does.
#[utoipa::path(post, path = "/api/v1/modules/{module}/permissions/approve", tag = "permissions", operation_id = "approveModule",
    params(("module" = String, Path, description = "Name of the module")), request_body = Option<ReviewedVersion>,
    responses((status = 200, description = "What was granted", body = ApprovedBody)))]
pub(crate) async fn approve(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    sent: Option<Sent<ReviewedVersion>>,
) -> Result<Json<ApprovedBody>, Problem> {
    let Sent(ReviewedVersion { revision }) = sent.unwrap_or(Sent(ReviewedVersion::default()));
    let Approved { module, granted, left } = door.approve(&principal, &name, revision).await?;
    let (granted, left) = (texts(&granted), texts(&left));
    let unset_secrets = unset(&door, &principal, granted.iter().map(String::as_str)).await?;
    Ok(Json(ApprovedBody { module: detail(&module, &door), granted, left, unset_secrets }))
}

/// Drop the version of a module that waits to be reviewed.
#[utoipa::path(post, path = "/api/v1/modules/{module}/permissions/reject", tag = "permissions", operation_id = "rejectModule",
    params(("module" = String, Path, description = "Name of the module")),
    responses((status = 204, description = "It is gone")))]
pub(crate) async fn reject(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    door.reject(&principal, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List all permissions of all modules.
#[utoipa::path(get, path = "/api/v1/permissions", tag = "permissions", operation_id = "listPermissions", responses(
    (status = 200, description = "All permissions in force, by module", body = GrantList),
))]
pub(crate) async fn list(
    Shared(door): Shared<Dispatcher>,
    Caller(principal): Caller,
) -> Result<Json<GrantList>, Problem> {
    let grants = door.grants(&principal).await?;
    Ok(Json(GrantList { grants: grants.into_iter().map(GrantEntry::from).collect() }))
}

fn parsed(text: &str) -> Result<Grant, Problem> {
    text.parse().map_err(|error: fumehood_policy::GrantError| Problem::new(Code::Malformed, error.to_string()))
}

/// Other grants of the same module or function for the same place.
async fn beside(door: &Dispatcher, principal: &Principal, grant: &InForce) -> Result<Vec<String>, Problem> {
    let Ok(own) = grant.text.parse::<Grant>() else { return Ok(Vec::new()) };
    let all = door.grants(principal).await?;
    let others = all.into_iter().filter(|other| {
        (&other.module, &other.function) == (&grant.module, &grant.function) && other.text != grant.text
    });
    Ok(others.map(|other| other.text).filter(|text| text.parse().is_ok_and(|other| own.shares_place(&other))).collect())
}

/// Secrets that these grants are about and that nobody has set, each once.
async fn unset<'a>(
    door: &Dispatcher,
    principal: &Principal,
    grants: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<String>, Problem> {
    let grants = grants.into_iter().filter_map(|text| text.parse::<Grant>().ok());
    let mut named: Vec<_> = grants.filter_map(|grant| grant.secret().map(str::to_owned)).collect();
    if named.is_empty() {
        return Ok(named);
    }
    let set = door.secrets(principal).await?;
    named.retain(|name| !set.iter().any(|entry| entry.name == *name));
    named.sort();
    named.dedup();
    Ok(named)
}

fn texts(grants: &[Grant]) -> Vec<String> {
    grants.iter().map(ToString::to_string).collect()
}

fn all<T, U: From<T>>(list: Vec<T>) -> Vec<U> {
    list.into_iter().map(U::from).collect()
}

impl Held {
    pub(crate) fn of(module: &ModuleName, changed: Changed) -> Self {
        let review = format!("/api/v1/modules/{module}/permissions");
        Self { module: module.clone(), status: "waiting", changed: changed.into(), review }
    }
}

impl From<Review> for ReviewBody {
    fn from(review: Review) -> Self {
        let Review { module, digest, revision, asks, reaches, used, grants, waiting, changed, standing } = review;
        Self {
            module,
            digest,
            revision,
            version: None,
            unset_secrets: Vec::new(),
            description: None,
            signature: SignatureEntry::of(&standing),
            asks: all(asks),
            could_reach: all(reaches),
            has_used: all(used),
            grants: all(grants),
            waiting: waiting.map(WaitingBody::from),
            changed: changed.map(ChangeBody::from),
        }
    }
}

impl From<Waiting> for WaitingBody {
    fn from(waiting: Waiting) -> Self {
        let Waiting { digest, by, at, asks, reaches, standing } = waiting;
        let signature = SignatureEntry::of(&standing);
        Self { digest, sent_by: by, sent_at: at, asks: all(asks), could_reach: all(reaches), signature }
    }
}

impl From<Changed> for ChangeBody {
    fn from(changed: Changed) -> Self {
        Self { added: all(changed.added), removed: changed.removed, redefined: all(changed.redefined) }
    }
}

impl From<Wish> for WishEntry {
    fn from(wish: Wish) -> Self {
        Self { grant: wish.grant.to_string(), reason: wish.reason }
    }
}

impl From<Asked> for AskedEntry {
    fn from(asked: Asked) -> Self {
        let granted = match asked.granted {
            Granted::Yes => GrantedWord::Yes,
            Granted::Partly => GrantedWord::Partly,
            Granted::No => GrantedWord::No,
        };
        Self { grant: asked.wish.grant.to_string(), reason: asked.wish.reason, granted }
    }
}

impl From<Reach> for ReachEntry {
    fn from(reach: Reach) -> Self {
        Self { kind: reach.kind, imports: reach.imports }
    }
}

impl From<Observation> for UsedEntry {
    fn from(seen: Observation) -> Self {
        let Observation { module: _, text: grant, allowed, denied, first, last } = seen;
        Self { grant, allowed, denied, first, last }
    }
}

impl From<InForce> for GrantEntry {
    fn from(grant: InForce) -> Self {
        let InForce { module, function, text: grant, by: granted_by, at: granted_at } = grant;
        Self { module, function, grant, unasked: None, granted_by, granted_at }
    }
}
