//! Puts the parts of the server together, from the bottom up.

use std::{env, num::NonZero, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use fumehood_capabilities::http::Egress;
use fumehood_dispatch::{Dispatcher, HistoryConfig, JobsConfig, Parts, Records};
use fumehood_model::{ByteSize, Code};
use fumehood_policy::Trusted;
use fumehood_sandbox::{Compiler, CompilerLimits, Isolation, Sandbox, SandboxError, Settings, Workers};
use fumehood_scheduler::{Admission, RunnerConfig};
use fumehood_store::{Access, Bounds, DataDirectory, Database, NodeId, StoreError};
use tokio::runtime::{Builder, Runtime};

use crate::{
    allocator,
    commands::{compile_worker, sandbox_worker},
    config::Config,
    exit::Failure,
    supply::Supply,
};

/// An open data directory and the door to everything in it.
pub(crate) struct House {
    /// The door.
    pub(crate) dispatcher: Dispatcher,
    /// The administrator's key, if this is the first start.
    pub(crate) first_key: Option<String>,
    /// Where the first administrator's key is kept.
    pub(crate) key_file: PathBuf,
    /// Where tools run.
    pub(crate) sandbox: Sandbox,
    /// What is durable, for what a front end keeps.
    pub(crate) database: Database,
    directory: DataDirectory,
    supply: Option<Supply>,
}

impl House {
    /// Open the data directory that `config` names and set up the sandbox.
    pub(crate) fn open(config: &Config, access: Access) -> anyhow::Result<Self> {
        let trust = Arc::new(config.trust()?);
        let directory = DataDirectory::open(&config.server.data_dir, access).map_err(|error| match error {
            StoreError::InUse { .. } => Failure::new(Code::Conflict, error.to_string()).into(),
            error => anyhow::Error::from(error),
        })?;
        let database = directory.database()?;
        let keys = directory.keys(&database)?;
        let key_file = DataDirectory::admin_key_file(directory.path());
        let first_key = match access {
            Access::Own => keys.first_admin(&key_file)?,
            Access::Share => None,
        };
        let sandbox_config = sandbox_config(config)?;
        let workers = workers(config, &sandbox_config)?;
        let sandbox = Sandbox::new(sandbox_config, compiler(config)?, directory.blobs()?, directory.cache()?, workers)?;
        let places = fumehood_scheduler::Config {
            calls: config.concurrency.calls,
            jobs: config.jobs.running,
            waiting: config.concurrency.waiting,
            per_key: config.concurrency.per_key,
            waiting_per_key: config.concurrency.waiting_per_key,
        };
        let held_to = keys.clone();
        let admission = Admission::with_shares(places, move |key| {
            held_to.principal(key)?.limits.concurrent_calls.and_then(|calls| usize::try_from(calls).ok())
        });
        let supply = Supply::open(&config.sources, config.components.max_size, directory.path(), access)
            .map_err(Failure::from)?;
        let mut apis_dirs = config.server.apis_dir.clone();
        apis_dirs.extend(supply.iter().map(|supply| supply.folder().to_owned()));
        let door = fumehood_dispatch::Config {
            limits: config.limits,
            max_component: config.components.max_size,
            versions: config.components.versions,
            apis_dirs,
            reload_apis: config.server.reload_apis,
            prompts_dirs: config.server.prompts_dir.clone(),
            read_only: access == Access::Share,
            trusted: config.isolation.trusted.clone(),
            data_dir: directory.path().to_owned(),
            on_new_permissions: config.components.on_new_permissions,
            on_changed_definitions: config.components.on_changed_definitions,
            confirmed_by: config.components.confirmed_by,
            trust,
            scratch: Some(directory.scratch()?),
            results: match access {
                Access::Own => Some(directory.results()?),
                Access::Share => None,
            },
            jobs: jobs(config),
            history: HistoryConfig {
                keep_for: DAY.saturating_mul(u32::try_from(config.history.keep_days).unwrap_or(u32::MAX)),
                keep_most: config.history.keep_most,
            },
        };
        let node = NodeId::random()?;
        let records = match access {
            Access::Own => Some(records(config, &database, node)),
            Access::Share => None,
        };
        let (secrets, seals) = (directory.secrets(&database), directory.seals());
        let egress = Egress::new(&config.egress)?;
        let blobs = directory.blobs()?;
        let kept = database.clone();
        let parts =
            Parts { sandbox: sandbox.clone(), admission, database, blobs, keys, secrets, seals, egress, records };
        let dispatcher = Dispatcher::new(door, parts);
        Ok(Self { dispatcher, first_key, key_file, sandbox, database: kept, directory, supply })
    }

    /// Start the worker processes, and say loudly what does not isolate them.
    ///
    /// # Errors
    ///
    /// With a [`Failure`] when they are not isolated although `config` requires it.
    pub(crate) async fn isolate(&self, config: &Config) -> anyhow::Result<()> {
        let gaps = match self.sandbox.isolation().await {
            Err(SandboxError::NotIsolated { what }) => vec![what],
            Err(error) => return Err(error.into()),
            Ok(Some(isolated)) if isolated.gaps().is_empty() => return Ok(()),
            Ok(Some(isolated)) => isolated.gaps(),
            Ok(None) => vec!["every module is trusted and runs inside the server".to_owned()],
        };
        if config.isolation.require {
            let failure = Failure::new(Code::Unavailable, "tools cannot be isolated as isolation.require demands");
            return Err(failure.lines(gaps).hint("`fumehood doctor` explains what this machine lacks").into());
        }
        for gap in gaps {
            tracing::warn!("Tools are not fully isolated: {gap}; `fumehood doctor` explains");
        }
        Ok(())
    }

    /// Fetch the modules that come from elsewhere, and load every module.
    pub(crate) async fn load(&self) -> anyhow::Result<()> {
        if let Some(supply) = &self.supply {
            self.dispatcher.lacks(supply.bring().await?);
        }
        Ok(self.dispatcher.load().await?)
    }

    /// Load every module, and then begin to work on jobs.
    pub(crate) async fn begin(&self, config: &Config) -> anyhow::Result<()> {
        self.load().await?;
        let lease = Duration::from_secs(config.jobs.lease_s);
        // One process owns the data directory: what others held there is held by nobody.
        self.dispatcher.start_work(RunnerConfig { lease, is_alone: true, ..RunnerConfig::default() });
        Ok(())
    }

    /// Where everything is kept.
    pub(crate) fn data_dir(&self) -> &std::path::Path {
        self.directory.path()
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How jobs are kept and run.
fn jobs(config: &Config) -> JobsConfig {
    let jobs = &config.jobs;
    JobsConfig {
        deadline: Duration::from_millis(jobs.deadline_ms),
        max_attempts: jobs.max_attempts,
        auto_after: Duration::from_millis(jobs.auto_after_ms),
        bounds: Bounds { waiting: jobs.waiting, waiting_per_key: jobs.waiting_per_key },
        keep_for: DAY.saturating_mul(u32::try_from(jobs.keep_days).unwrap_or(u32::MAX)),
        keep_most: jobs.keep_most,
    }
}

/// Where what outlasts a call is kept.
fn records(config: &Config, database: &Database, node: NodeId) -> Records {
    let database = Arc::new(database.clone());
    Records {
        jobs: database.clone(),
        schedules: database.clone(),
        history: config.history.enabled.then_some(database as _),
        node,
    }
}

/// The engine as `config` wants it.
pub(crate) fn sandbox_config(config: &Config) -> anyhow::Result<fumehood_sandbox::Config> {
    Ok(fumehood_sandbox::Config {
        concurrent_calls: u32::try_from(config.concurrency.calls).context("concurrency.calls is far too large")?,
        invoke_depth: u32::try_from(config.limits.invoke_depth).context("limits.invoke_depth is far too large")?,
        max_memory: config.limits.memory,
        max_table_elements: config.limits.table_elements,
        loaded_components: config.components.loaded,
        ..fumehood_sandbox::Config::default()
    })
}

/// A compiler that runs this very program as its worker.
pub(crate) fn compiler(config: &Config) -> anyhow::Result<Compiler> {
    let program = env::current_exe().context("this program cannot find its own file")?;
    let isolation = Isolation::Process { program, arguments: vec![compile_worker::COMMAND.to_owned()] };
    let limits = CompilerLimits { cpu_s: config.components.compile_cpu_s, memory: config.components.compile_memory };
    Ok(Compiler::new(isolation, limits))
}

/// Processes of this very program for the components that are not trusted.
pub(crate) fn workers(config: &Config, sandbox: &fumehood_sandbox::Config) -> anyhow::Result<Option<Workers>> {
    if config.isolation.trusted.covers_all() {
        return Ok(None);
    }
    let limits = &config.limits;
    let settings = Settings {
        program: env::current_exe().context("this program cannot find its own file")?,
        arguments: vec![sandbox_worker::COMMAND.to_owned()],
        processes: config.isolation.workers,
        recycle_after: config.isolation.recycle_after,
        require: config.isolation.require,
        max_answer: ByteSize(limits.result.0 + 2 * limits.output.0 + limits.log.0 + 2 * limits.http_body.0),
    };
    Ok(Some(Workers::new(sandbox.clone(), settings)))
}

/// The threads that answer requests, of a process that stays.
///
/// Where all modules run in worker processes, these have half of the machine: more threads than cores only take turns, which on two
/// cores costs a fifth of all calls.
pub(crate) fn runtime(trusted: &Trusted) -> anyhow::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = if trusted.0.is_empty() { cores.div_ceil(2) } else { cores };
    let built = Builder::new_multi_thread().worker_threads(threads).enable_all().thread_name("fumehood").build();
    let runtime = built.context("the threads cannot be started")?;
    runtime.spawn(allocator::give_back());
    Ok(runtime)
}

/// What another process may change of what is served here.
pub(crate) struct Changes {
    database: Database,
    seen: Option<u64>,
}

impl Changes {
    /// From now on. To be asked for before modules are loaded, so that no change falls between the two.
    pub(crate) fn of(house: &House) -> anyhow::Result<Self> {
        let database = house.directory.database()?;
        let seen = database.generation().ok();
        Ok(Self { database, seen })
    }

    /// Load modules and grants again whenever another process has changed some.
    pub(crate) async fn follow(mut self, house: &House) {
        /// How often the database is asked; asking costs microseconds.
        const PERIOD: Duration = Duration::from_secs(1);
        loop {
            tokio::time::sleep(PERIOD).await;
            let Ok(now) = self.database.generation() else { continue };
            if self.seen.replace(now) == Some(now) {
                continue;
            }
            if let Err(error) = house.dispatcher.load().await {
                tracing::warn!(%error, "Modules could not be read again");
            }
        }
    }
}
