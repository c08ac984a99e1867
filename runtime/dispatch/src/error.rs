use std::time::Duration;

use fumehood_model::{ByteSize, Code, Digest, JobId, JobState, ModuleName, Timestamp, ToolName};
use fumehood_policy::{Forbidden, Grant, GrantError};
use fumehood_registry::AdmitError;
use fumehood_sandbox::SandboxError;
use fumehood_scheduler::Refused;
use fumehood_signature::{MAX_SIGNATURE_BYTES, Unproven};
use fumehood_store::{KeepError, StoreError, SubmitError};
use fumehood_value::InputError;

use crate::Unmet;

/// Why nothing was done. What a tool itself answered, or why it was stopped, is an outcome and not an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DispatchError {
    /// The principal may not do this.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// Nothing has this name.
    #[error("there is no {what} `{name}`{}", suggestions(.near))]
    NotFound {
        /// What was looked for: "module", "tool", "function", "key", "secret".
        what: &'static str,
        /// Under which name, shortened and escaped.
        name: String,
        /// Names that are near.
        near: Vec<String>,
    },
    /// The arguments do not fit.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Too much is going on.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The call waited for a place until its deadline.
    #[error("no place came free within the call's deadline of {} ms", .waited.as_millis())]
    WaitedTooLong {
        /// How long it waited.
        waited: Duration,
    },
    /// The disk did not say whether a change is kept.
    #[error(
        "the server's disk did not answer within {} s, so that nobody knows yet whether this was done: look later, and repeat a submission only with its idempotency key",
        .waited.as_secs()
    )]
    Unanswered {
        /// How long it had for that.
        waited: Duration,
    },
    /// The component is larger than allowed.
    #[error("the component has {size} bytes, more than the {allowed} that are allowed")]
    ComponentTooLarge {
        /// Its size.
        size: u64,
        /// The bound.
        allowed: ByteSize,
    },
    /// The component cannot become a module.
    #[error(transparent)]
    NotAModule(#[from] AdmitError),
    /// It needs what no other module gives it.
    #[error("the component needs `{import}`, {why}")]
    Unmet {
        /// What it imports, shortened and escaped.
        import: String,
        /// Why it cannot be had.
        why: Unmet,
        /// What it would export itself.
        exports: Vec<String>,
    },
    /// The signature is larger than any.
    #[error("the signature has {size} bytes, more than the {MAX_SIGNATURE_BYTES} that are allowed")]
    SignatureTooLarge {
        /// Its size.
        size: usize,
    },
    /// Nobody who is trusted has signed the component.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// The name belongs to a file in a folder of APIs.
    #[error("the name {module} is taken by the file {path}: choose another name, or remove the file")]
    TakenByFile {
        /// The name.
        module: ModuleName,
        /// The file.
        path: String,
    },
    /// The module is that of a file, which has no versions here.
    #[error("module {module} comes from the file {path}: whoever puts another file there changes its version")]
    OfFile {
        /// The module.
        module: ModuleName,
        /// The file.
        path: String,
    },
    /// There is no such version of the module.
    #[error("module {module} has no {which}{}", versions(.known))]
    NoVersion {
        /// The module.
        module: ModuleName,
        /// What was looked for.
        which: String,
        /// The numbers of its newest versions.
        known: Vec<u64>,
    },
    /// The name is taken and the caller asked not to replace.
    #[error("a module {module} exists already")]
    Exists {
        /// The name.
        module: ModuleName,
    },
    /// A key was asked for without a role or with an impossible name.
    #[error("{what}")]
    BadKeyRequest {
        /// What is wrong.
        what: &'static str,
    },
    /// A secret was given an impossible name or value.
    #[error("{what}")]
    BadSecret {
        /// What is wrong; never the value.
        what: &'static str,
    },
    /// The last key that can administrate cannot be revoked.
    #[error("this is the last key with the role admin: create another before you revoke it")]
    LastAdmin,
    /// The text is not a permission.
    #[error(transparent)]
    BadGrant(#[from] GrantError),
    /// What was to be granted is only a request.
    #[error("`{grant}` is what a module asks for; to grant it, add {lacks}")]
    Incomplete {
        /// What was to be granted.
        grant: Box<Grant>,
        /// What must be added.
        lacks: &'static str,
    },
    /// The folder may not be given to a guest.
    #[error("the folder {folder} cannot be granted: {why}")]
    BadFolder {
        /// The folder.
        folder: String,
        /// Why not.
        why: &'static str,
    },
    /// The module has as many grants as it may have.
    #[error("module {module} has {most} grants, the most that a module may have: revoke some before you add others")]
    TooManyGrants {
        /// The module.
        module: ModuleName,
        /// The bound.
        most: usize,
    },
    /// A person must confirm the call first.
    #[error(
        "{tool} does nothing until a person has confirmed this call: nobody has, or too long ago, or for another call{}",
        whom_to_ask(.id, .token.is_some())
    )]
    Unconfirmed {
        /// The tool.
        tool: ToolName,
        /// As what an administrator can confirm it.
        id: String,
        /// What is to come with the call when a person agrees. Not for whoever only wants it done. Nothing if an administrator
        /// must confirm it.
        token: Option<String>,
        /// For how long.
        within: Duration,
    },
    /// An administrator does not want the call.
    #[error("{tool} was not run: an administrator has refused this call; it can be asked for again after {until}")]
    ConfirmationRefused {
        /// The tool.
        tool: ToolName,
        /// For how long it stays refused.
        until: Timestamp,
    },
    /// No call that could be confirmed is called so.
    #[error("no call waits to be confirmed as {id}: it was used, it is too old, or there is none")]
    NothingToConfirm {
        /// The id.
        id: String,
    },
    /// There is no version that waits.
    #[error("no version of module {module} waits to be reviewed")]
    NothingPending {
        /// The module.
        module: ModuleName,
    },
    /// Something else was approved than what is to be reviewed now.
    #[error("what is to be reviewed of module {module} is revision {revision} now: review it before you approve it")]
    OtherVersion {
        /// The module.
        module: ModuleName,
        /// That of the version that waits, or else of the one that is served.
        revision: Digest,
    },
    /// The module's own bound on calls at a time is reached, and too many wait.
    #[error("too many calls of module {module} wait for their turn")]
    ModuleBusy {
        /// The module.
        module: ModuleName,
    },
    /// What is wanted of a job makes no sense.
    #[error("{what}")]
    BadOrder {
        /// What is wrong.
        what: String,
    },
    /// The job was not taken in.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The job has not ended without what it was for.
    #[error("job {id} is {state}: only a job that failed, was interrupted or discarded can be tried again")]
    NotRetryable {
        /// The job.
        id: JobId,
        /// Where it stands.
        state: JobState,
    },
    /// What a job was to run is not there any more.
    #[error("the function {function} of module {module} was removed before the job ran")]
    Gone {
        /// The module.
        module: ModuleName,
        /// Its function.
        function: String,
    },
    /// This process only reads from its data directory.
    #[error("this process only reads from its data directory: ask the server that owns it")]
    ReadOnly,
    /// The sandbox could not do it.
    #[error(transparent)]
    Sandbox(SandboxError),
    /// A result could not be kept for its caller.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// Durable state could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread of ours failed.
    #[error("a piece of work was lost because its thread failed")]
    Lost,
}

impl From<SandboxError> for DispatchError {
    fn from(error: SandboxError) -> Self {
        match error {
            SandboxError::Input(error) => Self::Input(error),
            error => Self::Sandbox(error),
        }
    }
}

/// Who else can confirm a call than its caller.
fn whom_to_ask(id: &str, caller_can: bool) -> String {
    let also = if caller_can { " too" } else { "" };
    format!("; an administrator can{also}, as confirmation {id}")
}

fn suggestions(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    format!(", did you mean {}?", near.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or "))
}

fn versions(known: &[u64]) -> String {
    match known {
        [] => String::new(),
        [only] => format!(": there is version {only} alone"),
        many => format!(": there are versions {}", many.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    }
}

impl DispatchError {
    /// The stable code of this failure.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Forbidden(_) => Code::Forbidden,
            Self::NotFound { .. } | Self::NothingToConfirm { .. } | Self::NoVersion { .. } => Code::NotFound,
            Self::Input(InputError::Malformed { .. }) => Code::Malformed,
            Self::Input(InputError::NoMemory) => Code::Unavailable,
            Self::Input(InputError::TooLarge { .. })
            | Self::ComponentTooLarge { .. }
            | Self::SignatureTooLarge { .. } => Code::TooLarge,
            Self::Input(_) => Code::InvalidInput,
            Self::Refused(Refused::ShareUsed { .. }) => Code::Busy,
            Self::Refused(_)
            | Self::WaitedTooLong { .. }
            | Self::Unanswered { .. }
            | Self::ModuleBusy { .. }
            | Self::Sandbox(SandboxError::Full) => Code::Unavailable,
            Self::NotAModule(_) | Self::Unmet { .. } => Code::InvalidComponent,
            Self::Unproven(_) => Code::Signature,
            Self::TakenByFile { .. }
            | Self::Exists { .. }
            | Self::LastAdmin
            | Self::ReadOnly
            | Self::TooManyGrants { .. }
            | Self::NotRetryable { .. }
            | Self::Submit(SubmitError::Exists { .. })
            | Self::OfFile { .. }
            | Self::NothingPending { .. }
            | Self::OtherVersion { .. } => Code::Conflict,
            Self::Submit(SubmitError::ShareUsed { .. }) => Code::Busy,
            Self::Submit(SubmitError::Full { .. }) => Code::Unavailable,
            Self::Submit(SubmitError::NameTaken { .. }) => Code::InvalidInput,
            Self::Gone { .. } => Code::Gone,
            Self::Unconfirmed { .. } | Self::ConfirmationRefused { .. } => Code::Unconfirmed,
            Self::BadKeyRequest { .. }
            | Self::BadSecret { .. }
            | Self::BadGrant(_)
            | Self::BadOrder { .. }
            | Self::Incomplete { .. }
            | Self::BadFolder { .. } => Code::Malformed,
            Self::Sandbox(error) => sandbox_code(error),
            Self::Keep(KeepError::Full) => Code::Unavailable,
            Self::Keep(KeepError::TooLarge { .. }) => Code::ResultTooLarge,
            Self::Keep(KeepError::Store(error)) | Self::Submit(SubmitError::Store(error)) | Self::Store(error) => {
                store_code(error)
            }
            // What was told apart above is all that there is; a new one must not pass for anything else.
            Self::Submit(_) | Self::Lost => Code::Internal,
        }
    }

    /// When trying again may help, if it may.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refused) => Some(refused.retry_after()),
            // Jobs leave the queue as fast as they run, which nobody here knows.
            Self::Submit(SubmitError::Full { .. } | SubmitError::ShareUsed { .. }) | Self::Unanswered { .. } => {
                Some(Duration::from_secs(5))
            }
            Self::WaitedTooLong { .. } | Self::ModuleBusy { .. } | Self::Sandbox(SandboxError::Full) => {
                Some(Duration::from_secs(1))
            }
            _ => None,
        }
    }

    /// One line for each thing that is wrong, where that is more than the message tells.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::NotAModule(AdmitError::Manifest(error)) if error.mistakes.len() > 1 => error
                .mistakes
                .iter()
                .map(|mistake| format!("{}:{}: {}", error.file, mistake.line, mistake.what))
                .collect(),
            _ => Vec::new(),
        }
    }
}

fn sandbox_code(error: &SandboxError) -> Code {
    match error {
        SandboxError::NotServable(_)
        | SandboxError::UnknownImport { .. }
        | SandboxError::Refused { .. }
        | SandboxError::NotComposed { .. }
        | SandboxError::ReadBudget { .. }
        | SandboxError::CompileBudget { .. } => Code::InvalidComponent,
        _ => Code::Internal,
    }
}

fn store_code(error: &StoreError) -> Code {
    match error {
        StoreError::Full { .. } => Code::StorageFull,
        StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Code::StorageFull,
        _ => Code::Internal,
    }
}

/// Text of a caller, fit for quoting in a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
