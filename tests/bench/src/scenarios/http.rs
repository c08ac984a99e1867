//! Requests per second, latency, CPU and memory under load.

use anyhow::Result;
use serde::Serialize;

use crate::arguments::{Contender, Http};
use crate::fumehood::{Fumehood, Home, PATIENCE};
use crate::load::{self, Load, Sample};
use crate::report::{median, number, print_table, write_json};
use crate::request::{self, Era, Target};
use crate::server::Server;

/// The name of the component under test.
const MODULE: &str = "calculator";
/// Its tool over MCP.
const TOOL: &str = "calculator__add";
/// More busy cores than this beside server and load, and a run is no evidence.
const QUIET_CORES: f64 = 0.15;

const AXUM: &str = "axum";
const RMCP: &str = "rmcp";
const RMCP_LEGACY: &str = "rmcp 2025-11-25";
const REST: &str = "fumehood REST";
const INSIDE: &str = "fumehood REST, inside";
const MCP: &str = "fumehood MCP";
const MCP_INSIDE: &str = "fumehood MCP, inside";
const FASTMCP: &str = "FastMCP";
const MCP_LEGACY: &str = "fumehood MCP 2025-11-25";

/// Something to measure.
#[derive(Debug)]
struct Candidate {
    name: &'static str,
    /// The candidate that it is compared with.
    baseline: &'static str,
    /// The process whose CPU time and memory count, with those of its children.
    pid: u32,
    target: Target,
}

/// All samples of one candidate with one number of connections.
#[derive(Debug, Serialize)]
struct Row {
    server: &'static str,
    connections: u16,
    baseline: &'static str,
    /// Throughput as a share of the baseline's: the median of the shares in each round.
    ratio: Option<f64>,
    rounds: Vec<Sample>,
}

/// What the JSON file holds.
#[derive(Debug, Serialize)]
struct Report<'a> {
    cores: usize,
    duration_seconds: f64,
    rows: &'a [Row],
}

/// Measure all candidates in interleaved rounds.
pub(crate) async fn run(settings: &Http) -> Result<()> {
    let home = Home::new()?;
    let servers = Servers::start(settings, &home).await?;
    let mut rows = empty_rows(settings, &servers.candidates);
    for round in 0..settings.rounds {
        eprintln!("Round {} of {}.", round + 1, settings.rounds);
        let mut row = rows.iter_mut();
        for &connections in &settings.connections {
            let load = Load {
                connections,
                threads: settings.load_threads,
                warm_up: settings.warm_up,
                duration: settings.duration,
            };
            for (candidate, row) in servers.candidates.iter().zip(&mut row) {
                let sample = load::run(load, &candidate.target, candidate.pid).await;
                row.rounds.push(sample.map_err(|error| error.context(format!("{} failed", candidate.name)))?);
            }
        }
    }
    servers.stop().await?;
    compare(&mut rows);
    print(settings, &rows);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let report = Report { cores, duration_seconds: settings.duration.as_secs_f64(), rows: &rows };
    write_json(settings.json.as_deref(), &report)
}

/// The processes, and what is asked of them.
#[derive(Debug)]
struct Servers {
    axum: Option<Server>,
    rmcp: Option<Server>,
    fastmcp: Option<Server>,
    fumehood: Option<Fumehood>,
    inside: Option<(Fumehood, Home)>,
    candidates: Vec<Candidate>,
}

impl Servers {
    async fn start(settings: &Http, home: &Home) -> Result<Self> {
        let wanted = |contender| settings.servers.contains(&contender);
        let mut servers =
            Self { axum: None, rmcp: None, fastmcp: None, fumehood: None, inside: None, candidates: Vec::new() };
        if wanted(Contender::Axum) {
            servers.add_axum(Server::start_baseline("serve-axum").await?);
        }
        if wanted(Contender::Rmcp) {
            servers.add_rmcp(Server::start_baseline("serve-rmcp").await?, settings.legacy);
        }
        if wanted(Contender::Fastmcp) {
            servers.add_fastmcp(Server::start_python(&settings.python, "fastmcp_server.py").await?);
        }
        if wanted(Contender::Inside) || wanted(Contender::McpInside) {
            let home = Home::new()?;
            home.add(MODULE, &settings.product.calculator()?)?;
            let trusting = [("FUMEHOOD_ISOLATION__TRUSTED", "*".to_owned())];
            let inside = Fumehood::start(&settings.product.binary()?, &home, &trusting, PATIENCE).await?;
            let pid = inside.pid();
            if wanted(Contender::Inside) {
                servers.candidates.push(Candidate { name: INSIDE, baseline: AXUM, pid, target: inside.add(MODULE) });
            }
            if wanted(Contender::McpInside) {
                let target = request::add_over_mcp(inside.address(), Some(inside.key()), TOOL, Era::Modern);
                servers.candidates.push(Candidate { name: MCP_INSIDE, baseline: RMCP, pid, target });
            }
            servers.inside = Some((inside, home));
        }
        if wanted(Contender::Rest) || wanted(Contender::Mcp) {
            home.add(MODULE, &settings.product.calculator()?)?;
            let fumehood = Fumehood::start(&settings.product.binary()?, home, &[], PATIENCE).await?;
            servers.add_fumehood(fumehood, settings);
        }
        Ok(servers)
    }

    fn add_axum(&mut self, server: Server) {
        let target = request::add_over_axum(server.address());
        self.candidates.push(Candidate { name: AXUM, baseline: AXUM, pid: server.pid(), target });
        self.axum = Some(server);
    }

    fn add_rmcp(&mut self, server: Server, legacy: bool) {
        let (pid, address) = (server.pid(), server.address());
        let modern = request::add_over_mcp(address, None, "add", Era::Modern);
        self.candidates.push(Candidate { name: RMCP, baseline: AXUM, pid, target: modern });
        if legacy {
            let target = request::add_over_mcp(address, None, "add", Era::Legacy);
            self.candidates.push(Candidate { name: RMCP_LEGACY, baseline: AXUM, pid, target });
        }
        self.rmcp = Some(server);
    }

    fn add_fastmcp(&mut self, server: Server) {
        let target = request::add_over_mcp(server.address(), None, "add", Era::Modern);
        self.candidates.push(Candidate { name: FASTMCP, baseline: RMCP, pid: server.pid(), target });
        self.fastmcp = Some(server);
    }

    fn add_fumehood(&mut self, fumehood: Fumehood, settings: &Http) {
        let (pid, address) = (fumehood.pid(), fumehood.address());
        let over_mcp = |era| request::add_over_mcp(address, Some(fumehood.key()), TOOL, era);
        if settings.servers.contains(&Contender::Rest) {
            let baseline = if self.inside.is_some() { INSIDE } else { AXUM };
            self.candidates.push(Candidate { name: REST, baseline, pid, target: fumehood.add(MODULE) });
        }
        if settings.servers.contains(&Contender::Mcp) {
            self.candidates.push(Candidate { name: MCP, baseline: RMCP, pid, target: over_mcp(Era::Modern) });
            if settings.legacy {
                let target = over_mcp(Era::Legacy);
                self.candidates.push(Candidate { name: MCP_LEGACY, baseline: RMCP_LEGACY, pid, target });
            }
        }
        self.fumehood = Some(fumehood);
    }

    async fn stop(self) -> Result<()> {
        for baseline in [self.axum, self.rmcp, self.fastmcp].into_iter().flatten() {
            baseline.stop().await?;
        }
        if let Some(fumehood) = self.fumehood {
            fumehood.stop().await?;
        }
        if let Some((inside, _home)) = self.inside {
            inside.stop().await?;
        }
        Ok(())
    }
}

/// A row for each number of connections and each candidate, in the order in which they are measured.
fn empty_rows(settings: &Http, candidates: &[Candidate]) -> Vec<Row> {
    let row = |connections, candidate: &Candidate| Row {
        server: candidate.name,
        connections,
        baseline: candidate.baseline,
        ratio: None,
        rounds: Vec::new(),
    };
    let rows = settings.connections.iter();
    rows.flat_map(|&connections| candidates.iter().map(move |candidate| row(connections, candidate))).collect()
}

/// Fill in the ratios.
///
/// Each round is compared with the baseline of the same round, because the machine is not the same machine a minute
/// later.
fn compare(rows: &mut [Row]) {
    let ratios: Vec<Option<f64>> = rows.iter().map(|row| ratio(row, rows)).collect();
    for (row, ratio) in rows.iter_mut().zip(ratios) {
        row.ratio = ratio;
    }
}

fn ratio(row: &Row, rows: &[Row]) -> Option<f64> {
    let baseline = rows.iter().find(|other| other.server == row.baseline && other.connections == row.connections)?;
    let pairs = row.rounds.iter().zip(&baseline.rounds);
    Some(median(pairs.map(|(own, base)| own.requests_per_second / base.requests_per_second)))
}

fn print(settings: &Http, rows: &[Row]) {
    let seconds = settings.duration.as_secs_f64();
    let title = format!("Load: medians of {} rounds of {seconds} s, loopback, every answer checked.", settings.rounds);
    let header = [
        "server",
        "conn",
        "req/s",
        "p50 µs",
        "p99 µs",
        "CPU µs",
        "per CPU s",
        "load µs",
        "other",
        "RSS MiB",
        "PSS MiB",
        "ratio",
    ];
    print_table(&title, &header, &rows.iter().map(line).collect::<Vec<_>>());
    if rows.iter().any(|row| median(row.rounds.iter().map(|round| round.other_cores)) > QUIET_CORES) {
        println!("\nThe machine was not quiet (`other` above {QUIET_CORES} cores): trust the ratios, not the figures.");
    }
}

fn line(row: &Row) -> Vec<String> {
    let of = |field: fn(&Sample) -> f64| median(row.rounds.iter().map(field));
    let mebibytes = |bytes: f64| number(bytes / (1024.0 * 1024.0));
    let ratio = row.ratio.map(|ratio| format!("{:.0} % of {}", ratio * 100.0, row.baseline));
    vec![
        row.server.to_owned(),
        row.connections.to_string(),
        number(of(|round| round.requests_per_second)),
        number(of(|round| round.p50_us)),
        number(of(|round| round.p99_us)),
        number(of(|round| round.server_cpu_us)),
        number(1e6 / of(|round| round.server_cpu_us)),
        number(of(|round| round.load_cpu_us)),
        format!("{:.2}", of(|round| round.other_cores)),
        mebibytes(of(|round| round.memory.rss_bytes as f64)),
        mebibytes(of(|round| round.memory.pss_bytes as f64)),
        ratio.unwrap_or_default(),
    ]
}
