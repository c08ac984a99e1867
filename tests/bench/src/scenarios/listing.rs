//! Listing a thousand tools over MCP, and clients that listen and do nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::arguments::Listing;
use crate::client::Connection;
use crate::fumehood::{Fumehood, Home, PATIENCE};
use crate::process;
use crate::report::{median, number, print_table, write_json};
use crate::request;
use crate::server::Server;

/// Tools of the component that is served many times.
const TOOLS_OF_ONE: u32 = 5;
/// How long listeners are left alone until memory is looked at.
const REST: Duration = Duration::from_secs(3);

/// A server, and the requests that together list all its tools.
#[derive(Debug)]
struct Candidate {
    name: &'static str,
    pid: u32,
    address: SocketAddr,
    pages: Vec<Vec<u8>>,
}

/// What one server did in all rounds.
#[derive(Debug, Serialize)]
struct Row {
    server: &'static str,
    pages: usize,
    lists_per_second: Vec<f64>,
    cpu_us: Vec<f64>,
}

/// What the JSON file holds.
#[derive(Debug, Serialize)]
struct Report {
    tools: u32,
    rows: Vec<Row>,
    listeners: u32,
    bytes_per_listener: Vec<f64>,
}

/// List in interleaved rounds, then listen.
pub(crate) async fn run(settings: &Listing) -> Result<()> {
    process::allow_many_files()?;
    let home = Home::new()?;
    let component = settings.product.calculator()?;
    for number in 0..settings.tools / TOOLS_OF_ONE {
        home.add(&format!("m{number:04}"), &component)?;
    }
    let fumehood = Fumehood::start(&settings.product.binary()?, &home, &[], PATIENCE * 4).await?;
    let tools = settings.tools.to_string();
    let rmcp = Server::start_baseline_with("serve-rmcp", &["--tools", &tools]).await?;
    let mut candidates = vec![
        candidate("rmcp", rmcp.pid(), rmcp.address(), None, settings.tools).await?,
        candidate("fumehood MCP", fumehood.pid(), fumehood.address(), Some(fumehood.key()), settings.tools).await?,
    ];
    let fastmcp = match &settings.python {
        Some(python) => Some(Server::start_python_with(python, "fastmcp_server.py", &[&tools]).await?),
        None => None,
    };
    if let Some(server) = &fastmcp {
        candidates.push(candidate("FastMCP", server.pid(), server.address(), None, settings.tools).await?);
    }
    let row = |candidate: &Candidate| {
        let (server, pages) = (candidate.name, candidate.pages.len());
        Row { server, pages, lists_per_second: Vec::new(), cpu_us: Vec::new() }
    };
    let mut rows: Vec<_> = candidates.iter().map(row).collect();
    for round in 0..settings.rounds {
        eprintln!("Round {} of {}.", round + 1, settings.rounds);
        for (candidate, row) in candidates.iter().zip(&mut rows) {
            let (per_second, cpu_us) = measure(candidate, settings.duration).await?;
            row.lists_per_second.push(per_second);
            row.cpu_us.push(cpu_us);
        }
    }
    print(settings, &rows);
    let bytes_per_listener = listen(settings, &fumehood).await?;
    fumehood.stop().await?;
    let report = Report { tools: settings.tools, rows, listeners: settings.listeners, bytes_per_listener };
    write_json(settings.json.as_deref(), &report)
}

/// Walk through the pages once: what they are, and that they hold all tools.
async fn candidate(
    name: &'static str,
    pid: u32,
    address: SocketAddr,
    key: Option<&str>,
    tools: u32,
) -> Result<Candidate> {
    let mut connection = Connection::open(address).await?;
    let (mut pages, mut cursor, mut seen) = (Vec::new(), None::<String>, 0);
    loop {
        let page = request::tools_over_mcp(address, key, cursor.as_deref());
        let response = connection.exchange(&page).await?;
        response.require_success()?;
        let message: Value = serde_json::from_slice(&response.body).context("the answer is not JSON")?;
        seen += message["result"]["tools"].as_array().map_or(0, Vec::len);
        pages.push(page);
        match message["result"]["nextCursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    ensure!(seen == tools as usize, "{name} lists {seen} tools and should list {tools}");
    Ok(Candidate { name, pid, address, pages })
}

/// Whole lists in a second on one connection, and the CPU time of each.
async fn measure(candidate: &Candidate, duration: Duration) -> Result<(f64, f64)> {
    let mut connection = Connection::open(candidate.address).await?;
    let (begun, cpu) = (Instant::now(), process::cpu_time_of_family(candidate.pid)?);
    let mut lists = 0_u32;
    while begun.elapsed() < duration {
        for page in &candidate.pages {
            let response = connection.exchange(page).await?;
            response.require_success()?;
            ensure!(response.body.len() > 10_000, "{} answered with a short page", candidate.name);
        }
        lists += 1;
    }
    let cpu = process::cpu_time_of_family(candidate.pid)?.saturating_sub(cpu);
    Ok((f64::from(lists) / begun.elapsed().as_secs_f64(), cpu.as_secs_f64() * 1e6 / f64::from(lists)))
}

fn print(settings: &Listing, rows: &[Row]) {
    let title = format!(
        "tools/list: {} tools, medians of {} rounds of {} s on one connection.",
        settings.tools,
        settings.rounds,
        settings.duration.as_secs_f64()
    );
    let base = &rows[0];
    let line = |row: &Row| {
        let ratio = median(row.lists_per_second.iter().zip(&base.lists_per_second).map(|(own, base)| own / base));
        let cpu = median(row.cpu_us.iter().copied());
        vec![
            row.server.to_owned(),
            row.pages.to_string(),
            number(median(row.lists_per_second.iter().copied())),
            number(cpu),
            number(1e6 / cpu),
            format!("{:.0} % of {}", ratio * 100.0, base.server),
        ]
    };
    let header = ["server", "pages", "lists/s", "CPU µs", "per CPU s", "ratio"];
    print_table(&title, &header, &rows.iter().map(line).collect::<Vec<_>>());
}

/// What each listener costs the server in memory, while it does nothing.
async fn listen(settings: &Listing, fumehood: &Fumehood) -> Result<Vec<f64>> {
    let mut costs = Vec::new();
    for _ in 0..settings.rounds {
        let before = resting(fumehood).await?;
        let mut listeners = Vec::new();
        for _ in 0..settings.listeners {
            let mut connection = Connection::open(fumehood.address()).await?;
            connection.send(&request::listen_over_mcp(fumehood.address(), fumehood.key())).await?;
            listeners.push(connection);
        }
        let after = resting(fumehood).await?;
        drop(listeners);
        costs.push((after as f64 - before as f64) / f64::from(settings.listeners));
    }
    let title = format!("Listeners: {} that hear nothing, medians of {} rounds.", settings.listeners, settings.rounds);
    let cost = number(median(costs.iter().copied()) / 1024.0);
    print_table(&title, &["server", "KiB each"], &[vec!["fumehood MCP".to_owned(), cost]]);
    Ok(costs)
}

/// Memory of the server itself, after it had time to give back what it does not need.
async fn resting(fumehood: &Fumehood) -> Result<u64> {
    tokio::time::sleep(REST).await;
    Ok(process::memory(fumehood.pid())?.rss_bytes)
}
