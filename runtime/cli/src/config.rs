//! The configuration: `fumehood.toml`, then the environment, then flags.

mod layers;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    thread,
};

use fumehood_capabilities::http::Config as Egress;
use fumehood_mcp::Config as Mcp;
use fumehood_model::{ByteSize, Code};
use fumehood_policy::{ConfirmedBy, Limits, OnChangedDefinitions, OnNewPermissions, Trusted};
use fumehood_signature::{Signatures, Trust};
use fumehood_sources::Config as Sources;
use serde::{Deserialize, Serialize};

pub(crate) use layers::{Flag, Origin};

use crate::exit::Failure;
use layers::Layers;

/// The file that is read when no other is named.
const DEFAULT_FILE: &str = "fumehood.toml";

/// The variables of the process that are text.
pub(crate) type Environment = BTreeMap<String, String>;

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) limits: Limits,
    pub(crate) concurrency: Concurrency,
    pub(crate) jobs: Jobs,
    pub(crate) history: History,
    pub(crate) components: Components,
    pub(crate) sources: Sources,
    pub(crate) signatures: Signatures,
    pub(crate) isolation: Isolation,
    pub(crate) egress: Egress,
    pub(crate) mcp: Mcp,
    pub(crate) log: Log,
}

impl Config {
    /// Whose components are served: reads the files that `[signatures]` names.
    ///
    /// # Errors
    ///
    /// With everything that is wrong with them.
    pub(crate) fn trust(&self) -> Result<Trust, Failure> {
        Trust::read(&self.signatures).map_err(|errors| invalid(errors.iter().map(ToString::to_string).collect()))
    }
}

/// `[server]`: where and for whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    /// The address to listen on.
    pub(crate) listen: SocketAddr,
    /// Where uploaded components, keys and caches are kept.
    pub(crate) data_dir: PathBuf,
    /// Folders whose components are served.
    pub(crate) apis_dir: Vec<PathBuf>,
    /// Whether these folders are read again when something in them changes.
    pub(crate) reload_apis: bool,
    /// Folders whose files hold prompts for everybody.
    pub(crate) prompts_dir: Vec<PathBuf>,
    /// Whether callers need a key.
    pub(crate) auth: bool,
    /// The largest request body; components have their own bound.
    pub(crate) max_body: ByteSize,
    /// Longest that a client may take to send its headers.
    pub(crate) header_timeout_s: u64,
    /// Longest that a connection may say nothing.
    pub(crate) idle_timeout_s: u64,
    /// Most open connections.
    pub(crate) max_connections: usize,
    /// Longest that running calls may go on after the server was told to stop.
    pub(crate) drain_timeout_s: u64,
    /// Names beyond loopback ones that the `Host` header may carry.
    pub(crate) allowed_hosts: Vec<String>,
}

/// `[concurrency]`: how many calls at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Concurrency {
    /// Most calls that run at the same time.
    pub(crate) calls: usize,
    /// Most calls that wait for a place.
    pub(crate) waiting: usize,
    /// Most running calls of one key; three quarters of `calls` unless set.
    pub(crate) per_key: usize,
    /// Most waiting calls of one key; three quarters of `waiting` unless set.
    pub(crate) waiting_per_key: usize,
}

/// `[jobs]`: calls that are kept before they run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Jobs {
    /// Most jobs that run at the same time; three quarters of `concurrency.calls` unless set.
    pub(crate) running: usize,
    /// Most jobs that wait.
    pub(crate) waiting: u64,
    /// Most waiting jobs of one key; three quarters of `waiting` unless set.
    pub(crate) waiting_per_key: u64,
    /// Longest that an attempt may take.
    pub(crate) deadline_ms: u64,
    /// Attempts of a job, unless it says otherwise.
    pub(crate) max_attempts: u32,
    /// How long a call of a tool of mode `auto` is waited for before it becomes a job.
    pub(crate) auto_after_ms: u64,
    /// How long a node holds a job without a sign of life.
    pub(crate) lease_s: u64,
    /// How long a job is kept after it ended.
    pub(crate) keep_days: u64,
    /// Most ended jobs that are kept, the newest.
    pub(crate) keep_most: u64,
}

/// `[history]`: which calls are remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct History {
    /// Whether calls are written down at all.
    pub(crate) enabled: bool,
    /// How long a call is kept.
    pub(crate) keep_days: u64,
    /// Most calls that are kept, the newest.
    pub(crate) keep_most: u64,
}

/// `[components]`: what an upload may cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Components {
    /// The largest component.
    pub(crate) max_size: ByteSize,
    /// Most processor time that compiling one may take.
    pub(crate) compile_cpu_s: u64,
    /// Most memory that compiling one may take.
    pub(crate) compile_memory: ByteSize,
    /// Most compiled components that are held in memory.
    pub(crate) loaded: usize,
    /// Most versions of an uploaded module that are kept, the newest.
    pub(crate) versions: u64,
    /// Whether a new version that asks for more is served without it, or held back until it is reviewed.
    pub(crate) on_new_permissions: OnNewPermissions,
    /// What becomes of a new version whose tools say something else of themselves.
    pub(crate) on_changed_definitions: OnChangedDefinitions,
    /// Who confirms the calls that a person must confirm.
    pub(crate) confirmed_by: ConfirmedBy,
}

/// `[isolation]`: where components run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Isolation {
    /// Modules that run inside the server: names, or beginnings of names with `*` behind them.
    pub(crate) trusted: Trusted,
    /// How many worker processes share the calls of all other modules.
    pub(crate) workers: usize,
    /// After how many calls a worker process is replaced.
    pub(crate) recycle_after: u64,
    /// Whether to refuse to start when the kernel lacks what isolates worker processes.
    pub(crate) require: bool,
}

/// `[log]`: what the server says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// What is logged, in the syntax of `tracing`: `info`, `warn,fumehood=debug`.
    pub(crate) filter: String,
    /// How it is written.
    pub(crate) format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7311)),
            // For who has neither XDG_DATA_HOME nor HOME; see `data_dir`.
            data_dir: PathBuf::from(".fumehood"),
            apis_dir: vec![PathBuf::from("apis")],
            reload_apis: true,
            prompts_dir: vec![PathBuf::from("prompts")],
            auth: true,
            max_body: ByteSize::mib(16),
            header_timeout_s: 10,
            idle_timeout_s: 300,
            max_connections: 1024,
            drain_timeout_s: 10,
            allowed_hosts: Vec::new(),
        }
    }
}

impl Default for Concurrency {
    fn default() -> Self {
        let calls = 2 * thread::available_parallelism().map_or(1, usize::from);
        Self::with_shares(calls, 100)
    }
}

impl Concurrency {
    fn with_shares(calls: usize, waiting: usize) -> Self {
        Self { calls, waiting, per_key: share(calls), waiting_per_key: share(waiting) }
    }
}

/// Three quarters, so that one busy key always leaves room for another.
fn share(of: usize) -> usize {
    (of / 4 * 3 + of % 4 * 3 / 4).max(1)
}

impl Default for Jobs {
    fn default() -> Self {
        let waiting = 1_000_000;
        Self {
            running: share(Concurrency::default().calls),
            waiting,
            waiting_per_key: waiting / 4 * 3,
            deadline_ms: 300_000,
            max_attempts: 3,
            auto_after_ms: 2_000,
            lease_s: 30,
            keep_days: 7,
            keep_most: 1_000_000,
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self { enabled: true, keep_days: 30, keep_most: 1_000_000 }
    }
}

impl Default for Components {
    fn default() -> Self {
        Self {
            max_size: ByteSize::mib(64),
            compile_cpu_s: 20,
            compile_memory: ByteSize::gib(1),
            loaded: 256,
            versions: 10,
            on_new_permissions: OnNewPermissions::Serve,
            on_changed_definitions: OnChangedDefinitions::Flag,
            confirmed_by: ConfirmedBy::Caller,
        }
    }
}

impl Default for Isolation {
    fn default() -> Self {
        // One for two cores: with more of them, calls change processes more often than they gain. Two at the least, so
        // that one that dies does not take along everything that runs.
        let workers = thread::available_parallelism().map_or(2, |cores| cores.get().div_ceil(2).max(2));
        Self { trusted: Trusted::default(), workers, recycle_after: 100_000, require: false }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

/// A configuration, and where each of its values came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// The file that was read, if there was one.
    pub(crate) file: Option<PathBuf>,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Where the value of `section.key` came from.
    pub(crate) fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }

    /// What is wrong with the values together, although each is well-formed.
    fn mistakes(&self) -> Vec<String> {
        let Config { server, limits, concurrency, jobs, components, sources, isolation, egress, mcp, .. } =
            &self.config;
        let positive = [
            ("server.max_body", server.max_body.0),
            ("server.header_timeout_s", server.header_timeout_s),
            ("server.idle_timeout_s", server.idle_timeout_s),
            ("server.max_connections", server.max_connections as u64),
            ("limits.fuel_units", limits.fuel_units),
            ("limits.deadline_ms", limits.deadline_ms),
            ("limits.memory", limits.memory.0),
            ("limits.result", limits.result.0),
            ("concurrency.calls", concurrency.calls as u64),
            ("concurrency.per_key", concurrency.per_key as u64),
            ("jobs.running", jobs.running as u64),
            ("jobs.waiting", jobs.waiting),
            ("jobs.waiting_per_key", jobs.waiting_per_key),
            ("jobs.deadline_ms", jobs.deadline_ms),
            ("jobs.max_attempts", jobs.max_attempts.into()),
            ("components.max_size", components.max_size.0),
            ("components.compile_cpu_s", components.compile_cpu_s),
            ("components.compile_memory", components.compile_memory.0),
            ("components.loaded", components.loaded as u64),
            ("components.versions", components.versions),
            ("sources.timeout_s", sources.timeout_s),
            ("isolation.workers", isolation.workers as u64),
            ("egress.concurrent_lookups", egress.concurrent_lookups as u64),
            ("egress.connections", egress.connections as u64),
            ("isolation.recycle_after", isolation.recycle_after),
            ("mcp.sessions", mcp.sessions),
            ("mcp.sessions_per_key", mcp.sessions_per_key),
            ("mcp.session_days", mcp.session_days),
        ];
        let zeros = positive.into_iter().filter(|(_, value)| *value == 0);
        let mut mistakes: Vec<_> =
            zeros.map(|(key, _)| format!("{}: {key} must be at least 1", self.origin(key))).collect();
        if !(5..=3_600).contains(&jobs.lease_s) {
            mistakes.push(format!("{}: jobs.lease_s must be from 5 to 3600", self.origin("jobs.lease_s")));
        }
        if jobs.running > concurrency.calls {
            mistakes.push(format!(
                "{}: jobs.running must not be more than concurrency.calls, {}",
                self.origin("jobs.running"),
                concurrency.calls
            ));
        }
        if server.data_dir.as_os_str().is_empty() {
            mistakes.push(format!("{}: server.data_dir is empty", self.origin("server.data_dir")));
        }
        if !server.auth && !server.listen.ip().is_loopback() {
            mistakes.push(format!(
                "server.auth is off ({}) while server.listen is {} ({}): without authentication the server listens on \
                 loopback only",
                self.origin("server.auth"),
                server.listen,
                self.origin("server.listen"),
            ));
        }
        let fits = |name: &str| {
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=64).contains(&name.len()) && name.bytes().all(allowed) && name != "server-card"
        };
        if let Some(name) = mcp.profiles.keys().find(|name| !fits(name)) {
            mistakes.push(format!(
                "{}: mcp.profiles.{}: a profile is called by 1 to 64 of a-z, 0-9 and `-`, and not server-card",
                self.origin("mcp.profiles"),
                name.escape_debug()
            ));
        }
        for (name, profile) in &mcp.profiles {
            let wrong = profile.mistakes().into_iter();
            mistakes.extend(wrong.map(|wrong| format!("{}: mcp.profiles.{name}.{wrong}", self.origin("mcp.profiles"))));
        }
        mistakes
    }
}

/// Read the configuration from all its places.
///
/// `file` is the one that was asked for; without it, `fumehood.toml` in the current directory is read if it exists.
///
/// # Errors
///
/// With everything that is wrong at once, each with where it stands.
pub(crate) fn load(file: Option<&Path>, environment: &Environment, flags: Vec<Flag>) -> Result<Loaded, Failure> {
    let mut layers = Layers::new();
    let read = match file {
        Some(file) => Some((file, std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?)),
        None => read_default()?,
    };
    if let Some((path, text)) = &read {
        layers.file(path, text);
    }
    layers.environment(environment);
    flags.into_iter().for_each(|flag| layers.flag(flag));
    let (mut config, origins) = layers.finish()?;
    fill_in(&mut config, &origins, environment);
    let loaded = Loaded { config, origins, file: read.map(|(path, _)| path.to_owned()) };
    match loaded.mistakes() {
        mistakes if mistakes.is_empty() => Ok(loaded),
        mistakes => Err(invalid(mistakes)),
    }
}

fn invalid(mistakes: Vec<String>) -> Failure {
    Failure::new(Code::InvalidInput, "the configuration is not valid").lines(mistakes)
}

fn read_default() -> Result<Option<(&'static Path, String)>, Failure> {
    let path = Path::new(DEFAULT_FILE);
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Code::NotFound, format!("configuration file {} cannot be read: {error}", path.display()))
}

/// The defaults that depend on other values or on the environment.
fn fill_in(config: &mut Config, origins: &BTreeMap<String, Origin>, environment: &Environment) {
    let is_default = |key: &str| !origins.contains_key(key);
    if is_default("server.data_dir") {
        config.server.data_dir = data_dir(environment).unwrap_or(config.server.data_dir.clone());
    }
    // Nobody misses a folder that nobody named.
    if is_default("server.apis_dir") {
        config.server.apis_dir.retain(|folder| folder.exists());
    }
    if is_default("server.prompts_dir") {
        config.server.prompts_dir.retain(|folder| folder.exists());
    }
    let shares = Concurrency::with_shares(config.concurrency.calls, config.concurrency.waiting);
    if is_default("concurrency.per_key") {
        config.concurrency.per_key = shares.per_key;
    }
    if is_default("concurrency.waiting_per_key") {
        config.concurrency.waiting_per_key = shares.waiting_per_key;
    }
    if is_default("jobs.running") {
        config.jobs.running = share(config.concurrency.calls);
    }
    if is_default("jobs.waiting_per_key") {
        config.jobs.waiting_per_key = (config.jobs.waiting / 4 * 3).max(1);
    }
}

fn data_dir(environment: &Environment) -> Option<PathBuf> {
    // XDG Base Directory Specification 0.8: a path that is not absolute is invalid and must be ignored.
    let absolute = |name| environment.get(name).map(Path::new).filter(|path| path.is_absolute());
    let base = absolute("XDG_DATA_HOME").map(Path::to_owned);
    Some(base.or_else(|| Some(absolute("HOME")?.join(".local/share")))?.join("fumehood"))
}
