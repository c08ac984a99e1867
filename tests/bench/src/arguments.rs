//! What can be asked for on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// The component under test, unless another one is named.
const CALCULATOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../runtime/cli/demo/calculator.wasm");

/// Benchmarks of fumehood, each with its baseline from the same run.
#[derive(Debug, Parser)]
#[command(name = "fumehood-bench", version)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The scenarios, and the baselines as servers that stand alone.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Requests per second, latency, CPU and memory: fumehood over REST and MCP against bare axum and bare rmcp.
    Http(Http),
    /// The first call of a module that was just uploaded.
    Cold(Cold),
    /// Build the same tool in each language, and call it
    Languages(Languages),
    /// Put versions of a module in the place of each other, by upload and by file, while it is called
    Swap(Swap),
    /// Starting again with many modules.
    Restart(Restart),
    /// Memory of many calls that are in flight at once.
    Inflight(Inflight),
    /// List many tools over MCP beside rmcp and FastMCP, and hold clients that listen.
    Listing(Listing),
    /// Hostile and honest guests mixed at full load: no honest call fails or slows, memory and files stay flat.
    Soak(Soak),
    /// The numeric goals of the sandbox: each prints what was measured, the gate, and whether it holds.
    Goal(Goal),
    /// Kill the server again and again while jobs are submitted: none may be lost, none may end twice, none that may do harm
    /// may run twice.
    Chaos(Chaos),
    /// Jobs from submission to durable outcome: how many a second, and how soon one begins.
    Jobs(Jobs),
    /// Serve the REST baseline: bare axum with one typed route.
    ServeAxum(Listen),
    /// Serve the MCP baseline: bare rmcp with one tool.
    ServeRmcp(Listen),
}

/// Where fumehood is and what it serves.
#[derive(Debug, Args)]
pub(crate) struct Product {
    /// The fumehood binary [default: `fumehood` beside this program].
    #[arg(long, env = "FUMEHOOD", value_name = "PATH")]
    fumehood: Option<PathBuf>,
    /// The calculator component.
    #[arg(long, value_name = "PATH", default_value = CALCULATOR)]
    component: PathBuf,
}

impl Product {
    /// The path of the fumehood binary.
    pub(crate) fn binary(&self) -> Result<PathBuf> {
        if let Some(path) = &self.fumehood {
            return Ok(path.clone());
        }
        Ok(std::env::current_exe().context("cannot find this program")?.with_file_name("fumehood"))
    }

    /// The bytes of the calculator component.
    pub(crate) fn calculator(&self) -> Result<Vec<u8>> {
        std::fs::read(&self.component).with_context(|| format!("cannot read {}", self.component.display()))
    }
}

/// How to load the servers.
#[derive(Debug, Args)]
pub(crate) struct Http {
    #[command(flatten)]
    pub(crate) product: Product,
    /// Rounds; every server is measured once in each.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Length of one measurement.
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    pub(crate) duration: Duration,
    /// Load before each measurement that does not count.
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    pub(crate) warm_up: Duration,
    /// Numbers of connections to measure with.
    #[arg(long, value_delimiter = ',', default_value = "1,32", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) connections: Vec<u16>,
    /// Threads that send the load.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) load_threads: u16,
    /// The servers to measure.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "axum,rmcp,rest,mcp")]
    pub(crate) servers: Vec<Contender>,
    /// A Python that has `fastmcp`.
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub(crate) python: PathBuf,
    /// Measure MCP in the older protocol revision 2025-11-25 too.
    #[arg(long)]
    pub(crate) legacy: bool,
    /// Write every round to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// One of the servers under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Contender {
    /// Bare axum.
    Axum,
    /// Bare rmcp.
    Rmcp,
    /// Fumehood over REST.
    Rest,
    /// Fumehood over REST, with every module trusted: no worker processes.
    Inside,
    /// Fumehood over MCP.
    Mcp,
    /// Fumehood over MCP, with every module trusted.
    McpInside,
    /// FastMCP with the same tool; needs `--python`.
    Fastmcp,
}

/// How to measure cold calls.
#[derive(Debug, Args)]
pub(crate) struct Cold {
    #[command(flatten)]
    pub(crate) product: Product,
    /// Modules to upload.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) modules: u32,
    /// Write every measurement to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// How to measure languages.
#[derive(Debug, Args)]
pub(crate) struct Languages {
    #[command(flatten)]
    pub(crate) product: Product,
    /// Calls of each tool, one after the other.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) calls: u32,
    /// The sources of `go.bytecodealliance.org/pkg`, where Go reaches no proxy.
    #[arg(long, value_name = "DIR")]
    pub(crate) go_package: Option<PathBuf>,
    /// Write every measurement to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// How to measure swaps.
#[derive(Debug, Args)]
pub(crate) struct Swap {
    #[command(flatten)]
    pub(crate) product: Product,
    /// Swaps of each kind.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) swaps: u32,
    /// Connections that call meanwhile.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) connections: u16,
    /// Write every measurement to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// How to measure a restart.
#[derive(Debug, Args)]
pub(crate) struct Restart {
    #[command(flatten)]
    pub(crate) product: Product,
    /// Modules that the server holds.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) modules: u32,
    /// Restarts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeats: u32,
    /// Upload the modules instead of laying them into the directory that the server reads.
    #[arg(long)]
    pub(crate) upload: bool,
    /// Write every measurement to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// How to measure calls in flight.
#[derive(Debug, Args)]
pub(crate) struct Inflight {
    #[command(flatten)]
    pub(crate) product: Product,
    /// The probe component, whose function `sleep` is called.
    #[arg(long, value_name = "PATH")]
    pub(crate) probe: PathBuf,
    /// Calls to hold.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) calls: u32,
    /// How long each call sleeps.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..))]
    pub(crate) milliseconds: u64,
    /// Write the measurements to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// How to list.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    #[command(flatten)]
    pub(crate) product: Product,
    /// Tools to list, five of each module.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(50..=10_000))]
    pub(crate) tools: u32,
    /// Clients that listen.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) listeners: u32,
    /// Rounds, each of every server.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: u16,
    /// Length of a measurement.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub(crate) duration: Duration,
    /// A Python with `fastmcp` and `uvicorn`; without it FastMCP is left out.
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,
    /// Write the measurements to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// How to soak.
#[derive(Debug, Args)]
pub(crate) struct Soak {
    #[command(flatten)]
    pub(crate) product: Product,
    /// Length of the attack; before that, the honest calls alone take a quarter of it, and an attack that warms up half.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Connections that call an honest tool.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) honest: u16,
    /// Connections that attack.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) hostile: u16,
}

/// How often to kill.
#[derive(Debug, Args)]
pub(crate) struct Chaos {
    #[command(flatten)]
    pub(crate) product: Product,
    /// Kills.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) kills: u64,
    /// Chooses the moments.
    #[arg(long, default_value_t = 0x9e37_79b9, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seed: u64,
}

/// How many jobs to send.
#[derive(Debug, Args)]
pub(crate) struct Jobs {
    #[command(flatten)]
    pub(crate) product: Product,
    /// Connections that submit.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) connections: u16,
    /// Jobs to submit at full speed.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) jobs: u64,
    /// Jobs of another key that are submitted one after the other while nothing else runs, and again while many wait.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) samples: u64,
}

/// Which goals to measure, and how thoroughly.
#[derive(Debug, Args)]
pub(crate) struct Goal {
    #[command(flatten)]
    pub(crate) product: Product,
    /// The goals.
    #[arg(required = true, value_enum)]
    pub(crate) goals: Vec<GoalName>,
    /// Hostile calls of S1, alternations of S5.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) calls: u64,
    /// Calls of S2 and of S9.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) samples: u64,
    /// Uploads of S4: each may take twenty seconds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) bombs: u64,
    /// Workers that S6 kills.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) kills: u64,
}

/// A goal of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GoalName {
    /// No death of the server in many hostile calls.
    S1,
    /// How late a call is stopped at its deadline.
    S2,
    /// Memory beyond what a call may have, for each attack on resources.
    S3,
    /// Uploads that are dear to compile are decided within their bounds, and nobody waits for them.
    S4,
    /// Nothing of one tenant is found by another.
    S5,
    /// How soon a worker process is there again.
    S6,
    /// The same call burns the same fuel.
    S9,
    /// What the bounds of a call cost, and the process in which it runs.
    Cost,
}

/// Where a baseline listens.
#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// The address; port 0 takes a free one.
    #[arg(long = "listen", default_value = "127.0.0.1:0")]
    pub(crate) address: SocketAddr,
    /// How many tools it lists.
    #[arg(long, default_value_t = 1)]
    pub(crate) tools: usize,
}

/// Read a number of seconds, fractions allowed.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text} is not a number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}
