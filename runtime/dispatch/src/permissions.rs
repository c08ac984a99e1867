//! What modules ask for, could reach, have used and are granted.

mod folder;
mod reach;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use fumehood_capabilities::Witness;
use fumehood_model::{Digest, ModuleName, Principal, Timestamp};
use fumehood_policy::{Action, Grant};
use fumehood_registry::{Module, Origin, Tool, Wish};
use fumehood_store::{Added, GrantRow, ModuleRow, Observation};

use crate::{
    DispatchError, Dispatcher,
    dispatcher::{Config, blocking},
    error::shown,
    witness::{Ledger, MAX_OBSERVED},
};

pub use reach::Reach;

/// Most grants of one module: three times what it can ask for.
const MAX_GRANTS: usize = 200;

/// How often what was observed is written.
const WRITE_PERIOD: Duration = Duration::from_secs(1);

/// Everything about permissions that the dispatcher holds in memory.
#[derive(Default)]
pub(crate) struct Permissions {
    /// Read without a lock by every call; replaced as a whole when a grant changes.
    in_force: ArcSwap<HashMap<ModuleName, OfModule>>,
    /// Versions that wait to be reviewed.
    waiting: Mutex<HashMap<ModuleName, Module>>,
    ledger: Ledger,
    writes: AtomicBool,
}

impl Permissions {
    /// Who hears what calls use and are refused.
    pub(crate) fn witness(&self) -> Arc<dyn Witness> {
        Arc::new(self.ledger.clone())
    }
}

/// The grants of one module.
#[derive(Default)]
struct OfModule {
    whole: Arc<[Grant]>,
    /// For each function that has some of its own: these, and those of the whole module.
    functions: HashMap<String, Arc<[Grant]>>,
}

/// Everything that an administrator needs to know before granting something to a module.
#[derive(Debug)]
pub struct Review {
    /// The module.
    pub module: ModuleName,
    /// The component that is served.
    pub digest: Digest,
    /// What it asks for.
    pub asks: Vec<Asked>,
    /// What its imports could reach.
    pub reaches: Vec<Reach>,
    /// What its calls have used or tried to use, the last first.
    pub used: Vec<Observation>,
    /// What it is granted.
    pub grants: Vec<InForce>,
    /// A version that waits for this review.
    pub waiting: Option<Waiting>,
    /// What changed in what is asked for and was not reviewed yet: from the served version to the one that waits, or
    /// from the version before to the served one.
    pub changed: Option<Changed>,
}

/// Something that a module asks for.
#[derive(Debug)]
pub struct Asked {
    /// What, and what for.
    pub wish: Wish,
    /// Whether it has it.
    pub granted: Granted,
}

/// Whether something is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// To the whole module.
    Yes,
    /// To some of its functions.
    Partly,
    /// To none.
    No,
}

/// A grant in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The module that has it.
    pub module: ModuleName,
    /// The one function that has it; none for all of them.
    pub function: Option<String>,
    /// The grant, as it is stored.
    pub text: String,
    /// Name of the key that granted it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A version that waits to be reviewed.
#[derive(Debug)]
pub struct Waiting {
    /// Its component.
    pub digest: Digest,
    /// Name of the key that sent it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What it asks for.
    pub asks: Vec<Asked>,
    /// What its imports could reach.
    pub reaches: Vec<Reach>,
}

/// How one version differs from another in what it asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// What is asked for now and was not before.
    pub added: Vec<Wish>,
    /// What was asked for and is not any more.
    pub removed: Vec<String>,
}

/// What came of approving.
#[derive(Debug)]
pub struct Approved {
    /// The module as it is served now.
    pub module: Arc<Module>,
    /// What was granted now.
    pub granted: Vec<Grant>,
    /// What could not be granted, because only the operator knows the folder or value.
    pub left: Vec<Grant>,
}

impl Changed {
    /// From what was asked for `before` to what is asked for now.
    pub(crate) fn between(before: &[String], now: &[Wish]) -> Self {
        let old: Vec<Grant> = before.iter().filter_map(|text| text.parse().ok()).collect();
        let is_new = |wish: &&Wish| !old.iter().any(|old| old.covers(&wish.grant));
        let is_gone = |old: &&Grant| !now.iter().any(|wish| wish.grant.covers(old));
        Self {
            added: now.iter().filter(is_new).cloned().collect(),
            removed: old.iter().filter(is_gone).map(ToString::to_string).collect(),
        }
    }
}

impl OfModule {
    fn state(&self, wanted: &Grant) -> Granted {
        let covers = |grants: &[Grant]| grants.iter().any(|grant| grant.covers(wanted));
        if covers(&self.whole) {
            return Granted::Yes;
        }
        if self.functions.values().any(|grants| covers(grants)) { Granted::Partly } else { Granted::No }
    }
}

impl Permissions {
    pub(crate) fn waiting(&self) -> MutexGuard<'_, HashMap<ModuleName, Module>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget(&self, module: &ModuleName) {
        self.waiting().remove(module);
        self.ledger.forget(module);
    }

    /// Put what is stored in place of what was in force.
    fn replace(&self, rows: &[GrantRow], config: &Config) {
        let mut modules: HashMap<ModuleName, Vec<(Option<&str>, Grant)>> = HashMap::new();
        for row in rows {
            match usable(row, config) {
                Ok(grant) => modules.entry(row.module.clone()).or_default().push((row.function.as_deref(), grant)),
                Err(error) => tracing::warn!(
                    module.name = %row.module, grant = %row.text, "A grant of module {} is not in force: {error}", row.module
                ),
            }
        }
        let modules = modules.into_iter().map(|(module, grants)| (module, OfModule::of(&grants))).collect();
        self.in_force.store(Arc::new(modules));
    }

    fn state(&self, module: &ModuleName, wanted: &Grant) -> Granted {
        self.in_force.load().get(module).map_or(Granted::No, |grants| grants.state(wanted))
    }
}

impl OfModule {
    fn of(grants: &[(Option<&str>, Grant)]) -> Self {
        let mine = |function: Option<&str>| -> Arc<[Grant]> {
            let own = grants.iter().filter(|(of, _)| of.is_none() || *of == function);
            own.map(|(_, grant)| grant.clone()).collect()
        };
        let functions = grants.iter().filter_map(|(function, _)| *function);
        Self { whole: mine(None), functions: functions.map(|name| (name.to_owned(), mine(Some(name)))).collect() }
    }
}

/// A stored grant, if it may still be in force: folders are looked at again at each start.
fn usable(row: &GrantRow, config: &Config) -> Result<Grant, DispatchError> {
    folder::checked(row.text.parse()?, config)
}

impl Dispatcher {
    /// What `tool` is granted: to its whole module, and to it alone. Takes no lock.
    #[must_use]
    pub(crate) fn grants_of(&self, tool: &Tool) -> Arc<[Grant]> {
        let in_force = self.inner.permissions.in_force.load();
        let grants =
            in_force.get(&tool.module).map(|module| module.functions.get(&tool.function).unwrap_or(&module.whole));
        grants.map(Arc::clone).unwrap_or_default()
    }

    /// Everything that an administrator needs to know before granting something to the module `name`.
    ///
    /// # Errors
    ///
    /// When `principal` may not see it, or there is no such module.
    pub async fn review(&self, principal: &Principal, name: &str) -> Result<Review, DispatchError> {
        Action::Review.check(principal)?;
        let module = self.module(principal, name)?;
        self.write_observations().await;
        let (database, own) = (self.inner.database.clone(), module.name.clone());
        let (used, grants, row) = blocking(move || {
            let grants = database.grants()?.into_iter().filter(|row| row.module == own);
            Ok((database.observations(&own)?, grants.collect::<Vec<_>>(), database.module(&own)?))
        })
        .await?;
        let waiting = self.inner.permissions.waiting().get(&module.name).map(|waiting| self.waiting(waiting));
        let before = row.and_then(|row| row.asked_before);
        let changed = match (&waiting, before) {
            (Some(waiting), _) => {
                let now: Vec<_> = waiting.asks.iter().map(|asked| asked.wish.clone()).collect();
                Some(Changed::between(&module.manifest.asks(), &now))
            }
            (None, Some(before)) => Some(Changed::between(&before, &module.manifest.permissions)),
            (None, None) => None,
        };
        Ok(Review {
            module: module.name.clone(),
            digest: module.digest,
            asks: self.asked(&module),
            reaches: reach::of(&module.interface.imports),
            used,
            grants: grants.into_iter().map(InForce::from).collect(),
            waiting,
            changed,
        })
    }

    /// The component of the version of a module that waits to be reviewed.
    #[must_use]
    pub fn waiting_digest(&self, module: &ModuleName) -> Option<Digest> {
        self.inner.permissions.waiting().get(module).map(|waiting| waiting.digest)
    }

    /// All grants of all modules.
    ///
    /// # Errors
    ///
    /// When `principal` may not see them.
    pub async fn grants(&self, principal: &Principal) -> Result<Vec<InForce>, DispatchError> {
        Action::Review.check(principal)?;
        let database = self.inner.database.clone();
        let rows = blocking(move || Ok(database.grants()?)).await?;
        Ok(rows.into_iter().map(InForce::from).collect())
    }

    /// Grant something to the module `name`, or to one `function` of it, from now on. The grant as it is stored, and
    /// whether it is new.
    ///
    /// # Errors
    ///
    /// When `principal` may not, there is no such module or function, or this may not be granted.
    pub async fn grant(
        &self,
        principal: &Principal,
        name: &str,
        function: Option<&str>,
        grant: Grant,
    ) -> Result<(InForce, bool), DispatchError> {
        Action::Grant.check(principal)?;
        self.check_writable()?;
        let module = self.module(principal, name)?;
        if let Some(function) = function {
            self.check_function(&module, function)?;
        }
        let config = self.inner.config.clone();
        let grant = blocking(move || folder::checked(grant, &config)).await?;
        let _turn = self.inner.installing.lock().await;
        let row = self.row(principal, &module.name, function, &grant);
        let is_new = self.add(row.clone()).await?;
        self.load_grants().await?;
        Ok((row.into(), is_new))
    }

    /// Take a grant away from the module `name`, or from one `function` of it, for every call from now on.
    ///
    /// # Errors
    ///
    /// When `principal` may not, or there is no such grant.
    pub async fn revoke(
        &self,
        principal: &Principal,
        name: &str,
        function: Option<&str>,
        grant: Grant,
    ) -> Result<(), DispatchError> {
        Action::Grant.check(principal)?;
        self.check_writable()?;
        let module = self.module(principal, name)?;
        let (database, own, of, config) =
            (self.inner.database.clone(), module.name.clone(), function.map(str::to_owned), self.inner.config.clone());
        let _turn = self.inner.installing.lock().await;
        let shown_text = shown(&grant.to_string());
        let logged = grant.as_ask();
        let removed = blocking(move || {
            if database.remove_grant(&own, of.as_deref(), &grant.to_string())? {
                return Ok(true);
            }
            // A folder may be named by another of its names than the one that is stored.
            let Ok(stored) = folder::checked(grant, &config) else { return Ok(false) };
            Ok(database.remove_grant(&own, of.as_deref(), &stored.to_string())?)
        })
        .await?;
        if !removed {
            return Err(DispatchError::NotFound { what: "grant", name: shown_text, near: Vec::new() });
        }
        self.load_grants().await?;
        tracing::info!(
            module.name = %module.name, key.id = %principal.key, grant = %logged, "{} revoked {logged} from {}",
            principal.name, place(&module.name, function)
        );
        Ok(())
    }

    /// Grant everything that the module `name` asks for and that is complete, and serve the version that waited.
    ///
    /// # Errors
    ///
    /// When `principal` may not, there is no such module, or it would have too many grants.
    pub async fn approve(&self, principal: &Principal, name: &str) -> Result<Approved, DispatchError> {
        Action::Grant.check(principal)?;
        self.check_writable()?;
        let _turn = self.inner.installing.lock().await;
        let serving = self.module(principal, name)?;
        let asks = {
            let waiting = self.inner.permissions.waiting();
            waiting.get(&serving.name).unwrap_or(&serving).manifest.permissions.clone()
        };
        let (mut granted, mut left) = (Vec::new(), Vec::new());
        for Wish { grant, .. } in asks {
            if self.inner.permissions.state(&serving.name, &grant) == Granted::Yes {
                continue;
            }
            if grant.lacks().is_some() {
                left.push(grant);
                continue;
            }
            self.add(self.row(principal, &serving.name, None, &grant)).await?;
            granted.push(grant);
        }
        self.load_grants().await?;
        self.reviewed(principal, &serving).await?;
        let module = self.module(principal, name)?;
        Ok(Approved { module, granted, left })
    }

    /// Drop the version of the module `name` that waits.
    ///
    /// # Errors
    ///
    /// When `principal` may not, or none waits.
    pub async fn reject(&self, principal: &Principal, name: &str) -> Result<(), DispatchError> {
        Action::Grant.check(principal)?;
        self.check_writable()?;
        let _turn = self.inner.installing.lock().await;
        let module = self.module(principal, name)?;
        let nothing = || DispatchError::NothingPending { module: module.name.clone() };
        let row = self.stored_row(&module.name).await?.ok_or_else(nothing)?;
        let dropped = row.pending.clone().ok_or_else(nothing)?;
        self.put_row(ModuleRow { pending: None, ..row }).await?;
        self.inner.permissions.waiting().remove(&module.name);
        tracing::info!(
            module.name = %module.name, component.digest = %dropped.digest, key.id = %principal.key,
            "The waiting version of module {name} rejected by {}", principal.name
        );
        self.forget_unused(dropped.digest).await;
        Ok(())
    }

    /// Write what was observed so far: to be called once more before the process ends.
    pub async fn write_observations(&self) {
        if self.inner.config.read_only {
            return;
        }
        let mut seen = self.inner.permissions.ledger.take();
        let catalogue = self.inner.registry.snapshot();
        // The last calls of a removed module leave nothing behind.
        seen.retain(|seen| catalogue.module(seen.module.as_str()).is_some());
        if seen.is_empty() {
            return;
        }
        let database = self.inner.database.clone();
        if let Err(error) = blocking(move || Ok(database.add_observations(&seen, MAX_OBSERVED)?)).await {
            tracing::warn!(%error, "What modules have used could not be written");
        }
    }

    /// Write what is observed every second, as long as this dispatcher lives.
    pub(crate) fn start_writing(&self) {
        if self.inner.config.read_only || self.inner.permissions.writes.swap(true, Ordering::Relaxed) {
            return;
        }
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(WRITE_PERIOD).await;
                let Some(inner) = inner.upgrade() else { break };
                Self { inner }.write_observations().await;
            }
        });
    }

    /// Put what is stored in force.
    pub(crate) async fn load_grants(&self) -> Result<(), DispatchError> {
        let inner = Arc::downgrade(&self.inner);
        self.inner
            .permissions
            .ledger
            .look_up(move |module| inner.upgrade().map(|inner| Self { inner }.unmet(module)).unwrap_or_default());
        let this = self.clone();
        blocking(move || {
            let rows = this.inner.database.grants()?;
            this.inner.permissions.replace(&rows, &this.inner.config);
            Ok(())
        })
        .await
    }

    /// What of `wishes` the module does not have.
    pub(crate) fn ungranted(&self, module: &ModuleName, wishes: &[Wish]) -> Vec<Wish> {
        let lacks = |wish: &&Wish| self.inner.permissions.state(module, &wish.grant) != Granted::Yes;
        wishes.iter().filter(lacks).cloned().collect()
    }

    /// What a served module asks for and does not have.
    fn unmet(&self, module: &ModuleName) -> Vec<Grant> {
        let catalogue = self.inner.registry.current();
        let Some(module) = catalogue.module(module.as_str()) else { return Vec::new() };
        self.ungranted(&module.name, &module.manifest.permissions).into_iter().map(|wish| wish.grant).collect()
    }

    /// Log what a module asks for and will miss without being refused it: what is not granted is just not there.
    pub(crate) fn tell_of_missing(&self, module: &Module) {
        let silent = |grant: &Grant| {
            matches!(grant, Grant::Files(_) | Grant::Scratch(_) | Grant::Environment(_) | Grant::Config(_))
        };
        let lacks = self.ungranted(&module.name, &module.manifest.permissions);
        let missing: Vec<_> = lacks.iter().map(|wish| &wish.grant).filter(|grant| silent(grant)).map(short).collect();
        if !missing.is_empty() {
            let (name, missing) = (&module.name, missing.join(" and "));
            tracing::info!(
                module.name = %name, "{name} asks for {missing} which is not granted: fumehood review {name}"
            );
        }
    }

    pub(crate) async fn stored_row(&self, module: &ModuleName) -> Result<Option<ModuleRow>, DispatchError> {
        let (database, module) = (self.inner.database.clone(), module.clone());
        blocking(move || Ok(database.module(&module)?)).await
    }

    pub(crate) async fn put_row(&self, row: ModuleRow) -> Result<(), DispatchError> {
        let database = self.inner.database.clone();
        blocking(move || Ok(database.put_module(&row)?)).await
    }

    /// What is served from now on was reviewed: the version that waited, or the one that is served already.
    async fn reviewed(&self, principal: &Principal, serving: &Module) -> Result<(), DispatchError> {
        let Some(row) = self.stored_row(&serving.name).await? else { return Ok(()) };
        let Some(waiting) = row.pending.clone() else {
            return self.put_row(ModuleRow { asked_before: None, ..row }).await;
        };
        if !self.inner.permissions.waiting().contains_key(&serving.name) {
            return Err(DispatchError::NothingPending { module: serving.name.clone() });
        }
        let row = ModuleRow {
            digest: waiting.digest,
            size_bytes: waiting.size_bytes,
            installed_by: waiting.by,
            installed_at: waiting.at,
            manifest: waiting.manifest,
            asked_before: None,
            pending: None,
            ..row
        };
        self.put_row(row).await?;
        let waited = self.inner.permissions.waiting().remove(&serving.name);
        if let Some(module) = waited {
            self.inner.registry.insert(module);
        }
        tracing::info!(
            module.name = %serving.name, component.digest = %waiting.digest, key.id = %principal.key,
            "The waiting version of module {} approved by {}", serving.name, principal.name
        );
        self.forget_unused(serving.digest).await;
        Ok(())
    }

    fn row(&self, principal: &Principal, module: &ModuleName, function: Option<&str>, grant: &Grant) -> GrantRow {
        GrantRow {
            module: module.clone(),
            function: function.map(str::to_owned),
            text: grant.to_string(),
            granted_by: principal.name.to_string(),
            granted_at: Timestamp::now(),
        }
    }

    /// Store a grant; whether it is new.
    async fn add(&self, row: GrantRow) -> Result<bool, DispatchError> {
        let (database, stored) = (self.inner.database.clone(), row.clone());
        match blocking(move || Ok(database.add_grant(&stored, MAX_GRANTS)?)).await? {
            Added::Before => Ok(false),
            Added::Full => Err(DispatchError::TooManyGrants { module: row.module, most: MAX_GRANTS }),
            Added::New => {
                let GrantRow { module, function, text, granted_by, .. } = row;
                // Values may be nobody's business.
                let logged = text.parse::<Grant>().map(|grant| grant.as_ask().to_string()).unwrap_or_default();
                tracing::info!(
                    module.name = %module, grant = %logged, "{granted_by} granted {logged} to {}",
                    place(&module, function.as_deref())
                );
                Ok(true)
            }
        }
    }

    /// The function must be one of the served version or of the one that waits.
    fn check_function(&self, module: &Module, function: &str) -> Result<(), DispatchError> {
        let waits = self.inner.permissions.waiting().get(&module.name).is_some_and(|m| m.tool(function).is_some());
        if waits || module.tool(function).is_some() {
            return Ok(());
        }
        let near = self.inner.registry.current().near_functions(module, function);
        Err(DispatchError::NotFound { what: "function", name: shown(function), near })
    }

    fn asked(&self, module: &Module) -> Vec<Asked> {
        let state = |wish: &Wish| self.inner.permissions.state(&module.name, &wish.grant);
        module.manifest.permissions.iter().map(|wish| Asked { granted: state(wish), wish: wish.clone() }).collect()
    }

    fn waiting(&self, module: &Module) -> Waiting {
        let (by, at) = match &module.origin {
            Origin::Upload { by, at } => (by.clone(), *at),
            Origin::File { path } => (path.display().to_string(), Timestamp { unix_ms: 0 }),
        };
        Waiting {
            digest: module.digest,
            by,
            at,
            asks: self.asked(module),
            reaches: reach::of(&module.interface.imports),
        }
    }
}

impl From<GrantRow> for InForce {
    fn from(row: GrantRow) -> Self {
        let GrantRow { module, function, text, granted_by: by, granted_at: at } = row;
        Self { module, function, text, by, at }
    }
}

/// What a module asks for, without quotas.
fn short(grant: &Grant) -> String {
    match grant {
        Grant::Files(files) => format!("files,at={}", files.at),
        Grant::Scratch(_) => "scratch".to_owned(),
        other => other.as_ask().to_string(),
    }
}

fn place(module: &ModuleName, function: Option<&str>) -> String {
    function.map_or_else(|| format!("module {module}"), |function| format!("{module}.{}", shown(function)))
}
