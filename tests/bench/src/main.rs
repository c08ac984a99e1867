//! Benchmarks of fumehood, each with its baseline from the same run.
//!
//! Every server under test is a process of its own. This process is the load: it sends over kept-alive connections on
//! the loopback interface, checks every answer, and prints medians. How to run it and how to read the tables stands in
//! `README.md`.

mod arguments;
mod baselines;
mod client;
mod component;
mod fumehood;
mod histogram;
mod http1;
mod in_process;
mod load;
mod process;
mod report;
mod request;
mod scenarios;
mod server;
mod zoo;

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{Arguments, Command};

/// The allocator that fumehood uses, for the baselines too: what a ratio shows is then never the allocator's merit.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::ServeAxum(listen) => many_threads()?.block_on(baselines::plain_axum::serve(listen.address)),
        Command::ServeRmcp(listen) => {
            many_threads()?.block_on(baselines::plain_rmcp::serve(listen.address, listen.tools))
        }
        Command::Http(settings) => run_scenario(scenarios::http::run(&settings)),
        Command::Cold(settings) => run_scenario(scenarios::cold::run(&settings)),
        Command::Languages(settings) => run_scenario(scenarios::languages::run(&settings)),
        Command::Restart(settings) => run_scenario(scenarios::restart::run(&settings)),
        Command::Inflight(settings) => run_scenario(scenarios::inflight::run(&settings)),
        Command::Swap(settings) => run_scenario(scenarios::swap::run(&settings)),
        Command::Soak(settings) => run_scenario(scenarios::soak::run(&settings)),
        Command::Chaos(settings) => run_scenario(scenarios::chaos::run(&settings)),
        Command::Listing(settings) => run_scenario(scenarios::listing::run(&settings)),
        Command::Jobs(settings) => run_scenario(scenarios::jobs::run(&settings)),
        Command::Goal(settings) => run_scenario(scenarios::goal::run(&settings)),
    }
}

/// Run a scenario until it ends or somebody stops us.
///
/// A signal drops the scenario, and with it the servers that it started: they are killed either way.
fn run_scenario(scenario: impl Future<Output = Result<()>>) -> Result<()> {
    if cfg!(debug_assertions) {
        eprintln!("warning: this is a debug build, its figures mean nothing; use `cargo run --release`");
    }
    one_thread()?.block_on(async {
        let mut terminated = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        tokio::select! {
            ended = scenario => ended,
            _ = terminated.recv() => bail!("stopped by SIGTERM"),
            _ = interrupted.recv() => bail!("stopped by SIGINT"),
        }
    })
}

fn one_thread() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}

fn many_threads() -> Result<Runtime> {
    Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}
