//! The command line: every command, flag and example.

mod history;
mod install;
mod jobs;
mod limits;
mod schedules;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use fumehood_model::Role;
use serde_json::{Value, json};

use crate::{config::Flag, output::Format};

pub(crate) use history::{CallsArgs, StatsArgs};
pub(crate) use install::{InstallArgs, Program, Scope, Transport};
pub(crate) use jobs::{JobsCommand, OrderArgs, SubmitArgs};
pub(crate) use limits::LimitArgs;
pub(crate) use schedules::{ScheduleArgs, ScheduleName, SchedulesCommand};

const ENVIRONMENT: &str = "\
Exit codes: 0 ok, 1 the tool said no, 2 usage, 3 not found or unreachable, 4 denied, 5 stopped by a limit, 6 invalid input, 70 internal.
Configuration: fumehood.toml < FUMEHOOD_SECTION__KEY < flags; see `fumehood config show --origin`.

Example: fumehood demo";

/// Serve WebAssembly components as REST and MCP tools, in a sandbox.
#[derive(Debug, Parser)]
#[command(name = "fumehood", version, after_help = ENVIRONMENT)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The server to talk to [default: the configured listen address, http://127.0.0.1:7311]
    #[arg(long, global = true, env = "FUMEHOOD_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The API key [default: the file `admin.key` in the data directory, for a server on this machine]
    #[arg(long, global = true, env = "FUMEHOOD_KEY", hide_env_values = true, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// How answers are written
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,
    /// Where the server keeps its state
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// The configuration file [default: fumehood.toml in the current directory, if there is one]
    #[arg(long, global = true, env = "FUMEHOOD_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Say nothing beside the answer
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve REST and MCP over HTTP
    #[command(after_help = "Example: fumehood serve --listen 127.0.0.1:7311 --apis-dir ./apis")]
    Serve(ServeArgs),
    /// Serve MCP over standard input and output, for one client
    #[command(after_help = "Example: fumehood mcp --apis-dir ./apis")]
    Mcp(McpArgs),
    /// Start a server with example tools and call them
    #[command(after_help = "Example: fumehood demo --check")]
    Demo(DemoArgs),
    /// Call a tool of the server, or a function of a component file
    #[command(after_help = CALL_EXAMPLES)]
    Call(CallArgs),
    /// Make a project that builds and passes its test
    #[command(after_help = "Example: fumehood new hello --lang rust")]
    New(NewArgs),
    /// Build a project with its language's own toolchain, and put its tool.toml and its docs into the component
    #[command(after_help = "Example: fumehood build\nExample: fumehood build ./hello")]
    Build(BuildArgs),
    /// Say what could be better about a project or a component, with the rule, the place and the fix
    #[command(after_help = "Example: fumehood check\nExample: fumehood check ./hello.wasm --strict")]
    Check(CheckArgs),
    /// Run the examples and tests of a project in the sandbox
    #[command(after_help = "Example: fumehood test\nExample: fumehood test ./hello -k greet --update")]
    Test(TestArgs),
    /// Serve a project, and build it whenever its sources change
    #[command(after_help = "Example: fumehood dev\nExample: fumehood dev ./hello --listen 127.0.0.1:8080")]
    Dev(DevArgs),
    /// Show what a component file offers and needs, without running it
    #[command(after_help = "Example: fumehood inspect ./calculator.wasm")]
    Inspect(InspectArgs),
    /// Upload a component to the server as a module, or publish it in a registry
    #[command(after_help = PUSH_EXAMPLES)]
    Push(PushArgs),
    /// Fetch a component into a file
    #[command(
        after_help = "Example: fumehood pull oci://ghcr.io/acme/weather:1.2\nExample: fumehood pull https://example.com/weather.wasm --out ./weather.wasm"
    )]
    Pull(PullArgs),
    /// List, show and remove modules, and choose their versions
    #[command(subcommand, after_help = "Example: fumehood modules show calculator")]
    Modules(ModulesCommand),
    /// List and show tools
    #[command(subcommand, after_help = "Example: fumehood tools ls --search sum")]
    Tools(ToolsCommand),
    /// Show what a module asks for, could reach and has used; approve or reject it
    #[command(after_help = "Example: fumehood review weather\nExample: fumehood review weather --approve")]
    Review(ReviewArgs),
    /// List, add and revoke what modules may touch
    #[command(subcommand, after_help = "Example: fumehood grants add weather 'http:GET https://api.example.com/v1'")]
    Grants(GrantsCommand),
    /// List, confirm and refuse calls that a person must confirm
    #[command(subcommand, after_help = "Example: fumehood confirmations confirm 3f1c9a0b7d42")]
    Confirmations(ConfirmationsCommand),
    /// Create, list and revoke API keys
    #[command(subcommand, after_help = "Example: fumehood keys create ci --role call")]
    Keys(KeysCommand),
    /// Tell an MCP client of the server: show what belongs into its configuration, or write it there
    #[command(after_help = install::EXAMPLES)]
    Install(InstallArgs),
    /// List, set and remove the secrets that modules can be granted
    #[command(subcommand, after_help = "Example: pass show api/token | fumehood secrets set API_TOKEN")]
    Secrets(SecretsCommand),
    /// Submit, list, follow, cancel and retry jobs
    #[command(subcommand, after_help = "Example: fumehood jobs submit runaway.find-prime-gap start=1 --wait")]
    Jobs(JobsCommand),
    /// List, add, pause and remove jobs that come again
    #[command(subcommand, after_help = "Example: fumehood schedules add nightly --cron '0 3 * * *' reports.build")]
    Schedules(SchedulesCommand),
    /// List calls that have ended
    #[command(
        after_help = "Example: fumehood calls --tool calculator.add --outcome error\nExample: fumehood calls --csv --limit 10000 > calls.csv"
    )]
    Calls(CallsArgs),
    /// Show counts, error rates, durations and fuel of each tool
    #[command(after_help = "Example: fumehood stats --since 2026-11-20T00:00:00Z")]
    Stats(StatsArgs),
    /// Copy the data directory of a server, which may be running, into a new folder
    #[command(after_help = "Example: fumehood backup /srv/backup/fumehood-monday")]
    Backup(BackupArgs),
    /// Make a data directory of a backup
    #[command(after_help = "Example: fumehood restore /srv/backup/fumehood-monday --data-dir ./data")]
    Restore(RestoreArgs),
    /// Copy what is readable of a damaged database into a new one, and set the damaged one aside
    #[command(after_help = "Example: fumehood salvage --data-dir ./data")]
    Salvage(SalvageArgs),
    /// Show and check the configuration
    #[command(subcommand, after_help = "Example: fumehood config show --origin")]
    Config(ConfigCommand),
    /// Look at what this machine offers, and say what is missing and what to do about it
    #[command(after_help = "Example: fumehood doctor")]
    Doctor(DoctorArgs),
    /// Write a completion script for a shell
    #[command(after_help = "Example: fumehood completions bash > ~/.local/share/bash-completion/completions/fumehood")]
    Completions(CompletionsArgs),
    /// Compile one component for the server that started this process
    #[command(hide = true)]
    CompileWorker(CompileWorkerArgs),
    /// Run components for the server that started this process
    #[command(hide = true)]
    SandboxWorker(SandboxWorkerArgs),
}

const CALL_EXAMPLES: &str = "\
Arguments: k=v is read as the tool's input schema says, k:=json is JSON, k=@file is the file's content (base64 for bytes).

Example: fumehood call calculator.add a=1 b=2
Example: fumehood call ./calculator.wasm add --json '{\"a\": 1, \"b\": 2}'";

const PUSH_EXAMPLES: &str = "\
Credentials for registries are those of `docker login`.

Example: fumehood push ./text_stats.wasm --name text-stats
Example: fumehood push ./weather.wasm --manifest ./tool.toml
Example: fumehood push ./weather.wasm oci://ghcr.io/acme/weather:1.2
Example: fumehood push oci://ghcr.io/acme/weather:1.2 --name weather";

/// What both servers take.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct ApisArgs {
    /// A folder with components to serve; may be given several times [default: apis]
    #[arg(long = "apis-dir", value_name = "DIR")]
    pub(crate) apis_dirs: Vec<String>,
    /// A folder with files of prompts to serve; may be given several times [default: prompts]
    #[arg(long = "prompts-dir", value_name = "DIR")]
    pub(crate) prompts_dirs: Vec<String>,
}

/// `serve`.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct ServeArgs {
    /// The address to listen on [default: 127.0.0.1:7311]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) apis: ApisArgs,
    /// Let everyone on this machine do everything; refused unless the server listens on loopback
    #[arg(long)]
    pub(crate) no_auth: bool,
    /// Refuse to start unless the kernel gives everything that isolates tools
    #[arg(long)]
    pub(crate) require_isolation: bool,
}

/// `mcp`.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct McpArgs {
    #[command(flatten)]
    pub(crate) apis: ApisArgs,
}

/// `demo`.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct DemoArgs {
    /// Check that everything works and exit, with 0 if it does
    #[arg(long)]
    pub(crate) check: bool,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
}

/// `dev`.
#[derive(Debug, ClapArgs)]
pub(crate) struct DevArgs {
    /// The folder of the project
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) project: PathBuf,
    /// The address to listen on [default: 127.0.0.1:7311]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Let everyone on this machine do everything; refused unless the server listens on loopback
    #[arg(long)]
    pub(crate) no_auth: bool,
}

/// `call`.
#[derive(Debug, ClapArgs)]
pub(crate) struct CallArgs {
    /// A tool of the server as MODULE.FUNCTION, or a component file
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// The function, if TARGET is a file or a module; then its arguments as k=v, k:=json or k=@file
    #[arg(value_name = "FUNCTION | K=V")]
    pub(crate) words: Vec<String>,
    /// The arguments as a JSON object: as text, @FILE, or - for standard input; K=V wins over it
    #[arg(long, value_name = "JSON")]
    pub(crate) json: Option<String>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Confirm the call, if its tool does nothing before a person has
    #[arg(long)]
    pub(crate) confirm: bool,
    /// Write the answer to this file: bytes as they are, and everything else as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `inspect`.
#[derive(Debug, ClapArgs)]
pub(crate) struct InspectArgs {
    /// The component
    pub(crate) file: PathBuf,
}

/// `new`.
#[derive(Debug, ClapArgs)]
pub(crate) struct NewArgs {
    /// Its folder, which is made; the last part is its name
    #[arg(value_name = "NAME")]
    pub(crate) folder: PathBuf,
    /// The language in which it is written
    #[arg(long, value_enum)]
    pub(crate) lang: Language,
    /// Ask nothing; nothing is asked now, and scripts can say so
    #[arg(long)]
    pub(crate) yes: bool,
}

/// A language in which tools are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// C, compiled with zig
    C,
    /// Go
    Go,
    /// JavaScript, which QuickJS runs inside the component
    #[value(alias = "javascript")]
    Js,
    /// Python, which CPython runs inside the component
    #[value(alias = "py")]
    Python,
    /// Rust, with wit-bindgen
    Rust,
}

/// `build`.
#[derive(Debug, ClapArgs)]
pub(crate) struct BuildArgs {
    /// The folder of the project
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) project: PathBuf,
}

/// `check`.
#[derive(Debug, ClapArgs)]
pub(crate) struct CheckArgs {
    /// The folder of a project, or a component
    #[arg(default_value = ".", value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// Let warnings fail too
    #[arg(long)]
    pub(crate) strict: bool,
    /// Write SARIF 2.1.0, for editors and code hosts
    #[arg(long)]
    pub(crate) sarif: bool,
}

/// `test`.
#[derive(Debug, ClapArgs)]
pub(crate) struct TestArgs {
    /// The folder of the project
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) project: PathBuf,
    /// Only those whose name or function holds this text
    #[arg(short = 'k', long = "filter", value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Write what comes of a test into it, where it expects another value or error
    #[arg(long)]
    pub(crate) update: bool,
    /// Let the tests that have no records ask real servers, and write what was answered into them
    #[arg(long)]
    pub(crate) record: bool,
}

/// `push`.
#[derive(Debug, ClapArgs)]
pub(crate) struct PushArgs {
    /// The component: a file, https://HOST/PATH or oci://REGISTRY/REPOSITORY, which may go on with :TAG and @DIGEST
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// Where it is published, as oci://REGISTRY/REPOSITORY:TAG (otherwise it becomes a module of the server)
    #[arg(value_name = "DESTINATION", conflicts_with = "name")]
    pub(crate) destination: Option<String>,
    /// The module's name [default: that of the file or repository in lower case, with - for _]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Its tool.toml [default: NAME.tool.toml or tool.toml beside the component, or tool.toml in the current folder if the component lies below it]; in a registry it stands in the component
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// Its signature, as cosign sign-blob writes it [default: FILE.sigstore.json or FILE.sig beside the component]
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
}

/// `pull`.
#[derive(Debug, ClapArgs)]
pub(crate) struct PullArgs {
    /// The component: https://HOST/PATH or oci://REGISTRY/REPOSITORY, which may go on with :TAG and @DIGEST
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// The file to write [default: NAME.wasm in the current folder, if there is none yet]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `review`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ReviewArgs {
    /// The module
    pub(crate) module: String,
    /// Grant everything that it asks for, and serve the version that waits
    #[arg(long, conflicts_with = "reject")]
    pub(crate) approve: bool,
    /// Approve only this, which a review showed before; without it, what is shown now
    #[arg(long, requires = "approve")]
    pub(crate) revision: Option<String>,
    /// Drop the version that waits
    #[arg(long)]
    pub(crate) reject: bool,
}

/// `grants …`.
#[derive(Debug, Subcommand)]
pub(crate) enum GrantsCommand {
    /// List what modules may touch
    #[command(alias = "list", after_help = "Example: fumehood grants ls weather")]
    Ls {
        /// Only those of this module
        module: Option<String>,
    },
    /// Allow a module, or one function of it, to touch something
    #[command(after_help = GRANT_EXAMPLES)]
    Add {
        /// The module, or one function of it as MODULE.FUNCTION
        #[arg(value_name = "MODULE[.FUNCTION]")]
        target: String,
        /// What it may touch
        grant: String,
    },
    /// Take a permission away
    #[command(
        alias = "rm",
        after_help = "Example: fumehood grants revoke weather 'http:GET https://api.example.com/v1'"
    )]
    Revoke {
        /// The module, or the function that has it as MODULE.FUNCTION
        #[arg(value_name = "MODULE[.FUNCTION]")]
        target: String,
        /// What it may touch until now
        grant: String,
    },
}

const GRANT_EXAMPLES: &str = "\
Example: fumehood grants add weather 'http:GET https://api.example.com/v1,bearer=API_TOKEN'
Example: fumehood grants add notes.save 'files:/srv/notes,at=/notes,mode=read-write,bytes=100MiB'
Example: fumehood grants add unpack scratch
Example: fumehood grants add weather env:LOG_LEVEL=debug
Example: fumehood grants add weather config:region=eu
Example: fumehood grants add weather keyvalue:cache,ttl=1h
Example: fumehood grants add weather secret:API_TOKEN
Example: fumehood grants add planner 'invoke:weather.*'";

/// `modules …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ModulesCommand {
    /// List the modules
    #[command(alias = "list", after_help = "Example: fumehood modules ls -o json")]
    Ls,
    /// Show a module: what it offers, what was refused, what it needs
    #[command(after_help = "Example: fumehood modules show calculator")]
    Show {
        /// The module
        name: String,
    },
    /// List the versions of an uploaded module
    #[command(after_help = "Example: fumehood modules versions calculator")]
    Versions {
        /// The module
        name: String,
    },
    /// Serve another version of an uploaded module
    #[command(
        after_help = "Example: fumehood modules promote calculator 3\nExample: fumehood modules promote calculator sha256:635676ce"
    )]
    Promote {
        /// The module
        name: String,
        /// Its number, or the first digits of its component's digest
        version: String,
    },
    /// Serve the version of an uploaded module that was served before this one
    #[command(after_help = "Example: fumehood modules rollback calculator")]
    Rollback {
        /// The module
        name: String,
    },
    /// Keep an uploaded module on the version that is served: uploads are served when they are promoted
    #[command(after_help = "Example: fumehood modules pin calculator")]
    Pin {
        /// The module
        name: String,
    },
    /// Serve uploads of a module again as they come
    #[command(after_help = "Example: fumehood modules unpin calculator")]
    Unpin {
        /// The module
        name: String,
    },
    /// Remove an uploaded module
    #[command(alias = "remove", after_help = "Example: fumehood modules rm calculator")]
    Rm {
        /// The module
        name: String,
    },
}

/// `tools …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ToolsCommand {
    /// List the tools with their signatures
    #[command(alias = "list", after_help = "Example: fumehood tools ls --module calculator")]
    Ls {
        /// Only those that match this text
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Only those of this module
        #[arg(long, value_name = "NAME")]
        module: Option<String>,
    },
    /// Show a tool with its schemas
    #[command(after_help = "Example: fumehood tools show calculator.add")]
    Show {
        /// The tool, as MODULE.FUNCTION or as its MCP name
        name: String,
    },
}

/// `keys …`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; it is written to standard output and shown only this once
    #[command(after_help = "Example: FUMEHOOD_KEY=$(fumehood keys create ci --role call)")]
    Create {
        /// What the key is for
        name: String,
        /// What the key may do; may be given several times
        #[arg(long = "role", value_name = "admin|call", default_value = "call")]
        roles: Vec<Role>,
        #[command(flatten)]
        limits: LimitArgs,
        /// Most calls and jobs of the key that run at a time
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
        concurrent_calls: Option<u32>,
    },
    /// List the keys
    #[command(alias = "list", after_help = "Example: fumehood keys ls")]
    Ls,
    /// Make a key useless at once
    #[command(after_help = "Example: fumehood keys revoke 6mZKPOrsq2")]
    Revoke {
        /// The key's id, as `keys ls` shows it
        id: String,
    },
}

/// `confirmations …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfirmationsCommand {
    /// List the calls that wait to be confirmed
    #[command(alias = "list", after_help = "Example: fumehood confirmations ls --all")]
    Ls {
        /// Those too that were decided, or that are too old to be
        #[arg(long)]
        all: bool,
    },
    /// Confirm a call: it runs once, when its caller makes it again
    #[command(after_help = "Example: fumehood confirmations confirm 3f1c9a0b7d42")]
    Confirm {
        /// The confirmation, as `confirmations ls` shows it
        id: String,
    },
    /// Refuse a call: for a day it does nothing when it is made again
    #[command(after_help = "Example: fumehood confirmations refuse 3f1c9a0b7d42")]
    Refuse {
        /// The confirmation, as `confirmations ls` shows it
        id: String,
    },
}

/// `secrets …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// List the secrets by name; values are never shown
    #[command(alias = "list", after_help = "Example: fumehood secrets ls")]
    Ls,
    /// Set or replace a secret; its value is read from standard input or a file, without the line break at the end
    #[command(after_help = "Example: fumehood secrets set TLS_KEY --from-file ./key.pem")]
    Set {
        /// The secret's name
        name: String,
        /// Read the value from this file
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
    },
    /// Forget a secret
    #[command(alias = "remove", after_help = "Example: fumehood secrets rm API_TOKEN")]
    Rm {
        /// The secret's name
        name: String,
    },
}

/// `backup`.
#[derive(Debug, ClapArgs)]
pub(crate) struct BackupArgs {
    /// The folder to make
    pub(crate) folder: PathBuf,
}

/// `restore`.
#[derive(Debug, ClapArgs)]
pub(crate) struct RestoreArgs {
    /// The backup
    pub(crate) folder: PathBuf,
}

/// `salvage`.
#[derive(Debug, ClapArgs)]
pub(crate) struct SalvageArgs {}

/// `config …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write the configuration in effect, as TOML
    #[command(after_help = "Example: fumehood config show --origin")]
    Show {
        /// Tell where each value came from
        #[arg(long)]
        origin: bool,
    },
    /// Say whether the configuration is valid
    #[command(after_help = "Example: fumehood config check --config /etc/fumehood.toml")]
    Check,
}

/// `doctor`.
#[derive(Debug, ClapArgs)]
pub(crate) struct DoctorArgs {}

/// `completions`.
#[derive(Debug, ClapArgs)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// `sandbox-worker`.
#[derive(Debug, ClapArgs)]
pub(crate) struct SandboxWorkerArgs {
    /// Run nothing, but try to get past what isolates such a process, and say how that went
    #[arg(long)]
    pub(crate) attempt: bool,
}

/// `compile-worker`.
#[derive(Debug, ClapArgs)]
pub(crate) struct CompileWorkerArgs {}

impl Args {
    /// The flags that stand for configuration keys.
    pub(crate) fn settings(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        let mut set = |flag, key, value: Value| flags.push(Flag { flag, key, value });
        if let Some(dir) = &self.global.data_dir {
            set("--data-dir", "server.data_dir", json!(dir));
        }
        let (listen, apis) = match &self.command {
            Command::Serve(args) => (args.listen, Some(&args.apis)),
            Command::Mcp(args) => (None, Some(&args.apis)),
            Command::Demo(args) => (args.listen, None),
            Command::Dev(args) => (args.listen, None),
            _ => return flags,
        };
        if let Some(listen) = listen {
            set("--listen", "server.listen", json!(listen));
        }
        if let Some(ApisArgs { apis_dirs, prompts_dirs }) = apis {
            if !apis_dirs.is_empty() {
                set("--apis-dir", "server.apis_dir", json!(apis_dirs));
            }
            if !prompts_dirs.is_empty() {
                set("--prompts-dir", "server.prompts_dir", json!(prompts_dirs));
            }
        }
        if let Command::Serve(ServeArgs { no_auth: true, .. }) | Command::Dev(DevArgs { no_auth: true, .. }) =
            &self.command
        {
            set("--no-auth", "server.auth", json!(false));
        }
        if let Command::Serve(ServeArgs { require_isolation: true, .. }) = &self.command {
            set("--require-isolation", "isolation.require", json!(true));
        }
        if self.global.verbose {
            set("--verbose", "log.filter", json!("debug"));
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_visible_command_has_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let is_own = !command.is_hide_set() && command.get_name() != "help";
            assert!(!is_own || help.contains("Example: "), "{} has no example", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Args::command());
    }

    /// What is said to a command line that makes no sense.
    fn refused(line: &[&str]) -> String {
        Args::try_parse_from([&["fumehood"], line].concat()).unwrap_err().to_string()
    }

    #[test]
    fn a_schedule_says_when_in_one_way() {
        let add = |when: &[&str]| refused(&[&["schedules", "add", "nightly", "m.f"], when].concat());

        assert!(add(&[]).contains("<--cron <FIELDS>|--every <TIME>>"));
        assert!(add(&["--every", "1h", "--zone", "Europe/Berlin"]).contains("cannot be used with '--zone <ZONE>'"));
        assert!(add(&["--every", "1h", "--cron", "@daily"]).contains("cannot be used"));
        assert!(add(&["--every", "1h", "--missed", "sometimes"]).contains("[possible values: skip, once, all]"));
    }

    #[test]
    fn moments_and_states_are_refused_with_what_is_expected() {
        assert!(refused(&["jobs", "submit", "m.f", "--at", "tomorrow"]).contains("'--at <MOMENT>': `tomorrow` is not"));
        assert!(refused(&["calls", "--since", "1h"]).contains("'--since <MOMENT>': `1h` is not a moment: write it as"));
        assert!(refused(&["jobs", "ls", "--state", "done"]).contains("completed, failed,"));
    }

    #[test]
    fn all_ended_jobs_are_forgotten_only_when_that_is_said() {
        assert!(refused(&["jobs", "prune"]).contains("--all"));
        assert!(refused(&["jobs", "prune", "--state", ""]).contains("is not a state of jobs"));
        assert!(refused(&["jobs", "prune", "--all", "--state", "dead"]).contains("cannot be used"));
        for line in [&["jobs", "prune", "--all"][..], &["jobs", "prune", "--keep", "0"], &["jobs", "prune", "ID"]] {
            Args::try_parse_from([&["fumehood"], line].concat()).unwrap();
        }
    }

    #[test]
    fn flags_become_settings() {
        let args = Args::parse_from(["fumehood", "serve", "--no-auth", "--listen", "127.0.0.1:1", "--apis-dir", "a"]);

        let keys: Vec<_> = args.settings().iter().map(|flag| flag.key).collect();

        assert_eq!(keys, ["server.listen", "server.apis_dir", "server.auth"]);
    }
}
