//! What modules ask for, could reach, have used and are granted.

mod folder;
mod reach;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use fumehood_capabilities::Witness;
use fumehood_model::{Digest, ModuleName, Principal, Standing, Timestamp};
use fumehood_policy::{Action, Grant, OnChangedDefinitions};
use fumehood_registry::{Manifest, Module, Origin, Tool, Wish};
use fumehood_store::{Added, GrantRow, ModuleRow, Observation};

use crate::{
    DispatchError, Dispatcher,
    dispatcher::{Config, blocking, whole},
    error::shown,
    install::SENT,
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
    /// What approving is about, the version that waits or else the one that is served: its component and what it asks for.
    pub revision: Digest,
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
    /// What is known of the signature of the one that is served.
    pub standing: Standing,
}

/// The version of a module that approving is about.
struct Newest {
    module: ModuleName,
    digest: Digest,
    revision: Digest,
    asks: Vec<Grant>,
}

impl From<&Module> for Newest {
    fn from(module: &Module) -> Self {
        let asks = module.manifest.permissions.iter().map(|wish| wish.grant.clone()).collect();
        Self { module: module.name.clone(), digest: module.digest, revision: module.revision(), asks }
    }
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
    /// What is known of its signature.
    pub standing: Standing,
}

/// How one version differs from another in what it asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// What is asked for now and was not before.
    pub added: Vec<Wish>,
    /// What was asked for and is not any more.
    pub removed: Vec<String>,
    /// What was there before and says something else now.
    pub redefined: Vec<Redefined>,
}

/// Something that a model reads, and that is not what somebody has reviewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redefined {
    /// The function, `prompt:NAME` or `resource:URI`.
    pub name: String,
    /// What it said when it was reviewed, where that is still known.
    pub before: Option<String>,
    /// What it says now.
    pub now: String,
}

impl Redefined {
    /// What of `now` is not as it was `defined`, where `reviewed` is the version that is served.
    pub(crate) fn all(now: &Module, defined: &BTreeMap<String, String>, reviewed: Option<&Module>) -> Vec<Self> {
        // The served version may be one that nobody has reviewed: then what was reviewed is known as a hash alone.
        let known = reviewed.map(Module::definitions).unwrap_or_default();
        let before = |name: &String| {
            let is_known = known.get(name) == defined.get(name);
            reviewed.filter(|_| is_known).and_then(|reviewed| reviewed.says(name))
        };
        let redefined = now.redefined_since(defined).into_iter();
        redefined.map(|name| Self { before: before(&name), now: now.says(&name).unwrap_or_default(), name }).collect()
    }
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
            redefined: Vec::new(),
        }
    }
}

impl Changed {
    /// Whether nobody has to look at it.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        self.added.is_empty() && self.redefined.is_empty()
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
        let newest = self.to_be_approved(principal, name)?;
        let module = newest.module.clone();
        self.write_observations().await;
        let serving = self.inner.registry.current().module(name).cloned();
        let (database, own) = (self.inner.database.clone(), module.clone());
        let (used, grants, row) = blocking(move || {
            let grants = database.grants()?.into_iter().filter(|row| row.module == own);
            Ok((database.observations(&own)?, grants.collect::<Vec<_>>(), database.module(&own)?))
        })
        .await?;
        let waiting = self.inner.permissions.waiting().get(&module).map(|waiting| self.waiting(waiting));
        let changed = self.unreviewed(&module, serving.as_deref(), waiting.as_ref(), row.as_ref());
        Ok(Review {
            digest: serving
                .as_ref()
                .map(|serving| serving.digest)
                .or(row.map(|row| row.digest))
                .unwrap_or(newest.digest),
            revision: newest.revision,
            standing: serving.as_ref().map(|serving| serving.standing.clone()).unwrap_or_default(),
            asks: serving.as_ref().map(|serving| self.asked(serving)).unwrap_or_default(),
            reaches: serving.map(|serving| reach::of(&serving.interface.imports)).unwrap_or_default(),
            module,
            used,
            grants: grants.into_iter().map(InForce::from).collect(),
            waiting,
            changed,
        })
    }

    /// What is asked for, was not asked for before, and is not granted: by the version that waits, or by the one that is
    /// served and was not reviewed yet.
    fn unreviewed(
        &self,
        module: &ModuleName,
        serving: Option<&Module>,
        waiting: Option<&Waiting>,
        row: Option<&ModuleRow>,
    ) -> Option<Changed> {
        let before = row.and_then(|row| row.asked_before.clone());
        let mut changed = match (waiting, before) {
            (Some(waiting), _) => {
                let now: Vec<_> = waiting.asks.iter().map(|asked| asked.wish.clone()).collect();
                Changed::between(&asked_by(serving, row), &now)
            }
            (None, Some(before)) => {
                serving.map(|serving| Changed::between(&before, &serving.manifest.permissions)).unwrap_or_default()
            }
            (None, None) => Changed::default(),
        };
        changed.added = self.ungranted(module, &changed.added);
        let cares = self.inner.config.on_changed_definitions != OnChangedDefinitions::Serve;
        let defined = row.and_then(|row| row.defined_before.clone()).filter(|_| cares);
        changed.redefined = match self.inner.permissions.waiting().get(module) {
            Some(waiting) if cares => {
                let defined = defined.or_else(|| serving.map(Module::definitions));
                defined.map(|defined| Redefined::all(waiting, &defined, serving))
            }
            _ => serving.zip(defined).map(|(serving, defined)| Redefined::all(serving, &defined, None)),
        }
        .unwrap_or_default();
        (waiting.is_some() || !changed.is_harmless()).then_some(changed)
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
        let (this, principal, name) = (self.clone(), principal.clone(), name.to_owned());
        let function = function.map(str::to_owned);
        whole(async move { this.grant_now(&principal, &name, function.as_deref(), grant).await }).await
    }

    async fn grant_now(
        &self,
        principal: &Principal,
        name: &str,
        function: Option<&str>,
        grant: Grant,
    ) -> Result<(InForce, bool), DispatchError> {
        let config = self.inner.config.clone();
        let grant = blocking(move || folder::checked(grant, &config)).await?;
        // Looked up in our turn: until then the module may be removed or replaced.
        let _turn = self.inner.installing.lock().await;
        let module = self.module(principal, name)?;
        if let Some(function) = function {
            self.check_function(&module, function)?;
        }
        let row = self.row(principal, &module.name, function, &grant);
        let is_new = self.add(row.clone()).await?;
        self.load_grants().await?;
        Ok((row.into(), is_new))
    }

    /// Take a grant away from the module `name`, or from one `function` of it, for every call from now on. The module
    /// need not be there any more.
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
        let (this, principal, name) = (self.clone(), principal.clone(), name.to_owned());
        let function = function.map(str::to_owned);
        whole(async move { this.revoke_now(&principal, &name, function.as_deref(), grant).await }).await
    }

    async fn revoke_now(
        &self,
        principal: &Principal,
        name: &str,
        function: Option<&str>,
        grant: Grant,
    ) -> Result<(), DispatchError> {
        // What is no name cannot have been granted anything: that there is no such module is told with near names.
        let module: ModuleName =
            name.parse().or_else(|_| self.module(principal, name).map(|module| module.name.clone()))?;
        let (database, own, of, config) =
            (self.inner.database.clone(), module.clone(), function.map(str::to_owned), self.inner.config.clone());
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
            self.load_grants().await?;
            self.module(principal, name)?;
            return Err(DispatchError::NotFound { what: "grant", name: shown_text, near: Vec::new() });
        }
        self.load_grants().await?;
        tracing::info!(
            module.name = %module, key.id = %principal.key, grant = %logged, "{} revoked {logged} from {}",
            principal.name, place(&module, function)
        );
        Ok(())
    }

    /// Grant everything that the module `name` asks for and that is complete, and serve the version that waited: all of
    /// it or nothing. With a `revision`, only if that is what is to be approved.
    ///
    /// # Errors
    ///
    /// When `principal` may not, there is no such module, another version is to be approved, or the module would have
    /// too many grants. Then everything is as it was.
    pub async fn approve(
        &self,
        principal: &Principal,
        name: &str,
        revision: Option<Digest>,
    ) -> Result<Approved, DispatchError> {
        Action::Grant.check(principal)?;
        self.check_writable()?;
        let (this, principal, name) = (self.clone(), principal.clone(), name.to_owned());
        whole(async move { this.approve_now(&principal, &name, revision).await }).await
    }

    async fn approve_now(
        &self,
        principal: &Principal,
        name: &str,
        revision: Option<Digest>,
    ) -> Result<Approved, DispatchError> {
        let _turn = self.inner.installing.lock().await;
        let Newest { module, digest, revision: newest, asks } = self.to_be_approved(principal, name)?;
        if revision.is_some_and(|revision| revision != newest) {
            return Err(DispatchError::OtherVersion { module, revision: newest });
        }
        let before = self.stored_row(&module).await?;
        let waited = before.as_ref().and_then(|row| row.pending.clone());
        if waited.as_ref().is_some_and(|waited| waited.digest != digest) {
            return Err(DispatchError::NothingPending { module });
        }
        let asks = asks.into_iter().filter(|grant| self.inner.permissions.state(&module, grant) != Granted::Yes);
        let (left, granted): (Vec<_>, Vec<_>) = asks.partition(|grant| grant.lacks().is_some());
        let rows: Vec<_> = granted.iter().map(|grant| self.row(principal, &module, None, grant)).collect();
        let (database, stored, row) = (self.inner.database.clone(), rows.clone(), before.clone().map(as_reviewed));
        if !blocking(move || Ok(database.approve(row.as_ref(), &stored, MAX_GRANTS)?)).await? {
            return Err(DispatchError::TooManyGrants { module, most: MAX_GRANTS });
        }
        rows.iter().for_each(log_granted);
        self.load_grants().await?;
        if let (Some(waited), Some(_)) = (waited, &before) {
            let served = self.inner.permissions.waiting().remove(&module);
            let old = served.and_then(|served| self.inner.registry.insert(served));
            tracing::info!(
                module.name = %module, component.digest = %waited.digest, key.id = %principal.key,
                "The waiting version of module {module} approved by {}", principal.name
            );
            self.let_go(old);
        } else if let Some(row) = before.filter(|row| row.defined_before.is_some()) {
            // Its tools say what somebody has seen by now.
            let seen = self.stored(as_reviewed(row)).await?;
            self.inner.registry.insert(seen);
        }
        let module = self.module(principal, name)?;
        Ok(Approved { module, granted, left })
    }

    /// What approving the module `name` is about: the version that waits, or else the one that is served.
    fn to_be_approved(&self, principal: &Principal, name: &str) -> Result<Newest, DispatchError> {
        if let Some(waiting) = self.inner.permissions.waiting().get(name) {
            return Ok(Newest::from(waiting));
        }
        Ok(Newest::from(&*self.module(principal, name)?))
    }

    /// Drop the version of the module `name` that waits.
    ///
    /// # Errors
    ///
    /// When `principal` may not, or none waits.
    pub async fn reject(&self, principal: &Principal, name: &str) -> Result<(), DispatchError> {
        Action::Grant.check(principal)?;
        self.check_writable()?;
        let (this, principal, name) = (self.clone(), principal.clone(), name.to_owned());
        whole(async move { this.reject_now(&principal, &name).await }).await
    }

    async fn reject_now(&self, principal: &Principal, name: &str) -> Result<(), DispatchError> {
        let _turn = self.inner.installing.lock().await;
        let module = self.module(principal, name)?;
        let nothing = || DispatchError::NothingPending { module: module.name.clone() };
        let row = self.stored_row(&module.name).await?.ok_or_else(nothing)?;
        let dropped = row.pending.clone().ok_or_else(nothing)?;
        let (database, rejected) = (self.inner.database.clone(), dropped.clone());
        let row = ModuleRow { pending: None, ..row };
        blocking(move || Ok(database.reject_version(&row, &rejected)?)).await?;
        self.inner.permissions.waiting().remove(&module.name);
        tracing::info!(
            module.name = %module.name, component.digest = %dropped.digest, key.id = %principal.key,
            "The waiting version of module {name} rejected by {}", principal.name
        );
        self.forget_unused(dropped.digest).await;
        Ok(())
    }

    /// Write what was observed so far: to be called once more before the process ends. A process that only reads from
    /// its data directory forgets it.
    pub async fn write_observations(&self) {
        let mut seen = self.inner.permissions.ledger.take();
        if self.inner.config.read_only {
            return;
        }
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

    /// Write what is observed every second, or forget it, as long as this dispatcher lives.
    pub(crate) fn start_writing(&self) {
        if self.inner.permissions.writes.swap(true, Ordering::Relaxed) {
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

    /// Drop what an earlier module of this name left behind when it vanished from the folders of APIs: a name is no
    /// right to what somebody else's module was granted and has kept.
    pub(crate) async fn start_afresh(&self, module: &ModuleName) -> Result<(), DispatchError> {
        let (database, own) = (self.inner.database.clone(), module.clone());
        let left = blocking(move || {
            let left: Vec<_> = database.grants()?.into_iter().filter(|row| row.module == own).collect();
            database.remove_module(&own)?;
            Ok(left)
        })
        .await?;
        self.inner.permissions.forget(module);
        if left.is_empty() {
            return Ok(());
        }
        self.load_grants().await?;
        for row in left {
            let logged = logged(&row.text);
            tracing::warn!(
                module.name = %module, grant = %logged,
                "{logged} was granted to {} before, which is gone; the new module does not get it",
                place(module, row.function.as_deref())
            );
        }
        Ok(())
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
                log_granted(&row);
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
            standing: module.standing.clone(),
        }
    }
}

impl From<GrantRow> for InForce {
    fn from(row: GrantRow) -> Self {
        let GrantRow { module, function, text, granted_by: by, granted_at: at } = row;
        Self { module, function, text, by, at }
    }
}

/// What the version of a module asks for that is served, or is stored and could not be loaded. Then only what was sent
/// beside it is known.
pub(crate) fn asked_by(serving: Option<&Module>, row: Option<&ModuleRow>) -> Vec<String> {
    let stored = || Manifest::parse(SENT, row?.manifest.as_deref()?).ok().map(|manifest| manifest.asks());
    serving.map(|serving| serving.manifest.asks()).or_else(stored).unwrap_or_default()
}

/// A stored module once its newest version was reviewed: the one that waited, or the one that is served already.
fn as_reviewed(row: ModuleRow) -> ModuleRow {
    let Some(waited) = row.pending else {
        return ModuleRow { asked_before: None, defined_before: None, ..row };
    };
    ModuleRow {
        name: row.name,
        digest: waited.digest,
        size_bytes: waited.size_bytes,
        installed_by: waited.by,
        installed_at: waited.at,
        manifest: waited.manifest,
        signature: waited.signature,
        asked_before: None,
        defined_before: None,
        pending: None,
        is_pinned: row.is_pinned,
    }
}

fn log_granted(row: &GrantRow) {
    let GrantRow { module, function, text, granted_by, .. } = row;
    let logged = logged(text);
    tracing::info!(
        module.name = %module, grant = %logged, "{granted_by} granted {logged} to {}", place(module, function.as_deref())
    );
}

/// A stored grant as it may be logged: without its value, which may be nobody's business.
fn logged(text: &str) -> String {
    text.parse::<Grant>().map(|grant| grant.as_ask().to_string()).unwrap_or_default()
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
