//! The product as a server under test.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::sleep;

use crate::client::Connection;
use crate::process::{self, Memory};
use crate::request::{self, Target};
use crate::server::Server;
use crate::zoo;

/// Pause between two questions whether the server is ready: the precision of what is measured with it.
const POLL_PAUSE: Duration = Duration::from_millis(1);
/// How long a server without many modules may take until it is ready.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A directory in which a server lives, and which outlives it; dropping it removes the directory.
#[derive(Debug)]
pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    /// An empty home.
    pub(crate) fn new() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("fumehood-bench-").tempdir().context("no directory")?;
        let home = Self { directory };
        fs::create_dir(home.apis()).context("cannot make the directory for components")?;
        Ok(home)
    }

    /// Lay a component where a server reads it when it starts.
    pub(crate) fn add(&self, module: &str, component: &[u8]) -> Result<()> {
        let path = self.apis().join(module).with_extension("wasm");
        fs::write(&path, component).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Put a component in the place of the one that a server reads there, at once.
    pub(crate) fn put(&self, module: &str, component: &[u8]) -> Result<()> {
        let (path, new) = (self.apis().join(module).with_extension("wasm"), self.apis().join("_new"));
        fs::write(&new, component).with_context(|| format!("cannot write {}", new.display()))?;
        fs::rename(&new, &path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Lay the manifest of a module beside it.
    pub(crate) fn add_manifest(&self, module: &str, manifest: &str) -> Result<()> {
        let path = self.apis().join(format!("{module}.tool.toml"));
        fs::write(&path, manifest).with_context(|| format!("cannot write {}", path.display()))
    }

    fn apis(&self) -> PathBuf {
        self.directory.path().join("apis")
    }

    fn key(&self) -> Result<String> {
        let path = self.directory.path().join("admin.key");
        let key = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(key.trim().to_owned())
    }
}

/// A running fumehood that is ready.
#[derive(Debug)]
pub(crate) struct Fumehood {
    server: Server,
    key: String,
    ready_after: Duration,
}

impl Fumehood {
    /// Start fumehood in this home, with additional environment variables, and wait until it is ready.
    pub(crate) async fn start(
        binary: &Path,
        home: &Home,
        environment: &[(&str, String)],
        patience: Duration,
    ) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        command.arg("--data-dir").arg(home.directory.path());
        command.arg("--apis-dir").arg(home.apis());
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let server = Server::start(command, patience).await?;
        wait_until_ready(server.address(), server.started() + patience).await?;
        let ready_after = server.started().elapsed();
        Ok(Self { server, key: home.key()?, ready_after })
    }

    /// The same with the bounds for which the zoo is written. Patient: there is much to compile.
    pub(crate) async fn start_with_bounds_of_zoo(binary: &Path, home: &Home) -> Result<Self> {
        Self::start_in_zoo(binary, home, zoo::environment()).await
    }

    /// The same with workers that stay: one that takes the place of another has loaded nothing yet, and what it then
    /// loads would look like growth.
    pub(crate) async fn start_for_soak(binary: &Path, home: &Home) -> Result<Self> {
        let mut environment = zoo::environment();
        environment.push(("FUMEHOOD_ISOLATION__RECYCLE_AFTER".to_owned(), u32::MAX.to_string()));
        Self::start_in_zoo(binary, home, environment).await
    }

    async fn start_in_zoo(binary: &Path, home: &Home, environment: Vec<(String, String)>) -> Result<Self> {
        let environment: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        Self::start(binary, home, &environment, PATIENCE * 5).await
    }

    /// The id of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The key of its administrator.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// When the process was started.
    pub(crate) fn started(&self) -> Instant {
        self.server.started()
    }

    /// How long it took from the start of the process until it was ready.
    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// A new key that may call, with shares of its own.
    pub(crate) async fn new_key(&self, name: &str) -> Result<String> {
        let mut connection = Connection::open(self.address()).await?;
        let response = connection.exchange(&request::new_key(self.address(), &self.key, name)).await?;
        response.require_success()?;
        let made: serde_json::Value = serde_json::from_slice(&response.body).context("an answer that is not JSON")?;
        made["key"].as_str().map(str::to_owned).context("an answer without a key")
    }

    /// Its memory now, with that of its worker processes.
    pub(crate) fn memory(&self) -> Result<Memory> {
        process::memory_of_family(self.pid())
    }

    /// A call of the module's `add`.
    pub(crate) fn add(&self, module: &str) -> Target {
        request::add_over_rest(self.address(), &self.key, module)
    }

    /// Kill it, as the loss of power would.
    pub(crate) async fn kill(self) -> Result<()> {
        self.server.kill().await
    }

    /// End it. Tells how long that took.
    pub(crate) async fn stop(self) -> Result<Duration> {
        self.server.stop().await
    }
}

/// Send the call once, check the answer. Tells how long it took.
pub(crate) async fn time_call(connection: &mut Connection, target: &Target) -> Result<Duration> {
    let sent = Instant::now();
    let response = connection.exchange(&target.request).await?;
    let taken = sent.elapsed();
    target.expected.check(&response)?;
    Ok(taken)
}

/// Send the call until the answer is right, or until the deadline.
pub(crate) async fn call_until_right(connection: &mut Connection, target: &Target, deadline: Instant) -> Result<()> {
    while let Err(error) = time_call(connection, target).await {
        if Instant::now() >= deadline {
            return Err(error.context("the call never succeeded"));
        }
        sleep(POLL_PAUSE).await;
        *connection = Connection::open(target.address).await?;
    }
    Ok(())
}

async fn wait_until_ready(address: SocketAddr, deadline: Instant) -> Result<()> {
    let request = request::ready(address);
    loop {
        let last = match ask(address, &request).await {
            Ok(None) => return Ok(()),
            Ok(Some(refusal)) => refusal,
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() >= deadline {
            bail!("the server never became ready; the last answer: {last}");
        }
        sleep(POLL_PAUSE).await;
    }
}

/// Ask once, on a connection of its own. Returns the answer when it is not 200.
async fn ask(address: SocketAddr, request: &[u8]) -> Result<Option<String>> {
    let mut connection = Connection::open(address).await?;
    let response = connection.exchange(request).await?;
    Ok((response.status != 200).then(|| response.to_string()))
}
