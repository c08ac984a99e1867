//! The binary `fumehood`: the server, and the command line that talks to it.

mod allocator;
mod args;
mod arguments;
mod client;
mod commands;
mod config;
mod exit;
mod house;
mod local;
mod logging;
mod output;
mod project;
mod render;
mod report;
mod session;
mod suggest;
mod supply;
mod target;

use std::{env, process::ExitCode};

use clap::Parser;

use crate::{
    args::{Args, Command},
    config::Environment,
    exit::Failure,
    output::Output,
    session::Session,
};

fn main() -> ExitCode {
    let args = Args::parse();
    let output = Output::new(args.global.output, args.global.quiet, args.global.verbose);
    run(&args, output).unwrap_or_else(|error| exit::report(&error, &output))
}

fn run(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    // These need no configuration, and must work where it is broken.
    match &args.command {
        Command::Completions(completions) => return commands::completions::run(&output, completions),
        Command::CompileWorker(worker) => return commands::compile_worker::run(worker),
        Command::SandboxWorker(worker) => return commands::sandbox_worker::run(worker),
        Command::New(new) => return commands::new::run(&output, new),
        Command::Build(build) => return commands::build::run(&output, build),
        Command::Check(check) => return commands::check::run(&output, check),
        Command::Test(test) => return commands::test::run(&output, test),
        _ => {}
    }
    let loaded = config::load(args.global.config.as_deref(), &environment()?, args.settings())?;
    let session = Session { global: &args.global, loaded: &loaded, output };
    let config = &loaded.config;
    match &args.command {
        Command::Serve(serve) => commands::serve::run(config, serve),
        Command::Mcp(mcp) => commands::mcp::run(config, mcp),
        Command::Demo(demo) => commands::demo::run(config, demo, &session.output),
        Command::Dev(dev) => commands::dev::run(config, dev, &session.output),
        Command::Call(call) => commands::call::run(&session, call),
        Command::Doctor(doctor) => commands::doctor::run(&output, doctor),
        Command::Inspect(inspect) => commands::inspect::run(&output, inspect),
        Command::Push(push) => commands::push::run(&session, push),
        Command::Pull(pull) => commands::pull::run(&session, pull),
        Command::Modules(command) => commands::modules::run(&session, command),
        Command::Tools(command) => commands::tools::run(&session, command),
        Command::Review(review) => commands::review::run(&session, review),
        Command::Grants(command) => commands::grants::run(&session, command),
        Command::Jobs(command) => commands::jobs::run(&session, command),
        Command::Schedules(command) => commands::schedules::run(&session, command),
        Command::Calls(selection) => commands::calls::list(&session, selection),
        Command::Stats(selection) => commands::calls::statistics(&session, selection),
        Command::Backup(backup) => commands::backup::backup(&session, backup),
        Command::Restore(restore) => commands::backup::restore(&session, restore),
        Command::Salvage(salvage) => commands::backup::salvage(&session, salvage),
        Command::Install(install) => commands::install::run(&session, install),
        Command::Confirmations(command) => commands::confirmations::run(&session, command),
        Command::Keys(command) => commands::keys::run(&session, command),
        Command::Secrets(command) => commands::secrets::run(&session, command),
        Command::Config(command) => commands::config::run(&session, command),
        Command::Completions(_)
        | Command::CompileWorker(_)
        | Command::SandboxWorker(_)
        | Command::New(_)
        | Command::Build(_)
        | Command::Check(_)
        | Command::Test(_) => {
            unreachable!("handled before the configuration was read")
        }
    }
}

/// The environment, as far as it is text. A variable of ours that is not is a mistake.
fn environment() -> Result<Environment, Failure> {
    let mut environment = Environment::new();
    for (name, value) in env::vars_os() {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => drop(environment.insert(name, value)),
            (Ok(name), Err(_)) if name.starts_with("FUMEHOOD_") => {
                return Err(Failure::usage(format!("environment variable {name} is not UTF-8 text")));
            }
            _ => {}
        }
    }
    Ok(environment)
}
