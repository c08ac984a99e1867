use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
};

use fumehood_capabilities::{Desk, Witness, http::Egress, keyvalue::Buckets, secrets::Safe};
use fumehood_model::{ByteSize, KeyId, Principal};
use fumehood_policy::{Action, ConfirmedBy, Limits, OnChangedDefinitions, OnNewPermissions, Trusted};
use fumehood_registry::{Catalogue, Module, Problem, Registry, Tool};
use fumehood_sandbox::Sandbox;
use fumehood_scheduler::Admission;
use fumehood_signature::Trust;
use fumehood_store::{Blobs, Database, History, Jobs, KeyRing, NodeId, Results, Schedules, Scratch, Seals, Secrets};
use tokio::sync::watch;
use tracing::Instrument;

use crate::{
    DispatchError,
    error::shown,
    files::Files,
    history::{HistoryConfig, Recorder},
    jobs::{JobsConfig, Queue},
    permissions::Permissions,
    pin::Pins,
};

/// Uploads that are read and compiled at a time and that wait, in all and of one key.
///
/// Two at a time, one of a key: compiling takes a core each, up to its bound of CPU time.
const UPLOADS: fumehood_scheduler::Config =
    fumehood_scheduler::Config { calls: 2, jobs: 1, waiting: 64, per_key: 1, waiting_per_key: 16 };

/// What the dispatcher holds callers to.
#[derive(Debug, Clone)]
pub struct Config {
    /// What one call may use.
    pub limits: Limits,
    /// Largest component.
    pub max_component: ByteSize,
    /// How many versions of an uploaded module are kept.
    pub versions: u64,
    /// Folders that are scanned for components.
    pub apis_dirs: Vec<PathBuf>,
    /// Whether these folders are read again when something in them changes.
    pub reload_apis: bool,
    /// Folders whose files hold prompts for everybody.
    pub prompts_dirs: Vec<PathBuf>,
    /// Whether modules and keys can be changed here.
    pub read_only: bool,
    /// Modules that run inside the server.
    pub trusted: Trusted,
    /// Where the server keeps its own state: never a folder of a guest.
    pub data_dir: PathBuf,
    /// What becomes of a new version that asks for more.
    pub on_new_permissions: OnNewPermissions,
    /// What becomes of a new version whose tools say something else of themselves.
    pub on_changed_definitions: OnChangedDefinitions,
    /// Who confirms the calls that a person must confirm.
    pub confirmed_by: ConfirmedBy,
    /// Whose components are served.
    pub trust: Arc<Trust>,
    /// Where calls have folders for themselves.
    pub scratch: Option<Scratch>,
    /// Where results are kept for their callers; nowhere in a process that only reads from its data directory.
    pub results: Option<Results>,
    /// How jobs are kept and run.
    pub jobs: JobsConfig,
    /// How long calls are remembered.
    pub history: HistoryConfig,
}

/// What stands behind the door.
pub struct Parts {
    /// Where tools run.
    pub sandbox: Sandbox,
    /// Who runs when.
    pub admission: Admission,
    /// Durable state.
    pub database: Database,
    /// The bytes of components.
    pub blobs: Blobs,
    /// The keys that open the API.
    pub keys: KeyRing,
    /// Secrets for tools.
    pub secrets: Secrets,
    /// What callers keep for us.
    pub seals: Seals,
    /// The way to the outside.
    pub egress: Egress,
    /// Where jobs and the history are kept; nowhere in a process that only reads from its data directory.
    pub records: Option<Records>,
}

/// Where what outlasts a call is kept.
#[derive(Clone)]
pub struct Records {
    /// Jobs.
    pub jobs: Arc<dyn Jobs>,
    /// Jobs that come again.
    pub schedules: Arc<dyn Schedules>,
    /// What was called; nowhere if calls are not to be written down.
    pub history: Option<Arc<dyn History>>,
    /// Who works on jobs here.
    pub node: NodeId,
}

/// The door. Cloning is cheap.
#[derive(Clone)]
pub struct Dispatcher {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) registry: Registry,
    pub(crate) sandbox: Sandbox,
    pub(crate) admission: Admission,
    /// Turns at reading and compiling uploads, fair among keys: whoever sends bombs delays nobody by more than one.
    pub(crate) uploads: Admission,
    pub(crate) database: Database,
    pub(crate) blobs: Blobs,
    pub(crate) keys: KeyRing,
    pub(crate) permissions: Permissions,
    pub(crate) secrets: Secrets,
    pub(crate) seals: Seals,
    /// The host side of every capability.
    pub(crate) desk: Desk,
    pub(crate) witness: Arc<dyn Witness>,
    pub(crate) queue: Option<Queue>,
    pub(crate) schedules: Option<Arc<dyn Schedules>>,
    pub(crate) history: Recorder,
    /// What is known of the files in the folders of APIs.
    pub(crate) files: tokio::sync::Mutex<Files>,
    /// Set when the folders of prompts are followed.
    pub(crate) prompts: OnceLock<()>,
    pub(crate) ready: watch::Sender<bool>,
    /// What else is not served, and why: what could not be brought here.
    pub(crate) missing: Mutex<Vec<Problem>>,
    /// Components that are being installed, and how often: nobody may let go of them meanwhile.
    pub(crate) pinned: Pins,
    /// Held while a component is let go of, so that none is pinned meanwhile.
    pub(crate) letting_go: tokio::sync::Mutex<()>,
    /// Installing and removing take turns: the database, the files and the catalogue change together.
    pub(crate) installing: tokio::sync::Mutex<()>,
}

impl Dispatcher {
    /// A door to these parts. Nothing is served before [`Dispatcher::load`].
    #[must_use]
    pub fn new(config: Config, parts: Parts) -> Self {
        let Parts { sandbox, admission, database, blobs, keys, secrets, seals, egress, records } = parts;
        let desk = Desk { http: egress, keyvalue: Buckets::new(database.clone()), secrets: Safe::new(secrets.clone()) };
        let permissions = Permissions::default();
        let witness = permissions.witness();
        let queue = records.as_ref().map(|records| Queue::new(config.jobs.clone(), records.jobs.clone(), records.node));
        let history = Recorder::new(records.as_ref().and_then(|records| records.history.clone()), config.history);
        let inner = Inner {
            config,
            registry: Registry::default(),
            sandbox,
            admission,
            uploads: Admission::new(UPLOADS),
            database,
            blobs,
            keys,
            permissions,
            secrets,
            seals,
            desk,
            witness,
            queue,
            schedules: records.map(|records| records.schedules),
            history,
            files: tokio::sync::Mutex::default(),
            prompts: OnceLock::new(),
            ready: watch::Sender::new(false),
            missing: Mutex::default(),
            pinned: Pins::default(),
            letting_go: tokio::sync::Mutex::default(),
            installing: tokio::sync::Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The modules and tools that `principal` may see.
    ///
    /// # Errors
    ///
    /// When it may see none.
    pub fn catalogue(&self, principal: &Principal) -> Result<Arc<Catalogue>, DispatchError> {
        Action::List.check(principal)?;
        Ok(self.inner.registry.snapshot())
    }

    /// Everything that is served, for what is decided for nobody in particular.
    #[must_use]
    pub fn everything(&self) -> Arc<Catalogue> {
        self.inner.registry.snapshot()
    }

    /// The module called `name`.
    ///
    /// # Errors
    ///
    /// When there is none, or `principal` may not see it.
    pub fn module(&self, principal: &Principal, name: &str) -> Result<Arc<Module>, DispatchError> {
        Action::List.check(principal)?;
        let catalogue = self.inner.registry.current();
        catalogue.module(name).cloned().ok_or_else(|| DispatchError::NotFound {
            what: "module",
            name: shown(name),
            near: catalogue.near_modules(name),
        })
    }

    /// The tool called `name`.
    ///
    /// # Errors
    ///
    /// When there is none, or `principal` may not see it.
    pub fn tool(&self, principal: &Principal, name: &str) -> Result<Arc<Tool>, DispatchError> {
        Action::List.check(principal)?;
        let catalogue = self.inner.registry.current();
        catalogue.tool(name).cloned().ok_or_else(|| self.no_tool(name))
    }

    /// That there is no tool called `name`.
    #[must_use]
    pub fn no_tool(&self, name: &str) -> DispatchError {
        let near = self.inner.registry.current().near_tools(name);
        DispatchError::NotFound { what: "tool", name: shown(name), near }
    }

    /// The tool for `function` of `module`.
    ///
    /// # Errors
    ///
    /// When there is none, or `principal` may not see it.
    pub fn function(&self, principal: &Principal, module: &str, function: &str) -> Result<Arc<Tool>, DispatchError> {
        Action::List.check(principal)?;
        let catalogue = self.inner.registry.current();
        let Some(module) = catalogue.module(module) else {
            let near = catalogue.near_modules(module);
            return Err(DispatchError::NotFound { what: "module", name: shown(module), near });
        };
        module.tool(function).cloned().ok_or_else(|| DispatchError::NotFound {
            what: "function",
            name: shown(function),
            near: catalogue.near_functions(module, function),
        })
    }

    /// Who presents the key `text`, if it is in force.
    #[must_use]
    pub fn principal(&self, text: &str) -> Option<Principal> {
        self.inner.keys.verify(text)
    }

    /// Whether a key is in force, at this moment.
    #[must_use]
    pub fn is_in_force(&self, key: &KeyId) -> bool {
        self.principal_of(key).is_some()
    }

    /// Whose the key is, if it is in force; without authentication there is only the operator.
    pub(crate) fn principal_of(&self, key: &KeyId) -> Option<Principal> {
        let local = Principal::local();
        if *key == local.key { Some(local) } else { self.inner.keys.principal(key) }
    }

    /// Tells when modules or tools have changed; the value grows with each change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.registry.changes()
    }

    /// Whether everything that is stored has been loaded.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.inner.ready.borrow()
    }

    /// Calls that run, and calls that wait.
    #[must_use]
    pub fn load_now(&self) -> (usize, usize) {
        self.inner.admission.load()
    }

    /// What one call may use.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.inner.config.limits
    }

    /// Largest component that can be installed.
    #[must_use]
    pub fn max_component(&self) -> ByteSize {
        self.inner.config.max_component
    }
}

/// Do `work` to its end, also when whoever waits for it goes away: what is on disk and what is in memory must not part.
pub(crate) async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, DispatchError>> + Send + 'static,
) -> Result<T, DispatchError> {
    tokio::spawn(work.in_current_span()).await.map_err(|_| DispatchError::Lost)?
}

/// Run `work`, which blocks, where blocking is allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DispatchError> + Send + 'static,
) -> Result<T, DispatchError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| DispatchError::Lost)?
}
